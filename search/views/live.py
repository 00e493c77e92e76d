"""The live view: one picture at the bottom of the terminal, above which the lines of finished trials scroll."""

import time
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from search.analysis import FoundSearch
from search.record.events import Event, SearchEnded
from search.record.recorder import Observer
from search.views.screen import Screen
from search.views.terminal import Terminal

CTRL_C = "^C"
INTERVAL = 1.0  # seconds between two pictures: each costs some milliseconds of the process that runs the search


class TerminalConsole(Console):
    """A console that leaves the terminal as it is, whatever ends the process: its cursor stays visible."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Lines:
    """Lines that are rendered already: rich renders what it shows with each line that is printed above it."""

    def __init__(self, lines: list[list[Segment]]):
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()


class LiveView(Observer):
    """Shows a search on a terminal; to be left in the end.

    Args:
        found: the search.
        machine: describes the machine in a line; None: that is left out.
        console: of the terminal; None: that of this process.
        clock: says what time it is, in seconds since 1970.
        has_begun: whether it runs already, and is watched from here on.
    """

    speaks = True

    def __init__(
        self,
        found: FoundSearch,
        machine: Callable[[], str] | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.time,
        has_begun: bool = False,
    ):
        self._console = console or TerminalConsole(highlight=False)
        self._screen = Screen(found, machine, self._console.options.ascii_only)
        self._lines = Terminal(found, self._keep, lambda: self._console.width, has_begun)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._clock = clock
        self._kept: list[str] = []  # lines that come above the next picture
        self._drawn = 0.0
        self._widths: list[int] = []  # of the lines of the last picture
        self._width = self._console.width

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def on_event(self, event: Event) -> None:
        self._screen.add(event)
        self._lines.on_event(event)
        if isinstance(event, SearchEnded):
            self.close()

    def on_message(self, text: str) -> None:
        self._keep(text)
        self.draw()

    def on_tick(self) -> None:
        if time.monotonic() - self._drawn >= INTERVAL or self._console.width != self._width:
            self.draw()

    def draw(self) -> None:
        """Draws a picture, below the lines that have come since the last one."""
        if not self._live.is_started:
            self._print_kept()
            return
        self._clear_wrapped()
        width, height = self._console.size
        room = width - len(CTRL_C)  # which a terminal writes where the cursor stands, and would wrap
        picture = self._screen.draw(self._clock(), height)
        lines = self._console.render_lines(picture, self._console.options.update(width=room), pad=False)[:height]
        self._live.update(_Lines(lines), refresh=True)
        self._print_kept()  # above the picture, which rich draws again
        self._widths = [sum(segment.cell_length for segment in line) for line in lines]
        self._width = width
        self._drawn = time.monotonic()

    def close(self) -> None:
        """Takes the picture away, and leaves the lines."""
        if self._live.is_started:
            self._clear_wrapped()
            self._live.stop()
        self._print_kept()

    def _keep(self, text: str) -> None:
        self._kept.append(text)

    def _print_kept(self) -> None:
        if self._kept:
            text, self._kept = "\n".join(self._kept), []
            self._console.print(Text(text), soft_wrap=True)

    def _clear_wrapped(self) -> None:
        """Removes what the last picture has become in a terminal that is narrower now: its lines are wrapped.

        The cursor is left where rich expects it, in the last line of a picture of as many lines as were drawn.
        """
        width = self._console.width
        if width >= self._width or not self._widths:
            return
        rows = sum(max(1, -(-cells // width)) for cells in self._widths)
        height = len(self._widths)
        up = [(ControlType.CURSOR_UP, rows - 1)] if rows > 1 else []
        self._console.control(Control(ControlType.CARRIAGE_RETURN, *up, (ControlType.ERASE_IN_LINE, 2)))
        self._console.file.write("\x1b[J" + "\n" * (height - 1))
        self._console.file.flush()
