"""What the pictures' traits count before anything is known of the data at hand, beside the weights of ``prior``.

Fitted by ``python -m scripts.benchmarks.fit_pictures`` to the photographs and predictions that ``prior`` names, as far
as their pictures were at hand, the other weights kept as they are: fitted all together they ranked no better.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray

WEIGHTS: dict[FindingType, dict[str, float]] = {
    FindingType.LOW_OVERLAP: {"constant": -0.13, "edges at its sides": -1.05},
    FindingType.EXTRA_ANNOTATION: {
        "constant": -0.79,
        "edges at its sides": -1.62,
        "edges around its sides": -1.45,
        "edges around its sides, against the frame": -1.40,
    },
}
"""constant: added to that of the other traits."""


def with_pictures(prior: Mapping[FindingType, FloatArray]) -> dict[FindingType, FloatArray]:
    """The weights of all traits, those of the pictures last."""
    return {kind: _extended(weights, WEIGHTS.get(kind, {})) for kind, weights in prior.items()}


def _extended(weights: FloatArray, more: Mapping[str, float]) -> FloatArray:
    constant, *others = more.values() or (0.0,)
    return np.concatenate([weights + constant * (np.arange(len(weights)) == 0), others])
