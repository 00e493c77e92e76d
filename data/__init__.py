"""Reads, prepares, augments and serves images."""

import yacstune  # noqa: F401  first: see its docstring
