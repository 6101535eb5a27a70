from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_models.metrics import PictureResult, score_detections


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def result(found: np.ndarray, scores: list[float], truth: np.ndarray) -> PictureResult:
    return PictureResult(found, np.array(scores, np.float32), truth)


A, B, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (100, 100, 110, 110)


def test_perfect_detections_score_one() -> None:
    score = score_detections([result(boxes(A, B), [0.9, 0.8], boxes(A, B))], 0.5)
    assert (score.ap50, score.recall, score.precision, score.count_mae) == (pytest.approx(1.0), 1.0, 1.0, 0.0)


def test_a_true_box_is_matched_once() -> None:
    score = score_detections([result(boxes(A, A), [0.9, 0.8], boxes(A))], 0.5)
    assert (score.recall, score.precision, score.count_mae) == (1.0, 0.5, 1.0)


def test_half_found_with_a_better_false_one() -> None:
    """The false box comes first: precision 0, then 1/2; half of the recalls get 1/2, the rest nothing."""
    score = score_detections([result(boxes(FAR, A), [0.9, 0.8], boxes(A, B))], 0.5)
    assert score.ap50 == pytest.approx(51 / 101 * 0.5)


def test_the_threshold_decides_recall_but_not_the_area() -> None:
    low = score_detections([result(boxes(A, B), [0.9, 0.2], boxes(A, B))], 0.5)
    assert (low.recall, low.ap50) == (0.5, pytest.approx(1.0))


def test_nothing_found_is_nothing() -> None:
    score = score_detections([result(boxes(), [], boxes(A))], 0.5)
    assert (score.ap50, score.recall, score.precision, score.count_mae) == (0.0, 0.0, 0.0, 1.0)


def test_without_truth_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no true box"):
        score_detections([result(boxes(A), [0.5], boxes())], 0.5)


@given(st.integers(0, 700), st.integers(1, 700))
@settings(max_examples=30)
def test_hundreds_of_boxes_have_no_hidden_cap(found: int, true: int) -> None:
    grid = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(max(found, true))])
    score = score_detections([result(grid[:found], [0.9] * found, grid[:true])], 0.5)
    assert score.recall == pytest.approx(min(found, true) / true)


def test_a_cap_of_100_boxes_would_take_more_than_half_of_a_dense_shelf_away() -> None:
    """The trap of COCO's tools; ours is 300, and more where a picture holds more."""
    grid = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(225)])
    dense = [result(grid, [0.9] * 225, grid)]
    assert score_detections(dense, 0.5, max_dets=100).ap50 == pytest.approx(45 / 101)
    assert score_detections(dense, 0.5).ap50 == pytest.approx(1.0)
    assert score_detections(dense, 0.5).max_dets == 300


def test_ap_falls_with_looser_boxes_and_ap50_does_not() -> None:
    true, loose = boxes((0, 0, 100, 100)), boxes((0, 0, 100, 72))
    score = score_detections([result(loose, [0.9], true)], 0.5)
    assert (score.ap50, score.ap) == (pytest.approx(1.0), pytest.approx(0.5))


def test_recall_at_precision_80_is_the_best_point_of_the_curve() -> None:
    truth = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(10)])
    found = np.concatenate([truth[:4], boxes(FAR), truth[4:5], boxes(FAR, FAR)])
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    score = score_detections([result(found, scores, truth)], 0.5)
    assert score.recall_at_precision_80 == pytest.approx(0.5)
    assert score.score_at_precision_80 == pytest.approx(0.4)


@pytest.mark.parametrize("order", [(A, FAR), (FAR, A)])
def test_no_threshold_cuts_between_equal_scores(order: tuple[tuple[int, ...], ...]) -> None:
    """A hit and a miss of one score: every threshold takes both or neither, whichever comes first."""
    score = score_detections([result(boxes(*order), [0.9, 0.9], boxes(A))], 0.5)
    assert (score.recall_at_precision_80, score.score_at_precision_80) == (0.0, None)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.2, 0.4, 0.6, 0.8])), min_size=1, max_size=12), st.randoms())
def test_recall_at_precision_80_is_one_that_a_threshold_gives_in_any_order(
    made: list[tuple[bool, float]], chance: random.Random
) -> None:
    rows = [
        ((20 * i, 0, 20 * i + 10, 10) if hit else (20 * i, 50, 20 * i + 10, 60), at) for i, (hit, at) in enumerate(made)
    ]
    truth = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(len(made))])
    best = 0.0
    for threshold in {at for _, at in rows}:
        taken = [hit for hit, at in made if at >= threshold]
        best = max(best, sum(taken) / len(made)) if sum(taken) >= 0.8 * len(taken) else best
    chance.shuffle(rows)
    score = score_detections([result(boxes(*[box for box, _ in rows]), [at for _, at in rows], truth)], 0.5)
    assert score.recall_at_precision_80 == pytest.approx(best)


def test_the_area_with_300_boxes_is_told_beside_that_with_more() -> None:
    grid = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(600)])
    dense = score_detections([result(grid, [0.9] * 600, grid)], 0.5)
    assert (dense.max_dets, dense.most_boxes) == (1200, 600)
    assert dense.ap50 == pytest.approx(1.0)
    assert [dense.ap50_at_300, dense.ap_at_300] == pytest.approx([51 / 101] * 2)
    usual = score_detections([result(grid[:300], [0.9] * 300, grid[:300])], 0.5)
    assert (usual.max_dets, usual.ap50_at_300, usual.ap_at_300) == (300, usual.ap50, usual.ap)


def test_what_is_found_in_an_ignored_region_is_neither_right_nor_wrong() -> None:
    seen = PictureResult(boxes(A, B), np.array([0.9, 0.8], np.float32), boxes(A), boxes((15, 0, 40, 10)))
    score = score_detections([seen], 0.5)
    assert (score.precision, score.recall, score.count_mae) == (1.0, 1.0, 0.0)
