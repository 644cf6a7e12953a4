from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.annotations import Annotations, Frames
from audit.loop.folds import EMPTY_SHARE, LEAST_OBJECTS, LEAST_PICTURES, TooLittleError, groups, plan

NAMES = ("cell", "platelet", "worm")


def frames(n: int, tasks: int = 1) -> Frames:
    numbers = np.arange(n)
    return Frames(name=[f"{i}.jpg" for i in range(n)], number=numbers, task=np.sort(numbers % tasks))


def unlike(n: int) -> np.ndarray:
    """Hashes of pictures that have nothing in common."""
    return np.random.default_rng(5).integers(1, 2**63, n, dtype=np.uint64)


def tracks(*rows: tuple[int, int]) -> Annotations:
    """One shape per (frame, id), all of them tracked."""
    n = len(rows)
    frame, ids = np.array(rows, np.int64).reshape(n, 2).T
    return Annotations(xyxy=np.zeros((n, 4)), frame=frame, label=np.zeros(n), annotation_id=ids, track=np.ones(n, bool))


def test_no_pictures_form_no_groups() -> None:
    assert groups(frames(0), unlike(0), Annotations()).tolist() == []


def test_pictures_that_have_nothing_in_common_are_groups_of_their_own() -> None:
    assert len(np.unique(groups(frames(50), unlike(50), Annotations()))) == 50


def test_near_duplicates_belong_together_however_far_apart() -> None:
    hashes = unlike(20)
    hashes[17] = hashes[2] ^ np.uint64(0b11)
    group = groups(frames(20, tasks=4), hashes, Annotations())
    assert group[17] == group[2]
    assert len(np.unique(group)) == 19


def test_neighbours_in_a_sequence_may_differ_more_but_only_within_their_task() -> None:
    hashes = unlike(6)
    changed = np.uint64(2**10 - 1)
    hashes[1] = hashes[0] ^ changed  # neighbours
    hashes[3] = hashes[2] ^ changed  # the last of one task and the first of the next
    hashes[5] = hashes[0] ^ (changed << np.uint64(20))  # as alike, but elsewhere
    group = groups(frames(6, tasks=2), hashes, Annotations())
    assert group[0] == group[1]
    assert len(np.unique(group)) == 5


def test_pictures_without_contrast_are_no_duplicates_of_each_other() -> None:
    assert len(np.unique(groups(frames(4), np.zeros(4, np.uint64), Annotations()))) == 4


def test_a_track_holds_its_frames_together_and_ids_count_within_a_task() -> None:
    group = groups(frames(8, tasks=2), unlike(8), tracks((0, 7), (3, 7), (1, 8), (4, 8)))
    assert group[0] == group[3]
    assert group[1] != group[4]


def many(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3) objects: many cells, some platelets, few worms."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(3, 9, n), rng.integers(0, 3, n), rng.integers(0, 2, n)])


@pytest.mark.parametrize("n", [0, 1, LEAST_PICTURES - 1])
def test_too_few_pictures(n: int) -> None:
    with pytest.raises(TooLittleError, match=rf"{n} of {n} pictures.*at least {LEAST_PICTURES}"):
        plan(frames(n), np.arange(n), many(n), NAMES, 5, seed=0)


def test_too_few_objects_of_every_label() -> None:
    objects = np.zeros((20, 3), np.int64)
    objects[:, 0] = [1] * 10 + [0] * 10
    objects[:, 1] = [0] * 10 + [1] * 10
    with pytest.raises(TooLittleError, match=r"'cell \(10\)', 'platelet \(10\)'"):
        plan(frames(20), np.arange(20), objects, NAMES, 2, seed=0)


def test_every_fold_gets_its_share_of_every_label() -> None:
    objects = many(100)
    planned = plan(frames(100), np.arange(100), objects, NAMES, 5, seed=0)
    held = np.array([objects[planned.fold == k].sum(axis=0) for k in range(5)])
    share = held / objects.sum(axis=0)
    assert planned.folds == 5
    assert planned.labels == (0, 1, 2)
    assert np.bincount(planned.fold).tolist() == [20] * 5
    assert share.min() > 0.15
    assert share.max() < 0.25


def test_a_rare_label_stands_in_every_fold_where_it_can() -> None:
    objects = many(100)
    objects[:, 2] = 0
    objects[[3, 14, 15, 92, 65], 2] = 4
    planned = plan(frames(100), np.arange(100), objects, NAMES, 5, seed=0)
    assert sorted(planned.fold[objects[:, 2] > 0].tolist()) == [0, 1, 2, 3, 4]
    assert "'worm (20)'" in planned.notes[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 80), st.integers(2, 6))
def test_groups_that_fit_into_a_fold_are_never_parted(seed: int, n: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    group, objects = rng.integers(0, n // 2, n), many(n, seed)
    planned = plan(frames(n), group, objects, NAMES, folds, seed=0)
    small = np.bincount(group)[group] <= -(-n // folds)
    for one in np.unique(group[small]):
        assert len(np.unique(planned.fold[group == one])) == 1
    assert planned.trained.all()
    again = plan(frames(n), group, objects, NAMES, folds, seed=0)
    assert np.array_equal(again.fold, planned.fold)


def test_one_long_scene_is_cut_into_runs_and_that_is_said() -> None:
    planned = plan(frames(60), np.zeros(60, np.int64), many(60), NAMES, 5, seed=0)
    runs = np.flatnonzero(np.diff(planned.fold)) + 1
    assert runs.tolist() == [12, 24, 36, 48]
    assert "60 pictures belong together" in planned.notes[0]


def test_fewer_groups_than_folds() -> None:
    objects = np.zeros((20, 3), np.int64)
    objects[:, 0] = 3
    group = np.repeat([0, 1, 2], [8, 6, 6])
    objects[group == 2] = 0
    planned = plan(frames(20), group, objects, NAMES, 2, seed=0)
    assert planned.folds == 2
    pairs = plan(frames(20), np.arange(20) // 2, np.full((20, 3), 5), NAMES, 15, seed=0)
    assert pairs.folds == 10
    assert "10 folds instead of 15" in pairs.notes[0]


def test_a_label_that_only_one_group_shows_is_not_learnt() -> None:
    """Its model would never have seen it: every one of its objects would look wrong."""
    objects = many(60)
    objects[:, 2] = 0
    objects[:4, 2] = 30
    group = np.concatenate([np.zeros(4, np.int64), np.arange(1, 57)])
    planned = plan(frames(60), group, objects, NAMES, 5, seed=0)
    assert planned.labels == (0, 1)
    assert "too few objects to learn, so not audited: 'worm (120)'" in planned.notes[0]


@pytest.mark.parametrize(("count", "learnt"), [(LEAST_OBJECTS * 2 - 2, False), (LEAST_OBJECTS * 2, True)])
def test_how_many_objects_are_enough(count: int, learnt: bool) -> None:
    objects = np.zeros((40, 3), np.int64)
    objects[:, 0] = 5
    objects[:count, 1] = 1
    planned = plan(frames(40), np.arange(40), objects, NAMES, 2, seed=0)
    assert (1 in planned.labels) == learnt


def test_pictures_without_objects_are_judged_but_few_are_learnt_from() -> None:
    objects = many(200)
    objects[100:] = 0
    planned = plan(frames(200), np.arange(200), objects, NAMES, 5, seed=0)
    assert planned.trained[:100].all()
    empty = int(planned.trained[100:].sum())
    assert 0 < empty <= 5 + EMPTY_SHARE / (1 - EMPTY_SHARE) * 100
    assert f"{100 - empty} of 100 pictures without objects are judged but not learnt from" in planned.notes[-1]
    assert set(planned.fold[100:].tolist()) == {0, 1, 2, 3, 4}


def test_ten_thousand_pictures_in_a_moment() -> None:
    n = 10_000
    hashes = unlike(n)
    hashes[::7] = hashes[0]  # very many that look alike
    group = groups(frames(n), hashes, Annotations())
    planned = plan(frames(n), group, many(n), NAMES, 5, seed=0)
    assert planned.folds == 5
