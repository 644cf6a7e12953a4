"""Audits to try stop rules on: findings of which it is known which are real, made up or from spoilt photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Snapshot
from audit.core.findings import FindingType
from audit.core.table import BoolArray, FloatArray, IntArray
from audit.trust.verdicts import Facts, facts_of
from scripts.benchmarks.labelled import LabelledSet
from scripts.benchmarks.mistakes import RATE, judge, spoil
from scripts.benchmarks.quality import ours

FINDINGS, LABELS, FRAMES = 1500, 3000, 500
"""Of a made-up audit: as a task of some hundred photographs has."""


@dataclass(frozen=True)
class Truth:
    """An audit and its truth. real: (findings,). wrong: (labels that no finding is about,).

    overlooked: (frames,) objects on each that have neither label nor finding.
    """

    facts: Facts
    real: BoolArray
    wrong: BoolArray
    overlooked: IntArray


Bend = Callable[[FloatArray, Facts], FloatArray]
"""From log odds of the scores to those of the truth."""


def _shift(slope: float, by: float) -> Bend:
    return lambda z, _: slope * z + by


def _one_type_cries_wolf(z: FloatArray, facts: Facts) -> FloatArray:
    return np.asarray(np.where(facts.type == FindingType.EXTRA_ANNOTATION, z - 2.5, z))


def _some_labels_cry_wolf(z: FloatArray, facts: Facts) -> FloatArray:
    return np.asarray(np.where(facts.label < 4, z - 2.0, z + 0.2))


def _faint_ones_are_noise(z: FloatArray, _: Facts) -> FloatArray:
    return np.asarray(np.where(z < -0.8, z - 2.0, z))


def _faint_ones_are_real(z: FloatArray, _: Facts) -> FloatArray:
    return np.asarray(np.where(z < -1.4, z + 1.2, z))


CONDITIONS: dict[str, tuple[Bend, float, float]] = {
    "scores are right": (_shift(1.0, 0.0), 0.004, 0.02),
    "over-confident": (_shift(0.8, -1.2), 0.004, 0.02),
    "far over-confident, few mistakes": (_shift(1.0, -2.5), 0.001, 0.005),
    "under-confident": (_shift(1.0, 0.8), 0.004, 0.02),
    "scores tell little": (_shift(0.4, -0.8), 0.004, 0.02),
    "one type cries wolf": (_one_type_cries_wolf, 0.004, 0.02),
    "some labels cry wolf": (_some_labels_cry_wolf, 0.004, 0.02),
    "faint ones are noise": (_faint_ones_are_noise, 0.004, 0.02),
    "faint ones are real": (_faint_ones_are_real, 0.004, 0.02),
    "many mistakes without a finding": (_shift(1.0, 0.0), 0.05, 0.3),
}
"""By name: how truth bends away from the scores, the share of wrong labels without a finding, objects overlooked."""


def made_up(condition: str, seed: int) -> Truth:
    """An audit whose scores are as wrong as the condition says."""
    bend, wrong, overlooked = CONDITIONS[condition]
    rng = np.random.default_rng([seed, sorted(CONDITIONS).index(condition)])
    score = np.clip(
        np.where(rng.random(FINDINGS) < 0.1, rng.beta(3, 1, FINDINGS), rng.beta(0.5, 6, FINDINGS)), 0.02, 0.999
    )
    kinds = rng.choice(5, FINDINGS, p=[0.3, 0.25, 0.15, 0.25, 0.05])
    facts = Facts(score=score, type=kinds, label=rng.integers(0, 20, FINDINGS))
    chance = 1 / (1 + np.exp(-bend(np.log(score / (1 - score)), facts)))
    return Truth(facts, rng.random(FINDINGS) < chance, rng.random(LABELS) < wrong, rng.poisson(overlooked, FRAMES))


def photographed(data: LabelledSet, seed: int, rate: float | Mapping[FindingType, float] = RATE) -> Truth:
    """Our findings on photographs whose labels were spoilt; only what was planted counts as real."""
    spoilt = spoil(data.snapshot.annotations, data.frame_hw, seed, rate=rate)
    a = spoilt.annotations
    found = ours(Snapshot(data.name, data.snapshot.labels, data.snapshot.frames, a), data.predictions)
    real = judge(found, spoilt)
    silent = ~np.isin(np.arange(len(a)), np.concatenate([found.annotation, found.related]))
    wrong_ids = [i for _, i in spoilt.wrong]
    lost = np.bincount(spoilt.dropped.frame, minlength=len(data.frame_hw))
    hits = found.frame[real & (found.type == FindingType.MISSING_ANNOTATION)]
    overlooked = lost - np.bincount(hits, minlength=len(lost))
    return Truth(facts_of(found), real, np.isin(a.annotation_id[silent], wrong_ids), overlooked)
