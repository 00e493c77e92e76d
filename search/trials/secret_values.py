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
from search.trials.faults import NodeError

SIZE = 32  # bytes of a challenge, and of its proof
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
        def handle(self) -> None:
            """Each side proves to the other that it has the key, before a secret is told or taken."""
            self.request.settimeout(PATIENCE)
            challenge = secrets.token_bytes(SIZE)
            self.request.sendall(challenge)
            proof, others = _read(self.request, SIZE), _read(self.request, SIZE)
            if hmac.compare_digest(proof, _proof(key, challenge)):
                self.request.sendall(_proof(key, others + content) + content)

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


def take_secrets(source: SecretSource | None) -> None:
    """Puts the secrets into the environment of this process.

    Raises:
        NodeError: the driver does not answer.
    """
    if source is None:
        return
    challenge = secrets.token_bytes(SIZE)
    try:
        with socket.create_connection((source.host, source.port), timeout=PATIENCE) as connection:
            proof = _proof(source.key, _read(connection, SIZE))
            connection.sendall(proof + challenge)
            others = _read(connection, SIZE)
            content = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError as error:
        raise NodeError(f"this worker cannot ask the driver of the search for secrets: {error}") from None
    if not hmac.compare_digest(others, _proof(source.key, challenge + content)):
        raise NodeError("this worker cannot ask the driver of the search for secrets: something else answers")
    os.environ.update(json.loads(content))


def _proof(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


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
