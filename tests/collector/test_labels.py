"""Electronic labels: true pictures, and an access point that is busy, slow, or not there."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from shelf_collector.adapters.label_picture import label_picture
from shelf_collector.adapters.labels_openepaperlink import OpenEPaperLink
from shelf_collector.adapters.labels_simulated import SimulatedLabels
from shelf_collector.app import build
from shelf_collector.config import SetupProblems, load_setup
from shelf_collector.core.labels import Label, LabelProblem, LabelText, PushState
from shelf_collector.labels import Labels, LabelState
from tests.collector.conftest import FakeClock

MAC = "0000021F4A6B3C1D"
TEXT = LabelText("Fusilli", "Molino Aurora · 500 g", "€ 1,39", "€ 2,78 per kg", "", "", "09521000137004")
OFFER = replace(TEXT, price="€ 0,99", tag="Aanbieding −23 %", prior="€ 1,29 laagste prijs van de laatste 30 dagen")
LABEL = Label(MAC, 296, 128, has_red=True)


@dataclass
class AccessPoint:
    """Speaks an OpenEPaperLink access point's HTTP; ``busy`` uploads are refused first."""

    url: str = ""
    busy: int = 0
    hash: str = "0" * 32
    pending: int = 0
    kind: str = '{"width": 296, "height": 128, "colortable": {"white": 0, "red": 1}}'
    uploads: list[dict[str, bytes]] = field(default_factory=list)

    def fetch(self) -> None:
        """The label has looked, and shows the newest picture."""
        self.pending, self.hash = 0, f"{len(self.uploads):032x}"


def _parts(body: bytes, kind: str) -> dict[str, bytes]:
    boundary = b"--" + kind.partition("boundary=")[2].encode()
    found = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found[head.split(b'name="')[1].split(b'"')[0].decode()] = content.removesuffix(b"\r\n")
    return found


@pytest.fixture
def access_point() -> Iterator[AccessPoint]:
    point = AccessPoint()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            tag = {"mac": MAC, "hash": point.hash, "pending": point.pending, "hwType": 1, "batteryMv": 2910}
            if url.path == "/tagtypes/01.json":
                self.answer(200, point.kind)
            elif url.path != "/get_db":
                self.answer(404, "")
            elif "mac" in query:
                self.answer(200, json.dumps({"tags": [tag] if query["mac"] == [MAC] else []}))
            elif query.get("pos") == ["0"]:
                self.answer(200, json.dumps({"tags": [tag], "continu": 1}))
            else:
                self.answer(200, json.dumps({"tags": [{**tag, "mac": "FFFF021F4A6B3C1D"}]}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields = _parts(body, self.headers["Content-Type"])
            if point.busy:
                point.busy -= 1
                self.answer(409, "Come back later")
            elif fields["mac"].decode() != MAC:
                self.answer(400, "mac not found")
            else:
                point.uploads.append(fields)
                point.pending = 1
                self.answer(200, "Ok, saved")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    point.url = f"http://127.0.0.1:{server.server_port}"
    yield point
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def driver(access_point: AccessPoint) -> Iterator[OpenEPaperLink]:
    opened = OpenEPaperLink(access_point.url, sleep=lambda _: None)
    yield opened
    opened.close()


def colours(picture: Image.Image) -> set[tuple[int, ...]]:
    found = picture.getcolors(100_000)
    assert found is not None
    return {colour for _, colour in found if isinstance(colour, tuple)}


@pytest.mark.parametrize("size", [(152, 152), (296, 128), (400, 300), (800, 480)])
@pytest.mark.parametrize("text", [TEXT, OFFER, replace(TEXT, name="x" * 300), replace(TEXT, price="", unit_price="")])
def test_a_picture_has_only_colours_that_the_label_has(size: tuple[int, int], text: LabelText) -> None:
    picture = label_picture(text, Label("L", *size, has_red=True), "prijs: zie schap")
    assert picture.size == size
    assert colours(picture) <= {(0, 0, 0), (255, 255, 255), (255, 0, 0)}
    assert (0, 0, 0) in colours(picture)
    plain = label_picture(text, Label("L", *size, has_red=False), "prijs: zie schap")
    assert colours(plain) == {(0, 0, 0), (255, 255, 255)}


def test_the_same_text_has_the_same_revision() -> None:
    assert TEXT.revision == replace(TEXT).revision != OFFER.revision


def test_labels_are_found_page_by_page_with_their_size(driver: OpenEPaperLink) -> None:
    assert driver.discover() == [
        Label(MAC, 296, 128, has_red=True, battery_mv=2910),
        Label("FFFF021F4A6B3C1D", 296, 128, has_red=True, battery_mv=2910),
    ]


def test_a_picture_is_sent_and_is_shown_only_when_the_label_has_it(
    driver: OpenEPaperLink, access_point: AccessPoint
) -> None:
    access_point.busy = 2
    ticket = driver.push(LABEL, label_picture(OFFER, LABEL, ""), revision=OFFER.revision, ttl_s=3600)
    sent = access_point.uploads[0]
    assert (sent["mac"], sent["dither"], sent["ttl"]) == (MAC.encode(), b"0", b"60")
    picture = Image.open(io.BytesIO(sent["file"]))
    assert (picture.format, picture.size) == ("JPEG", (296, 128))
    assert driver.confirm(ticket) is PushState.QUEUED, "that it was taken does not mean that it is shown"
    access_point.fetch()
    assert driver.confirm(ticket) is PushState.SHOWN


def test_what_goes_wrong_is_said(driver: OpenEPaperLink, access_point: AccessPoint) -> None:
    picture = label_picture(TEXT, LABEL, "")
    access_point.busy = 3
    with pytest.raises(LabelProblem, match=r"busy \(409\)"):
        driver.push(LABEL, picture, revision="r", ttl_s=60)
    with pytest.raises(LabelProblem, match="does not know it"):
        driver.push(replace(LABEL, id="FFFFFFFFFFFFFFFF"), picture, revision="r", ttl_s=60)
    gone = OpenEPaperLink("http://127.0.0.1:9", sleep=lambda _: None)
    with pytest.raises(LabelProblem, match="is it on, and reachable"):
        gone.discover()
    gone.close()


@pytest.mark.parametrize("kind", ["not JSON", "[]", '{"width": 0, "height": 128}', '{"width": "x"}', "{}"])
def test_an_access_point_that_talks_nonsense_is_named(
    driver: OpenEPaperLink, access_point: AccessPoint, kind: str
) -> None:
    access_point.kind = kind
    with pytest.raises(LabelProblem, match=r"127\.0\.0\.1"):
        driver.discover()


@dataclass
class Shelf:
    """What one slot must say, which may change."""

    text: LabelText | None = TEXT
    noted: list[LabelState] = field(default_factory=list)

    def labels(self, driver: Any, clock: FakeClock) -> Labels:
        return Labels(driver, {MAC: ("a01", "s1-01")}, lambda *_: self.text, "-", self.noted.append, clock)


def test_a_label_follows_the_price_and_every_price_shown_is_noted(
    driver: OpenEPaperLink, access_point: AccessPoint
) -> None:
    shelf, clock = Shelf(), FakeClock()
    labels = shelf.labels(driver, clock)
    labels.round()
    labels.round()
    assert len(access_point.uploads) == 1, "what is on its way is not sent again"
    assert labels.states()[0].state is PushState.QUEUED
    access_point.fetch()
    labels.round()
    assert (labels.states()[0].state, labels.states()[0].shown_at) == (PushState.SHOWN, clock.now())
    shelf.text = OFFER
    labels.round()
    assert labels.states()[0].shown_at is None
    assert len(access_point.uploads) == 2
    clock.advance(301)
    labels.round()
    assert len(access_point.uploads) == 3, "what no label fetched in five minutes is sent again"
    access_point.fetch()
    labels.round()
    assert [state.wanted for state in shelf.noted] == [TEXT, OFFER]


def test_one_label_in_trouble_does_not_stop_the_others(tmp_path: Path) -> None:
    driver = SimulatedLabels(tmp_path, ["GOOD"])
    shelf = Shelf()
    places = {"ABSENT": ("a01", "s1-01"), "GOOD": ("a01", "s1-02")}
    labels = Labels(driver, places, lambda *_: TEXT, "-", shelf.noted.append, FakeClock())
    labels.round()
    absent, good = labels.states()
    assert (absent.state, absent.problem) == (PushState.FAILED, "no access point has heard of it")
    assert good.state is PushState.SHOWN
    with Image.open(tmp_path / "GOOD.png") as picture:
        assert picture.size == (296, 128)


def test_a_collector_with_simulated_labels(shop_folder: Path) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text() + '[labels.places]\nL-1 = "a01/s1-01"\n')
    collector = build(load_setup(config), FakeClock())
    try:
        labels = collector.web.state.labels
        labels.round()
        assert (labels.states()[0].state, labels.states()[0].wanted.price) == (PushState.SHOWN, "€ 1,39")
        assert (shop_folder / "state" / "labels" / "L-1.png").is_file()
        noted = collector.site.doorkeeper.accounts.newest_about("label.shown", "label:L-1")
        assert noted is not None
        assert json.loads(noted.detail)["price"] == "€ 1,39"
    finally:
        collector.site.doorkeeper.accounts.close()
        collector.site.database.close()


def test_labels_at_no_slot_and_a_driver_without_an_address_are_refused(shop_folder: Path) -> None:
    config = shop_folder / "collector.toml"
    text = config.read_text()
    config.write_text(text + '[labels.places]\nL-1 = "a01/s9-01"\n')
    with pytest.raises(SetupProblems, match=r"labels\.places\.L-1 = 'a01/s9-01': must be bay/slot"):
        load_setup(config)
    config.write_text(text + '[labels]\ndriver = "openepaperlink"\n[labels.places]\nL-1 = "a01/s1-01"\n')
    with pytest.raises(SetupProblems, match="address belongs to driver openepaperlink"):
        load_setup(config)
