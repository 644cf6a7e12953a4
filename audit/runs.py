"""The run folder: everything an audit knew and found, in files that pandas and DuckDB read.

``manifest.json`` plus Parquet tables of frames, annotations, predictions and findings, and
``decisions.jsonl``, which an audit never touches. Every file appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.core.annotations import Annotations, Frames, Job, Predictions, Problem, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray, Table, objects
from audit.errors import ServiceError, UsageError
from audit.memory import give_back

FORMAT_VERSION = 1
BATCH_ROWS = 8192
"""Rows of a table written or read at a time."""
BOX = ("x1", "y1", "x2", "y2")
POINTS = pa.list_(pa.list_(pa.float64()))  # rings, each flat: x, y, x, y ...


@contextmanager
def atomic(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that replaces ``path`` only once it is complete and on disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ServiceError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. ``manifest`` is read when opened; tables are read when asked for."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Raises UsageError if there is no finished run of a format this version knows."""
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{path} is not a run: it has no manifest.json. Make one with 'cvat-audit run'.") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}/manifest.json cannot be read: {error}") from None
        version = manifest.get("format_version")
        if version != FORMAT_VERSION:
            raise UsageError(f"{path}: run format {version}, this program reads {FORMAT_VERSION}. Run the audit again.")
        return cls(path, manifest)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.manifest["labels"])

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models; ``Predictions.model`` indexes them."""
        return tuple(m["name"] for m in self.manifest["models"])

    def snapshot(self, frames: Frames | None = None, annotations: Annotations | None = None) -> Snapshot:
        """What the source held when the audit read it. Tables that are given are not read."""
        m = self.manifest
        return Snapshot(
            source=m["source"],
            labels=self.labels,
            frames=self.frames() if frames is None else frames,
            annotations=self.annotations() if annotations is None else annotations,
            jobs=tuple(Job(**j) for j in m["jobs"]),
            read_at=m["read_at"],
            link=m["link"],
            problems=tuple(Problem(**p) for p in m["problems"]),
            notes=tuple(m["notes"]),
        )

    @property
    def n_frames(self) -> int:
        """How many there are, without reading them."""
        return int(pq.read_metadata(self.path / "frames.parquet").num_rows)

    def frames(self, *, files: bool = True) -> Frames:
        """files: with paths and digests, which take most of the memory; else these columns are empty."""
        file = self.path / "frames.parquet"
        columns = [name for name in pq.read_schema(file).names if files or name not in FILES]
        frames: Frames = from_arrow(read_columns(file, columns), Frames, self.labels)
        return frames

    def annotations(self) -> Annotations:
        annotations: Annotations = self._read("annotations", Annotations)
        return annotations

    def findings(self, *, texts: bool = True, rows: IntArray | None = None) -> Findings:
        """Ranked, highest score first; only these rows of them if they are given.

        texts: with ids and reasons, which take most of the memory; else these columns are empty.
        """
        file = self.path / "findings.parquet"
        columns = [name for name in pq.read_schema(file).names if texts or name not in ("id", "reason")]
        table = read_columns(file, columns) if rows is None else rows_of(file, rows, columns)
        findings: Findings = from_arrow(table, Findings, self.labels)
        return findings

    def types_and_scores(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Of all findings, ranked, some thousand at a time, without reading the rest of their columns."""
        codes = {t.code: int(t) for t in FindingType}
        with pq.ParquetFile(self.path / "findings.parquet") as file:
            for piece in file.iter_batches(BATCH_ROWS, columns=["type", "score"], use_threads=False):
                yield _coded(piece["type"], codes), np.asarray(piece["score"].fill_null(np.nan).to_numpy())

    def predictions(self, start: int = 0, stop: int | None = None) -> Predictions:
        """Those of frame rows ``start`` to ``stop`` (half-open); rows keep the order of the file."""
        return read_predictions(self.path / "predictions.parquet", self.labels, start, stop)

    def predictions_at(self, rows: np.ndarray) -> Predictions:
        """The predictions at these rows of the file, as ``Findings.prediction`` names them; -1 not allowed."""
        table = rows_of(self.path / "predictions.parquet", rows)
        predictions: Predictions = from_arrow(table, Predictions, self.labels)
        return predictions

    def _read(self, name: str, kind: type[Any]) -> Any:
        return from_arrow(read_columns(self.path / f"{name}.parquet"), kind, self.labels)


def read_columns(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a table; columns: those wanted, None for all. ``pq.read_table`` would import pandas for it: .2 s."""
    with pq.ParquetFile(path) as file:
        return file.read(columns)


def read_predictions(path: Path, labels: tuple[str, ...], start: int, stop: int | None) -> Predictions:
    """Rows of a predictions file whose frame is in [start, stop); only the row groups needed are read."""
    import pyarrow.dataset as ds  # imports pandas, where that is installed: .2 s

    condition = pc.field("frame") >= start
    if stop is not None:
        condition = condition & (pc.field("frame") < stop)
    found: Predictions = from_arrow(ds.dataset(path).to_table(filter=condition), Predictions, labels)
    return found


def rows_of(path: Path, rows: IntArray, columns: Sequence[str] | None = None) -> pa.Table:
    """These rows of a large table, in the order asked, of which only one row group is ever in memory.

    columns: those wanted, None for all.
    """
    sought, back = np.unique(rows, return_inverse=True)
    parts: list[Any] = []
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow if columns is None else pa.schema(map(file.schema_arrow.field, columns))
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            wanted = sought[slice(*np.searchsorted(sought, [start, stop]))] - start
            if len(wanted):
                whole = file.read_row_group(group, columns=columns, use_threads=False)
                parts.append(whole.take(pa.array(wanted)))
                del whole
                give_back()
            start = stop
        table = pa.concat_tables([schema.empty_table(), *parts]).unify_dictionaries()
    return table.take(pa.array(back, pa.int64()))


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Written last: a folder with a manifest is a finished run."""
    with atomic(path / "manifest.json", "w") as stream:
        json.dump({"format_version": FORMAT_VERSION, **manifest}, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """The parts of a snapshot that stand in the manifest rather than in tables."""
    return {
        "source": snapshot.source,
        "labels": list(snapshot.labels),
        "jobs": [asdict(j) for j in snapshot.jobs],
        "read_at": snapshot.read_at,
        "link": snapshot.link,
        "problems": [asdict(p) for p in snapshot.problems],
        "notes": list(snapshot.notes),
    }


def write_table(path: Path, table: Table, labels: tuple[str, ...]) -> None:
    """One table as one Parquet file."""
    with table_writer(path, type(table), labels) as write:
        for start in range(0, len(table), BATCH_ROWS):
            write(table[start : start + BATCH_ROWS])


@contextmanager
def table_writer(
    path: Path, kind: type[Table], labels: tuple[str, ...]
) -> Iterator[Callable[[Table | pa.Table], None]]:
    """Writes a table piece by piece (one row group each), so that it never has to be in memory whole.

    A piece may also be what ``to_arrow`` gave.
    """
    schema = to_arrow(kind(), labels).schema
    with atomic(path) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:

        def write(part: Table | pa.Table) -> None:
            if len(part):
                writer.write_table(to_arrow(part, labels) if isinstance(part, Table) else part)

        yield write


def to_arrow(table: Table, labels: tuple[str, ...]) -> pa.Table:
    """Codes become words, boxes four columns, rings lists; ``-1`` ids and NaN become null."""
    names = np.array([*labels, None], dtype=object)
    columns: dict[str, pa.Array] = {}
    for name, values in table.columns().items():
        if name in ("xyxy", "suggested_xyxy"):
            prefix = name.removesuffix("xyxy")
            columns |= {prefix + b: pa.array(values[:, i], pa.float64()) for i, b in enumerate(BOX)}
        elif name in ("label", "suggested_label"):
            columns[name] = pa.array(names[values], pa.string()).dictionary_encode().cast(DICTIONARY)
        elif name in ENUMS:
            words = np.array([e.name.lower() for e in ENUMS[name]], dtype=object)
            columns[name] = pa.array(words[values], pa.string()).dictionary_encode().cast(DICTIONARY)
        elif name == "points":
            columns[name] = pa.array([v if v is None else [np.ravel(r) for r in v] for v in values], POINTS)
        elif name == "mask":
            columns[name] = pa.array(values, pa.binary())
        elif values.dtype == object:
            columns[name] = pa.array(values, pa.string())
        elif name in NULLABLE_IDS:
            columns[name] = pa.array(values, pa.int64(), mask=np.asarray(values) < 0)
        else:
            columns[name] = pa.array(values)
    return pa.table(columns)


def from_arrow(table: pa.Table, kind: type[Any], labels: tuple[str, ...]) -> Any:
    """The inverse of ``to_arrow``."""
    codes = {name: i for i, name in enumerate(labels)} | {None: -1}
    columns: dict[str, Any] = {}
    for name in kind().columns():
        if name in OPTIONAL and name not in table.column_names:
            continue
        if name in ("xyxy", "suggested_xyxy"):
            prefix = name.removesuffix("xyxy")
            columns[name] = np.column_stack([_numbers(table[prefix + b], np.nan) for b in BOX])
        elif name in ("label", "suggested_label"):
            columns[name] = _coded(table[name], codes)
        elif name in ENUMS:
            columns[name] = _coded(table[name], {e.name.lower(): int(e) for e in ENUMS[name]})
        elif name in ("points", "mask") and table[name].null_count == len(table):
            columns[name] = None  # the usual case, without a look at every row
        elif name == "points":
            columns[name] = objects(_rings(v) for v in table[name])
        elif pa.types.is_binary(table[name].type) or pa.types.is_string(table[name].type):
            columns[name] = objects(table[name].to_pylist())
        elif name in NULLABLE_IDS:
            columns[name] = _numbers(table[name], -1)
        else:
            columns[name] = table[name].to_numpy()
    return kind(**columns)


DICTIONARY = pa.dictionary(pa.int32(), pa.string())
ENUMS: dict[str, Any] = {"shape": ShapeType, "type": FindingType}
SPAN = {"frames", "first_frame", "last_frame"}
FILES = {"path", "sha256"}
OPTIONAL = {"id", "reason", "points", "mask", "rotation", "occluded", "source", "digest", *SPAN, *FILES}
NULLABLE_IDS = {"annotation_id", "annotation", "related", "prediction", "image_id", "task", "job", *SPAN - {"frames"}}


def _numbers(values: pa.ChunkedArray, null: float) -> np.ndarray:
    return np.asarray(values.fill_null(null).to_numpy())


def _coded(values: pa.ChunkedArray, codes: dict[Any, int]) -> np.ndarray:
    encoded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], DICTIONARY)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    lookup = np.array([*(codes[w] for w in encoded.dictionary.to_pylist()), -1], dtype=np.int64)
    return np.asarray(lookup[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def _rings(value: Any) -> Any:
    return None if not value.is_valid else tuple(np.asarray(r.values.to_numpy()).reshape(-1, 2) for r in value.values)
