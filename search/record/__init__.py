"""What is known of a search: events as they happen, and the results that are made of them."""
