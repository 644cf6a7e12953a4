"""Python half of the review plugin: opens the panel. FiftyOne loads this file; the panel is panel.js."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

PANEL = "cvat_audit_review"


class OpenReview(foo.Operator):  # type: ignore[misc]  # FiftyOne publishes no types
    """Opens the review panel beside the grid."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="open_review", label="Review findings", icon="/assets/icon.svg")

    def resolve_placement(self, _ctx: Any) -> types.Placement:
        button = types.Button(label="Review findings", prompt=False)
        return types.Placement(types.Places.SAMPLES_GRID_ACTIONS, button)

    def execute(self, ctx: Any) -> dict[str, Any]:
        ctx.ops.open_panel(PANEL, layout="horizontal", is_active=True)
        return {}


def register(plugin: Any) -> None:
    """Called by FiftyOne."""
    plugin.register(OpenReview)
