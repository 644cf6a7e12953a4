"""A finding: a place where labels and evidence disagree, awaiting a person's decision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from audit.core.annotations import NO_ID, Snapshot
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, Table, column


class FindingType(IntEnum):
    """Codes follow CVAT's quality reports; see ``TITLES`` for the words people read."""

    MISSING_ANNOTATION = 0
    LOW_OVERLAP = 1
    MISMATCHING_LABEL = 2
    EXTRA_ANNOTATION = 3
    DUPLICATE_ANNOTATION = 4
    INVALID_SHAPE = 5
    UNUSUAL_SHAPE = 6
    BROKEN_TRACK = 7
    EMPTY_FRAME = 8
    INCONSISTENT_FRAMES = 9

    @property
    def code(self) -> str:
        """The name used in files and options: ``missing_annotation`` and so on."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """The name shown to people."""
        return TITLES[self]


TITLES = {
    FindingType.MISSING_ANNOTATION: "Missing label",
    FindingType.LOW_OVERLAP: "Low IoU",
    FindingType.MISMATCHING_LABEL: "Wrong label",
    FindingType.EXTRA_ANNOTATION: "Extra label",
    FindingType.DUPLICATE_ANNOTATION: "Duplicate",
    FindingType.INVALID_SHAPE: "Invalid shape",
    FindingType.UNUSUAL_SHAPE: "Unusual shape",
    FindingType.BROKEN_TRACK: "Broken track",
    FindingType.EMPTY_FRAME: "Frame without labels",
    FindingType.INCONSISTENT_FRAMES: "Labelled differently",
}

MODEL_FREE = (
    FindingType.UNUSUAL_SHAPE,
    FindingType.BROKEN_TRACK,
    FindingType.EMPTY_FRAME,
    FindingType.INCONSISTENT_FRAMES,
)
"""Told by all the labels together, without a model. A person looks at them; none has one plain fix."""

ABOUT_FRAMES = (FindingType.EMPTY_FRAME, FindingType.INCONSISTENT_FRAMES)
"""In doubt is how a frame is labelled, not an object in it."""

NEED_MODEL = (
    FindingType.MISSING_ANNOTATION,
    FindingType.LOW_OVERLAP,
    FindingType.MISMATCHING_LABEL,
    FindingType.EXTRA_ANNOTATION,
)
"""Told by predictions only."""


@dataclass(frozen=True, eq=False)
class Findings(Table):
    """One row per finding.

    type: a ``FindingType``. frame, annotation, related, prediction: rows of the snapshot's frames and
    annotations and of the run's predictions, ``-1`` for none; ``related`` is the other shape of a
    duplicate, of a swap or of a split object. annotation_id: the source's id. label, suggested_label: codes into the
    snapshot's labels.
    xyxy: the existing shape's box, suggested_xyxy: the proposed one's (NaN for none). iou: overlap of
    the two, in [0, 1]. prediction_score: the model's, in [0, 1]. score: in [0, 1], one scale for all
    types, higher is likelier wrong. reason: one sentence that says why.
    frames: on how many frames of a video the same cause shows; ``frame`` is then the most telling one of them,
    and first_frame, last_frame (rows of the frames, -1: ``frame`` itself) say from where to where.
    """

    type: IntArray = column(np.int64, NO_ID, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    annotation: IntArray = column(np.int64, NO_ID)
    related: IntArray = column(np.int64, NO_ID)
    prediction: IntArray = column(np.int64, NO_ID)
    annotation_id: IntArray = column(np.int64, NO_ID)
    label: IntArray = column(np.int64, NO_ID)
    suggested_label: IntArray = column(np.int64, NO_ID)
    xyxy: FloatArray = column(np.float64, np.nan, width=4)
    suggested_xyxy: FloatArray = column(np.float64, np.nan, width=4)
    iou: FloatArray = column(np.float64, np.nan)
    prediction_score: FloatArray = column(np.float64, np.nan)
    id: ObjectArray = column(object, "")
    reason: ObjectArray = column(object, "")
    frames: IntArray = column(np.int64, 1)
    first_frame: IntArray = column(np.int64, NO_ID)
    last_frame: IntArray = column(np.int64, NO_ID)

    def span(self) -> tuple[IntArray, IntArray]:
        """(n,) the first and the last frame of each, ``frame`` where there is only that."""
        first, last = self.first_frame, self.last_frame
        return np.where(first < 0, self.frame, first), np.where(last < 0, self.frame, last)


def caption(finding_type: int, label: str, suggested: str, score: float) -> str:
    """The line a person reads under a crop, such as "Missing label: Pedestrian (99.9 %)".

    "Low IoU: car (88.5 %)", "Wrong label: car, rather truck (91.0 %)". score: in [0, 1].
    """
    kind = FindingType(finding_type)
    what = suggested if kind is FindingType.MISSING_ANNOTATION else label
    if kind is FindingType.MISMATCHING_LABEL:
        what = f"{label}, rather {suggested}"
    if not what:
        return f"{kind.title} ({100 * score:.1f} %)"
    return f"{kind.title}: {what} ({100 * score:.1f} %)"


def span_of(frames: int, first: int, last: int) -> str:
    """Words for frames of a video: "on 300 frames, 12 to 311"; "" for one. first, last: as people know them."""
    return f"on {frames} frames, {first} to {last}" if frames > 1 else ""


def with_ids(findings: Findings, snapshot: Snapshot, *, whole: BoolArray | None = None) -> Findings:
    """The findings with ids that hash their facts: where, what, which shapes, to the whole pixel.

    whole: (n,) those about a track as a whole, on whatever frame it shows most: its id counts, not that frame.

    Scores and models are no facts, so a re-run with another threshold keeps ids and with them the
    decisions. 64 bits: among 10^6 findings a clash has a chance of about 3 in 10^8.
    """
    f = findings
    used, place = np.unique(f.frame, return_inverse=True)
    frames = snapshot.frames[used]
    columns = (frames.name, frames.task.tolist(), frames.job.tolist(), frames.number.tolist())
    identities = zip(*columns, strict=True)
    frame_keys = _text_keys(f"{n}|{t}|{j}|{k}" for n, t, j, k in identities)[place.reshape(-1)]
    label_keys = _text_keys(("", *snapshot.labels))
    boxes = np.rint(np.nan_to_num(np.hstack([f.xyxy, f.suggested_xyxy]), nan=-1, posinf=-2, neginf=-3))
    if whole is not None:
        frame_keys = np.where(whole, _text_keys(f"track|{task}" for task in frames.task.tolist())[place], frame_keys)
        boxes[whole] = -1
    facts = [f.type, f.annotation_id, *np.clip(boxes, -(2**53), 2**53).astype(np.int64).T]
    key = np.zeros(len(f), np.uint64)
    for fact in [frame_keys, label_keys[f.label + 1], label_keys[f.suggested_label + 1], *facts]:
        key = _mix(key ^ fact.astype(np.uint64))
    return findings.replace(id=np.array([f"{k:016x}" for k in key.tolist()], dtype=object))


def ranking(findings: Findings, rows: IntArray) -> IntArray:
    """These rows, highest score first; ties in the order of frames, types and annotations, so that runs agree."""
    f = findings
    return rows[order_of(f.score[rows], f.frame[rows], f.type[rows], f.annotation[rows], f.prediction[rows])]


def order_of(
    score: FloatArray, frame: IntArray, kind: IntArray, annotation: IntArray, prediction: IntArray
) -> IntArray:
    """The order of ``ranking`` for the columns that decide it, each (n,)."""
    return np.lexsort([prediction, annotation, kind, frame, -score])


def _text_keys(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = [hashlib.blake2b(t.encode(), digest_size=8).digest() for t in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
