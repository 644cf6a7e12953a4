"""From labels and predictions on disk to ranked findings on disk, a block of frames at a time: memory stays flat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.blocks import BLOCK_FRAMES, FrameTable
from audit.calibration import write_calibration
from audit.checks import Knowledge, find, study, with_reasons, witnesses
from audit.checks.alone import ModelsWord
from audit.checks.evidence import combine, gather
from audit.checks.held_out import held_out
from audit.checks.tables import Look
from audit.core.annotations import Annotations, Predictions, ShapeType, Snapshot, comparable
from audit.core.findings import Findings, FindingType, ranking, with_ids
from audit.core.table import BoolArray, FloatArray, IntArray
from audit.gathering import Gathering, in_all
from audit.looking import Looking, Thumbnail
from audit.memory import give_back
from audit.ports import Progress
from audit.runs import table_writer, to_arrow
from audit.spool import Spool
from audit.trust.agreement import Trust, trust_in
from audit.trust.fusion import fuse
from audit.trust.prior import PRIOR
from audit.trust.prior_pictures import WEIGHTS

STUDY_FRAMES = 1024
"""Frames that habits and weights are learnt from, evenly chosen: more tell nothing new."""
FINDINGS_AT_ONCE = 1 << 12
"""Findings sorted into their final place in one go."""
REASONS_BY_SHAPE = tuple(shape.name.lower() for shape in ShapeType)
OTHER_REASONS = ("crowd region", "label unknown to every model", "frame not predicted")
"""Why an annotation may not be compared: its shape covers no area, or one of these."""
UNUSED = ("source", "digest")
"""Columns of annotations that no check looks at."""


@dataclass(frozen=True)
class Comparison:
    """What is compared. snapshot: its annotations are not looked at; they are read from the run's file.

    knows: (models, labels) which labels each model can predict. audited: (frames,) which of them were
    predicted. annotations, predictions: the run's files, both sorted by frame. trusted: how right each of
    several models has been, once that is known. lowest: the score at which predictions begin. models: their names.
    """

    snapshot: Snapshot
    knows: BoolArray
    audited: BoolArray
    annotations: Path
    predictions: Path
    trusted: Trust | None = None
    lowest: float = 0.0
    models: tuple[str, ...] = ()

    def judged(self, annotations: Annotations) -> BoolArray:
        """(n,) those a model can speak of: it knows the label and has seen the frame."""
        known = np.append(self.knows.any(axis=0), False)
        return np.asarray(known[annotations.label] & self.audited[annotations.frame])


@dataclass(frozen=True)
class Outcome:
    """How many rows were read and written. not_compared: how many annotations were not, by why. notes: for the user."""

    annotations: int
    predictions: int
    findings: int
    not_compared: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    """Some frames. first: row of their first annotation in the run's file. predictions: of all models together.

    rows: where those stand in the run's file. read: how many that file holds for these frames.
    """

    annotations: Annotations
    first: int
    predictions: Predictions
    rows: IntArray
    read: int
    frames: int


def compare(
    comparison: Comparison,
    out: Path,
    *,
    types: Collection[FindingType],
    floor: float,
    progress: Progress,
    alone: Findings | None = None,
    thumbnail: Thumbnail | None = None,
) -> Outcome:
    """Write the ranked findings to ``out``. alone: what all labels together tell, without ids; ranked among them.

    thumbnail: reads the pictures that frames have; without it nobody looks at them.
    """
    snapshot = comparison.snapshot
    frame_hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    comparison = replace(comparison, trusted=_trusted(comparison), lowest=_lowest(comparison.predictions))
    look = _look(comparison, types, thumbnail)
    knowledge = _study(comparison, frame_hw, look)
    n_annotations = n_predictions = 0
    scores: list[FloatArray] = []
    left_out: Counter[str] = Counter()
    said = ModelsWord(Findings() if alone is None else alone, len(snapshot.frames))
    gathering = Gathering(comparison.annotations, snapshot, comparison.audited, floor)
    with Spool(out.parent) as unsorted, gathering as videos:
        with progress.task("Comparing", len(snapshot.frames)) as advance:
            for number, block in enumerate(_blocks(comparison)):
                found = _found(comparison, block, knowledge, types, floor, frame_hw, said, videos, look)
                unsorted.add(number, to_arrow(found, snapshot.labels))
                scores.append(found.score)
                left_out += _not_compared(comparison, block.annotations)
                n_annotations += len(block.annotations)
                n_predictions += block.read
                advance(block.frames)
                give_back()
        told = _told(said, comparison, floor, videos.causes())
        for piece, start in enumerate(range(0, len(told), FINDINGS_AT_ONCE), start=number + 1):
            unsorted.add(piece, to_arrow(told[start : start + FINDINGS_AT_ONCE], snapshot.labels))
        scores.append(told.score)
        _write_sorted(unsorted, np.concatenate(scores), out, snapshot.labels)
    return Outcome(n_annotations, n_predictions, sum(map(len, scores)), _in_order(left_out), _unheard(comparison))


def _told(said: ModelsWord, comparison: Comparison, floor: float, causes: Findings) -> Findings:
    """What all labels together tell, and what many frames tell together, with ids, ranked."""
    found = said.left() if len(comparison.knows) else said.once()
    found = with_ids(found[found.score >= floor], comparison.snapshot)
    found = Findings.concat([found, causes])
    return found[ranking(found, np.arange(len(found)))]


def _trusted(comparison: Comparison) -> Trust | None:
    """How right each of several models has been, by every k-th frame; none for a single one."""
    if len(comparison.knows) <= 1:
        return None
    labels, n = comparison.snapshot.labels, len(comparison.snapshot.frames)
    step = max(1, -(-n // STUDY_FRAMES))
    with ExitStack() as files:
        ours = files.enter_context(FrameTable(comparison.annotations, Annotations, labels, UNUSED))
        theirs = files.enter_context(FrameTable(comparison.predictions, Predictions, labels))
        blocks = [slice(start, start + BLOCK_FRAMES) for start in range(0, max(n, 1), BLOCK_FRAMES)]
        annotations = Annotations.concat([ours.read(b.start, b.stop, step) for b in blocks])
        predictions = Predictions.concat([theirs.read(b.start, b.stop, step) for b in blocks])
    annotations = annotations[comparison.judged(annotations) & comparable(annotations)]
    return trust_in(annotations, predictions, comparison.knows)


def _unheard(comparison: Comparison) -> tuple[str, ...]:
    """A line for each model that has no vote on anything it knows."""
    if comparison.trusted is None:
        return ()
    silent = np.flatnonzero(comparison.knows.any(axis=1) & (comparison.trusted.votes <= 0).all(axis=1))
    names = comparison.models or tuple(f"model {m + 1}" for m in range(len(comparison.knows)))
    return tuple(
        f"{names[m]} agrees with next to nothing that is labelled, so only the other models are heard. "
        "Do its names fit (--map)?"
        for m in silent.tolist()
    )


def _lowest(predictions: Path) -> float:
    """The lowest score in the file; 0 if it holds no predictions."""
    file = pq.read_metadata(predictions)
    column = file.schema.names.index("score")
    groups = (file.row_group(i).column(column).statistics for i in range(file.num_row_groups))
    return min((float(g.min) for g in groups if g is not None and g.has_min_max), default=0.0)


def _look(comparison: Comparison, types: Collection[FindingType], thumbnail: Thumbnail | None) -> Look | None:
    """None where there is nothing to look at, or nothing is looked for that a picture would tell more of."""
    wanted = len(comparison.knows) and not set(types).isdisjoint(WEIGHTS)
    there = bool((np.asarray(comparison.snapshot.frames.path) != "").any())
    return None if thumbnail is None or not wanted or not there else Looking(comparison.snapshot.frames, thumbnail).of


def _every(look: Look | None, step: int) -> Look | None:
    """Of every ``step``-th frame, renumbered as if there were no others."""
    return None if look is None else lambda frame, xyxy: look(frame * step, xyxy)


def _study(comparison: Comparison, frame_hw: IntArray, look: Look | None) -> Knowledge:
    """Learn from every k-th frame, renumbered, as if there were no others."""
    step = max(1, -(-len(comparison.snapshot.frames) // STUDY_FRAMES))
    parts = []
    for block in _blocks(comparison, step):
        labels = block.annotations.replace(frame=block.annotations.frame // step)
        predictions = block.predictions.replace(frame=block.predictions.frame // step)
        judged = comparison.judged(block.annotations)
        parts.append(
            gather(
                labels,
                predictions,
                judged=judged,
                frame_hw=frame_hw[::step],
                first_annotation=block.first,
                look=_every(look, step),
            )
        )
        give_back()  # of the frames in between, which were read as well
    evidence, n_labels = combine(parts), len(comparison.snapshot.labels)
    known = study(evidence, n_labels)
    told = held_out(evidence.sample, frame_hw[::step], n_labels, PRIOR)
    write_calibration(comparison.predictions.parent, told, known.rates)
    return known


def _found(  # noqa: PLR0913, PLR0917 - what is known of the whole, for one block of it
    comparison: Comparison,
    block: _Block,
    knowledge: Knowledge,
    types: Collection[FindingType],
    floor: float,
    frame_hw: IntArray,
    said: ModelsWord,
    videos: Gathering,
    look: Look | None,
) -> Findings:
    """The findings of one block, with reasons; rows point into the whole. said: hears of them.

    videos: keeps those that other frames have a say in.
    """
    local = replace(comparison.snapshot, annotations=block.annotations)
    evidence = gather(
        block.annotations,
        block.predictions,
        judged=comparison.judged(block.annotations),
        frame_hw=frame_hw,
        prediction_rows=block.rows,
        sampling=0,
        look=look,
    )
    apart = block.annotations.track if videos.needed else None
    found = find(evidence, local, types=types, floor=floor, knowledge=knowledge, apart=apart)
    likely, faint = found[found.score >= floor], found[found.score < floor]
    likely = with_reasons(likely, local, frame_hw, witnesses(likely, evidence), lowest=comparison.lowest)
    said.hear(in_all(likely, block.first), evidence.labels, block.first)
    alone = videos.take(Findings.concat([likely, faint]), block.annotations, evidence.labels, block.first)
    return in_all(alone, block.first)


def _blocks(comparison: Comparison, step: int = 1) -> Iterator[_Block]:
    """All frames, or every ``step``-th as if the files held no others."""
    labels, n = comparison.snapshot.labels, len(comparison.snapshot.frames)
    first = before = 0
    with ExitStack() as files:
        ours = files.enter_context(FrameTable(comparison.annotations, Annotations, labels, UNUSED))
        theirs = files.enter_context(FrameTable(comparison.predictions, Predictions, labels))
        for start in range(0, max(n, 1), BLOCK_FRAMES):
            stop = start + BLOCK_FRAMES
            annotations, read = ours.read(start, stop, step), theirs.read(start, stop, step)
            fused, members = fuse(read, comparison.knows, comparison.trusted)
            yield _Block(annotations, first, fused, members + before, len(read), min(stop, n) - start)
            first += len(annotations)
            before += len(read)


def _not_compared(comparison: Comparison, annotations: Annotations) -> Counter[str]:
    """How many of a block no model was compared with, by why."""
    a = annotations
    area_shape = comparable(a)
    known = np.append(comparison.knows.any(axis=0), False)[a.label]
    if not len(comparison.knows):
        return Counter()
    others = np.bincount(a.shape[~area_shape & ~a.crowd], minlength=len(ShapeType))
    counted = dict(zip(REASONS_BY_SHAPE, others.tolist(), strict=True))
    reasons = (a.crowd, area_shape & ~known, area_shape & ~comparison.audited[a.frame])
    counted |= {why: int(rows.sum()) for why, rows in zip(OTHER_REASONS, reasons, strict=True)}
    return Counter(counted)


def _in_order(counted: Counter[str]) -> dict[str, int]:
    return {why: counted[why] for why in (*REASONS_BY_SHAPE, *OTHER_REASONS) if counted[why]}


def _write_sorted(unsorted: Spool, score: FloatArray, out: Path, labels: tuple[str, ...]) -> None:
    """Blocks come by frame and are ranked within, so that a stable sort by score alone ranks the whole."""
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))
    with Spool(out.parent) as ranked, table_writer(out, Findings, labels) as write:
        done = 0
        for number in unsorted.groups:
            rows = unsorted.read(number)
            place = rank[done : done + len(rows)]
            ranked.split(place // FINDINGS_AT_ONCE, rows.append_column("rank", pa.array(place)))
            done += len(rows)
            give_back()
        for group in ranked.groups:
            rows = ranked.read(group)
            write(rows.take(pa.array(np.argsort(rows["rank"].to_numpy()))).drop_columns(["rank"]))
            give_back()
