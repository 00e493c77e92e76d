"""A search that is watched: in a terminal, from another shell, by figures, as JSON."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import ray

from search.record.event_log import EventLog
from search.record.history import History
from search.record.outcomes import State
from search.run import main
from search.stop import main as stop
from tests.conftest import ROOT
from tests.end_to_end.searches import RATE, write_space

WAIT = 120.0  # seconds for what takes a few


def until(found: Callable[[], bool], why: Callable[[], str]) -> None:
    """Waits until something is there."""
    deadline = time.monotonic() + WAIT
    while not found():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


class Tmux:
    """A terminal that somebody sits at, with a shell in it."""

    def __init__(self, socket: Path, columns: int, rows: int):
        self._command = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), "env", "-u", "CI", "PS1=$ ", "sh")

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._command, *words], check=True, capture_output=True, text=True).stdout

    def type(self, *words: str) -> None:
        self._run("send-keys", *words)

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def settings(self) -> str:
        """Whether the cursor is shown, and which screen it is."""
        return self._run("display-message", "-p", "#{cursor_flag} #{alternate_on}")

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def shows(self, text: str) -> None:
        until(lambda: re.search(text, self.screen()) is not None, lambda: f"{text!r} in\n{self.screen()}")

    def close(self) -> None:
        subprocess.run([*self._command, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path_factory) -> Iterator[Tmux]:
    tmux = Tmux(tmp_path_factory.mktemp("tmux") / "s", 80, 24)
    yield tmux
    tmux.close()


def drivers(folder: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "search.run" in (process.info["cmdline"] or []) and str(folder) in process.info["cmdline"]
    ]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_search_in_a_terminal_is_shown_watched_stopped_and_killed(ray_address, terminal, tmp_path):
    space = write_space(
        tmp_path, RATE, "num_samples: 30, scheduler: none, reference: true", MODEL__BACKBONE__NAME="slow_tiny"
    )
    folder = tmp_path / "out"
    python = f"PYTHONPATH={ROOT} {sys.executable} -m"
    start = f"{python} search.run --space {space} --address {ray_address} -o {folder}"
    terminal.type(f"cd {shlex.quote(str(tmp_path))}; stty -g > before; clear", "Enter")
    terminal.type(start, "Enter")
    terminal.shows(r"(?m)^running +trial +\d+  epoch [2-9]/9 .*val_score 0\.\d{4}")
    assert all(re.search(label, terminal.screen()) for label in (r"(?m)^trials ", r"(?m)^base ", r"(?m)^machine +CPU"))

    history = History(EventLog(folder / "events.jsonl").read())
    number = next(record.number for record in history.running() if record.is_sample)
    assert stop([str(folder), "--trial", str(number)]) == 0
    terminal.shows(rf"trial +{number}  stopped by user")
    stopped = History(EventLog(folder / "events.jsonl").read()).trials[number]
    assert stopped.state == State.STOPPED_BY_USER and len(stopped.rows) < 9

    terminal.resize(60, 24)
    terminal.shows(r"(?m)^running +trial")
    until(lambda: terminal.screen().count("machine") == 1, terminal.screen)

    terminal.type("C-c")
    terminal.shows("resume with: ")
    assert terminal.settings().split() == ["1", "0"]
    terminal.type(f"clear; {start} --resume", "Enter")
    terminal.shows(r"(?m)^running +trial +\d+  epoch \d/9")
    (driver,) = drivers(folder)
    driver.kill()
    terminal.type("", "Enter")
    terminal.type("clear; stty -g > after; cmp before after && echo as it w'as'", "Enter")
    terminal.shows("as it was")
    assert terminal.settings().split() == ["1", "0"], "the cursor is there, and no other screen"

    assert History(EventLog(folder / "events.jsonl").read()).trials[number].state == State.STOPPED_BY_USER
    terminal.type(f"clear; {python} search.watch {folder}", "Enter")
    terminal.shows("the search was killed")


def figures(port: int) -> dict[str, float]:
    """Reads the figures of searches off Ray's metrics port: by name, with the tags that are ours."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    found = {}
    for name, tags, value in (
        match.groups() for line in lines if (match := re.match(r"(ray_yacstune_\w+){(.*)} (.*)", line))
    ):
        own = dict(re.findall(r'(search|state|trial)="([^"]*)"', tags))
        found[" ".join([name.removeprefix("ray_yacstune_"), *own.values()])] = float(value)
    return found


def test_the_figures_of_a_search_are_on_rays_metrics_port(ray_address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("search.trials.ray_metrics.INTERVAL", 0.2)  # Ray exports every second here, see conftest.py
    changes = {"MODEL__BACKBONE__NAME": "slow_tiny", "MODEL__SOLVER__TOTAL_EPOCHS": "4"}
    space = write_space(tmp_path, RATE, "num_samples: 6, scheduler: none, reference: true", **changes)
    seen: list[dict[str, float]] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.3):
            if ray.is_initialized():
                port = ray.nodes()[0]["MetricsExportPort"]
                seen.append(figures(port))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert main(["--space", str(space), "--address", ray_address, "-o", "out"]) == 0, capsys.readouterr().out
    finally:
        is_over.set()
        looking.join()
    assert any(found.get("trials out running", 0) == 2 for found in seen)
    table = pd.read_csv("out/results.csv")
    best = max(found.get("best out", 0.0) for found in seen)
    assert best in set(table["val_score"])
    running = [{name for name in found if name.startswith("trial_epoch")} for found in seen]
    assert {name.split()[-1] for names in running for name in names} > {"0", "1"}
    assert max(map(len, running)) <= 4, "those that run, and those that have just ended"
    assert any(0 < found[name] <= 4 for found, names in zip(seen, running, strict=True) for name in names)


def test_a_search_speaks_json_and_nothing_else(ray_address, tmp_path, capsys):
    space = write_space(tmp_path, RATE, "num_samples: 2, scheduler: none", MODEL__SOLVER__TOTAL_EPOCHS="1")
    start = ["--space", str(space), "-o", "out", "--address", ray_address]
    assert main([*start, "--json"]) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    events = [line for line in lines if line["kind"] != "message"]
    assert events == [json.loads(line) for line in Path("out/events.jsonl").read_text().splitlines()]
    assert "checking every part" in printed.err and "search tiny_space: 2 trials" in printed.err
    assert main([*start, "--resume", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("finished: 2 done\n") and "retrain the best" in printed.out
    assert printed.err == "" and len(printed.out.splitlines()) <= 5


def test_the_board_asks_for_figures_that_there_are():
    board = json.loads((ROOT / "docs/monitoring/grafana/dashboards/yacstune.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"ray_(\w+)", target["expr"])
    }
    source = (ROOT / "search/trials/ray_metrics.py").read_text()
    there = set(re.findall(r'Gauge\(\s*"(\w+)"', source))
    assert asked == there
