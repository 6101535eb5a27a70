"""A node's gallery: the newest good one is used, whatever comes over the network."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shelf_contracts.gallery import Embedder, Gallery, GalleryEntry, Reference, added, encode_gallery, write_gallery
from shelf_contracts.messages import GalleryOffer
from shelf_edge.adapters.clock import SystemClock
from shelf_edge.adapters.model_fetch import fetch_gallery
from shelf_edge.gallery_updates import GalleryUpdates

MODEL = Embedder(name="tiny", version="1", sha256="a" * 64)
OTHER_MODEL = MODEL.model_copy(update={"sha256": "b" * 64})
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def gallery(*gtins: str, embedder: Embedder = MODEL, dimension: int = 2) -> Gallery:
    vector = struct.pack("<e", 1.0) * dimension
    return added(
        Gallery(embedder, dimension),
        [
            Reference(GalleryEntry(gtin=gtin, photo_sha256=f"{number:064x}", enrolment="e1", at=NOW), vector)
            for number, gtin in enumerate(gtins)
        ],
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Collector:
    """Offers files over real HTTP."""

    folder: Path
    url: str

    def offer(self, found: Gallery, content: bytes | None = None, **changes: Any) -> GalleryOffer:
        raw = encode_gallery(found)
        (self.folder / found.revision).write_bytes(raw if content is None else content)
        about = {
            "revision": found.revision, "size_bytes": len(raw), "products": len(found.gtins),
            "photos": len(found.entries), "model_name": found.embedder.name, "model_version": found.embedder.version,
            "model_sha256": found.embedder.sha256, "at": NOW, "url": f"{self.url}/{found.revision}",
        }  # fmt: skip
        return GalleryOffer.model_validate({**about, **changes})


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    folder = tmp_path / "offered"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Collector(folder, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join(5)


@dataclass
class Node:
    updates: GalleryUpdates
    used: list[Gallery]
    told: threading.Condition = field(default_factory=threading.Condition)

    def until(self, is_true: Callable[[], bool]) -> None:
        """Waits for what the node tells of itself."""
        with self.told:
            assert self.told.wait_for(is_true, 20), self.updates.health()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def start(*, given: Path | None = None, accepts_offers: bool = True) -> Node:
        used: list[Gallery] = []
        node = Node(None, used)  # type: ignore[arg-type]

        def tell() -> None:
            with node.told:
                node.told.notify_all()

        node.updates = GalleryUpdates(
            tmp_path / "kept", given, MODEL, 2, fetch_gallery, used.append, SystemClock(),
            accepts_offers=accepts_offers, on_change=tell,
        )  # fmt: skip
        node.updates.start()
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.updates.stop(5)


def test_a_gallery_is_fetched_used_and_still_there_after_a_restart(
    collector: Collector, start_node: Callable[..., Node]
) -> None:
    node = start_node()
    assert node.updates.health().products == 0
    for number, gtins in enumerate((["4006381333931"], ["4006381333931", "8712345678906"]), start=1):
        found = gallery(*gtins)
        node.updates.take(collector.offer(found))
        node.until(lambda found=found: node.updates.health().revision == found.revision)  # type: ignore[misc]
        node.until(lambda: node.updates.health().state == "settled")
        assert (node.updates.health().products, len(node.used)) == (number, number + 1)
    node.updates.stop(5)
    again = start_node()
    assert again.updates.health().revision == found.revision
    assert again.used == [found]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda c, g: c.offer(g, b"something else"), "sha256"),
        (lambda c, g: c.offer(g, encode_gallery(g) + b"more"), "is more than offered"),
        (lambda c, g: c.offer(g, url=f"{c.url}/not-there"), "must be 200"),
        (lambda c, g: c.offer(g, url="http://127.0.0.1:9/x"), "ConnectionRefused"),
        (
            lambda c, g: c.offer(gallery("96385074", embedder=MODEL.model_copy(update={"sha256": "b" * 64}))),
            "same model",
        ),
        (lambda c, g: c.offer(gallery("96385074", dimension=3)), "the collector's gallery: dimension = 3: must be 2"),
        (lambda c, g: c.offer(gallery()), "the collector's gallery: entries = none: an empty gallery"),
        (lambda c, g: c.offer(gallery(), products=1), "enrol a product"),
        (lambda c, g: c.offer(gallery("96385074", embedder=OTHER_MODEL)), "recogniser.model of the node"),
        (lambda c, g: _offer_of_bytes(c, b"smartshelf.gallery.v1\n and nonsense"), "cut off or damaged"),
    ],
)
def test_a_bad_gallery_is_refused_and_the_old_one_stays(
    collector: Collector, start_node: Callable[..., Node], spoil: Any, text: str
) -> None:
    node, good = start_node(), gallery("4006381333931")
    node.updates.take(collector.offer(good))
    node.until(lambda: node.updates.health().revision == good.revision)
    node.updates.take(spoil(collector, gallery("8712345678906")))
    node.until(lambda: node.updates.health().state == "refused")
    health = node.updates.health()
    assert text in health.text
    assert "incoming" not in health.text, "nobody knows this file"
    assert health.revision == good.revision
    assert node.used[-1] == good
    node.updates.take(collector.offer(gallery("4006381333931", "96385074")))
    node.until(lambda: node.updates.health().products == 2)


def _offer_of_bytes(collector: Collector, raw: bytes) -> GalleryOffer:
    import hashlib

    name = hashlib.sha256(raw).hexdigest()
    (collector.folder / name).write_bytes(raw)
    offer = collector.offer(gallery("96385074"))
    return offer.model_copy(update={"revision": name, "size_bytes": len(raw), "url": f"{collector.url}/{name}"})


def test_what_failed_is_tried_again_until_it_is_there(collector: Collector, start_node: Callable[..., Node]) -> None:
    node, good = start_node(), gallery("4006381333931")
    offer = collector.offer(good)
    (collector.folder / good.revision).rename(collector.folder / "away")
    node.updates.take(offer)
    node.until(lambda: node.updates.health().state == "refused")
    (collector.folder / "away").rename(collector.folder / good.revision)
    node.until(lambda: node.updates.health().revision == good.revision)


def test_a_damaged_disk_gives_the_one_before_and_then_the_given_one(
    tmp_path: Path, start_node: Callable[..., Node]
) -> None:
    write_gallery(tmp_path / "kept" / "current.gallery", gallery("4006381333931"))
    (tmp_path / "kept" / "current.gallery").write_bytes(b"torn")
    write_gallery(tmp_path / "kept" / "previous.gallery", gallery("8712345678906"))
    assert start_node().used[0].gtins == ["08712345678906"]
    (tmp_path / "kept" / "previous.gallery").write_bytes(b"")
    write_gallery(tmp_path / "kept" / "current.gallery", gallery())
    write_gallery(tmp_path / "given.gallery", gallery("96385074"))
    assert start_node(given=tmp_path / "given.gallery").used[0].gtins == ["00000096385074"]


def test_a_node_that_takes_no_offers_says_so(collector: Collector, start_node: Callable[..., Node]) -> None:
    node = start_node(accepts_offers=False)
    node.updates.take(collector.offer(gallery("4006381333931")))
    node.until(lambda: node.updates.health().state == "refused")
    assert "recogniser.updates is false" in node.updates.health().text
