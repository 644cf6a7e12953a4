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
    """The list for people, one mistake a line, and a closing count."""
    exact = sum(o.exact for o in outcomes)
    noticed = sum(o.type is not None and not o.exact for o in outcomes)
    rest = others(outcomes, rows)
    return [
        "What became of the planted mistakes:",
        *(f"  {_line(o)}" for o in outcomes),
        f"{exact} of {len(outcomes)} found, {noticed} noticed under another name, "
        f"{len(outcomes) - exact - noticed} not found. {_rest(rest)}",
    ]


def _line(outcome: Outcome) -> str:
    mistake = outcome.planted.mistake
    what = f"{mistake.image}: {mistake.what} ({mistake.type.title})"
    if outcome.type is None:
        return f"{what} → NOT FOUND" + (f" ({mistake.hard})" if mistake.hard else "")
    place = f"rank {outcome.rank}, {100 * outcome.score:.1f} %"
    return f"{what} → " + (f"found ({place})" if outcome.exact else f"noticed as {outcome.type.title} ({place})")


def _rest(ranks: Sequence[int]) -> str:
    if not ranks:
        return "No other findings."
    shown = ", ".join(map(str, ranks[:10])) + (" ..." if len(ranks) > 10 else "")
    return f"{len(ranks)} other findings belong to no planted mistake (rank {shown})."
