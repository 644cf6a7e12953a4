"""The database that FiftyOne keeps its datasets in: the user's own, or one that we start and stop.

Ours listens on 127.0.0.1 only, in ``state_dir("fiftyone")``. Commands that run at once share it; the
last one to leave stops it. A server counts as ours only if the process named in the data folder's own
lock file was started on exactly that folder, so a stale lock or another project's server never does.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from audit.adapters.fiftyone.mongod import ADVICE, Mongod, Unusable, fetched_path, installed
from audit.adapters.fiftyone.server import DataVersion, Server, answers, running, start, stop, wait_until_up
from audit.adapters.folders import state_dir
from audit.errors import ServiceError, UsageError
from audit.ports import Progress

URI = "FIFTYONE_DATABASE_URI"
FOREIGN = ("FIFTYONE_PRIVATE_DATABASE_PORT", "FIFTYONE_DISABLE_SERVICES")
"""Variables with which one FiftyOne process steers another; ours must not be steered."""
LOCK_SECONDS = 720
"""Bound on waiting for another command that is starting the server, a first fetch included."""


@dataclass(frozen=True)
class DatabaseState:
    """For ``cvat-audit doctor``: whether a database can be used, which one and why, what to do if not."""

    ok: bool
    detail: str
    advice: str = ""


@contextmanager
def database(progress: Progress, *, keep_running: bool = False) -> Iterator[str]:
    """FiftyOne's database for the time of one command; gives its URI and prepares the environment.

    keep_running: leave a server of ours running when done, until ``stop_database``.
    Raises UsageError without the extra, ServiceError if no server can be reached or started.
    """
    require_fiftyone()
    given = os.environ.get(URI)
    if given:
        _ping_or_raise(given)
        with _environment(given):
            yield given
        return
    folder = state_dir("fiftyone")
    with (folder / "users").open("a") as users:
        server = _enter(folder, users, progress)
        try:
            with _environment(server.uri):
                yield server.uri
        finally:
            _leave(folder, users, keep_running)


def environment(uri: str) -> dict[str, str]:
    """What must stand in the environment before FiftyOne is imported, here or in another process."""
    return {
        URI: uri,
        "FIFTYONE_DATABASE_VALIDATION": "false",  # version 6 warns at every connection
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        "FIFTYONE_DEFAULT_APP_ADDRESS": "127.0.0.1",
        "FIFTYONE_ALLOWED_ORIGINS": "",
    }


def require_fiftyone() -> None:
    """Raises UsageError if the extra is not installed."""
    if importlib.util.find_spec("fiftyone") is None:
        raise UsageError("FiftyOne is not installed. Install it with: pip install 'cvat-audit[fiftyone]'")


def stop_database() -> bool:
    """Stop a server of ours that was left running. False if there is none; ServiceError if it is in use."""
    folder = state_dir("fiftyone")
    with _locked(folder), (folder / "users").open("a") as users:
        server = running(folder)
        if server and not _alone(users):
            raise ServiceError("The FiftyOne database is in use by another cvat-audit command; end that first.")
        (folder / "keep-running").unlink(missing_ok=True)
        return stop(server) if server else False


def describe() -> DatabaseState:
    """Which database would be used and why. Starts, fetches and changes nothing."""
    if importlib.util.find_spec("fiftyone") is None:
        return DatabaseState(False, "FiftyOne is not installed", "pip install 'cvat-audit[fiftyone]'")
    if os.environ.get(URI):
        ok = answers(os.environ[URI])
        told = "answers" if ok else "does not answer"
        return DatabaseState(ok, f"{URI} is set and used as it is; it {told}", "" if ok else f"check or unset {URI}")
    folder = state_dir("fiftyone")
    server = running(folder)
    if server:
        return DatabaseState(True, f"ours is running on port {server.port} (process {server.pid}), data in {folder}")
    data = DataVersion.read(folder)
    found = list(installed())
    for mongod in found:
        if isinstance(mongod, Mongod) and data.allows(mongod):
            told = f"would start mongod {mongod.version}, {mongod.origin} ({mongod.path}), data in {folder}"
            return DatabaseState(True, told)
    skipped = "; ".join(m.reason if isinstance(m, Unusable) else f"{m.path} is {m.version}" for m in found)
    if data.made and fetched_path().is_file():
        return DatabaseState(False, data.refusal(folder, skipped), ADVICE)
    told = f"no mongod to use yet: the first use fetches one into {fetched_path().parents[3]}"
    return DatabaseState(True, f"{told} ({skipped})" if skipped else told)


@contextmanager
def _environment(uri: str) -> Iterator[None]:
    """Set for this process and what it starts; put back afterwards, so that another database can follow."""
    wanted = environment(uri)
    before = {name: os.environ.get(name) for name in (*wanted, *FOREIGN)}
    os.environ.update(wanted)
    for name in FOREIGN:
        os.environ.pop(name, None)
    _connect_anew(uri)
    try:
        yield
    finally:
        _connect_anew(uri)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _connect_anew(uri: str) -> None:
    """If FiftyOne is imported already, drop its connection: the next use opens one to this address.

    Without this, its hook at exit would wait 30 s for a server that has been stopped.
    """
    if "fiftyone" not in sys.modules:
        return
    fo = sys.modules["fiftyone"]
    connection = sys.modules["fiftyone.core.odm.database"]

    connection._disconnect()
    connection._connection_kwargs.pop("port", None)
    fo.config.database_uri = uri
    fo.Dataset._instances.clear()


def _ping_or_raise(uri: str) -> None:
    if not answers(uri):
        raise ServiceError(f"The database in {URI} does not answer. Check that variable, or unset it to use our own.")


def _enter(folder: Path, users: IO[Any], progress: Progress) -> Server:
    with _locked(folder):
        fcntl.flock(users, fcntl.LOCK_SH)
        server = running(folder)
        if server and not wait_until_up(server):
            progress.note("The FiftyOne database does not answer; starting it anew")
            stop(server)
            server = None
        if server is None:
            (folder / "keep-running").unlink(missing_ok=True)
        return server or start(folder, progress)


def _leave(folder: Path, users: IO[Any], keep_running: bool) -> None:
    with _locked(folder):
        if keep_running:
            (folder / "keep-running").touch()
        elif not (folder / "keep-running").exists() and _alone(users):
            server = running(folder)
            if server:
                stop(server)


def _alone(users: IO[Any]) -> bool:
    """Whether no other command holds the file: locks of killed processes are gone by themselves."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One command at a time starts or stops the server."""
    deadline = time.monotonic() + LOCK_SECONDS
    with (folder / "lock").open("a") as stream:
        while not _alone(stream):
            if time.monotonic() > deadline:
                raise ServiceError(f"Another command has held {folder / 'lock'} for {LOCK_SECONDS} s; end it.")
            time.sleep(0.1)
        yield
