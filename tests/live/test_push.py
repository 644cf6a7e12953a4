"""Pushing and undoing on a real server, on the suite's own project."""

from pathlib import Path

import pytest

from tests.push.cases import *  # noqa: F403  (the same as on the double)
from tests.push.track_cases import *  # noqa: F403  (the same as on the double)
from tests.push.undo_cases import *  # noqa: F403  (the same as on the double)

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
