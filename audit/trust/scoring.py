"""A first guess at how likely a prediction shows something unlabelled, before anything has been learnt."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

OTHER_LABEL_DISCOUNT = 0.7
"""A box of another label at the same place is probably the wrong name, not a missing label."""


def first_guess(score: FloatArray, iou_same: FloatArray, iou_other: FloatArray, inside_same: FloatArray) -> FloatArray:
    """How far an object is predicted where no label is; decides which of several boxes on one object stays.

    All (n,) in [0, 1]. iou_same, iou_other: best overlap with a label of the same, of another name.
    inside_same: the share of the prediction that lies inside one label of its own name (parts of an
    object that is labelled). The discounts were found on planted mistakes: ``scripts/bench quality``.
    """
    free = (1 - iou_same) * (1 - OTHER_LABEL_DISCOUNT * iou_other)
    part = 1 - 0.5 * np.clip((inside_same - 0.7) / 0.3, 0, 1)
    return np.asarray(score * free * part)
