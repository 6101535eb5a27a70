from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelf_contracts.gallery import Embedder, Gallery, GalleryEntry, Reference, added
from shelf_edge.core.recognition import (
    UNSEEN,
    Calibration,
    Candidate,
    Look,
    VoteRules,
    build_references,
    decide,
    kind_chances,
    looks_of,
    product_cosines,
    recognise_slot,
    references_of,
    vote,
)

PLAIN = Calibration(temperature=0.05, none_cosine=0.6)
SEEDS = st.integers(0, 2**32 - 1)


def unit(rng: np.random.Generator, rows: int, dimension: int = 16) -> np.ndarray:
    vectors = rng.normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def look(none: float = 0.0, **chances: float) -> Look:
    """A look with these chances; the kind of a product is its first letter."""
    rows = [Candidate(name, name[0], 0.5 + chance / 2, chance) for name, chance in chances.items()]
    return Look(tuple(sorted(rows, key=lambda one: -one.chance)), none)


# -- matching ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(0, 12))
def test_one_matrix_product_gives_each_products_nearest_view_and_centre(seed: int, views: int, crops: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, asked = unit(rng, views), unit(rng, crops)
    names = [f"p{rng.integers(7)}" for _ in range(views)]
    references = build_references(matrix, names)
    found = product_cosines(references, asked)
    assert found.shape == (crops, len(set(names)))
    for column, product in enumerate(references.products):
        mine = matrix[[row for row, name in enumerate(names) if name == product]]
        nearest = (asked @ mine.T).max(axis=1, initial=-2.0)
        centre = mine.mean(axis=0)
        expected = (nearest + asked @ (centre / np.linalg.norm(centre))) / 2
        assert found[:, column] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 5))
def test_every_layout_of_views_gives_the_naive_answer(seed: int, views: list[int], crops: int) -> None:
    """Many products of few views (layers), few of many (the rest), and both."""
    rng = np.random.default_rng(seed)
    names = rng.permutation([f"p{product:02}" for product, many in enumerate(views) for _ in range(many)]).tolist()
    matrix, asked = unit(rng, len(names)), unit(rng, crops)
    references = build_references(matrix * rng.uniform(0.1, 3, (len(names), 1)), names)
    assert sorted(references.products) == sorted(set(names))
    assert len(references.vectors) == len(names), "no more memory than the views"
    found = product_cosines(references, asked)
    for column, product in enumerate(references.products):
        mine = matrix[[row for row, name in enumerate(names) if name == product]].astype(np.float64)
        centre = mine.sum(axis=0)
        expected = ((asked @ mine.T).max(axis=1) + asked @ (centre / np.linalg.norm(centre))) / 2
        assert found[:, column] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_references_makes_no_difference(seed: int, shuffler: object) -> None:
    rng = np.random.default_rng(seed)
    matrix, asked = unit(rng, 12), unit(rng, 3)
    names = [f"p{row % 5}" for row in range(12)]
    order = list(range(12))
    shuffler.shuffle(order)  # type: ignore[attr-defined]
    there = looks_of(build_references(matrix, names), asked, PLAIN)
    here = looks_of(build_references(matrix[order], [names[row] for row in order]), asked, PLAIN)
    assert [[one.product for one in look.candidates] for look in there] == [
        [one.product for one in look.candidates] for look in here
    ]


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_a_reference_itself_is_known_and_the_chances_add_up(seed: int, products: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = unit(rng, products, 64)
    references = build_references(matrix, [f"p{row:02}" for row in range(products)])
    for row, found in enumerate(looks_of(references, matrix, PLAIN)):
        assert found.candidates[0].product == f"p{row:02}"
        assert found.candidates[0].cosine == pytest.approx(1.0, abs=1e-5)
        assert len(found.candidates) == min(10, products)
        assert found.none_chance + sum(one.chance for one in found.candidates) == pytest.approx(1.0)
        cosines = [one.cosine for one in found.candidates]
        assert cosines == sorted(cosines, reverse=True)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_one_more_product_never_makes_another_likelier(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, asked = unit(rng, 6), unit(rng, 2)
    names = [f"p{row}" for row in range(6)]
    few = looks_of(build_references(matrix[:5], names[:5]), asked, PLAIN)
    more = looks_of(build_references(matrix, names), asked, PLAIN)
    for less, now in zip(few, more, strict=True):
        chances = {one.product: one.chance for one in now.candidates}
        assert all(chances[one.product] <= one.chance + 1e-12 for one in less.candidates)
        assert now.none_chance <= less.none_chance + 1e-12


def test_a_gallery_is_read_as_it_is_written() -> None:
    embedder = Embedder(name="m", version="1", sha256="0" * 64)
    rng = np.random.default_rng(1)
    vectors = unit(rng, 3, 8).astype("<f2")
    gtins = ["04006381333931", "08712345678906", "04006381333931"]
    entries = [
        GalleryEntry(gtin=gtin, photo_sha256=f"{row}" * 64, enrolment=f"e{row}", at="2026-11-22T10:00:00Z", kind=kind)  # type: ignore[arg-type]
        for row, (gtin, kind) in enumerate(zip(gtins, ["pen", "", ""], strict=True))
    ]
    gallery = added(
        Gallery(embedder, 8),
        [Reference(entry, vector.tobytes()) for entry, vector in zip(entries, vectors, strict=True)],
    )
    references = references_of(gallery)
    assert references.products == ("04006381333931", "08712345678906")
    assert references.kinds == ("pen", "")
    assert (references.layers, references.rests.tolist(), len(references.lengths)) == ((2,), [0], 1)
    assert references.revision == gallery.revision
    assert np.linalg.norm(references.vectors, axis=1) == pytest.approx(1.0, abs=1e-6)


def test_nothing_enrolled_knows_nothing() -> None:
    empty = references_of(Gallery(Embedder(name="m", version="1", sha256="0" * 64), 8))
    assert looks_of(empty, unit(np.random.default_rng(0), 2, 8), PLAIN) == [UNSEEN, UNSEEN]
    answer = decide(UNSEEN, PLAIN)
    assert (answer.verdict, answer.product, answer.probability) == ("unknown", "", 1.0)


def test_the_kind_is_what_most_views_say() -> None:
    matrix = unit(np.random.default_rng(0), 4)
    assert build_references(matrix, ["a", "a", "a", "b"], ["x", "y", "y", ""]).kinds == ("y", "")


@pytest.mark.parametrize(
    ("matrix", "products", "kinds"),
    [
        (np.ones((2, 4)), ["a"], []),
        (np.ones((2, 4)), ["a", "b"], ["x"]),
        (np.ones(4), ["a"], []),
        (np.zeros((1, 4)), ["a"], []),
    ],
)
def test_references_that_do_not_fit_are_refused(matrix: np.ndarray, products: list[str], kinds: list[str]) -> None:
    with pytest.raises(ValueError, match=r"must be as many rows|all zero"):
        build_references(matrix, products, kinds)


def test_crops_of_another_model_are_refused() -> None:
    references = build_references(unit(np.random.default_rng(0), 2, 16), ["a", "b"])
    with pytest.raises(ValueError, match=r"must be \(n, 16\)"):
        product_cosines(references, np.ones((1, 8), np.float32))


# -- decisions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "verdict", "product", "other", "kind", "probability"),
    [
        (look(0.1, a1=0.85, b1=0.05), "known", "a1", "", "a", 0.85),
        (look(0.1, a1=0.5, a2=0.4), "ambiguous", "a1", "a2", "a", 0.9),
        (look(0.1, a1=0.5, b1=0.4), "ambiguous", "a1", "b1", "", 0.9),
        (look(0.6, a1=0.25, a2=0.15), "unknown", "", "", "a", 0.6),
        (look(0.6, a1=0.2, b1=0.2), "unknown", "", "", "", 0.6),
        (look(0.999, a1=0.001), "unknown", "", "", "", 0.999),
        (look(0.1, a1=0.9), "known", "a1", "", "a", 0.9),
    ],
)
def test_answers(seen: Look, verdict: str, product: str, other: str, kind: str, probability: float) -> None:
    answer = decide(seen, PLAIN)
    assert (answer.verdict, answer.product, answer.other, answer.kind) == (verdict, product, other, kind)
    assert answer.probability == pytest.approx(probability)


def test_chances_of_kinds() -> None:
    chances = kind_chances(look(0.1, a1=0.5, a2=0.1, b1=0.3))
    assert chances == {"a": pytest.approx(0.6), "b": pytest.approx(0.3)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=6), st.floats(0.001, 1.0))
def test_an_answer_keeps_its_promises(weights: list[float], none: float) -> None:
    total = sum(weights) + none
    seen = look(none / total, **{f"p{i}": weight / total for i, weight in enumerate(weights)})
    answer = decide(seen, PLAIN)
    assert 0.0 <= answer.probability <= 1.0
    assert (answer.verdict == "unknown") == (1 - seen.none_chance < PLAIN.least_known)
    if answer.verdict == "known":
        assert seen.candidates[0].chance >= PLAIN.least_share * (1 - seen.none_chance) - 1e-9
        assert answer.other == ""
    if answer.verdict == "ambiguous":
        assert answer.product != answer.other


# -- votes ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=8), SEEDS)
def test_the_order_of_the_looks_makes_no_difference(rows: list[tuple[float, float, float]], seed: int) -> None:
    looks = [look(c / (a + b + c), p=a / (a + b + c), q=b / (a + b + c)) for a, b, c in rows]
    mixed = [looks[index] for index in np.random.default_rng(seed).permutation(len(looks))]
    one, two = vote(looks), vote(mixed)
    assert [c.product for c in one.candidates] == [c.product for c in two.candidates]
    assert one.none_chance == pytest.approx(two.none_chance)
    assert one.none_chance + sum(c.chance for c in one.candidates) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 0.98), st.integers(1, 10))
def test_looks_that_agree_grow_surer_but_never_beyond_reason(chance: float, looks: int) -> None:
    one = look((1 - chance) / 2, p=chance, q=(1 - chance) / 2)
    less, more = vote([one] * looks), vote([one] * (looks + 1))
    assert more.candidates[0].product == "p"
    assert more.candidates[0].chance >= less.candidates[0].chance - 1e-9
    assert vote([one] * 1000).candidates[0].chance == pytest.approx(vote([one] * 6).candidates[0].chance)


def test_the_planogram_tips_the_scales_and_can_be_overruled() -> None:
    even = look(0.1, p=0.45, q=0.45)
    assert vote([even], expected="q").candidates[0].product == "q"
    assert vote([even], expected="p").candidates[0].product == "p"
    clear = look(0.05, p=0.9, q=0.05)
    assert vote([clear] * 3, expected="q").candidates[0].product == "p"
    assert vote([clear] * 3, expected="q").candidates[0].chance > 0.9


def test_the_planogram_does_not_conjure_up_what_is_not_seen() -> None:
    other = look(0.05, p=0.95)
    assert [one.product for one in vote([other], expected="q").candidates] == ["p"]
    strange = look(0.95, q=0.05)
    assert vote([strange] * 3, expected="q").none_chance > 0.9


def test_a_slot_with_one_wrong_item_tells_both() -> None:
    right, wrong = look(0.05, p=0.9, q=0.05), look(0.05, q=0.9, p=0.05)
    found = recognise_slot([[right] * 3, [right] * 2, [wrong] * 3, []], PLAIN, expected="p")
    assert found.slot.product == "p"
    assert [answer.product for answer in found.facings] == ["p", "p", "q", ""]
    assert found.facings[3].verdict == "unknown"


def test_neighbours_settle_what_one_facing_cannot() -> None:
    doubtful, clear = look(0.1, p=0.46, q=0.44), look(0.02, q=0.96, p=0.02)
    rules = VoteRules(neighbour_odds=4.0)
    found = recognise_slot([[doubtful], [clear] * 3, [clear] * 3], PLAIN, rules=rules)
    assert found.facings[0].product == "q"
    alone = recognise_slot([[doubtful]], PLAIN, rules=rules)
    assert alone.facings[0].verdict == "ambiguous"
    assert (alone.slot.verdict, alone.slot.product, alone.slot.other) == ("ambiguous", "p", "q")


def test_nothing_seen_is_unknown() -> None:
    assert recognise_slot([], PLAIN).slot.verdict == "unknown"
    assert recognise_slot([[], []], PLAIN, expected="p").facings[0].verdict == "unknown"
    assert vote([UNSEEN, UNSEEN]) == UNSEEN
