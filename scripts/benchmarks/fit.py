"""Fits the weights that ``audit/trust/prior.py`` holds: mistakes planted into labels taken for clean.

``python -m scripts.benchmarks.fit --set NAME ANNOTATIONS RESULTS ... > audit/trust/prior.py``
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from audit.checks.calibration import TRAITS, examples
from audit.checks.evidence import Sample
from audit.core.findings import FindingType
from audit.core.table import FloatArray
from audit.trust.learning import fitted
from scripts.benchmarks.labelled import LabelledSet, from_files

COPIES = 24
"""Copies of each set, each with other mistakes."""
LABELS_PER_SET = 400.0
"""Every set counts as much as this many labels, so that a large one does not drown the others."""
STRENGTH = 0.3
"""One over the variance of a weight about 0; of 0.3, 1, 3 and 10 the first was best on frames held out."""
LEFT_OUT = 1e9
"""Strength that keeps a weight at 0."""
SIGNS: dict[FindingType, dict[str, int]] = {
    FindingType.EXTRA_ANNOTATION: {
        "own support": -1,
        "own best score": -1,
        "own part support": -1,
        "any support": -1,
        "own name in the frame": -1,
        "nothing seen": 1,
        "usual company": -1,
        "no part seen": 1,
    },
    FindingType.MISMATCHING_LABEL: {"gain": 1, "own support": -1, "own best score": -1, "kin": -1, "usual company": -1},
    FindingType.MISSING_ANNOTATION: {
        "prediction score": 1,
        "precision of its label": 1,
        "label never used": -1,
        "label never used, predicted elsewhere": -1,
        "labelled when predicted alike": 1,
    },
    FindingType.LOW_OVERLAP: {"slip": 1, "rival": -1},
}
"""What must speak for (1) or against (-1) a finding whatever the examples say: else a trait counts nothing."""
HEADER = '''"""Weights of the traits before anything is known of the data at hand.

Fitted (maximum a posteriori, see ``learning``) to mistakes planted into photographs with clean labels:
VOC 2012's hundred pictures in review_object_detection_metrics, and the COCO photographs (train and val) in the
repositories COCO-MINI and COCO_Tiny and, but for Low IoU, coco128_yolo and tiny_coco_dataset (for Low IoU
coco128-permissive), with the predictions of yolo11n at 640 and 320 px and of SSD-MobileNetV2 down to 0.01, each set
counting the same; no blood cells. Written by ``scripts/benchmarks/fit.py``; what they are worth on other frames,
``scripts/bench quality --cross-fit`` tells. Positive speaks for a finding of the type. The traits are explained
where they are made (``audit.checks``).
"""

from __future__ import annotations

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray

WEIGHTS: dict[FindingType, dict[str, float]] = {
'''
FOOTER = """}

PRIOR: dict[FindingType, FloatArray] = {kind: np.array(list(names.values())) for kind, names in WEIGHTS.items()}
"""


def fit(sets: Iterable[LabelledSet]) -> dict[FindingType, FloatArray]:
    """The weights of each type's traits, from these sets together."""
    rows: dict[FindingType, list[tuple[FloatArray, FloatArray, FloatArray]]] = {kind: [] for kind in TRAITS}
    for data in sets:
        a = data.snapshot.annotations
        sample = Sample(a, np.ones(len(a), bool), data.predictions, 1)
        for part in examples(sample, data.frame_hw, len(data.snapshot.labels), None, copies=COPIES):
            for kind, (traits, truth) in part.items():
                rows[kind].append((traits, truth, np.full(len(truth), LABELS_PER_SET / len(a) / COPIES)))
    return {
        kind: _fit(kind, *(np.concatenate(column) for column in zip(*parts, strict=True)))
        for kind, parts in rows.items()
    }


def _fit(kind: FindingType, traits: FloatArray, truth: FloatArray, importance: FloatArray) -> FloatArray:
    """Fitted again, without what came out with the wrong sign, until all signs are right."""
    sign = np.array([SIGNS.get(kind, {}).get(name, 0) for name in TRAITS[kind]])
    strength = np.full(traits.shape[1], STRENGTH)
    strength[0] = STRENGTH / 30  # the constant is free: how rare a thing is says nothing of how strange
    while True:
        weights = fitted(traits, truth, importance, np.zeros(traits.shape[1]), strength)
        wrong = (sign * weights < 0) & (strength < LEFT_OUT)
        if not wrong.any():
            return np.where(strength < LEFT_OUT, weights, 0.0)
        strength[wrong] = LEFT_OUT


def main() -> None:
    """Read the sets, fit, print the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=3, action="append", required=True, metavar=("NAME", "ANNOTATIONS", "RESULTS"))
    args = parser.parse_args()
    print(HEADER, end="")
    for kind, weights in fit(from_files(name, Path(a), Path(r)) for name, a, r in args.set).items():
        print(f"    FindingType.{kind.name}: {{")
        for name, weight in zip(TRAITS[kind], weights.tolist(), strict=True):
            print(f'        "{name}": {weight:.2f},')
        print("    },")
    print(FOOTER, end="")


if __name__ == "__main__":
    main()
