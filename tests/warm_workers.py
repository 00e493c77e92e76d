"""Worker processes for the Ray that the tests share, forked from one that has imported torch already.

A worker of a search imports torch, timm and more, which takes ten times as long as the few tiny trials of a test. Ray
starts its workers by a script that may be another (`setup_worker_path`). This file is both that script, which hands
its command line to a server, and the server, which forks itself into the worker. Everything else is Ray's own.
"""

import argparse
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_VARIABLE = "WARM_WORKERS_SOCKET"  # tells Ray's script where the server is
READY = "ready\n"
LARGEST_REQUEST = 2**20


@contextmanager
def warm_workers(folder: Path) -> Iterator[str]:
    """Starts the server and yields the path that Ray takes as `setup_worker_path`.

    Args:
        folder: for the socket; it exists.
    """
    os.environ[SOCKET_VARIABLE] = str(folder / "warm_workers")
    # It ends when its standard input does, however this process ends.
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            assert server.stdout.readline() == READY
            yield __file__
        finally:
            del os.environ[SOCKET_VARIABLE]
            server.stdin.close()


def serve(address: str) -> None:
    """Forks a worker for each request, until standard input ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    # All that a trial and Ray import but Ray itself, which reads the variables that are for one worker when it is
    # imported.
    for module in ("trainable.fit", "pandas", "pyarrow.dataset", "requests", "fsspec", "jsonschema", "rich.progress"):
        importlib.import_module(module)
    assert "ray" not in sys.modules
    gc.freeze()  # what is there now is never collected: a worker need not look through it, nor copy it by that
    print(end=READY, flush=True)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        request, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 2)
        if os.fork() == 0:
            listener.close()
            become_worker(json.loads(request), descriptors)
        connection.close()  # the worker has it, until it ends
        for descriptor in descriptors:
            os.close(descriptor)


def become_worker(request: dict, descriptors: list[int]) -> None:
    """Runs Ray's worker in this process, as if Ray had started it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for standard, descriptor in zip((1, 2), descriptors, strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = request["command"]
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.stdout.flush()
    os._exit(0)


def ask(command: list[str]) -> None:
    """Asks the server for a worker, and waits until that has ended.

    Args:
        command: the path of Ray's worker and its arguments.
    """
    request = {"command": command, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SOCKET_VARIABLE])
        socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
        connection.recv(1)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve(os.environ[SOCKET_VARIABLE])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--language")  # for Ray's own script, as is the next
        parser.add_argument("--serialized-runtime-env-context")
        ask(parser.parse_known_args()[1])
