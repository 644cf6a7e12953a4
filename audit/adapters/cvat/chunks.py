"""CVAT's chunks: which frames lie in which, and how their bytes come out."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

MAX_CHUNK_BYTES = 4 << 30
"""Of a chunk, packed or unpacked. CVAT makes them of 2 to 72 photos."""

MAX_IMAGE_BYTES = 512 << 20
"""Of one image; larger ones are not even unpacked."""


class ChunkError(Exception):
    """This is not the chunk that was asked for; the text says why in a few words."""


@dataclass(frozen=True)
class Media:
    """The frames of a task, or of a job where the task may not be read, as the server packs them.

    endpoint: "task" or "job". id: its number. task: the task's. numbers: frame numbers in the order of
    the chunks. chunk_size: frames in a chunk. zipped: chunks are zip files of images (not videos).
    version: changes when the bytes behind a number do.
    """

    endpoint: str
    id: int
    task: int
    numbers: Sequence[int]
    chunk_size: int
    zipped: bool
    version: str

    def numbers_of(self, chunk: int) -> Sequence[int]:
        """The frames in a chunk, in its order."""
        return self.numbers[chunk * self.chunk_size : (chunk + 1) * self.chunk_size]


def unpack(chunk: IO[bytes], members: int, wanted: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The bytes of the wanted members (by position) of a zip that must hold so many; names are not used.

    Raises ChunkError for what is not such a zip, is damaged, or unpacks to more than the bounds.
    """
    try:
        with zipfile.ZipFile(chunk) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
            _check(infos, members)
            for position in wanted:
                yield position, archive.read(infos[position])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ChunkError(f"is not a whole zip file ({type(error).__name__})") from None


def _check(infos: Sequence[zipfile.ZipInfo], members: int) -> None:
    if len(infos) != members:
        raise ChunkError(f"holds {len(infos)} images instead of {members}")
    if max((i.file_size for i in infos), default=0) > MAX_IMAGE_BYTES:
        raise ChunkError(f"holds an image of over {MAX_IMAGE_BYTES >> 20} MiB")
    if sum(i.file_size for i in infos) > MAX_CHUNK_BYTES:
        raise ChunkError(f"unpacks to more than {MAX_CHUNK_BYTES >> 30} GiB")
