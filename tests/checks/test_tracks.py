"""Tracks that break: each kind of break on a track that is otherwise sound, and sound tracks that look odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks.tracks import broken_tracks
from audit.core.annotations import Annotations, Frames, ShapeType
from audit.core.findings import Findings, FindingType


def video(n: int, *, jobs: int = 1) -> Frames:
    return Frames(name=[f"{i}.jpg" for i in range(n)], number=np.arange(n), width=[1000] * n, height=[800] * n,
                  task=[1] * n, job=np.arange(n) * jobs // n)  # fmt: skip


def walk(
    n: int, start: tuple[float, float] = (100, 100), step: tuple[float, float] = (4, 1), size: float = 50
) -> np.ndarray:
    """(n, 4) boxes of something that walks."""
    corner = np.array(start, float) + np.arange(n)[:, None] * np.array(step, float)
    return np.hstack([corner, corner + size])


def tracked(*paths: np.ndarray, label: int = 0, without: tuple[tuple[int, int], ...] = ()) -> Annotations:
    """Paths (n, 4) as tracks 1, 2 ...; NaN rows, and (track, frame) in ``without``, are not there."""
    rows = [
        (frame, k + 1, box)
        for k, path in enumerate(paths)
        for frame, box in enumerate(path)
        if np.isfinite(box).all() and (k + 1, frame) not in without
    ]
    rows.sort(key=lambda r: (r[0], r[1]))
    return Annotations(
        xyxy=np.array([b for _, _, b in rows]).reshape(-1, 4),
        frame=[f for f, _, _ in rows],
        label=[label] * len(rows),
        annotation_id=[k for _, k, _ in rows],
        track=[True] * len(rows),
    )


def told(found: Findings) -> list[tuple[int, int]]:
    """Frame and track of each finding."""
    assert set(found.type.tolist()) <= {FindingType.BROKEN_TRACK}
    return list(zip(found.frame.tolist(), found.annotation_id.tolist(), strict=True))


def test_nothing_and_what_is_no_track() -> None:
    assert len(broken_tracks(Annotations(), Frames())) == 0
    assert len(broken_tracks(Annotations(), video(3))) == 0
    path = walk(20)
    path[10] += 400
    assert told(broken_tracks(tracked(path), video(20))) == [(10, 1)]
    assert len(broken_tracks(tracked(path).replace(track=[False] * 20), video(20))) == 0
    assert len(broken_tracks(tracked(path).replace(shape=[ShapeType.POINTS] * 20), video(20))) == 0


def test_a_sound_track_is_left_alone() -> None:
    turning = walk(30)
    turning[15:] = walk(15, (160, 115), (-4, 1))
    growing = walk(30, (500, 100)) * np.linspace(1, 1.6, 30)[:, None]
    leaving = walk(30, (700, 600))
    leaving[12:] = np.nan
    assert told(broken_tracks(tracked(turning, growing, leaving), video(30))) == []


def test_a_jump_for_good_is_told_where_the_track_arrives() -> None:
    path = walk(20)
    path[12:] += [300, 0, 300, 0]
    found = broken_tracks(tracked(path), video(20))
    assert told(found) == [(12, 1)]
    assert found.annotation[0] >= 0
    assert found.score[0] > 0.7
    assert found.suggested_xyxy[0] == pytest.approx(path[11])
    assert "moves by 6.1 times its own size; it usually moves by 0.08" in found.reason[0]


def test_one_frame_out_of_place_is_told_once_with_the_place_between_its_neighbours() -> None:
    path = walk(20)
    expected = path[8].copy()
    path[8] += [0, 90, 0, 90]
    found = broken_tracks(tracked(path), video(20))
    assert told(found) == [(8, 1)]
    assert found.suggested_xyxy[0] == pytest.approx(expected)
    assert "back on the next" in found.reason[0]


def test_a_sudden_size_is_told() -> None:
    path = walk(20)
    path[9:] = walk(11, (40, 20), size=300)
    path[9:] += [36, 9, 36, 9]
    found = broken_tracks(tracked(path), video(20))
    assert (told(found), "its size" in found.reason[0] or "moves" in found.reason[0]) == ([(9, 1)], True)


def test_two_jumps_onwards_are_two() -> None:
    path = walk(20)
    path[8:] += [200, 0, 200, 0]
    path[9:] += [0, 200, 0, 200]
    assert told(broken_tracks(tracked(path), video(20))) == [(8, 1), (9, 1)]


def test_what_is_always_quick_and_what_the_camera_does_is_no_jump() -> None:
    quick = walk(20, step=(45, 0))
    assert told(broken_tracks(tracked(quick), video(20))) == []
    cut = [walk(20, (100 + 150 * k, 100)) for k in range(4)]
    for path in cut:
        path[10:] += [250, 60, 250, 60]
    assert told(broken_tracks(tracked(*cut), video(20))) == []


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_a_blink_is_told_on_the_first_frame_without_the_box(gap: int) -> None:
    path = walk(30, step=(2, 1))
    path[10 : 10 + gap] = np.nan
    found = broken_tracks(tracked(path), video(30))
    assert told(found) == [(10, 1)]
    assert (found.annotation[0], found.label[0], found.suggested_label[0]) == (-1, 0, 0)
    assert found.suggested_xyxy[0] == pytest.approx(walk(30, step=(2, 1))[10])
    assert f"missing on {'one frame' if gap == 1 else f'{gap} frames'}" in found.reason[0]


def test_a_quick_object_blinks_where_it_was_heading() -> None:
    path = walk(30, step=(25, 0))  # 25 px a frame: after three frames it has left its own place
    path[10:12] = np.nan
    found = broken_tracks(tracked(path), video(30))
    assert told(found) == [(10, 1)]
    assert found.score[0] > 0.3
    path[12:] += 200
    assert (10, 1) not in told(broken_tracks(tracked(path), video(30)))


def test_a_long_absence_and_another_place_are_no_blink() -> None:
    away, elsewhere = walk(30, step=(0, 0)), walk(30, (500, 100))
    away[10:16] = np.nan
    elsewhere[10:12] = np.nan
    elsewhere[12:] += 200
    assert told(broken_tracks(tracked(away, elsewhere), video(30))) == []


def test_frames_that_are_not_there_are_no_gap() -> None:
    """Deleted frames: numbers jump, but nothing lies in between."""
    frames = video(20)
    frames = frames.replace(number=np.where(np.arange(20) < 10, np.arange(20), np.arange(20) + 3))
    assert told(broken_tracks(tracked(walk(20)), frames)) == []


def test_two_tracks_that_change_places_are_one_finding() -> None:
    one, other = walk(20, (100, 100)), walk(20, (400, 100), (-2, 1))
    one[11:], other[11:] = other[11:].copy(), one[11:].copy()
    found = broken_tracks(tracked(one, other), video(20))
    assert told(found) == [(11, 1)]
    labels = tracked(one, other)
    assert labels.annotation_id[found.related[0]] == 2
    assert labels.frame[found.related[0]] == 11
    assert found.score[0] >= 0.9
    assert "change places" in found.reason[0]


def test_two_that_pass_each_other_do_not_swap() -> None:
    one, other = walk(40, (100, 100), (8, 0)), walk(40, (420, 110), (-8, 0))
    assert told(broken_tracks(tracked(one, other), video(40))) == []


def test_a_track_does_not_go_on_in_another_job() -> None:
    path = walk(20)
    path[10:] += 300
    assert told(broken_tracks(tracked(path), video(20, jobs=2))) == []


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 25))
def test_frames_may_come_in_any_order(seed: int, tracks: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    paths = [walk(n, tuple(rng.uniform(0, 500, 2)), tuple(rng.uniform(-5, 5, 2))) for _ in range(tracks)]
    for path in paths:
        path[:] = path + rng.choice([0, 0, 0, 0, 250], (n, 1))
        path[rng.random(n) < 0.1] = np.nan
    labels, frames = tracked(*paths), video(n)
    moved = rng.permutation(n)  # frame i stands at row moved[i]
    back = np.argsort(moved)
    shuffled = labels.replace(frame=moved[labels.frame])
    shuffled = shuffled[np.argsort(shuffled.frame, kind="stable")]
    here, there = broken_tracks(labels, frames), broken_tracks(shuffled, frames[back])
    assert sorted(told(here)) == sorted((int(back[f]), k) for f, k in told(there))
    assert ((here.score >= 0) & (here.score <= 1)).all()
