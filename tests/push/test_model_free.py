"""A push of what all labels together tell: issues at the spot, shapes and tracks untouched."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audit.pushing import FIXES, ISSUES
from tests.contract.place import SIZE, Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.cases import issues
from tests.push.place import audit
from tests.push.scenes import PERSON, THING, T, box, ids


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with FakeCvat() as server, make_place(Connection(server.url, ADMIN_TOKEN), tmp_path_factory.mktemp("p")) as made:
        yield made


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("way", [FIXES, ISSUES])
def test_each_becomes_an_issue_at_its_spot(place: Place, tmp_path: Path, way: str) -> None:
    audited = audit(place, tmp_path / "run", [box(place, frame=1)])
    audited.finding(T.EMPTY_FRAME, frame=0)
    audited.finding(T.UNUSUAL_SHAPE, ids(audited)[0])
    audited.finding(T.BROKEN_TRACK, frame=2, label=THING, suggested_label=THING, suggested_xyxy=[4.0, 4, 20, 30])
    audited.finding(T.INCONSISTENT_FRAMES, frame=3, suggested_label=PERSON, suggested_xyxy=[6.0, 4, 20, 30])
    audited.accept_all()
    before = [audited.annotations(job) for job in audited.job_ids]
    report = audited.push(way)
    assert [(line.action, line.status) for line in report.lines] == [("issue", "done")] * 4
    assert [audited.annotations(job) for job in audited.job_ids] == before
    told = sorted(issues(audited), key=lambda issue: int(issue["frame"]))
    assert [i["position"] for i in told] == [
        [0.0, 0.0, *map(float, SIZE)], [1.0, 2.0, 30.0, 40.0], [4.0, 4.0, 20.0, 30.0], [6.0, 4.0, 20.0, 30.0]
    ]  # fmt: skip
    first = ["Frame without labels (90.0 %)", "Unusual shape: thing", "Broken track: thing", "Labelled differently"]
    assert all(i["text"].startswith(said) for i, said in zip(told, first, strict=True))
    assert all(("Not fixed by itself" in i["text"]) == (way == FIXES) for i in told)
    assert np.all([line.status == "done" for line in audited.undo().lines])
    assert issues(audited) == []
