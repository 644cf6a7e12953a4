"""How a run's dataset looks in the App: which fields it has, their colours and places, and the saved views."""

from __future__ import annotations

from typing import Any

from audit.core.findings import FindingType
from audit.core.words import amount

EXISTING, PROPOSED, FINDING, PREDICTED = "#3B9EFF", "#2ECC71", "#FF5A36", "#C58CFF"
"""Blue for what is in CVAT, green for what is proposed instead, red-orange for the question itself."""

COLOURS = {
    "findings": FINDING,
    "suggestions": PROPOSED,
    "annotations": EXISTING,
    "annotation_outlines": EXISTING,
    "annotation_points": EXISTING,
    "annotation_tags": EXISTING,
    "predictions": PREDICTED,
}
HIDDEN_AT_FIRST = ("predictions",)

FINDING_ATTRIBUTES = {
    "text": (
        [
            "finding_id",
            "type",
            "existing_label",
            "suggested_label",
            "assignee",
            "cvat_link",
            "reason",
            "decision",
            "reviewer",
            "decided_at",
        ]
    ),
    "number": ["score", "iou", "prediction_score"],
    "id": ["annotation_id", "job", "frames", "first_frame", "last_frame"],
}
"""Attributes of a finding that the App can filter by, and what they hold."""

GROUPS = {
    "questions": ["findings", "suggestions"],
    "labels in CVAT": ["annotations", "annotation_outlines"],
    "points and tags in CVAT": ["annotation_points", "annotation_tags"],
    "model": ["predictions"],
    "frame": ["name", "number", "task", "job", "assignee", "cvat_link", "finding_count", "worst_score"],
    "tags": ["tags"],
    "metadata": [f"metadata.{m}" for m in ("size_bytes", "mime_type", "width", "height", "num_channels")],
    "other": ["id", "filepath", "frame_key", "created_at", "last_modified_at"],
}
WORST_FIRST = "Worst first"
ONE_BY_ONE = "Findings one by one"
BESIDE_A_FINDING = ["name", "number", "job", "assignee", "cvat_link"]
"""No other labels: the App would zoom out until all of them are in the picture."""


def declare_fields(dataset: Any) -> None:
    """Give a dataset the fields of a run; those that are there already stay."""
    import fiftyone as fo

    text, number, whole = fo.StringField, fo.FloatField, fo.IntField
    label_lists = {
        "findings": fo.Detections,
        "suggestions": fo.Detections,
        "annotations": fo.Detections,
        "annotation_outlines": fo.Polylines,
        "annotation_points": fo.Keypoints,
        "annotation_tags": fo.Classifications,
        "predictions": fo.Detections,
    }
    for name, kind in label_lists.items():
        dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=kind)
    fields = {"frame_key": text, "name": text, "number": whole, "task": whole, "job": whole, "assignee": text}
    fields |= {"cvat_link": text, "finding_count": whole, "worst_score": number}
    fields |= {f"findings.detections.{a}": text for a in FINDING_ATTRIBUTES["text"]}
    fields |= {f"findings.detections.{a}": number for a in FINDING_ATTRIBUTES["number"]}
    fields |= {f"findings.detections.{a}": whole for a in FINDING_ATTRIBUTES["id"]}
    fields |= {f"suggestions.detections.{a}": text for a in ("finding_id", "type")}
    fields |= {"predictions.detections.model": text}
    for path, inner in SHAPE_LISTS.items():
        fields |= {f"{path}.{inner}.annotation_id": whole, f"{path}.{inner}.shape": text}
        fields |= {f"{path}.{inner}.source": text}
    for path, kind in fields.items():
        dataset.add_sample_field(path, kind)
    dataset.create_index("frame_key", unique=True)
    dataset.create_index("worst_score")


SHAPE_LISTS = {
    "annotations": "detections",
    "annotation_outlines": "polylines",
    "annotation_points": "keypoints",
    "annotation_tags": "classifications",
}


def arrange(dataset: Any) -> None:
    """Set colours, sidebar groups and the fields shown at first. Called once, for a new dataset."""
    import fiftyone as fo

    config = dataset.app_config
    config.color_scheme = fo.ColorScheme(
        color_by="field",
        opacity=0.6,
        fields=[{"path": path, "fieldColor": colour} for path, colour in COLOURS.items()],
    )
    config.active_fields = fo.ActiveFields(
        exclude=False, paths=[path for path in COLOURS if path not in HIDDEN_AT_FIRST]
    )
    config.sidebar_groups = [
        fo.SidebarGroupDocument(name=name, paths=paths, expanded=name in ("questions", "labels in CVAT"))
        for name, paths in GROUPS.items()
    ]
    dataset.save()


def save_views(dataset: Any, counts: dict[int, int]) -> None:
    """One view per finding type, and two that start with the worst. counts: findings of each type."""
    import fiftyone as fo

    total = sum(counts.values())
    worst = dataset.match(fo.ViewField("finding_count") > 0).sort_by("worst_score", reverse=True)
    dataset.save_view(
        WORST_FIRST, worst, f"Frames with findings, worst first; {amount(total, 'finding')}", FINDING, True
    )
    one_by_one = dataset.to_patches("findings", other_fields=BESIDE_A_FINDING).sort_by("findings.score", reverse=True)
    dataset.save_view(ONE_BY_ONE, one_by_one, f"Every finding as a picture, worst first; {total} in all", FINDING, True)
    for kind in FindingType:
        only = dataset.filter_labels("findings", fo.ViewField("type") == kind.title)
        score = fo.ViewField("findings.detections").map(fo.ViewField("score")).max()
        said = f"{amount(counts.get(int(kind), 0), 'finding')} of this type, worst first"
        dataset.save_view(kind.title, only.sort_by(score, reverse=True), said, PROPOSED, True)
