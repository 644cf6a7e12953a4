"""cvat-audit app."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.options import KEEP_DATABASE, RUN
from audit.cli.progress import TerminalProgress


@click.command(short_help="Open the FiftyOne App on an audit.")
@RUN
@click.option("--port", type=click.IntRange(1024, 65535), help="Port of the App; by default the first free one.")
@click.option("--no-browser", is_flag=True, help="Only serve; print the address instead of opening it.")
@KEEP_DATABASE
def app(run: Path, port: int | None, no_browser: bool, keep_database: bool) -> None:
    """Open the FiftyOne App on the audit in the folder RUN. Ends with Ctrl-C.

    It listens on this machine only: the App has no login.
    """
    from audit.adapters.fiftyone.app import serve_app
    from audit.adapters.fiftyone.board import import_run
    from audit.adapters.fiftyone.database import database
    from audit.runs import RunFolder

    progress = TerminalProgress()
    opened = RunFolder.open(run)
    with database(progress, keep_running=keep_database):
        name = import_run(opened, progress=progress)
        serve_app(name, port=port, open_browser=not no_browser, progress=progress)
