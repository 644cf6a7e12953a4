"""Fits the weights that ``audit/trust/prior_pictures.py`` holds; those of all other traits stay as ``prior`` has them.

``python -m scripts.benchmarks.fit_pictures --set NAME ANNOTATIONS RESULTS FOLDER_OF_PICTURES ...`` prints them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from audit.checks.calibration import examples
from audit.checks.evidence import Sample
from audit.core.findings import FindingType
from audit.core.table import FloatArray
from audit.trust.learning import fitted
from audit.trust.prior import PRIOR
from audit.trust.prior_pictures import WEIGHTS
from scripts.benchmarks.fit import LABELS_PER_SET, LEFT_OUT, STRENGTH
from scripts.benchmarks.labelled import LabelledSet, from_files

COPIES = 12
"""Copies of each set, each with other mistakes."""


def fit_pictures(sets: Iterable[LabelledSet]) -> dict[FindingType, dict[str, float]]:
    """What to add to the constant, and the weights of the pictures' traits, of each type that has any."""
    rows: dict[FindingType, list[tuple[FloatArray, FloatArray, FloatArray]]] = {kind: [] for kind in WEIGHTS}
    for data in sets:
        a = data.snapshot.annotations
        sample = Sample(a, np.ones(len(a), bool), data.predictions, 1, data.look)
        for part in examples(sample, data.frame_hw, len(data.snapshot.labels), None, copies=COPIES):
            for kind, every in rows.items():
                traits, truth = part[kind]
                every.append((traits, truth, np.full(len(truth), LABELS_PER_SET / len(a) / COPIES)))
    return {kind: _fit(kind, *map(np.concatenate, zip(*parts, strict=True))) for kind, parts in rows.items()}


def _fit(kind: FindingType, traits: FloatArray, truth: FloatArray, importance: FloatArray) -> dict[str, float]:
    before, names = PRIOR[kind], list(WEIGHTS[kind])
    prior = np.concatenate([before, np.zeros(len(names) - 1)])
    strength = np.concatenate([[STRENGTH / 30], np.full(len(before) - 1, LEFT_OUT), np.full(len(names) - 1, STRENGTH)])
    weights = fitted(traits, truth, importance, prior, strength)
    return dict(zip(names, [weights[0] - before[0], *weights[len(before) :].tolist()], strict=True))


def main() -> None:
    """Read the sets, fit, print the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=4, action="append", required=True,
                        metavar=("NAME", "ANNOTATIONS", "RESULTS", "IMAGES"))  # fmt: skip
    args = parser.parse_args()
    for kind, weights in fit_pictures(from_files(n, *map(Path, files)) for n, *files in args.set).items():
        print(f"    FindingType.{kind.name}: {{")
        for name, weight in weights.items():
            print(f'        "{name}": {weight:.2f},')
        print("    },")


if __name__ == "__main__":
    main()
