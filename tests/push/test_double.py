"""The cases of a push on the double."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.place import Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.cases import *  # noqa: F403  (the same in tests/live)
from tests.push.track_cases import *  # noqa: F403  (the same in tests/live)
from tests.push.undo_cases import *  # noqa: F403  (the same in tests/live)


@pytest.fixture(scope="module", params=[True, False], ids=["scores", "no-scores"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server like the recorded one, and one that keeps no scores, as 2.54 was seen to do."""
    with FakeCvat() as server:
        server.scores = request.param
        with make_place(Connection(server.url, ADMIN_TOKEN), tmp_path_factory.mktemp("pictures")) as made:
            assert made.scores is request.param
            yield made


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
