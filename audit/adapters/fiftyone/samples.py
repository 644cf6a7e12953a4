"""Writes the samples of a run into a FiftyOne dataset, batch by batch, over what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from audit.adapters.fiftyone import appearance, convert
from audit.adapters.fiftyone.convert import ByFrame
from audit.adapters.fiftyone.shapes import Document
from audit.adapters.pictures import PictureError, size_hw
from audit.core.annotations import Predictions, Problem, Snapshot
from audit.core.findings import Findings
from audit.ports import Progress
from audit.runs import RunFolder

BATCH = 100
"""Frames whose predictions and documents are in memory at once."""

MAX_DOCUMENT_BYTES = 15_000_000
"""MongoDB refuses documents of 16 MiB; the rest is for what people add."""


@dataclass(frozen=True)
class Source:
    """What is to be written. min_score: predictions below are left out. decisions: by finding id."""

    run: RunFolder
    snapshot: Snapshot
    findings: Findings
    min_score: float
    decisions: dict[str, Document]


def write(dataset: Any, source: Source, progress: Progress) -> tuple[list[Problem], set[str]]:
    """Upsert every frame that has an image; gives those that could not be shown, and the keys of those written."""
    problems: list[Problem] = []
    written: set[str] = set()
    keys = convert.frame_keys(source.snapshot)
    shapes = ByFrame.of(source.snapshot.annotations.frame, len(keys))
    found = ByFrame.of(source.findings.frame, len(keys))
    with progress.task("Filling FiftyOne", len(keys)) as advance:
        for start in range(0, len(keys), BATCH):
            stop = min(start + BATCH, len(keys))
            block = source.run.predictions(start, stop)
            predicted = ByFrame.of(block.frame - start, stop - start)
            batch: dict[str, Document] = {}
            for row in range(start, stop):
                mine = block[predicted.rows(row - start)]
                tables = (shapes.rows(row), found.rows(row), mine)
                try:
                    batch[keys[row]] = _fields(source, row, keys[row], tables)
                except (PictureError, ValueError, OSError) as error:
                    problems.append(Problem(str(source.snapshot.frames.name[row]), str(error)))
            _upsert(dataset, batch)
            written |= batch.keys()
            advance(stop - start)
    return problems, written


def _fields(source: Source, row: int, key: str, tables: tuple[Any, Any, Predictions]) -> Document:
    """All fields of one sample. Raises PictureError, ValueError or OSError if it cannot be shown."""
    snapshot, (shapes, found, predicted) = source.snapshot, tables
    path = Path(str(snapshot.frames.path[row]))
    if not str(snapshot.frames.path[row]):
        raise PictureError("has no image file")
    size_bytes = path.stat().st_size
    size = (int(snapshot.frames.width[row]), int(snapshot.frames.height[row]))
    if min(size) <= 0:
        h, w = size_hw(path.read_bytes())
        size = (w, h)
    shown = predicted[predicted.score >= source.min_score]
    fields = convert.frame_fields(snapshot, row, size_bytes, size)
    fields |= convert.annotation_fields(snapshot, snapshot.annotations[shapes], key, size)
    fields |= convert.finding_fields(snapshot, source.findings[found], predicted, key, size, source.decisions)
    fields |= convert.prediction_fields(snapshot, source.run.models, shown, key, size)
    return _bounded(fields)


def _bounded(fields: Document) -> Document:
    """The fields, without predictions if they would not fit into a document. ValueError if nothing helps."""
    import bson

    if len(bson.encode(fields)) > MAX_DOCUMENT_BYTES:
        fields["predictions"]["detections"] = []
        if len(bson.encode(fields)) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"has more labels than fit into {MAX_DOCUMENT_BYTES / 1e6:.0f} MB")
    return fields


def _upsert(dataset: Any, batch: dict[str, Document]) -> None:
    import pymongo

    if not batch:
        return
    samples = dataset._sample_collection
    now = datetime.now(timezone.utc)
    for old in samples.find({"frame_key": {"$in": list(batch)}}, PROJECTION):
        fields = batch[old["frame_key"]]
        for path, inner in LABEL_LISTS.items():
            earlier = (old.get(path) or {}).get(inner, [])
            fields[path][inner] = convert.kept(fields[path][inner], earlier)
    operations = [
        pymongo.UpdateOne(
            {"frame_key": key},
            {"$set": {**fields, "last_modified_at": now}, "$setOnInsert": _first(dataset, key, now)},
            upsert=True,
        )
        for key, fields in batch.items()
    ]
    samples.bulk_write(operations, ordered=False)


LABEL_LISTS = {
    **appearance.SHAPE_LISTS,
    "findings": "detections",
    "suggestions": "detections",
    "predictions": "detections",
}
PROJECTION = {"frame_key": 1, "findings": 1} | {
    f"{path}.{inner}.{part}": 1 for path, inner in LABEL_LISTS.items() if path != "findings" for part in ("_id", "tags")
}


def _first(dataset: Any, key: str, now: datetime) -> Document:
    """What FiftyOne gives a sample when it is added. ``_rand`` orders shuffled views."""
    rand = int(key[:12], 16) / 2**48
    return {"tags": [], "_media_type": "image", "_rand": rand, "_dataset_id": dataset._doc.id, "created_at": now}


def remove_others(dataset: Any, written: set[str]) -> None:
    """Delete samples whose frame is no longer in the run, or no longer has an image."""
    gone = [
        d["_id"] for d in dataset._sample_collection.find({}, {"frame_key": 1}) if d.get("frame_key") not in written
    ]
    for chunk in _chunks(gone, 1000):
        dataset.delete_samples([str(i) for i in chunk])


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
