"""From predictions on disk to ranked findings on disk, a block of frames at a time, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audit.checks import Knowledge, find, study, with_reasons, witnesses
from audit.checks.evidence import combine, gather
from audit.core.annotations import NO_ID, Annotations, Predictions, Snapshot
from audit.core.findings import Findings, FindingType, order_of
from audit.core.table import BoolArray, FloatArray, IntArray, Table, column
from audit.ports import Progress
from audit.runs import from_arrow, read_predictions, rows_of, table_writer
from audit.trust.fusion import fuse

BLOCK_FRAMES = 512
"""Frames compared in one go."""
STUDY_FRAMES = 1024
"""Frames that habits and weights are learnt from, evenly chosen: more tell nothing new."""
FINDINGS_AT_ONCE = 1 << 14
"""Findings sorted into their final place in one go."""


@dataclass(frozen=True)
class Comparison:
    """What is compared. knows: (models, labels) which labels each model can predict.

    judged: (annotations,) which of them a model can speak of. predictions: the run's file.
    """

    snapshot: Snapshot
    knows: BoolArray
    judged: BoolArray
    predictions: Path

    @property
    def frame_hw(self) -> IntArray:
        """(frames, 2) height and width, 0 if unknown."""
        return np.column_stack([self.snapshot.frames.height, self.snapshot.frames.width])


@dataclass(frozen=True, eq=False)
class _Keys(Table):
    """Of every finding what decides its rank."""

    score: FloatArray = column(np.float64, np.nan)
    frame: IntArray = column(np.int64, NO_ID)
    type: IntArray = column(np.int64, NO_ID)
    annotation: IntArray = column(np.int64, NO_ID)
    prediction: IntArray = column(np.int64, NO_ID)


@dataclass(frozen=True)
class _Block:
    """Some frames. first: row of their first annotation in the snapshot. predictions: of all models together.

    rows: where those stand in the run's file. read: how many that file holds for these frames.
    """

    annotations: Annotations
    judged: BoolArray
    first: int
    predictions: Predictions
    rows: IntArray
    read: int
    frames: int


def compare(
    comparison: Comparison, out: Path, *, types: Collection[FindingType], floor: float, progress: Progress
) -> tuple[int, int]:
    """Write the ranked findings to ``out``; gives how many predictions were read and findings written."""
    knowledge = _study(comparison)
    labels, keys, n_predictions = comparison.snapshot.labels, [], 0
    unsorted = out.with_name(f".{out.name}.unsorted")
    try:
        with (
            table_writer(unsorted, Findings, labels) as write,
            progress.task("Comparing", len(comparison.snapshot.frames)) as advance,
        ):
            for block in _blocks(comparison):
                found = _found(comparison, block, knowledge, types, floor)
                write(found)
                keys.append(_Keys(**{name: found.columns()[name] for name in _Keys().columns()}))
                n_predictions += block.read
                advance(block.frames)
        together = _Keys.concat(keys)
        _write_sorted(unsorted, out, together, labels)
    finally:
        unsorted.unlink(missing_ok=True)
    return n_predictions, len(together)


def _study(comparison: Comparison) -> Knowledge:
    """Learn from every k-th frame, renumbered, as if there were no others."""
    step = max(1, -(-len(comparison.snapshot.frames) // STUDY_FRAMES))
    hw, parts, first = comparison.frame_hw[::step], [], 0
    for block in _blocks(comparison):
        ours, theirs = (np.flatnonzero(t.frame % step == 0) for t in (block.annotations, block.predictions))
        labels, predictions = block.annotations[ours], block.predictions[theirs]
        labels = labels.replace(frame=labels.frame // step)
        predictions = predictions.replace(frame=predictions.frame // step)
        parts.append(gather(labels, predictions, judged=block.judged[ours], frame_hw=hw, first_annotation=first))
        first += len(labels)
    return study(combine(parts), len(comparison.snapshot.labels))


def _found(
    comparison: Comparison, block: _Block, knowledge: Knowledge, types: Collection[FindingType], floor: float
) -> Findings:
    """The findings of one block, with reasons; rows point into the whole."""
    hw = comparison.frame_hw
    local = replace(comparison.snapshot, annotations=block.annotations)
    evidence = gather(
        block.annotations,
        block.predictions,
        judged=block.judged,
        frame_hw=hw,
        prediction_rows=block.rows,
        sampling=0,
    )
    found = find(evidence, local, types=types, floor=floor, knowledge=knowledge)
    found = with_reasons(found, local, hw, witnesses(found, evidence))
    moved = {name: np.where(r < 0, NO_ID, r + block.first) for name, r in _pointers(found).items()}
    return found.replace(**moved)


def _pointers(found: Findings) -> dict[str, IntArray]:
    return {"annotation": found.annotation, "related": found.related}


def _blocks(comparison: Comparison) -> Iterator[_Block]:
    annotations, n = comparison.snapshot.annotations, len(comparison.snapshot.frames)
    before = 0
    for start in range(0, max(n, 1), BLOCK_FRAMES):
        stop = start + BLOCK_FRAMES
        ours = slice(*np.searchsorted(annotations.frame, [start, stop]))
        read = read_predictions(comparison.predictions, comparison.snapshot.labels, start, stop)
        fused, members = fuse(read, comparison.knows)
        yield _Block(
            annotations=annotations[ours],
            judged=comparison.judged[ours],
            first=int(ours.start),
            predictions=fused,
            rows=members + before,
            read=len(read),
            frames=min(stop, n) - start,
        )
        before += len(read)


def _write_sorted(unsorted: Path, out: Path, keys: _Keys, labels: tuple[str, ...]) -> None:
    order = order_of(keys.score, keys.frame, keys.type, keys.annotation, keys.prediction)
    with table_writer(out, Findings, labels) as write:
        for start in range(0, len(order), FINDINGS_AT_ONCE):
            chosen = order[start : start + FINDINGS_AT_ONCE]
            write(from_arrow(rows_of(unsorted, chosen), Findings, labels))
