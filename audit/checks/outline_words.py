"""What is wrong with a mask, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.outline_traits import TOLD_GAIN
from audit.core.outlines import SIDES
from audit.core.table import IntArray, ObjectArray, objects

DRIFTED = 0.12
"""A shape this far from its place, as a share of the object's side, is called moved, if it also lacks something."""
WORTH_TELLING = 0.04
"""Shares below this are no part worth a word."""
MOSTLY = 0.5
"""A part is named by its side if it makes up so much of what is missing; growing or moving, if it mends so much."""
FRACTIONS = {
    0.1: "a tenth",
    0.125: "an eighth",
    1 / 6: "a sixth",
    0.2: "a fifth",
    0.25: "a quarter",
    1 / 3: "a third",
    0.4: "two fifths",
    0.5: "half",
    2 / 3: "two thirds",
    0.75: "three quarters",
    0.9: "nine tenths",
}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
WAYS = dict(
    zip(
        SIDES[1:-1],
        ("right", "down and to the right", "down", "down and to the left", "left", "up and to the left", "up",
         "up and to the right"),
        strict=True,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Misfit:
    """How one mask differs from its prediction; the columns of ``Outlines``."""

    boundary_iou: float
    missing: float
    extra: float
    missing_part: float
    extra_part: float
    missing_at: int
    extra_at: int
    drift: tuple[float, float]
    merged: float
    merged_count: int
    merged_score: float
    split: float
    side: float
    iou: float
    all_round: float
    growing: float
    moving: float


def misfits(evidence: Evidence, rows: IntArray) -> ObjectArray:
    """(n,) the ``Misfit`` of each of these annotations, None for those not compared by masks, and for row -1."""
    o = evidence.outlines
    if not len(o):
        return np.full(len(rows), None, object)
    known = np.searchsorted(o.row, rows)
    found = [i if i < len(o) and o.row[i] == row else -1 for i, row in zip(known.tolist(), rows.tolist(), strict=True)]
    names = Misfit.__dataclass_fields__
    columns = {name: o.columns()[name].tolist() for name in names}
    return objects(Misfit(**{name: columns[name][i] for name in names}) if i >= 0 else None for i in found)


def told(misfit: Misfit, label: str, score: float, iou: float) -> str:
    """The sentence of a Low IoU finding. label: of both. score: the prediction's. iou: of the masks."""
    overlap = f"the masks overlap by {_percent(iou)} (IoU), the outlines by {_percent(misfit.boundary_iou)}"
    text = f"{_wrong(misfit, label, score)}; {overlap}."
    return text[0].upper() + text[1:]


def _wrong(m: Misfit, label: str, score: float) -> str:
    if max(m.merged, m.split) >= TOLD_GAIN:
        if m.merged >= m.split:
            count = NUMBERS.get(m.merged_count, str(m.merged_count))
            return (
                f"this shape covers {count} objects predicted apart as {label} "
                f"(each at {_percent(m.merged_score)} or more): merged"
            )
        return f"this shape and another {label} together fill the one predicted {label} ({_percent(score)}): split"
    predicted = f"the predicted {label} ({_percent(score)})"
    return _misplaced(m, predicted) or _differing(m, predicted)


def _misplaced(m: Misfit, predicted: str) -> str:
    """If moving or evenly growing it would mend most, that; else ""."""
    if max(m.missing, m.extra) < WORTH_TELLING:
        return ""
    way, mended = float(np.hypot(*m.drift)), max(m.growing, m.moving) >= MOSTLY * (1 - m.iou)
    if mended and m.moving > m.growing:
        return f"this shape lies {_pixels(way * m.side)} too far {WAYS[_side(m.drift)]} for {predicted}"
    if mended and m.all_round:
        size = "large" if m.all_round > 0 else "small"
        return f"this shape is {_pixels(m.all_round)} too {size} all round for {predicted}"
    if way >= DRIFTED and min(m.missing, m.extra) >= way / 2:
        return f"this shape lies too far {WAYS[_side(m.drift)]} for {predicted}"
    return ""


def _differing(m: Misfit, predicted: str) -> str:
    """Which part is missing or too much."""
    if max(m.missing, m.extra) < WORTH_TELLING:
        return f"this shape's outline wanders from that of {predicted}"
    if m.missing >= m.extra:
        place = _place(m.missing_part / m.missing, m.missing_at) or ": the shape is too small"
        return f"{fraction(m.missing)} of {predicted} is missing{place}"
    place = _place(m.extra_part / m.extra, m.extra_at) or " all around: the shape is too large"
    return f"{fraction(m.extra)} of this shape lies outside {predicted}{place}"


def _pixels(length: float) -> str:
    """A length in pixels, no more exact than it can be told from where a network draws."""
    px = abs(length)
    return f"about {round(px) if px < 20 else 5 * round(px / 5):,} px" if px >= 1.5 else "a pixel"


def fraction(share: float) -> str:
    """A share in [0, 1] as people say it, such as "an eighth"; small ones in percent."""
    if share < 0.085:
        return _percent(share)
    return FRACTIONS[min(FRACTIONS, key=lambda f: abs(np.log(f / share)))]


def _place(share_of_it: float, at: int) -> str:
    if share_of_it < MOSTLY or not at:
        return ""
    return f" {'in' if SIDES[at] == 'middle' else 'at'} the {SIDES[at]}"


def _side(drift: tuple[float, float]) -> str:
    return SIDES[round(float(np.arctan2(drift[1], drift[0])) / (np.pi / 4)) % 8 + 1]


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
