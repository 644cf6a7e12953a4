"""Is it called by its name?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.habits import COUNTED_SCORE, Habits
from audit.checks.traits import Candidates, above, columns, logit, relative_size
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

LEAST_RIVALRY = 0.5
"""Another name with less than this share of the support that the label's own has is not considered."""

TRAITS = (
    "constant",
    "gain",  # support for the other name, minus support for its own
    "gain above 0.3",
    "rival's score",  # log odds, halved
    "overlap with the rival",
    "overlap with the rival below 0.7",
    "own support",
    "own best score",
    "own part support",  # a prediction of its own name inside it, or around it
    "own name unseen",
    "recall of its label",  # a name that the model never sees says nothing by not being seen
    "precision of the rival's label",
    "size",
    "covered by a label",
    "best own overlap",
    "best overlap of any name",
    "best overlap of any name above 0.6",
    "companions",  # objects come in company
    "has a companion",
    "companions of the rival",
    "rival has a companion",
    "own name in the frame",  # predicted anywhere in the picture
    "kin",  # two names that this model confuses anyway
    "rarity of its label",
    "own name in the frame and companions",
    "own name in the frame and unseen here",
    "rarity and recall",
    "overlap of any name and companions of the rival",
    "overlap with the rival and size",
    "kin and own overlap",
    "overlap with something sure",  # predicted above 30 %, whatever its name
    "support for the rival, all together",
    "overlap with another label",  # which may be what the rival means
    "usual company",  # names that are often met in one frame with its own
)


def mismatching_label_candidates(evidence: Evidence, habits: Habits) -> Candidates:
    """Every label at whose place another name, that no label of that name explains, has some support."""
    every = evidence.labels
    rows = np.flatnonzero(every.rival_support > LEAST_RIVALRY * every.own_support)
    e = every[rows]
    gain = e.rival_support - e.own_support
    recall = logit(habits.recall(e.label, e.own_support)) / 2
    unseen, size, kin = e.own_support <= 0, relative_size(e.xyxy), habits.kin.of(e.label, e.rival_label)
    company, rivals = np.log1p(e.companions), np.log1p(e.rival_companions)
    in_frame, rarity = np.sqrt(e.own_in_frame), habits.rarity(e.label) / 2
    traits = columns(
        2 * gain,
        2 * above(gain, 0.3),
        logit(e.rival_score) / 2,
        e.rival_iou,
        4 * above(-e.rival_iou, -0.7),
        np.sqrt(e.own_support),
        np.sqrt(e.own_best),
        np.sqrt(e.part_support),
        unseen,
        recall,
        logit(habits.precision(e.rival_label, e.rival_score >= COUNTED_SCORE)) / 2,
        size,
        e.labelled_over,
        e.own_iou,
        e.any_iou,
        2 * above(e.any_iou, 0.6),
        company,
        e.companions > 0,
        rivals,
        e.rival_companions > 0,
        in_frame,
        kin,
        rarity,
        in_frame * company,
        in_frame * unseen,
        rarity * recall,
        e.any_iou * rivals,
        e.rival_iou * size,
        kin * e.own_iou,
        e.sure_iou,
        np.sqrt(e.rival_total),
        e.label_iou,
        habits.company.fit(e, evidence.scenes),
    )
    return Candidates(rows, traits)


def mismatching_label(evidence: Evidence, rows: IntArray, score: FloatArray) -> Findings:
    """One finding per label; it proposes the rival's name and box."""
    e = evidence.labels[rows]
    return Findings(
        type=np.full(len(e), FindingType.MISMATCHING_LABEL),
        frame=e.frame,
        score=score,
        annotation=e.row,
        annotation_id=evidence.annotations.annotation_id[e.row],
        prediction=e.rival_prediction,
        label=e.label,
        suggested_label=e.rival_label,
        xyxy=e.xyxy,
        suggested_xyxy=e.rival_xyxy,
        iou=e.rival_iou,
        prediction_score=e.rival_score,
    )
