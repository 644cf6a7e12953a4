"""Is there anything at all where this label is?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.habits import SEEN_SUPPORT, Habits
from audit.checks.looks import extra_looks
from audit.checks.nearby import sides_at_border
from audit.checks.traits import Candidates, above, columns, from_zero, logit, relative_size
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

TRAITS = (
    "constant",
    "own support",  # best score × overlap of a prediction of its name, square root: faint ones count most
    "own name unseen",
    "own best score",
    "own part support",
    "no part seen",
    "any support",  # something is there, whatever its name
    "nothing seen",
    "rival",
    "best own overlap",
    "recall of its label",  # a name that the model never sees says nothing by not being seen
    "size",
    "small size",  # detectors miss small objects
    "covered by a label",
    "other names inside",
    "best overlap of any name",  # however faint: an object is there
    "best overlap of any name above 0.6",
    "best own overlap above 0.5",
    "companions",  # objects come in company
    "has a companion",
    "labels in the frame",
    "own name in the frame",  # predicted anywhere in the picture
    "rarity of its label",
    "at the border",  # objects that it cuts off are hard to see
    "overlap with something predicted",  # above 5 %
    "others of its name seen",  # in the frame
    "overlap with a label of its name",  # one in a group
    "usual company",  # names that are often met in one frame with its own
)


SUPPORTED = 0.35
"""Labels with more support by their own name are not considered: what is predicted there is no error."""


def extra_candidates(evidence: Evidence, habits: Habits) -> Candidates:
    """Every label that the model can judge and does not clearly confirm."""
    rows = np.flatnonzero(evidence.labels.own_support < SUPPORTED)
    e = evidence.labels[rows]
    size = relative_size(e.xyxy)
    traits = columns(
        np.sqrt(e.own_support),
        e.own_support <= 0,
        np.sqrt(e.own_best),
        np.sqrt(e.part_support),
        e.part_support <= 0,
        np.sqrt(e.any_support),
        e.any_support < 0.01,
        np.sqrt(e.rival_support),
        e.own_iou,
        logit(habits.recall(e.label, e.own_support)) / 2,
        size,
        -above(-size, 0),
        e.labelled_over,
        e.guest_count > 0,
        e.any_iou,
        2 * above(e.any_iou, 0.6),
        2 * above(e.own_iou, 0.5),
        np.log1p(e.companions),
        e.companions > 0,
        np.log1p(e.frame_labels) / 2,
        np.sqrt(e.own_in_frame),
        habits.rarity(e.label) / 2,
        sides_at_border(e.xyxy, evidence.frame_hw.take(e.frame, axis=0)),
        e.seen_iou,
        logit(_others_seen(evidence, habits)[rows]) / 2,
        e.twin_iou,
        habits.company.fit(e, evidence.scenes),
    )
    if evidence.looks is not None:
        traits = np.hstack([traits, extra_looks(evidence.looks[e.row])])
    return Candidates(rows, traits)


def _others_seen(evidence: Evidence, habits: Habits) -> FloatArray:
    """(labels,) share of the other labels of its name in its frame that the model sees.

    All others in the frame together count as one more of them, and all others in the data as one more in the frame.
    """
    e = evidence.labels
    seen = (e.own_support >= SEEN_SUPPORT).astype(np.float64)
    share: FloatArray = (np.maximum(habits.seen.sum() - seen, 0) + 0.5) / max(float(habits.labels.sum()), 1.0)
    frame = from_zero(e.frame)
    for group in (frame, frame * (1 + e.label.max(initial=0)) + e.label):
        together, count = (np.bincount(group, weights=w).take(group) for w in (seen, np.ones(len(e))))
        share = np.asarray((together - seen + share) / count)
    return share


def extra_annotation(evidence: Evidence, rows: IntArray, score: FloatArray) -> Findings:
    """One finding per label, by how little the predictions support it."""
    e = evidence.labels[rows]
    return Findings(
        type=np.full(len(e), FindingType.EXTRA_ANNOTATION),
        frame=e.frame,
        score=score,
        annotation=e.row,
        annotation_id=evidence.annotations.annotation_id[e.row],
        label=e.label,
        xyxy=e.xyxy,
        iou=e.own_iou,
        prediction_score=e.own_score,
    )
