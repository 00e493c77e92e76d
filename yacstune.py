"""yacstune: hyperparameter search for PyTorch image models, from YAML to YAML.

The packages of this distribution have everyday names (configs, data, trainable, search). `python -m` puts the
working folder first on the path, where a user's own data.py or configs.py would be imported in their place; each of
the four packages imports this module first, which makes their names resolve to the packages beside this file. So does
yacstune.pth, which Python reads when it starts, for our commands: `python -m data.visualize` would look into a user's
data.py before any file of ours is read. Other programs of the environment get what they have on their path.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent
PACKAGES = ("configs", "data", "trainable", "search")

try:
    __version__ = version("yacstune")
except PackageNotFoundError:  # a checkout on the path that was never installed
    __version__ = "unknown"


class _PackageFinder:
    """Finds the four top-level packages beside this file, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in PACKAGES:
            return None
        folder = PROJECT_ROOT / name
        return importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


sys.meta_path.insert(0, _PackageFinder)  # type: ignore[arg-type]
