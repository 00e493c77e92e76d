"""Turns features into one output a task."""
