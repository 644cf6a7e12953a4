"""A zip or a folder behind one face. Nothing is ever unpacked, and no name reaches outside."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from audit.errors import UsageError

MAX_IMAGE_BYTES = 1 << 30
"""Larger image files are refused unread: 1 GiB holds 200 megapixels of uncompressed 16-bit RGB."""

MAX_TEXT_BYTES = 16 << 30
"""Larger annotation files are refused: a million images with 20 polygons each take about 10 GiB."""

MAX_RATIO = 250
"""A member that grows more than this many times is a bomb; annotations grow 10 to 60 times."""

RATIO_FREE_BYTES = 16 << 20
"""Below this size the ratio does not matter: it fits in memory anyway."""

READ_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class FileError(Exception):
    """This one file cannot be used; the text says why in a few words."""


class Files(Protocol):
    """Regular files by their path relative to the export, with forward slashes."""

    where: str

    def names(self) -> Iterator[str]:
        """All files."""

    def has(self, name: str) -> bool:
        """Whether it is there. Raises FileError for a name that reaches outside."""

    def open(self, name: str) -> IO[bytes]:
        """An annotation file as a stream. Raises UsageError."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """An image, or its first ``limit`` bytes. Raises FileError."""

    def local(self, name: str) -> Path | None:
        """The file itself where it is one, ``None`` inside a zip."""

    def close(self) -> None: ...


def safe_name(name: str) -> str:
    """The name as a relative path with forward slashes. Raises FileError if it reaches outside."""
    path = name.replace("\\", "/")
    parts = path.split("/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in parts or "\0" in path:
        raise FileError("its name leads out of the export's folder, so it is not opened")
    clean = "/".join(p for p in parts if p not in ("", "."))
    if not clean:
        raise FileError("has no name")
    return clean


def tails(name: str) -> list[str]:
    """What a path from another machine may be called here: its last folders and its name, longest first.

    "/data/set/images/a.jpg" gives "data/set/images/a.jpg" down to "a.jpg". Steps upwards are left out.
    """
    parts = [p for p in re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")).split("/") if p not in ("", ".", "..")]
    return ["/".join(parts[i:]) for i in range(len(parts))]


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turns what goes wrong while an annotation file is read into one line."""
    try:
        yield
    except PermissionError:
        raise UsageError(f"{where}: no permission to read it; check the file's rights") from None
    except READ_ERRORS as error:
        raise UsageError(f"{where}: cannot be read to its end ({error}); copy or export it again") from None


class FolderFiles:
    """Files of a folder. narrow: only the folder itself and its ``images`` are listed, not all below it."""

    def __init__(self, root: Path, *, narrow: bool = False) -> None:
        self.where = str(root)
        self._root = root
        self._real = root.resolve()
        self._narrow = narrow

    def names(self) -> Iterator[str]:
        for folder, below, files in os.walk(self._root):
            relative = Path(folder).relative_to(self._root)
            if self._narrow and folder == str(self._root):
                below[:] = [b for b in below if b in ("images", "labels")]
            below.sort()
            yield from ((relative / f).as_posix() for f in sorted(files))

    def has(self, name: str) -> bool:
        path = self._root / safe_name(name)
        try:
            if not path.is_file():
                return False
        except (OSError, ValueError):
            return False
        self._inside(path)
        return True

    def open(self, name: str) -> IO[bytes]:
        where = f"{self.where}/{name}"
        with readable(where):
            try:
                return self._inside(self._root / safe_name(name)).open("rb")
            except FileError as problem:
                raise UsageError(f"{where}: {problem}") from None

    def read(self, name: str, limit: int = -1) -> bytes:
        path = self._inside(self._root / safe_name(name))
        try:
            if limit < 0 and path.stat().st_size > MAX_IMAGE_BYTES:
                raise FileError(f"is over {MAX_IMAGE_BYTES >> 20} MiB")
            with path.open("rb") as stream:
                return stream.read(limit)
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror or error})") from None

    def local(self, name: str) -> Path | None:
        return (self._root / safe_name(name)).absolute()

    def close(self) -> None:
        """Nothing is held open."""

    def _inside(self, path: Path) -> Path:
        if not path.resolve().is_relative_to(self._real):
            raise FileError("is a link that leaves the folder, so it is not opened")
        return path


class ZipFiles:
    """Members of a zip, read in place. Raises UsageError for one that is broken or hostile."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        with readable(self.where):
            try:
                self._zip = zipfile.ZipFile(path)
            except zipfile.BadZipFile as error:
                if path.suffix.lower() != ".zip" and not _begins_as_zip(path):
                    raise UsageError(
                        f"{path}: is no export: expected a zip, a folder, or an annotation file (.xml, .json, .yaml)"
                    ) from None
                raise UsageError(f"{path}: is not a whole zip ({error}); copy or export it again") from None
        try:
            for info in self._zip.infolist():
                self._refuse(info)
        except UsageError:
            self._zip.close()
            raise

    def names(self) -> Iterator[str]:
        return (i.filename for i in self._zip.infolist() if not i.is_dir())

    def has(self, name: str) -> bool:
        return safe_name(name) in self._zip.NameToInfo

    def open(self, name: str) -> IO[bytes]:
        where = f"{self.where}:{name}"
        info = self._zip.NameToInfo[name]
        problem = _oversized(info, MAX_TEXT_BYTES)
        if problem:
            raise UsageError(f"{where}: {problem}")
        with readable(where):
            return self._zip.open(info)

    def read(self, name: str, limit: int = -1) -> bytes:
        info = self._zip.NameToInfo[safe_name(name)]
        problem = _oversized(info, MAX_IMAGE_BYTES)
        if problem:
            raise FileError(problem)
        try:
            with self._zip.open(info) as stream:
                return stream.read(limit)
        except READ_ERRORS as error:
            raise FileError(f"cannot be unpacked ({error})") from None

    def local(self, name: str) -> Path | None:  # noqa: ARG002  the protocol's signature
        return None

    def close(self) -> None:
        self._zip.close()

    def _refuse(self, info: zipfile.ZipInfo) -> None:
        where = f"{self.where}: member '{info.filename[:200]}'"
        try:
            safe_name(info.filename)
        except FileError:
            raise UsageError(f"{where} would lie outside of the export's folder; the zip is refused") from None
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UsageError(f"{where} is a symbolic link; the zip is refused")
        if info.flag_bits & 0x1:
            raise UsageError(f"{where} is encrypted; unpack the zip and give the folder")


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _oversized(info: zipfile.ZipInfo, limit: int) -> str:
    """Why this member is refused, or "". zipfile itself never gives more than the declared size."""
    if info.file_size > limit:
        return f"declares {info.file_size / 2**20:.0f} MiB, more than the {limit >> 20} allowed"
    if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"grows {info.file_size // max(info.compress_size, 1)} times when unpacked, more than {MAX_RATIO}"
    return ""


def open_files(path: Path, *, narrow: bool = False) -> Files:
    """The files of a folder or zip. Raises UsageError."""
    with readable(str(path)):
        if path.is_dir():
            os.scandir(path).close()
            return FolderFiles(path, narrow=narrow)
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        if path.stat().st_size == 0:
            raise UsageError(f"{path}: is empty (0 bytes); copy or export it again")
    return ZipFiles(path)
