"""What became of each planted mistake: found, noticed under another name, or not found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.core.boxes import iou_matrix
from audit.core.findings import FindingType
from audit.demo.export import Planted

SAME_PLACE_IOU = 0.5
"""A finding without an annotation is at the missing object's place from this overlap on (PASCAL VOC's threshold)."""


LIKELY = 0.5
"""Below this a finding is weak, as in the summary of ``cvat-audit run``: few people read that far down the list."""


@dataclass(frozen=True)
class Outcome:
    """rank: 1-based place in the list of findings, 0 if there is none. type, score: that finding's."""

    planted: Planted
    rank: int = 0
    type: FindingType | None = None
    score: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the finding is of the planted type."""
        return self.type is self.planted.mistake.type


def judge(planted: Sequence[Planted], rows: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """One outcome per planted mistake, in order. rows: findings as ``cvat-audit findings --json`` gives them.

    A finding belongs to a mistake if it is of the same image and names one of its annotations, or, for
    a label that is not there, proposes a box that overlaps the dropped one. One of the planted type
    counts before one of another type; after that the highest ranked.
    """
    return [_outcome(p, rows) for p in planted]


def others(outcomes: Sequence[Outcome], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """1-based ranks of the findings that belong to no planted mistake."""
    return [i for i, row in enumerate(rows, start=1) if not any(_belongs(o.planted, row) for o in outcomes)]


def _outcome(planted: Planted, rows: Sequence[Mapping[str, Any]]) -> Outcome:
    found = [
        Outcome(planted, rank, FindingType[str(row["type"]).upper()], float(row["score"]))
        for rank, row in enumerate(rows, start=1)
        if _belongs(planted, row)
    ]
    return min(found, key=lambda o: (not o.exact, o.rank), default=Outcome(planted))


def _belongs(planted: Planted, row: Mapping[str, Any]) -> bool:
    if str(row["image"]).rsplit("/", 1)[-1] != planted.mistake.image:
        return False
    if planted.annotation_ids:
        return row["annotation_id"] in planted.annotation_ids
    box = row["suggested_bbox_xyxy"]
    return row["annotation_id"] is None and box is not None and _overlap(planted, box) >= SAME_PLACE_IOU


def _overlap(planted: Planted, box: Sequence[float]) -> float:
    if planted.mistake.was is None:
        return 0.0
    return float(iou_matrix(np.array([planted.mistake.was.box]), np.array([box], dtype=np.float64))[0, 0])


def lines(outcomes: Sequence[Outcome], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The list for people, one mistake a line, and two closing lines."""
    verdicts = [verdict(o) for o in outcomes]
    rest = [float(rows[rank - 1]["score"]) for rank in others(outcomes, rows)]
    likely = sum(score >= LIKELY for score in rest)
    return [
        "What became of the planted mistakes:",
        *(f"  {_line(o)}" for o in outcomes),
        f"{verdicts.count('found')} of {len(outcomes)} found, {verdicts.count('weak')} only as a weak finding (below "
        f"{LIKELY:.0%}), {verdicts.count('other')} noticed under another name, {verdicts.count('none')} not found.",
        f"Findings that belong to no planted mistake: {likely} likely, {len(rest) - likely} weak.",
    ]


def verdict(outcome: Outcome) -> str:
    """found: of the planted type and likely; weak: below ``LIKELY``; other: of another type; none: nothing there."""
    if outcome.type is None:
        return "none"
    if not outcome.exact:
        return "other"
    return "found" if outcome.score >= LIKELY else "weak"


def _line(outcome: Outcome) -> str:
    mistake = outcome.planted.mistake
    what = f"{mistake.image}: {mistake.what} ({mistake.type.title})"
    place = f"rank {outcome.rank}, {100 * outcome.score:.1f} %"
    title = outcome.type.title if outcome.type is not None else ""
    said = {
        "found": f"found ({place})",
        "weak": f"weak: far down the list ({place})",
        "other": f"noticed as {title} ({place})",
        "none": "NOT FOUND",
    }[verdict(outcome)]
    return f"{what} → {said}" + (f"; hard: {mistake.hard}" if mistake.hard else "")
