"""A MongoDB server of ours: start it, recognise it, stop it, and never let an older one touch its data."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audit.adapters.fiftyone.mongod import Mongod, choose
from audit.errors import ServiceError, UsageError
from audit.ports import Progress
from audit.runs import atomic

START_SECONDS = 120
"""Bound on a start; after a crash the server first replays its journal."""
STOP_SECONDS = 60
CACHE_GB = "0.5"
"""MongoDB would take half of the machine's memory, which the model needs."""
START_TRIES = 3
"""Another program may take the free port between our finding it and the server's opening it."""


@dataclass(frozen=True)
class Server:
    """A running server of ours."""

    pid: int
    port: int

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class DataVersion:
    """Major versions of the servers that made the data and that last opened it; 0 for no data yet.

    MongoDB opens data of its own and of the previous major version, and cannot go back.
    """

    made: int = 0
    opened: int = 0

    @classmethod
    def read(cls, folder: Path) -> DataVersion:
        """Raises ServiceError if the note is there but not readable."""
        note = folder / "data-version.json"
        try:
            return cls(**json.loads(note.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise ServiceError(f"{note} cannot be read ({error}). {_move_away(folder)}") from None

    def allows(self, mongod: Mongod) -> bool:
        """Whether this program can open the data."""
        return not self.made or self.opened <= mongod.major <= self.made + 1

    def note(self, mongod: Mongod, folder: Path) -> None:
        """Write down that this program has opened the data."""
        new = DataVersion(self.made or mongod.major, mongod.major)
        if new != self:
            with atomic(folder / "data-version.json", "w") as stream:
                json.dump(asdict(new), stream)

    def refusal(self, folder: Path, why: str) -> str:
        """The line for a user whose programs cannot open the data."""
        versions = f"{self.opened}" if self.opened == self.made + 1 else f"{self.opened} or {self.made + 1}"
        return f"The FiftyOne database in {folder} needs MongoDB {versions}; {why}. {_move_away(folder)}"


def _move_away(folder: Path) -> str:
    return f"Install that version, or move {folder} away: datasets are made again by importing their runs."


def running(folder: Path) -> Server | None:
    """Our server on this state folder, if its process lives."""
    psutil = _psutil()

    dbpath = folder / "mongo"
    try:
        pid = int((dbpath / "mongod.lock").read_text().strip())
        process = psutil.Process(pid)
        command = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or _option(command, "--dbpath") != str(dbpath):
            return None
        return Server(pid, int(_option(command, "--port")))
    except (OSError, ValueError, psutil.Error):
        return None


def _option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1] if name in command[:-1] else ""


def start(folder: Path, progress: Progress) -> Server:
    """Start a server on this state folder and wait until it answers.

    Raises UsageError if no program here may open the data, ServiceError if it does not start.
    """
    data = DataVersion.read(folder)
    try:
        mongod = choose(data.allows, progress)
    except UsageError as error:
        raise UsageError(data.refusal(folder, str(error))) from None
    try:
        (folder / "mongo").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"{folder / 'mongo'} cannot be used as a data folder: {error.strerror}") from None
    for _ in range(START_TRIES):
        server = _try_start(mongod, folder)
        if server:
            data.note(mongod, folder)
            return server
    raise ServiceError(f"MongoDB did not start: {_last_words(folder / 'mongod.log')}. Its log: {folder / 'mongod.log'}")


def _try_start(mongod: Mongod, folder: Path) -> Server | None:
    log = folder / "mongod.log"
    log.unlink(missing_ok=True)
    port = _free_port()
    command = [str(mongod.path), "--dbpath", str(folder / "mongo"), "--bind_ip", "127.0.0.1", "--port", str(port)]
    command += ["--nounixsocket", "--logpath", str(log), "--quiet", "--wiredTigerCacheSizeGB", CACHE_GB]
    process = subprocess.Popen(  # noqa: S603 - a program found by mongod.py, arguments are ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command; the server is stopped by us, in order
    )
    server = Server(process.pid, port)
    up = False
    try:
        up = wait_until_up(server, process)
    finally:
        if not up:
            stop(server)
    return server if up else None


def wait_until_up(server: Server, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether it answers within ``START_SECONDS``; gives up at once when ``process`` ends."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        if answers(server.uri):
            return True
        time.sleep(0.1)
    return False


def answers(uri: str) -> bool:
    """Whether a server answers at this address within two seconds."""
    import pymongo

    try:
        client: Any = pymongo.MongoClient(uri, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000)
        with client:
            client.admin.command("ping")
            return True
    except Exception:  # pymongo raises its own and plain ValueErrors for a malformed address
        return False


def stop(server: Server) -> bool:
    """End it in order, or by force after ``STOP_SECONDS``. False if it was gone already."""
    psutil = _psutil()

    try:
        process = psutil.Process(server.pid)
        process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        # ended, but not yet collected by the command that started it, is ended
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.05)
        with suppress(psutil.TimeoutExpired):
            process.wait(0)  # collects it if it is ours to collect
    except psutil.NoSuchProcess:
        return False
    return True


def _psutil() -> Any:
    import psutil  # type: ignore[import-untyped]

    return psutil


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(log: Path) -> str:
    """The message of the last error line of a server's log (JSON lines)."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("s") in ("E", "F"):
            return f"{entry.get('msg', '')} {json.dumps(entry.get('attr', {}))[:300]}"
    return "it gave no error"
