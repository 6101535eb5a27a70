"""The shipped recogniser on photos of packs in people's hands, known by one catalogue picture each."""

from __future__ import annotations

import pytest

from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.recogniser_onnx import load_recogniser
from shelf_edge.core.recognition import decide, looks_of
from shelf_models.evaluate_recogniser import embed_photos, top1
from shelf_models.product_photos import read_product_photos
from shelf_testing.real_data import real_data

pytestmark = pytest.mark.real


def test_packs_in_a_hand_are_known_by_one_catalogue_picture() -> None:
    photos = read_product_photos(real_data("grocery-store", "dataset", "val"), "grocery-store")
    recogniser = load_recogniser(model_folder(DEFAULT_RECOGNISER))
    packed = [photo for photo in photos.photos if photo.is_packed][::2]
    catalogue = embed_photos(recogniser, photos.catalogue)
    asked = embed_photos(recogniser, packed)
    right = top1(catalogue, asked)
    assert right is not None
    assert right >= 0.6, "one catalogue picture a product must be enough for most packs"
    looks = looks_of(catalogue.references(), asked.vectors, recogniser.calibration)
    answers = [decide(look, recogniser.calibration) for look in looks]
    said = [(one, photo) for one, photo in zip(answers, packed, strict=True) if one.verdict == "known"]
    wrong = [one for one, photo in said if one.product != photo.product]
    assert len(wrong) <= 0.2 * max(1, len(said)), "what it says for sure must hold"
