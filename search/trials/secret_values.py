"""Secrets on their way to workers: over a connection of their own, so that they are in no file, log, page or pickle.

Ray keeps what trials are given as pickles, shows a runtime environment in its dashboard, and its daemons pass their
environment on. So each worker asks the driver, and proves that it was given the key of this search.
"""

import hmac
import json
import os
import secrets
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from configs.defaults import KEYS

_CHALLENGE, _PROOF = 32, 32  # bytes
PATIENCE = 10.0  # seconds
POLL = 0.1  # seconds after which the server notices that it is to end


@dataclass(frozen=True)
class SecretSource:
    """Where a worker asks for the secrets.

    Attributes:
        host: of the driver.
        port: on which it answers.
        key: of this search.
    """

    host: str
    port: int
    key: bytes


@contextmanager
def served(values: Mapping[str, str], host: str) -> Iterator[SecretSource | None]:
    """Answers workers as long as the `with` block runs; None where there is nothing to tell them.

    Args:
        values: of the secrets, by the names of their environment variables.
        host: the address of this machine on which workers reach it.
    """
    if not values:
        yield None
        return
    key, content = secrets.token_bytes(32), json.dumps(dict(values)).encode()

    class Answer(socketserver.BaseRequestHandler):
        timeout = PATIENCE

        def handle(self) -> None:
            self.request.settimeout(PATIENCE)
            challenge = secrets.token_bytes(_CHALLENGE)
            self.request.sendall(challenge)
            if hmac.compare_digest(_read(self.request, _PROOF), hmac.digest(key, challenge, "sha256")):
                self.request.sendall(content)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Says nothing of others who knock at the port."""

    with Server((host, 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=[POLL], name="secrets", daemon=True)
        thread.start()
        try:
            yield SecretSource(host, server.server_address[1], key)
        finally:
            server.shutdown()


def take(source: SecretSource | None) -> None:
    """Puts the secrets into the environment of this process.

    Raises:
        OSError: the driver does not answer.
    """
    if source is None:
        return
    with socket.create_connection((source.host, source.port), timeout=PATIENCE) as connection:
        connection.sendall(hmac.digest(source.key, _read(connection, _CHALLENGE), "sha256"))
        content = b"".join(iter(lambda: connection.recv(4096), b""))
    if not content:
        raise ConnectionError("the driver of this search does not tell this worker its secrets")
    os.environ.update(json.loads(content))


@contextmanager
def hidden() -> Iterator[None]:
    """Processes that start meanwhile have no secrets in their environment, as Ray's daemons."""
    names = [name for name, key in KEYS.items() if key.is_secret]
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data
