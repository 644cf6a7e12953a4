"""A small finished run on two photographs, made without a server or a model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from audit.core import masks
from audit.core.annotations import Annotations, Frames, Job, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType, with_ids
from audit.runs import RunFolder, describe, write_manifest, write_table

NAN = np.nan
NONE = [NAN, NAN, NAN, NAN]
LABELS = ("person", "bus", "tie", "backpack")
PERSON, BUS, TIE, BACKPACK = range(4)
SIZES = {"bus.jpg": (810, 1080), "zidane.jpg": (1280, 720)}
BUS_BOX = [22.0, 231, 805, 757]
WALKERS = [[48.0, 398, 245, 903], [669.0, 392, 810, 877], [221.0, 405, 345, 857]]
PLAYER, COACH, TIE_BOX = [744.0, 41, 1148, 716], [123.0, 197, 1111, 710], [437.0, 434, 529, 717]


def photos(folder: Path) -> list[Path]:
    """The two photographs that ultralytics brings; drawn stand-ins of the same size without it."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = importlib.util.find_spec("ultralytics")
    assets = Path(next(iter(spec.submodule_search_locations or [""]))) / "assets" if spec else Path()
    made = []
    for name, size in SIZES.items():
        target = folder / name
        if not target.exists():
            source = assets / name
            target.write_bytes(source.read_bytes()) if source.is_file() else _draw(size).save(target)
        made.append(target)
    return made


def _draw(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, "#8a9ba8")
    ImageDraw.Draw(image).ellipse([size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2], fill="#40566b")
    return image


def snapshot(folder: Path, labels: tuple[str, ...] = LABELS) -> Snapshot:
    """Labels as a person left them: one walker forgotten, one box slipped, a bus called a person, one box too many."""
    bus, zidane = photos(folder)
    frames = Frames(
        name=["street/bus.jpg", "zidane.jpg"],
        number=[0, 1],
        width=[810, 1280],
        height=[1080, 720],
        task=[42, 42],
        job=[7, 8],
        sha256=["", ""],
        path=[str(bus), str(zidane)],
    )
    slipped = [700.0, 90, 1050, 690]
    outline = np.array([[437, 434], [529, 434], [520, 717], [440, 717]], float)
    annotations = Annotations(
        xyxy=[BUS_BOX, WALKERS[0], WALKERS[1], slipped, COACH, TIE_BOX, [60, 60, 200, 160]],
        frame=[0, 0, 0, 1, 1, 1, 1],
        label=[PERSON, PERSON, PERSON, PERSON, PERSON, TIE, BACKPACK],
        annotation_id=[11, 12, 13, 14, 15, 16, 17],
        shape=[ShapeType.RECTANGLE] * 5 + [ShapeType.POLYGON, ShapeType.RECTANGLE],
        points=[None] * 5 + [(outline,), None],
    )
    jobs = (Job(7, 42, "anna"), Job(8, 42, "bela"))
    link = "http://localhost:8080/tasks/{task}/jobs/{job}?frame={number}"
    return Snapshot("cvat://localhost/tasks/42", labels, frames, annotations, jobs, "2026-11-21T10:00:00Z", link)


def predictions() -> Predictions:
    """What a model sees, with a mask for the coach and a weak guess below any floor."""
    mask = np.zeros((720, 1280), np.uint8)
    mask[197:710, 123:1111] = 1
    mask[197:400, 123:400] = 0
    xyxy = [BUS_BOX, *WALKERS, PLAYER, COACH, TIE_BOX, [5.0, 5, 50, 50]]
    counts = [None] * 5 + [masks.encode(mask), None, None]
    return Predictions(
        xyxy=xyxy,
        frame=[0, 0, 0, 0, 1, 1, 1, 1],
        label=[BUS, PERSON, PERSON, PERSON, PERSON, PERSON, TIE, TIE],
        score=[0.94, 0.89, 0.88, 0.86, 0.84, 0.78, 0.45, 0.05],
        mask=counts,
    )


def findings(seen: Snapshot) -> Findings:
    """Four findings: missing, wrong label, low IoU, extra."""
    slipped = seen.annotations.xyxy[3]
    rows = Findings(
        type=[
            FindingType.MISSING_ANNOTATION,
            FindingType.MISMATCHING_LABEL,
            FindingType.LOW_OVERLAP,
            FindingType.EXTRA_ANNOTATION,
        ],
        frame=[0, 0, 1, 1],
        score=[0.86, 0.94, 0.61, 0.7],
        annotation=[-1, 0, 3, 6],
        annotation_id=[-1, 11, 14, 17],
        prediction=[3, 0, 4, -1],
        label=[-1, PERSON, PERSON, BACKPACK],
        suggested_label=[PERSON, BUS, PERSON, -1],
        xyxy=[NONE, BUS_BOX, slipped, [60, 60, 200, 160]],
        suggested_xyxy=[WALKERS[2], BUS_BOX, PLAYER, NONE],
        iou=[NAN, 1.0, 0.66, NAN],
        prediction_score=[0.86, 0.94, 0.84, NAN],
        reason=["seen, not labelled", "seen as a bus", "the box has slipped", "nothing is seen there"],
    )
    return with_ids(rows[np.argsort(-rows.score)], seen)


def write_run(folder: Path, seen: Snapshot, found: Findings, predicted: Predictions | None = None) -> RunFolder:
    """Write these tables as a finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    predicted = predictions() if predicted is None else predicted
    tables = {"frames": seen.frames, "annotations": seen.annotations, "predictions": predicted, "findings": found}
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table, seen.labels)
    model = {"name": "yolo11n.pt", "digest": "0" * 64, "labels": list(LABELS)}
    rest = {"models": [model], "settings": {}, "timings": {}, "counts": {}, "versions": {}}
    write_manifest(folder, {**describe(seen), **rest})
    return RunFolder.open(folder)


def small_run(folder: Path) -> RunFolder:
    """The whole thing."""
    seen = snapshot(folder / "photos")
    return write_run(folder / "run", seen, findings(seen))
