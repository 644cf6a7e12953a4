"""What ``prelabel`` and ``boxes2masks`` have in common on the command line."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from audit.adapters.cvat.address import is_address, parse_address
from audit.cli.options import NewFolder, frame_range
from audit.cli.progress import printable
from audit.cli.sources import SourceOptions, credentials_of

if TYPE_CHECKING:
    from audit.adapters.cvat.writer import CvatWriter
    from audit.push_ports import Line, Report, Shape
    from audit.runs import RunFolder

REASONS_SHOWN = 12
STATUSES = ("to do", "done", "already", "conflict", "failed")
_SOURCE = (
    click.argument("source", metavar="SOURCE"),
    click.option("--out", "-o", required=True, type=NewFolder(),
                 help="The run folder; 'undo' needs it."),
    click.option("--frames", type=frame_range, metavar="FIRST-LAST", help="Only these frames, such as 0-99."),
    click.option("--auth", metavar="USER[:PASS]", help="CVAT user; else CVAT_ACCESS_TOKEN. Password also from PASS."),
    click.option("--organization", "--org", metavar="SLUG", help="CVAT organization."),
    click.option("--job-stage", type=click.Choice(["annotation", "validation", "acceptance"]), help="Only such jobs."),
    click.option(
        "--job-state", type=click.Choice(["new", "in progress", "completed", "rejected"]), help="Only such jobs."
    ),
    click.option("--workers", type=click.IntRange(1, 16), default=4, show_default=True, help="Downloads at a time."),
    click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ...; by default a GPU if there is one."),
    click.option("--include-completed", is_flag=True, help="Also write to jobs that people have finished."),
    click.option("--dry-run", is_flag=True, help="Send nothing, only tell what would be sent (the default)."),
    click.option("--yes", is_flag=True, help="Really send it. Without this nothing on the server changes."),
    click.option("--json", "as_json", is_flag=True, help="A JSON object with every shape as sent, for programs."),
)  # fmt: skip


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds SOURCE and the options that say which frames of it, and how to write to it.

    The command gets ``where`` (a ``SourceOptions``) in place of those that belong to the source.
    """

    @functools.wraps(command)
    def called(source: str, workers: int, **given: Any) -> None:
        names = ("auth", "organization", "frames", "job_stage", "job_state", "form", "images")
        facts = {name: given.pop(name, None) for name in names}
        facts["format"] = facts.pop("form")
        command(where=SourceOptions(source=source, workers=workers, **facts), **given)

    for option in reversed(_SOURCE):
        called = option(called)
    return called


def logged_in(where: SourceOptions) -> SourceOptions:
    """With the password in it, so that whoever must type it does so once. An export on disk stays as it is."""
    if not is_address(where.source):
        return where
    parse_address(where.source)  # a wrong address must be told before a password is asked for
    known = credentials_of(where)
    return where if known.token else replace(where, auth=f"{known.user}:{known.password}")


@contextmanager
def opened_target(where: SourceOptions) -> Iterator[CvatWriter]:
    """The server that SOURCE names, to write to; closed afterwards."""
    from audit.adapters.cvat.writer import CvatWriter

    target = CvatWriter(where.source, credentials_of(where))
    try:
        yield target
    finally:
        target.close()


def box_of(shape: Shape) -> tuple[float, float, float, float]:
    """The box around a shape as CVAT stores it."""
    from audit.adapters.cvat.geometry import NO_BOX, ShapeError, geometry

    try:
        return geometry(shape, (0, 0)).xyxy
    except ShapeError:
        return NO_BOX


def tell(
    run: RunFolder,
    report: Report,
    labels: Mapping[str, str],
    *,
    execute: bool,
    as_json: bool,
    facts: Mapping[str, Any],
) -> None:
    """Counts by label and by reason, or with ``as_json`` everything. labels: by the key of a line.

    facts: counts of frames and the like, by what they are counts of.
    """
    from audit import journal

    if as_json:
        click.echo(json.dumps(_body(run, report, labels, execute, facts), ensure_ascii=False, indent=2))
        return
    for note in report.notes:
        click.echo(printable(note), err=True)
    for what, n in facts.items():
        click.echo(f"  {n:>7}  {what}")
    _by_label(report.lines, labels)
    _by_reason(report.lines)
    if not execute and report.count("to do"):
        click.echo("Nothing was sent. Send it with --yes.")
    elif execute and is_address(run.manifest["source"]) and journal.read(run.path).requests:
        click.echo(f"Take it back: cvat-audit undo {run.path} --yes")


def _body(
    run: RunFolder, report: Report, labels: Mapping[str, str], execute: bool, facts: Mapping[str, Any]
) -> dict[str, Any]:
    from audit.run_rows import without_labels

    view = without_labels(run)
    links = [view.frame_link(line.frame) if line.frame >= 0 else "" for line in report.lines]
    rows = [
        {**asdict(line), "label": _label(line, labels), "link": link or None}
        for line, link in zip(report.lines, links, strict=True)
    ]
    counts = {s: report.count(s) for s in STATUSES if report.count(s)}
    return {"sent": execute, "counts": counts, "frames": dict(facts), "changes": rows, "notes": report.notes}


def _by_label(lines: list[Line], labels: Mapping[str, str]) -> None:
    """A table: what happens to how many shapes of each label."""
    cells: Counter[tuple[str, str]] = Counter((_label(line, labels), _column(line)) for line in lines)
    columns = list(dict.fromkeys(column for _, column in sorted(cells, key=lambda cell: _rank(cell[1]))))
    names = sorted({name for name, _ in cells}, key=lambda name: (-sum(cells[name, c] for c in columns), name))
    if not cells:
        click.echo("Nothing to do.")
        return
    wide = max(map(len, [*names, "label"]))
    click.echo(f"  {'label':<{wide}}" + "".join(f"{column:>{len(column) + 3}}" for column in columns))
    for name in names:
        counts = "".join(f"{cells[name, column]:>{len(column) + 3}}" for column in columns)
        click.echo(printable(f"  {name:<{wide}}{counts}"))
    if len(names) > 1:
        sums = ((column, sum(cells[name, column] for name in names)) for column in columns)
        click.echo(f"  {'':<{wide}}" + "".join(f"{n:>{len(column) + 3}}" for column, n in sums))


def _column(line: Line) -> str:
    return f"{line.action} {line.status}"


def _rank(column: str) -> tuple[int, str]:
    status = next(i for i, s in enumerate(STATUSES) if column.endswith(s))
    return status, column


def _label(line: Line, labels: Mapping[str, str]) -> str:
    return next((labels[key] for key in line.findings if key in labels), "(earlier)")


def _by_reason(lines: list[Line]) -> None:
    reasons = Counter((line.status, _general(line)) for line in lines if line.reason)
    for (status, reason), n in reasons.most_common(REASONS_SHOWN):
        click.echo(printable(f"  {status} {n} x {reason}"))
    if len(reasons) > REASONS_SHOWN:
        click.echo(f"  and {len(reasons) - REASONS_SHOWN} other reasons; --json tells all")


def _general(line: Line) -> str:
    """The reason without the shape's own numbers, so that like is counted with like."""
    plain, longer = line.reason, ""
    while plain != longer:  # brackets in brackets
        longer, plain = plain, re.sub(r"\s*\([^()]*\)", "", plain)
    return re.sub(r"\b\d+(\.\d+)?\b", "N", plain)
