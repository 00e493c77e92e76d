"""Searches a space of configs with Optuna through Ray Tune. The only package that imports them."""

import yacstune  # noqa: F401  first: see its docstring
