"""What was seen, drawn on the picture: for the demo's live view and for looking at replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from shelf_contracts.planogram import Planogram
from shelf_edge.core.detections import Detections, Kind
from shelf_edge.core.facts import Fact, SlotFact
from shelf_edge.core.frame import Picture

_COLOURS_BGR = {
    Kind.PRODUCT: (96, 200, 60),
    Kind.HAND: (40, 140, 255),
    Kind.PERSON: (220, 120, 180),
    Kind.PRICE_LABEL: (230, 200, 60),
    Kind.GAP: (60, 60, 220),
}
_SLOT_BGR = (230, 230, 230)
_TEXT_BGR = (255, 255, 255)


def draw_look(
    image: Picture,
    detections: Detections | None,
    planogram: Planogram,
    camera: str,
    facts: Sequence[Fact] = (),
    counts: Mapping[str, str] | None = None,
) -> Picture:
    """A copy of the picture with slots, boxes, counts and what just happened drawn on it."""
    canvas = np.ascontiguousarray(image.copy())
    height, width = canvas.shape[:2]
    thin = max(1, round(width / 900))
    for slot, view in planogram.view_of(camera).slots.items():
        corners = (np.array(view.front) * (width, height)).round().astype(np.int32)
        cv2.polylines(canvas, [corners], True, _SLOT_BGR, thin, cv2.LINE_AA)
        text = (counts or {}).get(slot)
        if text:
            _label(canvas, text, int(corners[:, 0].min()) + 3, int(corners[:, 1].min()) + 14)
    if detections is not None:
        canvas = draw_boxes(canvas, detections)
    happened = [fact for fact in facts if isinstance(fact, SlotFact)]
    for line, fact in enumerate(happened):
        _label(canvas, f"{fact.action} {fact.quantity or ''} {fact.slot}", 8, 22 + 20 * line)
    return canvas


def draw_view(image: Picture, planogram: Planogram, camera: str) -> Picture:
    """A copy of the picture with every slot's space, its board and its id: is the calibration right?"""
    canvas = np.ascontiguousarray(image.copy())
    height, width = canvas.shape[:2]
    thin = max(1, round(width / 900))
    for slot, view in planogram.view_of(camera).slots.items():
        for polygon, colour in ((view.front, _SLOT_BGR), (view.floor, _COLOURS_BGR[Kind.PRODUCT])):
            if polygon is not None:
                corners = (np.array(polygon) * (width, height)).round().astype(np.int32)
                cv2.polylines(canvas, [corners], True, colour, thin, cv2.LINE_AA)
        left, top = (np.array(view.front) * (width, height)).min(axis=0).astype(int)
        _label(canvas, slot, int(left) + 3, int(top) + 14)
    return canvas


def draw_boxes(image: Picture, detections: Detections) -> Picture:
    """A copy of the picture with the detections' boxes, a colour for each kind; faint ones are not drawn."""
    canvas = np.ascontiguousarray(image.copy())
    thin = max(1, round(canvas.shape[1] / 900))
    for box, kind in zip(detections.boxes_px.round().astype(int), detections.kinds, strict=True):
        if kind == Kind.FAINT_PRODUCT:
            continue
        bold = thin if kind == Kind.PRODUCT else 2 * thin
        corners = (int(box[0]), int(box[1])), (int(box[2]), int(box[3]))
        cv2.rectangle(canvas, *corners, _COLOURS_BGR[Kind(kind)], bold, cv2.LINE_AA)
    return canvas


def _label(canvas: Picture, text: str, x: int, y: int) -> None:
    """Small text on a dark patch, readable on any picture."""
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    cv2.rectangle(canvas, (x - 2, y - text_height - 3), (x + text_width + 2, y + 4), (30, 30, 30), -1)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT_BGR, 1, cv2.LINE_AA)
