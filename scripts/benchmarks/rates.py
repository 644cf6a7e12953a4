"""Chances where mistakes are rarer, more frequent or of another mix than they are planted to learn from.

Photographs spoilt at several rates, or in one way only. For each, before ("–": every type taken to be as frequent as
it was planted) and after ("+": as frequent as it seems here): the estimated rate of the types spoilt and of the others,
calibration error, mistakes expected and real among the findings, the same among those of at least a half, and average
precision over the common ranking. Only what was planted counts as real, so what the labels lacked before makes
chances look too high. Rate 0 tells how many findings are called likely on the labels as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from audit.checks import Knowledge, find, study
from audit.checks.evidence import Evidence, combine, gather
from audit.core.annotations import Snapshot
from audit.core.findings import Findings, FindingType
from audit.trust.calibrated import calibration_error, reliability
from scripts.benchmarks.labelled import LabelledSet, detected, from_files
from scripts.benchmarks.mistakes import RATE, TYPES, Spoilt, average_precision, judge, spoil
from scripts.benchmarks.quality import at_one_rate

COCO = Path(__file__).resolve().parents[2] / "../shared/data/coco128-permissive/annotations.json"
CONDITIONS: dict[str, dict[FindingType, float]] = {
    **{f"{100 * rate:g} %": dict.fromkeys(TYPES, rate) for rate in (0.0, 0.005, 0.02, 0.05, 0.1)},
    **{f"{kind.title} only": {kind: RATE} for kind in TYPES},
}
"""Share of the boxes that is spoilt in each way."""
HEAD = ("spoilt", "others", "error", "expected", "real", ">= .5", "real", "AP")


def measured(
    data: LabelledSet, rate: Mapping[FindingType, float], seed: int, *, plausible: bool = False
) -> dict[str, list[float]]:
    """The figures in the order of ``HEAD``, before and after."""
    spoilt = spoil(data.snapshot.annotations, data.frame_hw, seed, rate=rate, plausible=plausible)
    snapshot = Snapshot(data.name, data.snapshot.labels, data.snapshot.frames, spoilt.annotations)
    judged = np.ones(len(spoilt.annotations), bool)
    evidence = combine([gather(spoilt.annotations, data.predictions, judged=judged, frame_hw=data.frame_hw)])
    known = study(evidence, len(snapshot.labels))
    both = {"–": at_one_rate(known), "+": known}
    return {name: _figures(evidence, snapshot, spoilt, rate, knowledge) for name, knowledge in both.items()}


def _figures(
    evidence: Evidence, snapshot: Snapshot, spoilt: Spoilt, rate: Mapping[FindingType, float], known: Knowledge
) -> list[float]:
    found = find(evidence, snapshot, knowledge=known)
    real, likely = judge(found, spoilt), found.score >= 0.5
    return [
        *_rates(known.rates, rate),
        error_of(found, real),
        float(found.score.sum()),
        float(real.sum()),
        float(likely.sum()),
        float(real[likely].sum()),
        average_precision(real, sum(spoilt.planted.values())),
    ]


def _rates(estimated: Mapping[FindingType, float], true: Mapping[FindingType, float]) -> tuple[float, float]:
    """Geometric means of the estimated rates, in percent: of types that were spoilt, and of the others."""
    spoilt = [estimated.get(kind, RATE) for kind in TYPES if true.get(kind, 0.0) > 0]
    others = [estimated.get(kind, RATE) for kind in TYPES if true.get(kind, 0.0) <= 0]
    return _percent(spoilt), _percent(others)


def _percent(rates: list[float]) -> float:
    return 100 * float(np.exp(np.mean(np.log(rates)))) if rates else float("nan")


def error_of(found: Findings, real: np.ndarray) -> float:
    """Expected calibration error of the findings' scores."""
    return calibration_error(reliability(found.score, real.astype(np.float64)))


def table(sets: list[LabelledSet], seeds: range, *, plausible: bool = False) -> None:
    """Print the mean over sets and seeds of each condition, before and after."""
    print(f"{'':32}" + "".join(f"{head:>10}" for head in HEAD))
    for name, rate in CONDITIONS.items():
        drawn = seeds if any(rate.values()) else seeds[:1]
        rows = [measured(data, rate, seed, plausible=plausible) for data in sets for seed in drawn]
        for which in ("–", "+"):
            mean = np.mean([row[which] for row in rows], axis=0)
            print(f"{which + ' ' + name:32}" + "".join(f"{value:10.3f}" for value in mean), flush=True)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=3, action="append", default=[], metavar=("NAME", "ANNOTATIONS", "RESULTS"),
                        help="a COCO file and a COCO results file")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plausible", action="store_true", help="mistakes more as people make them; harder")
    args = parser.parse_args()
    sets = [from_files(name, Path(a), Path(r)) for name, a, r in args.set]
    if not sets and COCO.exists():
        sets = list(map(partial(detected, "coco128-permissive", COCO), ("yolo11n", "ssd")))
    if not sets:
        parser.error("no labelled photographs: give --set NAME ANNOTATIONS RESULTS")
    table(sets, range(args.seeds), plausible=args.plausible)


if __name__ == "__main__":
    main()
