"""One frame of a run as FiftyOne stores a sample: plain dictionaries, so that thousands a second can be written.

Boxes become [x, y, width, height] as fractions of the picture, y down. Nothing here talks to a database;
a test compares these documents with those that FiftyOne itself writes.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bson import ObjectId

from audit.adapters.fiftyone.shapes import (
    Document,
    Size,
    derived,
    detection,
    digest,
    finding_box,
    ids_of,
    keypoint,
    outline,
)
from audit.core.annotations import Annotations, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType
from audit.core.table import IntArray

MAX_PREDICTIONS = 300
"""Most predictions shown on a frame, best first: a detector run down to score 0.01 gives no more (COCO's rule)."""

SHOWN_LABEL = 80
"""Longest label, in characters, in the line beside a finding's box; its own attribute keeps the whole."""


@dataclass(frozen=True)
class ByFrame:
    """Rows of a table grouped by frame: a frame's rows in O(1), in their old order."""

    order: IntArray
    bounds: IntArray

    @classmethod
    def of(cls, frame: IntArray, frames: int) -> ByFrame:
        """frame: (n,) row of the frames table each, -1 for none. frames: how many there are."""
        order = np.argsort(frame, kind="stable")
        return cls(order, np.searchsorted(frame[order], np.arange(frames + 1)))

    def rows(self, frame: int) -> IntArray:
        return self.order[self.bounds[frame] : self.bounds[frame + 1]]


def frame_keys(snapshot: Snapshot) -> list[str]:
    """What a frame is known by from run to run: its source, task, job, number and name; hex, unique."""
    f = snapshot.frames
    seen: Counter[tuple[Any, ...]] = Counter()
    keys = []
    for facts in zip(f.task.tolist(), f.job.tolist(), f.number.tolist(), f.name, strict=True):
        seen[facts] += 1
        text = "|".join(map(str, (*facts, seen[facts])))
        keys.append(hashlib.blake2b(text.encode(), digest_size=12).hexdigest())
    return keys


def annotation_fields(snapshot: Snapshot, rows: Annotations, key: str, size: Size) -> Document:
    """Fields for the shapes and tags of one frame: boxes, outlines, points and tags, each where FiftyOne draws them.

    A shape whose coordinates are not numbers has no place to be drawn; its finding says so.
    """
    ids = ids_of(key, "annotation", rows.annotation_id.tolist())
    boxes: list[Document] = []
    outlines: list[Document] = []
    points: list[Document] = []
    tags: list[Document] = []
    for i, box in enumerate(rows.xyxy):
        shape = ShapeType(rows.shape[i])
        facts = {
            "annotation_id": int(rows.annotation_id[i]),
            "shape": shape.name.lower(),
            "source": str(rows.source[i]),
        }
        named = {"tags": [], "label": _word(snapshot, rows.label[i]), **facts}
        if shape is ShapeType.TAG:
            tags.append({"_id": ids[i], "_cls": "Classification", **named})
            continue
        if np.isfinite(box).all():
            boxes.append(detection(ids[i], box, rows.mask[i], size, named))
        for kind, drawn in ((outlines, outline), (points, keypoint)):
            extra = drawn(shape, rows.points[i], size)
            if extra:
                kind.append({"_id": derived(ids[i]), "attributes": {}, **named, **extra})
    return {
        "annotations": {"_cls": "Detections", "detections": boxes},
        "annotation_outlines": {"_cls": "Polylines", "polylines": outlines},
        "annotation_points": {"_cls": "Keypoints", "keypoints": points},
        "annotation_tags": {"_cls": "Classifications", "classifications": tags},
    }


def prediction_fields(snapshot: Snapshot, models: Sequence[str], rows: Predictions, key: str, size: Size) -> Document:
    """Field for the predictions of one frame, the best ``MAX_PREDICTIONS``."""
    rows = rows[np.argsort(-rows.score, kind="stable")[:MAX_PREDICTIONS]]
    ids = ids_of(key, "prediction", [(s, *b) for s, b in zip(rows.score.tolist(), rows.xyxy.tolist(), strict=True)])
    shown = []
    for i, box in enumerate(rows.xyxy):
        model = models[rows.model[i]] if 0 <= rows.model[i] < len(models) else ""
        named = {"label": _word(snapshot, rows.label[i]), "confidence": float(rows.score[i]), "model": model}
        shown.append(detection(ids[i], box, rows.mask[i], size, {"tags": [], **named}))
    return {"predictions": {"_cls": "Detections", "detections": shown}}


def finding_fields(
    snapshot: Snapshot, rows: Findings, predicted: Predictions, key: str, size: Size, decisions: dict[str, Document]
) -> Document:
    """Fields for the findings of one frame: themselves, the shapes they suggest, and the sample's rank.

    predicted: the frame's predictions, from which suggestions take their masks.
    """
    mask_at = {tuple(box): mask for box, mask in zip(predicted.xyxy.tolist(), predicted.mask, strict=True)}
    found, suggested = [], []
    for i, finding_id in enumerate(rows.id):
        facts = _finding_facts(snapshot, rows, i)
        label = shown_as(rows.type[i], facts["existing_label"], facts["suggested_label"] or "")
        named = {"tags": [], "label": label, "confidence": float(rows.score[i]), **facts}
        named |= decisions.get(finding_id, {})
        box = finding_box(rows.xyxy[i], rows.suggested_xyxy[i], size)
        oid = ObjectId(digest(key, "finding", finding_id))
        found.append(detection(oid, box, None, size, named))
        proposed = rows.suggested_xyxy[i]
        if np.isfinite(proposed).all():
            what = facts["suggested_label"] or facts["existing_label"]
            named = {"tags": [], "label": what, "confidence": _number(rows.prediction_score[i])}
            named |= {"finding_id": finding_id, "type": facts["type"]}
            suggested.append(detection(derived(oid), proposed, mask_at.get(tuple(proposed.tolist())), size, named))
    return {
        "findings": {"_cls": "Detections", "detections": found},
        "suggestions": {"_cls": "Detections", "detections": suggested},
        "finding_count": len(rows),
        "worst_score": float(rows.score.max()) if len(rows) else None,
    }


def frame_fields(snapshot: Snapshot, row: int, size_bytes: int, size: Size) -> Document:
    """Fields that say which picture this is. ``size_bytes``: of the file."""
    f = snapshot.frames
    assignees = {j.id: j.assignee for j in snapshot.jobs}
    mime, _ = mimetypes.guess_type(str(f.path[row]))
    return {
        "filepath": str(f.path[row]),
        "metadata": {
            "_cls": "ImageMetadata",
            "size_bytes": size_bytes,
            "mime_type": mime or "image/jpeg",
            "width": size[0],
            "height": size[1],
        },
        "name": str(f.name[row]),
        "number": int(f.number[row]),
        "task": _id_or_none(f.task[row]),
        "job": _id_or_none(f.job[row]),
        "assignee": assignees.get(int(f.job[row]), ""),
        "cvat_link": snapshot.frame_link(row),
    }


def shown_as(kind: int, label: str, suggested: str) -> str:
    """The line beside a finding's box: "Missing label: person", "Wrong label: car, rather truck"."""
    label, suggested = _shortened(label), _shortened(suggested)
    title = FindingType(kind).title
    if kind == FindingType.MISSING_ANNOTATION:
        return f"{title}: {suggested or label}"
    if kind == FindingType.MISMATCHING_LABEL:
        return f"{title}: {label}, rather {suggested}"
    return f"{title}: {label}" if label else title


def kept(new: list[Document], old: Sequence[Document]) -> list[Document]:
    """New labels with what a person added to the same ones earlier: their tags, attributes and decisions."""
    before = {d["_id"]: d for d in old}
    merged = []
    for label in new:
        earlier = before.get(label["_id"], {})
        tags = earlier.get("tags") or label["tags"]
        merged.append({**{k: v for k, v in earlier.items() if k not in OURS}, **label, "tags": tags})
    return merged


OURS = frozenset({"mask", "iou", "prediction_score", "suggested_label", "annotation_id", "job", "score", "model"})
"""Attributes that an earlier import may have written and this one may leave out."""


def _finding_facts(snapshot: Snapshot, rows: Findings, i: int) -> Document:
    frame = int(rows.frame[i])
    job = int(snapshot.frames.job[frame])
    suggested = _word(snapshot, rows.suggested_label[i])
    first, last = (int(end[i]) for end in rows.span())
    return {
        "finding_id": str(rows.id[i]),
        "type": FindingType(rows.type[i]).title,
        "score": float(rows.score[i]),
        "iou": _number(rows.iou[i]),
        "prediction_score": _number(rows.prediction_score[i]),
        "existing_label": _word(snapshot, rows.label[i]),
        "suggested_label": suggested or None,
        "annotation_id": _id_or_none(rows.annotation_id[i]),
        "job": _id_or_none(job),
        "assignee": next((j.assignee for j in snapshot.jobs if j.id == job), ""),
        "cvat_link": snapshot.frame_link(frame),
        "reason": str(rows.reason[i]),
        "frames": int(rows.frames[i]),
        "first_frame": int(snapshot.frames.number[first]),
        "last_frame": int(snapshot.frames.number[last]),
    }


def _word(snapshot: Snapshot, label: int) -> str:
    return snapshot.labels[label] if label >= 0 else ""


def _shortened(label: str) -> str:
    return label if len(label) <= SHOWN_LABEL else label[: SHOWN_LABEL - 1] + "…"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _id_or_none(value: int) -> int | None:
    return int(value) if value >= 0 else None
