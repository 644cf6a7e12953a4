"""The audit from end to end: pull, predict, find. Written against ports; knows no vendor."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from audit import never_labelled, out_folder
from audit.asking import Cache
from audit.blocks import Blocks, FrameTable, Sorter
from audit.checks import ALL_TYPES
from audit.checks.alone import model_free
from audit.checks.evidence import FLOOR
from audit.comparing import Comparison, compare
from audit.core.annotations import Annotations, Snapshot
from audit.core.findings import MODEL_FREE, NEED_MODEL, Findings, FindingType
from audit.core.labels import LabelMatch, listing, match_labels
from audit.core.table import BoolArray
from audit.errors import UsageError
from audit.looking import Thumbnail
from audit.memory import give_back
from audit.ports import AnnotationStore, Predictor, Progress
from audit.predicting import Auditor, Likeness, Timings, predict
from audit.runs import RunFolder, describe, write_manifest, write_table

PACKAGES = (
    "numpy", "scipy", "pillow", "pyarrow", "cvat-sdk", "onnxruntime", "torch", "ultralytics",
    "ultralytics-opencv-headless",
)  # fmt: skip
"""Whose versions stand in the manifest."""

HEAVY = ("points", "mask", "rotation", "occluded", "source", "digest")
"""Columns of annotations that checks of all labels together do without."""


@dataclass(frozen=True)
class Settings:
    """What the user chose. mapping: class → label. types: findings wanted. floor: lowest score kept.

    besides: choices that the store and the models were made with, as JSON; they only stand in the manifest.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    allow_unmatched: bool = False
    types: Collection[FindingType] = ALL_TYPES
    floor: float = FLOOR
    besides: Mapping[str, Any] = field(default_factory=dict)


def audit(  # noqa: PLR0913 - the collaborators of the whole, each named
    store: AnnotationStore,
    open_predictors: Callable[[Snapshot], Sequence[Predictor]],
    out: Path,
    *,
    settings: Settings,
    cache: Cache,
    progress: Progress,
    likeness: Likeness | None = None,
    thumbnail: Thumbnail | None = None,
) -> RunFolder:
    """Audit all a store holds and write the run folder; a run there of the same source is replaced.

    open_predictors: gives the models for a snapshot (a results file needs to know the images' names); without any,
    only what the labels show by themselves is found. likeness: finds frames that look the same; without it none are.
    thumbnail: reads pictures to look under the boxes that a model was compared with; without it nobody does.
    Decisions in the folder are kept. Raises UsageError or ServiceError; what was done until then is
    in the caches, so that the same call goes on from there.
    """
    with Sorter(_existing(out)) as sorter, ExitStack() as held:
        return _audit(
            store,
            open_predictors,
            out,
            sorter,
            held,
            settings=settings,
            cache=cache,
            progress=progress,
            likeness=likeness,
            thumbnail=thumbnail,
        )


def _audit(  # noqa: PLR0913 - what ``audit`` is given, the sorter, and what is held until the end
    store: AnnotationStore,
    open_predictors: Callable[[Snapshot], Sequence[Predictor]],
    out: Path,
    sorter: Sorter,
    held: ExitStack,
    *,
    settings: Settings,
    cache: Cache,
    progress: Progress,
    likeness: Likeness | None,
    thumbnail: Thumbnail | None,
) -> RunFolder:
    timings = Timings()
    with timings.stage("pull"):
        snapshot = store.snapshot(progress, sorter.add)
    _check_out(out, snapshot)
    with timings.stage("predict"):
        predictors = open_predictors(snapshot)
    snapshot = replace(snapshot, notes=(*snapshot.notes, *(line for p in predictors for line in p.notes)))
    _check_mapping(settings, predictors, snapshot.labels)
    auditors = [Auditor(p, _matched(p, snapshot, sorter.names, settings, progress)) for p in predictors]
    knows = _knows(auditors, len(snapshot.labels))
    _check_images(store, predictors)
    held.enter_context(out_folder.alone(out))
    _check_out(out, snapshot)  # another may have ended meanwhile
    out_folder.claim(out, "run", snapshot.source)
    (out / "manifest.json").unlink(missing_ok=True)
    annotations, predictions = out / "annotations.parquet", out / "predictions.parquet"
    try:
        with timings.stage("pull"):
            sorter.write(annotations, snapshot.labels)
        snapshot, audited = predict(
            store, auditors, snapshot, predictions, cache=cache, progress=progress, timings=timings, likeness=likeness
        )
    finally:
        for predictor in predictors:
            predictor.close()
    with timings.stage("find"):
        alone = _alone(annotations, snapshot, settings, likeness)
        give_back()  # columns of all annotations
        outcome = compare(
            Comparison(
                snapshot, knows, audited, annotations, predictions, models=tuple(a.predictor.name for a in auditors)
            ),
            out / "findings.parquet",
            types=settings.types,
            floor=settings.floor,
            progress=progress,
            alone=alone,
            thumbnail=thumbnail,
        )
        snapshot = replace(snapshot, notes=(*snapshot.notes, *outcome.notes))
        if auditors and FindingType.MISSING_ANNOTATION in settings.types:
            told = never_labelled.notes(predictions, snapshot.labels, sorter.names)
            snapshot = replace(snapshot, notes=(*snapshot.notes, *told))
    write_table(out / "frames.parquet", snapshot.frames, snapshot.labels)
    manifest = _manifest(snapshot, auditors, settings, timings)
    counted = {name: value for name, value in asdict(outcome).items() if name != "notes"}
    manifest["counts"] = {"frames": len(snapshot.frames), "frames_audited": int(audited.sum()), **counted}
    write_manifest(out, manifest)
    give_back()
    return RunFolder.open(out)


def _alone(file: Path, snapshot: Snapshot, settings: Settings, likeness: Likeness | None) -> Findings:
    """What all labels together tell without a model. file: the annotations, of which the light columns are read."""
    if not set(settings.types) & set(MODEL_FREE):
        return Findings()
    frames = snapshot.frames
    with FrameTable(file, Annotations, snapshot.labels, HEAVY) as table:
        return model_free(
            Blocks(table, len(frames)),
            frames,
            snapshot.labels,
            hashes=None if likeness is None else likeness.of(frames.sha256),
            look=None if likeness is None else lambda found: likeness.unlike(found, frames),
            types=settings.types,
        )


def add_timing(run: RunFolder, stage: str, seconds: float) -> RunFolder:
    """Note in the manifest how long a later stage (report, import) took."""
    manifest = {**run.manifest, "timings": {**run.manifest["timings"], stage: round(seconds, 3)}}
    write_manifest(run.path, manifest)
    return replace(run, manifest=manifest)


def _existing(out: Path) -> Path:
    """The run folder, or the nearest folder above it that is there already."""
    return next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())


def _check_out(out: Path, snapshot: Snapshot) -> None:
    """Raises UsageError rather than replace another source's run, or what another command or a person made."""
    out_folder.check(out, "run", snapshot.source)
    try:
        manifest = RunFolder.open(out).manifest
    except UsageError:
        return
    # older runs keep the path of an export as it was typed
    known = (manifest["source"], os.path.abspath(manifest["source"]))  # noqa: PTH100  no link is followed
    if snapshot.source not in known or manifest.get("command", "run") != "run":
        made_by = manifest.get("command", "run")
        holds = f"an audit of {manifest['source']}" if made_by == "run" else f"what '{made_by}' made"
        raise UsageError(f"{out} holds {holds}. Give another --out, or remove that folder.")


def _check_mapping(settings: Settings, predictors: Sequence[Predictor], labels: Collection[str]) -> None:
    classes = [c for p in predictors for c in p.labels]
    for cls, label in settings.mapping.items():
        if cls in classes:
            continue
        if cls in labels and label in classes:
            raise UsageError(f"--map {cls}={label}: the model's class comes first: --map {label}={cls}")
        raise UsageError(f"--map {cls}={label}: no model has a class '{cls}' (there are: {listing(classes)})")


def _matched(
    predictor: Predictor, snapshot: Snapshot, used: Collection[str], settings: Settings, progress: Progress
) -> LabelMatch:
    """Raises UsageError if both sides have names left over: then a name is probably written differently."""
    mapping = {c: label for c, label in settings.mapping.items() if c in predictor.labels}
    try:
        match = match_labels(predictor.labels, snapshot.labels, mapping)
    except ValueError as error:
        raise UsageError(str(error)) from None
    unknown = tuple(n for n in snapshot.labels if n in match.unknown_labels and n in used)
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


def _versions() -> dict[str, str]:
    """Of what is installed and has a part in the result, loaded or not: the same for a run from the cache."""
    found = {"cvat-audit": version("cvat-audit"), "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


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
            "types": [t.code for t in FindingType if t in settings.types and (auditors or t not in NEED_MODEL)],
            "min_score": settings.floor,
            **settings.besides,
        },
        "versions": _versions(),
        "timings": {stage: round(seconds, 3) for stage, seconds in timings.seconds.items()},
    }
