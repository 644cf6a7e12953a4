"""The audit from end to end: pull, predict, find. Written against ports; knows no vendor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from audit.checks import ALL_TYPES
from audit.checks.evidence import FLOOR
from audit.comparing import Comparison, compare
from audit.core.annotations import Annotations, ShapeType, Snapshot, comparable
from audit.core.findings import FindingType
from audit.core.labels import LabelMatch, listing, match_labels
from audit.core.table import BoolArray, IntArray
from audit.errors import UsageError
from audit.ports import AnnotationStore, Predictor, Progress
from audit.predicting import Auditor, Cache, Timings, predict
from audit.runs import (
    RunFolder,
    describe,
    remove_leftovers,
    write_manifest,
    write_table,
)


@dataclass(frozen=True)
class Settings:
    """What the user chose. mapping: class → label. types: findings wanted. floor: lowest score kept."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    allow_unmatched: bool = False
    types: Collection[FindingType] = ALL_TYPES
    floor: float = FLOOR


def audit(
    store: AnnotationStore,
    open_predictors: Callable[[Snapshot], Sequence[Predictor]],
    out: Path,
    *,
    settings: Settings,
    cache: Cache,
    progress: Progress,
) -> RunFolder:
    """Audit all a store holds and write the run folder; a run there of the same source is replaced.

    open_predictors: gives the models for a snapshot (a results file needs to know the images' names).
    Decisions in the folder are kept. Raises UsageError or ServiceError; what was done until then is
    in the caches, so that the same call goes on from there.
    """
    timings = Timings()
    with timings.stage("pull"):
        snapshot = _sorted(store.snapshot(progress))
    _check_out(out, snapshot)
    with timings.stage("predict"):
        predictors = open_predictors(snapshot)
    for line in (line for p in predictors for line in p.notes):
        progress.note(line)
    _check_mapping(settings, predictors)
    auditors = [Auditor(p, _matched(p, snapshot, settings, progress)) for p in predictors]
    knows = _knows(auditors, len(snapshot.labels))
    _check_images(store, predictors)
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    remove_leftovers(out)
    file = out / "predictions.parquet"
    try:
        snapshot, audited = predict(store, auditors, snapshot, file, cache=cache, progress=progress, timings=timings)
    finally:
        for predictor in predictors:
            predictor.close()
    with timings.stage("find"):
        comparison = Comparison(snapshot, knows, _judged(snapshot.annotations, knows, audited), file)
        n_predictions, n_findings = compare(
            comparison, out / "findings.parquet", types=settings.types, floor=settings.floor, progress=progress
        )
    for name, table in (("frames", snapshot.frames), ("annotations", snapshot.annotations)):
        write_table(out / f"{name}.parquet", table, snapshot.labels)
    manifest = _manifest(snapshot, auditors, settings, timings)
    manifest["counts"] = _counts(snapshot, audited, knows, n_predictions, n_findings)
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
    """Raises UsageError rather than replace another source's run."""
    try:
        earlier = RunFolder.open(out).manifest["source"]
    except UsageError:
        return
    if earlier != snapshot.source:
        raise UsageError(f"{out} holds an audit of {earlier}. Give another --out, or remove that folder.")


def _check_mapping(settings: Settings, predictors: Sequence[Predictor]) -> None:
    classes = [c for p in predictors for c in p.labels]
    for cls, label in settings.mapping.items():
        if cls not in classes:
            raise UsageError(f"--map {cls}={label}: no model has a class '{cls}' (there are: {listing(classes)})")


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


def _knows(auditors: Sequence[Auditor], n_labels: int) -> BoolArray:
    """(models, labels) which labels each model can predict."""
    knows = np.zeros((len(auditors), n_labels), bool)
    for row, auditor in zip(knows, auditors, strict=True):
        row[auditor.match.codes[auditor.match.codes >= 0]] = True
    return knows


def _judged(annotations: Annotations, knows: BoolArray, audited: BoolArray) -> BoolArray:
    """(n,) annotations whose label some model knows and whose frame was predicted."""
    known = np.append(knows.any(axis=0), False)
    return np.asarray(known[annotations.label] & audited[annotations.frame])


def _manifest(
    snapshot: Snapshot,
    auditors: Sequence[Auditor],
    settings: Settings,
    timings: Timings,
) -> dict[str, Any]:
    return {
        **describe(snapshot),
        "models": [
            {"name": a.predictor.name, "digest": a.predictor.digest, "labels": list(a.predictor.labels)}
            for a in auditors
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
