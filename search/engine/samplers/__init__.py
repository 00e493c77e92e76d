"""Samplers, a file each: which config comes next."""
