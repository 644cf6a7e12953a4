"""CVAT's XML element by element: entities and DTDs refused, memory flat."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError  # types only: defusedxml does the parsing

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from audit.adapters.exports.archive import Files, readable
from audit.errors import UsageError


def children(files: Files, name: str) -> Iterator[Element]:
    """Each child of ``<annotations>``, whole; it is emptied when the next one is asked for.

    Raises UsageError for what is no XML, not CVAT's, or carries a DTD or entities.
    """
    where = f"{files.where}/{name}"
    with readable(where):
        try:
            with files.open(name) as stream:
                yield from _children(iterparse(stream, ("start", "end"), forbid_dtd=True), where)
        except ParseError as error:
            raise UsageError(f"{where}: is not whole XML ({error}); copy or export it again") from None
        except DefusedXmlException as error:
            raise UsageError(
                f"{where}: holds a document type or entities ({type(error).__name__}), which CVAT never writes; refused"
            ) from None
        except (ValueError, LookupError) as error:
            raise UsageError(f"{where}: cannot be read as XML ({error}); export it again") from None


def _children(events: Iterator[tuple[str, Element]], where: str) -> Iterator[Element]:
    root, depth = None, 0
    for event, element in events:
        if root is None:
            root = element
            if root.tag != "annotations":
                raise UsageError(f"{where}: expected <annotations> as CVAT writes it, found <{root.tag[:50]}>")
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 1:
            yield element
            root.clear()


def first_child(files: Files, name: str, tags: tuple[str, ...]) -> tuple[str, str]:
    """The tag of the first of ``<annotations>``'s children that is one of ``tags``, and the meta's mode.

    Both "" if there is none. Reads no further. Raises UsageError as ``children`` does.
    """
    mode = ""
    for element in children(files, name):
        if element.tag == "meta":
            mode = next((e.text or "" for e in element.iter("mode")), "")
        if element.tag in tags:
            return element.tag, mode
    return "", mode
