"""The decoder against a plain one that says the same box by box, and slowly."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.shipped import model_folder
from shelf_edge.adapters.detector_onnx import OnnxDetector
from shelf_edge.adapters.model_folder import locate_model
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.suppression import GraphSuppression
from shelf_edge.core.detections import KIND_BY_NAME, Detections, Kind
from shelf_edge.core.postprocess import YOLOX_STRIDES, Decoder, Suppressing, suppress
from shelf_edge.core.preprocess import Placement

KINDS = (Kind.PRODUCT, Kind.HAND, Kind.IGNORE, Kind.PERSON)
PLACEMENT = Placement(0.5, 3, 0, width_px=250, height_px=180, input_width_px=128, input_height_px=96)
BY_GRAPH = GraphSuppression()
WAYS: tuple[Suppressing, ...] = (suppress, BY_GRAPH)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, float(width)) * max(0.0, float(height))
    areas = sum(float(box[2] - box[0]) * float(box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0


def kept_plainly(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, most_iou: float) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        same = [other for other in kept if kinds[other] == kinds[index]]
        if all(iou(boxes[other], boxes[index]) <= most_iou for other in same):
            kept.append(index)
    return kept


def parts_weighed_plainly(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, weight: float) -> np.ndarray:
    """As the decoder did it when it measured every two products."""
    scores = scores.copy()
    corners, sure = boxes[kinds == Kind.PRODUCT], scores[kinds == Kind.PRODUCT]
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    is_part = (shared >= 0.8 * area[:, None]) & (area[:, None] < area) & (sure >= 0.7 * sure[:, None])
    is_whole = np.ones(len(corners), np.bool_)
    for index in np.argsort(-area, kind="stable"):
        is_whole[index] = not (is_part[index] & is_whole).any()
    scores[np.flatnonzero(kinds == Kind.PRODUCT)[~is_whole]] *= np.float32(weight)
    return scores


def decoded_plainly(
    output: np.ndarray,
    placement: Placement,
    kinds_of: list[int],
    sure: float,
    lowest: float,
    most_iou: float,
    weight: float,
) -> Detections:
    """A YOLOX head's output, row by row."""
    boxes, scores, kinds = [], [], []
    at = 0
    for stride in YOLOX_STRIDES:
        for y in range(placement.input_height_px // stride):
            for x in range(placement.input_width_px // stride):
                row, at = output[0, at], at + 1
                label = int(row[5:].argmax())
                score, kind = row[4] * row[5 + label], kinds_of[label]
                if kind == Kind.IGNORE or row[4] < lowest or score < (lowest if kind == Kind.PRODUCT else sure):
                    continue
                centre = (row[:2] + np.array([x, y], np.float32)) * np.float32(stride)
                half = np.exp(np.minimum(row[2:4], np.float32(20))) * np.float32(stride / 2)
                boxes.append(np.concatenate([centre - half, centre + half]))
                scores.append(score)
                kinds.append(kind)
    boxes_px, all_scores = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)
    all_kinds = np.array(kinds, np.uint8)
    kept = kept_plainly(boxes_px, all_scores, all_kinds, most_iou)
    boxes_px, scores_kept, kinds_kept = boxes_px[kept], all_scores[kept], all_kinds[kept]
    weighed = parts_weighed_plainly(boxes_px, scores_kept, kinds_kept, weight)
    least = np.where(kinds_kept == Kind.PRODUCT, lowest, sure)
    order = np.array(
        [index for index in np.argsort(-weighed, kind="stable") if weighed[index] >= least[index]], np.intp
    )
    kinds_told = np.where(weighed[order] < sure, np.uint8(Kind.FAINT_PRODUCT), kinds_kept[order])
    return Detections(placement.undo(boxes_px[order]), weighed[order], kinds_told.astype(np.uint8))


def crowd(seed: int, width: int, height: int, labels: int, share: float) -> np.ndarray:
    """An output with clusters of boxes, boxes inside boxes, and mostly nothing."""
    rng = np.random.default_rng(seed)
    cells = sum((width // stride) * (height // stride) for stride in YOLOX_STRIDES)
    output = np.empty((1, cells, 5 + labels), np.float32)
    output[0, :, :2] = rng.normal(0.5, 0.6, (cells, 2))
    output[0, :, 2:4] = rng.normal(0.8, 0.7, (cells, 2))
    output[0, :, 4] = np.where(rng.random(cells) < share, rng.random(cells), rng.random(cells) * 0.02)
    output[0, :, 5:] = rng.random((cells, labels)) ** 0.5
    return output


def assert_same(found: Detections, plain: Detections) -> None:
    """The same boxes in the same order; numbers may differ in the last places, for NumPy counts many at once."""
    assert found.kinds.tolist() == plain.kinds.tolist()
    np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-6)
    np.testing.assert_allclose(found.boxes_px, plain.boxes_px, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1), faint=st.booleans(), weight=st.sampled_from([1.0, 0.4]))
def test_what_is_told_is_what_a_plain_decoder_tells(
    way: Suppressing, seed: int, share: float, faint: bool, weight: float
) -> None:
    output = crowd(seed, PLACEMENT.input_width_px, PLACEMENT.input_height_px, len(KINDS), share)
    decoder = Decoder("yolox", KINDS, 0.3, 0.6, weight, 0.05 if faint else None, way)
    plain = decoded_plainly(output, PLACEMENT, list(KINDS), 0.3, 0.05 if faint else 0.3, 0.6, weight)
    assert_same(decoder(output, PLACEMENT), plain)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 60), most_iou=st.sampled_from([0.3, 0.6, 0.9]))
def test_the_graph_keeps_what_opencv_keeps(seed: int, count: int, most_iou: float) -> None:
    rng = np.random.default_rng(seed)
    corner, size = rng.random((count, 2)) * 60, rng.random((count, 2)) * 40 + 1
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    scores = rng.choice(np.linspace(0.1, 0.9, 9), count).astype(np.float32)  # many are equally sure
    kinds = rng.integers(1, 5, count).astype(np.uint8)
    kept = BY_GRAPH(boxes, scores, kinds, most_iou)
    assert kept.tolist() == sorted(suppress(boxes, scores, kinds, most_iou).tolist())
    assert kept.tolist() == sorted(kept_plainly(boxes, scores, kinds, most_iou))


@pytest.mark.parametrize("tells_faint", [False, True])
def test_real_pictures_are_told_as_a_plain_decoder_tells_them(tells_faint: bool) -> None:
    located = locate_model(model_folder())
    manifest = located.manifest
    assert manifest.golden is not None
    detector = OnnxDetector(located, tells_faint=tells_faint)
    golden = read_picture(located.onnx.parent / manifest.golden.picture)
    rng = np.random.default_rng(0)
    views: list[Callable[[], np.ndarray]] = [
        lambda: golden,
        lambda: cv2.resize(golden, (1280, 720)),
        lambda: cv2.flip(cv2.resize(golden, (960, 540)), 1),
        lambda: cv2.resize(golden, (1280, 720))[::-1, :640],
        lambda: rng.integers(0, 256, (480, 640, 3), np.uint8),
        lambda: np.zeros((720, 1280, 3), np.uint8),
    ]
    kinds_of = [int(KIND_BY_NAME[manifest.kinds.get(label, "ignore")]) for label in manifest.labels]
    sure = manifest.score_threshold
    for view in views:
        look = detector.look(np.ascontiguousarray(view(), np.uint8))
        plain = decoded_plainly(
            look.output,
            look.placement,
            kinds_of,
            sure,
            0.15 * sure if tells_faint else sure,
            manifest.iou_threshold,
            manifest.part_weight,
        )
        assert_same(detector.decode(look), plain)
