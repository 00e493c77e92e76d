"""Parts by name: a registry for each kind of part, and the user's own modules that add to them."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from configs.errors import ConfigError, did_you_mean


class Registry:
    """Builders of one kind of part, by name.

    Args:
        kind: what the parts are, for messages: "head".
        key: the config key that names one: "MODEL.HEAD.NAME".

    A part is registered with a decorator, or by calling it:

        @HEAD_REGISTRY.register("simple_head_module")
        def build_simple_pred_head(head_cfg): ...

        HEAD_REGISTRY.register("simple_head_module", build_simple_pred_head)
    """

    def __init__(self, kind: str, key: str):
        self.kind = kind
        self.key = key
        self._builders: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, builder: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Adds a builder under a name; without a builder, returns a decorator that does.

        Raises:
            ConfigError: the name is taken.
        """
        if builder is None:
            return lambda decorated: self.register(name, decorated)
        if name in self._builders:
            raise ConfigError(
                f"{self.kind} {name!r} is registered twice: in {self._builders[name].__module__} and in "
                f"{builder.__module__}; give one of them another name"
            )
        self._builders[name] = builder
        return builder

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._builders:
            raise ConfigError(
                f"{self.key}: unknown {self.kind} {name!r}.{did_you_mean(name, self._builders)} "
                f"Known: {', '.join(sorted(self._builders))}"
            )
        return self._builders[name]

    def __contains__(self, name: str) -> bool:
        return name in self._builders

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))


def import_user_modules(modules: Sequence[str]) -> None:
    """Imports the modules of USER_MODULES, each once, so that they register their parts.

    Raises:
        ConfigError: a module is missing or fails while it is imported.
    """
    for module in modules:
        try:
            if module.endswith(".py"):
                _import_file(Path(module))
            else:
                if "" not in sys.path:  # as in an interactive session: names are looked up in the working folder too
                    sys.path.append("")
                importlib.import_module(module)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"USER_MODULES: {module}: cannot be imported: {describe_error(error)}") from error


def check_user_modules(modules: Sequence[str]) -> None:
    """Looks whether the modules of USER_MODULES are there, without importing them, which may take seconds.

    Raises:
        ConfigError: a module is missing.
    """
    missing = [name for name in modules if not name.endswith(".py") and not _is_there(name.split(".")[0])]
    if missing:
        raise ConfigError(
            f"USER_MODULES: {', '.join(missing)}: no such module; give the path of a .py file, or a name that can be "
            "imported here"
        )


def _is_there(name: str) -> bool:
    in_working_folder = Path(name).is_dir() or Path(f"{name}.py").is_file()
    return in_working_folder or importlib.util.find_spec(name) is not None


def describe_error(error: Exception) -> str:
    """Returns an error of somebody else's code in one line: its type, its message, and where it was raised."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, SyntaxError):  # says itself where it is
        return text
    trace = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in trace if "importlib" not in frame.filename and frame.filename != __file__]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _import_file(path: Path) -> ModuleType | None:
    if any(getattr(module, "__file__", None) == str(path) for module in list(sys.modules.values())):
        return None
    if not path.is_file():
        raise ConfigError(f"USER_MODULES: {path}: no such file")
    name = f"user_modules.{path.stem}"  # not the bare stem: a user's scipy.py must not pass for scipy
    if name in sys.modules:
        raise ConfigError(f"USER_MODULES: {path}: a module named {path.stem} is loaded already; rename one of them")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # true of every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
