"""What can be asked by chance: labels without findings, and tracks as one."""

from __future__ import annotations

import numpy as np

from audit.core.annotations import Annotations, Frames, Snapshot
from audit.core.findings import Findings
from audit.core.table import objects
from audit.loop.blind import blind_questions

N = 50


def snapshot() -> Snapshot:
    """Tracks 7 and 8 and a shape of id 7 on every frame."""
    frames = Frames(name=objects(map(str, range(N))), number=np.arange(N), task=np.full(N, 1), path=objects(["x"] * N))
    annotations = Annotations(
        xyxy=np.tile([1.0, 1, 9, 9], (3 * N, 1)),
        frame=np.repeat(np.arange(N), 3),
        label=np.zeros(3 * N, int),
        annotation_id=np.tile([7, 8, 7], N),
        track=np.tile([True, True, False], N),
    )
    return Snapshot("x", ("car",), frames, annotations)


def test_a_track_is_one_question() -> None:
    asked = blind_questions(snapshot(), Findings())
    assert asked.of_labels == N + 2
    rows = snapshot().annotations[asked.labels.annotation]
    assert sorted(rows.annotation_id[rows.track].tolist()) == [7, 8]
    assert blind_questions(snapshot(), Findings()).labels.id.tolist() == asked.labels.id.tolist()


def test_a_track_with_a_finding_on_any_frame_is_not_asked() -> None:
    found = Findings(type=np.array([2]), frame=np.array([3]), score=np.array([0.9]), annotation=np.array([10]))
    asked = blind_questions(snapshot(), found)
    assert asked.of_labels == N + 1
    rows = snapshot().annotations[asked.labels.annotation]
    assert rows.annotation_id[rows.track].tolist() == [7]
