"""Weights of the traits before anything is known of the data at hand.

Fitted (maximum a posteriori, see ``learning``) to mistakes planted into photographs with clean labels:
every second of VOC 2012's hundred pictures in review_object_detection_metrics and of coco128-permissive,
with the predictions of yolo11n and of SSD-MobileNetV2 down to 0.01, all four counting the same.
Positive speaks for a finding of the type. The traits are explained where they are made (``audit.checks``).
"""

from __future__ import annotations

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray

WEIGHTS: dict[FindingType, dict[str, float]] = {
    FindingType.MISSING_ANNOTATION: {
        "constant": -2.82,
        "prediction score": 2.74,
        "prediction score above 0.5": -0.76,
        "precision of its label": 1.05,
        "label never used": -2.90,
        "overlap with its label": 1.40,
        "touches its label": 1.10,
        "overlap with its label above 0.3": -1.71,
        "overlap with another label": -0.03,
        "overlap with another label above 0.4": -3.77,
        "inside its label": -2.00,
        "inside another label": -0.17,
        "covers its label": -2.23,
        "clashing prediction": 1.07,
        "echoing prediction": -0.28,
        "size": 1.04,
    },
    FindingType.LOW_OVERLAP: {
        "constant": -4.84,
        "prediction score": -0.29,
        "prediction score above 0.5": 0.48,
        "surprise": 1.21,
        "surprising": 0.56,
        "surprising and predicted surely": 0.52,
        "overlap below 0.85": 3.96,
        "overlap below 0.7": -2.58,
        "overlap below 0.5": -2.82,
        "overlap below 0.85 and predicted surely": 0.60,
        "second worst side": 0.24,
        "size": 0.32,
        "rival": -1.40,
        "covered by a label": -0.73,
        "recall of its label": -0.16,
    },
    FindingType.MISMATCHING_LABEL: {
        "constant": -3.00,
        "gain": 2.17,
        "gain above 0.3": 0.14,
        "rival's score": -0.01,
        "overlap with the rival": 0.09,
        "overlap with the rival below 0.7": -0.89,
        "own support": -0.89,
        "own best score": -1.48,
        "own part support": -0.15,
        "own name unseen": 2.27,
        "recall of its label": 0.53,
        "precision of the rival's label": -0.33,
        "size": -0.54,
        "covered by a label": -0.04,
    },
    FindingType.EXTRA_ANNOTATION: {
        "constant": -1.25,
        "own support": -1.58,
        "own name unseen": 0.96,
        "own best score": -1.48,
        "own part support": -0.45,
        "no part seen": 0.96,
        "any support": -2.22,
        "nothing seen": 1.31,
        "rival": -5.31,
        "best own overlap": -3.40,
        "recall of its label": 1.69,
        "size": 2.75,
        "small size": 0.19,
        "covered by a label": 0.64,
        "other names inside": -0.94,
    },
    FindingType.DUPLICATE_ANNOTATION: {
        "constant": -9.40,
        "overlap": 2.74,
        "overlap above 0.7": 3.32,
        "overlap above 0.9": 0.31,
        "same name": 2.62,
        "second object": -0.12,
        "first object": 0.39,
    },
}

PRIOR: dict[FindingType, FloatArray] = {kind: np.array(list(names.values())) for kind, names in WEIGHTS.items()}
