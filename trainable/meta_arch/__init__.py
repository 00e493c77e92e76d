"""Joins a backbone and heads."""
