"""Which format a path holds, told from the files' content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.adapters.exports.archive import Files
from audit.adapters.exports.jsonstream import top_level_keys
from audit.adapters.exports.xmlstream import first_child
from audit.adapters.exports.yolo import load_yaml
from audit.errors import UsageError

FORMATS = ("cvat-images", "cvat-video", "coco", "datumaro", "yolo")
MAX_CANDIDATES = 200
"""A folder with more files of one kind than this is no export but a heap."""

LOOKED_FOR = (
    "an .xml with <annotations> (cvat-images, cvat-video), a .json with images and annotations (coco) "
    "or with items and categories (datumaro), a data.yaml with names (yolo)"
)


@dataclass(frozen=True)
class Found:
    """format: one of ``FORMATS``. members: its annotation files. base: the folder they stand in, "" or "x/"."""

    format: str
    members: tuple[str, ...]
    base: str


def recognise(files: Files, *, format: str | None = None, member: str | None = None) -> Found:
    """Find the annotation files. member: the only file to look at.

    Raises UsageError, with what was looked for and found, if there is no format, or more than one.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"--format {format}: expected one of {', '.join(FORMATS)}")
    candidates = [member] if member else _candidates(files)
    kinds, reasons = _sniffed(files, candidates)
    if format:
        wanted = _as_asked(format, kinds)
        if not wanted:
            raise _nothing(files, candidates, reasons, f"--format {format}")
        return _found(files, format, wanted)
    formats = sorted({kind for kind in kinds.values() if kind})
    if len(formats) > 1:
        raise UsageError(f"{files.where}: holds {' and '.join(formats)} at once; say which with --format")
    if not formats:
        raise _nothing(files, candidates, reasons, "an export")
    return _found(files, formats[0], [name for name, kind in kinds.items() if kind == formats[0]])


def _candidates(files: Files) -> list[str]:
    suffixes = (".xml", ".json", ".yaml", ".yml")
    names = [n for n in files.names() if n.lower().endswith(suffixes) and "__MACOSX/" not in n and n.count("/") <= 3]
    names.sort(key=lambda n: (n.count("/"), n))
    return names[:MAX_CANDIDATES]


def _sniffed(files: Files, candidates: list[str]) -> tuple[dict[str, str], list[str]]:
    """The format of each candidate, "" for none, and why a file was not understood."""
    kinds, reasons = {}, []
    for name in candidates:
        sniff = next(s for suffix, s in SNIFFERS.items() if name.lower().endswith(suffix))
        try:
            kinds[name] = sniff(files, name)
        except UsageError as error:
            reasons.append(str(error))
    return kinds, reasons


def _xml(files: Files, name: str) -> str:
    tag, mode = first_child(files, name, ("image", "track"))
    return "cvat-video" if tag == "track" or (not tag and mode == "interpolation") else "cvat-images"


def _json(files: Files, name: str) -> str:
    keys = set()
    for key in top_level_keys(files, name):
        keys.add(key)
        if key == "items":
            return "datumaro"
        if {"images", "annotations"} <= keys or {"images", "categories"} <= keys:
            return "coco"
    return ""


def _yaml(files: Files, name: str) -> str:
    return "yolo" if "names" in load_yaml(files, name) else ""


SNIFFERS: dict[str, Callable[[Files, str], str]] = {".xml": _xml, ".json": _json, ".yaml": _yaml, ".yml": _yaml}


def _as_asked(wanted: str, kinds: dict[str, str]) -> list[str]:
    """Files of the format the user names; between the two of CVAT the user knows better."""
    same = ("cvat-images", "cvat-video") if wanted.startswith("cvat-") else (wanted,)
    return [name for name, kind in kinds.items() if kind in same]


def _found(files: Files, kind: str, names: list[str]) -> Found:
    members = tuple(_chosen(files, kind, names))
    folder = members[0].rsplit("/", 1)[0] if "/" in members[0] else ""
    if kind in ("coco", "datumaro") and folder.rsplit("/", 1)[-1] == "annotations":
        folder = folder.removesuffix("annotations").rstrip("/")
    return Found(kind, members, folder + "/" if folder else "")


def _chosen(files: Files, kind: str, names: list[str]) -> list[str]:
    """The files to read of those that have the format. Raises UsageError if they are rivals."""
    bases = {name: Path(name).name for name in names}
    for test in (
        lambda base: base.startswith("instances_") or base.endswith("_annotations.coco.json"),
        lambda base: base.startswith("person_keypoints_"),
        lambda base: base in ("annotations.xml", "data.yaml", "annotations.json"),
    ):
        preferred = [name for name in names if test(bases[name])]
        if preferred and (kind in ("coco", "datumaro") or len(preferred) == 1):
            return preferred
    folders = {str(Path(name).parent) for name in names}
    if len(names) == 1 or (kind == "datumaro" and len(folders) == 1):
        return names
    shown = ", ".join(names[:8])
    raise UsageError(f"{files.where}: {len(names)} files look like {kind} ({shown}); give the path of the one to audit")


def _nothing(files: Files, candidates: list[str], reasons: list[str], what: str) -> UsageError:
    if len(reasons) == 1 and len(candidates) == 1:
        return UsageError(reasons[0])
    seen = f"found {', '.join(candidates[:8])}" if candidates else "found no .xml, .json or .yaml file"
    why = f"; {'; '.join(reasons[:3])}" if reasons else ""
    names = ", ".join(FORMATS)
    return UsageError(f"{files.where}: is not {what}: looked for {LOOKED_FOR}; {seen}{why}. --format takes {names}")
