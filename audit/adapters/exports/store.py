"""An export on disk as an ``AnnotationStore``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audit.adapters.exports import coco, cvat_images, cvat_video, datumaro, yolo
from audit.adapters.exports.archive import FileError, Files
from audit.adapters.exports.images import Library, video_frame_names
from audit.adapters.exports.reading import Reading
from audit.adapters.exports.recognise import Found
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Snapshot
from audit.core.texts import Texts
from audit.errors import UsageError
from audit.ports import Advance, FrameImage, FrameProblem, Progress, TakeAnnotations


class ExportStore:
    """Reads one export. Build it with ``open_store``."""

    def __init__(
        self,
        source: str,
        files: Files,
        found: Found,
        images: Files | None,
        *,
        cache: ImageCache,
        frames: range | None = None,
    ) -> None:
        self.format = found.format
        self._source = source
        self._files = files
        self._found = found
        self._library = Library(files, found.base) if images is None else Library(images)
        self._cache = cache
        self._subsets = Texts()
        self._frames = frames

    def snapshot(self, progress: Progress, take: TakeAnnotations | None = None) -> Snapshot:
        """Labels, frames and annotations. Raises UsageError for a file that cannot be used as a whole."""
        reading = Reading(self._frames, take)
        with progress.task("Reading annotations", None) as advance:
            self._read(reading, advance)
        if self._frames is not None and not len(reading.frames):
            wanted = f"{self._frames.start} to {self._frames.stop - 1}"
            raise UsageError(f"{self._source}: has no frame in the range asked for, {wanted}")
        self._subsets = reading.frames.subsets
        # a run is looked at, pushed and made again from other folders, too
        snapshot = reading.snapshot(os.path.abspath(self._source))  # noqa: PTH100  links stay as the user named them
        return replace(snapshot, notes=(*snapshot.notes, *_repeated_ids(reading.shapes.single_ids)))

    def has_images(self) -> bool:
        """False for an export of annotations only."""
        return self._library.any()

    def images(self, snapshot: Snapshot, frames: Sequence[int]) -> Iterator[FrameImage | FrameProblem]:
        """Bytes as they lie on disk or in the zip; whether they are a picture is for the decoder to say."""
        for frame in frames:
            try:
                yield self._image(snapshot, int(frame))
            except FileError as problem:
                yield FrameProblem(int(frame), str(problem))
        self._library.forget()  # the names of all images, which nobody needs while labels are compared

    def close(self) -> None:
        """Close the zips, if any."""
        self._files.close()
        self._library.files.close()

    def _read(self, reading: Reading, advance: Advance) -> None:
        files, members = self._files, self._found.members
        if self.format == "cvat-images":
            cvat_images.read(files, members[0], reading, advance)
        elif self.format == "cvat-video":
            cvat_video.read(files, members[0], reading, advance, self._video_names(reading))
        elif self.format == "coco":
            coco.read(files, members, reading, advance)
        elif self.format == "datumaro":
            datumaro.read(files, members, reading, advance)
        else:
            yolo.read(files, members[0], reading, self._library, advance)

    def _video_names(self, reading: Reading) -> cvat_video.NameFrames:
        def names(numbers: range, folder: str) -> list[str]:
            found, note = video_frame_names(self._library, numbers, folder)
            reading.notes += [note] if note and note not in reading.notes else []
            return found

        return names

    def _image(self, snapshot: Snapshot, frame: int) -> FrameImage:
        subset = self._subsets[frame] if len(self._subsets) == len(snapshot.frames) else ""
        files = self._library.files
        member = self._library.find(snapshot.frames.name[frame], subset)
        data = files.read(member)
        path = files.local(member)
        if path is None:
            sha256, path = self._cache.put(data)
        else:
            sha256 = hashlib.sha256(data).hexdigest()
        return FrameImage(frame, sha256, Path(path), data)


def _repeated_ids(single_ids: Sequence[int]) -> tuple[str, ...]:
    """A line if single shapes share an id, so that a finding's id would not tell which is meant."""
    values, counts = np.unique(np.asarray(single_ids, np.int64), return_counts=True)
    repeated = values[counts > 1]
    if not len(repeated):
        return ()
    stand = f"annotation id {repeated[0]} stands"
    if len(repeated) > 1:
        stand = f"{len(repeated):,} annotation ids stand (id {repeated[0]} first)"
    return (f"{stand} for several shapes; all shapes are kept",)
