"""What people see of a search, made of recorded events: the live view as text, the time left, tables, JSON."""

import csv
import io
import json
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from search.analysis import FoundSearch
from search.record.event_json import from_json
from search.record.event_log import EventLog
from search.record.events import SearchStarted
from search.record.history import History
from search.record.outcomes import Outcome, State
from search.resuming import begun_plan
from search.show import main as show
from search.views.describe import clock, duration
from search.views.live import LiveView, TerminalConsole
from search.views.machine import Machine
from search.views.pace import Pace, what_is_left
from search.views.screen import Screen, sparkline
from search.watch import main as watch
from tests.parts.recorded import BEGUN, RATE, recorded, rising
from trainable.run_folder import RunFolder

SCREENS = Path(__file__).parent / "screens"
ASHA = "scheduler: {asha: {reduction_factor: 3}}"


def failing(trial, epoch):
    return Outcome.FAILED if trial.is_sample else rising(trial, epoch)


def failing_sometimes(trial, epoch):
    return Outcome.FAILED if trial.number % 5 == 2 and epoch == 2 else rising(trial, epoch)


# By name: how a search is recorded, and after how many seconds it is looked at.
SEARCHES = {
    "running": ({"search": f"num_samples: 40, {ASHA}, time_budget: 2h", "curve": failing_sometimes}, 130),
    "first": ({"search": f"num_samples: 40, {ASHA}"}, 5),
    "many": ({"search": f"num_samples: 2000, {ASHA}, sampler: random, confirm: false", "slots": 64}, 400),
    "many_done": ({"search": f"num_samples: 2000, {ASHA}, sampler: random, confirm: false", "slots": 64}, 10**9),
    "failures": ({"search": "num_samples: 30, scheduler: none", "curve": failing}, 25),
    "objectives": (
        {"search": f"num_samples: 12, {ASHA}, sampler: nsga2, objectives: {{val_score: max, params: min}}"},
        100,
    ),
    "pbt": ({"search": "num_samples: 4, scheduler: {pbt: {perturbation_interval: 2}}"}, 60),
    "resumed": ({"search": f"num_samples: 30, {ASHA}", "stops": (95, 47)}, 380),
    "confirm": ({"search": f"num_samples: 9, {ASHA}, confirm: {{top: 2, seeds: 2}}"}, 250),
    "target": ({"search": f"num_samples: 20, {ASHA}, stop: {{target: 0.99}}"}, 100),
}


def past(folder, seconds: float = 10**9) -> History:
    """What a search was after some seconds."""
    return History(event for event in EventLog(folder.events).read() if event.time <= BEGUN + seconds)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("recorded")
    made = {name: recorded(home / name, **how) for name, (how, _) in SEARCHES.items() if name != "many_done"}
    return made | {"many_done": made["many"]}


def drawn(folder, history: History, seconds: float, width: int, is_ascii: bool = False) -> str:
    found = FoundSearch(begun_plan(folder), history, with_short_path(folder))
    screen = Screen(found, lambda: "CPU 50 %   memory 3.0 of 8.0 GiB", is_ascii)
    console = Console(width=width, height=24, file=io.StringIO(), legacy_windows=False)
    console.print(screen.draw(BEGUN + seconds, 24))
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def with_short_path(folder):
    """The folder by a name that is the same wherever the tests run."""
    return type(folder)(Path("experiments") / folder.path.name)


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_live_view(name, width, folders):
    seconds = SEARCHES[name][1]
    history = past(folders[name], seconds)
    seconds = min(seconds, history.events[-1].time - BEGUN)
    text = drawn(folders[name], history, seconds, width)
    assert all(len(line) <= width for line in text.splitlines())
    kept = SCREENS / f"{name}_{width}.txt"
    if os.environ.get("WRITE_SCREENS"):  # then look at them
        kept.write_text(text)
    assert text == kept.read_text()


def test_the_live_view_of_a_search_without_an_event(tmp_path):
    folder = recorded(tmp_path / "empty", "num_samples: 3")
    text = drawn(folder, History(), 0, 80)
    assert "0 of 3 sampled: 0 running" in text and "not known yet" in text


def test_a_terminal_without_unicode_gets_none(folders):
    text = drawn(folders["running"], past(folders["running"], 130), 130, 80, is_ascii=True)
    assert "_" in text and not set("▁▂▃▄▅▆▇█") & set(text)


@pytest.mark.parametrize("name", ["running", "resumed", "pbt", "confirm", "many"])
def test_the_time_left_is_near_what_it_takes(name, folders):
    folder = folders[name]
    plan, events = begun_plan(folder), EventLog(folder.events).read()
    rungs = Screen(FoundSearch(plan, History(), folder))._rungs
    starts = [event.time for event in events if isinstance(event, SearchStarted)]
    whole = events[-1].time - starts[-1]
    for share in (0.3, 0.5, 0.7, 0.9):
        now = starts[-1] + share * whole
        history, pace = History(), Pace()
        for event in events:
            if event.time <= now:
                history.add(event)
                pace.add(event)
        left = what_is_left(plan, history, pace, rungs, now)
        assert left.seconds is not None
        assert abs(left.seconds - (events[-1].time - now)) < 0.3 * whole, (share, left)


def test_before_an_epoch_was_measured_the_time_left_is_not_known(folders):
    folder = folders["first"]
    plan, pace = begun_plan(folder), Pace()
    history = past(folder, 5)
    for event in history.events:
        pace.add(event)
    assert what_is_left(plan, history, pace, (), BEGUN + 5).seconds is None


def test_words_for_times():
    seconds = [0.4, 45, 110, 720, 5399, 7500, 200_000]
    words = ["0 s", "45 s", "2 min", "12 min", "1 h 30 min", "2 h 05 min", "2 d 7 h"]
    assert [duration(one) for one in seconds] == words
    assert clock(65) == "01:05" and clock(3 * 3600 + 65) == "3:01:05"


def test_a_sparkline_keeps_its_first_and_last_value():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5]) == "▁" and sparkline([]) == "" and sparkline([2, 2]) == "▁▁"
    many = sparkline(list(range(1000)))
    assert len(many) == 16 and many[0] == "▁" and many[-1] == "█"


class Terminal(io.StringIO):
    """A terminal of some size that remembers what it was sent."""

    def isatty(self):
        return True


def live(folder, history, width=80, clock=lambda: BEGUN):
    console = TerminalConsole(file=Terminal(), width=width, height=24, force_terminal=True, color_system=None)
    return LiveView(FoundSearch(begun_plan(folder), history, folder), console=console, clock=clock), console


def test_lines_of_finished_trials_stay_above_the_picture_which_goes_in_the_end(folders):
    folder = folders["running"]
    history = History()
    view, console = live(folder, history)
    with view:
        for event in EventLog(folder.events).read():
            history.add(event)
            view.on_event(event)
            view.draw()
    sent = console.file.getvalue()
    assert "trial  40  done" in sent and "finished: " in sent and "sampled: " in sent
    assert "\x1b[?25l" not in sent and "\x1b[?1049h" not in sent, "a terminal whose process is killed stays as it was"
    after = sent[sent.rindex("sampled: ") :]
    assert "retrain the best" in after and "machine" not in after.split("retrain the best")[1]


def test_the_picture_is_of_now_also_while_lines_arrive(folders):
    folder = folders["running"]
    history = History()
    view, console = live(folder, history)
    with view:
        for event in EventLog(folder.events).read()[:-1]:
            history.add(event)
            view.on_event(event)
            view.draw()
            picture = console.file.getvalue().rpartition("trials   ")[2]
            samples = history.samples()
            assert picture.startswith(
                f"{len(samples)} of 40 sampled: {sum(r.state == State.RUNNING for r in samples)} running"
            )


def test_a_picture_has_room_for_what_ctrl_c_writes(folders):
    view, _ = live(folders["running"], past(folders["running"], 130), clock=lambda: BEGUN + 130)
    with view:
        view.draw()
        assert max(view._widths) <= 80 - len("^C")


def test_a_narrower_terminal_is_cleared_of_what_wraps_in_it(folders):
    folder = folders["running"]
    history = past(folder, 130)
    view, console = live(folder, history, width=120, clock=lambda: BEGUN + 130)
    with view:
        view.draw()
        console.file.truncate(0)
        console._width = 60
        view.on_tick()
        sent = console.file.getvalue()
    assert "\x1b[J" in sent, "what follows is drawn on a clean place"
    assert all(len(line) <= 60 for line in sent.split("\x1b[J")[1].splitlines() if "\x1b" not in line)


def test_watching_a_search_that_has_ended_tells_its_lines_and_its_summary(folders, capsys):
    folder = folders["running"]
    assert watch([str(folder.path)]) == 0
    printed = capsys.readouterr().out
    assert "[00:01] the first trial has started" in printed
    assert printed.count("best so far") >= 2 and "\nfinished: " in printed
    assert "is better than the base config" in printed or "no trial is better" in printed


def test_watching_a_search_that_was_resumed_says_so(folders, capsys):
    assert watch([str(folders["resumed"].path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("the search was resumed") == 2
    place = lines.index("the search was resumed")
    assert lines[place + 1] < lines[place - 1], "its time begins anew"


def test_watching_a_search_that_was_killed_says_so(folders, capsys):
    folder = folders["resumed"]
    kept = folder.events.read_text()
    try:
        folder.events.write_text("".join(kept.splitlines(keepends=True)[:20]))
        assert watch([str(folder.path)]) == 0
        assert "the search was killed" in capsys.readouterr().out
        assert show([str(folder.path), "--json"]) == 0
        states = {row["state"] for row in json.loads(capsys.readouterr().out)}
        with RunFolder(folder.path).locked():  # as by a driver that is still at work
            assert show([str(folder.path), "--json"]) == 0
        while_it_runs = {row["state"] for row in json.loads(capsys.readouterr().out)}
    finally:
        folder.events.write_text(kept)
    assert "interrupted" in states and "running" not in states
    assert "running" in while_it_runs and "interrupted" not in while_it_runs


def test_a_replay_takes_its_time(folders, capsys, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    assert watch([str(folders["pbt"].path), "--speed", "100"]) == 0
    events = EventLog(folders["pbt"].events).read()
    assert sum(slept) == pytest.approx((events[-1].time - events[0].time) / 100)


def test_events_as_json_are_those_of_the_log(folders, capsys):
    folder = folders["objectives"]
    assert watch([str(folder.path), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [from_json(line) for line in lines] == EventLog(folder.events).read()


def shown(folder, capsys, *options: str) -> str:
    assert show([str(folder.path), *options]) == 0
    return capsys.readouterr().out


def test_the_table_of_trials_is_sorted_filtered_and_cut(folders, capsys):
    folder = folders["running"]
    rows = json.loads(shown(folder, capsys, "--json"))
    history = past(folder)
    assert len(rows) == len(history.trials)
    values = [row["val_score"] for row in rows if row["val_score"] is not None]
    assert values == sorted(values, reverse=True), "the best first"
    done = json.loads(shown(folder, capsys, "--where", "state=done", "--where", "val_score>0.5", "--json"))
    assert done and {row["state"] for row in done} == {"done"} and all(row["val_score"] > 0.5 for row in done)
    assert len(done) == sum(
        r.state == State.DONE and r.best("val_score")["val_score"] > 0.5 for r in history.trials.values()
    )
    by_rate = json.loads(shown(folder, capsys, "--sort", "BASE_LR", "--reverse", "--top", "3", "--json"))
    assert [row[RATE] for row in by_rate] == sorted(record.params[RATE] for record in history.trials.values())[:3]
    failed = shown(folder, capsys, "--where", "state=failed")
    assert "RuntimeError: nothing learned" in failed and "val_loss" not in failed


def test_tests_of_values_that_cannot_be_are_mistakes(folders, capsys):
    options = ["--where", "state=finished", "--where", "val_score>abc", "--where", "val_score>>3"]
    assert show([str(folders["running"].path), *options]) == 2
    told = capsys.readouterr().err
    assert "allowed states are running, interrupted, waits," in told
    assert "'val_score>abc', but val_score is a number" in told and "'val_score>>3', but val_score is a number" in told
    assert "no trial passes" in shown(folders["running"], capsys, "--where", "val_score>2")


def test_lists_of_the_config_are_lists_in_json(tmp_path, capsys):
    folder = recorded(
        tmp_path / "x", "num_samples: 2, scheduler: none", "MODEL.HEAD.HIDDEN_DIMS: {choice: [[8], [16]]}"
    )
    values = [row["MODEL.HEAD.HIDDEN_DIMS"] for row in json.loads(shown(folder, capsys, "--json"))]
    assert all(isinstance(value, list) for value in values)


def test_the_table_as_csv_has_the_columns_that_are_asked_for(folders, capsys):
    text = shown(folders["running"], capsys, "--columns", "trial,BASE_LR,val_loss", "--where", "trial<3", "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["trial", RATE, "val_loss"] and sorted(row["trial"] for row in rows) == ["0", "1", "2"]


def test_mistakes_of_a_table_are_told_at_once(folders, capsys):
    options = [
        "--where",
        "statte=done",
        "--where",
        "nothing",
        "--sort",
        "xyz",
        "--top",
        "0",
        "--columns",
        "trial,BASE_LRR",
    ]
    assert show([str(folders["running"].path), *options]) == 2
    told = capsys.readouterr().err
    assert "--where: there is no column 'statte'. Did you mean 'state'?" in told
    assert "--where: found 'nothing', allowed is a column, one of" in told
    assert "--sort: there is no column 'xyz'" in told and "--top: found 0" in told
    assert "--columns: there is no column 'BASE_LRR'. Did you mean 'BASE_LR'?" in told


def test_one_trial_in_full(folders, capsys):
    folder = folders["running"]
    history = past(folder)
    best = history.best_sample("val_score")
    run = folder.trial(best.name)
    run.config.parent.mkdir(parents=True, exist_ok=True)
    run.config.write_text("SEED: 1\n")
    run.log.write_text("".join(f"line {number}\n" for number in range(30)))
    page = json.loads(shown(folder, capsys, "--trial", str(best.number), "--json"))
    assert page["curve"] == best.rows and page["epochs"] == len(best.rows)
    assert page["difference"] == {RATE: {"base": 0.001, "trial": best.params[RATE]}}
    assert page["timing"]["seconds"]["training"] == 7.0 * len(best.rows)
    assert page["timing"]["seconds"]["starting"] >= 1.0
    assert page["log_tail"] == [f"line {number}" for number in range(20, 30)]
    text = shown(folder, capsys, "--trial", str(best.number))
    assert (
        f"python -m trainable.train -o {folder.path}-{best.name}" in text
        and "line 29" in text
        and "line 19" not in text
    )
    assert "promoted" in text and "rank 1 of" in text
    assert show([str(folder.path), "--trial", "999"]) == 2
    assert "has no such trial; there are 0 to " in capsys.readouterr().err
    assert show([str(folder.path), "--trial", "1", "--csv"]) == 2


def test_the_machine_is_described_with_its_gpus(monkeypatch):
    answers = ["35, 2048, 81920\n7, 1024, 40960\n"]

    def ask(command, **options):
        assert command[0] == "nvidia-smi"
        return subprocess.CompletedProcess(command, 0, answers[0])

    monkeypatch.setattr("subprocess.run", ask)
    machine = Machine()
    assert "GPU 0: 35 %, 2.0 of 80.0 GiB   GPU 1: 7 %, 1.0 of 40.0 GiB" in machine.describe()
    answers[0] = "[N/A], 2048, 81920\n"
    machine._asked = -100
    assert "GPU" not in machine.describe() and "memory" in machine.describe()
