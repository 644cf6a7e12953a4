"""Our reader on the double."""

from collections.abc import Iterator

import pytest

from tests.contract.place import Connection, Place, make_place
from tests.contract.reading import *  # noqa: F403  (the suite; the same in tests/live)
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat


@pytest.fixture(scope="module", params=["a detector", "no detector", "no functions server"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with FakeCvat() as server:
        server.functions_down = request.param == "no functions server"
        if request.param == "a detector":
            answer = [{"label": "person", "type": "rectangle", "points": [1, 2, 20, 12], "confidence": "0.4"}]
            server.add_function("det", "detector", ["person"], lambda body: answer)
        with make_place(Connection(server.url, ADMIN_TOKEN), tmp_path_factory.mktemp("pictures")) as made:
            yield made
