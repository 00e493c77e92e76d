"""What other processes ask of a search: who may, and that looking changes nothing."""

import os
from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.requests import Requests, StopRequest
from search.stop import main as stop
from tests.parts.recorded import recorded
from trainable.run_folder import LOCK, RunFolder

NOBODY = 65534


def test_what_was_asked_is_taken_once():
    requests = Requests(Path())
    assert requests.take() == []
    sent = [requests.send(StopRequest()), requests.send(StopRequest(trial=7))]
    assert all(path.exists() for path in sent)
    assert requests.take() == [StopRequest(), StopRequest(trial=7)]
    assert requests.take() == [] and not any(path.exists() for path in sent)


def test_what_was_asked_of_a_search_before_is_forgotten():
    requests = Requests(Path())
    requests.send(StopRequest())
    requests.clear()
    assert requests.take() == [] and not Path("requests").exists()
    requests.clear()


def test_files_that_are_no_requests_are_none():
    requests = Requests(Path())
    requests.send(StopRequest())
    for name in ("stop-trial-x", "stop-trial-", "stopped", "other"):
        (Path("requests") / name).touch()
    assert requests.take() == [StopRequest()]


def test_only_the_owner_of_a_search_can_ask(monkeypatch):
    requests = Requests(Path())
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: NOBODY)
        with pytest.raises(ConfigError, match="is another user's search; only its owner can stop it"):
            requests.send(StopRequest())
    assert requests.take() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_asks_is_not_done():
    requests = Requests(Path())
    os.chown(requests.send(StopRequest()), NOBODY, -1)
    assert requests.take() == []


def test_looking_whether_a_folder_is_locked_changes_nothing_there(tmp_path):
    folder = RunFolder(tmp_path / "x")
    assert not folder.is_locked() and not folder.path.exists()
    with folder.locked():
        held = (folder.path / LOCK).read_text()
        assert folder.is_locked()
        assert (folder.path / LOCK).read_text() == held
    assert not folder.is_locked()


def test_what_cannot_be_stopped_is_said(tmp_path, capsys):
    folder = recorded(tmp_path / "done", "num_samples: 3, scheduler: none")
    assert stop([str(folder.path)]) == 2
    assert "no search runs in this folder; there is nothing to stop" in capsys.readouterr().err
    with RunFolder(folder.path).locked():
        assert stop([str(folder.path), "--trial", "99"]) == 2
        assert "--trial: found 99, but" in capsys.readouterr().err
        assert stop([str(folder.path), "--trial", "1"]) == 2
        assert "trial 1 of" in (told := capsys.readouterr().err) and "has ended already (done)" in told
    assert stop([str(tmp_path)]) == 2
    assert "no search was started in this folder" in capsys.readouterr().err
