"""The law of a push for tracks: whatever was accepted, ``undo(push(x)) == x`` but for the ids of keyframes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import pushing
from audit.core.proposals import Proposal
from audit.core.track_corrections import KeyBox
from tests.contract.place import Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.scenes import T, box
from tests.push.track_cases import audited_tracks, bare, key, track, tracks

JOBS = ((0, 1), (2, 3))
KINDS = (T.MISMATCHING_LABEL, T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION, T.LOW_OVERLAP, T.INVALID_SHAPE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    pictures = tmp_path_factory.mktemp("pictures")
    with FakeCvat() as server, make_place(Connection(server.url, ADMIN_TOKEN), pictures) as made:
        yield made


@st.composite
def drawn(draw: st.DrawFn, place: Place) -> dict[str, Any]:
    """A track within one job: boxes, polygons or a skeleton, hidden or turned in places, with attributes."""
    frames = draw(st.sampled_from([(a,) for job in JOBS for a in job] + list(JOBS)))
    kind = draw(st.sampled_from(["rectangle", "polygon", "ellipse", "skeleton"]))
    points = {"polygon": (1.0, 1.0, 20.0, 2.0, 9.0, 30.0), "skeleton": ()}.get(kind, (1.0, 2.0, 30.0, 40.0))
    name = "body" if kind == "skeleton" else draw(st.sampled_from(["person", "thing"]))
    keys = []
    for nth, frame in enumerate(frames):
        facts = {"type": kind, "occluded": draw(st.booleans()), "outside": nth > 0 and draw(st.booleans())}
        if kind == "rectangle":
            facts["rotation"] = draw(st.sampled_from([0.0, 0.0, 30.0]))
        pose = [{"spec_id": place.spec("pose"), "value": draw(st.sampled_from(["sits", "stands"]))}]
        keys.append(key(frame, points, **facts, attributes=pose if name == "person" else []))
    made = track(place, *keys, label=name, group=draw(st.integers(0, 2)))
    if kind == "skeleton":
        parts = [{**one, "type": "points", "points": [4.0, 5.0]} for one in keys]
        labels = [sublabel.id for sublabel in place.labels["body"].sublabels]
        facts = {"frame": frames[0], "attributes": []}
        made |= {"shapes": [], "elements": [{**facts, "label_id": i, "shapes": parts} for i in labels]}
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_undo_of_a_push_of_tracks_is_nothing(
    place: Place, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_STATE_HOME", folder)
        keys = (KeyBox(0, Proposal((1.0, 2.0, 9.0, 9.0))), KeyBox(1, Proposal((2.0, 2.0, 10.0, 9.0))))
        monkeypatch.setattr(pushing, "followed", lambda *_: keys)
        made = data.draw(st.lists(drawn(place), min_size=1, max_size=4))
        frames = data.draw(st.sampled_from([range(4), range(1), range(1, 3), range(3)]))
        audited = audited_tracks(place, Path(folder) / "run", *made, shapes=[box(place)], only=frames)
        before, shapes = bare(tracks(audited)), audited.stored()
        for _ in range(data.draw(st.integers(1, 2))):
            for _ in range(data.draw(st.integers(0, 4))):
                _add(audited, data)
            audited.accept_all()
            report = audited.push()
            assert {line.status for line in report.lines} <= {"done", "conflict", "already"}, report.lines
            assert "done" not in {line.status for line in audited.push().lines}
        assert {line.status for line in audited.undo().lines} <= {"done", "already"}
        assert bare(tracks(audited)) == before
        assert audited.stored() == shapes
        audited.place.call("DELETE", f"/tasks/{place.task_id}/annotations")


def _add(audited: Any, data: st.DataObject) -> None:
    a, frames = audited.snapshot.annotations, audited.snapshot.frames
    facts = {"suggested_label": data.draw(st.integers(0, 1)), "suggested_xyxy": [2.0, 3.0, 25.0, 30.0]}
    ids = sorted(set(a.annotation_id[a.track].tolist()))
    if not ids or data.draw(st.integers(0, 5)) == 0:
        if 0 in frames.number and 1 in frames.number:
            audited.finding(T.MISSING_ANNOTATION, frame=0, frames=2, first_frame=0, last_frame=1, **facts)
        return
    one = data.draw(st.sampled_from(ids))
    rows = a.frame[a.track & (a.annotation_id == one)].tolist()
    first, last = sorted((data.draw(st.sampled_from(rows)), data.draw(st.sampled_from(rows))))
    kind = data.draw(st.sampled_from(KINDS))
    if kind is T.DUPLICATE_ANNOTATION:
        facts["related"] = int(data.draw(st.sampled_from(range(len(a)))))
    at = next(r for r in range(len(a)) if a.track[r] and a.annotation_id[r] == one and a.frame[r] == last)
    audited.rows.append({
        "type": int(kind), "score": 0.9, "prediction_score": 0.8, "annotation": at, "annotation_id": one,
        "frame": last, "label": int(a.label[at]), "xyxy": a.xyxy[at], "frames": last - first + 1,
        "first_frame": first, "last_frame": last, "prediction": len(audited.masks), **facts,
    })  # fmt: skip
    audited.masks.append(None)
