"""The one tree of configuration keys, and the one way from YAML, .env and command line to a config."""

import yacstune  # noqa: F401  first: see its docstring
