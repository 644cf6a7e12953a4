"""The database is found or started, shared, survives being killed, and is never another project's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bson
import psutil
import pymongo
import pytest

from audit.adapters.fiftyone import database as module
from audit.adapters.fiftyone.database import URI, database, describe, stop_database
from audit.adapters.fiftyone.mongod import Mongod
from audit.adapters.fiftyone.server import DataVersion, Server, answers, running
from audit.errors import ServiceError, UsageError
from tests.adapters.fiftyone.conftest import Notes

COMMAND = """
import sys
from audit.adapters.fiftyone.database import database
from tests.adapters.fiftyone.conftest import Notes
with database(Notes()) as uri:
    print(uri, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own; whatever server is left in it is stopped."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(URI, raising=False)
    path = tmp_path / "cvat-audit" / "fiftyone"
    yield path
    server = running(path)
    if server:
        psutil.Process(server.pid).kill()
        psutil.wait_procs([p for p in [psutil.Process(server.pid)] if p.is_running()], 30)


def other_command() -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def its_server(folder: Path) -> Server:
    server = running(folder)
    assert server is not None
    return server


def gone(server: Server) -> bool:
    """An orphan that init has not collected yet is gone, too."""
    return not psutil.pid_exists(server.pid) or psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE


def test_without_the_extra_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install 'cvat-audit\[fiftyone\]'"), database(Notes()):
        pass
    assert not describe().ok


def test_a_server_is_started_on_loopback_only_and_stopped(folder: Path) -> None:
    before = dict(os.environ)
    with database(Notes()) as uri:
        server = its_server(folder)
        assert (uri, os.environ[URI]) == (server.uri, server.uri)
        assert os.environ["FIFTYONE_DO_NOT_TRACK"] == "true"
        listening = [c for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert [c.laddr.ip for c in listening] == ["127.0.0.1"]
    assert gone(server)
    assert dict(os.environ) == before
    assert "would start mongod" in describe().detail


def test_the_users_own_database_is_used_and_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder.parent / "other"
    monkeypatch.setenv("XDG_STATE_HOME", str(other))
    with database(Notes()) as theirs:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder.parents[1]))
        with database(Notes()) as uri:
            assert uri == theirs
            assert running(folder) is None
        assert answers(theirs)
        monkeypatch.setenv("XDG_STATE_HOME", str(other))


def test_a_users_database_that_does_not_answer_is_one_line_without_its_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, "mongodb://me:secret@127.0.0.1:1")
    with pytest.raises(ServiceError, match=URI) as caught, database(Notes()):
        pass
    assert "secret" not in str(caught.value)


def test_two_commands_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    with database(Notes()) as uri:
        process, theirs = other_command_of(uri)
    assert theirs == uri
    assert answers(uri)
    end(process)
    assert not answers(uri)
    assert running(folder) is None


def other_command_of(uri: str) -> tuple[subprocess.Popen[str], str]:
    """Another command, which has not been told the address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(URI)
        return other_command()


def test_a_command_that_was_killed_leaves_a_server_that_the_next_one_takes_over(folder: Path) -> None:
    process, uri = other_command()
    process.kill()
    process.communicate()
    server = its_server(folder)
    with database(Notes()) as again:
        assert again == uri
    assert gone(server)


def test_a_server_that_was_killed_is_started_anew_with_its_data(folder: Path) -> None:
    with database(Notes()) as uri:
        with pymongo.MongoClient(uri) as client:
            client.get_database("test", write_concern=pymongo.WriteConcern(j=True)).kept.insert_one({"a": 1})
        victim = psutil.Process(its_server(folder).pid)
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
    with database(Notes()) as uri, pymongo.MongoClient(uri) as client:
        assert client.test.kept.count_documents({}) == 1


def test_a_server_can_be_left_running_until_told_otherwise(folder: Path) -> None:
    with database(Notes(), keep_running=True) as uri:
        pass
    assert answers(uri)
    assert "ours is running" in describe().detail
    with database(Notes()) as again:
        assert again == uri
        with pytest.raises(ServiceError, match="in use"):
            stop_database()
    assert answers(uri)
    assert stop_database()
    assert not answers(uri)
    assert not stop_database()


def test_a_process_that_is_not_our_server_is_never_taken_for_it(folder: Path) -> None:
    (folder / "mongo").mkdir(parents=True)
    (folder / "mongo" / "mongod.lock").write_text(f"{os.getpid()}\n")
    assert running(folder) is None
    with database(Notes()) as uri:
        assert answers(uri)


@pytest.mark.parametrize("text", ["", "nonsense", "-5", "999999999999"])
def test_a_broken_lock_file_is_no_server(folder: Path, text: str) -> None:
    (folder / "mongo").mkdir(parents=True)
    (folder / "mongo" / "mongod.lock").write_text(text)
    assert running(folder) is None


def test_data_of_a_newer_server_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    note = json.dumps({"made": 99, "opened": 99})
    (folder / "data-version.json").write_text(note)
    with pytest.raises(UsageError, match="needs MongoDB 99") as caught, database(Notes()):
        pass
    assert str(folder) in str(caught.value)
    assert (folder / "data-version.json").read_text() == note
    assert not (folder / "mongo").exists()


@pytest.mark.parametrize(
    ("made", "opened", "major", "allowed"),
    [(0, 0, 6, True), (6, 6, 6, True), (6, 6, 7, True), (6, 7, 6, False), (6, 6, 8, False), (7, 7, 6, False)],
)
def test_servers_may_go_up_by_one_major_version_and_never_down(
    made: int, opened: int, major: int, allowed: bool
) -> None:
    assert DataVersion(made, opened).allows(Mongod(Path("mongod"), f"{major}.0.1", "")) is allowed


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "mongo").mkdir(parents=True)
    (folder / "mongo" / "storage.bson").write_bytes(bson.encode({"storage": {"engine": "another"}}))
    with pytest.raises(ServiceError, match=r"MongoDB did not start: .+mongod\.log"), database(Notes()):
        pass
    assert running(folder) is None


def test_a_data_folder_that_is_a_file_is_one_line(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "mongo").write_text("a file")
    with pytest.raises(ServiceError, match="cannot be used as a data folder"), database(Notes()):
        pass
