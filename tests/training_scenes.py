"""Pictures, a store and a progress for tests of training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from audit.core.annotations import Annotations, Frames, Snapshot
from audit.ports import FrameImage, FrameProblem, Progress

Size = tuple[int, int]
WIDTH, HEIGHT = 60, 40
HW = (HEIGHT, WIDTH)
LABELS = ("cell", "worm")


class Store:
    """Pictures by frame, written to ``folder``; None cannot be had. reads: how many were asked for."""

    def __init__(self, folder: Path, pictures: Sequence[bytes | None], held: Snapshot | None = None) -> None:
        self.folder, self.pictures, self.held, self.reads = folder, pictures, held, 0
        folder.mkdir(exist_ok=True)
        for i, data in enumerate(pictures):
            (folder / f"{i}.jpg").write_bytes(data or b"")

    def snapshot(self, progress: Progress) -> Snapshot:
        return self.held or snapshot(len(self.pictures))

    def has_images(self) -> bool:
        return bool(self.pictures)

    def images(self, snapshot: Snapshot, frames: Sequence[int]) -> Iterator[FrameImage | FrameProblem]:
        for i in frames:
            self.reads += 1
            data = self.pictures[i]
            yield FrameProblem(i, "is not there") if data is None else FrameImage(i, "", self.folder / f"{i}.jpg", data)

    def close(self) -> None: ...


def encoded(form: str = "JPEG", hw: Size = HW, mode: str = "RGB", seed: int = 0, **options: object) -> bytes:
    """Noise, different for each seed, as a picture file."""
    rng = np.random.default_rng(seed)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (*hw, 3), np.uint8)).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def snapshot(n: int, sizes_hw: Sequence[Size] | None = None, annotations: Annotations | None = None) -> Snapshot:
    """n frames of unknown size unless given."""
    hw = np.array(sizes_hw or [(0, 0)] * n, np.int64).reshape(n, 2)
    frames = Frames(name=[f"{i}.jpg" for i in range(n)], number=np.arange(n), height=hw[:, 0], width=hw[:, 1])
    return Snapshot("test", LABELS, frames, annotations or Annotations())
