"""cvat-audit functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from audit.cli.options import pair
from audit.core.labels import listing
from audit.core.words import amount


@click.group(short_help="Models inside CVAT's own AI tools.")
def functions() -> None:
    """Put models into CVAT's own AI tools, as Nuclio functions."""


@functions.command(short_help="Make a function of your own weights.")
@click.argument("weights")
@click.option("--name", required=True, help="Id of the function in CVAT: a-z, 0-9 and '-', such as our-yolo.")
@click.option("--title", default="", help="What annotators read in CVAT's menu.  [default: the name]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="serverless",
    show_default=True,
    help="Where the folder goes.",
)
@click.option(
    "--map",
    "pairs",
    metavar="CLASS=LABEL",
    multiple=True,
    type=pair,
    help="What a class of the model is called in CVAT.  [repeatable]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Lowest confidence that is sent, where the annotator names none.",
)
@click.option(
    "--score-attribute",
    default="",
    metavar="NAME",
    help="Keep the confidence, which CVAT drops, in the label attribute of this name.",
)
@click.option("--replace", is_flag=True, help="Replace the folder if it is there.")
def render(  # noqa: PLR0913, PLR0917 - one keyword for each option
    weights: str,
    name: str,
    title: str,
    out: Path,
    pairs: tuple[tuple[str, str], ...],
    threshold: float,
    score_attribute: str,
    replace: bool,
) -> None:
    """Write a function's folder for WEIGHTS (ultralytics, .pt or .onnx) with the labels that they hold.

    It is checked for what would break CVAT's list of functions before it appears. Serve it with
    'cvat-audit functions serve DIR', or put it into Nuclio with 'scripts/deploy_functions DIR'.
    """
    from audit.serving.rendering import Rendering
    from audit.serving.rendering import render as write

    wanted = Rendering(name, title, threshold, dict(pairs), score_attribute)
    done = write(weights, wanted, out, replace=replace)
    kind = {"segment": "masks", "pose": "skeletons", "obb": "turned boxes"}.get(done.task, "boxes")
    click.echo(f"{done.folder}: {kind} for {amount(len(done.labels), 'label')}: {listing(done.labels)}", err=True)
    click.echo(f"Try it: cvat-audit functions serve {done.folder}", err=True)


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


@functions.command(short_help="Find the known troubles with functions.")
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--dashboard",
    default="http://localhost:8070",
    show_default=True,
    help="Address of Nuclio, or of 'functions serve'; '' leaves it out.",
)
@click.option("--cvat", metavar="ADDRESS", help="Ask this CVAT for its list, too, such as cvat://localhost:8080.")
@click.option("--auth", metavar="USER[:PASS]", help="User of CVAT; else CVAT_ACCESS_TOKEN, or PASS for the password.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(folders: tuple[Path, ...], dashboard: str, cvat: str | None, auth: str | None, as_json: bool) -> None:
    """Find the known troubles: bad specs, missing weights, too little memory, stale ports, a CVAT that reaches nothing.

    DIR: folders that are not deployed yet. Nothing is changed. Exit code 3 if something is wrong.
    """
    from audit.cli.doctor import tell
    from audit.serving.doctor import checks

    tell(checks(folders, dashboard, _cvat_list(cvat, auth) if cvat else None), as_json=as_json, bad="TROUBLE")


def _cvat_list(address: str, auth: str | None) -> Callable[[], list[Mapping[str, Any]]]:
    from audit.adapters.cvat.function import list_functions
    from audit.cli.sources import asked_credentials

    credentials = asked_credentials(auth, address)
    return lambda: list_functions(address, credentials=credentials)
