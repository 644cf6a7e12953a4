"""What all labels together tell: empty frames, unusual shapes, look-alikes labelled differently."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks.alone import SEEN_EMPTY, SEEN_SO, ModelsWord, model_free
from audit.checks.empties import PHOTO_SCORE, VIDEO_SCORE, empty_frames
from audit.checks.look_alikes import Differences, differences, findings_of, look_alikes
from audit.checks.tables import LabelEvidence
from audit.checks.unusual import unusual_shapes
from audit.core.annotations import Annotations, Frames, ShapeType
from audit.core.findings import MODEL_FREE, Findings, FindingType
from audit.core.likeness import Hashes
from audit.core.table import objects

T = FindingType
LABELS = ("person", "car")


def frames_of(n: int, **columns: Any) -> Frames:
    plain = {"number": np.arange(n), "width": [640] * n, "height": [480] * n, "task": [1] * n, "job": [1] * n}
    return Frames(name=[f"{i}.jpg" for i in range(n)], **{**plain, **columns})


def labelled(counts: list[int]) -> Annotations:
    """So many ordinary boxes on each frame."""
    frame = np.repeat(np.arange(len(counts)), counts)
    k = np.arange(len(frame))
    corner = np.column_stack([50 + 37 * (k % 9), 60 + 29 * (k % 7)]).astype(float)
    return Annotations(xyxy=np.hstack([corner, corner + 60]), frame=frame, label=k % 2, annotation_id=k + 1)


def empties(labels: Annotations, frames: Frames) -> Findings:
    return empty_frames(np.bincount(labels.frame, minlength=len(frames)), frames)


def differing(labels: Annotations, frames: Frames, hashes: Hashes) -> Differences:
    return differences(labels, frames, look_alikes(frames, hashes))


# empty frames


def test_where_all_or_none_are_empty_nothing_is_told() -> None:
    assert len(empties(Annotations(), Frames())) == 0
    assert len(empties(Annotations(), frames_of(30))) == 0
    assert len(empties(labelled([3] * 30), frames_of(30))) == 0
    assert len(empties(labelled([3, 0] * 15), frames_of(30))) == 0  # half of them are
    assert len(empties(labelled([3, 0, 3]), frames_of(3))) == 0  # too few to tell


def test_an_empty_frame_among_full_photos_is_told_with_restraint() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(4, 20, 40)
    counts[17] = 0
    found = empties(labelled(counts.tolist()), frames_of(40))
    assert found.frame.tolist() == [17]
    assert found.score[0] == pytest.approx(PHOTO_SCORE)
    assert np.isnan(found.xyxy).all() and found.annotation.tolist() == [-1]
    assert "no label" in found.reason[0]


def test_where_frames_with_one_label_abound_an_empty_one_is_no_wonder() -> None:
    counts = np.random.default_rng(2).poisson(1.5, 400)
    found = empties(labelled(counts.tolist()), frames_of(400))
    assert (counts == 0).sum() > 50
    assert (found.score < 0.05).all()


def test_in_a_video_an_empty_frame_between_full_ones_is_told_plainly() -> None:
    counts = np.repeat([3, 5, 8, 6, 4, 7], 10)
    counts[25], counts[31:34] = 0, 0
    found = empties(labelled(counts.tolist()), frames_of(60))
    assert found.frame.tolist() == [25, 31]
    assert found.score == pytest.approx([VIDEO_SCORE] * 2)
    assert found.reason[1].startswith("This frame and the 2 after it have no label")
    shuffled = np.random.default_rng(0).permutation(60)
    again = empties(labelled(counts[shuffled].tolist()), frames_of(60, number=shuffled))
    assert sorted(shuffled[again.frame].tolist()) == [25, 31]


def test_an_empty_stretch_does_not_reach_into_another_job() -> None:
    counts = [4] * 18 + [0, 0, 0, 0] + [4] * 18
    found = empties(labelled(counts), frames_of(40, job=[1] * 20 + [2] * 20))
    assert found.frame.tolist() == [18, 20]


# unusual shapes


def crowd(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 4) boxes as alike as persons on a street are."""
    height = 80 * 2 ** rng.normal(0, 0.3, n)
    width = height * 0.4 * 2 ** rng.normal(0, 0.15, n)
    corner = rng.uniform([20, 60], [500, 250], (n, 2))
    return np.column_stack([corner, corner + np.column_stack([width, height])])


def shapes(xyxy: np.ndarray, **columns: Any) -> Annotations:
    n = len(xyxy)
    plain = {"frame": np.arange(n), "label": [0] * n, "annotation_id": np.arange(n) + 1}
    return Annotations(xyxy=xyxy, **{**plain, **columns})


def test_few_or_ordinary_shapes_are_not_unusual() -> None:
    assert len(unusual_shapes([], Frames(), LABELS)) == 0
    rng = np.random.default_rng(0)
    few = crowd(rng, 20)
    few[3] = [0, 0, 640, 5]
    assert len(unusual_shapes([shapes(few)], frames_of(20), LABELS)) == 0
    assert len(unusual_shapes([shapes(crowd(rng, 3000))], frames_of(3000), LABELS)) == 0


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([300.0, 200, 303, 208], "far smaller"),
        ([20.0, 200, 600, 215], "far wider and flatter"),
        ([200.0, 20, 376, 460], "far larger"),
    ],
)
def test_a_shape_unlike_all_others_of_its_label_is_told(box: list[float], said: str) -> None:
    boxes = crowd(np.random.default_rng(3), 200)
    boxes[77] = box
    found = unusual_shapes([shapes(boxes)], frames_of(200), LABELS)
    assert (found.frame.tolist(), found.annotation_id.tolist()) == ([77], [78])
    assert 0.02 < found.score[0] <= 0.5
    assert f"This person is {said} than nearly every other one: it " in found.reason[0]


def test_an_unusual_shape_is_told_in_numbers_that_can_be_checked() -> None:
    boxes = np.tile([300.0, 200, 400, 300], (200, 1))
    boxes[77] = [300, 200, 500, 210]
    found = unusual_shapes([shapes(boxes)], frames_of(200, width=[1000] * 200, height=[500] * 200), LABELS)
    assert found.reason.tolist() == [
        "This person is far wider and flatter than nearly every other one: it is 20 times as wide as high; half of "
        "them are 1 to 1 times."
    ]
    boxes[77] = [300, 200, 310, 210]
    for sides, words in (
        (1000, "it takes 0.01 % of the picture; half of them take 1 to 1 %"),
        (0, "it is about 10 px"),
    ):
        found = unusual_shapes([shapes(boxes)], frames_of(200, width=[sides] * 200, height=[sides] * 200), LABELS)
        assert words in found.reason[0]


def test_what_the_border_cuts_off_and_what_has_company_is_not_unusual() -> None:
    boxes = crowd(np.random.default_rng(3), 200)
    boxes[77] = [0, 100, 3, 180]
    assert len(unusual_shapes([shapes(boxes)], frames_of(200), LABELS)) == 0
    boxes[70:80] = [300, 200, 303, 208]
    assert len(unusual_shapes([shapes(boxes)], frames_of(200), LABELS)) == 0


def test_a_place_counts_where_the_others_keep_to_one() -> None:
    rng = np.random.default_rng(4)
    boxes = crowd(rng, 120)
    boxes[:, 1::2] += 300 - boxes[:, 1:2]  # all begin at one height, as on a road seen from a car
    boxes[5, 1::2] -= 280
    found = unusual_shapes([shapes(boxes)], frames_of(120, height=[800] * 120), LABELS)
    assert found.frame.tolist() == [5]
    assert "far higher up" in found.reason[0]


def test_a_track_is_told_once_and_each_label_has_habits_of_its_own() -> None:
    boxes = crowd(np.random.default_rng(5), 300)
    track = np.zeros(300, bool)
    boxes[10], boxes[11] = [300, 200, 302, 206], [300, 200, 303, 208]
    track[10:12] = True
    ids = np.arange(300) + 1
    ids[11] = ids[10]
    found = unusual_shapes([shapes(boxes, track=track, annotation_id=ids)], frames_of(300), LABELS)
    assert found.frame.tolist() == [10]
    cars = np.where(np.arange(300) % 2 == 0, 0, 1)
    small = boxes.copy()
    small[cars == 1] /= 12
    assert set(unusual_shapes([shapes(small, label=cars)], frames_of(300), LABELS).frame.tolist()) <= {10, 11}


# frames that look the same


A, B, C = [10.0, 10, 110, 90], [300.0, 200, 380, 290], [500.0, 20, 560, 60]


def pictures(*rows: tuple[int, list[float], int], n: int = 2, **columns: Any) -> tuple[Annotations, Frames]:
    """Frame, box and label of each shape, on frames that all look the same."""
    labels = Annotations(
        xyxy=np.array([b for _, b, _ in rows]).reshape(-1, 4),
        frame=[f for f, _, _ in rows],
        label=[c for _, _, c in rows],
        annotation_id=np.arange(len(rows)) + 1,
    )
    return labels, frames_of(n, **columns)


def alike(n: int) -> np.ndarray:
    return np.full(n, 0b1011, np.uint64)


def test_alike_frames_labelled_alike_are_fine() -> None:
    assert len(differing(Annotations(), Frames(), alike(0))) == 0
    slightly = [b + 2 for b in A]
    labels, frames = pictures((0, A, 0), (0, B, 1), (1, B, 1), (1, slightly, 0))
    assert len(differing(labels, frames, alike(2))) == 0
    labels, frames = pictures((0, A, 0), (1, B, 1))
    assert len(differing(labels, frames, np.array([0b1011, 2**60 - 1], np.uint64))) == 0


def test_a_missing_label_is_told_on_the_frame_that_lacks_it() -> None:
    for lacking in (0, 1):
        rows = [(0, A, 0), (1, A, 0), (1 - lacking, B, 1)]
        labels, frames = pictures(*sorted(rows, key=lambda r: r[0]), sha256=objects(["same", "same"]))
        found = differing(labels, frames, alike(2))
        assert (found.frame.tolist(), found.other.tolist()) == ([lacking], [1 - lacking])
        assert (found.here.tolist(), found.same_file.tolist(), found.number.tolist()) == ([-1], [True], [1])
        told = findings_of(found, np.array([np.nan]), labels, frames)
        assert (told.suggested_label.tolist(), told.label.tolist()) == ([1], [-1])
        assert told.suggested_xyxy[0].tolist() == B
        assert told.score[0] == pytest.approx(0.9)
        assert f"the very same picture as frame {1 - lacking}" in told.reason[0]


def test_another_name_is_told_on_the_later_frame() -> None:
    labels, frames = pictures((0, A, 0), (0, B, 1), (1, A, 1), (1, B, 1))
    told = findings_of(differing(labels, frames, alike(2)), np.array([0.1]), labels, frames)
    assert (told.frame.tolist(), told.annotation.tolist()) == ([1], [2])
    assert (told.label.tolist(), told.suggested_label.tolist()) == ([1], [0])
    assert "looks the same as frame 0 (0.jpg), but this object has another label there" in told.reason[0]


def test_the_plainest_of_many_differences_is_shown_and_the_rest_counted() -> None:
    labels, frames = pictures((0, A, 0), (0, B, 0), (1, C, 1), sha256=objects(["s", "s"]))
    found = differing(labels, frames, alike(2))
    assert (found.number.tolist(), found.xyxy.tolist(), found.frame.tolist()) == ([3], [A], [1])
    assert "In all, 3 labels differ." in findings_of(found, np.array([np.nan]), labels, frames).reason[0]


def test_what_two_frames_show_of_a_third_is_told_once_by_the_surer_one() -> None:
    labels, frames = pictures((0, A, 0), (2, A, 0), n=3, sha256=objects(["one", "two", "two"]))
    found = differing(labels, frames, alike(3))
    assert (found.frame.tolist(), sorted(found.other.tolist())) == ([1, 1], [0, 2])
    told = findings_of(found, np.full(2, 0.1), labels, frames)
    assert (told.frame.tolist(), told.score.tolist()) == ([1], [0.9])
    assert "the very same picture as frame 2" in told.reason[0]


@pytest.mark.parametrize(("seen", "n"), [(0.05, 1), (0.9, 0), (np.nan, 0)])
def test_another_file_counts_only_where_its_picture_shows_the_same(seen: float, n: int) -> None:
    labels, frames = pictures((0, A, 0), sha256=objects(["one", "other"]))
    found = differing(labels, frames, alike(2))
    assert len(found) == 1
    assert len(findings_of(found, np.array([seen]), labels, frames)) == n


def test_one_frame_in_two_jobs_and_frames_of_other_sizes_are_not_compared() -> None:
    labels, frames = pictures((0, A, 0), job=[1, 2], number=[7, 7])
    assert len(differing(labels, frames, alike(2))) == 0
    labels, frames = pictures((0, A, 0), width=[640, 320])
    assert len(differing(labels, frames, alike(2))) == 0


def test_a_thousand_equal_frames_give_one_finding_each_at_most() -> None:
    labels, frames = pictures((500, A, 0), n=1000, sha256=objects(["s"] * 1000))
    found = differing(labels, frames, alike(1000))
    assert found.frame.tolist() == [499, 501]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_every_difference_is_one(seed: int, n: int) -> None:
    """Against a plain search: nothing like the shape is on the frame that is said to lack it."""
    rng = np.random.default_rng(seed)
    places, rows = [A, B, C], []
    for frame in range(n):
        rows += [(frame, places[k], int(rng.integers(0, 2))) for k in range(3) if rng.random() < 0.7]
    labels, frames = pictures(*rows, n=n, sha256=objects(["s"] * n))
    have = {(f, tuple(b)): c for f, b, c in rows}
    found = differing(labels, frames, alike(n))
    for d in (found[i : i + 1] for i in range(len(found))):
        place, frame, other = tuple(d.xyxy[0].tolist()), int(d.frame[0]), int(d.other[0])
        assert have[other, place] != have.get((frame, place))
        assert (d.here[0] >= 0) == ((frame, place) in have)


# together


def test_all_together_on_nothing() -> None:
    assert len(model_free([Annotations()], Frames(), ())) == 0
    assert len(model_free([Annotations()], Frames(), (), hashes=alike(0), look=lambda d: np.zeros(len(d)))) == 0


def test_types_can_be_switched_off_and_a_frame_without_labels_is_told_once() -> None:
    counts = [4] * 30
    counts[12] = 0
    labels, frames = labelled(counts), frames_of(30, sha256=objects([str(i // 13) for i in range(30)]))
    hashes = np.where(np.arange(30) // 13 == 0, np.uint64(0b1011), np.uint64(0))
    every = model_free([labels], frames, LABELS, hashes=hashes)
    assert T.INCONSISTENT_FRAMES in every.type
    assert T.EMPTY_FRAME not in every.type
    for kind in MODEL_FREE:
        only = model_free([labels], frames, LABELS, hashes=hashes, types=(kind,))
        assert set(only.type.tolist()) <= {kind}
    assert model_free([labels], frames, LABELS).type.tolist() == [T.EMPTY_FRAME]
    assert len(model_free([labels], frames, LABELS, hashes=hashes, types=(T.LOW_OVERLAP,))) == 0


def test_models_speak_of_empty_frames_too() -> None:
    told = Findings(type=[T.EMPTY_FRAME, T.EMPTY_FRAME, T.BROKEN_TRACK], frame=[0, 1, 1], score=[0.6, 0.6, 0.6])
    said = ModelsWord(told, 2)
    said.hear(Findings(type=[T.MISSING_ANNOTATION], frame=[1], score=[0.4]), LabelEvidence(), 0)
    left = said.left()
    assert left.type.tolist() == [T.EMPTY_FRAME, T.BROKEN_TRACK]
    assert left.score.tolist() == pytest.approx([0.6 * SEEN_EMPTY, 0.6])


def test_models_speak_of_unusual_shapes_too() -> None:
    """Rows 10 and 11 of a block that begins at row 8 are seen, 11 barely; 12 has a likelier finding, 13 a weaker."""
    told = Findings(type=[T.UNUSUAL_SHAPE] * 4, frame=[0] * 4, score=[0.4] * 4, annotation=[10, 11, 12, 13])
    labels = LabelEvidence(row=[2, 3], frame=[0, 0], label=[0, 0], xyxy=[A, B], own_support=[0.8, 0.2])
    found = Findings(type=[T.LOW_OVERLAP] * 3, frame=[0] * 3, score=[0.9, 0.1, 0.9], annotation=[12, 13, 99])
    said = ModelsWord(told, 1)
    said.hear(found, labels, 8)
    assert said.left().annotation.tolist() == [10, 11, 13]
    assert said.left().score.tolist() == pytest.approx([0.4 * SEEN_SO, 0.4, 0.4])
    assert len(ModelsWord(Findings(), 0).left()) == 0


def test_without_a_model_a_broken_shape_is_not_told_as_unusual_besides() -> None:
    kinds, score = [T.UNUSUAL_SHAPE, T.UNUSUAL_SHAPE, T.EMPTY_FRAME], [0.4, 0.4, 0.7]
    said = ModelsWord(Findings(type=kinds, frame=[0, 0, 1], score=score, annotation=[0, 1, -1]), 2)
    said.hear(Findings(type=[T.INVALID_SHAPE], frame=[0], score=[1.0], annotation=[1]), LabelEvidence(), 0)
    assert said.once().annotation.tolist() == [0, -1]
    assert said.once().score.tolist() == pytest.approx([0.4, 0.7])


def test_every_finding_says_why_and_time_is_not_quadratic() -> None:
    """200,000 rows of tracks, some broken: a search of all pairs would take hours."""
    n, tracks = 4000, 50
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 500, (1, tracks, 2)) + np.cumsum(rng.normal(0, 1, (n, tracks, 2)), axis=0)
    corner[rng.random((n, tracks)) < 0.001] += 300
    xyxy = np.concatenate([corner, corner + 40], axis=2).reshape(-1, 4)
    labels = Annotations(xyxy=xyxy, frame=np.repeat(np.arange(n), tracks), label=[0] * len(xyxy),
                         annotation_id=np.tile(np.arange(tracks), n), track=[True] * len(xyxy))  # fmt: skip
    found = model_free([labels], frames_of(n), LABELS, hashes=rng.integers(1, 2**63, n, dtype=np.uint64))
    assert 100 < (found.type == T.BROKEN_TRACK).sum() < 1000
    assert all(reason.endswith(".") for reason in found.reason)
    assert ((found.score >= 0) & (found.score <= 1)).all()


def test_in_pieces_the_same_is_told() -> None:
    """Odd shapes, a broken track, an empty frame and look-alikes labelled differently, in blocks of all sizes."""
    rng = np.random.default_rng(5)
    counts = rng.integers(4, 9, 120)
    counts[[17, 60]] = 0
    labels = labelled(counts.tolist())
    xyxy, track = labels.xyxy.copy(), np.append(True, np.diff(labels.frame) > 0)
    xyxy[track] = [300, 300, 360, 360]
    xyxy[np.flatnonzero(track)[30:]] += 200  # jumps once
    xyxy[[100, 101]] *= 40
    ids, code = np.where(track, 5, labels.annotation_id), np.where(track, 0, labels.label)
    labels = labels.replace(xyxy=xyxy, track=track, annotation_id=ids, label=code)
    frames = frames_of(120, sha256=objects([str(i // 2) for i in range(120)]), width=[0] * 120)
    hashes = 0b1011 + (np.arange(120).astype(np.uint64) // 2 << np.uint64(20))
    whole = model_free([labels], frames, LABELS, hashes=hashes)
    assert set(whole.type.tolist()) == set(MODEL_FREE) - {T.EMPTY_FRAME}
    for cuts in ([0, 300], [1, 2, 3, 400], list(range(50, 600, 50))):
        blocks = [labels[i:j] for i, j in pairwise([0, *cuts, len(labels)])]
        pieces = model_free(blocks, frames, LABELS, hashes=hashes)
        for name, values in whole.columns().items():
            same = np.array_equal(getattr(pieces, name), values, equal_nan=values.dtype.kind == "f")
            assert same, name


def test_differences_is_a_table_without_rows_too() -> None:
    nothing = Differences()
    assert len(findings_of(nothing, np.zeros(0), Annotations(), Frames())) == 0
    assert ShapeType.RECTANGLE == 0
