"""What an encoder made of a picture, kept by the picture's digest: CVAT sends the whole picture at every click."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

HALF_LIMIT = 65504.0
"""The largest number in half precision; larger ones would become infinite."""


@dataclass(frozen=True)
class Embedding:
    """features: the encoder's outputs in half precision. frame_hw: the picture's height and width in pixels."""

    features: tuple[NDArray[np.float16], ...]
    frame_hw: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return sum(f.nbytes for f in self.features)

    def to_bytes(self) -> bytes:
        """For a store outside of this process; read back by ``from_bytes``."""
        stream = io.BytesIO()
        named = {f"f{i}": f for i, f in enumerate(self.features)}
        np.savez(stream, allow_pickle=False, frame_hw=np.array(self.frame_hw), **named)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Embedding | None:
        """None for what is not an embedding: another version's, damaged, or somebody else's."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                h, w = (int(v) for v in found["frame_hw"])
                features = tuple(np.asarray(found[f"f{i}"], np.float16) for i in range(len(found.files) - 1))
        except Exception:  # numpy and zipfile raise whatever they like on bad bytes
            return None
        return cls(features, (h, w))


def halved(features: NDArray[np.float32]) -> NDArray[np.float16]:
    """In half precision, which halves the memory and changes no pixel of note."""
    return np.clip(features, -HALF_LIMIT, HALF_LIMIT).astype(np.float16)


class SharedStore(Protocol):
    """Where several workers and restarts share embeddings. Never raises: without it all works, only slower."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...


class EmbeddingCache:
    """Embeddings within a bound on their bytes; the least recently used goes first. Safe for threads.

    shared: asked when one is not here, told when one is new.
    """

    def __init__(self, max_bytes: int, shared: SharedStore | None = None) -> None:
        self._max_bytes, self._shared = max_bytes, shared
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Embedding | None:
        """The embedding under this key, which then counts as just used."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        data = self._shared.get(key) if self._shared else None
        found = Embedding.from_bytes(data) if data else None
        if found is not None:
            self._keep(key, found)
        return found

    def put(self, key: str, embedding: Embedding) -> None:
        """Keep it; one that is larger than the bound by itself is not kept here."""
        self._keep(key, embedding)
        if self._shared:
            self._shared.put(key, embedding.to_bytes())

    def _keep(self, key: str, embedding: Embedding) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self.nbytes -= old.nbytes if old else 0
            if embedding.nbytes > self._max_bytes:
                return
            self._kept[key] = embedding
            self.nbytes += embedding.nbytes
            while self.nbytes > self._max_bytes:
                _, gone = self._kept.popitem(last=False)
                self.nbytes -= gone.nbytes
