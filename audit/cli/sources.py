"""Wires the SOURCE argument and the predictor options to their adapters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from audit.adapters.cvat.address import is_address, parse_address
from audit.adapters.cvat.credentials import Credentials, credentials_from
from audit.adapters.digests import file_sha256
from audit.cli.options import shown_range
from audit.core.annotations import Snapshot
from audit.errors import UsageError
from audit.ports import AnnotationStore, Predictor

if TYPE_CHECKING:
    from audit.adapters.ultralytics.detector import View


@dataclass(frozen=True)
class SourceOptions:
    """What the user said about the source. Secrets are not among it: see ``credentials``."""

    source: str
    auth: str | None
    organization: str | None
    frames: range | None
    job_stage: str | None
    job_state: str | None
    format: str | None
    images: Path | None
    workers: int


@dataclass(frozen=True)
class PredictorOptions:
    """What the user said about the predictors, each repeatable. views: how each model looks at pictures besides.

    Raises UsageError for views without a model.
    """

    models: tuple[str, ...]
    results: tuple[Path, ...]
    functions: tuple[str, ...]
    device: str | None
    runtime: Literal["auto", "torch", "onnx"]
    image_size: int
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        if self.views and not self.models:
            raise UsageError("--view goes with --model WEIGHTS: results and functions cannot look at a picture again")

    @property
    def nothing(self) -> bool:
        """Whether there is no model of any kind."""
        return not (self.models or self.results or self.functions)


def chosen(source: SourceOptions, what: PredictorOptions) -> dict[str, Any]:
    """For the manifest: which part of the source was audited with which settings and files. No secrets, no defaults.

    Raises UsageError for a results file that cannot be read.
    """
    facts = {
        "frames": None if source.frames is None else shown_range(source.frames),
        "organization": source.organization,
        "job_stage": source.job_stage,
        "job_state": source.job_state,
        "format": source.format,
        "images": None if source.images is None else str(source.images.absolute()),
        "predictions": {path.name: file_sha256(path) for path in what.results} or None,
        "device": what.device,
        "runtime": what.runtime if what.models else None,
        "image_size": what.image_size if what.models else None,
        "views": list(what.views) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


@contextmanager
def opened_store(options: SourceOptions) -> Iterator[AnnotationStore]:
    """The store that SOURCE names, closed afterwards."""
    if not options.source:
        raise UsageError("SOURCE is empty: expected a CVAT address (cvat://HOST/tasks/42), or a zip or folder")
    store = _server_store(options) if is_address(options.source) else _disk_store(options)
    try:
        yield store
    finally:
        store.close()


def _server_store(options: SourceOptions) -> AnnotationStore:
    from audit.adapters.cvat.store import open_store
    from audit.adapters.folders import cache_dir
    from audit.adapters.pictures import ImageCache

    _refuse(options.source, {"--format": options.format, "--images": options.images})
    parse_address(options.source)  # a wrong address must be told before a password is asked for
    return open_store(
        options.source,
        credentials=credentials_of(options),
        organization=options.organization,
        frames=options.frames,
        job_stage=options.job_stage,
        job_state=options.job_state,
        workers=options.workers,
        cache=ImageCache(cache_dir("images")),
    )


def _disk_store(options: SourceOptions) -> AnnotationStore:
    from audit.adapters.exports import open_store
    from audit.adapters.folders import cache_dir
    from audit.adapters.pictures import ImageCache

    on_server = {"--organization": options.organization, "--job-stage": options.job_stage, "--auth": options.auth}
    _refuse(options.source, {**on_server, "--job-state": options.job_state})
    return open_store(
        Path(options.source),
        format=options.format,
        images=options.images,
        frames=options.frames,
        cache=ImageCache(cache_dir("images")),
    )


def _refuse(source: str, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        kind = "a CVAT server" if is_address(source) else "an export on disk"
        raise UsageError(f"{given[0]} does not go with {kind} as the source ({source})")


def credentials_of(options: SourceOptions) -> Credentials:
    """How to log in to the source's server, asked for on a terminal if need be. Raises UsageError."""
    return asked_credentials(options.auth, options.source)


def asked_credentials(auth: str | None, server: str) -> Credentials:
    """As ``credentials_of``. auth: USER[:PASS] or None. server: how the user named it."""
    credentials = credentials_from(auth, os.environ)
    if credentials.needs_password and not sys.stdin.isatty():
        raise UsageError("no way to log in: set CVAT_ACCESS_TOKEN, or give --auth USER and the password in PASS")
    if credentials.needs_password:
        prompt = f"Password of {credentials.user} for {server}"
        credentials = credentials.with_password(click.prompt(prompt, hide_input=True, err=True))
    return credentials


def open_predictors(
    options: PredictorOptions, source: SourceOptions, mapping: Mapping[str, str], snapshot: Snapshot
) -> list[Predictor]:
    """Every predictor asked for, models first. mapping: a function's labels must be mapped on the server already."""
    predictors: list[Predictor] = [p for name in options.models for p in _views(name, options)]
    predictors += [_results(path, snapshot) for path in options.results]
    predictors += [_function(name, source, mapping, snapshot) for name in options.functions]
    return predictors


def _views(name: str, options: PredictorOptions) -> list[Predictor]:
    """The model, and once more for each other way to look at a picture."""
    from audit.adapters.ultralytics.detector import open_model
    from audit.adapters.ultralytics.weights import find_weights

    model = open_model(
        find_weights(name), device=options.device, runtime=options.runtime, image_size=options.image_size, lazily=True
    )
    return [model, *(model.view(view) for view in dict.fromkeys(options.views))]


def _results(path: Path, snapshot: Snapshot) -> Predictor:
    from audit.adapters.folders import cache_dir
    from audit.adapters.results import open_results

    return open_results(path, snapshot, snapshot.label_names(), folder=cache_dir("temporary"))


def _function(name: str, source: SourceOptions, mapping: Mapping[str, str], snapshot: Snapshot) -> Predictor:
    from audit.adapters.cvat.function import open_function

    if not is_address(source.source):
        raise UsageError(f"--function {name} runs on a CVAT server, so SOURCE must be on one (cvat://HOST/tasks/42)")
    return open_function(
        source.source,
        name,
        credentials=credentials_of(source),
        organization=source.organization,
        mapping=mapping,
        labels=snapshot.labels,
    )
