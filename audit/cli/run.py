"""cvat-audit run."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal

import click
import numpy as np

from audit.cli.options import KEEP_DATABASE, FailOn, NewFolder, fail_on, finding_type, frame_range, mapping_of, pair
from audit.cli.progress import TerminalProgress, printable
from audit.cli.sources import PredictorOptions, SourceOptions, chosen, open_predictors, opened_store
from audit.cli.streams import reader_may_leave
from audit.core.findings import NEED_MODEL, FindingType
from audit.core.table import FloatArray, IntArray
from audit.core.words import amount
from audit.errors import UsageError
from audit.runs import RunFolder

LIKELY = 0.5
"""Findings from this score on are counted as likely mistakes."""
PROBLEMS_SHOWN = 5
NO_MODEL = (
    "No model: only what the labels show by themselves is looked for. "
    "To compare them with what a model sees, add --model WEIGHTS, --predictions FILE or --function NAME."
)
FORMATS = ("cvat-images", "cvat-video", "coco", "datumaro", "yolo")


@click.command(short_help="Audit a CVAT task or an export: pull, predict, compare, show.")
@click.argument("source", metavar="SOURCE")
@click.option("--out", "-o", required=True, type=NewFolder(), help="The run folder.")
@click.option(
    "--model", "models", multiple=True, metavar="WEIGHTS", help="Ultralytics weights (.pt, .onnx), or yolo11n."
)
@click.option("--view", "views", multiple=True, type=click.Choice(["flip", "larger"]),
              help="Each --model also looks at pictures mirrored, or 1.5 times as large.")  # fmt: skip
@click.option(
    "--predictions",
    "results",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A COCO results file (JSON) of any model.",
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="A Nuclio function of that CVAT.")
@click.option(
    "--map", "mapping", type=pair, metavar="CLASS=LABEL", multiple=True, help="The model's CLASS is the task's LABEL."
)
@click.option("--allow-unmatched", is_flag=True, help="Go on though names are left over on both sides.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Format of an export, if it is not recognised.")
@click.option("--images", type=click.Path(path_type=Path, exists=True), help="Where the images of an export lie.")
@click.option("--frames", type=frame_range, metavar="FIRST-LAST", help="Only these frames, such as 0-99.")
@click.option("--auth", metavar="USER[:PASS]", help="CVAT user; else CVAT_ACCESS_TOKEN. The password also from PASS.")
@click.option("--organization", "--org", metavar="SLUG", help="CVAT organization.")
@click.option("--job-stage", type=click.Choice(["annotation", "validation", "acceptance"]), help="Only such jobs.")
@click.option("--job-state", type=click.Choice(["new", "in progress", "completed", "rejected"]), help="Only such jobs.")
@click.option("--workers", type=click.IntRange(1, 16), default=4, show_default=True, help="Downloads at a time.")
@click.option(
    "--type", "types", type=finding_type, metavar="TYPE", multiple=True, help="Only look for this; may be repeated."
)
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Lowest score to keep.")
@click.option(
    "--fail-on",
    "rules",
    type=fail_on,
    metavar="TYPE[:SCORE]",
    multiple=True,
    help="Exit with 1 on such findings (score: 0.5).",
)
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ...; by default a GPU if there is one.")
@click.option("--runtime", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True,
              help="What runs .pt weights; auto: the faster one.")  # fmt: skip
@click.option(
    "--image-size", type=click.IntRange(32, 4096), default=640, show_default=True, help="Model input, pixels."
)
@click.option("--no-report", is_flag=True, help="Do not write report.html.")
@click.option("--no-fiftyone", is_flag=True, help="Do not fill FiftyOne.")
@KEEP_DATABASE
def run(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: str,
    out: Path,
    models: tuple[str, ...],
    views: tuple[Literal["flip", "larger"], ...],
    results: tuple[Path, ...],
    functions: tuple[str, ...],
    mapping: tuple[tuple[str, str], ...],
    allow_unmatched: bool,
    form: str | None,
    images: Path | None,
    frames: range | None,
    auth: str | None,
    organization: str | None,
    job_stage: str | None,
    job_state: str | None,
    workers: int,
    types: tuple[FindingType, ...],
    min_score: float,
    rules: tuple[FailOn, ...],
    device: str | None,
    runtime: Literal["auto", "torch", "onnx"],
    image_size: int,
    no_report: bool,
    no_fiftyone: bool,
    keep_database: bool,
) -> None:
    """Audit SOURCE and write what was found to the folder --out.

    SOURCE is a CVAT task, job or project (cvat://HOST/tasks/42, cvat://HOST/jobs/7,
    cvat://HOST/projects/3) or an export on disk, zip or folder: CVAT for images, CVAT for video,
    COCO, Datumaro, Ultralytics YOLO.

    Without --model, --predictions and --function only what needs no model is looked for: broken and
    unusual shapes, duplicates, broken tracks, frames without labels, frames that look the same but
    are labelled differently.

    Killed or interrupted, the same command goes on: images and predictions are kept and used again.
    """
    from audit.adapters.folders import cache_dir
    from audit.adapters.likenesses import Likenesses
    from audit.adapters.prediction_cache import PredictionCache
    from audit.adapters.thumbnails import grey_thumbnail
    from audit.workflow import Settings, audit

    where = SourceOptions(source, auth, organization, frames, job_stage, job_state, form, images, workers)
    what = PredictorOptions(models, results, functions, device, runtime, image_size, views)
    settings = Settings(
        mapping_of(mapping), allow_unmatched, types or tuple(FindingType), min_score, chosen(where, what)
    )
    progress = TerminalProgress()
    if what.nothing:
        _check_alone((*types, *(rule.type for rule in rules)))
        progress.note(NO_MODEL)
    with (
        opened_store(where) as store,
        closing(PredictionCache(cache_dir("predictions"))) as cache,
        closing(Likenesses(cache_dir("predictions"))) as likeness,
    ):
        audited = audit(
            store,
            lambda snapshot: open_predictors(what, where, settings.mapping, snapshot),
            out,
            settings=settings,
            cache=cache,
            progress=progress,
            likeness=likeness,
            thumbnail=grey_thumbnail,
        )
        for line in cache.notes:
            progress.note(line)
    if not no_report:
        audited = _timed(audited, "report", lambda: _report(audited, progress))
    with reader_may_leave():  # before FiftyOne: if its database fails, everything else is there and told
        _summary(audited)
    if not no_fiftyone:
        audited = _timed(audited, "import", lambda: _import(audited, progress, keep_database))
    sys.exit(1 if any(_fails(audited, rule) for rule in rules) else 0)


def _check_alone(wanted: Iterable[FindingType | None]) -> None:
    """Raises UsageError for a type that is asked for by name and cannot be found without a model."""
    for kind in wanted:
        if kind in NEED_MODEL:
            raise UsageError(
                f"{kind.code} is told by a model only: add --model WEIGHTS, --predictions FILE or --function NAME"
            )


def _timed(audited: RunFolder, stage: str, work: Callable[[], None]) -> RunFolder:
    from audit.workflow import add_timing

    start = time.perf_counter()
    work()
    return add_timing(audited, stage, time.perf_counter() - start)


def _report(audited: RunFolder, progress: TerminalProgress) -> None:
    from audit.report.html import write_report

    write_report(audited, audited.path / "report.html", progress=progress)


def _import(audited: RunFolder, progress: TerminalProgress, keep_database: bool) -> None:
    """Fill FiftyOne; without it installed, say so and go on: the run folder and the report are whole."""
    if importlib.util.find_spec("fiftyone") is None:
        progress.note("FiftyOne is not installed, so it was not filled: pip install 'cvat-audit[fiftyone]'")
        return
    from audit.adapters.fiftyone.board import import_run
    from audit.adapters.fiftyone.database import database

    with database(progress, keep_running=keep_database):
        import_run(audited, progress=progress)


def _summary(audited: RunFolder) -> None:
    """What was found and where to look, on stdout."""
    (likely, every), counts = _by_type(audited), audited.manifest["counts"]
    found = f"{amount(int(likely.sum()), 'likely mistake')} and {amount(int((every - likely).sum()), 'weaker finding')}"
    frames = f"{counts['frames_audited']:,} of {amount(counts['frames'], 'frame')}"
    click.echo(f"{found} in {amount(counts['annotations'], 'annotation')} on {frames}.")
    for kind in FindingType:
        if every[kind]:
            click.echo(f"  {kind.title:<20}{int(likely[kind]):>7} likely {int(every[kind]):>7} in all")
    for note in audited.manifest["notes"]:
        click.echo(f"  note: {printable(note)}")
    for what, n in counts["not_compared"].items():
        click.echo(f"  not compared: {n} x {what}")
    if audited.manifest["problems"]:
        count = len(audited.manifest["problems"])
        what = "1 problem; it stands" if count == 1 else f"{count} problems; they stand"
        click.echo(f"  {what} in the report and in manifest.json:")
        for problem in audited.manifest["problems"][:PROBLEMS_SHOWN]:
            click.echo(f"    {printable(problem['where'])}: {printable(problem['reason'])}")
    click.echo(f"List them: cvat-audit findings {audited.path}")
    if (audited.path / "report.html").exists():
        click.echo(f"Report:    {audited.path / 'report.html'}")
    click.echo(f"Look:      cvat-audit app {audited.path}")


def _by_type(audited: RunFolder) -> IntArray:
    """(2, types) how many findings there are of each type: likely ones, and all."""
    likely, every = np.zeros((2, len(FindingType)), np.int64)
    for types, scores in audited.types_and_scores():
        likely += np.bincount(types[scores >= LIKELY], minlength=len(FindingType))
        every += np.bincount(types, minlength=len(FindingType))
    return np.array([likely, every])


def _fails(audited: RunFolder, rule: FailOn) -> bool:
    def fails(types: IntArray, scores: FloatArray) -> bool:
        right_type = True if rule.type is None else types == rule.type
        return bool(np.any(right_type & (scores >= rule.score)))

    return any(fails(types, scores) for types, scores in audited.types_and_scores())
