"""The double, with caches and state of each test's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.annotating.scene import LABELS, Scene, photos
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", ADMIN_TOKEN)


@pytest.fixture(scope="session")
def bus() -> bytes:
    """A real photo: four people and a bus."""
    if importlib.util.find_spec("ultralytics") is None:
        pytest.skip("the ultralytics extra is not installed")
    from audit.adapters.ultralytics.environment import load_ultralytics

    return (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()


@pytest.fixture(scope="session")
def yolo(bus: bytes) -> Path:
    """yolo11n, looked up before a test's own caches hide it."""
    from audit.adapters.ultralytics.weights import find_weights

    return find_weights("yolo11n")


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as running:
        yield running


@pytest.fixture
def scene(server: FakeCvat, tmp_path: Path) -> Scene:
    return Scene(server, tmp_path, server.add_task("t", photos(6), LABELS, segment_size=3))
