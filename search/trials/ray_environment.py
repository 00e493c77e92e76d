"""Environment variables that Ray reads when it is imported, so that they are set before."""

import os
import secrets
import tempfile

from configs.errors import ConfigError

_ALWAYS = {
    # Ray's own output is a flood; ours is made from events.
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ctrl-C is ours, see ray_stopper.py.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # A trial that failed reports why, and no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Ray's own snapshots are not used: a search is resumed from its events.jsonl.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # How many trials wait for a worker is the controller's choice. By Ray's default of 1, a second worker would be
    # asked for only when the first has its trial, and given up again when that trial is over before it has started.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    # A worker that takes longer than that to leave a trial is lost, and its slot with it; Ray waits 2 s.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "30",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Trials that ask for no GPU see none; without this, Ray would let them train on the first one.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}


_LONGEST_SOCKET = 107  # characters of its path, which begins with Ray's temporary folder
_SHORT_FOLDER = "/tmp"


def prepare_ray_environment(address: str | None) -> None:
    """Sets what Ray reads; to be called before ray is imported for the first time.

    Args:
        address: of a cluster, whose token the user has in the environment; None: a cluster of our own is started, with
            a token of its own unless RAY_AUTH_TOKEN is set.
    """
    os.environ.update(_ALWAYS)
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)  # --address is the way to a cluster that is there already
        # Under `uv run` Ray would pack the working folder for its workers, which run here and find everything.
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
        _shorten_folder()
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))


def _shorten_folder() -> None:
    """Gives Ray a temporary folder whose sockets have paths that the system takes.

    Raises:
        ConfigError: RAY_TMPDIR is too long.
    """
    below = f"/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    longest = _LONGEST_SOCKET - len(below)
    named = os.environ.get("RAY_TMPDIR", "")
    if len(named) > longest:
        raise ConfigError(
            f"environment variable RAY_TMPDIR: {named} has {len(named)} characters; allowed are {longest}, since the "
            "paths of Ray's sockets begin with it"
        )
    if not named and len(tempfile.gettempdir()) > longest and os.access(_SHORT_FOLDER, os.W_OK):
        os.environ["RAY_TMPDIR"] = os.environ["TMPDIR"] = _SHORT_FOLDER  # the dashboard's sockets lie in the second
