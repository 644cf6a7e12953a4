"""How many findings among how many labels, per type, label, job and annotator, with intervals.

Pure: columns in, columns out. What is counted is *objects*: every annotation that was compared,
plus every object that a missing-label finding says should be one; a track is one object in each of
its jobs, however many frames show it. An object is *in doubt* if at least one finding at or above
the threshold is about it. So the share lies in [0, 1], also where
there are more missing labels than labels. Of the types that are about frames, frames are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import AREA_SHAPES, Frames, ShapeType
from audit.core.findings import ABOUT_FRAMES, Findings, FindingType
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
    track: BoolArray = column(np.bool_, False)
    annotation_id: IntArray = column(np.int64, -1)


@dataclass(frozen=True, eq=False)
class Told(Table):
    """The columns of ``Findings`` that counting needs; see there."""

    type: IntArray = column(np.int64, -1, required=True)
    frame: IntArray = column(np.int64, -1, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    annotation: IntArray = column(np.int64, -1)
    label: IntArray = column(np.int64, -1)
    suggested_label: IntArray = column(np.int64, -1)


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
    (1927) 209-212; without continuity correction. It takes objects as independent.
    """
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    spread = np.sqrt(np.divide(k * (n - k), n, out=np.zeros_like(n), where=n > 0) + Z_95**2 / 4)
    centre, half = (k + Z_95**2 / 2) / (n + Z_95**2), Z_95 * spread / (n + Z_95**2)
    # exact at the ends, where rounding would leave 1e-17
    return np.where(k == 0, 0.0, np.clip(centre - half, 0, 1)), np.where(k == n, 1.0, np.clip(centre + half, 0, 1))


class Counting:
    """Counts piece by piece, so that no table has to be in memory whole: all findings first, then all shapes."""

    def __init__(
        self,
        job_of_frame: IntArray,
        n_shapes: int,
        labels: Sequence[str],
        *,
        assignees: Mapping[int, str],
        threshold: float,
    ) -> None:
        """job_of_frame: (frames,) ids, -1 for none. The rest as for ``summarise``."""
        job_ids, job = np.unique(job_of_frame, return_inverse=True)
        jobs = [NO_JOB if job < 0 else f"job {job}" for job in job_ids.tolist()]
        people, person_of_job = _distinct([assignees.get(job) or NOBODY for job in job_ids.tolist()])
        self._threshold = threshold
        self._job = job.reshape(-1)
        self._person = person_of_job[self._job]
        self._total, self._label = _Tally(["all"]), _Tally(labels)
        self._jobs, self._people = _Tally(jobs), _Tally(people)
        self._types = _Tally([kind.title for kind in FindingType])
        self._types.judged[list(ABOUT_FRAMES)] = len(job_of_frame)
        self._frames_in_doubt = np.zeros((len(FindingType), len(job_of_frame)), bool)
        # one bit for each type of finding
        self._doubts = np.zeros(n_shapes, np.uint16)
        self._shapes_seen = 0
        self._tracks: dict[tuple[int, int, int], list[int]] = {}

    def findings(self, piece: Findings | Told) -> None:
        """Count some of the findings; those below the threshold do not count."""
        f = piece[piece.score >= self._threshold]
        about_shape = f.annotation >= 0
        bits = np.left_shift(1, f.type[about_shape]).astype(np.uint16)
        np.bitwise_or.at(self._doubts, f.annotation[about_shape], bits)
        about_frame = np.isin(f.type, ABOUT_FRAMES)
        self._frames_in_doubt[f.type[about_frame], f.frame[about_frame]] = True
        own_label = np.where(about_shape, f.label, f.suggested_label)
        for tally, group in (
            (self._total, np.zeros_like(f.frame)),
            (self._types, f.type),
            (self._label, own_label),
            (self._jobs, self._job[f.frame]),
            (self._people, self._person[f.frame]),
        ):
            tally.findings += tally.count(group)
            tally.missing += tally.count(group[~about_shape & ~about_frame])

    def shapes(self, piece: Shapes) -> None:
        """Count the next shapes, in the order of the table."""
        doubts = self._doubts[self._shapes_seen : self._shapes_seen + len(piece)].astype(np.int64)
        self._shapes_seen += len(piece)
        # a shape that cannot be compared with a model can still be invalid or a duplicate
        compared = np.isin(piece.shape, AREA_SHAPES) & ~piece.crowd
        for tally, group in self._groups(piece.label, piece.frame):
            tally.annotations += tally.count(group)
        for kind in set(FindingType) - set(ABOUT_FRAMES):
            self._types.annotations[kind] += len(piece)
        alone = ~piece.track
        self._objects(piece.label[alone], piece.frame[alone], compared[alone], doubts[alone])
        self._keep(piece[piece.track], compared[piece.track], doubts[piece.track])

    def _groups(self, label: IntArray, frame: IntArray) -> tuple[tuple[_Tally, IntArray], ...]:
        return (
            (self._total, np.zeros_like(frame)),
            (self._label, label),
            (self._jobs, self._job[frame]),
            (self._people, self._person[frame]),
        )

    def _objects(self, label: IntArray, frame: IntArray, compared: BoolArray, doubts: IntArray) -> None:
        """Count objects. doubts: a bit for each type of finding about it."""
        for tally, group in self._groups(label, frame):
            tally.judged += tally.count(group[compared | (doubts > 0)])
            tally.doubted += tally.count(group[doubts > 0])
        for kind in set(FindingType) - set(ABOUT_FRAMES):
            doubted = (doubts >> int(kind)) & 1 > 0
            self._types.judged[kind] += np.count_nonzero(compared | doubted)
            self._types.doubted[kind] += np.count_nonzero(doubted)

    def _keep(self, piece: Shapes, compared: BoolArray, doubts: IntArray) -> None:
        """Frames of tracks, which are counted once all are in."""
        keys = np.column_stack([self._job[piece.frame], piece.annotation_id, piece.label])
        used, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        any_compared, all_doubts = np.zeros(len(used), bool), np.zeros(len(used), np.int64)
        np.logical_or.at(any_compared, place.reshape(-1), compared)
        np.bitwise_or.at(all_doubts, place.reshape(-1), doubts)
        facts = zip(piece.frame[first].tolist(), any_compared.tolist(), all_doubts.tolist(), strict=True)
        for (job, ident, label), (frame, seen, bits) in zip(used.tolist(), facts, strict=True):
            known = self._tracks.setdefault((job, ident, label), [frame, 0, 0])
            known[1] |= seen
            known[2] |= bits

    def _count_tracks(self) -> None:
        labels = np.array([label for _, _, label in self._tracks], np.int64)
        frame, compared, doubts = np.array(list(self._tracks.values()), np.int64).reshape(-1, 3).T
        self._objects(labels, frame, compared > 0, doubts)
        self._tracks = {}

    def statistics(self) -> Statistics:
        """What all of it comes to."""
        self._count_tracks()
        self._types.doubted[list(ABOUT_FRAMES)] = self._frames_in_doubt[list(ABOUT_FRAMES)].sum(axis=1)
        return Statistics(
            threshold=self._threshold,
            total=self._total.rates(),
            by_type=self._types.rates(),
            by_label=_worst_first(self._label.rates()),
            by_job=_known(self._jobs.rates(), NO_JOB),
            by_annotator=_known(self._people.rates(), NOBODY),
        )


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
    counting = Counting(frames.job, len(shapes), labels, assignees=assignees, threshold=threshold)
    counting.findings(findings)
    counting.shapes(shapes)
    return counting.statistics()


def _distinct(values: list[str]) -> tuple[list[str], IntArray]:
    names = sorted(set(values))
    position = {name: i for i, name in enumerate(names)}
    return names, np.array([position[v] for v in values], dtype=np.int64)


class _Tally:
    """Numbers by group. missing: findings that tell of an object nobody labelled; judged, doubted: of shapes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.annotations, self.findings, self.missing, self.judged, self.doubted = np.zeros((5, len(names)), np.int64)

    def count(self, group: IntArray) -> IntArray:
        """How often each group comes; -1 is none."""
        return np.bincount(group[group >= 0], minlength=len(self._names))

    def rates(self) -> Rates:
        objects_, in_doubt = self.judged + self.missing, self.doubted + self.missing
        low, high = wilson(in_doubt, objects_)
        return Rates(
            name=objects(self._names),
            annotations=self.annotations,
            findings=self.findings,
            objects=objects_,
            in_doubt=in_doubt,
            share=np.divide(in_doubt, objects_, out=np.full(len(objects_), np.nan), where=objects_ > 0),
            low=low,
            high=high,
            few=(objects_ < FEW_OBJECTS) | (high - low > WIDE_INTERVAL),
        )


def _worst_first(rates: Rates) -> Rates:
    used = rates[(rates.annotations > 0) | (rates.findings > 0)]
    return used[np.lexsort([-used.findings, -used.low])]


def _known(rates: Rates, nothing: str) -> Rates:
    return _worst_first(rates) if any(name != nothing for name in rates.name) else rates[:0]
