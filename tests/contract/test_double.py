"""The contract suite on the double."""

from collections.abc import Iterator

import pytest

from tests.contract.cases import *  # noqa: F403  (the suite; the same in tests/live)
from tests.contract.place import Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat


@pytest.fixture(scope="module", params=["token", "password", "no-scores"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with FakeCvat() as server:
        server.add_user("lead", password="lead-password")
        by_token, server.scores = request.param == "token", request.param != "no-scores"
        connection = (
            Connection(server.url, ADMIN_TOKEN) if by_token else Connection(server.url, "", "lead", "lead-password")
        )
        with make_place(connection, tmp_path_factory.mktemp("pictures")) as made:
            yield made
        assert (server.state.projects, server.state.tasks, server.state.jobs) == ({}, {}, {}), (
            "the suite left something"
        )
