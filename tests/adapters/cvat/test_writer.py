"""Writing to CVAT: what is sent, what is refused, who is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.edits import LabelSpec, changed, drawn, points_of, same
from audit.adapters.cvat.patience import Refused, ServerFailed, Unreachable
from audit.adapters.cvat.writer import CvatWriter
from audit.core.annotations import ShapeType
from audit.core.corrections import Action, Correction
from audit.core.masks import encode
from audit.core.proposals import Proposal
from audit.errors import ServiceError, UsageError
from audit.push_ports import Place, Unfit
from tests.adapters.cvat.conftest import LABELS, QUICK, photos
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.doubles.cvat.auth import add_token

BOX = {"type": "rectangle", "frame": 0, "points": [1.0, 2.0, 8.0, 9.0], "attributes": []}
SPECS = {"car": LabelSpec(5, "any", ((7, "red"),)), "lane": LabelSpec(6, "polyline", ())}
PLACE = Place(1, 3, (10, 20))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")


@pytest.fixture
def task(cvat: FakeCvat) -> int:
    cvat.add_user("ann", "secret-word", "ann-token")
    return cvat.add_task("t", photos(4), LABELS, segment_size=2)


@pytest.fixture
def writer(
    cvat: FakeCvat, task: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., CvatWriter]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made: list[CvatWriter] = []

    def opener(token: str = ADMIN_TOKEN, **credentials: str) -> CvatWriter:
        who = Credentials(**credentials) if credentials else Credentials(token=token)
        made.append(CvatWriter(cvat.url.replace("http://", "cvat+http://") + f"/tasks/{task}", who, patience=QUICK))
        return made[-1]

    yield opener
    for one in made:
        one.close()


def job(cvat: FakeCvat, task: int, nth: int = 0) -> int:
    return int(cvat.jobs(task)[nth]["id"])


def create(action: Action = Action.CREATE, **facts: Any) -> Correction:
    return Correction(action, ("f",), 0, **{"label": "car", "score": 0.123456, **facts})


def test_a_write_is_sent_once_whatever_happens(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    w, box = writer(), {**BOX, "label_id": cvat.labels(task)["car"]}
    for fault, error in (
        ({"status": 503}, ServerFailed),
        ({"drop": True}, Unreachable),
        ({"status": 429}, ServerFailed),
    ):
        struck = cvat.faults.add("action=create", times=5, **fault)  # type: ignore[arg-type]
        with pytest.raises(error):
            w.write(job(cvat, task), "create", [box])
        assert struck.hits == 1
        cvat.faults.clear()
    assert w.shapes(job(cvat, task)) == {}


def test_reading_is_tried_again(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    cvat.faults.add("/annotations", "GET", times=2, status=502)
    assert writer().shapes(job(cvat, task)) == {}


def test_who_and_which_job_is_told(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    box = {**BOX, "label_id": cvat.labels(task)["car"]}
    w = writer(user="ann", password="secret-word")
    with pytest.raises(Refused, match=rf"writing to job {job(cvat, task)}.*'ann' may not") as refused:
        w.write(job(cvat, task), "create", [box])
    assert refused.value.status == 403
    assert "secret-word" not in str(refused.value)
    add_token(cvat.state, 1, "reads-only", "r").read_only = True
    with pytest.raises(Refused, match=r"access token may not .*\(a read-only token cannot write\)"):
        writer(token="reads-only").write(job(cvat, task), "create", [box])
    with pytest.raises(Refused, match="job 999 does not exist"):
        writer().job(999)
    cvat.faults.add("action=create", status=409, body=b'{"detail": "busy"}')
    with pytest.raises(Refused, match=r"job 1.*409.*busy"):
        writer().write(1, "create", [box])


def test_with_a_password_the_write_carries_the_session(
    cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]
) -> None:
    cvat.set_job(job(cvat, task), assignee="ann")
    w = writer(user="ann", password="secret-word")
    w.write(job(cvat, task), "create", [{**BOX, "label_id": cvat.labels(task)["car"]}])
    assert [s["points"] for s in w.shapes(job(cvat, task)).values()] == [BOX["points"]]


def test_a_job_tells_its_frames_and_a_version_that_moves(
    cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]
) -> None:
    w, key = writer(), job(cvat, task, 1)
    before = w.job(key)
    assert (before.frames, before.stage, before.state) == (frozenset({2, 3}), "annotation", "new")
    w.write(key, "create", [{**BOX, "frame": 2, "label_id": cvat.labels(task)["car"]}])
    assert w.job(key).version != before.version
    truth = cvat.add_job("ground_truth", task_id=task, frames=[0, 3])
    assert w.job(truth).frames == frozenset({0, 3})


def test_issues_come_with_their_comments_and_only_their_own(
    cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]
) -> None:
    w, first, second = writer(), job(cvat, task), job(cvat, task, 1)
    assert w.issues(first) == []
    made = w.open_issue(first, 0, [1, 2, 3, 4], "text <b> \u202e 😀")
    w.open_issue(second, 2, [1, 2, 3, 4], "other")
    (found,) = w.issues(first)
    assert (found.id, found.frame, found.resolved) == (made, 0, False)
    assert [(c.author, c.text) for c in found.comments] == [("admin", "text <b> \u202e 😀")]
    w.delete_issue(made)
    assert w.issues(first) == []


def test_many_issues_are_read_page_by_page(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    w, key = writer(), job(cvat, task)
    for i in range(103):
        w.open_issue(key, 0, [1, 2, 3, 4], f"text {i}")
    found = w.issues(key)
    assert [i.comments[0].text for i in found] == [f"text {i}" for i in range(103)]


def test_an_answer_that_is_not_cvats(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    for path, act in (("/annotations", "shapes"), ("/jobs/1", "job"), ("/issues", "issues")):
        cvat.faults.add(path, "GET", status=200, body=b'{"results": [{"id": "x"}]}')
        with pytest.raises(ServiceError, match="does not answer like a CVAT"):
            getattr(writer(), act)(1)


@pytest.mark.parametrize("keys", [None, [{}], [{"frame": "x"}], [3]])
def test_a_track_without_sense_is_no_crash(
    cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter], keys: Any
) -> None:
    body = {"tags": [], "shapes": [], "tracks": [{"id": 1, "frame": 0, "label_id": 1, "shapes": keys}]}
    cvat.faults.add("/annotations", times=-1, status=200, body=json.dumps(body).encode())
    with pytest.raises(ServiceError, match="does not answer like a CVAT server"):
        writer().tracks(job(cvat, task))
    cvat.faults.clear()


def test_one_writer_a_job(cvat: FakeCvat, task: int, writer: Callable[..., CvatWriter]) -> None:
    one, other = writer(), writer()
    with one.holding(1):
        with other.holding(2):
            pass
        with pytest.raises(UsageError, match="another cvat-audit is writing to job 1"), other.holding(1):
            pass
    with other.holding(1):
        pass


def test_a_new_shape_is_complete() -> None:
    made = drawn(create(geometry=Proposal((1.0, 2.0, 3.0, 4.0))), PLACE, SPECS)
    assert made.pop("attributes") == [{"spec_id": 7, "value": "red"}]
    plain = {"rotation": 0.0, "occluded": False, "outside": False, "z_order": 0, "group": 0, "elements": []}
    points = [1.0, 2.0, 3.0, 4.0]
    facts = {"type": "rectangle", "label_id": 5, "frame": 3, "points": points, "source": "auto", "score": 0.1235}
    assert made == {**plain, **facts}


def test_what_the_label_cannot_be_is_refused() -> None:
    place = Proposal((1.0, 2.0, 3.0, 4.0))
    with pytest.raises(Unfit, match="no label 'bus'"):
        drawn(create(geometry=place, label="bus"), PLACE, SPECS)
    with pytest.raises(Unfit, match="of type polyline, not rectangle"):
        drawn(create(geometry=place, label="lane"), PLACE, SPECS)
    with pytest.raises(Unfit, match="no place"):
        drawn(create(), PLACE, SPECS)
    with pytest.raises(Unfit, match="polygon"):
        points_of(place, ShapeType.POLYGON, (10, 20))
    with pytest.raises(Unfit, match="empty"):
        points_of(Proposal(place.xyxy, mask=encode(np.zeros((10, 20)))), ShapeType.MASK, (10, 20))


def test_a_change_touches_one_field_and_not_the_shape_it_was_given() -> None:
    shape = {"id": 9, "type": "ellipse", "label_id": 4, "points": [1.0] * 4, "z_order": 2, "new field": [1]}
    shape["attributes"] = [{"spec_id": 1, "value": "x"}]
    before, place = dict(shape), Proposal((0.0, 0.0, 10.0, 4.0))
    moved = changed(shape, create(Action.UPDATE, label="", shape=ShapeType.ELLIPSE, geometry=place), PLACE, SPECS)
    assert moved == {**shape, "points": [5.0, 2.0, 10.0, 0.0]}
    renamed = changed(shape, create(Action.RELABEL), PLACE, SPECS)
    assert renamed == {**shape, "label_id": 5, "attributes": [{"spec_id": 7, "value": "red"}]}
    assert shape == before


def test_same_looks_at_all_that_is_wanted_but_ids() -> None:
    stored = {"id": 1, "points": [1.0], "score": 1.0, "elements": [{"id": 2, "points": [3.0]}], "more": 1}
    assert same(stored, {"points": [1], "score": 1, "elements": [{"id": 7, "points": [3]}]})
    assert not same(stored, {"points": [1.0], "score": 0.9})
    assert not same(stored, {"points": [1.0], "absent": 0})
    assert same({"points": [1.0]}, {"points": [1.0], "score": 0.9})  # as 2.54 shows a shape that was sent a score
