"""Which frame and which class a row of a results file means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from audit.core.annotations import Frames
from audit.core.table import IntArray

UNKNOWN, AMBIGUOUS = -1, -2
"""What ``Images.find`` gives when no picture, or more than one, fits."""

Key = int | str


class RowError(ValueError):
    """A row cannot be used; the text says what was expected and what came."""


class Images:
    """Pictures by id, file name or stem. Frames of one task with one name (and id) are one picture."""

    def __init__(self, frames: Frames, listed: Mapping[Key, str]) -> None:
        """listed: file names by image id, as the results file itself tells them."""
        self._listed = listed
        self._ids: dict[Key, set[int]] = defaultdict(set)
        self._names: dict[Key, set[int]] = defaultdict(set)
        self._bases: dict[Key, set[int]] = defaultdict(set)
        self._stems: dict[Key, set[int]] = defaultdict(set)
        self.picture_of_frame = self._indexed(frames)
        self._found: dict[tuple[Key | None, str | None], int] = {}

    def find(self, row: Mapping[str, Any]) -> int:
        """The picture a row means, ``UNKNOWN`` or ``AMBIGUOUS``. Raises RowError if it names none."""
        image_id, name = _key(row, "image_id"), row.get("file_name")
        if name is not None and not isinstance(name, str):
            raise RowError(f"file_name is {_shown(name)}, expected text")
        if image_id is None and name is None:
            raise RowError("has neither image_id nor file_name")
        pair = (image_id, name)
        if pair not in self._found:
            self._found[pair] = _first([*self._by_name(name), *self._by_id(image_id)])
        return self._found[pair]

    def _indexed(self, frames: Frames) -> IntArray:
        numbers: dict[tuple[int, str, int], int] = {}
        picture = np.zeros(len(frames), np.int64)
        rows = zip(frames.task.tolist(), frames.name, frames.image_id.tolist(), strict=True)
        for frame, identity in enumerate(rows):
            if identity not in numbers:
                numbers[identity] = len(numbers)
                self._add(identity[1], identity[2], numbers[identity])
            picture[frame] = numbers[identity]
        return picture

    def _add(self, name: str, image_id: int, picture: int) -> None:
        path = PurePosixPath(_plain(name))
        self._names[str(path)].add(picture)
        self._bases[path.name].add(picture)
        self._stems[path.stem].add(picture)
        if path.stem.isdecimal():
            self._stems[int(path.stem)].add(picture)
        if image_id >= 0:
            self._ids[image_id].add(picture)

    def _by_name(self, name: str | None) -> list[set[int]]:
        if name is None:
            return []
        path = PurePosixPath(_plain(name))
        return [self._names.get(str(path), set()), self._bases.get(path.name, set())]

    def _by_id(self, image_id: Key | None) -> list[set[int]]:
        if image_id is None:
            return []
        whole = int(image_id) if isinstance(image_id, str) and image_id.isdecimal() else image_id
        if self._ids:  # the source numbers its images itself: a stem that looks like a number is none
            own = [self._ids.get(whole, set())]
        else:
            own = [self._stems.get(image_id, set()), self._stems.get(whole, set())]
        names = [image_id] if isinstance(image_id, str) else []
        names += [self._listed[image_id]] if image_id in self._listed else []
        return [*(found for name in names for found in self._by_name(name)), *own]


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


def _first(choices: list[set[int]]) -> int:
    """The first choice that means one picture only."""
    single = next((c for c in choices if len(c) == 1), None)
    if single is not None:
        return next(iter(single))
    return AMBIGUOUS if any(choices) else UNKNOWN


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
