"""cvat-audit train."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from audit.adapters.cvat.address import is_address
from audit.adapters.cvat.credentials import credentials_from
from audit.cli.options import NewFolder
from audit.cli.progress import TerminalProgress
from audit.cli.run import run
from audit.cli.sources import SourceOptions, opened_store

SOURCE_OPTIONS = ("form", "images", "frames", "auth", "organization", "job_stage", "job_state", "workers")
AUDIT_OPTIONS = ("types", "min_score", "rules", "no_report", "no_fiftyone", "keep_database")
"""Those that ``run`` has, too, with the same meaning."""


def _options_of_run(command: click.Command) -> click.Command:
    own = {p.name: p for p in run.params}
    command.params += [own[name] for name in (*SOURCE_OPTIONS, *AUDIT_OPTIONS)]
    return command


@_options_of_run
@click.command(short_help="Audit with models trained on the task's own labels, each on other pictures.")
@click.argument("source", metavar="SOURCE")
@click.option("--out", "-o", required=True, type=NewFolder(), help="The run folder.")
@click.option(
    "--folds", type=click.IntRange(2, 50), help="Models to train, each without its share of the pictures. [5]"
)
@click.option(
    "--model", default="yolo11n", show_default=True, metavar="WEIGHTS", help="Detector to begin with (.pt), or yolo11n."
)
@click.option("--epochs", type=click.IntRange(1), help="Rounds over the pictures; else chosen from their number.")
@click.option("--image-size", "--imgsz", type=click.IntRange(64, 4096),
              help="Model input, pixels, a multiple of 32; else chosen from the size of the objects.")  # fmt: skip
@click.option("--batch", type=click.IntRange(2, 1024), help="Pictures per training step; else chosen.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ...; by default a GPU if there is one.")
@click.option("--restart", is_flag=True, help="Forget what an earlier call trained in this folder.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained and how long it would take.")
@click.option("--no-audit", is_flag=True, help="Only train and predict.")
@click.pass_context
def train(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: click.Context,
    /,
    source: str,
    out: Path,
    folds: int | None,
    model: str,
    epochs: int | None,
    image_size: int | None,
    batch: int | None,
    device: str | None,
    restart: bool,
    dry_run: bool,
    no_audit: bool,
    **options: Any,
) -> None:
    """Train on the labels of SOURCE itself, and audit it with what was learnt.

    For labels that no public model knows. The pictures are shared out to folds; pictures that look
    alike or share a track stay together. A model is trained for each fold on all the others and judges
    only the pictures it has not seen, so that none repeats the mistakes it was taught. Masks and
    polygons are learnt as boxes.

    What comes out is a run folder like that of 'cvat-audit run', with the folds, the weights and the
    predictions (COCO results) in its folder 'training'. Killed or interrupted, the same command goes on.
    """
    from audit.adapters.ultralytics.training import YoloTrainer
    from audit.adapters.ultralytics.weights import find_weights
    from audit.training import carry_out, estimate
    from audit.training_plan import Wishes, alone, prepare

    if image_size is not None and image_size % 32:
        raise click.BadParameter(f"{image_size} is not a multiple of 32", param_hint="--image-size")
    if restart and dry_run:
        raise click.UsageError("--restart deletes what was trained, so it does not go with --dry-run")
    progress = TerminalProgress()
    where = _logged_in(SourceOptions(source, **{_FIELD.get(n, n): options[n] for n in SOURCE_OPTIONS}))
    trainer = YoloTrainer(find_weights(model), device)
    with alone(out / "training"):
        with opened_store(where) as store:
            wishes = Wishes(folds, epochs, image_size, batch)
            training = prepare(store, out / "training", trainer, wishes, progress, restart=restart)
        for line in training.notes:
            progress.note(line)
        progress.note(_announcement(training, trainer.device, estimate(training, trainer)))
        if dry_run:
            return
        carry_out(training, trainer, progress)
    click.echo(f"Predictions of models that had not seen the picture: {training.predictions}")
    if not no_audit:
        audit_options = {name: options[name] for name in AUDIT_OPTIONS}
        source_options = {**{name: options[name] for name in SOURCE_OPTIONS}, "auth": where.auth}
        files = (training.predictions,)
        context.invoke(run, source=source, out=out, results=files, **source_options, **audit_options)


_FIELD = {"form": "format"}
"""What an option is called in ``SourceOptions``, where the names differ."""


def _logged_in(where: SourceOptions) -> SourceOptions:
    """With the password, if one must be asked for: now, not after hours of training."""
    if not is_address(where.source):
        return where
    credentials = credentials_from(where.auth, os.environ)
    if not credentials.needs_password or not sys.stdin.isatty():
        return where
    prompt = f"Password of {credentials.user} for {where.source}"
    return replace(where, auth=f"{credentials.user}:{click.prompt(prompt, hide_input=True, err=True)}")


def _announcement(training: Any, device: str, expected: Any) -> str:
    s, data = training.schedule, training.data
    if not expected.seconds:
        return f"all {data.folds} folds are trained; --restart trains them anew"
    what = f"{data.folds} folds of {len(data.files)} pictures, {s.epochs} epochs at {s.image_size} px on {device}"
    pace = f"{expected.per_batch:.2f} s per batch of {s.batch}" if expected.per_batch else "little is left"
    return f"{what}: about {_duration(expected.seconds)} ({pace}). Ctrl-C stops; the same command goes on."


def _duration(seconds: float) -> str:
    """For people: "40 s", "25 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
