"""How many findings among how many labels, per type, label, job and annotator, with intervals.

Pure: columns in, columns out. What is counted is *objects*: every annotation that was compared,
plus every object that a missing-label finding says should be one. An object is *in doubt* if at
least one finding at or above the threshold is about it. So the share lies in [0, 1], also where
there are more missing labels than labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import AREA_SHAPES, Frames, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, Table, column, objects

Z_95 = 1.959963984540054
"""0.975 quantile of the standard normal distribution."""

FEW_OBJECTS = 30
WIDE_INTERVAL = 0.2
"""Below so many objects, or with a wider interval, a share says nothing about a person."""

NO_JOB = "(no job)"
NOBODY = "(nobody assigned)"


@dataclass(frozen=True, eq=False)
class Shapes(Table):
    """The columns of ``Annotations`` that counting needs; see there."""

    frame: IntArray = column(np.int64, -1, required=True)
    label: IntArray = column(np.int64, -1, required=True)
    shape: IntArray = column(np.int64, ShapeType.RECTANGLE)
    crowd: BoolArray = column(np.bool_, False)


@dataclass(frozen=True, eq=False)
class Rates(Table):
    """One row per group.

    annotations: all of the group. findings: those at or above the threshold. objects, in_doubt: see
    the module. share: in_doubt / objects, NaN for no objects. low, high: its 95 % interval.
    few: the numbers are too small to judge anybody by them.
    """

    name: ObjectArray = column(object, "", required=True)
    annotations: IntArray = column(np.int64, 0)
    findings: IntArray = column(np.int64, 0)
    objects: IntArray = column(np.int64, 0)
    in_doubt: IntArray = column(np.int64, 0)
    share: FloatArray = column(np.float64, np.nan)
    low: FloatArray = column(np.float64, 0.0)
    high: FloatArray = column(np.float64, 1.0)
    few: BoolArray = column(np.bool_, True)


@dataclass(frozen=True)
class Statistics:
    """by_type has all types in their order; the others are worst first, by the interval's lower end.

    by_job, by_annotator are empty where the source tells no jobs or no assignees.
    """

    threshold: float
    total: Rates
    by_type: Rates
    by_label: Rates
    by_job: Rates
    by_annotator: Rates


def wilson(successes: IntArray, trials: IntArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of the 95 % score interval of a share; (0, 1) for no trials.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927) 209-212; without continuity correction. It takes objects as independent, which the
    frames of one track are not: there the true interval is wider.
    """
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    spread = np.sqrt(np.divide(k * (n - k), n, out=np.zeros_like(n), where=n > 0) + Z_95**2 / 4)
    centre, half = (k + Z_95**2 / 2) / (n + Z_95**2), Z_95 * spread / (n + Z_95**2)
    # exact at the ends, where rounding would leave 1e-17
    return np.where(k == 0, 0.0, np.clip(centre - half, 0, 1)), np.where(k == n, 1.0, np.clip(centre + half, 0, 1))


def summarise(
    shapes: Shapes,
    frames: Frames,
    findings: Findings,
    labels: Sequence[str],
    *,
    assignees: Mapping[int, str],
    threshold: float,
) -> Statistics:
    """Count everything. assignees: user name by job id. threshold: in [0, 1], findings below do not count."""
    picked = findings[findings.score >= threshold]
    job_ids, job_of_frame = np.unique(frames.job, return_inverse=True)
    jobs = [NO_JOB if job < 0 else f"job {job}" for job in job_ids.tolist()]
    people, person_of_job = _distinct([assignees.get(job) or NOBODY for job in job_ids.tolist()])
    job = job_of_frame.reshape(-1)
    person = person_of_job[job]
    own_label = np.where(picked.annotation < 0, picked.suggested_label, picked.label)
    return Statistics(
        threshold=threshold,
        total=_rates(["all"], np.zeros_like(shapes.frame), np.zeros_like(picked.frame), shapes, picked),
        by_type=Rates.concat(_type_rates(kind, shapes, picked) for kind in FindingType),
        by_label=_worst_first(_rates(labels, shapes.label, own_label, shapes, picked)),
        by_job=_known(_rates(jobs, job[shapes.frame], job[picked.frame], shapes, picked), NO_JOB),
        by_annotator=_known(_rates(people, person[shapes.frame], person[picked.frame], shapes, picked), NOBODY),
    )


def _distinct(values: list[str]) -> tuple[list[str], IntArray]:
    names = sorted(set(values))
    position = {name: i for i, name in enumerate(names)}
    return names, np.array([position[v] for v in values], dtype=np.int64)


def _type_rates(kind: FindingType, shapes: Shapes, picked: Findings) -> Rates:
    of_kind = picked[picked.type == kind]
    return _rates([kind.title], np.zeros_like(shapes.frame), np.zeros_like(of_kind.frame), shapes, of_kind)


def _rates(names: Sequence[str], group: IntArray, finding_group: IntArray, shapes: Shapes, picked: Findings) -> Rates:
    """group: (annotations,), finding_group: (findings,): rows of ``names``, -1 for none."""
    about_shape = picked.annotation >= 0
    doubted = np.zeros(len(shapes), bool)
    doubted[picked.annotation[about_shape]] = True
    # a shape that cannot be compared with a model can still be invalid or a duplicate
    judged = doubted | (np.isin(shapes.shape, AREA_SHAPES) & ~shapes.crowd)
    missing = _count(finding_group[~about_shape], len(names))
    objects_ = _count(group[judged], len(names)) + missing
    in_doubt = _count(group[doubted], len(names)) + missing
    low, high = wilson(in_doubt, objects_)
    return Rates(
        name=objects(names),
        annotations=_count(group, len(names)),
        findings=_count(finding_group, len(names)),
        objects=objects_,
        in_doubt=in_doubt,
        share=np.divide(in_doubt, objects_, out=np.full(len(names), np.nan), where=objects_ > 0),
        low=low,
        high=high,
        few=(objects_ < FEW_OBJECTS) | (high - low > WIDE_INTERVAL),
    )


def _count(group: IntArray, n: int) -> IntArray:
    return np.bincount(group[group >= 0], minlength=n)


def _worst_first(rates: Rates) -> Rates:
    used = rates[(rates.annotations > 0) | (rates.findings > 0)]
    return used[np.lexsort([-used.findings, -used.low])]


def _known(rates: Rates, nothing: str) -> Rates:
    return _worst_first(rates) if any(name != nothing for name in rates.name) else rates[:0]
