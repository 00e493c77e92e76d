"""Decides: which trial comes next, which one waits or stops, and when the search ends."""
