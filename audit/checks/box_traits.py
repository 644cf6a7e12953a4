"""Does the box sit where the object is? The traits of labels that were compared by boxes; masks have outline_traits."""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.habits import Habits
from audit.checks.looks import low_overlap_looks
from audit.checks.low_overlap import SHARED_TRAITS, shared_traits
from audit.checks.nearby import may_have_slipped, sides_at_border
from audit.checks.slips import slip_evidence
from audit.checks.traits import Candidates, above, logit
from audit.core.boxes import area
from audit.core.table import FloatArray

TRAITS = (
    *SHARED_TRAITS,
    "slip",  # how much likelier all predictions around it are for a slipped box than for a sound one
    "slip, predicted surely",
    "smaller than its own prediction",  # logarithm of the areas' ratio; a box moved as a whole keeps its size
    "larger than its own prediction",
    "own prediction shared",  # it overlaps another label of its name: in a crowd it may be that one's
    "own prediction at the border",  # where the frame ends, a side is sure and the others are not
)


def box_candidates(evidence: Evidence, habits: Habits) -> Candidates:
    """Every label that a prediction of its name is loosely matched to, by boxes."""
    every = evidence.labels
    rows = np.flatnonzero(may_have_slipped(every) & ~every.masked)
    e = every if len(rows) == len(every) else every[rows]
    slip = slip_evidence(e, habits.sides, evidence.nearby)
    growth = np.log(np.maximum(area(e.own_xyxy), 1) / np.maximum(area(e.xyxy), 1))
    mine: tuple[FloatArray, ...] = (
        slip / 4,
        above(slip, 0) / 4 * logit(e.own_score) / 2,
        np.clip(growth, 0, 2),
        np.clip(-growth, 0, 2),
        e.own_shared,
        sides_at_border(e.own_xyxy, evidence.frame_hw.take(e.frame, axis=0)) / 4,
    )
    seen = () if evidence.looks is None else (low_overlap_looks(evidence.looks[e.row]),)
    return Candidates(rows, np.column_stack([shared_traits(e, habits), *mine, *seen]))
