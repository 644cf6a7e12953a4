"""A run as a FiftyOne dataset: filled in batches, updated in place when the run is made again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.fiftyone import appearance, convert
from audit.adapters.fiftyone.database import URI, require_fiftyone
from audit.adapters.fiftyone.samples import Source, remove_others, write
from audit.adapters.fiftyone.shapes import Document
from audit.core.annotations import Problem
from audit.core.words import amount
from audit.errors import UsageError
from audit.ports import Progress
from audit.runs import RunFolder

MIN_SCORE = 0.25
"""Predictions below this are left out of the dataset by default; findings never are."""

VERDICTS = {"accept", "reject", "unsure"}


def import_run(run: RunFolder, *, name: str | None = None, progress: Progress, min_score: float = MIN_SCORE) -> str:
    """Fill, or bring up to date, the dataset of a run; gives its name. Must run inside ``database()``.

    Samples are known by their frame: a second import keeps people's own fields, tags and decisions,
    and what is no longer in the run vanishes. Frames without an image file are counted and said.
    min_score: in [0, 1], predictions below it are left out. Raises UsageError for a name that is
    taken by another dataset or cannot be one.
    """
    require_fiftyone()
    if URI not in os.environ:
        raise RuntimeError("import_run must be called inside audit.adapters.fiftyone.database.database()")
    snapshot, findings = run.snapshot(), run.findings()
    dataset = _dataset(name or default_name(run), run)
    source = Source(run, snapshot, findings, min_score, read_decisions(run.path / "decisions.jsonl", progress))
    problems, written = write(dataset, source, progress)
    remove_others(dataset, written)
    _recount(dataset)
    kinds, numbers = np.unique(findings.type, return_counts=True)
    counts = dict(zip(kinds.tolist(), numbers.tolist(), strict=True))
    _describe(dataset, source, counts, problems)
    appearance.save_views(dataset, counts)
    _tell(problems, progress)
    return str(dataset.name)


def default_name(run: RunFolder) -> str:
    """A readable name that is the same for the same folder and source, and differs for any other."""
    place = f"{run.path.resolve()}|{run.manifest['source']}"
    words = re.sub(r"[^a-z0-9]+", "-", str(run.manifest["source"]).lower().rsplit("://", 1)[-1]).strip("-")
    digest = hashlib.blake2b(place.encode(), digest_size=4).hexdigest()
    return "-".join(w for w in ("audit", words[-60:].strip("-"), digest) if w)


def read_decisions(path: Path, progress: Progress) -> dict[str, Document]:
    """The last verdict on each finding, as attributes of it. Lines that are no decisions are counted and said."""
    decisions: dict[str, Document] = {}
    broken = 0
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in filter(str.strip, lines):
        try:
            entry = json.loads(line)
            if entry["verdict"] not in VERDICTS:
                raise ValueError(entry["verdict"])
            reviewer, time = str(entry.get("reviewer", "")), str(entry.get("time", ""))
            decisions[str(entry["finding"])] = {"decision": entry["verdict"], "reviewer": reviewer, "decided_at": time}
        except (ValueError, KeyError, TypeError):
            broken += 1
    if broken:
        progress.note(f"{path}: {broken} lines are no decisions and were passed over")
    return decisions


def _dataset(name: str, run: RunFolder) -> Any:
    import fiftyone as fo

    identity = {"source": run.manifest["source"]}
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if dataset.info.get("cvat_audit", {}).get("source") != identity["source"]:
            raise UsageError(f"The FiftyOne dataset '{name}' holds something else. Choose another name.")
        appearance.declare_fields(dataset)
        return dataset
    try:
        dataset = fo.Dataset(name, persistent=True)
    except ValueError as error:
        raise UsageError(f"'{name[:100]}' cannot be the name of a FiftyOne dataset: {str(error)[:200]}") from None
    dataset.media_type = "image"
    dataset.info["cvat_audit"] = identity
    appearance.declare_fields(dataset)
    appearance.arrange(dataset)
    return dataset


def _recount(dataset: Any) -> None:
    """Put MongoDB's quick count right: after a kill it can be 0, and the App then shows an empty dataset."""
    samples = dataset._sample_collection
    if samples.estimated_document_count() != samples.count_documents({}):
        samples.database.command("validate", samples.name)


def _describe(dataset: Any, source: Source, counts: dict[int, int], problems: list[Problem]) -> None:
    manifest = source.run.manifest
    dataset.info["cvat_audit"] = {
        "source": manifest["source"],
        "run": str(source.run.path.resolve()),
        "read_at": manifest["read_at"],
        "models": list(source.run.models),
        "min_prediction_score": source.min_score,
        "max_predictions_per_frame": convert.MAX_PREDICTIONS,
        "frames_without_image": len(problems),
        "findings": sum(counts.values()),
        "colours": {"in CVAT": appearance.EXISTING, "proposed": appearance.PROPOSED, "finding": appearance.FINDING},
    }
    dataset.description = (
        f"Audit of {manifest['source']}: {amount(sum(counts.values()), 'finding')}. Blue: labels in CVAT; "
        "green: proposed; red: the finding."
    )
    dataset.save()
    dataset.reload()


def _tell(problems: list[Problem], progress: Progress) -> None:
    if problems:
        first = "; ".join(f"{p.where[:80]}: {p.reason}" for p in problems[:3])
        more = "; …" if len(problems) > 3 else ""
        progress.note(f"{amount(len(problems), 'frame')} cannot be shown in FiftyOne ({first}{more})")
