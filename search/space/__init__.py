"""What is searched and how: the language of space files, and drawing from a space."""
