"""cvat-audit stop-database."""

from __future__ import annotations

import click


@click.command("stop-database", short_help="End the FiftyOne database that --keep-database left running.")
def stop_database() -> None:
    """End the FiftyOne database that --keep-database left running. Does nothing if none runs."""
    from audit.adapters.fiftyone.database import stop_database as stop

    click.echo("The database has been stopped." if stop() else "No database of cvat-audit is running.")
