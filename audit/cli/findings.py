"""cvat-audit findings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import RUN, finding_type, share
from audit.core.findings import FindingType

if TYPE_CHECKING:
    from audit.report.rows import FindingRows

TABLE_ROWS = 50
"""Rows a table shows unless told otherwise; JSON and CSV give all."""
BAR_STEP = 500
"""Rows after which the bar moves: a tenth of a second."""


@click.command(short_help="List what an audit found, worst first.")
@RUN
@click.option(
    "--type", "types", type=finding_type, metavar="TYPE", multiple=True, help="Only this type; may be repeated."
)
@click.option("--label", "labels", multiple=True, help="Only this label (existing or suggested); may be repeated.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Only findings with at least this score.")
@click.option("--precision", type=share, metavar="SHARE",
              help="The longest list of which this share is expected to be real, such as 90%.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help=f"At most this many (a table shows {TABLE_ROWS} by default).")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects, for programs.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, for spreadsheets.")
def findings(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: Path,
    types: tuple[FindingType, ...],
    labels: tuple[str, ...],
    min_score: float,
    precision: float | None,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List what the audit in the folder RUN found, worst first: as a table, JSON or CSV.

    With --precision it is sorted by p_error, the chance to be real: the score, corrected by the verdicts
    given so far, and 1 or 0 where a finding was accepted or rejected.
    """
    from audit.errors import UsageError
    from audit.report.rows import iter_finding_rows
    from audit.report.text import write_csv, write_json, write_table
    from audit.runs import RunFolder

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    opened = RunFolder.open(run)
    most = limit if as_json or as_csv else None
    rows = iter_finding_rows(opened, types=types, labels=labels, min_score=min_score, precision=precision, limit=most)
    if as_json:
        write_json(_with_bar(rows), sys.stdout)
    elif as_csv:
        write_csv(_with_bar(rows), sys.stdout)
    else:
        write_table(rows, sys.stdout, limit=limit or TABLE_ROWS)


def _with_bar(rows: FindingRows) -> Iterable[dict[str, Any]]:
    """The rows, with a bar for whoever waits for a file or a pipe to fill; beside rows on the terminal it would be in
    their way."""
    return _advancing(rows) if sys.stderr.isatty() and not sys.stdout.isatty() else rows


def _advancing(rows: FindingRows) -> Iterator[dict[str, Any]]:
    from audit.cli.progress import TerminalProgress

    with TerminalProgress().task("Findings", len(rows)) as advance:
        for number, row in enumerate(rows, 1):
            yield row
            if number % BAR_STEP == 0:
                advance(BAR_STEP)
        advance(len(rows) % BAR_STEP)
