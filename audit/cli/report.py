"""cvat-audit report."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.options import RUN
from audit.cli.progress import TerminalProgress
from audit.errors import UsageError


@click.command(short_help="Write the HTML report of an audit again.")
@RUN
@click.option("--to", type=click.Path(path_type=Path), help="Where to; by default RUN/report.html.")
@click.option("--replace", is_flag=True, help="Write over the file of --to if it is there.")
@click.option("--gallery", type=click.IntRange(0), default=200, show_default=True, help="How many crops to show.")
def report(run: Path, to: Path | None, replace: bool, gallery: int) -> None:
    """Write the HTML report of the audit in the folder RUN: one file that opens offline."""
    from audit.report.html import write_report
    from audit.runs import RunFolder

    target = to or run / "report.html"
    if to is not None and to.exists() and not replace:
        raise UsageError(f"--to {to} is there already; give another name, or --replace")
    write_report(RunFolder.open(run), target, gallery=gallery, progress=TerminalProgress())
    click.echo(target)
