"""Which file belongs to which frame."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit.adapters.exports.archive import FileError, Files, safe_name, tails

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".jfif")
FOLDERS = ("", "images/", "images/default/", "data/")
"""Where the formats keep a frame that their lists name without a folder."""
ENDINGS = (".PNG", ".png", ".jpg", ".jpeg")
"""Of files whose name is listed without one, as CVAT for images lists ``frame_000012`` of a video."""


class Library:
    """The images of an export, or of the folder given with ``--images``. base: folder of the export in a zip."""

    def __init__(self, files: Files, base: str = "") -> None:
        self.files = files
        self.base = base
        self._by_base_name: dict[str, str | int] | None = None

    def any(self) -> bool:
        """Whether there is an image at all."""
        return next(self.names(), None) is not None

    def names(self) -> Iterator[str]:
        """All image files."""
        return (n for n in self.files.names() if n.lower().endswith(SUFFIXES))

    def find(self, name: str, subset: str = "") -> str:
        """The file of the frame with this name: by its path, else by its base name if only one has it.

        A path from another machine means the file that ends alike. Raises FileError when there is none or several.
        """
        try:
            clean = safe_name(name)
        except FileError as outside:
            return self._elsewhere(name, outside)
        folders = (f"images/{subset}/", f"{subset}/", *FOLDERS) if subset and safe_name(subset) else FOLDERS
        bare = clean.removeprefix("images/")
        endings = ("",) if clean.lower().endswith(SUFFIXES) else ("", *ENDINGS)
        names = (f"{self.base}{f}{n}{ending}" for ending in endings for n in (clean, bare) for f in folders)
        for candidate in dict.fromkeys(names):
            if self.files.has(candidate):
                return candidate
        return self._by_base([f"{clean.rsplit('/', 1)[-1]}{ending}" for ending in endings])

    def _elsewhere(self, name: str, outside: FileError) -> str:
        """The file within the library that ends as a path outside of it does; that path itself is never opened."""
        ends = tails(name) if "\0" not in name else []
        for candidate in (f"{self.base}{folder}{end}" for end in ends for folder in FOLDERS):
            if self.files.has(candidate):
                return candidate
        try:
            return self._by_base(ends[-1:])
        except FileError as problem:
            raise (outside if "not found" in str(problem) else problem) from None

    def forget(self) -> None:
        """Give back what was noted of the names; the next search notes it again."""
        self._by_base_name = None

    def _by_base(self, base_names: list[str]) -> str:
        if self._by_base_name is None:
            self._by_base_name = _index(self.names())
        for base_name in base_names:
            found = self._by_base_name.get(base_name)
            if isinstance(found, str) and self.files.has(found):
                return found
            if isinstance(found, int):
                raise FileError(f"{found} image files are called '{base_name}', in different folders; which is meant?")
        raise FileError(f"its image was not found in {self.files.where}")


def _index(names: Iterator[str]) -> dict[str, str | int]:
    """Base names to the one file that has it, or to how many have it."""
    index: dict[str, str | int] = {}
    for name in names:
        base = name.rsplit("/", 1)[-1]
        known = index.get(base)
        index[base] = name if known is None else 2 if isinstance(known, str) else known + 1
    return index


def video_frame_names(library: Library, numbers: range, folder: str = "images/") -> tuple[list[str], str]:
    """Names for the frames of a video, whose XML names none, and a line to tell the user ("" for none).

    CVAT calls the files of a video ``frame_000012.PNG``; those of an image task keep their names and
    come in order, which can be told only if there are as many as frames. folder: where those of this task lie, if the
    library has it.
    """
    paths = _within(library, folder)
    stems = [f"frame_{n:06d}" for n in numbers]
    files = {n.rsplit("/", 1)[-1].rsplit(".", 1)[0]: n for n in paths}
    if not files or any(stem in files for stem in stems):
        return [files[s].rsplit("/", 1)[-1] if s in files else s for s in stems], ""
    ordered = sorted(paths, key=_natural)
    if len(ordered) != len(stems):
        return stems, (
            f"the export has {len(ordered)} images for {len(stems)} frames and no names to tell which is which: "
            "no image is used"
        )
    return ordered, "the export does not name its frames: images were given to them in the order of their names"


def _within(library: Library, folder: str) -> list[str]:
    """Paths below the first of the places that has any. Images given apart may lie in any folders."""
    names = [n.removeprefix(library.base) for n in library.names()]
    in_subsets = folder != "images/" and any(n.startswith("images/") for n in names)
    places = [folder, folder.removeprefix("images/")] + ([] if in_subsets else [""])
    return next((f for p in places if (f := [n.removeprefix(p) for n in names if n.startswith(p)])), [])


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts a9 before a10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
