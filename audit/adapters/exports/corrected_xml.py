"""CVAT for images 1.1 with corrections made."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring  # writing; defusedxml does the parsing

from defusedxml import ElementTree as SafeTree
from defusedxml.common import DefusedXmlException

from audit.adapters.cvat.masks import MaskError, points_from_rle
from audit.adapters.exports.cvat_shapes import READERS
from audit.adapters.exports.numbers import whole
from audit.core.annotations import ShapeType, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.proposals import Proposal
from audit.errors import UsageError
from audit.push_ports import Unfit

TAGS = {ShapeType.RECTANGLE: "box", ShapeType.POLYGON: "polygon", ShapeType.ELLIPSE: "ellipse", ShapeType.MASK: "mask"}


def document(data: bytes, where: str) -> Element:
    """The root of an XML. Raises UsageError."""
    try:
        root: Element = SafeTree.fromstring(data, forbid_dtd=True)
    except (SafeTree.ParseError, DefusedXmlException, ValueError) as error:
        raise UsageError(f"{where}: is not whole XML ({error})") from None
    return root


def xml_of(root: Element) -> bytes:
    """The document, ready to be written."""
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def without_attributes(element: Element) -> None:
    """Take out the attributes that belong to the label."""
    for attribute in element.findall("attribute"):
        element.remove(attribute)


class XmlCopy:
    """The whole document in memory. Shapes are counted in document order before anything is changed."""

    tracks = False

    def __init__(self, data: bytes, where: str, snapshot: Snapshot) -> None:
        self._root = document(data, where)
        self._frames = snapshot.frames
        images = self._root.findall("image")
        self._images: dict[str | None, list[Element]] = {}
        for image in images:
            self._images.setdefault(image.get("name"), []).append(image)
        shapes = [(image, e) for image in images for e in image if e.tag in READERS]
        self._shapes = dict(enumerate(shapes, start=1))

    def create(self, correction: Correction) -> None:
        if correction.geometry is None:
            raise Unfit("there is no place to draw it at")
        facts = placed(correction.geometry, correction.shape, self._size_hw(correction.frame))
        image = self._image(correction.frame)
        common = {"label": correction.label, "source": "auto", "occluded": "0"}
        SubElement(image, TAGS[correction.shape], {**common, **facts, "z_order": "0"})

    def change(self, correction: Correction) -> None:
        image, element = self._shapes[correction.annotation_id]
        if correction.action is Action.DELETE:
            image.remove(element)
            return
        if correction.geometry is not None:
            element.attrib.update(placed(correction.geometry, correction.shape, self._size_hw(correction.frame)))
        if correction.label:
            element.set("label", correction.label)
            without_attributes(element)

    def written(self) -> bytes:
        return xml_of(self._root)

    def _size_hw(self, frame: int) -> tuple[int, int]:
        return int(self._frames.height[frame]), int(self._frames.width[frame])

    def _image(self, frame: int) -> Element:
        """The frame's element. Raises Unfit unless exactly one has its name and, where stated, task.

        Its number counts only between several of that name: a project's export counts on over tasks.
        """
        name, number, task = self._frames.name[frame], int(self._frames.number[frame]), int(self._frames.task[frame])
        stated = [i for i in self._images.get(name, []) if whole(i.get("task_id", "")) in (None, task)]
        found = stated if len(stated) == 1 else [i for i in stated if whole(i.get("id")) == number]
        if len(found) != 1:
            raise Unfit(f"the export has {len(found)} images '{name[:60]}' with number {number}")
        return found[0]


def placed(proposal: Proposal, shape: ShapeType, hw: tuple[int, int]) -> dict[str, str]:
    """The attributes that say where a shape lies. Raises Unfit."""
    x1, y1, x2, y2 = proposal.xyxy
    if shape is ShapeType.RECTANGLE:
        place = {name: f"{v:.2f}" for name, v in zip(("xtl", "ytl", "xbr", "ybr"), (x1, y1, x2, y2), strict=True)}
        return {**place, "rotation": f"{proposal.rotation:.2f}"} if proposal.rotation else place
    if shape is ShapeType.ELLIPSE:
        values = ((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2)
        return {name: f"{v:.2f}" for name, v in zip(("cx", "cy", "rx", "ry"), values, strict=True)}
    if shape is ShapeType.POLYGON and proposal.ring:
        return {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in proposal.ring)}
    if shape is ShapeType.MASK and proposal.mask is not None:
        return _mask(proposal.mask, hw)
    raise Unfit(f"the proposal cannot be drawn as a {shape.name.lower()}")


def _mask(counts: bytes, hw: tuple[int, int]) -> dict[str, str]:
    try:
        *runs, left, top, right, bottom = points_from_rle(counts, hw)
    except MaskError as error:
        raise Unfit(f"the mask {error}") from None
    numbers = {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1}
    return {"rle": ", ".join(map(str, runs)), **{name: str(value) for name, value in numbers.items()}}
