"""How fast the functions are, each beside the bare model in the same run: ``scripts/bench functions``."""

from __future__ import annotations

import io
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

from audit.adapters.pictures import decode_rgb
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.export import exported
from audit.adapters.ultralytics.weights import file_sha256, find_weights
from audit.serving.host.serve import Host
from audit.serving.sam_networks import Prompts, open_sam
from tests.serving.cases import ROOT, Client, encoded, file_of, picture

SAM, YOLO = "cvat-audit-sam", "cvat-audit-yolo"


def median_ms(work: Callable[[], Any], times: int) -> float:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took)


def say(what: str, **figures: float) -> None:
    print(what, json.dumps({k: round(v, 2) for k, v in figures.items()}), flush=True)


def photo(size: tuple[int, int] | None = None) -> bytes:
    data = (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()
    if size is None:
        return data
    return file_of(Image.open(io.BytesIO(data)).resize(size, Image.Resampling.BICUBIC), quality=92)


def bench_sam(client: Client) -> None:
    threads = len(os.sched_getaffinity(0))
    network = open_sam("lite_medsam", device="cpu", threads=threads)
    large = photo((3000, 4000))
    box = np.array([15.0, 850, 2950, 2700])
    body = {"image": encoded(large), "pos_points": [], "neg_points": [], "obj_bbox": box.reshape(2, 2).tolist()}
    data = json.dumps(body).encode()
    first = median_ms(lambda: client.invoke(SAM, data), 1)
    embedding = network.encode(decode_rgb(large))
    encoder = median_ms(lambda: network.encode(decode_rgb(large)), 3)
    prompts = Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), box)
    network.decode(embedding, prompts)
    torch: Any = __import__("torch")

    def decoded_to_size() -> Any:
        """As ultralytics and SAM's own predictor do it: logits of the whole picture."""
        logits = torch.from_numpy(network.decode(embedding, prompts).logits[:1, None])
        square = torch.nn.functional.interpolate(logits, (4000, 4000), mode="bilinear")
        return square[..., :4000, :3000] > 0

    repeated, decoder, to_size = [], [], []
    for _ in range(5):  # in turns: the machine is shared
        decoder.append(median_ms(lambda: network.decode(embedding, prompts), 8))
        to_size.append(median_ms(decoded_to_size, 8))
        repeated.append(median_ms(lambda: client.invoke(SAM, data), 8))
    click, bare = min(repeated), min(decoder)
    say("first click, 12 MP, ms", function=first, decode_jpeg_and_encode=encoder, megabytes=len(large) / 1e6)
    say("repeated click, 12 MP, ms", function=click, bare_decoder=bare, decoder_and_mask_of_12_MP=min(to_size))


def bench_yolo(client: Client) -> None:
    weights = find_weights("yolo11n")
    bare = load_ultralytics().YOLO(str(exported(weights, file_sha256(weights), 640)), task="detect")
    with tempfile.TemporaryDirectory() as folder:
        _compared(client, bare, Path(folder) / "photo.jpg")


def _compared(client: Client, bare: Any, file: Path) -> None:
    for size in (None, (3000, 4000)):
        data = photo(size)
        file.write_bytes(data)
        body = json.dumps({"image": encoded(data)}).encode()
        ours, theirs = [], []
        for _ in range(5):
            theirs.append(median_ms(lambda: bare.predict(str(file), verbose=False, imgsz=640), 6))
            ours.append(median_ms(lambda body=body: client.invoke(YOLO, body), 6))
        name = "810x1080" if size is None else "12 MP"
        say(f"detector, {name}, ms", function=min(ours), bare_predict=min(theirs), ratio=min(ours) / min(theirs))


def resident_mb(host: Host) -> float:
    pages = 0
    for pool in host.pools.values():
        for worker in pool._workers.values():
            pages += int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bench_load(requests: int) -> None:
    with Host([ROOT / "serverless" / "yolo"], port=0, say=print, workers=2) as host:
        host.wait_ready()
        client = Client(host.port)
        while host.pools[YOLO]._ready < 2:
            time.sleep(0.05)
        body = json.dumps({"image": picture(640, 480)}).encode()
        alone = median_ms(lambda: client.invoke(YOLO, body), 20)

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


if __name__ == "__main__":
    with Host([ROOT / "serverless" / "yolo", ROOT / "serverless" / "sam"], port=0, say=print) as both:
        both.wait_ready()
        bench_sam(Client(both.port))
        bench_yolo(Client(both.port))
    bench_load(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
