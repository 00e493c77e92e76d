"""A progress bar for work on many images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def image_progress() -> Iterator[Callable[[int, int], None]]:
    """Gives a function that shows how many images are done, and of how many; nothing where no one looks."""
    from rich.console import Console  # here: a trial of a search seldom needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("reading ...", total=None)
        yield lambda done, of: progress.update(bar, description="images", completed=done, total=of)
