"""Runs trials: Ray, its worker processes, and what happens in them."""
