"""The command of `search: notify`."""

import json
from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.analysis import FoundSearch
from search.plan import make_plan
from search.record.event_log import EventLog
from search.record.events import FAILED_ALIKE
from search.record.history import History
from search.record.recorder import Recorder
from search.resuming import begun_plan
from search.space.options import Notify
from search.space.space_file import read_space
from search.views.notify import Notifier
from tests.parts.recorded import recorded, rising
from tests.search.test_views import failing

KEEP = "cat >> told; echo >> told"  # what the command was given, one line a run


def replayed(folder, notify: Notify, capsys) -> tuple[list[dict], str]:
    """Replays a search with a notifier, and returns what the command was given and what people were told."""
    history = History()
    observer = Notifier(notify, FoundSearch(begun_plan(folder), history, folder))
    recorder = Recorder(EventLog("events.jsonl"), history, lambda event: False, [observer])
    for event in EventLog(folder.events).read():
        recorder.record(event)
        if observer._running:
            observer._running.join()
    told = Path("told").read_text().splitlines() if Path("told").exists() else []
    return [json.loads(line) for line in told], capsys.readouterr().err


def test_the_command_is_told_of_a_value_that_is_beaten_once_and_of_the_end(tmp_path, capsys):
    folder = recorded(tmp_path / "x", "num_samples: 12, scheduler: none")
    beaten, end = replayed(folder, Notify(KEEP, beats=0.5), capsys)[0]
    assert beaten["what"] == "value beaten" and beaten["search"] == "x" and beaten["folder"] == str(folder.path)
    assert beaten["event"]["kind"] == "trial_reported" and beaten["event"]["data"]["metrics"]["val_score"] > 0.5
    assert beaten["text"].startswith(f"trial {beaten['event']['trial']} has reached val_score 0.")
    assert end["what"] == "end" and end["event"]["kind"] == "search_ended" and "finished: 13 done" in end["text"]


def test_the_base_config_does_not_beat_the_value(tmp_path, capsys):
    def only_the_base_learns(trial, epoch):
        return rising(trial, epoch) if trial.is_reference else 0.01

    folder = recorded(tmp_path / "x", "num_samples: 3, scheduler: none", curve=only_the_base_learns)
    assert [told["what"] for told in replayed(folder, Notify(KEEP, beats=0.5), capsys)[0]] == ["end"]


def test_failing_alike_is_told_as_such(tmp_path, capsys):
    folder = recorded(tmp_path / "x", "num_samples: 12, scheduler: none", curve=failing)
    (told,), _ = replayed(folder, Notify(KEEP), capsys)
    assert told["what"] == "failing alike" and FAILED_ALIKE in told["event"]["data"]["reason"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo no route >&2; exit 3", "ended with status 3: no route"),
        ("exit 1", "ended with status 1: it said nothing"),
        ("sleep 60 & sleep 60", "has not ended within 0.2 s"),
    ],
)
def test_a_command_that_fails_is_told_once_and_the_search_goes_on(command, why, tmp_path, capsys):
    folder = recorded(tmp_path / "x", "num_samples: 4, scheduler: none")
    _, told = replayed(folder, Notify(f"echo {{}} >> told; {command}", beats=0.1, timeout=0.2), capsys)
    assert told.count("notify: ") == 1 and f"{why}; it is not run again" in told
    assert len(Path("told").read_text().splitlines()) == 1, "it is not run again"
    assert len(EventLog("events.jsonl").read()) == len(EventLog(folder.events).read())


def test_a_space_file_says_it_and_keeps_it(tmp_path):
    path, space = tmp_path / "s.yaml", "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 1]}}\n"
    for written, read in {
        "mail me": Notify("mail me"),
        "{command: mail, beats: 0.9, timeout: 1m}": Notify("mail", 0.9, 60.0),
    }.items():
        path.write_text(f"search: {{notify: {written}}}\n{space}")
        plan = make_plan(read_space(path))
        assert plan.options.notify == read
        path.write_text(
            f"search: {json.dumps(plan.options.to_yaml())}\nspace: {{MODEL.HEAD.DROPOUT: {{uniform: [0, 1]}}}}\n"
        )
        assert make_plan(read_space(path)).options.notify == read


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[mail]", "notify: found ['mail'], allowed is a command, or {command: text, beats: number, timeout: time}"),
        ("{beats: 1}", "notify: command: found None, allowed is a command for the shell"),
        ("{command: mail, beats: high}", "notify: beats: found 'high', allowed is a number"),
        ("{command: mail, timeout: -1}", "notify: timeout: found -1, allowed is a time above 0"),
    ],
)
def test_mistakes(written, told, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(f"search: {{notify: {written}}}\nspace: {{MODEL.HEAD.DROPOUT: {{uniform: [0, 1]}}}}\n")
    with pytest.raises(ConfigError) as error:
        make_plan(read_space(path))
    assert told in str(error.value)
