"""cvat-audit boxes2masks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.adapters.cvat.address import is_address
from audit.cli.annotating import box_of, logged_in, opened_target, source_options, tell
from audit.cli.progress import TerminalProgress, note_problems
from audit.cli.push import decided, leave
from audit.cli.sources import SourceOptions, opened_store
from audit.errors import UsageError

if TYPE_CHECKING:
    from audit.annotating.boxes2masks import Found
    from audit.loop.masks_of_boxes import Wanted

PREVIEW = "preview.html"


@click.command(short_help="Turn rectangles into masks, polygons or tight boxes with SAM.")
@source_options
@click.option("--sam", required=True, metavar="WEIGHTS",
              help="Weights of SAM, MobileSAM, SAM 2 or LiteMedSAM, or lite_medsam.")  # fmt: skip
@click.option("--as", "kind", type=click.Choice(["mask", "polygon", "box"]), default="mask", show_default=True,
              help="What becomes of a rectangle; box: it is drawn tighter.")  # fmt: skip
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="Only rectangles of this label; repeatable.")
@click.option("--replace", "replace_boxes", is_flag=True, help="Delete each rectangle whose mask stands.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="SAM's own estimate of a mask; those below are left alone.")  # fmt: skip
@click.option("--min-overlap", type=click.FloatRange(0, 1), default=0.6, show_default=True,
              help="IoU of the mask's box with the rectangle.")  # fmt: skip
@click.option("--min-inside", type=click.FloatRange(0, 1), default=0.8, show_default=True,
              help="Share of the mask that lies in the rectangle.")  # fmt: skip
def boxes2masks(  # noqa: PLR0913 - one parameter per option
    *,
    where: SourceOptions,
    out: Path,
    sam: str,
    kind: str,
    labels: tuple[str, ...],
    replace_boxes: bool,
    min_score: float,
    min_overlap: float,
    min_inside: float,
    device: str | None,
    include_completed: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give every rectangle in SOURCE (cvat://HOST/tasks/42) the mask that SAM sees in it.

    Look at OUT/preview.html first: without --yes nothing is sent. A mask takes over its rectangle's label,
    attributes, group and layer. Rectangles stay beside their masks unless --replace is given; --as box changes
    the rectangles themselves and so needs it. Poor masks are left alone and listed. A polygon follows the
    largest part of the mask with at most 200 points; holes and other parts that it leaves out are told.

    The same command goes on where it was stopped, and does nothing for rectangles that are done.

    Exit codes: 0 all done, 1 something was left alone, 2 wrong use, 3 a service failed.
    """
    from audit.loop.masks_of_boxes import Limits, Wanted

    execute = decided(dry_run, yes)
    if not is_address(where.source):
        raise UsageError(f"boxes2masks works on a CVAT server (cvat://HOST/tasks/42), not on the export {where.source}")
    if execute and kind == "box" and not replace_boxes:
        raise UsageError("--as box changes the rectangles themselves: say --replace too, or look at it without --yes")
    progress, where = TerminalProgress(), logged_in(where)
    wanted = Wanted(kind, labels, Limits(min_score, min_overlap, min_inside))
    found = _found(where, out, sam, device, wanted, progress)
    _preview(found, progress)
    _send(found, where, replace_boxes, execute, include_completed, as_json, progress)


def _found(
    where: SourceOptions,
    out: Path,
    sam: str,
    device: str | None,
    wanted: Wanted,
    progress: TerminalProgress,
) -> Found:
    from audit.adapters.folders import cache_dir
    from audit.adapters.prediction_cache import PredictionCache
    from audit.annotating.boxes2masks import find
    from audit.serving.box_prompts import BoxSegmenter, open_segmenter

    def opened() -> BoxSegmenter:
        segmenter = open_segmenter(sam, device=device)
        for line in segmenter.notes:
            progress.note(line)
        return segmenter

    with opened_store(where) as store, closing(PredictionCache(cache_dir("predictions"))) as cache:
        found = find(store, opened, out, wanted=wanted, cache=cache, progress=progress)
    note_problems(progress, found.snapshot.problems, out)
    return found


def _preview(found: Found, progress: TerminalProgress) -> None:
    from audit.report.box_preview import write_preview

    path = found.run.path / PREVIEW
    write_preview(
        path,
        found.snapshot,
        found.masks,
        kind=found.wanted.kind,
        model=found.run.models[0],
        outline=found.outline,
        progress=progress,
    )
    progress.note(f"Preview: {path}")


def _send(
    found: Found,
    where: SourceOptions,
    replace_boxes: bool,
    execute: bool,
    include_completed: bool,
    as_json: bool,
    progress: TerminalProgress,
) -> None:
    from audit.annotating.boxes2masks import send

    with opened_target(where) as target:
        report, names = send(
            found,
            target,
            box_of,
            replace_boxes=replace_boxes,
            execute=execute,
            include_completed=include_completed,
            progress=progress,
        )
    facts = {
        "rectangles": len(found.masks),
        "with a good mask": sum(not m.poor for m in found.masks),
        "with a poor one": sum(bool(m.poor) for m in found.masks),
    }
    tell(found.run, report, names, execute=execute, as_json=as_json, facts=facts)
    leave(report, "boxes2masks")
