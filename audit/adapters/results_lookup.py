"""Which frame and which class a row of a results file means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from audit.core.annotations import Frames
from audit.core.table import IntArray

UNKNOWN, AMBIGUOUS = -1, -2
"""What ``Images.find`` gives when no picture, or more than one, fits."""

REMEMBERED = 4096
"""Rows of one image mostly follow each other: so many images are not looked up again."""

Key = int | str


class RowError(ValueError):
    """A row cannot be used; the text says what was expected and what came."""


class Images:
    """Pictures by id, file name or stem. Frames of one task with one name (and id) are one picture."""

    def __init__(self, frames: Frames, listed: Mapping[Key, str]) -> None:
        """listed: file names by image id, as the results file itself tells them."""
        self._listed = listed
        self.picture_of_frame, self._frame_of_picture = _pictures(frames)
        self._frames = frames
        ids = frames.image_id[self._frame_of_picture].tolist()
        self._ids = _index((image_id, picture) for picture, image_id in enumerate(ids) if image_id >= 0)
        self._found: dict[tuple[Key | None, str | None], int] = {}
        self._named: dict[int, str] = {}

    def size_hw(self, picture: int) -> tuple[int, int]:
        """Height and width as the source states them, zeros if unknown."""
        frame = self._frame_of_picture[picture]
        return int(self._frames.height[frame]), int(self._frames.width[frame])

    def find(self, row: Mapping[str, Any]) -> int:
        """The picture a row means, ``UNKNOWN`` or ``AMBIGUOUS``.

        Raises RowError if it names none, or one that rows of another file of the same name were taken for.

        A CVAT task's number and the frame's number in it (``task``, ``frame``) go before ids and names, which
        repeat between the tasks of a project.
        """
        task, frame = row.get("task"), row.get("frame")
        if isinstance(task, int) and isinstance(frame, int) and (task, frame) in self._places:
            return self._places[task, frame]
        image_id, name = _key(row, "image_id"), row.get("file_name")
        if name is not None and not isinstance(name, str):
            raise RowError(f"file_name is {_shown(name)}, expected text")
        if image_id is None and name is None:
            raise RowError("has neither image_id nor file_name")
        pair = (image_id, name)
        if pair not in self._found:
            if len(self._found) == REMEMBERED:
                self._found.clear()
            found = _first([*self._by_name(name), *self._by_id(image_id)])
            said = self._listed.get(image_id) if name is None and image_id is not None else name
            if found >= 0 and said is not None:
                self._check_one_file(found, said)
            self._found[pair] = found
        return self._found[pair]

    def _check_one_file(self, picture: int, name: str) -> None:
        """Raises RowError if rows before gave the picture a path that is of another file."""
        before = self._named.setdefault(picture, name)
        one, other = (PurePosixPath(_plain(text)).parts[::-1] for text in (before, name))
        if any(a != b for a, b in zip(one, other, strict=False)):
            own = self._frames.name[self._frame_of_picture[picture]]
            raise RowError(
                f"{_shown(name)} and {_shown(before)} both fit the image {_shown(own)}; "
                "leave out the predictions of images that are not audited"
            )

    # most files name their images by id alone, so that the other ways are prepared only when a row needs them
    @cached_property
    def _names(self) -> dict[Key, int]:
        return _index((str(path), picture) for picture, path in self._paths())

    @cached_property
    def _bases(self) -> dict[Key, int]:
        return _index((path.name, picture) for picture, path in self._paths())

    @cached_property
    def _stems(self) -> dict[Key, int]:
        paths = list(self._paths())
        stems = [(path.stem, picture) for picture, path in paths]
        within = [(str(path.with_suffix("")), picture) for picture, path in paths if len(path.parts) > 1]
        return _index([*stems, *within, *((int(stem), picture) for stem, picture in stems if stem.isdecimal())])

    @cached_property
    def _tails(self) -> dict[Key, int]:
        """Pictures by the last folders of their path and its name."""
        parts = [(path.parts, picture) for picture, path in self._paths()]
        return _index(("/".join(p[i:]), picture) for p, picture in parts for i in range(1, len(p) - 1))

    @cached_property
    def _places(self) -> dict[tuple[int, int], int]:
        f = self._frames
        rows = zip(f.task.tolist(), f.number.tolist(), self.picture_of_frame.tolist(), strict=True)
        return {(task, number): picture for task, number, picture in rows if task >= 0}

    def _paths(self) -> Iterator[tuple[int, PurePosixPath]]:
        names = self._frames.name[self._frame_of_picture]
        return ((picture, PurePosixPath(_plain(name))) for picture, name in enumerate(names))

    def _by_name(self, name: str | None) -> list[int]:
        if name is None:
            return []
        path = PurePosixPath(_plain(name))
        found = [self._names.get(str(path), UNKNOWN), self._bases.get(path.name, UNKNOWN)]
        return [*self._by_tail(path), AMBIGUOUS] if found == [UNKNOWN, AMBIGUOUS] else found

    def _by_tail(self, path: PurePosixPath) -> list[int]:
        """Pictures whose path is the end of this one, by whole folders, or the other way round."""
        shorter = ["/".join(path.parts[i:]) for i in range(1, len(path.parts) - 1)]
        return [*(self._names.get(name, UNKNOWN) for name in shorter), self._tails.get(str(path), UNKNOWN)]

    def _by_id(self, image_id: Key | None) -> list[int]:
        if image_id is None:
            return []
        whole = int(image_id) if isinstance(image_id, str) and image_id.isdecimal() else image_id
        if self._ids and isinstance(whole, int):  # the source numbers its images itself: no number is a stem
            own = [self._ids.get(whole, UNKNOWN)]
        else:
            own = [self._stems.get(image_id, UNKNOWN), self._stems.get(whole, UNKNOWN)]
        names = [image_id] if isinstance(image_id, str) else []
        names += [self._listed[image_id]] if image_id in self._listed else []
        return [*(found for name in names for found in self._by_name(name)), *own]


def _pictures(frames: Frames) -> tuple[IntArray, IntArray]:
    """(frames,) the picture of each, numbered as they come, and (pictures,) the last frame of each."""
    numbers: dict[tuple[int, str, int], int] = {}
    rows = zip(frames.task.tolist(), frames.name, frames.image_id.tolist(), strict=True)
    picture = np.fromiter((numbers.setdefault(row, len(numbers)) for row in rows), np.int64, len(frames))
    frame = np.zeros(len(numbers), np.int64)
    frame[picture] = np.arange(len(frames))
    return picture, frame


def _index(pairs: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    """The picture of each key, ``AMBIGUOUS`` where it has several."""
    index: dict[Key, int] = {}
    for key, picture in pairs:
        if index.setdefault(key, picture) != picture:
            index[key] = AMBIGUOUS
    return index


class Classes:
    """Class names in the order of their codes; grows with the rows unless the file lists its categories."""

    def __init__(self, own: Mapping[Key, str], given: Mapping[int, str]) -> None:
        """own: the file's own categories, id to name. given: the annotations', used where a row has an id only."""
        self._own, self._given = own, given
        self._codes: dict[str, int] = {}
        self._intern(own.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._codes)

    def code(self, row: Mapping[str, Any]) -> int:
        """Raises RowError for a row without a class, or with an id that has no name."""
        name = row.get("category_name")
        if name is not None:
            if not isinstance(name, str) or not name:
                raise RowError(f"category_name is {_shown(name)}, expected text")
            return self._codes.setdefault(name, len(self._codes))
        key = _key(row, "category_id")
        if key is None:
            raise RowError("has neither category_id nor category_name")
        return self._codes[self._name(key)]

    def _name(self, key: Key) -> str:
        if key in self._own:
            return self._own[key]
        if isinstance(key, int) and key in self._given:
            self._intern(self._given.values())
            return self._given[key]
        if not self._own and not self._given:
            raise RowError(
                f"category_id {_shown(key)} has no name here: add category_name to the rows, or 'categories'"
            )
        known = ", ".join(map(str, list(self._own or self._given)[:10]))
        raise RowError(f"category_id {_shown(key)} is not among the categories ({known} …)")

    def _intern(self, names: Iterable[str]) -> None:
        for name in names:
            self._codes.setdefault(name, len(self._codes))


def _first(choices: list[int]) -> int:
    """The first choice that means one picture only."""
    single = next((picture for picture in choices if picture >= 0), None)
    if single is not None:
        return single
    return AMBIGUOUS if AMBIGUOUS in choices else UNKNOWN


def _key(row: Mapping[str, Any], name: str) -> Key | None:
    value = row.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    raise RowError(f"{name} is {_shown(value)}, expected a whole number or text")


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
