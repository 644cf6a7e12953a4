"""What reviewers' answers tell: about the findings, about each other, and about the reviewers themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.decisions import Decision, Verdict, agreed, standing
from audit.core.table import FloatArray

RESAMPLES = 1000
MIN_UNITS = 2
"""Findings with two verdicts below which agreement cannot be said."""


@dataclass(frozen=True)
class Tally:
    """What became of a group of findings. disputed: reviewers contradict each other, so it counts as neither."""

    accepted: int = 0
    rejected: int = 0
    unsure: int = 0
    disputed: int = 0

    @property
    def judged(self) -> int:
        """Findings with a plain verdict: the denominator of precision."""
        return self.accepted + self.rejected


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha for nominal data: 1 perfect, 0 as by chance; NaN where it cannot be said.

    low, high: 95 % interval, by resampling findings. findings: how many have two verdicts or more.
    same: share of them on which all said the same.
    """

    alpha: float
    low: float
    high: float
    findings: int
    same: float


@dataclass(frozen=True)
class Checked:
    """One reviewer's answers to planted questions: wrong suggestions and true ones, and how many were missed."""

    wrong: int = 0
    wrong_accepted: int = 0
    true: int = 0
    true_rejected: int = 0

    @property
    def bias(self) -> float:
        """Share of wrong suggestions accepted less share of true ones rejected, in [-1, 1]; above 0 leans to "yes".

        NaN until both kinds were answered.
        """
        if not self.wrong or not self.true:
            return float("nan")
        return self.wrong_accepted / self.wrong - self.true_rejected / self.true


def tallies(decisions: Sequence[Decision], group: Mapping[str, str]) -> dict[str, Tally]:
    """What became of the findings of each group. group: a group's name by finding id; others are left out."""
    settled = agreed(decisions)
    names: dict[str, list[str]] = {}
    for finding in sorted({d.finding for d in standing(decisions).values()}):
        if finding in group:
            said = settled[finding].verdict.value if finding in settled else "disputed"
            names.setdefault(group[finding], []).append(said)
    return {name: _tally(said) for name, said in names.items()}


def agreement(decisions: Iterable[Decision], *, seed: int = 0) -> Agreement:
    """How far reviewers agree where several judged the same finding. "Unsure" is an answer like the others."""
    counts = _value_counts(decisions)
    if len(counts) < MIN_UNITS:
        return Agreement(float("nan"), float("nan"), float("nan"), len(counts), _same(counts))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(counts), (RESAMPLES, len(counts)))
    alphas = np.array([_alpha(counts[rows]) for rows in drawn])
    known = alphas[np.isfinite(alphas)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return Agreement(_alpha(counts), float(low), float(high), len(counts), _same(counts))


def seconds(decisions: Iterable[Decision]) -> dict[str, FloatArray]:
    """By reviewer, the seconds of each standing verdict that were measured."""
    taken: dict[str, list[float]] = {}
    for d in standing(decisions).values():
        if d.seconds > 0:
            taken.setdefault(d.reviewer, []).append(d.seconds)
    return {reviewer: np.array(values) for reviewer, values in sorted(taken.items())}


def checked(answers: Iterable[Decision], expected: Mapping[str, Verdict]) -> dict[str, Checked]:
    """By reviewer, how the planted questions were answered. expected: the right verdict by id. "Unsure" is no miss."""
    result: dict[str, Checked] = {}
    for d in standing(answers).values():
        if d.finding not in expected:
            continue
        c = result.get(d.reviewer, Checked())
        if expected[d.finding] is Verdict.REJECT:
            c = Checked(c.wrong + 1, c.wrong_accepted + (d.verdict is Verdict.ACCEPT), c.true, c.true_rejected)
        else:
            c = Checked(c.wrong, c.wrong_accepted, c.true + 1, c.true_rejected + (d.verdict is Verdict.REJECT))
        result[d.reviewer] = c
    return dict(sorted(result.items()))


def _tally(said: Sequence[str]) -> Tally:
    return Tally(said.count("accept"), said.count("reject"), said.count("unsure"), said.count("disputed"))


def _value_counts(decisions: Iterable[Decision]) -> FloatArray:
    """(findings, answers) how many gave each answer, for findings with two or more."""
    said: dict[str, list[tuple[str, str]]] = {}
    for d in standing(decisions).values():
        said.setdefault(d.finding, []).append((d.verdict.value, d.label))
    several = [answers for _, answers in sorted(said.items()) if len(answers) > 1]
    kinds = {kind: i for i, kind in enumerate(sorted({a for answers in several for a in answers}))}
    counts = np.zeros((len(several), len(kinds)))
    for row, answers in zip(counts, several, strict=True):
        for answer in answers:
            row[kinds[answer]] += 1
    return counts


def _same(counts: FloatArray) -> float:
    return float((counts.max(axis=1) == counts.sum(axis=1)).mean()) if len(counts) else float("nan")


def _alpha(counts: FloatArray) -> float:
    """NaN where all answers are the same: then there is nothing that could be agreed on beyond chance."""
    import krippendorff

    if (counts.sum(axis=0) > 0).sum() < 2:
        return float("nan")
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
