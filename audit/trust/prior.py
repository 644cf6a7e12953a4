"""Weights of the traits before anything is known of the data at hand.

Fitted (maximum a posteriori, see ``learning``) to mistakes planted into photographs with clean labels:
VOC 2012's hundred pictures in review_object_detection_metrics and coco128-permissive, with the
predictions of yolo11n and of SSD-MobileNetV2 down to 0.01, all four counting the same. Written by
``scripts/benchmarks/fit.py``; what they are worth on other frames, ``scripts/bench quality --cross-fit``
tells. Positive speaks for a finding of the type. The traits are explained where they are made (``audit.checks``).
"""

from __future__ import annotations

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray

WEIGHTS: dict[FindingType, dict[str, float]] = {
    FindingType.MISSING_ANNOTATION: {
        "constant": -2.89,
        "prediction score": 2.64,
        "prediction score above 0.5": -0.64,
        "precision of its label": 1.02,
        "label never used": -3.12,
        "overlap with its label": 0.36,
        "touches its label": 1.03,
        "overlap with its label above 0.3": -1.09,
        "overlap with another label": -0.88,
        "overlap with another label above 0.4": -3.07,
        "inside its label": -1.62,
        "inside another label": -0.26,
        "covers its label": -1.65,
        "clashing prediction": 0.62,
        "echoing prediction": 0.49,
        "size": 1.27,
    },
    FindingType.LOW_OVERLAP: {
        "constant": -5.11,
        "prediction score": -0.17,
        "prediction score above 0.5": 0.36,
        "surprise": 1.24,
        "surprising": 1.14,
        "surprising and predicted surely": 0.77,
        "overlap below 0.85": 3.53,
        "overlap below 0.7": -2.74,
        "overlap below 0.5": -2.42,
        "overlap below 0.85 and predicted surely": 0.29,
        "second worst side": 0.47,
        "size": 0.14,
        "rival": -0.87,
        "covered by a label": -0.45,
        "recall of its label": -0.03,
    },
    FindingType.MISMATCHING_LABEL: {
        "constant": -2.87,
        "gain": 2.73,
        "gain above 0.3": -0.12,
        "rival's score": 0.14,
        "overlap with the rival": 0.02,
        "overlap with the rival below 0.7": -1.01,
        "own support": -0.94,
        "own best score": -1.24,
        "own part support": 0.04,
        "own name unseen": 2.35,
        "recall of its label": 0.52,
        "precision of the rival's label": -0.22,
        "size": -0.57,
        "covered by a label": -0.02,
    },
    FindingType.EXTRA_ANNOTATION: {
        "constant": -1.68,
        "own support": -1.69,
        "own name unseen": 0.87,
        "own best score": -1.92,
        "own part support": -0.56,
        "no part seen": 0.87,
        "any support": -1.33,
        "nothing seen": 0.63,
        "rival": -5.24,
        "best own overlap": -3.35,
        "recall of its label": 1.21,
        "size": 2.61,
        "small size": -0.53,
        "covered by a label": 0.93,
        "other names inside": -0.53,
    },
    FindingType.DUPLICATE_ANNOTATION: {
        "constant": -9.76,
        "overlap": 2.76,
        "overlap above 0.7": 3.34,
        "overlap above 0.9": 0.38,
        "same name": 3.32,
        "second object": -0.88,
        "first object": -0.53,
    },
}

PRIOR: dict[FindingType, FloatArray] = {kind: np.array(list(names.values())) for kind, names in WEIGHTS.items()}
