"""What a network that knows everyday objects can teach about photographs that nobody labelled.

YOLOX-nano was trained on COCO: it knows bottles, fruit, books and people, and takes the hand that holds a pack before
the lens for a person. From shop photos without a single box that gives products, hands, and products cut out whole.
Where it sees nothing nobody knows what is there, so nothing is taught there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from shelf_edge.core.coco import COCO_LABELS
from shelf_edge.core.geometry import box_iou
from shelf_edge.core.postprocess import suppress
from shelf_models.augment import Boxes, Labelled, Picture
from shelf_models.invented_objects import CutOut
from shelf_models.yolox_network import YoloxNano, grid_of

_SIDE_PX = 416
_LOWEST_SCORE = 0.08
_SURE_PRODUCT = 0.45
_SURE_HAND = 0.3
_AGREEING_IOU = 0.6
_AGREEING_SCORE = 0.2
_PERSON = COCO_LABELS.index("person")
_FURNITURE = frozenset(COCO_LABELS.index(name) for name in ("cake", "donut", "pizza", "hot dog", "keyboard", "oven"))
_ON_PACKS = frozenset(
    COCO_LABELS.index(name) for name in ("bowl", "banana", "apple", "orange", "broccoli", "cup", "wine glass")
)
"""What COCO's classes are mostly taken for on a pack: the picture printed on it."""
_LARGEST_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class Seen:
    """What the teacher sees in one photo: boxes (n, 4) xyxy in pixels, scores, COCO classes."""

    boxes: Boxes
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.intp]


def see(network: YoloxNano, picture: Picture) -> Seen:
    """The network's boxes, people apart from things, after suppression."""
    height, width = picture.shape[:2]
    scale = _SIDE_PX / (height * width) ** 0.5
    input_height, input_width = (max(32, round(side * scale / 32) * 32) for side in (height, width))
    fit = min(input_height / height, input_width / width)
    small = cv2.resize(picture, (min(input_width, round(width * fit)), min(input_height, round(height * fit))))
    canvas = np.full((input_height, input_width, 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    with torch.no_grad():
        rows = network(torch.from_numpy(canvas.transpose(2, 0, 1)[None].astype(np.float32)))[0]
    cells, strides = grid_of(input_height, input_width)
    centres, sides = (rows[:, :2] + cells) * strides, rows[:, 2:4].clamp(max=8).exp() * strides
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1).numpy() / np.float32(fit)
    chances = rows[:, 4:].sigmoid().numpy()
    classes = chances[:, 1:].argmax(axis=1)
    scores = chances[:, 0] * chances[:, 1:].max(axis=1)
    kept = scores > _LOWEST_SCORE
    boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
    chosen = suppress(boxes, scores, (classes == _PERSON).astype(np.uint8), 0.5)
    limit = np.array([width, height, width, height], np.float32)
    return Seen(np.clip(boxes[chosen], 0, limit), scores[chosen], classes[chosen])


def label(network: YoloxNano, picture: Picture, *, shows_pack_in_hand: bool) -> tuple[Labelled, list[CutOut]]:
    """What is certain in a photo as boxes (class 0 product, 1 hand; all else unsure), and products cut out of it.

    Certain is what the photo and its mirror image agree on.

    Args:
        shows_pack_in_hand: the photo shows a pack before the lens, so that a "person" is the hand that holds it, and
            fruit is printed on the pack.
    """
    height, width = picture.shape[:2]
    seen, mirrored = see(network, picture), see(network, np.ascontiguousarray(picture[:, ::-1]))
    turned = mirrored.boxes.copy()
    turned[:, [0, 2]] = width - mirrored.boxes[:, [2, 0]]
    boxes: list[npt.NDArray[np.float32]] = []
    classes: list[int] = []
    cuts: list[CutOut] = []
    for box, score, kind in zip(seen.boxes, seen.scores, seen.classes, strict=True):
        is_person = kind == _PERSON
        agreeing = (box_iou(box[None], turned)[0] > _AGREEING_IOU) & (mirrored.scores > _AGREEING_SCORE)
        if not (agreeing & ((mirrored.classes == _PERSON) == is_person)).any():
            continue
        if is_person:
            if shows_pack_in_hand and score > _SURE_HAND and classes.count(1) < 2:
                boxes.append(box)
                classes.append(1)
            continue
        share = float(np.prod(box[2:] - box[:2])) / (height * width)
        if score < _SURE_PRODUCT or share > _LARGEST_SHARE or kind in _FURNITURE:
            continue
        if shows_pack_in_hand and kind in _ON_PACKS:
            continue
        boxes.append(box)
        classes.append(0)
        cut = cut_out(picture, box)
        if cut is not None:
            cuts.append(cut)
    boxes.append(np.array([0, 0, width, height], np.float32))
    classes.append(-1)
    return Labelled(picture, np.array(boxes, np.float32), np.array(classes, np.int64)), cuts


_CUT_SIDE_PX = 220
_LEAST_CUT_PX = 60
_EDGE_PX = 4


def cut_out(picture: Picture, box: npt.NDArray[np.float32]) -> CutOut | None:
    """The thing in a box without what is around it (GrabCut), (h, w, 4) uint8; None when that comes out badly."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in box)
    side = max(x2 - x1, y2 - y1)
    at_edge = x1 < _EDGE_PX or y1 < _EDGE_PX or x2 > width - _EDGE_PX or y2 > height - _EDGE_PX
    if min(x2 - x1, y2 - y1) < _LEAST_CUT_PX or at_edge:
        return None
    scale, margin = min(1.0, _CUT_SIDE_PX / side), 0.25 * side
    left, top = max(0, int(x1 - margin)), max(0, int(y1 - margin))
    around = picture[top : min(height, int(y2 + margin)), left : min(width, int(x2 + margin))]
    crop = cv2.resize(around, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rectangle = [int(value * scale) for value in (x1 - left, y1 - top, x2 - x1, y2 - y1)]
    marks = np.zeros(crop.shape[:2], np.uint8)
    try:
        cv2.grabCut(crop, marks, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # nothing but one colour
        return None
    rough = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    cleaned = cv2.morphologyEx(rough, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    mask = np.asarray(cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    x, y, w, h = cv2.boundingRect(outline)
    mask[:] = 0
    cv2.drawContours(mask, [outline], -1, 255, -1)
    area = cv2.contourArea(outline)
    left, top, across, down = rectangle
    expected = np.array([[left, top, left + across, top + down]], np.float32)
    fits = float(box_iou(expected, np.array([[x, y, x + w, y + h]], np.float32))[0, 0])
    is_solid = area > 0.88 * max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
    if fits < 0.7 or area < 0.5 * w * h or not is_solid:
        return None
    return np.dstack([crop, mask])[y : y + h, x : x + w]


def blurred_backgrounds(pictures: Sequence[Picture], side_px: int = 480) -> list[Picture]:
    """Photos so blurred that only their light and colours are left."""
    made: list[Picture] = []
    for picture in pictures:
        small = cv2.resize(picture, (side_px // 2, side_px // 2), interpolation=cv2.INTER_AREA)
        blurred = cv2.resize(cv2.GaussianBlur(small, (0, 0), side_px / 40), (side_px, side_px))
        made.append(np.asarray(blurred, np.uint8))
    return made
