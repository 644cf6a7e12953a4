"""What is overlooked in a video: objects, each counted once, however many frames it shows on."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.annotations import Annotations, Frames, ShapeType, Snapshot
from audit.core.findings import Findings
from audit.loop.blind import blind_questions
from audit.trust.left_over import Sampled, rest_of_frames


def span(annotations: Annotations) -> float:
    frames = Frames(name=["x"] * 20, number=range(20), task=[1] * 10 + [2] * 10)
    return blind_questions(Snapshot("x", ("car",), frames, annotations), Findings()).span


def tracks(shape: list[int], track: list[bool]) -> Annotations:
    """Two tracks of the same id, over four frames of one task and two of another, and as many single shapes."""
    n = 6
    return Annotations(
        xyxy=np.zeros((2 * n, 4)),
        frame=[0, 1, 2, 3, 10, 11, *range(n)],
        label=[0] * 2 * n,
        annotation_id=[5] * n + list(range(10, 10 + n)),
        track=track,
        shape=shape,
    )


def test_an_object_shows_on_one_frame_where_there_are_no_tracks() -> None:
    assert span(Annotations()) == 1.0
    assert span(tracks([0] * 12, [False] * 12)) == 1.0


def test_a_track_is_one_object_and_tags_are_none() -> None:
    both = [True] * 6 + [False] * 6
    assert span(tracks([0] * 12, both)) == 12 / 8
    assert span(tracks([0] * 6 + [ShapeType.TAG] * 6, both)) == 3.0
    assert span(tracks([ShapeType.TAG] * 12, both)) == 1.0


@pytest.mark.parametrize("sample", [Sampled(0, 0, 0), Sampled(10, 0, 0), Sampled(10, 10, 4), Sampled(1000, 100, 30)])
def test_in_photos_nothing_changes(sample: Sampled) -> None:
    plain, told = rest_of_frames(sample), rest_of_frames(sample, span=1.0)
    assert np.array_equal(plain.low, told.low) and np.array_equal(plain.high, told.high)
    assert plain.expected == told.expected


@pytest.mark.parametrize(("frames", "length", "missed"), [(2000, 100, 5), (2000, 100, 40), (2000, 1500, 2)])
def test_intervals_hold_the_number_of_objects_not_of_frames(frames: int, length: int, missed: int) -> None:
    rng, held, expected = np.random.default_rng(0), 0, []
    for _ in range(100):
        spans = np.clip(rng.exponential(length, missed), 1, frames).astype(int)
        starts = np.array([rng.integers(0, frames - s + 1) for s in spans])
        asked = rng.choice(frames, 50, replace=False)[:, None]
        wrong = ((asked >= starts) & (asked < starts + spans)).any(axis=1)
        labelled = np.clip(rng.exponential(length, 20), 1, frames).mean()
        told = rest_of_frames(Sampled(frames, 50, int(wrong.sum())), span=float(labelled), number=300).estimate()
        held += told.low <= missed <= told.high
        expected.append(told.expected)
    assert held >= 90
    assert (
        missed / 3 < np.median(expected) < 3 * missed
    )  # counted on each frame they would be hundreds of times as many
