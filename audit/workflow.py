"""The audit from end to end: pull, predict, find. Written against ports; knows no vendor."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audit.checks import ALL_TYPES, find, with_reasons
from audit.checks.evidence import FLOOR, Evidence, combine, gather
from audit.core.annotations import Annotations, Frames, Predictions, Problem, ShapeType, Snapshot, comparable
from audit.core.findings import Findings, FindingType
from audit.core.labels import LabelMatch, listing, match_labels
from audit.core.table import BoolArray, IntArray
from audit.errors import UsageError
from audit.ports import Advance, AnnotationStore, FrameProblem, PredictItem, Predictor, Progress
from audit.runs import RunFolder, describe, read_predictions, table_writer, write_manifest, write_table
from audit.trust.fusion import fuse

BLOCK_FRAMES = 512
"""Frames compared in one go, and rows groups of the predictions file: bounds the memory in use."""


class Cache(Protocol):
    """Predictions kept by model digest and image digest."""

    def get(self, digest: str, sha256s: Sequence[str]) -> dict[str, Predictions]: ...

    def put(self, digest: str, predictions: Mapping[str, Predictions]) -> None: ...


@dataclass(frozen=True)
class Settings:
    """What the user chose. mapping: class → label. types: findings wanted. floor: lowest score kept."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    allow_unmatched: bool = False
    types: Collection[FindingType] = ALL_TYPES
    floor: float = FLOOR


@dataclass
class Timings:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def audit(
    store: AnnotationStore,
    predictors: Sequence[Predictor],
    out: Path,
    *,
    settings: Settings,
    cache: Cache,
    progress: Progress,
) -> RunFolder:
    """Audit all a store holds and write the run folder; a run there of the same source is replaced.

    Decisions in the folder are kept. Raises UsageError or ServiceError; what was done until then is
    in the caches, so that the same call goes on from there.
    """
    timings = Timings()
    with timings.stage("pull"):
        snapshot = _sorted(store.snapshot(progress))
    _check_out(out, snapshot)
    matches = [_matched(p, snapshot, settings, progress) for p in predictors]
    _check_images(store, predictors)
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    snapshot, audited = _predict(store, predictors, matches, snapshot, out, cache, progress, timings)
    with timings.stage("find"):
        findings, n_predictions = _find(snapshot, matches, audited, out, settings, progress)
    for name, table in (("frames", snapshot.frames), ("annotations", snapshot.annotations), ("findings", findings)):
        write_table(out / f"{name}.parquet", table, snapshot.labels)
    manifest = _manifest(snapshot, predictors, matches, settings, timings)
    manifest["counts"] = _counts(snapshot, audited, _known(matches), n_predictions, len(findings))
    write_manifest(out, manifest)
    return RunFolder.open(out)


def add_timing(run: RunFolder, stage: str, seconds: float) -> RunFolder:
    """Note in the manifest how long a later stage (report, import) took."""
    manifest = {**run.manifest, "timings": {**run.manifest["timings"], stage: round(seconds, 3)}}
    write_manifest(run.path, manifest)
    return replace(run, manifest=manifest)


def _sorted(snapshot: Snapshot) -> Snapshot:
    order = np.argsort(snapshot.annotations.frame, kind="stable")
    return replace(snapshot, annotations=snapshot.annotations[order])


def _check_out(out: Path, snapshot: Snapshot) -> None:
    with suppress(UsageError):
        earlier = RunFolder.open(out).manifest["source"]
        if earlier != snapshot.source:
            raise _Other(f"{out} holds an audit of {earlier}. Give another --out, or remove that folder.")


class _Other(UsageError):
    """Not swallowed with "there is no run yet"."""


def _matched(predictor: Predictor, snapshot: Snapshot, settings: Settings, progress: Progress) -> LabelMatch:
    """Raises UsageError if both sides have names left over: then a name is probably written differently."""
    mapping = {c: label for c, label in settings.mapping.items() if c in predictor.labels}
    try:
        match = match_labels(predictor.labels, snapshot.labels, mapping)
    except ValueError as error:
        raise UsageError(str(error)) from None
    used = np.unique(snapshot.annotations.label)
    unknown = tuple(n for i, n in enumerate(snapshot.labels) if n in match.unknown_labels and i in used)
    if unknown and match.unknown_classes and not settings.allow_unmatched:
        raise UsageError(
            f"{predictor.name} does not know these labels of the task: {listing(unknown)}; "
            f"its classes that the task does not have: {listing(match.unknown_classes)}. "
            "Pair them with --map CLASS=LABEL, or go on without them with --allow-unmatched."
        )
    if unknown:
        progress.note(f"{predictor.name} cannot judge these labels, which it does not know: {listing(unknown)}")
    return match


def _check_images(store: AnnotationStore, predictors: Sequence[Predictor]) -> None:
    needing = [p.name for p in predictors if p.needs_images]
    if needing and not store.has_images():
        raise UsageError(f"{needing[0]} needs the images, and there are none. Say where they are with --images DIR.")


def _known(matches: Sequence[LabelMatch]) -> BoolArray:
    """(models, labels) which labels each model can predict."""
    n = max((len(m.unknown_labels) + len(np.unique(m.codes[m.codes >= 0])) for m in matches), default=0)
    known = np.zeros((len(matches), n), bool)
    for row, match in zip(known, matches, strict=True):
        row[match.codes[match.codes >= 0]] = True
    return known


def _predict(
    store: AnnotationStore,
    predictors: Sequence[Predictor],
    matches: Sequence[LabelMatch],
    snapshot: Snapshot,
    out: Path,
    cache: Cache,
    progress: Progress,
    timings: Timings,
) -> tuple[Snapshot, BoolArray]:
    """Writes predictions.parquet. Gives the snapshot with what the images told, and which frames were predicted."""
    frames = _FrameNotes(snapshot)
    n = len(snapshot.frames)
    size = max((p.batch_size for p in predictors), default=1)
    with (
        table_writer(out / "predictions.parquet", Predictions, snapshot.labels) as write,
        progress.task("Reading images", n) as read_on,
        progress.task("Predicting", n) as predict_on,
    ):
        block: list[Predictions] = []
        for batch in _batches(_items(store, frames, read_on), size, timings):
            with timings.stage("predict"):
                block.append(_predict_batch(batch, predictors, matches, cache, frames))
            predict_on(len(batch))
            if sum(map(len, block)) >= BLOCK_FRAMES * 64:
                write(Predictions.concat(block))
                block = []
        write(Predictions.concat(block))
    return frames.snapshot(), frames.audited


class _FrameNotes:
    """What is learnt of the frames while their images pass by."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._before = snapshot
        f = snapshot.frames
        self.sha256, self.path = f.sha256.copy(), f.path.copy()
        self.width, self.height = f.width.copy(), f.height.copy()
        self.audited = np.ones(len(f), bool)
        self.problems: list[Problem] = []

    @property
    def frames(self) -> Frames:
        return self._before.frames

    @property
    def before(self) -> Snapshot:
        return self._before

    def skip(self, frame: int, reason: str) -> None:
        if self.audited[frame]:
            self.audited[frame] = False
            self.problems.append(Problem(str(self.frames.name[frame]), reason))

    def snapshot(self) -> Snapshot:
        frames = self.frames.replace(sha256=self.sha256, path=self.path, width=self.width, height=self.height)
        return replace(self._before, frames=frames, problems=(*self._before.problems, *self.problems))


def _items(store: AnnotationStore, notes: _FrameNotes, advance: Advance) -> Iterator[PredictItem]:
    """Every frame that can be predicted, with its image if there is one."""
    every = range(len(notes.frames))
    if not store.has_images():
        for frame in every:
            yield _item(notes, frame, None)
            advance()
        return
    for image in store.images(notes.before, every):
        advance()
        if isinstance(image, FrameProblem):
            notes.skip(image.frame, image.reason)
            continue
        notes.sha256[image.frame], notes.path[image.frame] = image.sha256, str(image.path)
        yield _item(notes, image.frame, image.data)


def _item(notes: _FrameNotes, frame: int, data: bytes | None) -> PredictItem:
    f = notes.frames
    return PredictItem(
        frame=frame,
        name=str(f.name[frame]),
        image_id=int(f.image_id[frame]),
        task=int(f.task[frame]),
        number=int(f.number[frame]),
        size_hw=(int(f.height[frame]), int(f.width[frame])),
        sha256=str(notes.sha256[frame]),
        data=data,
    )


def _batches(items: Iterator[PredictItem], size: int, timings: Timings) -> Iterator[list[PredictItem]]:
    """Lists of ``size`` items; the time spent waiting for them counts as pulling."""
    while True:
        with timings.stage("pull"):
            batch = [item for _, item in zip(range(size), items, strict=False)]
        if not batch:
            return
        yield batch


def _predict_batch(
    batch: Sequence[PredictItem],
    predictors: Sequence[Predictor],
    matches: Sequence[LabelMatch],
    cache: Cache,
    notes: _FrameNotes,
) -> Predictions:
    parts = []
    for model, (predictor, match) in enumerate(zip(predictors, matches, strict=True)):
        for item, found in zip(batch, _through_cache(batch, predictor, cache), strict=True):
            if isinstance(found, str):
                notes.skip(item.frame, found)
                continue
            codes = match.codes[found.label]
            part = found.replace(label=codes, frame=np.full(len(found), item.frame), model=np.full(len(found), model))
            parts.append(part[codes >= 0])
    together = Predictions.concat(parts)
    together = together[notes.audited[together.frame]]
    return together[np.argsort(together.frame, kind="stable")]


def _through_cache(batch: Sequence[PredictItem], predictor: Predictor, cache: Cache) -> list[Predictions | str]:
    """Predictions of each item; the model runs only for images it has not seen with these settings."""
    keyed = [item.sha256 for item in batch if predictor.digest and item.sha256]
    known: dict[str, Predictions | str] = dict(cache.get(predictor.digest, keyed)) if keyed else {}
    todo = [i for i, item in enumerate(batch) if item.sha256 not in known or item.sha256 not in keyed]
    answers = dict(zip(todo, predictor.predict([batch[i] for i in todo]), strict=True)) if todo else {}
    fresh = {batch[i].sha256: a for i, a in answers.items() if not isinstance(a, str) and batch[i].sha256 in keyed}
    if fresh:
        cache.put(predictor.digest, fresh)
    return [answers[i] if i in answers else known[item.sha256] for i, item in enumerate(batch)]


def _find(
    snapshot: Snapshot,
    matches: Sequence[LabelMatch],
    audited: BoolArray,
    out: Path,
    settings: Settings,
    progress: Progress,
) -> tuple[Findings, int]:
    knows = _known(matches)
    judged = _judged(snapshot.annotations, knows, audited)
    frame_hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    parts: list[Evidence] = []
    n_predictions = 0
    with progress.task("Comparing", len(snapshot.frames)) as advance:
        for start in range(0, max(len(snapshot.frames), 1), BLOCK_FRAMES):
            stop = start + BLOCK_FRAMES
            rows = slice(*np.searchsorted(snapshot.annotations.frame, [start, stop]))
            predictions = read_predictions(out / "predictions.parquet", snapshot.labels, start, stop)
            fused, members = fuse(predictions, knows)
            parts.append(
                gather(
                    snapshot.annotations[rows],
                    fused,
                    judged=judged[rows],
                    frame_hw=frame_hw,
                    first_annotation=int(rows.start),
                    prediction_rows=members + n_predictions,
                )
            )
            n_predictions += len(predictions)
            advance(min(stop, len(snapshot.frames)) - start)
    findings = find(combine(parts), snapshot, types=settings.types, floor=settings.floor)
    return with_reasons(findings, snapshot, frame_hw), n_predictions


def _judged(annotations: Annotations, knows: BoolArray, audited: BoolArray) -> BoolArray:
    """(n,) annotations whose label some model knows and whose frame was predicted."""
    known = np.append(knows.any(axis=0), False)
    return np.asarray(known[annotations.label] & audited[annotations.frame])


def _manifest(
    snapshot: Snapshot,
    predictors: Sequence[Predictor],
    matches: Sequence[LabelMatch],
    settings: Settings,
    timings: Timings,
) -> dict[str, Any]:
    return {
        **describe(snapshot),
        "models": [
            {
                "name": p.name,
                "digest": p.digest,
                "labels": [n for n, c in zip(p.labels, m.codes, strict=True) if c >= 0],
            }
            for p, m in zip(predictors, matches, strict=True)
        ],
        "settings": {
            "map": dict(settings.mapping),
            "allow_unmatched": settings.allow_unmatched,
            "types": [t.code for t in FindingType if t in settings.types],
            "min_score": settings.floor,
        },
        "versions": {"cvat-audit": version("cvat-audit"), "numpy": np.__version__},
        "timings": {stage: round(seconds, 3) for stage, seconds in timings.seconds.items()},
    }


def _counts(
    snapshot: Snapshot, audited: BoolArray, knows: BoolArray, n_predictions: int, n_findings: int
) -> dict[str, Any]:
    """How much there was, and what could not be compared and why."""
    a = snapshot.annotations
    area_shape = comparable(a)
    not_compared = {
        s.name.lower(): int(n) for s, n in zip(ShapeType, _per_shape(a, ~area_shape & ~a.crowd), strict=True) if n
    }
    reasons = {
        "crowd region": a.crowd,
        "label unknown to every model": area_shape & ~np.append(knows.any(axis=0), False)[a.label],
        "frame not predicted": area_shape & ~audited[a.frame],
    }
    not_compared |= {reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}
    return {
        "frames": len(snapshot.frames),
        "frames_audited": int(audited.sum()),
        "annotations": len(a),
        "predictions": n_predictions,
        "findings": n_findings,
        "not_compared": not_compared,
    }


def _per_shape(annotations: Annotations, rows: BoolArray) -> IntArray:
    return np.bincount(annotations.shape[rows], minlength=len(ShapeType))


__all__ = ["Cache", "Settings", "add_timing", "audit"]
