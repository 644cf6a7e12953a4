"""Where the milliseconds of one request go: ``scripts/bench functions stages``. HTTP and the pipe are the echo's."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from audit.adapters.ultralytics.detector import open_model
from audit.adapters.ultralytics.geometry import network_input, place
from audit.adapters.ultralytics.weights import find_weights
from audit.serving.drawing import framed
from audit.serving.heap import reuse_memory
from audit.serving.pixels import decode, read_header
from audit.serving.replies import interactor_reply, rectangle_item
from audit.serving.requests import Picture, parse_body, prompt_request
from audit.serving.sam_networks import Prompts, open_sam

ROUNDS = 25


class Clock:
    """Medians of each stage's wall and processor time, the latter of the calling thread alone."""

    def __init__(self) -> None:
        self._wall: dict[str, list[float]] = {}
        self._cpu: dict[str, list[float]] = {}

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        result = work()
        self._cpu.setdefault(stage, []).append(1000 * (time.thread_time() - cpu))
        self._wall.setdefault(stage, []).append(1000 * (time.perf_counter() - wall))
        return result

    def table(self, title: str) -> str:
        """Milliseconds: median wall, median processor."""
        rows = [f"{title:<34}{'wall':>9}{'cpu':>9}"]
        for stage, wall in self._wall.items():
            rows.append(f"  {stage:<32}{statistics.median(wall):>9.2f}{statistics.median(self._cpu[stage]):>9.2f}")
        return "\n".join(rows)


def detector_stages(data: bytes, body: bytes) -> Clock:
    """One picture through the detector."""
    model, clock = open_model(find_weights("yolo11n"), threads=len(os.sched_getaffinity(0)), confidence=0.25), Clock()
    for _ in range(ROUNDS):
        picture = Picture(clock("JSON", lambda: parse_body(body))["image"])
        clock("base64", lambda picture=picture: picture.data)
        header = clock("header", lambda: read_header(data))
        rgb = clock("JPEG", lambda header=header: decode(data, header))
        spot = place(rgb.shape[:2], (640, 640), 32)
        planes = clock("network input", lambda rgb=rgb, spot=spot: network_input(rgb, spot))
        raw = clock("network", lambda planes=planes: model.runtime.forward(planes))
        found = clock("suppression", lambda raw=raw, spot=spot: model._finish([o[0] for o in raw], spot))
        rows = list(zip(found.label, found.xyxy.tolist(), found.score.tolist(), strict=True))
        clock("reply", lambda rows=rows: [rectangle_item(model.labels[n], box, score) for n, box, score in rows])
    return clock


def click_stages(data: bytes, body: bytes, box: np.ndarray) -> Clock:
    """A repeated click, and what a first one does before."""
    network, clock = open_sam("lite_medsam", device="cpu", threads=len(os.sched_getaffinity(0))), Clock()
    rgb = decode(data, read_header(data))
    embedding = network.encode(rgb)
    prompts = Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), box)
    gain, last = network.grid_gain(embedding.frame_hw), json.loads(body)["image"]
    for _ in range(ROUNDS):
        request = clock("JSON", lambda: prompt_request(parse_body(body)))
        clock("compared with the last picture", lambda request=request: request.picture.encoded == last)
        clock("(digest of another picture)", lambda request=request: request.picture.digest)
        found = clock("decoder", lambda: network.decode(embedding, prompts))
        region = clock("runs of the mask", lambda found=found: framed(found.logits[0], gain, embedding.frame_hw))
        clock("reply", lambda region=region: interactor_reply(region, 0.9, "mask", embedding.frame_hw))
    for _ in range(3):
        clock("(first click: encoder)", lambda: network.encode(rgb))
    return clock


def stages(photos: dict[str, bytes], bodies: dict[str, bytes], click: str, click_body: bytes, box: np.ndarray) -> None:
    """Prints a table for the detector on each photo, and one for the click."""
    reuse_memory()
    for name, data in photos.items():
        print(detector_stages(data, bodies[name]).table(f"detector, {name}"), flush=True)
    print(click_stages(photos[click], click_body, box).table(f"click, {click}"), flush=True)
