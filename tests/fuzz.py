"""Fuzzing: spaces, experiments, .env files, tables, events and checkpoints with mistakes, given to the commands.

python -m tests.fuzz [--cases 3000] [--seed 0] [--kind events]      (make fuzz)

A command may refuse what it is given, in words and with status 2, or do its work. It must not end with a traceback,
take for ever, or print without bound. Case number N of a seed is always the same: --first N --cases 1 runs it alone.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml

from configs.errors import ConfigError
from data import make_dataset
from search import run as search
from tests.conftest import write_pictures, write_tiny
from trainable import predict, train
from trainable.checkpoint import FORMAT, load_checkpoint, save_checkpoint

LIMIT = 4.0  # seconds, after which a command gets Ctrl-C, since a legal config may take long
PATIENCE = 30.0  # seconds, after which it has not heeded that
MOST_OUTPUT = 300_000  # characters: a hundred problems of 2,000, and some
MEMORY = 16 << 30  # bytes of addresses: a legal config may ask for more
STATUSES = (0, 2, 3, 130)

SPACE = """
base: base.yaml
search: {metric: val_score, num_samples: 4, sampler: {tpe: {n_startup_trials: 2}}, scheduler: {asha: {grace_period: 1}},
  start: [defaults], confirm: {top: 1, seeds: 2}, stop: {patience: 3}, resources: {cpu: 1}}
space:
  MODEL.HEAD: {NAME: {choice: [simple_head_module, simple_head_kaiming]}, DROPOUT: {uniform: [0.0, 0.6]}}
  MODEL.SOLVER.OPTIMIZER: {NAME: {choice: [sgd, adamw]}, BASE_LR: {loguniform: [1e-4, 1e-1]}}
  DATASET.BATCH_SIZE: {qrandint: [16, 64, 16]}
  DATASET.AUGMENTATION.CUTOUT_PROB: {derive: "MODEL.HEAD.DROPOUT / 2"}
  MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [16]], when: {MODEL.HEAD.NAME: simple_head_module}}
constraints: ["DATASET.BATCH_SIZE < 60 or MODEL.HEAD.DROPOUT < 0.5"]
"""
# Of which the events below leave nothing to run: results, sampler and summary are made without Ray.
FINISHED_SPACE = """
base: base.yaml
search: {metric: val_score, num_samples: 2, scheduler: none}
space:
  MODEL.HEAD: {NAME: {choice: [simple_head_module, simple_head_kaiming]}, DROPOUT: {uniform: [0.0, 0.6]}}
"""
ENV = "SEED=3\nDATASET.BATCH_SIZE=32\nMODEL__HEAD__DROPOUT=0.1\nexport GCP_KEY='a b'\n# remark\nOTHER=${SEED}\n"

# What people and programs write where something else was meant.
NASTY: list[Any] = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2**31,
        2**63,
        -(2**70),
        10**400,
        0.0,
        -0.5,
        1e-320,
        1e308,
        float("nan"),
        float("inf"),
    ),
    *(
        "",
        " ",
        "x",
        "0",
        "1e400",
        "null",
        "nan",
        "yes",
        "\0",
        "a\nb",
        "../../..",
        "/",
        "/dev/null",
        "~",
        "None",
        "{",
        "é" * 50,
    ),
    *("[1, 2]", "(1,)", "{uniform: [0, 1]}", "defaults", "auto", "base.yaml", "__class__", "{0}", "%s", "x" * 5000),
    *(
        [],
        [0],
        [[]],
        [None],
        ["x", 1],
        {},
        {"x": 1},
        {"uniform": [1, 0]},
        {"choice": []},
        {"NAME": "x"},
        {"": ""},
        {None: 1},
    ),
    *(
        {"loguniform": [0, 1]},
        {"choice": [1, "a", None, [1]]},
        {"derive": "1/0"},
        {"uniform": [0, 1e400]},
        {"randint": [0, 2**80]},
    ),
]


def changed_tree(tree: Any, rng: np.random.Generator) -> Any:
    """Returns a tree of mappings and lists in which a node is another, is gone, or is there twice."""
    tree = json.loads(json.dumps(tree))
    for _ in range(int(rng.integers(1, 4))):
        holder, key = _place(tree, rng)
        if holder is None:
            return NASTY[rng.integers(len(NASTY))]
        choice = rng.integers(6)
        if choice == 0:
            del holder[key]
        elif choice == 1 and isinstance(holder, dict):
            holder[f"{key}{rng.choice(['', '.', '.X', 'x', '__'])}"] = holder.pop(key)
        elif choice == 2:
            other, place = _place(tree, rng)
            if other is not None:
                holder[key] = json.loads(json.dumps(other[place], default=str))
        else:
            holder[key] = NASTY[rng.integers(len(NASTY))]
        tree = json.loads(json.dumps(tree, default=str)) if _is_plain(tree) else tree
    return tree


def _is_plain(tree: Any) -> bool:
    try:
        json.dumps(tree)
    except (TypeError, ValueError):
        return False
    return True


def _place(tree: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Returns a mapping or list inside a tree, and a key or position in it."""
    places = list(_places(tree))
    return places[rng.integers(len(places))] if places else (None, None)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def changed_text(text: str, rng: np.random.Generator) -> bytes:
    """Returns a text with bytes or lines that are others, gone, or there twice."""
    data = bytearray(text.encode())
    for _ in range(int(rng.integers(1, 5))):
        start = int(rng.integers(0, len(data) + 1))
        end = min(len(data), start + int(rng.integers(0, 12)))
        junk = [
            bytes(rng.integers(0, 256, 4, dtype=np.uint8)),
            b"\n",
            b"  ",
            b":",
            b"- ",
            b"&a ",
            b"*a",
            b"!!python/x ",
            b"\t",
            b"'",
        ]
        what = rng.integers(4)
        if what == 0:
            del data[start:end]
        elif what == 1:
            data[start:start] = junk[rng.integers(len(junk))]
        elif what == 2:
            data[start:end] = str(NASTY[rng.integers(len(NASTY))]).encode()
        else:
            data[start:start] = data[start:end] * int(rng.integers(1, 50))
    return bytes(data)


def changed_yaml(text: str, rng: np.random.Generator) -> bytes:
    """Returns a YAML with mistakes of spelling, or of meaning."""
    if rng.random() < 0.4:
        return changed_text(text, rng)
    return yaml.safe_dump(changed_tree(yaml.safe_load(text), rng), allow_unicode=True).encode(errors="replace")


@dataclass
class Ground:
    """What is not fuzzed: a base, pictures, a finished search and its checkpoints, made once.

    Attributes:
        folder: in which each case works on a copy.
        space: text of a space file.
        base: text of an experiment.
    """

    folder: Path
    space: str
    base: str


def prepared(folder: Path) -> Ground:
    """Trains once, so that there are a checkpoint and events."""
    folder.mkdir(exist_ok=True)
    tiny = {"DATASET.VALIDATION_FRACTION": "0.95", "MODEL.SOLVER.TOTAL_EPOCHS": "1", "NUM_THREADS": "1"}
    write_tiny(folder / "base.yaml", tiny)
    write_pictures(folder / "pictures", ["a", "b"], 4)
    rows = [f"{name}/{number}.png,{name},{number % 3}" for name in "ab" for number in range(4)]
    (folder / "table.csv").write_text("\n".join(["file,kind,count", *rows, ""]))
    with contextlib.chdir(folder), _quiet():
        assert train.main(["-o", "run", "--cfg", "base.yaml"]) == 0
        assert search.main(["--space", _written("space.yaml", SPACE), "--dry-run"]) == 0
    return Ground(folder, SPACE, (folder / "base.yaml").read_text())


def _written(name: str, content: str | bytes) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


Command = Callable[[], int]


def space_case(ground: Ground, rng: np.random.Generator) -> Command:
    """A space file, whose parts are built."""
    path = _written("space.yaml", changed_yaml(ground.space, rng))
    return lambda: search.main(["--space", path, "--dry-run"])


def experiment_case(ground: Ground, rng: np.random.Generator) -> Command:
    """An experiment, or KEY VALUE pairs, trained."""
    path = _written("base.yaml", changed_yaml(ground.base, rng))
    pairs = []
    if rng.random() < 0.3:
        keys = [line.split(":")[0] for line in ground.base.splitlines()]
        pairs = [str(rng.choice([*keys, "MODEL", "X", "SEED"])), str(NASTY[rng.integers(len(NASTY))])]
    return lambda: train.main(["-o", "out", "--cfg", path, *pairs])


def env_case(ground: Ground, rng: np.random.Generator) -> Command:
    """A .env file."""
    _written(".env", changed_text(ENV, rng))
    return lambda: search.main(["--space", "space.yaml", "--dry-run"])


def table_case(ground: Ground, rng: np.random.Generator) -> Command:
    """A table of images, prepared or predicted."""
    path = _written("table.csv", changed_text(Path("table.csv").read_text(), rng))
    if rng.random() < 0.3:
        pairs = ["--data", path, "-o", "out.csv", "--skip-unreadable", "DATASET.TABLE.PATHS_OUTSIDE", "true"]
        return lambda: predict.main([*pairs, "--allow-code", "--checkpoint", "run/best.pt"])
    given = {"NAME": "image_table", "TABLE.PATH": path, "TABLE.IMAGE_COLUMN": "file", "RESIZE_SHAPE": "[8, 8]"}
    given |= {"TABLE.LABEL_COLUMNS": "[kind, count]", "PATH_DATA_RAW": "pictures", "ON_UNREADABLE": "skip"}
    return lambda: make_dataset.main([text for key, value in given.items() for text in (f"DATASET.{key}", value)])


def events_case(ground: Ground, rng: np.random.Generator) -> Command:
    """The events of a search that is resumed, as far as it goes without Ray."""
    lines = _events()
    for _ in range(int(rng.integers(1, 4))):
        position = int(rng.integers(len(lines)))
        what = rng.integers(5)
        if what == 0:
            lines.pop(position)
        elif what == 1:
            lines.insert(position, lines[rng.integers(len(lines))])
        elif what == 2:
            lines[position] = changed_text(lines[position], rng).decode(errors="replace")
        else:
            lines[position] = json.dumps(changed_tree(json.loads(lines[position]), rng), default=str)
        if not lines or not all(_is_json(line) for line in lines):
            break
    folder = Path("found")
    _written("found/events.jsonl", "\n".join([*lines, ""]))
    shutil.copy("base.yaml", folder / "base.yaml")
    _written("found/space.yaml", ground.space if rng.random() < 0.5 else FINISHED_SPACE)
    for name in ("0000_aaaaaa", "0001_bbbbbb", "0002_cccccc"):
        shutil.copytree("run", folder / "trials" / name)
    return lambda: search.main(["--resume", "-o", "found"])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _events() -> list[str]:
    """The events of a search of three trials, one of which failed and one is the base."""
    metrics = {"epoch": 1, "lr": 0.1, "train_loss": 1.0, "train_acc": 0.5, "train_score": 0.5, "val_loss": 1.0}
    metrics |= {"val_acc": 0.5, "val_score": 0.5, "seconds": 0.1, "params": 10, "macs": 10, "images_per_second": 9.0}
    params = {"MODEL.HEAD.DROPOUT": 0.1, "MODEL.HEAD.NAME": "simple_head_module"}
    start = {"params": params, "settings": {"MODEL.HEAD.DROPOUT": 0.1}, "donor": None, "confirms": None, "notes": {}}
    events: list[dict[str, Any]] = [
        {"kind": "search_started", "trial": None, "data": {"version": 2, "data_digest": None}}
    ]
    for number, end in enumerate(("trial_done", "trial_failed", "trial_stopped")):
        id_ = "abc"[number] * 6
        data = {**start, "id": id_, "is_reference": number == 2}
        events += [
            {"kind": "trial_started", "trial": number, "data": data},
            {"kind": "trial_reported", "trial": number, "data": {"metrics": metrics, "pid": 1}},
            {"kind": end, "trial": number, "data": {"reason": "x", "is_tried_again": False, "unread": []}},
        ]
    events.append({"kind": "search_ended", "trial": None, "data": {"reason": "finished", "is_exhausted": True}})
    return [json.dumps({**event, "time": 1e9 + place}) for place, event in enumerate(events)]


def checkpoint_case(ground: Ground, rng: np.random.Generator) -> Command:
    """A checkpoint, damaged or made up, to predict with, to go on from, or to start from."""
    path = Path("run/best.pt")
    if rng.random() < 0.3:
        data = bytearray(path.read_bytes())
        for _ in range(int(rng.integers(1, 20))):
            data[rng.integers(len(data))] = int(rng.integers(256))
        path.write_bytes(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.3 else data)
    else:
        state = {"format": FORMAT, **load_checkpoint(path)}
        holder, key = _place(state, rng)
        values = [
            *NASTY,
            bytearray(5),
            torch.zeros(0),
            torch.zeros(3, 3),
            torch.tensor(float("nan")),
            {"a": torch.zeros(1)},
        ]
        holder[key] = values[rng.integers(len(values))]
        if key == "config" or rng.random() < 0.3:
            state["config"] = changed_yaml(ground.base, rng).decode(errors="replace")
        with contextlib.suppress(Exception):  # what cannot be written is no case
            save_checkpoint(path, {name: value for name, value in state.items() if name != "format"})
    shutil.copy(path, "run/latest.pt")
    commands = [
        lambda: predict.main(["--allow-code", "--data", "pictures", "-o", "out.csv", "--checkpoint", str(path)]),
        lambda: train.main(["--resume", "-o", "run"]),
        lambda: train.main(["-o", "out", "--cfg", "base.yaml", "MODEL.WARM_START_PATH", str(path)]),
    ]
    return commands[rng.integers(len(commands))]


KINDS = {
    "space": space_case,
    "experiment": experiment_case,
    "env": env_case,
    "table": table_case,
    "events": events_case,
    "checkpoint": checkpoint_case,
}


class HangsError(BaseException):
    """A command has not heeded Ctrl-C."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Ctrl-C after a while, and an end when that does not help."""
    started = time.monotonic()

    def on_alarm(number: int, frame: Any) -> None:
        if time.monotonic() - started > PATIENCE:
            raise HangsError
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield printed


def problem_of(command: Command) -> str:
    """Runs a command and returns how it broke its promises; empty if it kept them."""
    with _quiet() as printed, mock.patch("search.session.ray_cluster", side_effect=ConfigError("Ray is not fuzzed")):
        try:
            with _limited():
                status = command()
        except SystemExit as error:  # of argparse
            status = error.code if isinstance(error.code, int) else 1
        except KeyboardInterrupt:  # before or after the command's own care
            status = 130
        except BaseException:
            return traceback.format_exc()
    text = printed.getvalue()
    if status not in STATUSES:
        return f"status {status}:\n{text[-2000:]}"
    if "Traceback (most recent call last)" in text:
        return text[-3000:]
    return f"{len(text):,} characters: {text[:500]}" if len(text) > MOST_OUTPUT else ""


def run_cases(
    ground: Ground, seed: int, numbers: range, kinds: list[str], on_case: Callable[[str, int, str], None]
) -> None:
    """Runs cases, each in a folder of its own, and passes on kind, number and problem of each."""
    environment = dict(os.environ)
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)]
        with tempfile.TemporaryDirectory(dir=ground.folder.parent, ignore_cleanup_errors=True) as work:
            case = Path(work) / "case"
            shutil.copytree(ground.folder, case)
            with contextlib.chdir(case):
                on_case(kind, number, problem_of(KINDS[kind](ground, rng)))
        os.environ.clear()
        os.environ.update(environment)


def main() -> int:
    """Runs the cases and returns the exit status: 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts: Counter[str] = Counter()
    started = time.monotonic()

    def tell(kind: str, number: int, problem: str) -> None:
        counts[kind] += 1
        if problem:
            counts["broken"] += 1
            print(f"--- case {number} of seed {args.seed}, {kind} ---\n{problem}", flush=True)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        ground = prepared(Path(work) / "ground")
        numbers = range(args.first, args.first + args.cases)
        run_cases(ground, args.seed, numbers, args.kind or list(KINDS), tell)
    print(f"{dict(counts)} in {time.monotonic() - started:.0f} s")
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
