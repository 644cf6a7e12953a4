"""What the double answers fits CVAT's own OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract import cases
from tests.contract.place import Connection, make_place
from tests.doubles import distil
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.doubles.cvat.web import JSON_TYPE, Request, Response
from tests.doubles.replay import replay, start
from tests.doubles.schema import DOCUMENT, Schemas

if not DOCUMENT.is_file():
    pytest.skip("no OpenAPI document in this checkout", allow_module_level=True)


class Checker:
    """Collects what doesn't fit."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.wrong: list[str] = []
        self.checked: set[tuple[str, str]] = set()

    def __call__(self, request: Request, response: Response) -> None:
        if not 200 <= response.status < 300 or response.content_type != JSON_TYPE or response.body is None:
            return
        method = "GET" if request.method == "HEAD" else request.method
        check = self.schemas.validator(method, request.path, response.status)
        if check is None:
            return
        self.checked.add((method, request.path))
        body = json.loads(response.payload())
        self.wrong += [
            f"{method} {request.path}: {error.json_path}: {error.message[:200]}" for error in check.iter_errors(body)
        ]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas(DOCUMENT)


def test_a_tour_through_the_sdk(schemas: Schemas, tmp_path: Path) -> None:
    checker = Checker(schemas)
    with FakeCvat() as server:
        server.observers.append(checker)
        with make_place(Connection(server.url, ADMIN_TOKEN), tmp_path) as place:
            cases.test_every_shape_type_is_read_back_as_written(place)
            cases.test_a_tag_and_a_track_are_read_back(place)
            cases.test_an_issue_with_its_comments(place)
            place.client.projects.list()
            place.client.tasks.list()
            place.client.users.retrieve_current_user()
            server.add_job("ground_truth", task_id=place.task_id, frames=[1, 3])
            for job in place.jobs():
                job.get_meta()
                job.get_annotations()
    assert checker.wrong == []
    assert len(checker.checked) > 15


def test_every_replayed_answer(schemas: Schemas) -> None:
    checker = Checker(schemas)
    with FakeCvat() as server:
        server.observers.append(checker)
        run = start(server)
        for flow in distil.FLOWS:
            for exchange in distil.whole(json.loads((distil.GOLDEN / f"{flow}.json").read_text(encoding="utf-8"))):
                replay(run, flow, exchange)
    assert sorted(set(checker.wrong)) == []
    assert len(checker.checked) > 40


def test_the_check_sees_a_wrong_answer(schemas: Schemas) -> None:
    checker = Checker(schemas)
    with FakeCvat() as server:
        request = Request("GET", "/api/server/about", {}, {}, b"", "", server.state)
        checker(request, Response(200, {"name": 1}))
    assert len(checker.wrong) >= 2
