"""From weights to a function's folder that CVAT can list: ``cvat-audit functions render``."""

from __future__ import annotations

import json
import os
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import audit
from audit.adapters.digests import file_sha256
from audit.adapters.ultralytics.weights import find_weights
from audit.core.labels import listing
from audit.errors import ServiceError, UsageError
from audit.serving.detecting import open_function
from audit.serving.host.config import read_function
from audit.serving.specs import spec_text
from audit.serving.swap import swap

SHIPPED = "share/cvat-audit/serverless"
"""Where an installed package keeps the folders that lie beside it in the repository."""
FILES = ("function.yaml", "function-gpu.yaml")
CODE = ("main.py", "model_handler.py")
MADE_BY = "# made by: cvat-audit functions render"
"""First line of what this command writes; a folder whose function.yaml lacks it is somebody's own."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Rendering:
    """What a function is to be. name: its id in CVAT; title: what annotators read, "" for the name.

    names: what to call the weights' classes in CVAT, where that differs. score_attribute: a label attribute
    that keeps the confidence, "" for none. threshold: in [0, 1].
    """

    name: str
    title: str = ""
    threshold: float = 0.25
    names: Mapping[str, str] = field(default_factory=dict)
    score_attribute: str = ""


@dataclass(frozen=True)
class Rendered:
    """What was written. labels: as CVAT will list them."""

    folder: Path
    weights: Path
    task: str
    labels: tuple[str, ...]


def render(weights: str, wanted: Rendering, out: Path, *, replace: bool = False) -> Rendered:
    """Write the folder ``out / name`` with the weights, both YAML files and the code; checked before it appears.

    weights: a path, or a name that ``find_weights`` knows. replace: take the place of a folder that this made
    earlier, which stays as it was until the new one is complete. Raises UsageError if they are no YOLO model, a name
    cannot be used, or a folder is there already that is not to be replaced; ServiceError if it cannot be written.
    """
    if not _NAME.fullmatch(wanted.name):
        raise UsageError(f"--name {wanted.name}: expected up to 63 of a-z, 0-9 and '-', such as our-yolo")
    folder = out / wanted.name
    _check_free(folder, replace=replace)
    path = find_weights(weights)
    function = open_function(path, names=wanted.names, score_attribute=wanted.score_attribute)
    spec = function.spec
    kept = f"{path.stem}-{file_sha256(path)[:8]}{path.suffix}"  # no other file can be meant by this name
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{wanted.name}.", ignore_cleanup_errors=True) as begun:
            made = Path(begun) / wanted.name
            shutil.copytree(_template(), made, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copyfile(path, made / kept)
            for name in FILES:
                _rewrite(made / name, wanted, spec, kept)
                _checked(made / name)
            _check_free(folder, replace=replace)  # the model took its time to load
            if folder.exists():
                swap(made, folder)
            else:
                made.rename(folder)
    except OSError as error:
        raise ServiceError(f"cannot write {folder}: {error.strerror or error}") from error
    return Rendered(folder, folder / kept, function.task, tuple(label["name"] for label in spec))


def _check_free(folder: Path, *, replace: bool) -> None:
    """Raises UsageError if something stands there, unless it is ours and to be replaced."""
    if not os.path.lexists(folder):
        return
    if not replace:
        raise UsageError(f"{folder} exists; give another --name or --out, or --replace")
    if not _made_here(folder):
        raise UsageError(
            f"{folder} was not made by 'cvat-audit functions render' (no function.yaml of its making in it), so "
            "--replace leaves it alone; give another --name or --out"
        )


def _made_here(folder: Path) -> bool:
    """Whether it is a folder that this command wrote. What is only linked to belongs elsewhere."""
    marked = folder / FILES[0]
    if folder.is_symlink() or marked.is_symlink() or not marked.is_file():
        return False
    with marked.open("rb") as stream:
        return stream.readline(200).rstrip() == MADE_BY.encode()


def _template() -> Path:
    beside = Path(audit.__file__).parents[1] / "serverless" / "yolo"
    shipped = Path(sysconfig.get_path("data")) / SHIPPED / "yolo"
    for folder in (beside, shipped):
        if all((folder / name).is_file() for name in (*FILES, *CODE)):
            return folder
    raise ServiceError(
        f"this installation lacks the function it renders from (looked in {listing([str(beside), str(shipped)])})"
    )


def _rewrite(path: Path, wanted: Rendering, spec: list[dict[str, Any]], weights: str) -> None:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    gpu = path.name == "function-gpu.yaml"
    metadata, build = raw["metadata"], raw["spec"]["build"]
    metadata["name"] = wanted.name
    metadata["annotations"] |= {"name": wanted.title or wanted.name, "spec": _Block(_lines(spec))}
    build["image"] = f"cvat-audit-{wanted.name}{'-gpu' if gpu else ''}"
    values = {
        "YOLO_MODEL": weights,
        "YOLO_THRESHOLD": f"{wanted.threshold:g}",
        "YOLO_LABELS": json.dumps(dict(wanted.names), ensure_ascii=False) if wanted.names else "",
        "SCORE_ATTRIBUTE": wanted.score_attribute,
    }
    others = [e for e in raw["spec"]["env"] if e["name"] not in values]
    raw["spec"]["env"] = [{"name": n, "value": v} for n, v in values.items() if v] + others
    text = yaml.dump(raw, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    path.write_text(f"{MADE_BY}\n{text}", encoding="utf-8")


def _checked(path: Path) -> None:
    """Raises UsageError for what would break CVAT's list; it names the label, not a file that is about to vanish."""
    try:
        read_function(path)
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"{path}: ")) from None


def _lines(spec: list[dict[str, Any]]) -> str:
    """The labels one to a line, for whoever reads the file."""
    rows = ",\n".join("  " + spec_text([row])[1:-1] for row in spec)
    return f"[\n{rows}\n]\n"


class _Block(str):
    """Text that YAML shall keep as it stands."""


class _Dumper(yaml.SafeDumper):
    """Writes ``_Block`` as a block."""


_Dumper.add_representer(_Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))
