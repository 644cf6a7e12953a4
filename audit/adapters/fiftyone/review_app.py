"""The review in the FiftyOne App: our panel among the user's own plugins, one server for each reviewer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote, urlsplit

from audit.adapters.fiftyone import app
from audit.adapters.fiftyone.review_process import SETTINGS
from audit.adapters.folders import state_dir
from audit.errors import ServiceError
from audit.ports import Progress
from audit.review import ALONE, Plan, checked_name
from audit.runs import RunFolder

PLUGIN = Path(__file__).with_name("plugin")
PLUGIN_LINK = "cvat-audit-review"
PLUGINS_DIR = "FIFTYONE_PLUGINS_DIR"
PANEL = "cvat_audit_review"
"""Name of the panel, as in the plugin's script."""

WORKSPACE = "Review"
PROCESS = "audit.adapters.fiftyone.review_process"


@contextmanager
def review_server(
    run: RunFolder,
    reviewer: str,
    dataset_name: str,
    *,
    plan: Plan = ALONE,
    port: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, Popen[bytes]]]:
    """A running App with the review open; gives its address and process. Must run inside ``database()``.

    dataset_name: what ``import_run`` gave for this run. progress: see ``app_server``.
    Raises as ``app_server``, UsageError for an unusable name.
    """
    settings = {"run": str(run.path.resolve()), "reviewer": checked_name(reviewer)}
    told = json.dumps({**settings, "overlap": plan.overlap, "checks": plan.checks, "blind": plan.blind})
    _save_workspace(dataset_name)
    variables = {SETTINGS: told, PLUGINS_DIR: str(plugins_dir())}
    with (
        _variables(variables),
        app.app_server(dataset_name, port=port, module=PROCESS, progress=progress) as (url, process),
    ):
        place = f"datasets/{quote(dataset_name, safe='')}?workspace={WORKSPACE.lower()}"
        yield f"http://{urlsplit(url).netloc}/{place}", process


def serve_review(
    run: RunFolder,
    reviewer: str,
    dataset_name: str,
    *,
    plan: Plan = ALONE,
    port: int | None = None,
    open_browser: bool = True,
    progress: Progress,
) -> None:
    """Review until Ctrl-C or SIGTERM. The address is told through ``progress``."""
    with review_server(run, reviewer, dataset_name, plan=plan, port=port, progress=progress) as (url, process):
        told = f"Review by {reviewer}: {url} (this machine only; end with Ctrl-C)"
        app.wait(url, process, told, open_browser=open_browser, progress=progress)


def plugins_dir() -> Path:
    """A folder with links to the user's own plugins and to ours, brought up to date.

    FiftyOne knows one plugins folder only. A plugin of the user's with our name gives way.
    """
    import fiftyone as fo

    folder = state_dir("fiftyone") / "plugins"
    folder.mkdir(exist_ok=True)
    own = Path(os.environ.get(PLUGINS_DIR) or fo.config.plugins_dir)
    wanted = {p.name: p.resolve() for p in own.iterdir() if p.is_dir()} if own.is_dir() else {}
    wanted[PLUGIN_LINK] = PLUGIN
    try:
        for link in folder.iterdir():
            if link.is_symlink() and link.name not in wanted:
                link.unlink(missing_ok=True)
        for name, target in wanted.items():
            _link(folder / name, target)
    except OSError as error:
        raise ServiceError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def _link(link: Path, target: Path) -> None:
    """Replaced in one step: another reviewer's App may be reading it."""
    if link.is_symlink() and link.readlink() == target:
        return
    begun = link.with_name(f".{link.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        begun.unlink()
    begun.symlink_to(target, target_is_directory=True)
    begun.replace(link)


def _save_workspace(dataset_name: str) -> None:
    """A workspace with nothing but our panel, by which the App opens on the review."""
    import fiftyone as fo

    dataset: Any = fo.load_dataset(dataset_name)
    space = fo.Space(children=[fo.Panel(type=PANEL, pinned=True)], orientation="horizontal")
    told = "One question after another, by keyboard"
    dataset.save_workspace(WORKSPACE, space, description=told, overwrite=True)


@contextmanager
def _variables(wanted: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
