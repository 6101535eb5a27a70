"""The 80 class names of COCO in their order, and what they mean to a shelf: for models brought without a manifest."""

from __future__ import annotations

from shelf_contracts.manifest import Kind

COCO_LABELS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

_PRODUCTS = {
    "bottle", "wine glass", "cup", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog",
    "pizza", "donut", "cake", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
}  # fmt: skip


def coco_kinds() -> dict[str, Kind]:
    """What a shop sells is a product. COCO has no arms: what reaches into a shelf comes out as ``person``."""
    kinds: dict[str, Kind] = {label: "product" for label in COCO_LABELS if label in _PRODUCTS}
    kinds["person"] = "hand"
    return kinds
