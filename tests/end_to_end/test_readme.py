"""The commands of README, run as they stand there, from a folder that holds only what they name."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pandas as pd
import pytest

from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.history import History
from search.record.outcomes import State
from tests.conftest import ROOT, TINY, TINY_PAIRS, without_times
from trainable.run_folder import RunFolder
from trainable.train import main as train

# So that the suite stays quick, what a command trains is cut down: it gets these words more.
SHORTER = {
    "python -m search.run --space spaces/head.yaml": "--num-samples 5 MODEL.SOLVER.TOTAL_EPOCHS 4",
    "python -m trainable.train -o experiments/digits --cfg configs/experiments/digits.yaml": (
        "MODEL.SOLVER.TOTAL_EPOCHS 1"
    ),
    "python -m data.make_synthetic --out data/raw/synthetic --images 4000": "--images 400 --test-images 4",
    "python -m data.make_synthetic --out data/raw/held_out --images 1000 --seed 1": "--images 400 --test-images 4",
    "python -m trainable.train -o experiments/graphemes --cfg configs/experiments/bengali_synthetic.yaml": (
        "MODEL.SOLVER.TOTAL_EPOCHS 1 MODEL.BACKBONE.NAME test_resnet TENSORBOARD false"
    ),
}


def readme_commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def makefile_recipe(target: str) -> str:
    recipe = re.search(rf"^{target}:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert recipe
    return recipe.group(1)


def test_make_targets_run_the_documented_commands():
    commands = readme_commands()
    assert {"make search", "make test", "make lint"} <= set(commands)
    assert makefile_recipe("search") == "$(RUN) -m search.run --space spaces/head.yaml"
    assert makefile_recipe("test") == "$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder"
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def ask(url: str, token: str | None) -> int:
    request = urllib.request.Request(
        f"{url}/api/version", headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def environment() -> dict[str, str]:
    """A user's environment: no Ray of ours, no token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    return {**kept, "RAY_ADDRESS": "127.0.0.1:1"}  # of another cluster, long gone


def run_search(words: list[str], environment: dict[str, str]) -> None:
    """Runs a search in a process of its own, and asks its dashboard without and with the token that it prints."""
    asked, printed = False, ""
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout
        for line in process.stdout:
            printed += line
            dashboard = re.search(r"Ray dashboard: (http://\S+)  \(paste this token there once: (\w+)\)", line)
            if dashboard:
                assert ask(dashboard[1], None) == 401
                assert ask(dashboard[1], dashboard[2]) == 200
                asked = True
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert asked, printed


def test_the_commands_of_readme(tmp_path, environment):
    shutil.copytree(ROOT / "spaces", tmp_path / "spaces")
    shutil.copytree(ROOT / "configs" / "experiments", tmp_path / "configs" / "experiments")
    search = makefile_recipe("search").replace("$(RUN)", "python")
    commands = [search if command == "make search" else command for command in readme_commands()]
    commands = [command for command in commands if command.startswith("python ")]
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(f"{command} {SHORTER.get(command, '')}")[1:]
        if command == search:
            run_search(words, environment)
        else:  # in this process, which has torch imported already
            assert importlib.import_module(words[1]).main(words[2:]) == 0, command

    assert len(pd.read_csv("submission.csv")) == 12
    assert pd.read_csv("experiments/graphemes-test/metrics.csv")["images"][0] == 400
    folder = SearchFolder(tmp_path / "experiments" / "head")
    table = pd.read_csv(folder.results_csv)
    assert len(table) == 5 + 1 and set(table["state"]) == {"done", "waits"}
    assert (table["state"] == "waits").sum() >= 3
    history = History(EventLog(folder.events).read())
    assert len(history.in_state(State.DONE, State.WAITING)) == 6
    best = history.best_trial("val_score")
    again = RunFolder(tmp_path / "experiments" / "head-best").read_metrics()
    assert best and without_times(again[: len(best.rows)]) == without_times(best.rows)


def test_the_head_of_readme_trains(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "my_parts.py").write_text(code)
    pairs = [*TINY_PAIRS[2:], "USER_MODULES", f"[{TINY}, my_parts.py]", "MODEL.HEAD.NAME", "my_head"]
    assert train(["-o", "mine", *pairs]) == 0
