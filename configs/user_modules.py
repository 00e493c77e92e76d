"""The user's own modules, named by USER_MODULES, which register parts when they are imported."""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from configs.errors import ConfigError
from configs.files import shown_path
from configs.settings import COMMAND_LINE

_PREFIX = "user_modules_"  # of packages that stand for folders


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
        except (Exception, SystemExit) as error:
            raise ConfigError(_cannot_be_imported(module, error)) from error


def check_user_modules(modules: Sequence[str]) -> None:
    """Looks whether the modules of USER_MODULES are there, without importing them, which may take seconds.

    Raises:
        ConfigError: a module is missing, or a file is no Python.
    """
    for module in modules:
        if module.endswith(".py"):
            try:
                compile(Path(module).read_bytes(), module, "exec")
            except (SyntaxError, ValueError) as error:
                raise ConfigError(_cannot_be_imported(module, error)) from None
    missing = [name for name in modules if not name.endswith(".py") and not _is_there(name.split(".")[0])]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)}: no such module; give the path of a .py file, or a name that can be imported here",
            key="USER_MODULES",
        )


def code_checksums(modules: Sequence[str]) -> dict[str, str]:
    """Returns the SHA-256 of each file of USER_MODULES, and of the files beside it that it imports, directly or not.

    Args:
        modules: USER_MODULES; those that are named with dots are left out.

    Returns:
        By path, as seen from the folder of the module, so that a project may be moved.
    """
    checksums: dict[str, str] = {}
    for module in modules:
        folder = Path(module).parent
        for file in sorted(_with_imported(Path(module), folder)) if module.endswith(".py") else ():
            name = str(file.relative_to(folder))
            checksums[name] = hashlib.sha256(checksums.get(name, "").encode() + file.read_bytes()).hexdigest()
    return checksums


def _with_imported(file: Path, folder: Path) -> set[Path]:
    """Returns a file and those below a folder that it imports, directly or not, as far as their texts say so."""
    found: set[Path] = set()
    left = [file]
    while left:
        one = left.pop()
        if one not in found and one.is_file():
            found.add(one)
            left += _imported_by(one, folder)
    return found


def _imported_by(file: Path, folder: Path) -> list[Path]:
    """Returns the files that a file may import from below a folder, whether they are there or not."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # importing it will tell
        return []
    files: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            files += [path for alias in node.names for path in _files_of(alias.name.split("."), folder)]
        elif isinstance(node, ast.ImportFrom):
            start, within = file.parent if node.level == 1 else folder, node.module.split(".") if node.module else []
            files += [path for alias in node.names for path in _files_of([*within, *alias.name.split(".")], start)]
    return files


def _files_of(parts: list[str], folder: Path) -> list[Path]:
    """Returns the files that importing a dotted name reads below a folder: packages on the way, and the module."""
    files = []
    for count in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:count])
        files += [path / "__init__.py", path.with_suffix(".py")]
    return files


def changed_code(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Returns the files whose checksums differ, or that one side alone has."""
    return [name for name in dict.fromkeys((*recorded, *here)) if recorded.get(name) != here.get(name)]


def other_code(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Returns a line that says which files of USER_MODULES are not those that something was trained with; else none.

    Args:
        recorded: checksums that it names; empty: it is older than they are.
        here: those of the files here.
    """
    changed = changed_code(recorded, here) if recorded else []
    return [f"USER_MODULES: changed since then: {', '.join(changed)}: the numbers may be others"] if changed else []


def announced(modules: Sequence[str], source: str) -> list[str]:
    """Returns a line that says whose code runs, for when it has not run yet; none where the command line names it.

    Args:
        modules: of USER_MODULES.
        source: where they were named.
    """
    named = ", ".join(shown_path(module) if module.endswith(".py") else module for module in modules)
    return [f"runs {named} (USER_MODULES of {source})"] if modules and source != COMMAND_LINE else []


def _cannot_be_imported(module: str, error: BaseException) -> str:
    hint = ""
    if isinstance(error, ImportError) and "beyond top-level package" in str(error):
        hint = "; name a module of a package with dots, as in package.parts, instead of giving its file"
    return f"USER_MODULES: {module}: cannot be imported: {describe_error(error)}{hint}"


def _is_there(name: str) -> bool:
    in_working_folder = Path(name).is_dir() or Path(f"{name}.py").is_file()
    if in_working_folder or name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # importing it will tell
        return True


def describe_error(error: BaseException, modules: Sequence[str] = ()) -> str:
    """Returns an error of somebody else's code in one line: its type, its message, and where it was raised.

    Args:
        error: the error.
        modules: USER_MODULES: a place in one of these files is told rather than one that is called from there.
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    text = re.sub(rf"{_PREFIX}[0-9a-f]{{8}}\.", ".", text)  # as it is written beside the file: from .neighbour import x
    if isinstance(error, SyntaxError):  # says itself where it is
        return text
    trace = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in trace if "importlib" not in frame.filename and frame.filename != __file__]
    frames = [frame for frame in frames if frame.filename in modules] or frames
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _import_file(path: Path) -> ModuleType | None:
    if any(getattr(module, "__file__", None) == str(path) for module in list(sys.modules.values())):
        return None
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", key="USER_MODULES")
    name = f"{_package_of(path.parent)}.{path.stem}"  # not the bare stem: a user's scipy.py must not pass for scipy
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # true of every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # where its neighbours are found, after everybody else's modules
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package_of(folder: Path) -> str:
    """Returns the name of a package whose modules are the files of a folder, for `from .neighbour import ...`."""
    name = f"{_PREFIX}{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        package = ModuleType(name, f"The files of {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name
