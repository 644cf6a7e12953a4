"""cvat-audit functions."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(short_help="Models inside CVAT's own AI tools.")
def functions() -> None:
    """Put models into CVAT's own AI tools, as Nuclio functions."""


@functions.command(short_help="Serve functions to CVAT from this machine, without Docker.")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8070, show_default=True, help="Where CVAT looks for Nuclio."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Any but this machine's own opens the models to the network, without a login.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Worker processes of each function, each with its own model."
)
def serve(folders: tuple[Path, ...], port: int, host: str, workers: int | None) -> None:
    """Serve the functions in the folders DIR to a CVAT, in Nuclio's stead. Ends with Ctrl-C.

    Each DIR holds a function.yaml, such as serverless/yolo. CVAT finds them on --port; health is at
    /__internal/health, figures for Prometheus at /metrics.
    """
    from audit.serving.host.serve import serve as serve_functions

    serve_functions(folders, port=port, host=host, workers=workers, say=lambda line: click.echo(line, err=True))
