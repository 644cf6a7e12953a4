"""cvat-audit doctor."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click


@click.command(short_help="Say what is installed, what is missing and what to do.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects, for programs.")
def doctor(as_json: bool) -> None:
    """Say what is installed, which database and folders are used and why, and what to do about what is missing.

    Exit code 3 if something that an audit needs does not work.
    """
    from audit.doctor import checks

    found = checks()
    if as_json:
        click.echo(json.dumps([asdict(c) for c in found], indent=2))
    else:
        for check in found:
            click.echo(f"{'ok     ' if check.ok else 'MISSING'} {check.name}: {check.detail}")
            if check.advice and not check.ok:
                click.echo(f"        -> {check.advice}")
    sys.exit(0 if all(c.ok for c in found) else 3)
