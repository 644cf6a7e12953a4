"""The chance of every finding of a run to be real, as far as verdicts have corrected the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from audit.core.decisions import Decision, Verdict, agreed
from audit.core.findings import Findings
from audit.core.table import BoolArray, FloatArray
from audit.trust.verdicts import facts_of, learnt_from


def p_error(findings: Findings, said: Sequence[Decision]) -> FloatArray:
    """(n,) chance of each finding to be real, by its score and what the verdicts teach; 1 or 0 where one is in.

    findings: all of a run, with ids. said: its decisions, oldest first. Without verdicts it is the score.
    """
    if not said:
        return np.clip(np.nan_to_num(findings.score, nan=0.0), 0.0, 1.0)
    judged, real = settled(findings, agreed(said))
    facts = facts_of(findings)
    chance = learnt_from(facts[judged], real[judged]).chance(facts)
    return np.where(judged, real, chance)


def settled(findings: Findings, agreed_: Mapping[str, Decision]) -> tuple[BoolArray, FloatArray]:
    """(n,) which findings have a plain verdict, and (n,) 1 where it accepts. agreed_: by finding id."""
    said = [agreed_[i].verdict if i in agreed_ else None for i in findings.id.tolist()]
    plain = np.array([v in (Verdict.ACCEPT, Verdict.REJECT) for v in said], bool)
    return plain, np.array([v is Verdict.ACCEPT for v in said], np.float64)
