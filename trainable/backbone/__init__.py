"""Turns images into features."""
