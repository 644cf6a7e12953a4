"""What the pictures themselves say of a box, where there are any: the traits of ``audit.core.edges.looks``.

These do not come from a model: they tell something even where it sees nothing.
"""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

USUAL = np.array([0.06, 3.0, -0.25])
"""Of a label in a photograph. What is usual gives traits of 0, and so does what nobody could look at."""
EXTRA_TRAITS = ("edges at its sides", "edges around its sides", "edges around its sides, against the frame")
LOW_OVERLAP_TRAITS = ("edges at its sides",)


def extra_looks(looks: FloatArray) -> FloatArray:
    """(n, 3) ``EXTRA_TRAITS`` from looks (n, 3), NaN where there was no picture."""
    return np.asarray(np.nan_to_num(looks - USUAL) * np.array([2.0, 0.5, 1.0]))


def low_overlap_looks(looks: FloatArray) -> FloatArray:
    """(n, 1) ``LOW_OVERLAP_TRAITS``."""
    return extra_looks(looks)[:, :1]
