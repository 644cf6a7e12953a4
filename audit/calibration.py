"""``calibration.json`` in a run: how far its scores held on planted mistakes that they were not learnt from.

And how many labels are taken to be wrong in each way, which its scores rest on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.checks.held_out import HeldOut
from audit.core.findings import FindingType
from audit.runs import atomic
from audit.trust.calibrated import Reliability, calibration_error, reliability

FILE = "calibration.json"
FEWEST = 150
"""Findings from which on a diagram says something: repeated copies of twenty labels are no hundred witnesses."""


@dataclass(frozen=True)
class Calibration:
    """bins: of all types together. error: expected calibration error. by_type: error and number of findings.

    planted_error: the same if nothing but what was planted were real; NaN if an older version wrote the file.
    rates: the estimated share of the labels that is wrong in each way (of Missing label, as many again are missing).
    """

    bins: Reliability
    error: float
    by_type: dict[FindingType, tuple[float, int]]
    rates: dict[FindingType, float] = field(default_factory=dict)
    planted_error: float = float("nan")


def write_calibration(run: Path, judged: HeldOut, rates: Mapping[FindingType, float] | None = None) -> None:
    """Write the file, or remove an earlier audit's if there is too little to tell. rates: see ``Calibration``."""
    if len(judged) < FEWEST:
        (run / FILE).unlink(missing_ok=True)
        return
    bins = _bins(judged)
    kinds = {k: judged[judged.type == k] for k in FindingType if (judged.type == k).any()}
    errors = {k: calibration_error(_bins(part)) for k, part in kinds.items()}
    document = {
        "about": "mistakes planted into half of the frames, judged by weights learnt on the other half",
        "findings": len(judged),
        "error": calibration_error(bins),
        "planted_error": calibration_error(reliability(judged.chance, judged.real)),
        "bins": {name: values.tolist() for name, values in bins.columns().items()},
        "rates": {k.code: rate for k, rate in (rates or {}).items()},
        "types": {k.code: {"error": errors[k], "findings": len(part)} for k, part in kinds.items()},
    }
    with atomic(run / FILE, "w") as stream:
        json.dump(document, stream, indent=2)
        stream.write("\n")


def _bins(judged: HeldOut) -> Reliability:
    return reliability(judged.chance, judged.real, stands_for=judged.stands_for)


def read_calibration(run: Path) -> Calibration | None:
    """What the file says; None if there is none, or none that can be read."""
    try:
        told: dict[str, Any] = json.loads((run / FILE).read_text(encoding="utf-8"))
        bins = Reliability(**{name: np.array(told["bins"][name]) for name in Reliability().columns()})
        codes = {k.code: k for k in FindingType}
        by_type = {codes[c]: (float(t["error"]), int(t["findings"])) for c, t in told["types"].items() if c in codes}
        rates = {codes[c]: float(rate) for c, rate in told.get("rates", {}).items() if c in codes}
        planted = float(told.get("planted_error", "nan"))
        return Calibration(bins, float(told["error"]), by_type, rates, planted)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
