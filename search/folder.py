"""The folder of a search: its files, its name, and whether it may be used."""

import argparse
import shlex
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path

from configs.command_line import refuse_url
from configs.errors import ConfigError, did_you_mean
from configs.files import shown_path
from trainable.run_folder import FolderInUseError, RunFolder

EXPERIMENTS = Path("experiments")  # in the working folder


class SearchFolder:
    """Names every file that a search leaves behind."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.space = self.path / "space.yaml"
        self.base = self.path / "base.yaml"
        self.provenance = self.path / "provenance.yaml"
        self.events = self.path / "events.jsonl"
        self.error_log = self.path / "error.log"
        self.trials = self.path / "trials"
        self.results_csv = self.path / "results.csv"
        self.results_parquet = self.path / "results.parquet"
        self.best = self.path / "best.yaml"
        self.confirmation = self.path / "confirm.csv"
        self.report = self.path / "report.html"
        self.report_pictures = self.path / "report"
        self.pareto = self.path / "pareto"
        self.pareto_csv = self.path / "pareto.csv"
        self.pareto_picture = self.path / "pareto.png"

    def trial(self, name: str) -> RunFolder:
        """Returns the folder of a trial, by its name."""
        return RunFolder(self.trials / name, is_trial=True)

    def resume_command(self) -> str:
        """Returns the command that goes on with the search, for a terminal in this working folder."""
        return f"python -m search.run --resume -o {shlex.quote(shown_path(self.path))}"

    def for_retraining(self, what: str) -> Path:
        """Returns a free folder beside this one for a config of the search that is trained again."""
        return _next_free(self.path.with_name(f"{self.path.name}-{what}"))

    def is_used(self) -> bool:
        """Whether the folder holds anything but what a process left that ended before it began."""
        return RunFolder(self.path).is_used()

    def is_search(self) -> bool:
        """Whether a search was started in the folder."""
        return self.base.exists() and self.space.exists()


def add_folder_argument(parser: argparse.ArgumentParser) -> None:
    """Adds what `existing_search` takes."""
    parser.add_argument("folder", metavar="DIR", help="the folder of the search, as experiments/head")


def existing_search(path: str) -> SearchFolder:
    """Returns the folder of a search that was started.

    Raises:
        ConfigError: there is none in it.
    """
    folder = SearchFolder(path)
    if not folder.is_search():
        if RunFolder(folder.path).config.exists():
            raise ConfigError(
                f"{path}: is the folder of a training, not of a search; its curve is in metrics.csv there"
            )
        later = "; one that has just been started makes its folder after its checks" if not folder.path.exists() else ""
        raise ConfigError(f"{path}: no search was started in this folder{later}.{_others(path)}")
    return folder


def _others(path: str) -> str:
    """Returns a hint to the searches that there are."""
    found = sorted(str(one.parent) for one in EXPERIMENTS.glob("*/space.yaml"))
    return did_you_mean(path, found) or (f" There are {', '.join(found[:5])}." if found else "")


def new_folder(output: str | None, name: str) -> SearchFolder:
    """Returns the folder for a new search, not yet made.

    Args:
        output: the user's choice, or None for the next free one of experiments/name, experiments/name-2 ...
        name: of the search.

    Raises:
        ConfigError: the user's choice is in use.
    """
    if output is None:
        return SearchFolder(_next_free(EXPERIMENTS / name))
    refuse_url(output)
    folder = SearchFolder(output)
    if folder.path.is_file():
        raise ConfigError(f"{output}: is a file; give a folder with -o")
    if folder.is_search() and RunFolder(folder.path).is_locked():
        where = shlex.quote(output)
        raise ConfigError(
            f"{output}: a search runs in this folder; watch it: python -m search.watch {where}; stop it: python -m "
            f"search.stop {where}; or give another folder with -o"
        )
    if folder.is_used():
        ways = "give another folder with -o, or leave -o out to have one named"
        if folder.is_search():
            ways = f"resume that search: python -m search.run --resume -o {shlex.quote(output)}; or {ways}"
        raise ConfigError(f"{output}: the folder is not empty; {ways}")
    return folder


def _next_free(path: Path) -> Path:
    """Returns the first of x, x-2, x-3 ... that is not there."""
    names = chain([path.name], (f"{path.name}-{number}" for number in count(2)))
    return next(free for name in names if not (free := path.with_name(name)).exists())


def claimed(folder: SearchFolder, name: str | None, is_new: bool, stack: ExitStack) -> SearchFolder:
    """Returns the folder of a search, locked; another one, if it was named here and is taken meanwhile.

    Args:
        folder: from `new_folder` or `folder_to_resume`.
        name: of the search, if that named the folder; None: the user did.
        is_new: whether it must be unused.
        stack: whose end gives up the lock.

    Raises:
        FolderInUseError: another process works in the user's choice, or has taken it.
    """
    while True:
        try:
            stack.enter_context(RunFolder(folder.path).locked(is_new=is_new))
            return folder
        except FolderInUseError:
            if name is None:
                raise
            folder = new_folder(None, name)


def folder_to_resume(output: str | None, name: str | None) -> SearchFolder:
    """Returns the folder of the search that is to go on: the user's choice, or the newest one of that name.

    Raises:
        ConfigError: there is no search in it.
    """
    if output is None:
        if name is None:
            raise ConfigError("which search should be resumed? Give its folder, as in: --resume -o experiments/head")
        numbered = [path for path in EXPERIMENTS.glob(f"{name}-*") if path.name.removeprefix(f"{name}-").isdigit()]
        numbered.sort(key=lambda path: -int(path.name.rsplit("-", 1)[1]))
        newest_first = [SearchFolder(path) for path in (*numbered, EXPERIMENTS / name)]
        folder = next((one for one in newest_first if one.is_search()), newest_first[0])
    else:
        refuse_url(output)
        folder = SearchFolder(output)
    if not folder.is_search():
        if folder.events.exists():
            missing = " and ".join(str(file) for file in (folder.space, folder.base) if not file.exists())
            raise ConfigError(f"{folder.path}: cannot be resumed without {missing}; put back what is missing")
        way = "leave --resume out"
        if RunFolder(folder.path).config.exists():
            way = f"resume that training: python -m trainable.train --resume -o {shlex.quote(str(folder.path))}"
        hint = _others(str(folder.path))
        raise ConfigError(f"{folder.path}: nothing to resume: no search was started in this folder; {way}.{hint}")
    return folder
