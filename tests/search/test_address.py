"""What answers at --address, and what people are told when it is no Ray, or wants a token."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from configs.errors import ConfigError
from search.trials.address import check_address
from tests.conftest import ROOT


@pytest.fixture
def web_server() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def message(address: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_address(address)
    return str(caught.value)


def test_a_cluster_that_answers(ray_address):
    check_address(ray_address)


def test_a_cluster_that_wants_another_token(ray_address, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    assert "does not take the token of RAY_AUTH_TOKEN" in message(ray_address)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "the cluster wants a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" in message(ray_address)


def test_what_is_no_ray(web_server, monkeypatch):
    assert "what listens there is no Ray cluster; check the port" in message(web_server)
    assert "no Ray cluster answers: Failed to connect to remote host: Connection refused" in message("127.0.0.1:1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr("search.trials.address.PATIENCE", 0.5)
        assert "has not answered in 0.5 s" in message(f"127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("address", ["head", "http://127.0.0.1:8265", "local", "127.0.0.1:", "a b:1"])
def test_what_is_no_address(address):
    assert "is no address of a Ray cluster; give host:port, ray://host:port or auto" in message(address)


def test_tokens_and_clusters_that_cannot_be_asked(web_server, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a\nb")
    assert "has characters that no token has" in message(web_server)
    monkeypatch.setenv("RAY_USE_TLS", "1")
    check_address(web_server)  # Ray has the certificates, and will tell


def test_it_is_told_before_torch_is_imported(web_server):
    code = (
        "import sys\nfrom search.run import main\n"
        f"status = main(['--space', 'spaces/head.yaml', '--address', {web_server!r}])\n"
        "print(status, 'torch' in sys.modules, 'ray' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "2 False False"
    assert f"error: --address {web_server}: what listens there is no Ray cluster" in done.stderr
