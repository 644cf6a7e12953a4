"""Is there an object that nobody labelled?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence, Unexplained
from audit.checks.habits import COUNTED_SCORE, Habits
from audit.checks.nearby import sides_at_border
from audit.checks.traits import Candidates, above, columns, from_zero, log_side, logit, relative_size
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

TRAITS = (
    "constant",
    "prediction score",  # log odds, halved
    "prediction score above 0.5",
    "precision of its label",  # log odds: a name often predicted where it is not labelled is a matter of policy
    "label never used",  # the strongest such case, as far as there are labels to tell from
    "overlap with its label",
    "touches its label",
    "overlap with its label above 0.3",
    "overlap with another label",  # rather a wrong name than a missing label
    "overlap with another label above 0.4",
    "inside its label",  # parts of a labelled object, members of a labelled group
    "inside another label",  # a tie on a person: its own object, or a part that nobody labels
    "covers its label",  # one box around several labelled objects
    "clashing prediction",  # one place, two names: one of them is wrong
    "echoing prediction",  # the detector proposed it more than once
    "size",
    "rarity of its label",
    "companions",  # labels of its name in the picture
    "others unexplained",  # of its name in the picture: a crowd that nobody labelled
    "any others unexplained",
    "below the best in the frame",
    "label never used and prediction score",
    "label never used, predicted elsewhere",  # many such say that this name is not labelled here, one does not
    "recall of its label",
    "labelled when predicted alike",  # by score, size and name: small ones are often left out on purpose
    "at the border",  # cut off: often left out on purpose
    "labels of its name covered",  # one box around several
    "smaller than the smallest",  # label of its name in the frame
)


def missing_candidates(evidence: Evidence, habits: Habits) -> Candidates:
    """Every predicted object that no label explains."""
    u = evidence.unexplained
    score = logit(u.prediction_score) / 2
    unused = (habits.labels[u.label] == 0) * habits.trust
    named, every = _others(u)
    elsewhere = np.log1p(np.maximum(habits.unlabelled[u.label] - u.prediction_score, 0))
    smallest = np.log2(np.maximum(u.smallest, 2))
    traits = columns(
        score,
        above(score, 0),
        logit(habits.precision(u.label, u.prediction_score >= COUNTED_SCORE)),
        unused,
        u.iou_same,
        u.iou_same > 0,
        3 * above(u.iou_same, 0.3),
        u.iou_other,
        3 * above(u.iou_other, 0.4),
        u.inside_same,
        u.inside_other,
        u.covers_same,
        np.sqrt(u.clash),
        np.sqrt(u.echo),
        relative_size(u.xyxy),
        habits.rarity(u.label) / 2,
        np.log1p(u.companions),
        np.log1p(named),
        np.log1p(every) / 2,
        np.sqrt(u.best_in_frame) - np.sqrt(u.prediction_score),
        unused * score,
        unused * elsewhere,
        habits.usual_recall(u.label),
        logit(habits.record.share(u.label, u.prediction_score, u.xyxy)) / 2,
        sides_at_border(u.xyxy, evidence.frame_hw.take(u.frame, axis=0)),
        np.log1p(u.covers_count),
        np.nan_to_num(smallest - log_side(u.xyxy)),
    )
    return Candidates(np.arange(len(u)), traits)


def _others(u: Unexplained) -> tuple[FloatArray, FloatArray]:
    """(n,) summed scores of the other unexplained predictions of its frame: of its name, of any."""
    names, frame = int(u.label.max(initial=0)) + 1, from_zero(u.frame)
    named, every = (
        np.bincount(place, weights=u.prediction_score).take(place) if len(u) else np.zeros(0)
        for place in (frame * names + u.label, frame)
    )
    return np.maximum(named - u.prediction_score, 0), np.maximum(every - u.prediction_score, 0)


def missing_annotation(evidence: Evidence, rows: IntArray, score: FloatArray) -> Findings:
    """One finding per predicted object that no label explains."""
    u = evidence.unexplained[rows]
    return Findings(
        type=np.full(len(u), FindingType.MISSING_ANNOTATION),
        frame=u.frame,
        score=score,
        prediction=u.row,
        related=u.nearest,
        suggested_label=u.label,
        suggested_xyxy=u.xyxy,
        iou=u.iou,
        prediction_score=u.prediction_score,
    )
