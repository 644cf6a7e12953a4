"""Frames, chunks, previews and what is told about them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from tests.doubles.cvat import access
from tests.doubles.cvat.state import Image, Job, Media, Task
from tests.doubles.cvat.web import ApiError, Request, Response, forbidden, not_found

CHUNK_PIXELS = 36 * 1920 * 1080  # by the server's own rule a chunk holds about so many pixels,
CHUNK_MOST = 72  # but no more frames than this
ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # its values that swap width and height


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an image turned upright; (0, 0) if its header can't be read."""
    try:
        with Pillow.open(io.BytesIO(data)) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TURNED
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return 0, 0
    return (height, width) if turned else (width, height)


def build(files: list[tuple[str, bytes]], chunk_size: int | None, quality: int, now: str) -> Media:
    """The data of a task. chunk_size None: chosen by the first image's size, as the server does."""
    images = [Image(name, data, *size_of(data)) for name, data in files]
    area = images[0].width * images[0].height if images else 0
    chosen = chunk_size or max(2, min(CHUNK_MOST, CHUNK_PIXELS // max(area, 1)))
    return Media(images, chosen, quality, now)


def _task(request: Request) -> Task:
    """The task in the path, with the rights that its data need: those of the task."""
    task = request.state.tasks.get(request.number("id"))
    if task is None:
        raise not_found("Task")
    if not access.runs_task(request.state, request.user, task):
        raise forbidden()
    return task


def _job(request: Request) -> Job:
    job = request.state.jobs.get(request.number("id"))
    if job is None:
        raise not_found("Job")
    if not access.works_on_job(request.state, request.user, job):
        raise forbidden()
    return job


def _meta(media: Media, *, start: int, stop: int, size: int, updated: str) -> dict[str, Any]:
    return {
        "chapters": None,
        "chunks_updated_date": updated,
        "chunk_size": media.chunk_size,
        "size": size,
        "image_quality": media.image_quality,
        "start_frame": start,
        "stop_frame": stop,
        "frame_filter": "",
        "frames": [],
        "deleted_frames": [],
        "included_frames": None,
        "storage": "local",
        "cloud_storage_id": None,
    }


def _frame_meta(image: Image, hidden: bool = False) -> dict[str, Any]:
    name = "placeholder.jpg" if hidden else image.name
    return {
        "width": image.width,
        "height": image.height,
        "name": name,
        "related_files": 0,
        "has_related_context": False,
    }


def _task_meta(task: Task) -> dict[str, Any]:
    if task.media is None:
        raise ApiError(400, ["Data is not uploaded for the task yet"])
    media = task.media
    meta = _meta(media, start=0, stop=len(media.images) - 1, size=len(media.images), updated=media.updated)
    meta["frames"] = [_frame_meta(image) for image in media.images]
    meta["deleted_frames"] = sorted(media.deleted)
    return meta


def _job_meta(task: Task, job: Job) -> dict[str, Any]:
    """frames spans start to stop; of a ground-truth job those that aren't in it are placeholders."""
    media = task.media
    assert media is not None, "a job has data"
    inside = set(job.frames)
    meta = _meta(media, start=job.start, stop=job.stop, size=len(inside), updated=job.chunks_updated)
    span = range(job.start, job.stop + 1)
    meta["frames"] = [_frame_meta(media.images[frame], frame not in inside) for frame in span]
    meta["deleted_frames"] = sorted(media.deleted & inside)
    meta["included_frames"] = job.included
    return meta


def get_task_meta(request: Request) -> Response:
    return Response(200, _task_meta(_task(request)))


def get_job_meta(request: Request) -> Response:
    job = _job(request)
    return Response(200, _job_meta(request.state.tasks[job.task], job))


def change_task_meta(request: Request) -> Response:
    """Replaces the list of deleted frames."""
    task = _task(request)
    if task.media is None:
        raise ApiError(400, ["Data is not uploaded for the task yet"])
    task.media.deleted = set(request.object().get("deleted_frames", task.media.deleted))
    return Response(200, _task_meta(task))


def change_job_meta(request: Request) -> Response:
    """Replaces the list of deleted frames, for this job's frames only."""
    job = _job(request)
    task = request.state.tasks[job.task]
    assert task.media is not None, "a job has data"
    inside = set(job.frames)
    asked = set(request.object().get("deleted_frames", task.media.deleted & inside))
    task.media.deleted = (task.media.deleted - inside) | (asked & inside)
    return Response(200, _job_meta(task, job))


def get_task_data(request: Request) -> Response:
    task = _task(request)
    if task.media is None:
        raise ApiError(404, "Task has no media")
    return _get_data(request, task.media, range(len(task.media.images)), None, task.media.updated)


def get_job_data(request: Request) -> Response:
    job = _job(request)
    media = request.state.tasks[job.task].media
    assert media is not None, "a job has data"
    return _get_data(request, media, job.frames, job, job.chunks_updated)


def _get_data(request: Request, media: Media, frames: Sequence[int], job: Job | None, updated: str) -> Response:
    kind = request.query.get("type")
    original = request.query.get("quality", "compressed") == "original"
    if kind == "frame":
        return _frame(media, frame_number(request.query.get("number", ""), frames, len(media.images), job), original)
    if kind == "chunk":
        members = _chunk_frames(request.query, media, frames, job)
        return _chunk([media.images[frame] for frame in members], media.image_quality, original, updated)
    if kind == "preview":
        return _frame(media, frames[0], original=False)
    raise ApiError(400, ["Data type not specified or has wrong value"])


def frame_number(text: str, frames: Sequence[int], size: int, job: Job | None) -> int:
    """The asked frame. The upper bound that the text of the error names is one too high, as on the server."""
    number = int(text) if text.lstrip("-").isdigit() else -1
    if number in frames:
        return number
    if job is not None:
        raise ApiError(400, f"Incorrect requested frame number: {number}")
    raise ApiError(400, f"Invalid frame '{number}'. The frame number should be in the [0, {size}] range")


def _chunk_frames(query: dict[str, str], media: Media, frames: Sequence[int], job: Job | None) -> Sequence[int]:
    """Frames of a chunk: by ``index`` counted within the job, by ``number`` over the whole task."""
    size = media.chunk_size
    if job is not None and "index" in query:
        at = int(query["index"])
        members: Sequence[int] = frames[at * size : (at + 1) * size] if at >= 0 else []
        low, high, number = 0, (len(frames) - 1) // size, at
    else:
        number = int(query.get("number", "-1"))
        members = [frame for frame in frames if frame // size == number]
        low, high = frames[0] // size, frames[-1] // size
    if not members:
        text = f"Invalid chunk number '{number}'. The chunk number should be in the [{low}, {high}] range"
        raise ApiError(400, text)
    return members


def _frame(media: Media, number: int, original: bool) -> Response:
    image = media.images[number]
    data = image.data if original else _smaller(image.data, media.image_quality)
    return Response(200, data, content_type=_mime(image.name) if original else "image/jpeg")


def _mime(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return {".png": "image/png", ".bmp": "image/bmp", ".webp": "image/webp"}.get(suffix, "image/jpeg")


def _smaller(data: bytes, quality: int) -> bytes:
    """The same picture upright as a JPEG of this quality; unreadable bytes come back as they are."""
    out = io.BytesIO()
    try:
        with Pillow.open(io.BytesIO(data)) as image:
            ImageOps.exif_transpose(image).convert("RGB").save(out, "JPEG", quality=quality)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return data
    return out.getvalue()


def _chunk(images: list[Image], quality: int, original: bool, updated: str) -> Response:
    """A zip, one member a frame in frame order, named by its place in the chunk."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for place, image in enumerate(images):
            suffix = PurePosixPath(image.name).suffix if original else ".jpeg"
            archive.writestr(f"{place:06d}{suffix}", image.data if original else _smaller(image.data, quality))
    data = out.getvalue()
    headers = {"x-checksum": str(zlib.crc32(data)), "x-updated-date": updated, "Accept-Ranges": "bytes"}
    return Response(200, data, headers, "application/zip")


def get_task_preview(request: Request) -> Response:
    task = _task(request)
    if task.media is None:
        raise ApiError(404, "Task has no media")
    return _frame(task.media, 0, original=False)


def get_job_preview(request: Request) -> Response:
    job = _job(request)
    media = request.state.tasks[job.task].media
    assert media is not None, "a job has data"
    return _frame(media, job.frames[0], original=False)
