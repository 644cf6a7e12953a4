"""The checks: one question each, over the same evidence. All pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from audit.checks.calibration import CANDIDATES, Learnt, Weights, learnt
from audit.checks.duplicate import duplicate_annotation
from audit.checks.evidence import FLOOR, Evidence
from audit.checks.extra import extra_annotation
from audit.checks.habits import Habits, habits_of
from audit.checks.invalid import invalid_shape
from audit.checks.low_overlap import low_overlap
from audit.checks.mismatching_label import mismatching_label
from audit.checks.missing import missing_annotation
from audit.checks.outline_learning import OutlineKnowledge, study_outlines
from audit.checks.outline_traits import outline_candidates, outline_findings
from audit.checks.reasons import Witnesses, with_reasons, witnesses
from audit.core.annotations import Snapshot
from audit.core.findings import Findings, FindingType, ranking, with_ids
from audit.core.table import BoolArray, FloatArray, IntArray
from audit.trust.learning import probability
from audit.trust.prior import PRIOR
from audit.trust.prior_pictures import with_pictures

Check = Callable[[Evidence, IntArray, FloatArray], Findings]

CHECKS: dict[FindingType, Check] = {
    FindingType.MISSING_ANNOTATION: missing_annotation,
    FindingType.LOW_OVERLAP: low_overlap,
    FindingType.MISMATCHING_LABEL: mismatching_label,
    FindingType.EXTRA_ANNOTATION: extra_annotation,
    FindingType.DUPLICATE_ANNOTATION: duplicate_annotation,
}
ALL_TYPES = tuple(FindingType)
LIKELY_TWICE = 0.5
"""A duplicate from here up is the cause, whatever else speaks against the label."""


@dataclass(frozen=True)
class Knowledge:
    """What holds for the whole of the data: its habits, and how much each trait of a finding tells on it.

    rates: the share of the labels that is taken to be wrong in each way; empty if there was nothing to learn from.
    """

    habits: Habits
    weights: Weights
    outlines: OutlineKnowledge
    rates: Mapping[FindingType, float] = field(default_factory=dict)


def study(evidence: Evidence, n_labels: int, *, prior: Weights = PRIOR, learn: bool = True) -> Knowledge:
    """Learn from the evidence of all frames, or of a fair sample of them.

    prior: weights of the traits to start from; those of the pictures are added where there are any. learn: adapt
    them to this data by mistakes planted into a copy of a sample of it (``audit.checks.calibration``).
    """
    habits = habits_of(evidence, n_labels)
    prior = prior if evidence.looks is None else with_pictures(prior)
    known = learnt(evidence, n_labels, habits, prior) if learn else Learnt(prior)
    outlines = study_outlines(evidence, n_labels, habits, learn=learn)
    rates = dict(known.rates)
    if outlines.rate is not None and FindingType.LOW_OVERLAP in rates:
        masked = len(evidence.outlines) / len(evidence.labels)
        rates[FindingType.LOW_OVERLAP] += masked * (outlines.rate - rates[FindingType.LOW_OVERLAP])
    return Knowledge(habits, known.weights, outlines, rates)


def find(
    evidence: Evidence,
    snapshot: Snapshot,
    *,
    types: Collection[FindingType] = ALL_TYPES,
    floor: float = FLOOR,
    knowledge: Knowledge | None = None,
    apart: BoolArray | None = None,
) -> Findings:
    """All findings with a score of at least ``floor``, ranked, one per cause, with ids.

    apart: (annotations,) those whose findings are judged elsewhere, over many frames: all of theirs are given,
    however faint.

    types: those wanted; the others take no part, so that switching one off lets its places show
    under their next best name. knowledge: from ``study``; of this very evidence if left out.
    """
    known = knowledge or study(evidence, len(snapshot.labels))
    parts = [invalid_shape(evidence)] if FindingType.INVALID_SHAPE in types else []
    for kind, of in CANDIDATES.items():
        if kind in types:
            found = of(evidence, known.habits)
            score = probability(found.traits, known.weights[kind])
            likely = score >= (floor if apart is None or kind is FindingType.MISSING_ANNOTATION else 0)
            parts.append(CHECKS[kind](evidence, found.rows[likely], score[likely]))
    if FindingType.LOW_OVERLAP in types and len(evidence.outlines):
        found = outline_candidates(evidence, known.habits, known.outlines.habits)
        parts.append(outline_findings(evidence, known.outlines.chance(found.traits)))
    findings = Findings.concat(parts)
    keep = _one_per_cause(findings, findings.score >= floor, len(evidence.annotations))
    if apart is not None:
        keep |= np.append(apart, False)[findings.annotation]
    return with_ids(findings[ranking(findings, np.flatnonzero(keep))], snapshot)


def _one_per_cause(findings: Findings, wanted: BoolArray, n_annotations: int) -> BoolArray:
    """Which of the wanted stay: the likeliest of each annotation, and what is missing unless that proposes it.

    A likely duplicate goes first: that nothing is predicted where an object is labelled twice holds for both
    labels, and once the copy is gone the other one's finding still says it.
    """
    on_label = wanted & (findings.annotation >= 0)
    twice = (findings.type == FindingType.DUPLICATE_ANNOTATION) & (findings.score >= LIKELY_TWICE)
    claim = findings.score + twice
    best = np.zeros(n_annotations)
    np.maximum.at(best, findings.annotation[on_label], claim[on_label])
    keep: BoolArray = wanted.copy()
    rows = np.flatnonzero(on_label)
    is_best = claim[rows] == best[findings.annotation[rows]]
    first = np.full(n_annotations, len(findings))
    np.minimum.at(first, findings.annotation[rows[is_best]], rows[is_best])
    keep[rows] = rows == first[findings.annotation[rows]]
    proposed = findings.prediction[keep & on_label & (findings.score >= 0.1)]
    missing = findings.type == FindingType.MISSING_ANNOTATION
    keep[missing & np.isin(findings.prediction, proposed)] = False
    return keep


__all__ = ["ALL_TYPES", "Knowledge", "Witnesses", "find", "study", "with_reasons", "witnesses"]
