"""Small exports of each format, written by hand after the formats' documentation."""

from __future__ import annotations

import json
from typing import Any

META = """<meta><task><id>7</id><size>{size}</size><mode>{mode}</mode><start_frame>{start}</start_frame>
<stop_frame>0</stop_frame><frame_filter>{step}</frame_filter>{segments}
<labels><label><name>car</name><type>rectangle</type></label><label><name>Fußgänger &lt;A&gt; &amp; "B"</name></label>
<label><name>pose</name><type>skeleton</type></label><label><name>head</name><parent>pose</parent></label></labels>
{original_size}</task></meta>"""


def segment(job: int, start: int, stop: int) -> str:
    url = f"http://cvat.test:8080/api/jobs/{job}"
    return f"<segment><id>{job + 50}</id><start>{start}</start><stop>{stop}</stop><url>{url}</url></segment>"


def cvat_xml(body: str, *, size: int = 3, mode: str = "annotation", **meta: str) -> str:
    values = {"start": "0", "step": "", "segments": "", "original_size": ""} | meta
    if values["segments"]:
        values["segments"] = f"<segments>{values['segments']}</segments>"
    head = META.format(size=size, mode=mode, **values)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{head}{body}</annotations>'


def image(number: int, shapes: str = "", name: str | None = None, width: object = 40, height: object = 30) -> str:
    return f'<image id="{number}" name="{name or f"{number}.png"}" width="{width}" height="{height}">{shapes}</image>'


def box(x1: object, y1: object, x2: object, y2: object, label: str = "car", extra: str = "") -> str:
    return f'<box label="{label}" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" {extra}></box>'


def coco(annotations: list[dict[str, Any]], images: int = 2, **more: Any) -> dict[str, Any]:
    entries = [{"id": 10 + i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(images)]
    categories = [{"id": 3, "name": "car"}, {"id": 5, "name": "person"}]
    return {"categories": categories, "images": entries, "annotations": annotations} | more


def coco_shape(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": [], "iscrowd": 0} | more


def coco_text(*annotations: dict[str, Any]) -> str:
    return json.dumps(coco(list(annotations)))


def datumaro(annotations: list[dict[str, Any]], labels: list[dict[str, Any]] | None = None) -> str:
    names = labels or [
        {"name": "car", "parent": ""},
        {"name": "pose", "parent": ""},
        {"name": "head", "parent": "pose"},
    ]
    item = {"id": "a", "annotations": annotations, "image": {"path": "a.png", "size": [30, 40]}}
    empty = {"id": "b", "annotations": [], "image": {"path": "b.png", "size": [30, 40]}}
    return json.dumps({"info": {}, "categories": {"label": {"labels": names}}, "items": [item, empty]})


YOLO = "path: ./\ntrain: train.txt\nnames:\n  0: car\n  1: 'no: 1'\n"
