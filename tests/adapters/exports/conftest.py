"""Shared pieces: a silent progress, an image, and ways to put an export on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.adapters.exports import ExportStore, open_store
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Snapshot
from audit.ports import Advance

Contents = Mapping[str, "bytes | str"]


class Silent:
    """A ``Progress`` that shows nothing and counts steps."""

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Advance]:
        yield self._advance

    def note(self, line: str) -> None:
        """Not shown."""

    def _advance(self, steps: int = 1) -> None:
        self.steps += steps


def picture(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 127, np.uint8)).save(stream, kind)
    return stream.getvalue()


def write_folder(root: Path, contents: Contents) -> Path:
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def write_zip(path: Path, contents: Contents) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


Opener = Callable[..., ExportStore]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """``open_store`` with a cache of its own; closes what it opened."""
    stores: list[ExportStore] = []

    def open_one(path: Path, **options: object) -> ExportStore:
        stores.append(open_store(path, cache=ImageCache(tmp_path / "cache"), **options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture(params=["folder", "zip"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Contents], Path]:
    """Puts an export on disk, once as a folder and once as a zip."""
    if request.param == "folder":
        return lambda contents: write_folder(tmp_path / "export", contents)
    return lambda contents: write_zip(tmp_path / "export.zip", contents)


@pytest.fixture
def read(opened: Opener, tmp_path: Path) -> Callable[..., Snapshot]:
    """The snapshot of an export given by its contents (a folder) or by its path."""

    def run(export: Contents | Path, **options: object) -> Snapshot:
        path = export if isinstance(export, Path) else write_folder(tmp_path / "export", export)
        return opened(path, **options).snapshot(Silent())

    return run
