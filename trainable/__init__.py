"""Builds a model from parts by name and trains it. Knows neither Ray nor Optuna."""

import yacstune  # noqa: F401  first: see its docstring
