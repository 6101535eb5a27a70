"""A pack in a hand, on real photos: the shipped models, a real broker, a collector, and what the display says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.launcher import start_broker
from shelf_contracts import topics
from shelf_contracts.envelope import encode, node_source, wrap
from shelf_contracts.gallery import Gallery, GalleryEntry, Reference, added
from shelf_contracts.ids import gtin_check_digit
from shelf_contracts.messages import HeldProduct, SeenProduct
from shelf_contracts.planogram import Planogram
from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.pictures import read_picture
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser, load_recogniser
from shelf_edge.core.bay import Bay
from shelf_edge.core.facts import SlotFact
from shelf_edge.core.frame import Frame, Picture
from shelf_edge.core.reporting import slot_event
from shelf_edge.ports import Detector
from shelf_edge.recognising import HeldChange, Recognising
from shelf_models.product_photos import ProductPhoto, read_product_photos
from shelf_mqtt.address import BrokerAddress
from shelf_mqtt.session import MqttSession
from shelf_testing.browser import open_browser
from shelf_testing.demo import free_port
from shelf_testing.planograms import one_slot_planogram
from shelf_testing.real_data import real_data
from tests.collector.builders import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.browser, pytest.mark.slow]

_BODIES = [f"0952100548{number:03}" for number in range(7)]
*NUMBERS, ANOTHER = (body + str(gtin_check_digit(body)) for body in _BODIES)
"""Of a product that nobody holds."""
LEAST_CONFIRMED = 4
"""Of the six; 39 of 50 are (docs/recogniser-levers.md)."""
PHOTOS_A_PRODUCT = 8
SIZE = (960, 540)
FPS, BEFORE, CARRIED = 12, 4, 8
REACH = SlotFact("reach", "s1", 0, None, None, 0.9, 10.0, 10.3)


@dataclass
class Eyes:
    """The shipped models, and products known by a few photos each."""

    detector: Detector
    recogniser: OnnxRecogniser
    gallery: Gallery
    photos: dict[str, ProductPhoto]
    """By GTIN: somebody holds that product."""


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    asked, known = (
        read_product_photos(real_data("grocery-store", "dataset", split), "grocery-store").photos
        for split in ("val", "train")
    )
    by_kind = {photo.kind: photo for photo in reversed(asked) if photo.is_packed}
    photos = dict(zip(NUMBERS, by_kind.values(), strict=False))
    other = next(one.product for one in known if one.is_packed and one.kind not in [of.kind for of in photos.values()])
    recogniser = load_recogniser(model_folder(DEFAULT_RECOGNISER))
    numbers = {photo.product: gtin for gtin, photo in photos.items()} | {other: ANOTHER}
    enrolled = [
        one for product in numbers for one in [one for one in known if one.product == product][:PHOTOS_A_PRODUCT]
    ]
    vectors = recogniser.embed([read_picture(one.path) for one in enrolled]).astype("<f2")
    references = [
        Reference(
            GalleryEntry(
                gtin=numbers[one.product],
                photo_sha256=hashlib.sha256(one.path.read_bytes()).hexdigest(),
                enrolment="e-1",
                at=datetime(2026, 11, 22, tzinfo=UTC),
            ),
            vector.tobytes(),
        )
        for one, vector in zip(enrolled, vectors, strict=True)
    ]
    gallery = added(Gallery(recogniser.embedder, recogniser.dimension), references)
    return Eyes(load_detector(model_folder(), threads=1), recogniser, gallery, photos)


def frames(photo: Picture) -> Iterator[Picture]:
    """A camera that sees a blurred shelf, and before it, after a while, a hand with a pack that goes by."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.integers(70, 210, (SIZE[1], SIZE[0], 3)).astype(np.uint8), (0, 0), 6)
    scale = 330 / photo.shape[0]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    for number in range(BEFORE + CARRIED):
        image = cv2.add(ground, rng.integers(0, 8, ground.shape).astype(np.uint8))
        if number >= BEFORE:
            left = 250 + 26 * (number - BEFORE)
            image[90 : 90 + height, left : left + width] = small
        yield np.asarray(image, np.uint8)


def plan_of(gtin: str) -> Planogram:
    """A bay with one slot, of that product."""
    plan = one_slot_planogram()
    return plan.model_copy(update={"products": [one.model_copy(update={"gtin": gtin}) for one in plan.products]})


def told(eyes: Eyes, held: str, planned: str) -> list[HeldChange]:
    """What the node's chain says of a hand with one product, when it was at a slot of another (or the same) before."""
    plan = plan_of(planned)
    bay, recognising = Bay(plan, "c1"), Recognising(eyes.recogniser, eyes.recogniser.calibration)
    recognising.use(eyes.gallery)
    found = []
    for number, image in enumerate(frames(read_picture(eyes.photos[held].path))):
        frame = Frame(image, 10.0 + number / FPS, number)
        bay.wants_look(frame)
        facts = bay.advance(frame, eyes.detector.detect(image))
        recognising.follow(bay, plan, frame, [*facts, REACH] if number == BEFORE else facts)
        found += recognising.take_held()
    return found


def test_what_is_in_a_hand_is_the_slots_product_and_never_another_slots(eyes: Eyes) -> None:
    answers = [(gtin, one) for gtin in eyes.photos for one in told(eyes, gtin, gtin)]
    right = {gtin for gtin, one in answers if (one.slot, one.seen.verdict, one.seen.gtin) == ("s1", "known", gtin)}
    assert len(right) >= LEAST_CONFIRMED
    assert len(answers) == len(right), "nothing else is told, and each once"
    elsewhere = [one.seen.gtin for gtin in eyes.photos for one in told(eyes, gtin, ANOTHER)]
    assert ANOTHER not in elsewhere, "the slot alone is no proof"


def test_the_display_confirms_what_is_in_the_hand(eyes: Eyes, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    wanted, held = next((gtin, one) for gtin in eyes.photos for one in told(eyes, gtin, gtin))
    plan = plan_of(wanted)
    (tmp_path / "b1.json").write_text(plan.model_dump_json(by_alias=True))
    product = {"gtin": wanted, "name": {"en": "Juice"}}
    (tmp_path / "products.json").write_text(json.dumps({"schema": "smartshelf.products.v1", "products": [product]}))
    mqtt, http = free_port(), free_port()
    (tmp_path / "collector.toml").write_text(
        'store = "test"\nplanograms = ["b1.json"]\nproducts = ["products.json"]\n'
        f"[broker]\nport = {mqtt}\n[http]\nport = {http}\n[demo]\nopen_to_this_computer = true\n"
    )
    command = [sys.executable, "-m", "shelf_collector", "run", "--config", str(tmp_path / "collector.toml")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    config = BrokerConfig.model_validate({"kind": "embedded", "port": mqtt, "state": tmp_path / "broker"})
    with start_broker(config), (tmp_path / "log.txt").open("w") as log, open_browser() as browser:
        collector = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        session = MqttSession(BrokerAddress("127.0.0.1", mqtt), client_id="node-n01")
        session.start()
        try:
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            eventually(lambda: session.is_connected and is_ready(f"http://127.0.0.1:{http}/readyz"), 90)
            page.goto(f"http://127.0.0.1:{http}/display/b1?lang=en")
            expect(page.locator("#display")).to_have_attribute("data-revision", re.compile(r"\d"), timeout=30_000)
            _publish(session, plan.store, held.seen)
            confirmed = page.locator("#panels .in-hand")
            expect(confirmed).to_be_visible(timeout=30_000)
            expect(confirmed).to_have_text("In your hand")
        finally:
            session.stop()
            collector.terminate()
            collector.wait(30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _publish(session: MqttSession, store: str, seen: SeenProduct) -> None:
    """A reach, and a moment later what the hand holds."""
    now = datetime.now(UTC)
    fact = SlotFact("reach", "s1", 0, None, None, 0.9, now.timestamp(), now.timestamp())
    event = wrap(
        slot_event(fact, one_slot_planogram(), is_recording=False),
        source=node_source(store, "n01"),
        bay="b1",
        slot="s1",
        sequence=1,
        time=now,
    )
    reach = topics.build("slot_event", store=store, bay="b1", slot="s1", kind="reach")
    session.publish(reach, encode(event), qos=1)
    message = HeldProduct(node="n01", seen=seen, slot="s1", side=0.5, captured_at=now)
    session.publish(topics.build("bay_held", store=store, bay="b1"), encode(message), qos=0)
