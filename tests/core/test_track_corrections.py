"""What accepted findings on tracks ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.annotations import Annotations, Frames, Snapshot
from audit.core.corrections import Action, Correction, Plan, plan_corrections, plan_issues
from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings, FindingType
from audit.core.proposals import Proposal
from audit.core.table import objects
from audit.core.track_corrections import KeyBox, TrackEdit, key_boxes

T = FindingType
N = 30
NEW = [12.0, 22.0, 55.0, 61.0]


def video(shown: slice = slice(0, N)) -> Snapshot:
    """Track 7 on some frames, track 8 on all; frames are numbered from 100."""
    rows = [(7, f) for f in range(N)[shown]] + [(8, f) for f in range(N)]
    order = sorted(rows, key=lambda row: (row[1], row[0]))
    n = len(order)
    annotations = Annotations(
        xyxy=np.tile([10.0, 20, 50, 60], (n, 1)),
        frame=np.array([f for _, f in order]),
        label=np.zeros(n, int),
        annotation_id=np.array([i for i, _ in order]),
        track=np.ones(n, bool),
        digest=objects(f"d{i}" for i, _ in order),
    )
    frames = Frames(
        name=objects(map(str, range(N))), number=np.arange(N) + 100, width=np.full(N, 200), height=np.full(N, 100),
        task=np.full(N, 1), job=np.full(N, 2),
    )  # fmt: skip
    return Snapshot("cvat://x/tasks/1", ("car", "truck", "bus"), frames, annotations)


def planned(view: Snapshot, *rows: dict[str, Any], label: str = "", keys: Any = None) -> Plan:
    a = view.annotations
    made = []
    for row in rows:
        at = np.flatnonzero((a.annotation_id == row.get("annotation_id", 7)) & (a.frame == row["frame"]))
        annotation = int(at[0]) if len(at) and row["type"] != T.MISSING_ANNOTATION else -1
        base = {"score": 0.9, "annotation": annotation, "annotation_id": 7 if annotation >= 0 else -1, "related": -1}
        base |= {"label": 0, "suggested_label": 1, "suggested_xyxy": NEW, "frames": 5}
        made.append({**base, **row})
    columns: dict[str, Any] = {name: np.array([row[name] for row in made]) for name in made[0]}
    n = len(made)
    found = Findings(id=objects(f"f{i}" for i in range(n)), reason=objects(["Why."] * n), **columns)
    said = {f"f{i}": Decision(f"f{i}", Verdict.ACCEPT, "r", "t", label=label) for i in range(n)}
    return plan_corrections(found, said, view, None, keys)


def one(view: Snapshot, kind: FindingType, span: tuple[int, int], *, at: int = -1, **facts: Any) -> Correction:
    """The correction of a finding on track 7; span: rows of frames."""
    label, keys = facts.pop("label", ""), facts.pop("keys", None)
    first, last = span
    row = {"type": int(kind), "frame": first if at < 0 else at, "first_frame": first, "last_frame": last, **facts}
    (made,) = planned(view, row, label=label, keys=keys).corrections
    return made


def test_a_wrong_label_changes_the_whole_track_at_once() -> None:
    done = one(video(), T.MISMATCHING_LABEL, (3, 20))
    assert (done.action, done.label, done.track, done.edits) == (Action.RELABEL, "truck", True, ())
    assert (done.annotation_id, done.digest) == (7, "d7")
    for kind in (T.EXTRA_ANNOTATION, T.LOW_OVERLAP, T.DUPLICATE_ANNOTATION):
        named = one(video(), kind, (0, N - 1), label="bus")
        assert (named.action, named.label, named.edits) == (Action.RELABEL, "bus", ())


def test_an_extra_track_goes_as_a_whole() -> None:
    done = one(video(slice(5, 20)), T.EXTRA_ANNOTATION, (5, 19))
    assert (done.action, done.annotation_id, done.track, done.kept_id) == (Action.DELETE, 7, True, -1)


def test_an_end_without_object_is_cut_off() -> None:
    end = one(video(), T.EXTRA_ANNOTATION, (22, N - 1))
    assert (end.action, end.edits) == (Action.UPDATE, (TrackEdit(122, 129),))
    begin = one(video(slice(4, 20)), T.EXTRA_ANNOTATION, (4, 9))
    assert begin.edits == (TrackEdit(104, 109, at=110),)
    middle = one(video(), T.EXTRA_ANNOTATION, (5, 9))
    assert (middle.action, middle.why) == (Action.ISSUE, "a person must see where the track shows nothing")


def test_a_copy_goes_if_the_other_track_is_wherever_it_is() -> None:
    view = video(slice(5, 20))
    other = int(np.flatnonzero((view.annotations.annotation_id == 8) & (view.annotations.frame == 9))[0])
    done = one(view, T.DUPLICATE_ANNOTATION, (5, 19), at=9, related=other)
    assert (done.action, done.annotation_id, done.kept_id, done.kept_digest) == (Action.DELETE, 7, 8, "d8")
    partly = one(view, T.DUPLICATE_ANNOTATION, (5, 12), at=9, related=other)
    assert (partly.action, partly.why) == (Action.ISSUE, "the track goes on where the other one is not")


def test_a_stretch_that_lies_off_gets_one_key_frame() -> None:
    done = one(video(), T.LOW_OVERLAP, (5, 15), at=11)
    assert (done.action, done.geometry) == (Action.UPDATE, None)
    assert done.edits == (TrackEdit(105, 115, 111, Proposal((12.0, 22.0, 55.0, 61.0)), resume=116),)


def test_a_track_with_several_findings_is_one_correction() -> None:
    slip = {"type": int(T.LOW_OVERLAP), "first_frame": -1, "last_frame": -1}
    plan = planned(video(), {**slip, "frame": 4}, {**slip, "frame": 20}, {**slip, "type": 2, "frame": 1})
    (done,) = plan.corrections
    assert (done.action, done.label, done.findings) == (Action.RELABEL, "truck", ("f2", "f0", "f1"))
    assert [edit.at for edit in done.edits] == [104, 120]
    whole = {"type": int(T.EXTRA_ANNOTATION), "frame": 3, "first_frame": 0, "last_frame": N - 1}
    (refused,) = planned(video(), whole, {**slip, "frame": 4}).contradictions
    assert "delete it, and also change it" in refused.reason


def test_a_shape_of_the_same_id_is_another_object() -> None:
    view = video()
    n = len(view.annotations)
    shape = replace(view, annotations=Annotations.concat([view.annotations, view.annotations[:1]]))
    track = np.append(np.ones(n, bool), False)
    shape = replace(shape, annotations=shape.annotations.replace(track=track))
    slip = {"type": int(T.MISMATCHING_LABEL), "frame": 0, "first_frame": -1, "last_frame": -1}
    plan = planned(shape, slip, {**slip, "annotation": n, "annotation_id": 7})
    assert sorted(c.track for c in plan.corrections) == [False, True]


def test_a_missed_object_becomes_a_track_where_it_was_followed() -> None:
    box = Proposal((1.0, 1, 5, 5))
    keys = (KeyBox(103, box), KeyBox(109, box), KeyBox(110, None))
    done = one(video(), T.MISSING_ANNOTATION, (3, 9), keys={"f0": keys})
    assert (done.action, done.track, done.keys, done.label, done.frame) == (Action.CREATE, True, keys, "truck", 3)
    lost = one(video(), T.MISSING_ANNOTATION, (3, 9))
    assert (lost.action, lost.why) == (Action.ISSUE, "the object could not be followed along its frames")
    single = one(video(), T.MISSING_ANNOTATION, (3, 3), frames=1)
    assert (single.action, single.track) == (Action.CREATE, False)


def test_an_issue_names_the_stretch() -> None:
    found = Findings(
        type=[T.LOW_OVERLAP], frame=[4], score=[0.9], annotation=[8], annotation_id=[7], label=[0], frames=[5],
        first_frame=[2], last_frame=[6], xyxy=[[1, 1, 9, 9]], id=objects(["f0"]),
        reason=objects(["Off. So it is on 5 frames of this track (102 to 106)."]),
    )  # type: ignore[arg-type]  # fmt: skip
    (issue,) = plan_issues(found, {"f0": Decision("f0", Verdict.ACCEPT, "r", "t")}, video()).corrections
    assert "5 frames of this track (102 to 106)" in issue.text


@pytest.mark.parametrize("end", [-1, 60])
def test_as_few_key_frames_as_keep_to_the_boxes(end: int) -> None:
    number = np.delete(np.arange(40), [7, 8])
    left = np.where(number < 20, number, 20.0)
    boxes = [(int(n), Proposal((x, 0.0, x + 10, 10.0))) for n, x in zip(number, left.tolist(), strict=True)]
    keys = key_boxes(boxes, end, 0.5)
    assert [key.number for key in keys] == [0, 20, 39, *([60] if end >= 0 else [])]
    assert (keys[-1].geometry is None) == (end >= 0)
    assert key_boxes(boxes[:1], -1, 0.5) == (KeyBox(0, boxes[0][1]),)
