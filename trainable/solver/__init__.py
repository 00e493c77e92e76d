"""Losses, optimizers and schedules."""
