"""cvat-audit prelabel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from audit.adapters.cvat.address import is_address
from audit.cli.annotating import box_of, logged_in, opened_target, source_options, tell
from audit.cli.options import mapping_of, pair, part
from audit.cli.options import share as part_or_whole
from audit.cli.progress import TerminalProgress, note_problems, printable
from audit.cli.push import decided, leave
from audit.cli.run import FORMATS
from audit.cli.sources import PredictorOptions, SourceOptions, open_predictors, opened_store
from audit.errors import UsageError

if TYPE_CHECKING:
    from audit.annotating.prelabel import Choice, Prelabels
    from audit.annotating.prelabel_skeletons import Skeletons
    from audit.core.annotations import Snapshot
    from audit.core.corrections import Correction
    from audit.ports import Predictor
    from audit.push_ports import Report

PREVIEW = "preview.html"


def threshold(value: str) -> tuple[str, float]:
    """SCORE for all labels (named ""), or LABEL=SCORE."""
    label, _, score = value.rpartition("=")
    return label, part(score, f"'{value}' is not a score between 0 and 1 such as 0.4 or person=0.6")


def share(value: str) -> float:
    """A part, never the whole: 10% or 0.1."""
    found = part_or_whole(value)
    if found >= 1:
        raise click.BadParameter(f"'{value}' is not a share below 100%")
    return found


def parameter(value: str) -> tuple[str, Any]:
    """NAME=TYPE:VALUE as cvat-cli has it; TYPE is str, int, float or bool."""
    name, _, rest = value.partition("=")
    kind, colon, text = rest.partition(":")
    try:
        if not (name and colon):
            raise ValueError
        if kind == "bool":
            return name, {"true": True, "false": False}[text.lower()]
        return name, {"str": str, "int": int, "float": float}[kind](text)
    except (ValueError, KeyError):
        raise click.BadParameter(f"'{value}' is not of the form NAME=TYPE:VALUE, such as model=str:best.pt") from None


@click.command(short_help="Draw a model's objects into CVAT, for people to correct.")
@source_options
@click.option("--model", metavar="WEIGHTS", help="Ultralytics weights (.pt, .onnx), or yolo11n.")
@click.option("--predictions", "results", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Instead: a COCO results file (JSON) of any model.")  # fmt: skip
@click.option("--function", metavar="NAME", help="Instead: a Nuclio function of that CVAT.")
@click.option("--function-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Instead: a function file as for cvat-cli. It is run.")  # fmt: skip
@click.option("--parameter", "-p", "parameters", type=parameter, metavar="NAME=TYPE:VALUE", multiple=True,
              help="For the function file, such as model=str:best.pt.")  # fmt: skip
@click.option(
    "--map", "mapping", type=pair, metavar="CLASS=LABEL", multiple=True, help="The model's CLASS is the task's LABEL."
)
@click.option("--threshold", "thresholds", type=threshold, metavar="[LABEL=]SCORE", multiple=True,
              help="Lowest score to draw, for all labels or for one; may be repeated. [default: 0.25]")  # fmt: skip
@click.option("--as", "kind", type=click.Choice(["auto", "rectangle", "polygon", "mask", "skeleton"]),
              default="auto", show_default=True,
              help="What to draw; auto: what the model gives, a mask only if the label takes one.")  # fmt: skip
@click.option("--blind", type=share, metavar="SHARE", help="Leave this share of the frames without pre-labels (10%).")
@click.option("--seed", type=click.IntRange(0), help="Of the blind frames' random choice. [default: 0]")
@click.option(
    "--replace-auto", is_flag=True, help="Replace OUT's own earlier pre-labels on frames that nobody has worked on."
)
@click.option(
    "--fill", is_flag=True, help="Also draw on frames on which somebody has worked, where nothing is labelled yet."
)
@click.option("--runtime", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True,
              help="What runs .pt weights; auto: the faster one.")  # fmt: skip
@click.option(
    "--image-size", type=click.IntRange(32, 4096), default=640, show_default=True, help="Model input, pixels."
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Format of an export, if it is not recognised.")
@click.option("--images", type=click.Path(path_type=Path, exists=True), help="Where the images of an export lie.")
def prelabel(  # noqa: PLR0913 - one parameter per option
    *,
    where: SourceOptions,
    out: Path,
    model: str | None,
    results: Path | None,
    function: str | None,
    function_file: Path | None,
    parameters: tuple[tuple[str, Any], ...],
    mapping: tuple[tuple[str, str], ...],
    thresholds: tuple[tuple[str, float], ...],
    kind: str,
    blind: float | None,
    seed: int | None,
    replace_auto: bool,
    fill: bool,
    device: str | None,
    runtime: Literal["auto", "torch", "onnx"],
    image_size: int,
    include_completed: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Draw what a model sees in SOURCE, so that people only correct it.

    SOURCE is a CVAT task, job or project (cvat://HOST/tasks/42); of an export on disk a pre-labelled copy is
    written. Shapes keep their score and say that a model made them (source: auto). Look at OUT/preview.html first:
    without --yes nothing is sent, only counted.

    Frames on which somebody has worked are left alone, also by --replace-auto; and jobs that are completed or in
    validation. A frame in two jobs is drawn in one of them. The same command goes on where it was stopped, and
    adds nothing twice. Frames of the blind share stay empty; OUT
    records which, so that later one can see what pre-labels did to people's labels.

    Exit codes: 0 all done, 1 something was refused, 2 wrong use, 3 a service failed.
    """
    from audit.annotating.prelabel import Choice
    from audit.loop.prelabels import THRESHOLD, Rules

    execute = decided(dry_run, yes)
    what = PredictorOptions(
        (model,) if model else (), (results,) if results else (), (function,) if function else (), device, runtime,
        image_size,
    )  # fmt: skip
    if sum(map(bool, (model, results, function, function_file))) != 1:
        raise UsageError("say what draws, exactly one of: --model, --predictions, --function, --function-file")
    if parameters and not function_file:
        raise UsageError("--parameter is for --function-file")
    if replace_auto and not is_address(where.source):
        raise UsageError("--replace-auto is for a CVAT server; of an export a new copy is written each time")
    rules = Rules({"": THRESHOLD, **dict(thresholds)}, kind, replace_auto, fill)
    progress = TerminalProgress()
    where = logged_in(where)
    choice = Choice(rules, mapping_of(mapping), blind, seed)

    def opened(snapshot: Snapshot) -> Predictor:
        if model:
            return _model(what, where, snapshot)
        if function_file is None:
            return open_predictors(what, where, choice.mapping, snapshot)[0]
        from audit.adapters.cvat.function_file import open_function_file

        return open_function_file(function_file, dict(parameters))

    made = _predicted(where, opened, out, choice, progress)
    _send(made, where, execute, include_completed, as_json, progress)


def _model(what: PredictorOptions, where: SourceOptions, snapshot: Snapshot) -> Predictor:
    """Weights of any kind: boxes, masks, keypoints or turned boxes."""
    from audit.adapters.ultralytics.runtimes import OtherTaskError

    try:
        return open_predictors(what, where, {}, snapshot)[0]
    except OtherTaskError:
        from audit.adapters.ultralytics.poses import PosePredictor
        from audit.adapters.ultralytics.weights import find_weights

        return PosePredictor(find_weights(what.models[0]), device=what.device, image_size=what.image_size)


def _skeletons(where: SourceOptions) -> Skeletons | None:
    """Asks the server for a job's skeletons; None for an export."""
    if not is_address(where.source):
        return None

    def asked(job: int) -> Mapping[str, tuple[str, ...]]:
        with opened_target(where) as target:
            return target.skeletons(job)

    return asked


def _predicted(
    where: SourceOptions,
    open_predictor: Callable[[Snapshot], Predictor],
    out: Path,
    choice: Choice,
    progress: TerminalProgress,
) -> Prelabels:
    from audit.adapters.folders import cache_dir
    from audit.adapters.prediction_cache import PredictionCache
    from audit.annotating.prelabel import prepare

    with opened_store(where) as store, closing(PredictionCache(cache_dir("predictions"))) as cache:
        made = prepare(
            store, open_predictor, out, choice=choice, cache=cache, progress=progress, skeletons=_skeletons(where)
        )
        for line in cache.notes:
            progress.note(line)
    note_problems(progress, made.snapshot.problems, out)
    return made


def _send(
    made: Prelabels,
    where: SourceOptions,
    execute: bool,
    include_completed: bool,
    as_json: bool,
    progress: TerminalProgress,
) -> None:
    from audit.annotating.prelabel import plan_of, send

    facts = {
        "frames": len(made.snapshot.frames),
        "could not be read or predicted": int((~made.audited).sum()),
        "hold labels": len(set(made.snapshot.annotations.frame.tolist())),
        "blind": int(made.blind.sum()),
    }
    if is_address(where.source):
        with opened_target(where) as target:
            sent = send(made, target, box_of, execute=execute, include_completed=include_completed, progress=progress)
        report, labels = sent.report, sent.labels
        _preview(made, sent.drawn, progress)
        tell(made.run, report, labels, execute=execute, as_json=as_json, facts=_frames(facts, report))
        leave(report, "prelabel")
        return
    from audit.adapters.exports.writer import write_corrected

    plan, labels = plan_of(made)
    _preview(made, plan.corrections, progress)
    report, copy = write_corrected(
        plan, made.snapshot, None, run=made.run.path, execute=execute, progress=progress
    )  # fmt: skip
    tell(made.run, report, labels, execute=execute, as_json=as_json, facts=_frames(facts, report))
    if execute:
        click.echo(printable(f"Import into CVAT: {copy}"), err=as_json)
    leave(report, "prelabel")


def _preview(made: Prelabels, drawn: Sequence[Correction], progress: TerminalProgress) -> None:
    """A page of pictures with what is drawn; none if that is nothing."""
    from audit.report.prelabel_preview import write_preview

    if drawn:
        path = made.run.path / PREVIEW
        write_preview(path, made.snapshot, drawn, model=made.run.models[0], progress=progress)
        progress.note(f"Preview: {path}")


def _frames(facts: dict[str, int], report: Report) -> dict[str, int]:
    """With the number of frames that hold, or get, a pre-label."""
    ours = {x.frame for x in report.lines if x.action == "create" and (x.status in ("to do", "done") or x.id)}
    return {**facts, "with pre-labels": len(ours)}
