"""Is a shape far from the size, form and place that its label has elsewhere? Needs no model.

Only what lies far outside and by itself is told: real objects have heavy tails (a close-up, a far-off car), and a
rule by standard deviations would call one in a hundred of them unusual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audit.checks.sequences import rows_at
from audit.core.annotations import Annotations, Frames, comparable
from audit.core.boxes import area
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray, IntArray, objects

FEWEST = 30
"""Shapes a label must have before anything is usual for it."""
FENCES = 3.0
"""So many interquartile ranges outside the quartiles is "far out" (J. W. Tukey, "Exploratory Data Analysis", 1977)."""
GAP = 1.0
"""... and by at least one such range beyond the next one but a few: a tail thins out, a slip stands alone."""
COMPANY = 0.005
"""Share of a label's shapes that may lie out there together and still be slips."""
LEAST_RANGE = (0.25, 0.15, 0.02, 0.02)
"""Narrowest range of each measure: hands and objects differ by so much anyway."""
SCORE = 0.5
"""What the farthest comes to: where labels vary much there are always some that are right."""
BORDER = 0.01
"""Of the picture: a shape that ends so close to its border may be a part of an object."""
CUT_SHORT = 2
"""Measures that tell nothing of what the border cuts off: it is rightly small, narrow or flat."""
HALF_WAY = 3.0
"""Interquartile ranges beyond the fence at which half of ``SCORE`` is reached."""


@dataclass(frozen=True)
class _Measure:
    """What shapes are measured by. low, high: the words for what lies on either side. said: how it is told,

    with places for this one's and the usual ends, which are ``scale`` × the measure, or × 2 to ``octaves`` of it.
    """

    low: str
    high: str
    said: str
    scale: float = 100.0
    octaves: float = 0.0


MEASURES = (
    _Measure("far smaller", "far larger", "it takes {} % of the picture; half of them take {} to {} %", octaves=2.0),
    _Measure(
        "far taller and narrower",
        "far wider and flatter",
        "it is {} times as wide as high; half of them are {} to {} times",
        1.0,
        1.0,
    ),
    _Measure(
        "far more to the left",
        "far more to the right",
        "its middle lies at {} % of the picture's width; that of half of them at {} to {} %",
    ),
    _Measure(
        "far higher up",
        "far lower down",
        "its middle lies at {} % of the picture's height; that of half of them at {} to {} %",
    ),
)
IN_PIXELS = replace(MEASURES[0], said="it is about {} px large; half of them are {} to {} px", scale=1.0, octaves=1.0)
"""Of the size, where that of the pictures is not known."""


def unusual_shapes(blocks: Iterable[Annotations], frames: Frames, labels: tuple[str, ...]) -> Findings:
    """One finding for each shape that is far from the habits of its label in one of the ``MEASURES``.

    blocks: all annotations, in pieces, gone through twice, of which only boxes, labels, ids, frames, shapes and flags
    are looked at. A track counts as often as it shows, so where tracks abound the habits are those of the long ones;
    each track is told once, where it is worst.
    """
    m = _measurements(blocks, frames)
    worst, beyond, usual = np.zeros(len(m.label), np.int64), np.zeros(len(m.label)), np.zeros((len(m.label), 2))
    order = np.argsort(m.label, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(m.label[order])) + 1):
        if len(members) >= FEWEST:
            for k, least in enumerate(LEAST_RANGE):
                far = _beyond(m.values[members, k], least)
                if k < CUT_SHORT:
                    far[m.cut[members]] = 0
                farther = np.abs(far) > np.abs(beyond[members])
                worst[members[farther]], beyond[members[farther]] = k, far[farther]
                usual[members[farther]] = np.percentile(m.values[members, k], [25, 75])
    odd = np.flatnonzero(beyond)
    a = rows_at(blocks, m.row[odd])
    kept = _once_per_track(a, np.abs(beyond[odd]))
    found, a = odd[kept], a[kept]
    far = np.abs(beyond[found])
    told = np.column_stack([m.values[found, worst[found]], usual[found]])
    in_pixels = not ((frames.width > 0) & (frames.height > 0)).all()
    return Findings(
        type=np.full(len(found), FindingType.UNUSUAL_SHAPE),
        frame=a.frame,
        score=SCORE * far / (far + HALF_WAY),
        annotation=m.row[found],
        annotation_id=a.annotation_id,
        label=a.label,
        xyxy=a.xyxy,
        reason=objects(
            _reason((*labels, "shape")[code], k, by > 0, three, in_pixels=in_pixels)
            for code, k, by, three in zip(
                a.label.tolist(), worst[found].tolist(), beyond[found].tolist(), told.tolist(), strict=True
            )
        ),
    )


@dataclass(frozen=True)
class _Measurements:
    """Of the shapes that can be measured: row among all, label, (n, 4) values, whether the border cuts it off."""

    row: IntArray
    label: IntArray
    values: FloatArray
    cut: BoolArray


def _measurements(blocks: Iterable[Annotations], frames: Frames) -> _Measurements:
    parts, first = [], 0
    for block in blocks:
        rows = np.flatnonzero(comparable(block) & (area(block.xyxy) > 0))
        xyxy, frame = block.xyxy[rows], block.frame[rows]
        parts.append((rows + first, block.label[rows], _measured(xyxy, frame, frames), _cut_off(xyxy, frame, frames)))
        first += len(block)
    if not parts:
        return _Measurements(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, bool))
    row, label, values, cut = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Measurements(row, label, values, cut)


def _measured(xyxy: FloatArray, frame: IntArray, frames: Frames) -> FloatArray:
    """(n, 4) octaves of size (of the picture's, if that is known), octaves of width : height, place across and down."""
    size = np.column_stack([frames.width, frames.height])[frame].astype(np.float64)
    known = (size > 0).all(axis=1)
    size[~known] = 1.0
    width, height = (xyxy[:, 2:] - xyxy[:, :2]).T
    side = 0.5 * np.log2(width * height / size.prod(axis=1))
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / size
    centre[~known] = 0.5
    return np.column_stack([side, np.log2(width / height), centre])


def _cut_off(xyxy: FloatArray, frame: IntArray, frames: Frames) -> BoolArray:
    """(n,) whether a shape touches the border of its picture."""
    size = np.column_stack([frames.width, frames.height])[frame]
    margin = BORDER * size
    touching = (xyxy[:, :2] <= margin).any(axis=1) | (xyxy[:, 2:] >= size - margin).any(axis=1)
    return np.asarray(touching & (size > 0).all(axis=1))


def _beyond(values: FloatArray, least: float) -> FloatArray:
    """(n,) interquartile ranges that a value lies beyond its fence, negative below; 0 inside, or in company."""
    low, high = np.percentile(values, [25, 75])
    spread = max(high - low, least)
    over = np.maximum(values - (high + FENCES * spread), 0) / spread
    under = np.maximum((low - FENCES * spread) - values, 0) / spread
    ordered = np.sort(values)
    k = 1 + int(COMPANY * len(values))
    # the first value that is no slip if the k outermost are
    over[values < ordered[-k - 1] + GAP * spread] = 0
    under[values > ordered[k] - GAP * spread] = 0
    return np.asarray(over - under)


def _once_per_track(a: Annotations, far: FloatArray) -> IntArray:
    """Of these rows the farthest of each track, and all that are in no track."""
    identity = np.where(a.track, a.annotation_id, -1 - np.arange(len(a)))
    order = np.lexsort([-far, a.label, identity])
    key = np.column_stack([identity, a.label])[order]
    first = np.append(True, (key[1:] != key[:-1]).any(axis=1))[: len(a)]
    return np.sort(order[first])


def _reason(label: str, measure: int, above: bool, values: Sequence[float], *, in_pixels: bool) -> str:
    """values: of this shape, and the quartiles of its label. measure: the index of one of ``MEASURES``."""
    m = IN_PIXELS if in_pixels and measure == 0 else MEASURES[measure]
    shown = [_number(m.scale * (2 ** (m.octaves * v) if m.octaves else v)) for v in values]
    return f"This {label} is {m.high if above else m.low} than nearly every other one: {m.said.format(*shown)}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
