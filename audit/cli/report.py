"""cvat-audit report."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.options import RUN
from audit.cli.progress import TerminalProgress


@click.command(short_help="Write the HTML report of an audit again.")
@RUN
@click.option("--to", type=click.Path(path_type=Path), help="Where to; by default RUN/report.html.")
@click.option("--gallery", type=click.IntRange(0), default=200, show_default=True, help="How many crops to show.")
def report(run: Path, to: Path | None, gallery: int) -> None:
    """Write the HTML report of the audit in the folder RUN: one file that opens offline."""
    from audit.report.html import write_report
    from audit.runs import RunFolder

    target = to or run / "report.html"
    write_report(RunFolder.open(run), target, gallery=gallery, progress=TerminalProgress())
    click.echo(target)
