"""The law of a push: whatever was accepted on whatever task, ``undo(push(x)) == x``, field for field."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.pushing import ISSUES
from tests.contract.cases import every_shape
from tests.contract.place import FRAMES, SIZE, Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.cases import issues
from tests.push.place import HW, audit
from tests.push.scenes import T, rich

EXAMPLES = 25
x, y = st.floats(-20, SIZE[0] + 20).map(lambda v: round(v, 3)), st.floats(-20, SIZE[1] + 20).map(lambda v: round(v, 3))
SOURCES = ("manual", "auto", "semi-auto", "file", "consensus")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    pictures = tmp_path_factory.mktemp("pictures")
    with FakeCvat() as server, make_place(Connection(server.url, ADMIN_TOKEN), pictures) as made:
        yield made


def shapes(place: Place) -> st.SearchStrategy[dict[str, Any]]:
    """Any type of shape with any value in its other fields."""

    @st.composite
    def one(draw: st.DrawFn) -> dict[str, Any]:
        shape = {**draw(st.sampled_from(every_shape(place))), "frame": draw(st.integers(0, FRAMES - 1))}
        if shape["type"] != "mask":
            shape["points"] = [draw(x if i % 2 == 0 else y) for i in range(len(shape["points"]))]
        if shape["type"] in ("rectangle", "ellipse"):
            shape["rotation"] = draw(st.sampled_from([0.0, 0.0, 33.3, 90.0]))
        if shape["type"] != "skeleton" and draw(st.booleans()):
            shape |= {k: v for k, v in rich(place).items() if k in ("label_id", "attributes")}
        shape |= {
            "occluded": draw(st.booleans()),
            "z_order": draw(st.integers(-3, 3)),
            "group": draw(st.integers(0, 3)),
        }
        return {**shape, "source": draw(st.sampled_from(SOURCES)), "score": draw(st.sampled_from([0.0, 0.3, 1.0]))}

    return one()


@st.composite
def findings(draw: st.DrawFn) -> dict[str, Any]:
    """A finding of any type; ``nth``: which shape it is about."""
    left, top = draw(st.integers(-5, SIZE[0])), draw(st.integers(-5, SIZE[1]))
    box = [float(left), float(top), left + draw(st.integers(1, 30)) + 0.257, top + draw(st.integers(1, 30)) + 0.5]
    mask = np.zeros(HW, np.uint8)
    mask[max(top, 0) : max(top, 0) + 9, max(left, 0) : max(left, 0) + 9] = 1
    kind = draw(st.sampled_from(list(T)))
    facts = {
        "suggested_label": draw(st.integers(0, 1)),
        "suggested_xyxy": box,
        "mask": draw(st.sampled_from([None, mask])),
    }
    return {"kind": kind, "nth": draw(st.integers(0, 99)), "frame": draw(st.integers(0, FRAMES - 1)), **facts}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_undo_of_a_push_is_nothing(place: Place, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_STATE_HOME", folder)
        audited = audit(place, Path(folder) / "run", data.draw(st.lists(shapes(place), min_size=1, max_size=8)))
        known = audited.snapshot.annotations.annotation_id.tolist()
        for found in data.draw(st.lists(findings(), max_size=8)):
            kind, nth, frame = found.pop("kind"), found.pop("nth") % len(known), found.pop("frame")
            if kind is T.MISSING_ANNOTATION:
                audited.finding(kind, frame=frame, **found)
            elif kind is T.DUPLICATE_ANNOTATION:
                audited.finding(kind, known[nth], related_id=known[nth - 1])
            else:
                audited.finding(kind, known[nth], **found)
        audited.accept_all()
        before = [audited.annotations(job) for job in audited.job_ids]
        asked = {tuple(line.findings) for line in audited.push(execute=False).lines}
        done = audited.push()
        assert done.failure is None
        assert {tuple(line.findings) for line in done.lines} == asked
        assert not {"to do", "failed"} & {line.status for line in done.lines}
        written = [audited.annotations(job) for job in audited.job_ids]
        assert "done" not in {line.status for line in audited.push().lines}
        assert [audited.annotations(job) for job in audited.job_ids] == written
        audited.push(ISSUES)
        undone = audited.undo()
        assert {line.status for line in undone.lines} <= {"done"}
        assert [audited.annotations(job) for job in audited.job_ids] == before
        assert issues(audited) == []
