"""The script for a machine with a GPU, on CPUs with a logical GPU of Ray's and tiny sizes."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import on_gpu
from tests.conftest import ROOT, in_make_chaos


@in_make_chaos
def test_all_of_it_runs_on_cpus_too(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "benchmarks" / "on_gpu.py"), "--out", str(out), "--tiny", "--only"]
    done = subprocess.run([*command, "waiting", "packing"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + (out / "packing.log").read_text()
    found, packing, waiting = (
        json.loads((out / f"{name}.json").read_text()) for name in ("found", "packing", "waiting")
    )
    assert found["cores"] >= 1 and found["versions"]["ray"]
    assert packing["outcome"] == waiting["outcome"] == "done"
    (search,) = packing["figures"]["searches"]
    assert search["together"] == 2 and search["epochs"] > 0 and search["trials_per_hour"] > 0
    assert search["share_of_bare"] == pytest.approx(
        search["images_per_second"] / packing["figures"]["bare_images_per_second"], abs=0.001
    )
    shares = waiting["figures"]["shares_of_training"]
    assert shares["host_waits_for_data"] + shares["host_in_steps"] == pytest.approx(1, abs=0.1), (
        "the host waits for data or is in a step"
    )
    assert not (out / "tests.json").exists()


def script(code: str) -> on_gpu.Step:
    return on_gpu.Step(20, lambda out, is_tiny: [sys.executable, "-c", code, str(out)], on_gpu.read_figures)


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str, **steps: on_gpu.Step) -> tuple[int, dict]:
    monkeypatch.setattr(on_gpu, "STEPS", steps)
    monkeypatch.setattr(sys, "argv", ["on_gpu.py", "--out", str(tmp_path / "out"), *options])
    status = on_gpu.main()
    return status, {name: json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in steps}


WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('{\"x\": 1}')"
HANG = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1] + ".pid", "w").write(str(child.pid))
time.sleep(600)
"""


def test_a_step_that_fails_or_hangs_does_not_end_the_others(tmp_path, monkeypatch):
    limited = on_gpu.Step(2, script(HANG).command, on_gpu.read_figures)
    status, left = run(
        tmp_path,
        monkeypatch,
        bad=script(f"{WRITE}; sys.exit(3)"),
        hanging=limited,
        good=script(f"{WRITE}; print('said')"),
    )
    assert status == 1
    assert left["bad"]["outcome"] == "failed with 3" and left["bad"]["figures"] == {"x": 1}, "what it had is kept"
    assert left["hanging"]["outcome"] == "out of time" and "figures" not in left["hanging"]
    assert left["good"]["outcome"] == "done" and (tmp_path / "out" / "good.log").read_text() == "said\n"
    child = Path("/proc", (tmp_path / "out" / "hanging.json.pid").read_text())
    for _ in range(50):
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a process in a session of its own is left")


def test_what_there_is_no_time_for_is_said(tmp_path, monkeypatch):
    status, left = run(tmp_path, monkeypatch, "--limit", "0", late=script(WRITE))
    assert status == 0 and left["late"]["outcome"] == "skipped: 0 s are over"


DAEMON = """#!/bin/sh
if [ "$1" = -d ]; then echo "started in $CUDA_MPS_PIPE_DIRECTORY" >> "$CALLS"; else cat >> "$CALLS"; fi
"""


def test_mps_runs_with_a_daemon_of_its_own_which_ends_with_the_step(tmp_path, monkeypatch):
    usual = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(tmp_path, monkeypatch, mps=script(WRITE))[1]["mps"]["outcome"].startswith(
        "skipped: there is no nvidia-cuda"
    )
    tool = tmp_path / "bin" / on_gpu.MPS
    tool.parent.mkdir()
    tool.write_text(DAEMON)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{usual}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    code = "import os, json, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w')); sys.exit(1)"
    left = run(tmp_path, monkeypatch, mps=script(code))[1]["mps"]
    pipe = Path(left["figures"]["CUDA_MPS_PIPE_DIRECTORY"])
    assert (tmp_path / "calls").read_text() == f"started in {pipe}\nquit\n", "also after a step that failed"
    assert not pipe.parent.exists()
    with on_gpu.mps_daemon() as where:
        assert all(stat.S_IMODE(Path(path).stat().st_mode) == 0o700 for path in where.values())
