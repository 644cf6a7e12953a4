"""Exports on disk: CVAT for images and for video 1.1, COCO, Datumaro, Ultralytics YOLO; zip or folder."""

from __future__ import annotations

from pathlib import Path

from audit.adapters.exports.archive import Files, open_files, readable
from audit.adapters.exports.recognise import FORMATS, recognise
from audit.adapters.exports.store import ExportStore
from audit.adapters.pictures import ImageCache
from audit.errors import UsageError

__all__ = ["FORMATS", "ExportStore", "open_store"]

ANNOTATION_SUFFIXES = (".xml", ".json", ".yaml", ".yml")


def open_store(
    path: Path,
    *,
    format: str | None = None,
    images: Path | None = None,
    frames: range | None = None,
    cache: ImageCache,
) -> ExportStore:
    """An export as an ``AnnotationStore``.

    path: a zip, a folder, or the annotation file itself (.xml, .json, data.yaml).
    format: one of ``FORMATS``, told from the content if left out. images: folder or zip of the images
    where they lie elsewhere. frames: only those whose ``Frames.number`` is in it. cache: keeps the
    bytes of images that come out of a zip. Raises UsageError for what is no export or cannot be read.
    """
    files, member = _opened(path)
    try:
        found = recognise(files, format=format, member=member)
        elsewhere = open_files(images) if images is not None else None
    except UsageError:
        files.close()
        raise
    return ExportStore(str(path), files, found, elsewhere, cache=cache, frames=frames)


def _opened(path: Path) -> tuple[Files, str | None]:
    """The files around ``path`` and, where it is an annotation file itself, which one it is."""
    if path.suffix.lower() not in ANNOTATION_SUFFIXES or path.is_dir():
        return open_files(path), None
    with readable(str(path)):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        if path.stat().st_size == 0:
            raise UsageError(f"{path}: is empty (0 bytes); copy or export it again")
    # COCO and Datumaro keep it in a folder of its own beside that of the images
    root = path.absolute().parent
    root = root.parent if root.name == "annotations" else root
    yaml = path.suffix.lower() in (".yaml", ".yml")
    return open_files(root, narrow=not yaml), path.absolute().relative_to(root).as_posix()
