"""A double of CVAT for each test, and stores that wait no longer than a test should."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.patience import Patience
from audit.adapters.cvat.store import CvatStore, open_store
from audit.adapters.pictures import ImageCache
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

QUICK = Patience(connect=2, read=1, answer=2, attempts=3, wait_initial=0.01, wait_max=0.02, retry_after_max=0.05)
LABELS: list[dict[str, Any]] = [{"name": "person", "type": "any"}, {"name": "car", "type": "any"}]


def jpeg(shade: int, size: tuple[int, int] = (32, 24)) -> bytes:
    """A small photo; each shade has other bytes."""
    stream = io.BytesIO()
    Image.new("RGB", size, (shade % 256, 7 * shade % 256, 90)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def photos(count: int) -> dict[str, bytes]:
    return {f"photo_{i}.jpg": jpeg(i) for i in range(count)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def cvat() -> Iterator[FakeCvat]:
    with FakeCvat() as server:
        yield server


@pytest.fixture
def opened(cvat: FakeCvat, tmp_path: Path) -> Iterator[Callable[..., CvatStore]]:
    """Opens a store on the double; the path stands behind the server's address."""
    stores: list[CvatStore] = []

    def opener(path: str, **options: Any) -> CvatStore:
        options = {"credentials": Credentials(token=ADMIN_TOKEN), "patience": QUICK, **options}
        cache = ImageCache(tmp_path / "images")
        stores.append(open_store(cvat.url.replace("http://", "cvat://") + path, cache=cache, **options))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()
