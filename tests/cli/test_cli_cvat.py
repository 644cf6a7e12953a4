"""The real command against the CVAT double, through the real SDK."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Command
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

POINTS = [20.0, 30.0, 100.0, 90.0]
XYWH = [20.0, 30.0, 80.0, 60.0]
QUICK = ("--no-fiftyone", "--no-report")


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as running:
        yield running


@pytest.fixture
def task(server: FakeCvat) -> int:
    """Six photos in two jobs; a person on each but the fourth, and a ground-truth job."""
    task_id = server.add_task("t", photos(), [{"name": "person"}, {"name": "car"}], segment_size=3)
    person = server.labels(task_id)["person"]
    for job, frames in zip(server.jobs(task_id), ([0, 1, 2], [4, 5]), strict=True):
        shapes = [shape(frame, person) for frame in frames]
        server.set_annotations(job["id"], {"shapes": shapes, "tags": [], "tracks": []})
        server.set_job(job["id"], assignee="admin")
    server.add_job("ground_truth", task_id=task_id, frames=[1])
    return task_id


def photos() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for i in range(6):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8)).save(stream, "JPEG")
        files[f"{i:03d}.jpg"] = stream.getvalue()
    return files


def shape(frame: int, label: int) -> dict[str, object]:
    return {"type": "rectangle", "frame": frame, "label_id": label, "points": POINTS, "occluded": False, "z_order": 0,
            "rotation": 0.0, "group": 0, "source": "manual", "attributes": []}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    rows = [{"file_name": f"{i:03d}.jpg", "category_name": "person", "bbox": XYWH, "score": 0.9} for i in range(6)]
    path.write_text(json.dumps(rows))
    return path


def address(server: FakeCvat, path: str) -> str:
    return server.url.replace("http://", "cvat://") + path


def test_a_task(cvat_audit: Command, server: FakeCvat, task: int, results: Path, tmp_path: Path) -> None:
    source = address(server, f"/tasks/{task}")
    arguments = ("run", source, "--predictions", results, "--out", "out", *QUICK)
    done = cvat_audit(*arguments, CVAT_ACCESS_TOKEN=ADMIN_TOKEN)
    assert done.returncode == 0, done.stderr
    assert ADMIN_TOKEN not in done.stdout + done.stderr
    (found,) = json.loads(cvat_audit("findings", "out", "--json").stdout)
    second = server.jobs(task)[1]["id"]
    assert (found["type"], found["image"], found["frame"]) == ("missing_annotation", "003.jpg", 3)
    assert found["link"] == f"{server.url}/tasks/{task}/jobs/{second}?frame=3"
    assert (found["job"], found["assignee"]) == (second, "admin")
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    (left_out,) = json.loads(manifest)["notes"]
    assert "ground-truth" in left_out
    assert f"note: {left_out}\n" in done.stdout
    assert ADMIN_TOKEN not in manifest

    before = len(server.requests)
    again = cvat_audit(*arguments, CVAT_ACCESS_TOKEN=ADMIN_TOKEN)
    assert again.returncode == 0, again.stderr
    assert not [r for r in server.requests[before:] if "/data" in r.path and "meta" not in r.path]
    assert not [r for r in server.requests if r.method not in ("GET", "HEAD")]


def test_a_job_and_a_range_of_frames(cvat_audit: Command, server: FakeCvat, task: int, results: Path) -> None:
    job = server.jobs(task)[0]["id"]
    done = cvat_audit("run", address(server, f"/jobs/{job}"), "--predictions", results, "--out", "out", *QUICK,
                      "--frames", "0-1", CVAT_ACCESS_TOKEN=ADMIN_TOKEN)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "in 2 annotations on 2 of 2 frames" in done.stdout


def test_a_function_of_that_cvat(cvat_audit: Command, server: FakeCvat, task: int) -> None:
    def detect(request: dict[str, object]) -> list[dict[str, object]]:
        return [{"label": "person", "type": "rectangle", "points": POINTS, "confidence": "0.9"}]

    server.add_function("yolo", "detector", [{"name": "person", "type": "rectangle"}], detect)
    done = cvat_audit("run", address(server, f"/tasks/{task}"), "--function", "yolo", "--out", "out", *QUICK,
                      CVAT_ACCESS_TOKEN=ADMIN_TOKEN)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(cvat_audit("findings", "out", "--json").stdout)
    assert [(f["type"], f["frame"]) for f in found] == [("missing_annotation", 3)]
    assert "does not pass a function's scores on" in done.stdout


def test_wrong_token(cvat_audit: Command, server: FakeCvat, task: int, results: Path) -> None:
    done = cvat_audit("run", address(server, f"/tasks/{task}"), "--predictions", results, "--out", "out", *QUICK,
                      CVAT_ACCESS_TOKEN="wrong-token-value")  # fmt: skip
    assert done.returncode == 2
    assert "wrong-token-value" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_no_such_task(cvat_audit: Command, server: FakeCvat, results: Path) -> None:
    done = cvat_audit("run", address(server, "/tasks/999"), "--predictions", results, "--out", "out", *QUICK,
                      CVAT_ACCESS_TOKEN=ADMIN_TOKEN)  # fmt: skip
    assert done.returncode == 2
    assert "999" in done.stderr


def test_a_server_that_stumbles_is_asked_again(cvat_audit: Command, server: FakeCvat, task: int, results: Path) -> None:
    server.faults.add("/annotations", status=500, times=1)
    server.faults.add("/data/meta", status=429, times=1, headers={"Retry-After": "0"})
    server.faults.add("/labels", drop=True, times=1)
    done = cvat_audit("run", address(server, f"/tasks/{task}"), "--predictions", results, "--out", "out", *QUICK,
                      CVAT_ACCESS_TOKEN=ADMIN_TOKEN)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_server_that_is_gone(cvat_audit: Command, results: Path) -> None:
    done = cvat_audit("run", "cvat://127.0.0.1:9/tasks/1", "--predictions", results, "--out", "out", *QUICK,
                      CVAT_ACCESS_TOKEN=ADMIN_TOKEN)  # fmt: skip
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
