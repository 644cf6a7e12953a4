"""Videos and honeypot tasks, which the double does not have: the recorded answers, served again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.store import CvatStore, open_store
from audit.adapters.pictures import ImageCache
from audit.ports import FrameImage
from tests.adapters.cvat.conftest import QUICK, jpeg
from tests.doubles.progress import Told

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cvat" / "convert_replay.json"


class Replay(BaseHTTPRequestHandler):
    """Recorded answers by path; a picture that depends on the number for each frame; no chunk at all."""

    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = parts.path.rstrip("/"), {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.server.asked.append((path, query))  # type: ignore[attr-defined]
        if path.endswith("/data"):
            frame = query["type"] == "frame"
            self._answer(200 if frame else 500, jpeg(int(query["number"])) if frame else b"")
            return
        key = f"{path}?task_id={query['task_id']}" if path == "/api/jobs" else path
        known = self.golden["answers"]
        default = self.golden["empty"] if path.endswith("/annotations") else None
        body: Any = known.get(key, default)
        self._answer(404 if body is None else 200, json.dumps(body).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    made.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def opened(server: ThreadingHTTPServer, tmp_path: Path) -> Iterator[Any]:
    stores: list[CvatStore] = []

    def opener(path: str) -> CvatStore:
        address = f"cvat://127.0.0.1:{server.server_address[1]}{path}"
        cache = ImageCache(tmp_path / "images")
        stores.append(open_store(address, credentials=Credentials(token="t"), cache=cache, patience=QUICK))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


def test_a_video_has_a_row_for_each_frame_and_its_tracks(opened: Any) -> None:
    snapshot = opened("/tasks/25").snapshot(Told())
    f, a = snapshot.frames, snapshot.annotations
    assert f.number.tolist() == list(range(12))
    assert set(f.name) == {"clip.mp4"}
    assert set(zip(f.width, f.height, strict=True)) == {(160, 120)}
    assert f.job.tolist() == [45] * 6 + [46] * 6
    assert f.number[a.frame].tolist() == list(range(10))  # outside from frame 10 on
    assert a.annotation_id.tolist() == [9] * 6 + [10] * 4
    assert snapshot.problems == ()


def test_a_videos_frames_are_fetched_one_by_one(opened: Any, server: Any) -> None:
    store = opened("/tasks/26")  # every third frame of a video; CVAT numbers them 0 to 3
    snapshot = store.snapshot(Told())
    assert snapshot.frames.number.tolist() == [0, 1, 2, 3]
    items = list(store.images(snapshot, [3, 1]))
    assert [item.data for item in items if isinstance(item, FrameImage)] == [jpeg(3), jpeg(1)]
    asked = [query for path, query in server.asked if path.endswith("/data")]
    assert {query["type"] for query in asked} == {"frame"}
    assert sorted(query["number"] for query in asked) == ["1", "3"]


def test_honeypots_are_audited_where_they_lie_and_said(opened: Any) -> None:
    snapshot = opened("/tasks/21").snapshot(Told())
    assert snapshot.frames.number.tolist() == [0, 1, 2, 3, 4, 5]  # 6 and 7 are the ground truth
    assert sorted(snapshot.frames.name).count("photo_0.jpg") == 1
    assert set(snapshot.frames.job) == {34, 35}
    assert set(snapshot.notes) == {
        "2 frames of task 21 are honeypots: copies of validation frames",
        "ground-truth job 36 of task 21 left out (2 frames)",
    }
