"""What a push must do to tracks, on a fixture ``place``: the double here, a real server in ``tests/live``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from audit.pushing import ISSUES
from tests.contract.place import FRAMES, Place
from tests.push.place import Audited, as_read, audit
from tests.push.scenes import OTHER, PERSON, THING, T, box, ids


def key(frame: int, points: tuple[float, ...] = (1.0, 2.0, 30.0, 40.0), **more: Any) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "points": list(points), "outside": False, "occluded": False, **more}


def track(place: Place, *keys: dict[str, Any], label: str = "thing", **more: Any) -> dict[str, Any]:
    shapes = list(keys or (key(0), key(1, (3.0, 2.0, 32.0, 40.0))))
    return {"frame": shapes[0]["frame"], "label_id": place.label(label), "shapes": shapes, "attributes": [], **more}


def audited_tracks(
    place: Place,
    path: Path,
    *made: dict[str, Any],
    shapes: list[dict[str, Any]] | None = None,
    only: range = range(FRAMES),
) -> Audited:
    """An audit of tracks that are each in the one job where they begin. only: as ``--frames``."""
    audit(place, path, shapes or [])
    for one in made:
        job = next(j for j in place.jobs() if j.start_frame <= one["frame"] <= j.stop_frame)
        body = {"shapes": [], "tags": [], "tracks": [one]}
        status, answer = place.call("PATCH", f"/jobs/{job.id}/annotations", body, action="create")
        assert status == 200, answer
    return as_read(place, path, only)


def tracks(audited: Audited) -> dict[int, dict[str, Any]]:
    return {int(t["id"]): t for job in audited.job_ids for t in audited.annotations(job)["tracks"]}


def bare(found: dict[int, dict[str, Any]]) -> dict[int, Any]:
    """Without the ids of keyframes, which every write changes."""
    kept = copy.deepcopy(found)
    for one in kept.values():
        for part in (one, *one["elements"]):
            for shape in part["shapes"]:
                shape.pop("id")
    return kept


def statuses(report: Any) -> list[str]:
    return [line.status for line in report.lines]


def first_id(audited: Audited) -> int:
    return min(tracks(audited))


def test_a_wrong_label_of_a_track_is_one_write_and_undo_takes_it_back(place: Place, tmp_path: Path) -> None:
    attributes = [{"spec_id": place.spec("checked"), "value": "true"}]
    posed = key(0, attributes=[{"spec_id": place.spec("pose"), "value": "sits"}])
    wrong = track(place, posed, key(1), label="person", attributes=attributes)
    audited = audited_tracks(place, tmp_path / "run", wrong, track(place), shapes=[box(place)])
    person = next(i for i, t in tracks(audited).items() if t["label_id"] == place.label("person"))
    audited.finding(T.MISMATCHING_LABEL, person, suggested_label=THING, frames=2, first_frame=0, last_frame=1)
    audited.accept_all()
    before, shapes = tracks(audited), audited.stored()
    report = audited.push()
    assert [(line.action, line.status, line.id) for line in report.lines] == [("relabel", "done", person)]
    assert report.lines[0].note == "a track; attributes of the old label are lost"
    after = tracks(audited)
    assert after[person]["label_id"] == place.label("thing")
    assert [s["points"] for s in after[person]["shapes"]] == [s["points"] for s in before[person]["shapes"]]
    assert after[person]["attributes"] == [] and all(not s["attributes"] for s in after[person]["shapes"])
    assert audited.stored() == shapes
    others = {i: t for i, t in bare(after).items() if i != person}
    assert others == {i: t for i, t in bare(before).items() if i != person}
    assert statuses(audited.push()) == ["already"]
    assert statuses(audited.undo()) == ["done"]
    assert bare(tracks(audited)) == bare(before)
    assert statuses(audited.push()) == ["done"], "what was taken back can be sent again"
    assert statuses(audited.undo()) == ["done"]


def test_an_extra_track_and_a_copy_are_deleted_and_come_back(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place), track(place), track(place, key(0), key(1)))
    extra, copied, kept = sorted(tracks(audited))
    audited.finding(T.EXTRA_ANNOTATION, extra, frames=2, first_frame=0, last_frame=1)
    audited.finding(T.DUPLICATE_ANNOTATION, copied, related_id=kept, frames=2, first_frame=0, last_frame=1)
    audited.accept_all()
    before = tracks(audited)
    assert statuses(audited.push(execute=False)) == ["to do", "to do"]
    assert tracks(audited) == before
    assert statuses(audited.push()) == ["done", "done"]
    assert bare(tracks(audited)) == {kept: bare(before)[kept]}
    assert statuses(audited.undo()) == ["done", "done"]
    assert bare(tracks(audited)) == bare(before)


def test_a_slip_gets_a_keyframe_and_an_end_is_cut_off(place: Place, tmp_path: Path) -> None:
    still, long = track(place, key(0)), track(place, key(2), key(3))
    audited = audited_tracks(place, tmp_path / "run", still, long)
    slipped, outlasting = sorted(tracks(audited), key=lambda i: int(tracks(audited)[i]["frame"]))
    audited.finding(T.LOW_OVERLAP, slipped, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.EXTRA_ANNOTATION, outlasting, first_frame=3, last_frame=3)
    audited.accept_all()
    before = tracks(audited)
    assert statuses(audited.push()) == ["done", "done"]
    after = tracks(audited)
    assert [(s["frame"], s["points"]) for s in after[slipped]["shapes"]] == [(0, OTHER)]
    ends = [(s["frame"], s["outside"]) for s in after[outlasting]["shapes"]]
    assert ends == [(2, False), (3, True)]
    assert statuses(audited.undo()) == ["done", "done"]
    assert bare(tracks(audited)) == bare(before)


def test_a_track_that_somebody_changed_is_left_alone(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place))
    audited.finding(T.MISMATCHING_LABEL, first_id(audited), suggested_label=PERSON)
    audited.accept_all()
    (theirs,) = tracks(audited).values()
    theirs["shapes"][0]["points"][0] = 0.0
    status, body = place.call(
        "PATCH", f"/jobs/{audited.job_ids[0]}/annotations", {"shapes": [], "tags": [], "tracks": [theirs]},
        action="update",
    )  # fmt: skip
    assert status == 200, body
    before = tracks(audited)
    report = audited.push()
    assert statuses(report) == ["conflict"]
    assert report.lines[0].reason == f"track {first_id(audited)} was changed since the audit"
    assert tracks(audited) == before


def test_a_shape_with_the_id_of_a_track_is_not_touched(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place), shapes=[box(place)])
    audited.finding(T.EXTRA_ANNOTATION, first_id(audited), first_frame=0, last_frame=1)
    audited.accept_all()
    shapes = audited.stored()
    assert statuses(audited.push()) == ["done"]
    assert audited.stored() == shapes
    assert tracks(audited) == {}
    assert statuses(audited.undo()) == ["done"]
    assert audited.stored() == shapes


def test_a_missed_object_becomes_a_track(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit import pushing
    from audit.core.proposals import Proposal
    from audit.core.track_corrections import KeyBox

    keys = (KeyBox(2, Proposal((1.0, 2.0, 9.0, 9.0))), KeyBox(3, Proposal((2.0, 2.0, 10.0, 9.0))))
    monkeypatch.setattr(pushing, "followed", lambda *_: keys)
    audited = audited_tracks(place, tmp_path / "run", track(place))
    audited.finding(
        T.MISSING_ANNOTATION, frame=2, suggested_label=PERSON, suggested_xyxy=[1.0, 2.0, 9.0, 9.0], frames=2,
        first_frame=2, last_frame=3,
    )  # fmt: skip
    audited.accept_all()
    before = tracks(audited)
    assert statuses(audited.push()) == ["done"]
    (made,) = [t for i, t in tracks(audited).items() if i not in before]
    assert (made["label_id"], made["frame"], made["source"]) == (place.label("person"), 2, "auto")
    assert [(s["frame"], s["points"]) for s in made["shapes"]] == [(2, [1, 2, 9, 9]), (3, [2, 2, 10, 9])]
    assert statuses(audited.push()) == ["already"]
    assert statuses(audited.undo()) == ["done"]
    assert bare(tracks(audited)) == bare(before)


def test_an_issue_on_the_worst_frame_names_the_stretch(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place))
    words = "No thing is predicted here. So it is on all 2 frames of this track that were compared (0 to 1)."
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0], frame=1, frames=2, first_frame=0, last_frame=1, reason=words)
    audited.accept_all()
    assert statuses(audited.push(ISSUES)) == ["done"]
    (issue,) = place.call("GET", "/issues", task_id=str(place.task_id), page_size="100")[1]["results"]
    comment = place.call("GET", "/comments", issue_id=str(issue["id"]))[1]["results"][0]["message"]
    assert words in comment
    audited.undo()


@pytest.mark.parametrize("kind", [T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION])
def test_a_track_that_goes_on_where_nobody_looked_is_not_deleted(place: Place, tmp_path: Path, kind: T) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place), track(place), only=range(1))
    kept, gone = sorted(tracks(audited))
    related = {"related_id": kept} if kind is T.DUPLICATE_ANNOTATION else {}
    audited.finding(kind, gone, first_frame=0, last_frame=0, **related)
    audited.accept_all()
    before = tracks(audited)
    report = audited.push()
    assert statuses(report) == ["conflict"]
    assert report.lines[0].reason == f"track {gone} also shows on frame 1, which was not audited"
    assert tracks(audited) == before


def test_an_end_is_not_cut_off_where_nobody_looked(place: Place, tmp_path: Path) -> None:
    hidden = track(place, key(2), key(3, outside=True))
    audited = audited_tracks(place, tmp_path / "run", track(place, key(2), key(3)), hidden, only=range(2, 3))
    goes_on, ends = sorted(tracks(audited))
    for one in (goes_on, ends):
        audited.finding(T.EXTRA_ANNOTATION, one, first_frame=0, last_frame=0)
    audited.accept_all()
    report = audited.push()
    assert sorted((line.id, line.status) for line in report.lines) == [(goes_on, "conflict"), (ends, "done")]
    assert list(tracks(audited)) == [goes_on]
    audited.undo()


def test_what_was_cut_off_stays_so_when_more_is_accepted(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place, key(2), key(3)))
    before, one = bare(tracks(audited)), first_id(audited)
    audited.finding(T.EXTRA_ANNOTATION, one, first_frame=3, last_frame=3)
    audited.accept_all()
    assert statuses(audited.push()) == ["done"]
    audited.finding(T.MISMATCHING_LABEL, one, suggested_label=PERSON, frames=2, first_frame=2, last_frame=3)
    audited.accept_all()
    report = audited.push()
    assert [(line.status, line.reason) for line in report.lines] == [("done", "")]
    (made,) = tracks(audited).values()
    assert made["label_id"] == place.label("person")
    assert [(s["frame"], s["outside"]) for s in made["shapes"]] == [(2, False), (3, True)]
    assert statuses(audited.push()) == ["already"]
    assert statuses(audited.undo()) == ["done"]
    assert bare(tracks(audited)) == before


def test_a_shape_and_a_track_on_one_spot_are_a_persons_choice(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place, key(0), key(1, outside=True)), shapes=[box(place)])
    a = audited.snapshot.annotations
    shape, one = int(a.annotation_id[~a.track][0]), int(a.annotation_id[a.track][0])
    at, other = (int((a.track == is_track).argmax()) for is_track in (False, True))
    facts = {"frame": 0, "label": THING}
    audited.finding(T.DUPLICATE_ANNOTATION, **facts, annotation=at, annotation_id=shape, related=other)
    audited.finding(T.DUPLICATE_ANNOTATION, **facts, annotation=other, annotation_id=one, related=at)
    audited.accept_all()
    report = audited.push(execute=False)
    assert [(line.action, line.status) for line in report.lines] == [("issue", "to do")] * 2
    assert {line.note for line in report.lines} == {"one of the two is a track"}


def test_a_skeletons_track_is_deleted_and_comes_back(place: Place, tmp_path: Path) -> None:
    sublabels = {s.name: s.id for s in place.labels["body"].sublabels}
    point = {"type": "points", "occluded": False, "outside": False}
    elements = [
        {
            "label_id": i,
            "frame": 0,
            "attributes": [],
            "shapes": [{**point, "frame": n, "points": [5.0, 6.0]} for n in (0, 1)],
        }
        for i in sublabels.values()
    ]
    pose = {**key(0), "type": "skeleton", "points": []}
    audited = audited_tracks(place, tmp_path / "run", track(place, pose, label="body", elements=elements))
    audited.finding(T.EXTRA_ANNOTATION, first_id(audited), frames=2, first_frame=0, last_frame=1)
    audited.accept_all()
    before = bare(tracks(audited))
    assert statuses(audited.push()) == ["done"]
    assert tracks(audited) == {}
    assert statuses(audited.undo()) == ["done"]
    assert bare(tracks(audited)) == before


def test_undo_leaves_a_track_alone_that_somebody_changed_since(place: Place, tmp_path: Path) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place), track(place))
    touched, fine = sorted(tracks(audited))
    for one in (touched, fine):
        audited.finding(T.MISMATCHING_LABEL, one, suggested_label=PERSON, frames=2, first_frame=0, last_frame=1)
    audited.accept_all()
    before = bare(tracks(audited))
    assert statuses(audited.push()) == ["done", "done"]
    theirs = {**tracks(audited)[touched], "group": 4}
    body = {"shapes": [], "tags": [], "tracks": [theirs]}
    assert place.call("PATCH", f"/jobs/{audited.job_ids[0]}/annotations", body, action="update")[0] == 200
    left = bare(tracks(audited))[touched]
    report = audited.undo()
    assert sorted((line.id, line.status) for line in report.lines) == [(touched, "conflict"), (fine, "done")]
    assert bare(tracks(audited)) == {touched: left, fine: before[fine]}
