"""In which order findings are asked, and who is asked: worst first, shuffled among equals, some asked twice."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from audit.core.table import FloatArray, IntArray, ObjectArray, Table, column

EDGES = np.array([0.0, 0.025, 0.05, *np.arange(1, 10) / 10])
"""Findings whose scores lie in the same band come in random order: what stands first must not look surer. Below a
tenth, where most findings lie, bands are finer: looking through all of them alike wastes a reviewer's patience."""


@dataclass(frozen=True, eq=False)
class Candidates(Table):
    """What the queue knows of each finding. label: the words to filter by; suggested: likewise. job: -1 for none."""

    id: ObjectArray = column(object, "", required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    type: ObjectArray = column(object, "")
    label: ObjectArray = column(object, "")
    suggested: ObjectArray = column(object, "")
    annotator: ObjectArray = column(object, "")
    job: IntArray = column(np.int64, -1)


@dataclass(frozen=True)
class Filter:
    """Which findings are wanted; "" and None leave a criterion out. label matches either label. job: its id."""

    type: str = ""
    label: str = ""
    annotator: str = ""
    job: int | None = None

    def keep(self, candidates: Candidates) -> np.ndarray:
        """(n,) bool: which rows are wanted."""
        c = candidates
        wanted = np.ones(len(c), bool)
        if self.type:
            wanted &= c.type == self.type
        if self.label:
            wanted &= (c.label == self.label) | (c.suggested == self.label)
        if self.annotator:
            wanted &= c.annotator == self.annotator
        if self.job is not None:
            wanted &= c.job == self.job
        return wanted


EVERYTHING = Filter()


def ordered(score: FloatArray, seed: int) -> IntArray:
    """Rows, highest band of scores first, in an order drawn from the seed within each band. NaN comes last."""
    band = bands(score)
    drawn = np.random.default_rng(seed).permutation(len(band))
    return drawn[np.argsort(-band[drawn], kind="stable")]


def bands(score: FloatArray) -> IntArray:
    """(n,) which band each score lies in; the highest is asked first. NaN: 0."""
    return np.asarray(np.searchsorted(EDGES, np.nan_to_num(np.asarray(score, float), nan=-1.0), side="right"))


def seed_of(*facts: object) -> int:
    """The same number for the same facts, on every machine."""
    text = "\x00".join(map(str, facts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def voices(ids: Iterable[str], overlap: float) -> dict[str, int]:
    """How many reviewers each finding is given to: 2 for this share of them, else 1. The same for everybody.

    overlap: in [0, 1]. Drawn by the id, so that it does not change when the audit is run again.
    """
    return {i: 2 if seed_of("overlap", i) < overlap * 2**64 else 1 for i in ids}


def is_open(reviewer: str, wanted: int, said_by: Collection[str], held_by: Collection[str]) -> bool:
    """Whether a finding may be handed to this reviewer.

    said_by: who has decided it, held_by: who is being asked right now. It is open while fewer people than it
    needs have it, and this one is not among them.
    """
    taken = {*said_by, *held_by}
    return reviewer not in taken and len(taken) < wanted
