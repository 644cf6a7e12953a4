"""What a run's verdicts tell of the rest: how many mistakes are left, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit import decisions
from audit.chances import settled
from audit.core.decisions import Decision, agreed
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray, IntArray
from audit.loop.agreement import seconds
from audit.loop.blind import blind_questions
from audit.loop.queue import bands
from audit.review import BLIND
from audit.run_rows import plain_annotations
from audit.runs import RunFolder
from audit.trust.calibrated import Reliability, calibration_error, reliability
from audit.trust.left_over import (
    DRAWS,
    Drawn,
    Estimate,
    Rest,
    Sampled,
    by_type,
    drawn,
    rest_of_frames,
    rest_of_labels,
    together,
)
from audit.trust.stopping import Advice, advise, pace
from audit.trust.verdicts import OPEN, Facts, Recalibration, facts_of, learnt_from

FOLDS = 5
FEW_DRAWS = 300
FEWEST = 30
"""Verdicts from which on a calibration error says something."""


@dataclass(frozen=True)
class Part:
    """Labels or photos that no finding is about: what was asked of them by chance, and what may be left.

    span: on how many frames of a video each of those left is taken to show; 1 in photos, and of labels.
    """

    sample: Sampled
    left: Estimate
    span: float = 1.0


@dataclass(frozen=True)
class Trusted:
    """Chances held against verdicts. bins, error: of the scores as the audit gave them.

    learnt_error: of the chances corrected by other verdicts (each fifth judged by what the rest teaches).
    """

    bins: Reliability
    error: float
    learnt_error: float


@dataclass(frozen=True)
class Mistake:
    """A wrong label that a blind question brought to light. frame: row. label: what it should be, "" if not said."""

    frame: int
    annotation_id: int
    label: str


@dataclass(frozen=True)
class Remaining:
    """What is left. judged: findings with a verdict, found: those of them that were right. waiting: all others.

    findings: mistakes among the waiting ones, by_type: of each type. labels, frames: beyond findings, None until
    blind questions were answered; total: all three together, None likewise. trusted: None with too few verdicts.
    """

    judged: int
    found: int
    waiting: int
    findings: Estimate
    by_type: dict[FindingType, Estimate]
    labels: Part | None
    frames: Part | None
    total: Estimate | None
    mistakes: tuple[Mistake, ...]
    advice: Advice
    trusted: Trusted | None


def remaining(run: RunFolder, findings: Findings, said: Sequence[Decision]) -> Remaining:
    """Estimate from a run's decisions. findings: all of the run, with ids. said: its decisions, oldest first."""
    judged, real = settled(findings, agreed(said))
    facts = facts_of(findings)
    draws = _draws(facts, judged, real)
    labels, frames, span, mistakes = _sampled(run, findings)
    of_labels, of_frames = rest_of_labels(labels), rest_of_frames(frames, span=span)
    return Remaining(
        judged=int(judged.sum()),
        found=int(real.sum()),
        waiting=int((~judged).sum()),
        findings=together(draws),
        by_type=by_type(draws),
        labels=_part(labels, of_labels),
        frames=_part(frames, of_frames, span),
        total=together(draws, of_labels, of_frames) if labels.asked and frames.asked else None,
        mistakes=mistakes,
        advice=advise(draws, int(real.sum()), _pace(said)),
        trusted=_trusted(facts[judged], real[judged]),
    )


def outlook(findings: Findings, said: Sequence[Decision]) -> tuple[Advice, int]:
    """The advice alone, a little rougher and much cheaper, and how many findings have a verdict."""
    judged, real = settled(findings, agreed(said))
    return advise(_draws(facts_of(findings), judged, real, FEW_DRAWS), int(real.sum()), _pace(said)), int(judged.sum())


def _draws(facts: Facts, judged: BoolArray, real: FloatArray, number: int = DRAWS) -> Drawn:
    waiting = facts[~judged]
    ranked = learnt_from(facts[judged], real[judged]).chance(waiting)
    return drawn(learnt_from(facts[judged], real[judged], OPEN), waiting, bands(ranked), ranked, number=number)


def _pace(said: Sequence[Decision]) -> float:
    return pace([t for taken in seconds(said).values() for t in taken.tolist()])


def _part(sample: Sampled, rest: Rest, span: float = 1.0) -> Part | None:
    return Part(sample, rest.estimate(), span) if sample.asked else None


def _sampled(run: RunFolder, findings: Findings) -> tuple[Sampled, Sampled, float, tuple[Mistake, ...]]:
    """What the blind answers say of labels and of frames that still have no finding, and how long objects show."""
    said = agreed(decisions.read(run.path / BLIND, strict=False))
    if not said:
        return Sampled(0, 0, 0), Sampled(0, 0, 0), 1.0, ()
    asked = blind_questions(run.snapshot(annotations=plain_annotations(run)), findings)
    plain, wrong = settled(asked.labels, said)
    labels = Sampled(asked.of_labels, int(plain.sum()), int(wrong.sum()))
    rows = np.flatnonzero(wrong > 0)
    mistakes = tuple(
        Mistake(int(asked.labels.frame[r]), int(asked.labels.annotation_id[r]), said[asked.labels.id[r]].label)
        for r in rows.tolist()
    )
    plain, wrong = settled(asked.frames, said)
    return labels, Sampled(asked.of_frames, int(plain.sum()), int(wrong.sum())), asked.span, mistakes


def _trusted(facts: Facts, real: FloatArray) -> Trusted | None:
    if len(facts) < FEWEST:
        return None
    fold: IntArray = np.arange(len(facts)) % FOLDS
    learnt = np.zeros(len(facts))
    for k in range(FOLDS):
        taught: Recalibration = learnt_from(facts[fold != k], real[fold != k])
        learnt[fold == k] = taught.chance(facts[fold == k])
    bins = reliability(facts.score, real)
    return Trusted(bins, calibration_error(bins), calibration_error(reliability(learnt, real)))
