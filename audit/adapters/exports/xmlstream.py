"""CVAT's XML element by element: entities and DTDs refused, memory flat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element, ParseError  # types only: defusedxml does the parsing

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from audit.adapters.exports.archive import Files, readable
from audit.errors import UsageError

Parts = Iterator[tuple[Element, Iterator[Element]]]


def children(files: Files, name: str) -> Iterator[Element]:
    """Each child of ``<annotations>``, whole; it is emptied when the next one is asked for.

    Raises UsageError for what is no XML, not CVAT's, or carries a DTD or entities.
    """
    return (element for element, _ in parts(files, name))


def parts(files: Files, name: str, within: str = "") -> Parts:
    """Each child of ``<annotations>`` and its own children; a child called ``within`` is never in memory whole.

    That one is given as soon as it begins, with its attributes alone, and each of its children only until the next
    is asked for. Raises as ``children``, also while those are read.
    """
    where = f"{files.where}/{name}"
    with _understood(where), files.open(name) as stream:
        yield from _Walk(iterparse(stream, ("start", "end"), forbid_dtd=True), where, within).children()


@contextmanager
def _understood(where: str) -> Iterator[None]:
    with readable(where):
        try:
            yield
        except ParseError as error:
            raise UsageError(f"{where}: is not whole XML ({error}); copy or export it again") from None
        except DefusedXmlException as error:
            raise UsageError(
                f"{where}: holds a document type or entities ({type(error).__name__}), which CVAT never writes; refused"
            ) from None
        except (ValueError, LookupError) as error:
            raise UsageError(f"{where}: cannot be read as XML ({error}); export it again") from None


class _Walk:
    def __init__(self, events: Iterator[tuple[str, Element]], where: str, within: str) -> None:
        self._events, self._where, self._within = events, where, within
        self._depth = 0

    def children(self) -> Parts:
        root: Element | None = None
        for event, element in self._steps():
            if root is None:
                root = element
                if root.tag != "annotations":
                    raise UsageError(
                        f"{self._where}: expected <annotations> as CVAT writes it, found <{root.tag[:50]}>"
                    )
            if event == "start" and self._depth == 2 and element.tag == self._within:
                inner = self._inner(element)
                yield element, inner
                for _ in inner:  # what was not asked for
                    pass
                root.clear()
            elif event == "end" and self._depth == 1:
                yield element, iter(element)
                root.clear()

    def _inner(self, parent: Element) -> Iterator[Element]:
        with _understood(self._where):
            for event, element in self._steps():
                if event == "end" and self._depth == 1:
                    return
                if event == "end" and self._depth == 2:
                    yield element
                    del parent[:]

    def _steps(self) -> Iterator[tuple[str, Element]]:
        for event, element in self._events:
            self._depth += 1 if event == "start" else -1
            yield event, element


def first_child(files: Files, name: str, tags: tuple[str, ...]) -> tuple[str, str]:
    """The tag of the first of ``<annotations>``'s children that is one of ``tags``, and the meta's mode.

    Both "" if there is none. Reads no further. Raises UsageError as ``children`` does.
    """
    mode = ""
    for element, _ in parts(files, name, within="track"):
        if element.tag == "meta":
            mode = next((e.text or "" for e in element.iter("mode")), "")
        if element.tag in tags:
            return element.tag, mode
    return "", mode
