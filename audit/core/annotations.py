"""What was labelled and what a model sees: frames, annotations, predictions, and a snapshot of them.

Pixels are absolute, boxes are xyxy, half-open, float64. Labels are codes into the snapshot's tuple
of label names; ``-1`` means none. ``frame`` is always a row of the snapshot's ``Frames``, never a
frame number of CVAT (those repeat between tasks).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, Table, TextArray, column

NO_ID = -1
"""Stands for "none" in every integer column (label, job, annotation id, row)."""


class ShapeType(IntEnum):
    """CVAT's kinds of shapes, and tags (which have no place in the picture)."""

    RECTANGLE = 0
    POLYGON = 1
    POLYLINE = 2
    POINTS = 3
    ELLIPSE = 4
    MASK = 5
    CUBOID = 6
    SKELETON = 7
    TAG = 8


AREA_SHAPES = (ShapeType.RECTANGLE, ShapeType.POLYGON, ShapeType.ELLIPSE, ShapeType.MASK)
"""Shapes that cover an area and so can be compared with a detector's boxes or masks."""


@dataclass(frozen=True, eq=False)
class Frames(Table):
    """One row per frame of a job. A frame that two overlapping jobs share has a row in each.

    name: file name as the source gives it (not unique: CVAT's honeypots repeat names).
    number: frame number within its task (CVAT), or position in the export.
    task, job: ids in the source, ``-1`` where it has none. image_id: a COCO file's own image id,
    ``-1`` elsewhere. width, height: pixels, 0 if unknown.
    sha256: hex digest of the image bytes, "" if they were never read. path: local file that
    holds exactly these bytes, "" if there is none.
    """

    name: TextArray = column(object, "", required=True)
    number: IntArray = column(np.int64, NO_ID, required=True)
    width: IntArray = column(np.int64, 0)
    height: IntArray = column(np.int64, 0)
    task: IntArray = column(np.int64, NO_ID)
    job: IntArray = column(np.int64, NO_ID)
    image_id: IntArray = column(np.int64, NO_ID)
    sha256: TextArray = column(object, "")
    path: TextArray = column(object, "")


@dataclass(frozen=True, eq=False)
class Annotations(Table):
    """One row per shape and frame. A track gives a row for every frame on which it shows.

    xyxy: (n, 4) enclosing box in pixels as labelled, corners possibly swapped or NaN (that is what
    the invalid-shape check is for); zeros for tags.
    annotation_id: the source's own id (a track's rows share one); where a source has no ids, the
    1-based position in document order. shape: a ``ShapeType``.
    points: per row ``None`` or a tuple of (k, 2) float64 arrays: the rings of a polygon (several
    for a multi-part COCO polygon; ellipses and rotated boxes come as their outline too), else the
    vertices of a polyline, points, cuboid or skeleton. ``None`` for plain rectangles and masks.
    mask: per row ``None`` or the counts (bytes) of a compressed COCO RLE of the frame's size.
    rotation: degrees clockwise, as CVAT. crowd: COCO's iscrowd. digest: hash of the shape as the
    source holds it, by which a later push sees that somebody changed it.
    """

    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    label: IntArray = column(np.int64, NO_ID, required=True)
    annotation_id: IntArray = column(np.int64, NO_ID, required=True)
    shape: IntArray = column(np.int64, ShapeType.RECTANGLE)
    points: ObjectArray = column(object)
    mask: ObjectArray = column(object)
    rotation: FloatArray = column(np.float64, 0.0)
    crowd: BoolArray = column(np.bool_, False)
    track: BoolArray = column(np.bool_, False)
    occluded: BoolArray = column(np.bool_, False)
    source: ObjectArray = column(object, "manual")
    digest: ObjectArray = column(object, "")


@dataclass(frozen=True, eq=False)
class Predictions(Table):
    """One row per predicted object.

    xyxy: (n, 4) pixels. score: (n,) in [0, 1]. mask: per row ``None`` or the counts (bytes) of a
    compressed COCO RLE of the frame's size. model: row of the run's list of models.
    points: per row ``None``; of a turned box its four corners, a tuple of one (4, 2) array; of a skeleton a
    tuple of two (k, 2) arrays: its keypoints in the model's order, and how sure it is of each (in both columns).
    rotation: of a turned box, degrees clockwise, as CVAT.
    """

    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    frame: IntArray = column(np.int64, 0)
    label: IntArray = column(np.int64, NO_ID, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    mask: ObjectArray = column(object)
    model: IntArray = column(np.int64, 0)
    points: ObjectArray = column(object)
    rotation: FloatArray = column(np.float64, 0.0)


@dataclass(frozen=True)
class Job:
    """A CVAT job (or what an export tells of one). assignee: user name, "" if unknown."""

    id: int
    task: int
    assignee: str = ""
    stage: str = ""
    state: str = ""


@dataclass(frozen=True)
class Problem:
    """Something that was skipped and must be said: where (a frame's name, a file) and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """What a source held at one moment.

    source: how the user would name it, without secrets. labels: names; label codes index it.
    link: template with {task}, {job}, {number} that opens a frame in CVAT; "" if there is none.
    label_ids: the source's own number of each label, if it has any (COCO's category ids).
    notes: lines for the user, such as "ground-truth job 12 left out (10 frames)".
    """

    source: str
    labels: tuple[str, ...]
    frames: Frames
    annotations: Annotations
    jobs: tuple[Job, ...] = ()
    read_at: str = ""
    link: str = ""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    label_ids: tuple[int, ...] = ()

    def frame_link(self, frame: int) -> str:
        """The address that opens this frame in CVAT, or ""."""
        f = self.frames
        values = {"task": f.task[frame], "job": f.job[frame], "number": f.number[frame]}
        return self.link.format(**values) if self.link else ""

    def label_names(self) -> dict[int, str]:
        """Names by the source's own numbers; empty if it numbers none."""
        return {i: name for i, name in zip(self.label_ids, self.labels, strict=False) if i != NO_ID}


def comparable(annotations: Annotations) -> NDArray[np.bool_]:
    """(n,) which rows cover an area, are not crowds, and so can be compared with a detector."""
    return np.isin(annotations.shape, AREA_SHAPES) & ~annotations.crowd
