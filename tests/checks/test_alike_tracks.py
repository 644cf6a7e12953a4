"""A track that is labelled differently where the same pictures come again is one finding."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks.alike_tracks import by_track
from audit.checks.alone import model_free
from audit.core.annotations import Annotations, Frames
from audit.core.findings import Findings, FindingType
from audit.core.table import objects

N = 30
HASHES = np.random.default_rng(0).integers(0, 2**63, N).astype(np.uint64)
BOX = np.array([10.0, 10, 60, 60])


def recorded(**there: object) -> tuple[Annotations, Frames]:
    """Two tasks of the same N pictures; in the first a track moves, named 0. there: columns of the second's shapes."""
    frames = Frames(
        name=[f"{i % N}.jpg" for i in range(2 * N)],
        number=np.arange(2 * N) % N,
        task=np.arange(2 * N) // N,
        job=np.arange(2 * N) // N,
        width=[640] * 2 * N,
        height=[480] * 2 * N,
        sha256=objects(str(i % N) for i in range(2 * N)),
    )
    frame = np.arange(N)
    one = Annotations(xyxy=BOX + frame[:, None], frame=frame, label=[0] * N, annotation_id=[7] * N, track=[True] * N)
    rows = np.asarray(there.pop("rows", frame))
    told = {"label": [0] * len(rows), "annotation_id": [9] * len(rows), "track": [True] * len(rows), **there}
    two = Annotations(xyxy=BOX + rows[:, None], frame=rows + N, **told)  # type: ignore[arg-type]  # columns by name
    return Annotations.concat([one, two]), frames


def told(annotations: Annotations, frames: Frames) -> Findings:
    only = (FindingType.INCONSISTENT_FRAMES,)
    return model_free([annotations], frames, ("car", "bus"), hashes=HASHES[frames.number], types=only)


def test_nothing_is_gathered_from_nothing() -> None:
    assert len(by_track(Findings(), Annotations(), Frames())) == 0
    assert len(told(*recorded())) == 0


def test_another_name_along_a_track_is_one_finding() -> None:
    found = told(*recorded(label=[1] * N))
    assert (len(found), found.frames.tolist()) == (1, [N])
    assert (found.annotation_id.tolist(), found.label.tolist(), found.suggested_label.tolist()) == ([9], [1], [0])
    assert [int(end[0]) for end in found.span()] == [N, 2 * N - 1]
    assert found.reason[0].endswith(f"So it is on {N} frames of this track (0 to {N - 1}).")
    assert found.related.tolist() == [-1]
    assert found.score[0] == pytest.approx(0.9)


def test_a_track_that_is_lacking_there_is_one_finding() -> None:
    found = told(*recorded(rows=[]))
    assert (len(found), found.frames.tolist(), found.annotation.tolist()) == (1, [N], [-1])
    assert found.reason[0].endswith(f"So it is on {N} frames of the track there (0 to {N - 1}).")


def test_two_tracks_are_two_findings() -> None:
    found = told(*recorded(label=[1] * N, annotation_id=[8] * 10 + [9] * (N - 10)))
    assert sorted(zip(found.annotation_id.tolist(), found.frames.tolist(), strict=True)) == [(8, 10), (9, N - 10)]


def test_one_frame_of_a_track_stands_for_itself() -> None:
    found = told(*recorded(rows=[i for i in range(N) if i != 4]))
    assert (found.frame.tolist(), found.frames.tolist()) == ([N + 4], [1])
    assert "So it is on" not in found.reason[0]


def test_single_shapes_stand_for_themselves() -> None:
    found = told(*recorded(label=[1] * N, track=[False] * N, annotation_id=np.arange(100, 100 + N)))
    assert (len(found), set(found.frames.tolist())) == (N, {1})


def test_frames_of_a_gathered_finding_are_not_told_empty_as_well() -> None:
    annotations, frames = recorded(rows=[])
    many = Annotations.concat([annotations[:N]] * 4)
    many = many[np.argsort(many.frame, kind="stable")]
    found = model_free([many], frames, ("car", "bus"), hashes=HASHES[frames.number])
    assert FindingType.INCONSISTENT_FRAMES in found.type
    assert FindingType.EMPTY_FRAME not in found.type
