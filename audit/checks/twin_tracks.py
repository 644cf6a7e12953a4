"""Two tracks that follow one object are one duplicate, however many frames show it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from audit.checks.causes import Causes, Clock, TrackKey, cause_of, in_time
from audit.checks.evidence_over_time import SURE, log_odds, together
from audit.core.annotations import Annotations
from audit.core.findings import Findings
from audit.core.table import IntArray

CONTAINED = 0.1
"""Of two tracks on one object the one to go is that which the other covers better, by so much of its frames."""

PairKey = tuple[int, int, int]
"""Task, and the ids of two tracks, the lower one first."""


@dataclass(frozen=True)
class Shared:
    """Frames on which both of two tracks are drawn, and those of each."""

    both: int
    lower: int
    higher: int


def pair_keys(found: Findings, other_id: IntArray, clock: Clock) -> list[PairKey]:
    """Of each duplicate among tracks. other_id: (n,) id of the track that stays."""
    ids = np.sort(np.column_stack([found.annotation_id, other_id]), axis=1)
    rows = zip(clock.task[found.frame].tolist(), *ids.T.tolist(), strict=True)
    return [(task, lower, higher) for task, lower, higher in rows]


def duplicate_causes(
    found: Findings, other_id: IntArray, shared: Mapping[PairKey, Shared], clock: Clock, floor: float
) -> Causes:
    """One for each pair of tracks that lie on one another wherever both are. found: all duplicates among tracks.

    The one to go is that which the other covers better, else the one that the model supports less on most frames.
    """
    order = in_time(found, clock)
    f, other_id = found[order], other_id[order]
    parts = []
    rows_of: dict[PairKey, list[int]] = {}
    for row, key in enumerate(pair_keys(f, other_id, clock)):
        rows_of.setdefault(key, []).append(row)
    for key, rows in sorted(rows_of.items()):
        pair, counted = f[np.array(rows)], shared[key]
        gone = _to_go(pair, key, counted)
        pair = _naming(pair, gone)
        pair = pair[np.argsort(clock.place[pair.frame], kind="stable")]
        apart = np.full(max(counted.both - len(pair), 0), -SURE)
        score = together(np.concatenate([log_odds(pair.score), apart]))
        likely = pair[pair.score >= floor]
        if len(likely) and score >= floor:
            words = f"that it shares with track {key[1] + key[2] - gone}"
            made = cause_of(likely, score, pair.frame, clock, words, among=counted.both)
            parts.append(Causes(made.findings, np.ones(1, bool)))
    return Causes.concat(parts)


def _to_go(pair: Findings, key: PairKey, counted: Shared) -> int:
    """The id of the track to delete."""
    cover = (counted.both / max(counted.lower, 1), counted.both / max(counted.higher, 1))
    if abs(cover[0] - cover[1]) > CONTAINED:
        return key[1] if cover[0] > cover[1] else key[2]
    named = [float(pair.score[pair.annotation_id == track].sum()) for track in key[1:]]
    return key[1] if named[0] > named[1] else key[2]


def _naming(pair: Findings, track: int) -> Findings:
    """The duplicates of two tracks, told so that this one is to go."""
    other = pair.annotation_id != track
    turned = pair[other]
    swapped = turned.replace(
        annotation=turned.related,
        related=turned.annotation,
        annotation_id=np.full(len(turned), track),
        label=turned.suggested_label,
        suggested_label=turned.label,
        xyxy=turned.suggested_xyxy,
        suggested_xyxy=turned.xyxy,
    )
    return Findings.concat([pair[~other], swapped])


def shared_frames(tracks: Iterable[Annotations], pairs: Collection[PairKey], clock: Clock) -> dict[PairKey, Shared]:
    """On how many frames both tracks of each pair are, and each of them. tracks: their rows, frame by frame."""
    ids = {(task, track) for task, *both in pairs for track in both}
    alone = dict.fromkeys(ids, 0)
    both = dict.fromkeys(pairs, 0)
    partners: dict[TrackKey, list[PairKey]] = {}
    for key in pairs:
        partners.setdefault((key[0], key[1]), []).append(key)
    for block in tracks:
        wanted = np.isin(block.annotation_id, [track for _, track in ids])
        places = np.column_stack([block.frame, clock.task[block.frame], block.annotation_id])[wanted]
        there = {tuple(row) for row in places.tolist()}
        for frame, task, track in there:
            if (task, track) not in alone:
                continue
            alone[task, track] += 1
            for key in partners.get((task, track), ()):
                both[key] += (frame, task, key[2]) in there
    return {key: Shared(both[key], alone[key[0], key[1]], alone[key[0], key[2]]) for key in pairs}
