"""Writes the demo's labels, mistakes included, as CVAT writes its export "CVAT for images 1.1"."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree  # writing only; nothing is parsed

from audit.adapters.pictures import PictureError, size_hw
from audit.core.findings import FindingType
from audit.demo.scenes import LABELS, MISTAKES, SCENES, Mistake, Scene, Shape
from audit.errors import UsageError
from audit.runs import atomic

WRITTEN_AT = (2026, 1, 1, 0, 0, 0)
"""Time stamp of the zip's members: the same labels give the same bytes."""


@dataclass(frozen=True)
class Planted:
    """A mistake and where it stands in the export.

    annotation_ids: 1-based positions in document order of the shapes it shows in (both of a
    duplicate), empty for a label that is not there.
    """

    mistake: Mistake
    annotation_ids: tuple[int, ...]


def labelled(scene: Scene) -> list[tuple[Shape, tuple[Mistake, ...]]]:
    """The shapes that the export gives for this photograph, each with the mistakes that show in it."""
    mistakes = [m for m in MISTAKES if m.image == scene.name]
    rows: list[tuple[Shape, tuple[Mistake, ...]]] = []
    for shape in scene.objects:
        rows += _as_written(shape, [m for m in mistakes if m.was == shape])
    rows += [(m.now, (m,)) for m in mistakes if m.was is None and m.now is not None]
    return rows


def _as_written(shape: Shape, mistakes: list[Mistake]) -> list[tuple[Shape, tuple[Mistake, ...]]]:
    if not mistakes:
        return [(shape, ())]
    (mistake,) = mistakes  # one mistake per object, or the judge could not tell them apart
    if mistake.now is None:
        return []
    if mistake.type is FindingType.DUPLICATE_ANNOTATION:
        return [(shape, (mistake,)), (mistake.now, (mistake,))]
    return [(mistake.now, (mistake,))]


def planted() -> tuple[Planted, ...]:
    """All planted mistakes, in the order of ``MISTAKES``."""
    places: dict[int, list[int]] = {id(m): [] for m in MISTAKES}
    rows = [mistakes for scene in SCENES for _, mistakes in labelled(scene)]
    for position, mistakes in enumerate(rows, start=1):
        for mistake in mistakes:
            places[id(mistake)].append(position)
    return tuple(Planted(m, tuple(places[id(m)])) for m in MISTAKES)


def write_export(path: Path) -> None:
    """Write a zip with ``annotations.xml`` and ``images/``; one that this wrote earlier is replaced.

    Raises UsageError if a photograph is not installed, or another file has this name.
    """
    if path.exists() and not _is_demo(path):
        raise UsageError(f"{path} is a file that the demo did not make; give another folder with --out")
    with atomic(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(_member("annotations.xml"), annotations_xml())
        for scene in SCENES:
            archive.writestr(_member(f"images/{scene.name}"), picture(scene))


def _is_demo(path: Path) -> bool:
    """Whether a file is an export that ``write_export`` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.getinfo("annotations.xml").date_time == WRITTEN_AT
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def picture(scene: Scene) -> bytes:
    """The photograph's bytes as the installed package has them. Raises UsageError."""
    spec = importlib.util.find_spec(scene.package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = next((p for p in (Path(f, scene.path) for f in folders) if p.is_file()), None)
    if found is None:
        raise UsageError(
            f"the demo's photograph {scene.name} should come with the package '{scene.package}', which is not "
            "installed or no longer has it. Install cvat-audit with the extras 'ultralytics' and 'fiftyone'."
        )
    data = found.read_bytes()
    _check_size(scene, data)
    return data


def _check_size(scene: Scene, data: bytes) -> None:
    try:
        height, width = size_hw(data)
    except PictureError as error:
        raise UsageError(f"the demo's photograph {scene.name} of '{scene.package}' {error}") from None
    if (width, height) != scene.size_wh:
        expected = "{} x {}".format(*scene.size_wh)
        raise UsageError(
            f"the demo's photograph {scene.name} of '{scene.package}' is {width} x {height} px, expected {expected}: "
            "this version of the package has another picture. Install the versions in scripts/constraints.txt."
        )


def annotations_xml() -> bytes:
    """The labels of all photographs, mistakes included."""
    root = ElementTree.Element("annotations")
    _text(root, "version", "1.1")
    root.append(_meta())
    for number, scene in enumerate(SCENES):
        root.append(_image(number, scene))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _meta() -> ElementTree.Element:
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    facts = {"id": "1", "name": "demo", "size": str(len(SCENES)), "mode": "annotation", "overlap": "0"}
    for name, value in facts.items():
        _text(task, name, value)
    labels = ElementTree.SubElement(task, "labels")
    for name in LABELS:
        label = ElementTree.SubElement(labels, "label")
        _text(label, "name", name)
        _text(label, "type", "any")
        ElementTree.SubElement(label, "attributes")
    return meta


def _image(number: int, scene: Scene) -> ElementTree.Element:
    width, height = scene.size_wh
    facts = {"id": str(number), "name": scene.name, "width": str(width), "height": str(height)}
    image = ElementTree.Element("image", facts)
    for shape, _ in labelled(scene):
        x1, y1, x2, y2 = (f"{value:.2f}" for value in shape.box)
        corners = {"xtl": x1, "ytl": y1, "xbr": x2, "ybr": y2}
        facts = {"label": shape.label, "source": "manual", "occluded": "0", **corners, "z_order": "0"}
        ElementTree.SubElement(image, "box", facts)
    return image


def _text(parent: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(parent, name).text = value


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, WRITTEN_AT)
