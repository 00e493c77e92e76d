"""What answers at --address: asked in a second, before torch and Ray take theirs.

Ray itself would try for minutes, and say in its own log alone that it lacks a token.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ConfigError

if TYPE_CHECKING:
    import grpc

PATIENCE = 5.0  # seconds
AUTO, CLIENT = "auto", "ray://"

# The question whether a node is alive is the smallest that a head of Ray answers; an empty message is a valid one.
_QUESTION = "/ray.rpc.NodeInfoGcsService/CheckAlive"


def check_address(address: str) -> None:
    """Looks for a cluster at the address.

    Args:
        address: host:port, ray://host:port, or auto.

    Raises:
        ConfigError: nothing answers there, what answers is no Ray, or it wants another token.
    """
    problem = _problem(_resolved(address) if address == AUTO else address)
    if problem:
        raise ConfigError(f"--address {address}: {problem}")


def _resolved(address: str) -> str:
    """Returns the address that Ray takes for auto."""
    from ray._private.services import get_ray_address_from_environment

    try:
        return str(get_ray_address_from_environment(address, None))
    except ConnectionError:
        raise ConfigError(
            f"--address {address}: no Ray runs on this machine; start one with ray start --head, give host:port, or "
            "leave --address out to have one started for this search"
        ) from None


def _problem(address: str) -> str:
    """Returns why no cluster can be used at an address; empty if one can."""
    if not re.fullmatch(rf"({CLIENT})?[^/\s]+:[0-9]+", address):
        return f"is no address of a Ray cluster; give host:port, {CLIENT}host:port or {AUTO}"
    import grpc

    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # Ray knows the certificates
        return ""
    token = _token()
    if not token.isprintable() or not token.isascii():
        return "the token of RAY_AUTH_TOKEN (or ~/.ray/auth_token) has characters that no token has"
    metadata = [("authorization", f"Bearer {token}")] if token else None
    with grpc.insecure_channel(address.removeprefix(CLIENT), options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_QUESTION)(b"", timeout=PATIENCE, metadata=metadata)
        except grpc.RpcError as error:
            return _explained(error, grpc.StatusCode, address, token)
    return ""


def _explained(error: "grpc.RpcError", codes: "type[grpc.StatusCode]", address: str, token: str) -> str:
    code, details = error.code(), str(error.details())
    if code == codes.UNAUTHENTICATED and token:
        return "the cluster does not take the token of RAY_AUTH_TOKEN (or ~/.ray/auth_token); give it the cluster's"
    if code == codes.UNAUTHENTICATED:
        return (
            "the cluster wants a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, which the command ray "
            "get-auth-token prints on its head node"
        )
    if code == codes.UNIMPLEMENTED:  # as the server of Ray's client, on a port of its own
        return "" if address.startswith(CLIENT) else "what answers there is no head of a Ray cluster; give its port"
    if code == codes.DEADLINE_EXCEEDED:
        return f"what listens there has not answered in {PATIENCE:g} s, as a Ray cluster would; check host and port"
    if "HTTP/2" in details or "SETTINGS" in details:
        return "what listens there is no Ray cluster; check the port (6379 unless ray start was given another)"
    return "no Ray cluster answers: " + re.sub(r"^[A-Z]+: ipv[46]:\S+: ", "", details.rsplit("last error: ", 1)[-1])


def _token() -> str:
    """Returns the token that Ray would send: none if it is told not to."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return ""
    if token := os.environ.get("RAY_AUTH_TOKEN", ""):
        return token
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
