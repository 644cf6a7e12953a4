"""Findings on the frames of a track that have one cause, as one finding. Pure; a few tracks at a time.

A track has one label and one life: a wrong label, a second track on the same object, or a track along which nothing
is seen is one mistake, however many frames show it. A box that lies off usually has one key frame that is wrong or
lacking: one finding for each stretch of frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.checks.evidence_over_time import SURE, half_as_likely, log_odds, stretches, tail, together
from audit.core.annotations import Frames
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray, IntArray, Table, column

LINGERS = 5
"""Frames without any sign of the object, at the beginning or the end of a track, from which on the track is too long
there. In the middle nothing can be told from that: what is seen before and after is there, though it is hidden."""
LIKELY = 0.5
"""What is likelier of a track as a whole is the cause, whatever else speaks against parts of it."""
TrackKey = tuple[int, int]
"""Task and id."""


@dataclass(frozen=True)
class Clock:
    """When frames are. task, number: (frames,) of the source. place: (frames,) 0, 1, 2 ... among a task's audited ones.

    Frames that were not audited have the place of the one before: they are no gap.
    """

    task: IntArray
    number: IntArray
    place: IntArray

    @classmethod
    def of(cls, frames: Frames, audited: BoolArray) -> Clock:
        """Jobs that overlap share the places of their common frames."""
        order = np.lexsort([frames.number, frames.task])
        task, number = frames.task[order], frames.number[order]
        new = np.append(True, (task[1:] != task[:-1]) | (number[1:] != number[:-1]))[: len(order)]
        counted = np.zeros(len(order), np.int64)
        np.maximum.at(counted, np.cumsum(new) - 1, audited[order].astype(np.int64))
        place = np.empty(len(order), np.int64)
        place[order] = np.cumsum(counted)[np.cumsum(new) - 1]
        return cls(frames.task, frames.number, place)


@dataclass(frozen=True, eq=False)
class Sightings(Table):
    """One row for each frame on which a track was compared with what a model sees.

    track: its id. frame: row of the frames. seen: the highest score with which its own name is predicted there.
    """

    track: IntArray = column(np.int64, -1, required=True)
    frame: IntArray = column(np.int64, -1, required=True)
    seen: FloatArray = column(np.float64, 0.0, required=True)


@dataclass(frozen=True)
class Causes:
    """findings: one for each cause, without ids. whole: (n,) which are about a track as a whole."""

    findings: Findings
    whole: BoolArray

    @classmethod
    def concat(cls, parts: list[Causes]) -> Causes:
        """All of them, in order."""
        whole = np.concatenate([np.zeros(0, bool), *(p.whole for p in parts)])
        return cls(Findings.concat(p.findings for p in parts), whole)

    def __getitem__(self, rows: BoolArray | IntArray) -> Causes:
        return Causes(self.findings[rows], self.whole[rows])


def track_causes(found: Findings, sightings: Sightings, clock: Clock, floor: float) -> Causes:
    """The causes behind all findings on some tracks, but duplicates. Those that come to less than floor are left out.

    found: with reasons where the score is at least floor; fainter ones too, since they speak against a cause.
    sightings: of the same tracks. Their order does not matter.
    """
    f = found[in_time(found, clock)]
    seen = sightings[np.lexsort([clock.place[sightings.frame], sightings.track, clock.task[sightings.frame]])]
    along = _groups(np.column_stack([clock.task[seen.frame], seen.track]))
    parts = []
    for (task, track, kind), rows in _groups(np.column_stack([clock.task[f.frame], f.annotation_id, f.type])).items():
        track_seen = seen[along.get((task, track), slice(0, 0))]
        parts += list(_causes(FindingType(kind), f[rows], _Along.of(f[rows], track_seen, clock), floor))
    made = Causes.concat(parts)
    return made[made.findings.score >= floor]


@dataclass(frozen=True)
class _Along:
    """A track, frame by frame. place, frame: of each sighting. odds: (n,) of what is asked. told: whether any are.

    at: (rows,) where each finding stands among them. silent: where the track's own name is predicted or not.
    """

    place: IntArray
    frame: IntArray
    odds: FloatArray
    silent: BoolArray
    at: IntArray
    clock: Clock

    @classmethod
    def of(cls, f: Findings, seen: Sightings, clock: Clock) -> _Along:
        """Where there is no finding, the track's own name is predicted there, or nothing is."""
        place = clock.place[seen.frame]
        odds = np.full(len(seen), -SURE)
        at = np.minimum(np.searchsorted(place, clock.place[f.frame]), max(len(seen) - 1, 0))
        silent = seen.seen <= 0
        if len(seen):
            odds[at] = log_odds(f.score)
            silent[at] = False
        return cls(place, seen.frame, odds, silent, at, clock)


def _causes(kind: FindingType, f: Findings, along: _Along, floor: float) -> Iterator[Causes]:
    """Of one track and one type, sorted by place."""
    if kind is FindingType.INVALID_SHAPE or not len(along.place):
        yield from _faults(f, along.clock)
    elif kind is FindingType.EXTRA_ANNOTATION:
        yield from _extra(f, along, floor)
    elif kind is FindingType.MISMATCHING_LABEL:
        yield from _mislabelled(f, along, floor)
    else:
        yield from _slipped(f, along, floor)


def _faults(f: Findings, clock: Clock) -> Iterator[Causes]:
    """Shapes that cannot be right need no evidence: the worst of each fault stands for all."""
    for reason in dict.fromkeys(f.reason.tolist()):
        rows = f[np.array([r == reason for r in f.reason.tolist()], bool)]
        yield cause_of(rows, float(rows.score.max()), rows.frame, clock, "of this track")


def _extra(f: Findings, along: _Along, floor: float) -> Iterator[Causes]:
    """A track along which nothing is predicted; or only its end, or its beginning, where it outlasts the object.

    Of both ends the one that more speaks for: whoever looks at it sees the other.
    """
    score, n = together(along.odds), len(along.odds)
    ends = [(tail(along.odds), slice(n - tail(along.odds), n)), (tail(along.odds[::-1]), slice(tail(along.odds[::-1])))]
    lingering = [part for length, part in ends if LINGERS <= length < n]
    if score >= LIKELY or not lingering:
        yield from _whole(f, f.score >= floor, score, along)
        return
    for part in sorted(lingering, key=lambda part: -float(along.odds[part].sum()))[:1]:
        inside = (along.at >= part.start) & (along.at < part.stop) if part.start else along.at < part.stop
        rows = f[inside & (f.score >= floor)]
        if len(rows):
            yield cause_of(rows, together(along.odds[part]), along.frame[part], along.clock, "of this track")


def _mislabelled(f: Findings, along: _Along, floor: float) -> Iterator[Causes]:
    """One for the track, with the name that most speaks for; frames on which nothing is seen say nothing."""
    names, place = np.unique(f.suggested_label, return_inverse=True)
    best = names[np.bincount(place.reshape(-1), weights=f.score).argmax()]
    chosen = (f.suggested_label == best) & (f.score >= floor)
    yield from _whole(f, chosen, together(along.odds[~along.silent]), along)


def _whole(f: Findings, chosen: BoolArray, score: float, along: _Along) -> Iterator[Causes]:
    if chosen.any():
        words = "of this track that were compared"
        made = cause_of(f[chosen], score, along.frame, along.clock, words, among=len(along.place))
        yield Causes(made.findings, np.ones(1, bool))


def _slipped(f: Findings, along: _Along, floor: float) -> Iterator[Causes]:
    """One for each stretch; a track that nowhere lies off likely has one, for where it most does."""
    limit, likeliest_at = half_as_likely(along.odds), int(along.odds.argmax())
    found = [told[part] for told in _shown(along) for part in stretches(along.odds[told] - limit)]
    if along.odds.max() <= 0:
        found = [within for within in found if likeliest_at in within]
    for within in found:
        inside = (along.at >= within[0]) & (along.at <= within[-1]) & (f.score >= floor)
        if inside.any():
            yield cause_of(f[inside], together(along.odds[within]), along.frame[within], along.clock, "of this track")


def _shown(along: _Along) -> list[IntArray]:
    """The sightings that say something, apart where the track is hidden in between: it begins anew then."""
    told = np.flatnonzero(~along.silent)
    life = np.cumsum(np.append(0, np.diff(along.place) > 1))[told]
    return np.split(told, np.flatnonzero(np.diff(life)) + 1) if len(told) else []


def cause_of(rows: Findings, score: float, frames: IntArray, clock: Clock, words: str, *, among: int = 0) -> Causes:
    """One finding for all of these, told by the likeliest; the first of equals. frames: all it is about, in time.

    words: what the frames are of. among: of how many such frames those of the rows are, if that says something.
    """
    best = rows[np.array([rows.score.argmax()])]
    first, last = int(frames[0]), int(frames[-1])
    if len(frames) > 1:
        span = f"{clock.number[first]} to {clock.number[last]}"
        many = "1 frame" if len(rows) == 1 else f"{len(rows)} frames"
        if among:
            many = f"all {many}" if len(rows) == among else f"{len(rows)} of the {among} frames"
        reason = f"{best.reason[0]} So it is on {many} {words} ({span})."
        best = best.replace(reason=np.array([reason, None], dtype=object)[:1])
    made = best.replace(score=[score], frames=[len(rows)], first_frame=[first], last_frame=[last])
    return Causes(made, np.zeros(1, bool))


def likeliest(causes: Causes, clock: Clock) -> Causes:
    """One cause gives one finding: of each track what is likeliest of the whole, and stretches that are likelier still.

    What is likely of the whole explains its parts: where a track should not be, or is called by a wrong name, its boxes
    cannot fit. A likely duplicate goes first, as for single shapes. Shapes that cannot be right stay.
    """
    f, whole = causes.findings, causes.whole
    likely = f.score >= LIKELY
    claim = f.score + (whole & likely) + (likely & (f.type == FindingType.DUPLICATE_ANNOTATION))
    keys = list(zip(clock.task[f.frame].tolist(), f.annotation_id.tolist(), strict=True))
    best: dict[TrackKey, tuple[float, int]] = {}
    for row in np.flatnonzero(whole).tolist():
        if keys[row] not in best or claim[row] > best[keys[row]][0]:
            best[keys[row]] = (float(claim[row]), row)
    keep = f.type == FindingType.INVALID_SHAPE
    for row, key in enumerate(keys):
        most, chosen = best.get(key, (-1.0, row))
        keep[row] |= row == chosen or (claim[row] > most and not whole[row])
    return causes[keep & ~_outdone(f, keep & ~whole, claim, keys, clock)]


def _outdone(f: Findings, parts: BoolArray, claim: FloatArray, keys: list[TrackKey], clock: Clock) -> BoolArray:
    """(n,) stretches of a track that share frames with a likelier one of another type. parts: which to look at."""
    first, last = (clock.place[end] for end in f.span())
    outdone = np.zeros(len(f), bool)
    of_track: dict[TrackKey, list[int]] = {}
    for row in np.flatnonzero(parts & (f.type != FindingType.INVALID_SHAPE)).tolist():
        of_track.setdefault(keys[row], []).append(row)
    for rows in of_track.values():
        rows.sort(key=lambda row: -claim[row])
        for place, row in enumerate(rows):
            likelier = [r for r in rows[:place] if not outdone[r] and f.type[r] != f.type[row]]
            outdone[row] = any(first[r] <= last[row] and first[row] <= last[r] for r in likelier)
    return outdone


def in_time(f: Findings, clock: Clock) -> IntArray:
    """By task, track, type and time; of what stands twice on a frame the likeliest last, so that it counts."""
    at = clock.place[f.frame]
    return np.lexsort([f.annotation, f.score, at, f.type, f.annotation_id, clock.task[f.frame]])


def _groups(keys: IntArray) -> dict[tuple[int, ...], slice]:
    """Rows of each distinct key (n, k); equal keys stand together."""
    if not len(keys):
        return {}
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
    stops = np.append(starts[1:], len(keys))
    return {tuple(keys[a].tolist()): slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)}
