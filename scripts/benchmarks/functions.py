"""How fast the functions are, each beside the bare model in the same run: ``scripts/bench functions``.

``scripts/bench functions stages`` tells where the milliseconds of one request go.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.adapters.digests import file_sha256
from audit.adapters.ultralytics.environment import load_opencv, load_ultralytics
from audit.adapters.ultralytics.export import exported
from audit.adapters.ultralytics.weights import find_weights
from audit.serving.host.serve import Host
from audit.serving.sam_networks import Prompts, open_sam
from scripts.benchmarks.functions_measure import excess, in_turns, ratio, resident_mb, workers_of
from scripts.benchmarks.functions_stages import stages
from tests.serving.cases import ROOT, Client, encoded, file_of, picture

SAM, YOLO, ECHO = "cvat-audit-sam", "cvat-audit-yolo", "echo"
SIZES: tuple[tuple[str, tuple[int, int] | None], ...] = (("810x1080", None), ("12 MP", (3000, 4000)))
BOX = np.array([15.0, 850, 2950, 2700])
"""The bus on the picture of 12 megapixels: its mask is as wide as the picture and a third as high."""

ECHO_YAML = """
metadata: {name: echo, annotations: {type: interactor, version: "2"}}
spec:
  handler: main:handler
  triggers: {http: {kind: http, attributes: {maxRequestBodySize: 67108864}}}
"""
ECHO_PY = """
def handler(context, event):
    body = event.body["image"][:4]
    return context.Response(body='"' + body + '"', headers={}, content_type="application/json", status_code=200)
"""


def say(what: str, **figures: float) -> None:
    print(what, json.dumps({k: round(v, 2) for k, v in figures.items()}), flush=True)


def photo(size: tuple[int, int] | None = None) -> bytes:
    data = (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()
    if size is None:
        return data
    return file_of(Image.open(io.BytesIO(data)).resize(size, Image.Resampling.BICUBIC), quality=92)


def echo_folder(folder: Path) -> Path:
    """A function that does nothing with the picture: what HTTP, JSON and the pipe to the worker take by themselves."""
    folder.mkdir()
    (folder / "function.yaml").write_text(ECHO_YAML, encoding="utf-8")
    (folder / "main.py").write_text(ECHO_PY, encoding="utf-8")
    return folder


def call(client: Client, name: str, body: bytes) -> bytes:
    """The answer, which must be a good one."""
    status, _, answer = client.invoke(name, body)
    if status != 200:
        raise RuntimeError(f"{name} answered {status}: {answer[:200]!r}")
    return answer


def bench_sam(host: Host, rounds: int) -> None:
    client, threads = Client(host.port), len(os.sched_getaffinity(0))
    network, cv2 = open_sam("lite_medsam", device="cpu", threads=threads), load_opencv()
    large = photo((3000, 4000))
    embedding = network.encode(cv2.imdecode(np.frombuffer(large, np.uint8), cv2.IMREAD_COLOR_RGB))
    prompts = Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), BOX)
    numbers, data = itertools.count(), prompt_body(large)

    def bare_first() -> None:
        network.decode(network.encode(cv2.imdecode(np.frombuffer(large, np.uint8), cv2.IMREAD_COLOR_RGB)), prompts)

    def to_size() -> None:
        """As ultralytics and SAM's own predictor do it: logits of the whole picture."""
        whole_mask(network.decode(embedding, prompts).logits[:1, None])

    first = in_turns(
        {
            "function": lambda: call(client, SAM, prompt_body(commented(large, next(numbers)))),
            "bare": bare_first,
        },
        max(rounds // 4, 3),
        lambda: workers_of(host),
    )
    f, b = first["function"], first["bare"]
    figures = {"function": f.median, "jpeg_encoder_decoder": b.median, "ratio": ratio(f, b), "cpu": f.cpu_median}
    say("first click, 12 MP, ms", **figures, bare_cpu=b.cpu_median, megabytes=len(large) / 1e6)
    call(client, SAM, data)
    again = in_turns(
        {
            "function": lambda: call(client, SAM, data),
            "bare": lambda: network.decode(embedding, prompts),
            "echo": lambda: call(client, ECHO, data),
            "to_size": to_size,
        },
        2 * rounds,
        lambda: workers_of(host),
    )
    f, b, e = again["function"], again["bare"], again["echo"]
    figures = {"function": f.median, "bare_decoder": b.median, "excess": excess(f, b), "echo": e.median}
    cpu = {"cpu": f.cpu_median, "bare_cpu": b.cpu_median, "echo_cpu": e.cpu_median}
    say("repeated click, 12 MP, ms", **figures, **cpu, decoder_and_mask_of_12_MP=again["to_size"].median)


def commented(jpeg: bytes, number: int) -> bytes:
    """The same picture as another file."""
    return jpeg[:2] + b"\xff\xfe" + (6).to_bytes(2, "big") + number.to_bytes(4, "big") + jpeg[2:]


def whole_mask(logits: np.ndarray) -> Any:
    torch: Any = __import__("torch")
    square = torch.nn.functional.interpolate(torch.from_numpy(logits), (4000, 4000), mode="bilinear")
    return square[..., :4000, :3000] > 0


def prompt_body(data: bytes) -> bytes:
    corners = BOX.reshape(2, 2).tolist()
    return json.dumps({"image": encoded(data), "pos_points": [], "neg_points": [], "obj_bbox": corners}).encode()


def bench_yolo(host: Host, rounds: int) -> None:
    weights, client = find_weights("yolo11n"), Client(host.port)
    bare = load_ultralytics().YOLO(str(exported(weights, file_sha256(weights), 640)), task="detect")
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES:
            file = Path(folder) / "photo.jpg"
            file.write_bytes(photo(size))
            body = json.dumps({"image": encoded(file.read_bytes())}).encode()
            works: dict[str, Callable[[], Any]] = {
                "function": lambda body=body: call(client, YOLO, body),
                "bare": lambda file=file: bare.predict(str(file), verbose=False, imgsz=640),
                "echo": lambda body=body: call(client, ECHO, body),
            }
            times = in_turns(works, rounds, lambda: workers_of(host))
            f, b, e = times["function"], times["bare"], times["echo"]
            wall = {"function": f.median, "bare_predict": b.median, "ratio": ratio(f, b), "echo": e.median}
            cpu = {"cpu": f.cpu_median, "bare_cpu": b.cpu_median, "echo_cpu": e.cpu_median}
            say(f"detector, {name}, ms", **wall, **cpu, cpu_ratio=f.cpu_median / b.cpu_median)


def bench_load(requests: int) -> None:
    with Host([ROOT / "serverless" / "yolo"], port=0, say=print, workers=2) as host:
        host.wait_ready()
        client = Client(host.port)
        while host.pools[YOLO]._ready < 2:
            time.sleep(0.05)
        body = json.dumps({"image": picture(640, 480)}).encode()
        alone = in_turns({"alone": lambda: call(client, YOLO, body)}, 20)["alone"].median

        def one(_: int) -> tuple[int, float]:
            started = time.perf_counter()
            status = client.invoke(YOLO, body)[0]
            return status, 1000 * (time.perf_counter() - started)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(100)))
            before = resident_mb(host)
            answers = list(pool.map(one, range(requests)))
        after = resident_mb(host)
        bad = sum(s != 200 for s, _ in answers)
        median = statistics.median(t for _, t in answers)
        say("8 clients on 2 workers, ms", median=median, ideal=4 * alone, ratio=median / (4 * alone), errors=bad)
        say(f"memory of the workers over {requests} requests, MB", before=before, after=after)


def main(requests: int = 2000, rounds: int = 20) -> None:
    """Prints a line of JSON for each goal. requests: of the memory test; 0 leaves it out."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [ROOT / "serverless" / "yolo", ROOT / "serverless" / "sam", echo_folder(Path(folder) / "echo")]
        with Host(folders, port=0, say=print) as host:
            host.wait_ready()
            bench_yolo(host, rounds)
            bench_sam(host, rounds)
    if requests:
        bench_load(requests)


def print_stages() -> None:
    """Where one request's time goes."""
    photos = {name: photo(size) for name, size in SIZES}
    bodies = {name: json.dumps({"image": encoded(data)}).encode() for name, data in photos.items()}
    stages(photos, bodies, "12 MP", prompt_body(photos["12 MP"]), BOX)


if __name__ == "__main__":
    if sys.argv[1:] == ["stages"]:
        print_stages()
    else:
        main(*(int(number) for number in sys.argv[1:]))
