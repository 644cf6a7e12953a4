"""cvat-audit findings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audit.cli.options import RUN, finding_type
from audit.core.findings import FindingType

TABLE_ROWS = 50
"""Rows a table shows unless told otherwise; JSON and CSV give all."""


@click.command(short_help="List what an audit found, worst first.")
@RUN
@click.option(
    "--type", "types", type=finding_type, metavar="TYPE", multiple=True, help="Only this type; may be repeated."
)
@click.option("--label", "labels", multiple=True, help="Only this label (existing or suggested); may be repeated.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Only findings with at least this score.")
@click.option("--precision", type=click.FloatRange(0, 1), metavar="SHARE",
              help="The longest list of which this share is expected to be real, such as 0.9.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help=f"At most this many (a table shows {TABLE_ROWS} by default).")
@click.option("--json", "form", flag_value="json", help="A JSON list of objects, for programs.")
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values, for spreadsheets.")
def findings(
    run: Path,
    types: tuple[FindingType, ...],
    labels: tuple[str, ...],
    min_score: float,
    precision: float | None,
    limit: int | None,
    form: str | None,
) -> None:
    """List what the audit in the folder RUN found, worst first: as a table, JSON or CSV.

    With --precision it is sorted by p_error, the chance to be real: the score, corrected by the verdicts
    given so far, and 1 or 0 where a finding was accepted or rejected.
    """
    from audit.report.rows import iter_finding_rows
    from audit.report.text import write_csv, write_json, write_table
    from audit.runs import RunFolder

    opened = RunFolder.open(run)
    most = limit if form else None
    rows = iter_finding_rows(opened, types=types, labels=labels, min_score=min_score, precision=precision, limit=most)
    if form == "json":
        write_json(rows, sys.stdout)
    elif form == "csv":
        write_csv(rows, sys.stdout)
    else:
        write_table(rows, sys.stdout, limit=limit or TABLE_ROWS)
