"""Schedulers, a file each: which trials are stopped early, wait, or are promoted."""
