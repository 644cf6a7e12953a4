"""``python -m audit.demo``: write the demo's export, and judge a run on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO

import click

from audit.demo.export import planted, write_export
from audit.demo.judge import judge, lines
from audit.errors import AuditError


@click.group()
def main() -> None:
    """The demo's data: real photographs with known mistakes in their labels."""


@main.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def export(path: Path) -> None:
    """Write the export (a zip, "CVAT for images 1.1") to PATH."""
    write_export(path)
    click.echo(f"{path}: {len(planted())} mistakes planted", err=True)


@main.command("judge")
@click.argument("findings", type=click.File(encoding="utf-8"))
def judge_command(findings: IO[str]) -> None:
    """Say what became of each planted mistake. FINDINGS: what 'cvat-audit findings RUN --json' printed."""
    rows = json.load(findings)
    click.echo("\n".join(lines(judge(planted(), rows), rows)))


if __name__ == "__main__":
    try:
        main()
    except AuditError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
