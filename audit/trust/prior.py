"""Weights of the traits before anything is known of the data at hand.

Fitted (maximum a posteriori, see ``learning``) to mistakes planted into photographs with clean labels:
VOC 2012's hundred pictures in review_object_detection_metrics, coco128-permissive, and the COCO photographs
(train and val) in the repositories COCO-MINI and COCO_Tiny, with the predictions of yolo11n at 640 and 320 px
and of SSD-MobileNetV2 down to 0.01, each set counting the same; no blood cells. Written by
``scripts/benchmarks/fit.py``; what they are worth on other frames, ``scripts/bench quality --cross-fit``
tells. Positive speaks for a finding of the type. The traits are explained where they are made (``audit.checks``).
"""

from __future__ import annotations

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray

WEIGHTS: dict[FindingType, dict[str, float]] = {
    FindingType.MISSING_ANNOTATION: {
        "constant": -2.24,
        "prediction score": 2.65,
        "prediction score above 0.5": -0.63,
        "precision of its label": 0.52,
        "label never used": -2.38,
        "overlap with its label": 0.65,
        "touches its label": 0.65,
        "overlap with its label above 0.3": -2.04,
        "overlap with another label": -0.89,
        "overlap with another label above 0.4": -3.06,
        "inside its label": -1.64,
        "inside another label": -0.05,
        "covers its label": -1.60,
        "clashing prediction": 0.30,
        "echoing prediction": 1.00,
        "size": 0.76,
        "rarity of its label": -0.09,
        "companions": 0.52,
        "others unexplained": -0.95,
        "any others unexplained": -0.32,
        "below the best in the frame": 0.46,
    },
    FindingType.LOW_OVERLAP: {
        "constant": -3.11,
        "prediction score": -0.10,
        "prediction score above 0.5": 0.40,
        "surprising": 1.82,
        "surprising and predicted surely": 0.36,
        "overlap below 0.85": 1.50,
        "overlap below 0.7": -1.55,
        "overlap below 0.5": -1.71,
        "overlap below 0.85 and predicted surely": 0.88,
        "overlap below 0.7 and predicted surely": -1.37,
        "size": 0.11,
        "rival": -0.65,
        "covered by a label": -0.13,
        "slip": 3.58,
        "slip, predicted surely": 1.27,
        "overlap with its own prediction below 0.7": -0.53,
        "own prediction shared": -2.23,
        "own prediction at the border": 2.02,
    },
    FindingType.MISMATCHING_LABEL: {
        "constant": -1.63,
        "gain": 2.26,
        "gain above 0.3": -0.19,
        "rival's score": -0.06,
        "overlap with the rival": -1.29,
        "overlap with the rival below 0.7": -0.74,
        "own support": 0.00,
        "own best score": -0.08,
        "own part support": 1.09,
        "own name unseen": 0.84,
        "recall of its label": 0.42,
        "precision of the rival's label": -0.50,
        "size": -1.08,
        "covered by a label": -0.21,
        "best own overlap": -3.89,
        "best overlap of any name": 1.67,
        "best overlap of any name above 0.6": -0.35,
        "companions": -1.71,
        "has a companion": -0.35,
        "companions of the rival": 0.34,
        "rival has a companion": -0.42,
        "own name in the frame": 0.07,
        "kin": -5.32,
        "rarity of its label": -0.34,
        "own name in the frame and companions": 1.73,
        "own name in the frame and unseen here": -1.04,
        "rarity and recall": 0.31,
        "overlap of any name and companions of the rival": 1.03,
        "overlap with the rival and size": 1.33,
        "kin and own overlap": -0.23,
    },
    FindingType.EXTRA_ANNOTATION: {
        "constant": 1.26,
        "own support": 0.00,
        "own name unseen": 0.25,
        "own best score": -0.99,
        "own part support": 0.00,
        "no part seen": 0.25,
        "any support": 0.00,
        "nothing seen": 0.30,
        "rival": -3.27,
        "best own overlap": -3.96,
        "recall of its label": 0.93,
        "size": 3.01,
        "small size": -1.37,
        "covered by a label": 0.27,
        "other names inside": 0.54,
        "best overlap of any name": -5.66,
        "best overlap of any name above 0.6": -2.89,
        "best own overlap above 0.5": -0.61,
        "companions": -0.82,
        "has a companion": -1.06,
        "labels in the frame": -0.43,
        "own name in the frame": 0.00,
        "rarity of its label": -1.04,
    },
    FindingType.DUPLICATE_ANNOTATION: {
        "constant": -15.82,
        "overlap": 3.75,
        "overlap above 0.7": 3.64,
        "overlap above 0.9": -0.96,
        "same name": 6.63,
        "second object": -0.54,
        "first object": 0.05,
    },
}

PRIOR: dict[FindingType, FloatArray] = {kind: np.array(list(names.values())) for kind, names in WEIGHTS.items()}
