"""A run folder of real photos, built by hand: the findings are what yolo11n and a careless labeller would give."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from audit.core.annotations import Annotations, Frames, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType, with_ids
from audit.runs import RunFolder, write_manifest, write_table

LABELS = ("person", "bus", "tie", "cat")
NAN = [np.nan] * 4
JOBS = [
    {"id": 7, "task": 42, "assignee": "anna", "stage": "annotation", "state": "completed"},
    {"id": 8, "task": 42, "assignee": "", "stage": "annotation", "state": "in progress"},
]
MANIFEST: dict[str, Any] = {
    "source": "cvat://cvat.example/tasks/42",
    "labels": list(LABELS),
    "jobs": JOBS,
    "read_at": "2026-11-21T12:00:00+00:00",
    "link": "https://cvat.example/tasks/{task}/jobs/{job}?frame={number}",
    "problems": [{"where": "night.jpg", "reason": "is not a whole image (truncated)"}],
    "notes": ["ground-truth job 12 left out (10 frames)"],
    "models": [{"name": "yolo11n", "digest": "0ebbc80d4a7680d14987", "labels": list(LABELS)}],
    "settings": {"iou": 0.5, "map": {"people": "person"}},
    "timings": {"pull": 0.4, "predict": 2.31, "find": 0.02},
    "counts": {"frames": 4, "annotations": 8, "predictions": 5, "findings": 6, "not_compared": {"polyline": 1}},
    "versions": {"cvat-audit": "0.1.0", "python": "3.11.2"},
}


class Silent:
    """A progress that shows nothing and counts the steps."""

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Any]:
        yield self._advance

    def note(self, line: str) -> None:
        raise AssertionError(f"unexpected note: {line}")

    def _advance(self, steps: int = 1) -> None:
        self.steps += steps


def photo(package: str, name: str, folder: Path) -> Path:
    """A photo that comes with an installed package, or a picture of noise where it is not installed."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in (Path(root) / "assets" / name, Path(root) / "data" / name):
            if path.exists():
                return path
    path = folder / f"{name}.png"
    Image.fromarray(np.random.default_rng(7).integers(0, 255, (1080, 1280, 3), np.uint8)).save(path)
    return path


def ellipse_counts(width: int, height: int, box: tuple[int, int, int, int]) -> bytes:
    """A mask that fills a box's inscribed ellipse, as compressed COCO RLE."""
    y, x = np.mgrid[:height, :width]
    cx, cy, rx, ry = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    inside = ((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2 <= 1
    counts: bytes = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"]
    return counts


def save_run(
    path: Path,
    frames: Frames | None = None,
    annotations: Annotations | None = None,
    predictions: Predictions | None = None,
    findings: Findings | None = None,
    **manifest: Any,
) -> RunFolder:
    """Write these tables and a manifest as a run; tables left out are empty."""
    frames, annotations = frames or Frames(), annotations or Annotations()
    told = {**MANIFEST, **manifest}
    labels = tuple(told["labels"])
    snapshot = Snapshot(told["source"], labels, frames, annotations)
    found = with_ids(findings or Findings(), snapshot)
    tables = {"frames": frames, "annotations": annotations, "predictions": predictions or Predictions()}
    for name, table in {**tables, "findings": found}.items():
        write_table(path / f"{name}.parquet", table, labels)
    write_manifest(path, told)
    return RunFolder.open(path)


def real_tables(folder: Path) -> dict[str, Any]:
    """Four frames: two photos with findings of every type, one without an image, one whose image is broken."""
    bus, zidane = photo("ultralytics", "bus.jpg", folder), photo("ultralytics", "zidane.jpg", folder)
    sizes = [Image.open(path).size for path in (bus, zidane)]
    broken = folder / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a jpeg")
    frames = Frames(
        name=["bus.jpg", "zidane.jpg", "gone.jpg", "broken.jpg"],
        number=[0, 1, 2, 3],
        task=[42] * 4,
        job=[7, 7, 8, 8],
        width=[sizes[0][0], sizes[1][0], 640, 640],
        height=[sizes[0][1], sizes[1][1], 480, 480],
        path=[str(bus), str(zidane), "", str(broken)],
    )
    polygon = (np.array([[130.0, 300], [420, 200], [900, 230], [1100, 500], [1000, 700], [200, 700]]),)
    joints = (np.array([[500.0, 100], [540, 180], [470, 260]]),)
    annotations = Annotations(
        xyxy=[
            [110, 260, 700, 800],
            [48, 398, 245, 902],
            [669, 392, 809, 877],
            [130, 200, 1100, 700],
            [437, 434, 529, 718],
            [437, 434, 532, 715],
            [470, 100, 540, 260],
            [np.nan, 10, 50, 60],
        ],
        frame=[0, 0, 0, 1, 1, 1, 1, 3],
        label=[1, 0, 0, 0, 2, 2, 0, 3],
        annotation_id=[11, 12, 13, 14, 15, 16, 17, 18],
        shape=[ShapeType.RECTANGLE] * 3
        + [ShapeType.POLYGON, ShapeType.RECTANGLE, ShapeType.RECTANGLE, ShapeType.SKELETON, ShapeType.RECTANGLE],
        points=[None, None, None, polygon, None, None, joints, None],
    )
    predictions = Predictions(
        xyxy=[[17, 230, 802, 768], [221, 405, 344, 857], [743, 41, 1142, 714], [100, 100, 300, 200], [1, 2, 30, 40]],
        frame=[0, 0, 1, 2, 3],
        label=[1, 0, 0, 3, 3],
        score=[0.94, 0.86, 0.84, 0.99, 0.3],
        mask=[None, ellipse_counts(*sizes[0], (221, 405, 344, 857)), None, None, None],
    )
    t = FindingType
    findings = Findings(
        type=[
            t.LOW_OVERLAP,
            t.MISSING_ANNOTATION,
            t.MISMATCHING_LABEL,
            t.DUPLICATE_ANNOTATION,
            t.MISSING_ANNOTATION,
            t.INVALID_SHAPE,
            t.EXTRA_ANNOTATION,
        ],
        frame=[0, 0, 1, 1, 2, 3, 1],
        score=[0.885, 0.999, 0.91, 0.7, 0.6, 1.0, 0.2],
        annotation=[0, -1, 3, 5, -1, 7, 6],
        related=[-1, -1, -1, 4, -1, -1, -1],
        prediction=[0, 1, 2, -1, 3, -1, -1],
        annotation_id=[11, -1, 14, 16, -1, 18, 17],
        label=[1, -1, 0, 2, -1, 3, 0],
        suggested_label=[1, 0, 2, -1, 3, -1, -1],
        xyxy=[NAN if row < 0 else annotations.xyxy[row] for row in (0, -1, 3, 5, -1, 7, 6)],
        suggested_xyxy=[*predictions.xyxy[:3], NAN, predictions.xyxy[3], NAN, NAN],
        iou=[0.62, np.nan, 0.4, 0.97, np.nan, np.nan, np.nan],
        prediction_score=[0.94, 0.86, 0.84, np.nan, 0.99, np.nan, np.nan],
        reason=["The box covers 62 % of what the model sees.", "", "", "", "", "A corner is not a number.", ""],
    )
    return {"frames": frames, "annotations": annotations, "predictions": predictions, "findings": findings}


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., RunFolder]:
    """Builds a run in a fresh folder from tables and manifest entries."""
    return lambda **parts: save_run(tmp_path / "run", **parts)


@pytest.fixture
def real_run(tmp_path: Path) -> RunFolder:
    return save_run(tmp_path / "run", **real_tables(tmp_path))
