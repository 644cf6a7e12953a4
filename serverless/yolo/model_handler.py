"""Pictures to boxes or masks. Settings come from the environment, see ``detector_from_environment``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.serving.detecting import detector_from_environment
from audit.serving.replies import Reply
from audit.serving.specs import spec_text


class ModelHandler:
    """A loaded YOLO model. spec: its labels as CVAT's annotation text."""

    def __init__(self) -> None:
        self._detector = detector_from_environment(Path(__file__).parent)
        self.spec = spec_text(self._detector.spec)
        self.notes = self._detector.notes

    def handle(self, body: Mapping[str, Any]) -> Reply:
        """body: ``{"image", "threshold"?}``. The text of the reply is JSON for CVAT."""
        return self._detector.handle(body)
