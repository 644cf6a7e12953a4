"""Clicks and boxes to masks. Settings come from the environment, see ``interactor_from_environment``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.serving.interacting import interactor_from_environment
from audit.serving.replies import Reply


class ModelHandler:
    """A loaded SAM with the pictures it has seen."""

    def __init__(self) -> None:
        self._interactor = interactor_from_environment(Path(__file__).parent)
        self.kind, self.notes = self._interactor.network.kind, self._interactor.network.notes

    def handle(self, body: Mapping[str, Any]) -> Reply:
        """body: ``{"image", "pos_points", "neg_points", "obj_bbox"}``. The text of the reply is JSON for CVAT."""
        return self._interactor.handle(body)
