"""The model card, generated from the manifest: one truth, in words."""

from __future__ import annotations

import json

from shelf_contracts.manifest import Manifest

CARD_NAME = "CARD.md"

_USE = (
    "Finds what stands on a shelf and who reaches into it, on a node of smartshelf. Not for finding or knowing people."
)
_HEADS = {
    "yolo": "YOLOv8/11: (1, 4 + classes, n), suppression outside the graph",
    "yolo-end2end": "YOLO26/v10: (1, n, 6), no suppression needed",
    "yolox": "YOLOX: (1, n, 5 + classes), grid decoded outside the graph",
    "embedding": "embedding: (n, dimension), rows of length 1",
}


def card_text(manifest: Manifest) -> str:
    """CARD.md: front matter as model hubs read it, then tables."""
    shape = manifest.preprocessing
    task = "object-detection" if manifest.role == "detector" else "image-feature-extraction"
    lines = [
        "---",
        f"license: {json.dumps(manifest.licence)}",
        "library_name: onnx",
        f"pipeline_tag: {task}",
        f"tags: [{', '.join(['smartshelf', manifest.role])}]",
        "---",
        f"# {manifest.name} {manifest.version}",
        "",
        "Generated from manifest.json by `smartshelf models card`; do not edit.",
        "",
        manifest.notes.get("use", _USE),
        "",
        "| | |",
        "|---|---|",
        f"| licence of the weights | {manifest.licence} |",
        f"| licence of the data | {manifest.data_licence or 'not stated'} |",
        f"| file | {manifest.file}, sha256 {manifest.sha256} |",
        f"| signed by | {_signer(manifest)} |",
        f"| input | {shape.width} x {shape.height}, {shape.colour_order}, scale {shape.scale:.6g}, "
        f"padding {shape.padding} ({shape.anchor}) |",
        f"| head | {_HEADS[manifest.head]} |",
        *_role_rows(manifest),
        f"| made on | {manifest.made_on or 'not stated'} |",
        "",
        "## Figures",
        "",
    ]
    if manifest.metrics:
        lines += ["| | |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in manifest.metrics.items()]
        lines += ["", f"Protocol: {manifest.metrics_protocol or 'not stated; do not compare these figures'}."]
    else:
        lines.append("None were measured.")
    lines += ["", "## Training", ""]
    if manifest.trained_on is None:
        lines.append("Not stated.")
    else:
        told = manifest.trained_on
        lines += [
            f"Data: {told.data}. {told.pictures} pictures, {told.epochs} epochs, seed {told.seed}; {told.software}.",
            "",
            f"Recipe: `{told.recipe}`",
        ]
    for heading, text in manifest.notes.items():
        if heading != "use":
            lines += ["", f"## {heading[:1].upper()}{heading[1:]}", "", text]
    return "\n".join(lines) + "\n"


def _signer(manifest: Manifest) -> str:
    """As the manifest says: a card is text, and proves nothing."""
    if manifest.signature is None:
        return "nobody"
    return f"{manifest.signature.key}, says the manifest; ask `smartshelf models check FOLDER --trusted KEY.pub`"


def _role_rows(manifest: Manifest) -> list[str]:
    """What only a detector, or only a recogniser has."""
    spec = manifest.embedding
    if spec is None:
        labels = ", ".join(f"{label} ({manifest.kinds.get(label, 'ignored')})" for label in manifest.labels[:100])
        return [
            f"| labels | {labels} |",
            f"| thresholds | score {manifest.score_threshold:g}, suppression IoU {manifest.iou_threshold:g}, "
            f"products inside products × {manifest.part_weight:g} |",
            f"| golden pictures | {len(manifest.golden_pictures)} |",
        ]
    return [
        f"| dimension | {spec.dimension} |",
        f"| calibration | temperature {spec.temperature:g}, none at cosine {spec.none_cosine:g} |",
        f"| thresholds | known from chance {spec.least_known:g}, ambiguous below a share of {spec.least_share:g} |",
        f"| golden pictures | {1 if spec.golden is not None else 0} |",
    ]
