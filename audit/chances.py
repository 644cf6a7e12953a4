"""The chance of every finding of a run to be real, as far as verdicts have corrected the scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings
from audit.core.table import BoolArray, FloatArray
from audit.trust.verdicts import Facts, learnt_from


def p_error(facts: Facts, said: Mapping[int, Verdict]) -> FloatArray:
    """(n,) chance of each finding to be real, by its score and what the verdicts teach; 1 or 0 where one is in.

    facts: of all findings of a run. said: by row, the verdict on it. Without verdicts it is the score.
    """
    if not said:
        return np.clip(np.nan_to_num(facts.score, nan=0.0), 0.0, 1.0)
    judged, real = np.zeros(len(facts), bool), np.zeros(len(facts))
    rows = [row for row, verdict in said.items() if verdict in (Verdict.ACCEPT, Verdict.REJECT)]
    judged[rows] = True
    real[rows] = [said[row] is Verdict.ACCEPT for row in rows]
    chance = learnt_from(facts[judged], real[judged]).chance(facts)
    return np.where(judged, real, chance)


def settled(findings: Findings, agreed_: Mapping[str, Decision]) -> tuple[BoolArray, FloatArray]:
    """(n,) which findings have a plain verdict, and (n,) 1 where it accepts. agreed_: by finding id."""
    said = [agreed_[i].verdict if i in agreed_ else None for i in findings.id.tolist()]
    plain = np.array([v in (Verdict.ACCEPT, Verdict.REJECT) for v in said], bool)
    return plain, np.array([v is Verdict.ACCEPT for v in said], np.float64)
