"""Frozen, columnar tables: the one shape in which annotations, predictions and findings travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from audit.core.texts import Texts

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ObjectArray = NDArray[np.object_]
TextArray = NDArray[np.object_] | Texts
"""(n,) strings, packed where many of them are held for long."""
Index = slice | IntArray | BoolArray | NDArray[np.intp]
T = TypeVar("T", bound="Table")


def column(dtype: Any, default: Any = None, *, width: int | None = None, required: bool = False) -> Any:
    """Declare a column: its dtype, the value of rows that give none, and its width if it is 2-D."""
    metadata = {"dtype": np.dtype(dtype), "default": default, "width": width, "required": required}
    return field(default=None, metadata=metadata)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, converted and checked when built, never written to afterwards.

    Columns left out are filled with their default. Indexing with a boolean array, integers or a
    slice gives a new table; absent rows are an empty table, never ``None``.
    Raises ``ValueError`` when a required column is missing or lengths or widths differ.
    """

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        lengths = {name: len(value) for name, value in given.items() if value is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{type(self).__name__}: columns differ in length: {lengths}")
        n = next(iter(lengths.values()), 0)
        for f in fields(self):
            object.__setattr__(self, f.name, _build(type(self).__name__, f, given[f.name], n))

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self: T, index: Index) -> T:
        if isinstance(index, np.ndarray) and index.dtype == bool:
            index = _numbers(index, len(self))
        columns = self.columns()
        n = len(_rows(next(iter(columns.values())), index))
        return self._of_checked({name: _same_or_rows(values, index, n) for name, values in columns.items()})

    @classmethod
    def _of_checked(cls: type[T], columns: Mapping[str, NDArray[Any]]) -> T:
        """From columns that come from such tables: they need no second check, which takes longer than many of them."""
        table = cls.__new__(cls)
        for values in columns.values():
            if isinstance(values, np.ndarray):
                values.flags.writeable = False
        table.__dict__.update(columns)
        return table

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, in the order they are declared."""
        return dict(self.__dict__)

    def replace(self: T, **changed: Any) -> T:
        """A new table with some columns exchanged."""
        return type(self)(**{**self.columns(), **changed})

    @classmethod
    def concat(cls: type[T], parts: Iterable[T]) -> T:
        """All rows of all parts, in order. No parts give an empty table."""
        tables = list(parts)
        if not tables:
            return cls()
        if len(tables) == 1:
            return tables[0]
        return cls(**{f.name: np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(cls)})


def objects(values: Iterable[Any]) -> ObjectArray:
    """A 1-D object array holding the values as they are (numpy would unpack equal-length sequences)."""
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items if not any(isinstance(v, (list, tuple, np.ndarray)) for v in items) else None
    if items and any(isinstance(v, (list, tuple, np.ndarray)) for v in items):
        for i, value in enumerate(items):
            array[i] = value
    return array


def present(values: ObjectArray) -> BoolArray:
    """(n,) which rows hold something, that is not None."""
    if _is_constant(values):
        return np.full(len(values), values[0] is not None)
    return np.fromiter((v is not None for v in values), np.bool_, len(values))


def _numbers(chosen: NDArray[Any], n: int) -> IntArray:
    """The rows that a boolean index means: looked up once, not for each column."""
    if len(chosen) != n:
        raise IndexError(f"a boolean index of {len(chosen)} rows for a table of {n}")
    return np.flatnonzero(chosen)


def _same_or_rows(values: NDArray[Any], index: Index, n: int) -> NDArray[Any]:
    return np.broadcast_to(values[:1], (n, *values.shape[1:])) if _is_constant(values) else _rows(values, index)


def _rows(values: NDArray[Any] | Texts, index: Index) -> NDArray[Any]:
    """values[index]; ``take`` copies whole rows, four times as fast as indexing where they are several numbers."""
    if isinstance(index, slice) or isinstance(values, Texts) or not values.flags.c_contiguous:
        return values[index]
    return values.take(index, axis=0)


def _is_constant(values: Any) -> bool:
    """Whether this is a column that was left out: one value in memory stands for all rows."""
    return len(values) > 1 and not isinstance(values, Texts) and values.strides[0] == 0


def _build(owner: str, f: Any, value: Any, n: int) -> NDArray[Any]:
    meta: Mapping[str, Any] = f.metadata
    shape = (n,) if meta["width"] is None else (n, meta["width"])
    if value is None:
        if meta["required"] and n:
            raise ValueError(f"{owner}: column '{f.name}' is required")
        # one value seen n times takes no memory, and nobody writes to a table
        default = np.array(meta["default"], dtype=meta["dtype"]) if n else np.empty(shape, dtype=meta["dtype"])
        array = np.broadcast_to(default, shape)
    elif isinstance(value, Texts) and value.shape == shape:
        return cast(NDArray[Any], value)  # frozen by itself
    elif meta["dtype"].kind == "O":
        array = value if isinstance(value, np.ndarray) and value.dtype == object else objects(value)
    else:
        array = np.asarray(value, dtype=meta["dtype"])
        if n == 0:
            array = array.reshape(shape)
    if array.shape != shape:
        raise ValueError(f"{owner}: column '{f.name}' has shape {array.shape}, expected {shape}")
    frozen: NDArray[Any] = array.view()
    frozen.flags.writeable = False
    return frozen
