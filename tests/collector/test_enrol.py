"""Enrolment through the collector: who may, what it says, what nodes are offered, and what is never kept."""

from __future__ import annotations

import base64
import errno
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shelf_collector.adapters.vision_worker import PhotoProblem, VisionProblem, VisionWorker
from shelf_collector.adapters.web.photo_answers import words_of
from shelf_collector.core.access import Role
from shelf_collector.core.texts import WORDS
from shelf_collector.ports import StorageProblem
from shelf_contracts.gallery import (
    Gallery,
    GalleryEntry,
    Reference,
    added,
    decode_gallery,
    read_gallery,
    undone,
    write_gallery,
)
from shelf_contracts.messages import GalleryHealth, GalleryOffer, ModelInfo, NodeHealth, NodeInfo, SeenProduct
from tests.collector.builders import GTINS, NOON, Node, at
from tests.collector.conftest import Shop
from tests.collector.eyes import MODEL, TINY_JPEG
from tests.collector.visitors import Visitor, logged_in

BOX = [0.2, 0.1, 0.6, 0.9]
MILK, TEA = GTINS[2], GTINS[3]


@pytest.fixture
def shop(locked_folder: Path, open_shop: Any) -> Shop:
    opened: Shop = open_shop()
    return opened


@pytest.fixture
def staff(shop: Shop) -> Visitor:
    return logged_in(shop, "Anna", Role.STAFF)


def marked(visitor: Visitor) -> dict[str, str]:
    return {"X-Form-Mark": visitor.mark("/enrol")}


def take(visitor: Visitor, photo: bytes) -> str:
    answer = visitor.ask("POST", "/api/v1/enrol/photos", content=photo, headers=marked(visitor))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["photo"])


def wish(gtin: str, *photos: str) -> dict[str, object]:
    return {"gtin": gtin, "photos": [{"photo": photo, "box": BOX} for photo in photos]}


def send(visitor: Visitor, path: str, content: object) -> httpx.Response:
    return visitor.ask("POST", f"/api/v1/enrol{path}", json=content, headers=marked(visitor))


def enrol(visitor: Visitor, gtin: str, *photos: bytes) -> dict[str, Any]:
    answer = send(visitor, "", wish(gtin, *(take(visitor, photo) for photo in photos)))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_what_is_enrolled_is_offered_to_the_nodes_without_names(shop: Shop, staff: Visitor) -> None:
    saved = enrol(staff, GTINS[0], b"a one", b"a two")
    offer = GalleryOffer.model_validate(shop.bus.newest("gallery/offer"))
    assert (offer.revision, offer.products, offer.photos) == (saved["revision"], 1, 2)
    content = Visitor(shop, "192.168.1.20", "http://192.168.1.2").get(f"/galleries/{offer.revision}").content
    assert len(content) == offer.size_bytes
    fetched = decode_gallery(content, "x")
    assert fetched.revision == offer.revision
    assert {entry.by for entry in fetched.entries} == {""}
    kept = read_gallery(shop.setup.gallery_folder / "shop.gallery")
    assert {entry.by for entry in kept.entries} == {"Anna"}
    rows = [row for row in shop.site.doorkeeper.accounts.log_page(None, 20) if row.action == "gallery.enrolled"]
    assert [(row.actor, row.subject) for row in rows] == [("person:Anna", f"product:{GTINS[0]}")]
    assert json.loads(rows[0].detail)["photos"] == 2


def test_an_enrolment_is_undone_and_a_product_forgotten(shop: Shop, staff: Visitor) -> None:
    first = enrol(staff, GTINS[0], b"a one")
    second = enrol(staff, GTINS[1], b"b one")
    left = send(staff, "/undo", {"enrolment": second["enrolment"]}).json()
    assert [product["gtin"] for product in left["products"]] == [GTINS[0]]
    assert shop.bus.newest("gallery/offer")["revision"] == left["revision"] == first["revision"]
    assert send(staff, "/undo", {"enrolment": second["enrolment"]}).status_code == 422
    assert send(staff, "/remove", {"gtin": GTINS[0]}).status_code == 403
    admin = logged_in(shop, "Cato", Role.ADMIN)
    assert send(admin, "/remove", {"gtin": GTINS[0]}).json()["products"] == []
    assert shop.bus.newest("gallery/offer")["revision"] == first["revision"], "nodes keep the last one"
    found = admin.get("/api/v1/enrol").json()
    assert all(word in found["problem"] for word in ("shop.gallery", "empty gallery", "enrol a product"))
    assert (found["known"], found["can_look"]) == (0, True)
    again = enrol(staff, GTINS[1], b"c one")
    assert shop.bus.newest("gallery/offer")["revision"] == again["revision"]
    assert staff.get("/api/v1/enrol").json()["problem"] == ""
    actions = {row.action for row in shop.site.doorkeeper.accounts.log_page(None, 20)}
    assert {"gallery.enrolled", "gallery.undone", "gallery.removed"} <= actions


def test_a_product_has_one_kind_that_nodes_get_and_that_can_be_changed(shop: Shop, staff: Visitor) -> None:
    def offered() -> set[tuple[str, str]]:
        offer = GalleryOffer.model_validate(shop.bus.newest("gallery/offer"))
        content = Visitor(shop, "192.168.1.20", "http://192.168.1.2").get(f"/galleries/{offer.revision}").content
        return {(entry.gtin, entry.kind) for entry in decode_gallery(content, "x").entries}

    enrol(staff, GTINS[0], b"a one")
    assert send(staff, "", {**wish(GTINS[0], take(staff, b"a two")), "kind": " pasta "}).status_code == 200
    enrol(staff, GTINS[0], b"a three")
    assert offered() == {(GTINS[0], "pasta")}, "all views of a product are of its kind, also the ones before and after"
    changed = send(staff, "/kind", {"gtin": GTINS[0], "kind": "noodles"}).json()
    assert [(product["gtin"], product["kind"]) for product in changed["products"]] == [(GTINS[0], "noodles")]
    assert offered() == {(GTINS[0], "noodles")}
    assert 'data-kind="noodles"' in staff.get("/enrol").text
    assert send(staff, "/kind", {"gtin": GTINS[1], "kind": "noodles"}).status_code == 422
    assert send(staff, "/kind", {"gtin": GTINS[0], "kind": "x" * 65}).status_code == 422
    rows = [row for row in shop.site.doorkeeper.accounts.log_page(None, 20) if row.action == "gallery.kind"]
    assert [(row.actor, row.subject) for row in rows] == [("person:Anna", f"product:{GTINS[0]}")]


def test_look_alikes_and_bad_light_are_told_before_saving(staff: Visitor) -> None:
    enrol(staff, GTINS[0], b"a one")
    found = send(staff, "/check", wish(GTINS[1], take(staff, b"A dark"), take(staff, b"b"))).json()
    assert found["name"]["en"] == "Spaghetti"
    assert [[one["kind"] for one in photo] for photo in found["warnings"]] == [["dark"], []]
    assert [(one["gtin"], one["name"]["en"], one["similarity"]) for one in found["look_alikes"]] == [
        (GTINS[0], "Fusilli", 0.93)
    ]
    again = send(staff, "/check", wish(GTINS[1], take(staff, b"a one"))).json()
    assert "other-product" in {one["kind"] for one in again["warnings"][0]}


def test_bad_input_changes_nothing(shop: Shop, staff: Visitor) -> None:
    enrol(staff, GTINS[0], b"a one")
    before = (shop.setup.gallery_folder / "shop.gallery").read_bytes()
    assert staff.ask("POST", "/api/v1/enrol/photos", content=b"", headers=marked(staff)).status_code == 422
    refused = staff.ask("POST", "/api/v1/enrol/photos", content=b"\x00\x01", headers=marked(staff))
    assert (refused.status_code, "must be a JPEG" in refused.json()["error"]["message"]) == (422, True)
    huge = staff.ask("POST", "/api/v1/enrol/photos", content=bytes(16 * 2**20 + 1), headers=marked(staff))
    assert (huge.status_code, "16384 KB: make the file smaller" in huge.text) == (413, True)
    photo = take(staff, b"b one")
    for content, status in (
        (wish("09521000137005", photo), 422),
        (wish(GTINS[1]), 422),
        (wish(GTINS[1], "0" * 24), 409),
        ({**wish(GTINS[1], photo), "more": 1}, 422),
        ({"gtin": GTINS[1], "photos": [{"photo": photo, "box": [0, 0, 2, 2]}]}, 422),
        (wish(GTINS[1], take(staff, b"a one")), 422),
    ):
        assert send(staff, "", content).status_code == status, content
    assert (shop.setup.gallery_folder / "shop.gallery").read_bytes() == before


def test_of_many_who_enrol_at_once_all_stay_and_one_photo_is_one_product(shop: Shop) -> None:
    people = [logged_in(shop, name, Role.STAFF) for name in ("Anna", "Ben")]
    own = [[take(one, b"abcdefgh"[n : n + 1] + b" one") for n in range(who, 8, 2)] for who, one in enumerate(people)]
    asked = [(one, wish(GTINS[who], photo)) for who, one in enumerate(people) for photo in own[who]]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: send(one[0], "", one[1]), asked))
    assert [answer.status_code for answer in answers] == [200] * 8
    kept = read_gallery(shop.setup.gallery_folder / "shop.gallery")
    assert sorted((entry.gtin, entry.by) for entry in kept.entries) == sorted(
        [(GTINS[0], "Anna")] * 4 + [(GTINS[1], "Ben")] * 4
    )
    assert len({entry.enrolment for entry in kept.entries}) == 8, "each can be undone by itself"
    offer = GalleryOffer.model_validate(shop.bus.newest("gallery/offer"))
    assert offer.photos == 8

    # The same photo at the same moment, for two products and twice for one: the first one counts, the other is told.
    for gtins in ((GTINS[0], GTINS[1]), (GTINS[0], GTINS[0])):
        raw = b"x " + gtins[1].encode()
        both = [(one, wish(gtin, take(one, raw))) for one, gtin in zip(people, gtins, strict=True)]
        with ThreadPoolExecutor(2) as pool:
            answers = sorted(pool.map(lambda one: send(one[0], "", one[1]), both), key=lambda one: one.status_code)
        assert [answer.status_code for answer in answers] == [200, 422]
        said = answers[1].json()["error"]["message"]
        if gtins[0] == gtins[1]:
            assert "was enrolled before" in said
        else:
            assert "photo 1 = " in said
            assert any(f"already a reference of {name}" in said for name in ("Fusilli (", "Spaghetti ("))
            assert "one photo stands for one product" in said
            assert "entries[" not in said


def test_a_photo_without_a_product_is_enrolled_only_with_a_crop_drawn_by_hand(shop: Shop, staff: Visitor) -> None:
    taken = staff.ask("POST", "/api/v1/enrol/photos", content=b"grey", headers=marked(staff)).json()
    assert [one["kind"] for one in taken["warnings"]] == ["no-product"]
    other = {"photo": take(staff, b"b one"), "box": [0, 0, 1, 1]}
    whole = {"gtin": GTINS[0], "photos": [other, {"photo": taken["photo"], "box": taken["proposals"][0]}]}
    for path in ("", "/check"):
        refused = send(staff, path, whole)
        said = refused.json()["error"]["message"]
        assert (refused.status_code, "photo 2: no product was found" in said) == (422, True), said
        assert "draw the crop" in said
    assert not (shop.setup.gallery_folder / "shop.gallery").exists()
    drawn = {"gtin": GTINS[0], "photos": [other, {"photo": taken["photo"], "box": BOX}]}
    assert send(staff, "", drawn).status_code == 200


def test_of_several_photos_the_one_that_is_refused_is_called_by_its_files_name(staff: Visitor) -> None:
    def sent(photo: bytes, name: str) -> httpx.Response:
        where = f"/api/v1/enrol/photos?name={quote(name)}"
        return staff.ask("POST", where, content=photo, headers=marked(staff))

    refused = sent(b"\x00\x01", "tè 3.jpg")
    assert (refused.status_code, "tè 3.jpg: " in refused.json()["error"]["message"]) == (422, True), refused.text
    grey = sent(b"grey", "grey\n.jpg").json()
    whole = {"gtin": GTINS[0], "photos": [{"photo": grey["photo"], "box": grey["proposals"][0]}]}
    assert "grey.jpg: no product was found" in send(staff, "/check", whole).json()["error"]["message"]
    assert sent(b"a one", "x" * 101).status_code == 422


def test_a_gallery_that_goes_away_under_a_running_collector_is_told_until_it_is_back(
    shop: Shop, staff: Visitor
) -> None:
    enrol(staff, GTINS[0], b"a one")
    file = shop.setup.gallery_folder / "shop.gallery"

    def problem() -> str:
        assert shop.site.enrolling is not None
        shop.site.enrolling.galleries.look()
        return str(staff.ask("GET", "/api/v1/enrol").json()["problem"])

    kept = file.rename(file.with_name("kept"))
    assert "shop.gallery: is gone; nodes keep the gallery they have" in problem()
    kept.rename(file)
    assert problem() == ""


def logged(shop: Shop) -> int:
    rows = shop.site.doorkeeper.accounts.log_page(None, 50)
    return sum(row.action in ("gallery.enrolled", "gallery.undone") for row in rows)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fails", ["the gallery", "the log"])
def test_on_a_full_disk_a_change_is_in_the_gallery_and_in_the_log_or_in_neither(
    shop: Shop, staff: Visitor, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    saved = enrol(staff, GTINS[0], b"a one")
    file, asked = shop.setup.gallery_folder / "shop.gallery", wish(GTINS[1], take(staff, b"b one"))
    before, rows, form = file.read_bytes(), logged(shop), marked(staff)
    with monkeypatch.context() as patched:
        if fails == "the gallery":
            patched.setattr("shelf_contracts.gallery.os.fsync", full_disk)
        else:

            def note(*_: object) -> None:
                raise StorageProblem("disk full")

            patched.setattr(shop.site.doorkeeper.accounts, "note", note)
        for path, content in (("", asked), ("/undo", {"enrolment": saved["enrolment"]})):
            refused = staff.ask("POST", f"/api/v1/enrol{path}", json=content, headers=form)
            assert refused.status_code == (507 if fails == "the gallery" else 503), refused.text
            said = refused.json()["error"]["message"]
            assert "nothing was changed" in said
            assert "try again" in said
            assert ("shop.gallery" if fails == "the gallery" else "the log") in said
    assert file.read_bytes() == before
    assert logged(shop) == rows
    assert list(file.parent.glob("*.part")) == []
    assert shop.bus.newest("gallery/offer")["revision"] == saved["revision"]
    assert send(staff, "", asked).status_code == 200, "the photo waits until there is room"
    assert logged(shop) == rows + 1


def test_no_room_for_a_thumbnail_costs_the_thumbnail_only(locked_folder: Path, open_shop: Any) -> None:
    with (locked_folder / "collector.toml").open("a") as config:
        config.write("enrolment.keep_thumbnails = true\n")
    shop = open_shop()
    shop.setup.gallery_folder.mkdir(parents=True, exist_ok=True)
    (shop.setup.gallery_folder / "thumbnails").write_text("no folder: nothing can be written into it")
    staff = logged_in(shop, "Anna", Role.STAFF)
    saved = enrol(staff, GTINS[0], b"a one")
    assert logged(shop) == 1
    assert send(staff, "/undo", {"enrolment": saved["enrolment"]}).status_code == 200


def test_photos_of_others_and_old_ones_are_out_of_reach(shop: Shop, staff: Visitor) -> None:
    photo = take(staff, b"b one")
    assert send(logged_in(shop, "Ben", Role.STAFF), "", wish(GTINS[1], photo)).status_code == 409
    shop.clock.advance(16 * 60)
    assert send(staff, "", wish(GTINS[1], photo)).status_code == 409


def test_other_sites_and_viewers_change_nothing(shop: Shop, staff: Visitor) -> None:
    for headers in ({}, {"X-Form-Mark": "0" * 64}, {**marked(staff), "Origin": "https://evil.example"}):
        assert staff.ask("POST", "/api/v1/enrol/photos", content=b"a", headers=headers).status_code == 403
    assert logged_in(shop, "Vera", Role.VIEWER).get("/enrol").status_code == 303


@pytest.mark.parametrize("keeps", [False, True])
def test_no_photo_is_kept_and_a_thumbnail_only_where_allowed(locked_folder: Path, open_shop: Any, keeps: bool) -> None:
    with (locked_folder / "collector.toml").open("a") as config:
        config.write(f"enrolment.keep_thumbnails = {str(keeps).lower()}\n")
    shop = open_shop()
    staff = logged_in(shop, "Anna", Role.STAFF)
    saved = enrol(staff, GTINS[0], b"a SECRET-PHOTO")
    shop.site.doorkeeper.accounts.close()
    kept = [path for path in locked_folder.rglob("*") if path.is_file() and b"SECRET-PHOTO" in path.read_bytes()]
    assert kept == []
    thumbnails = list((shop.setup.gallery_folder / "thumbnails").glob("*"))
    assert len(thumbnails) == keeps
    product = staff.get("/api/v1/enrol").json()["products"][0]
    assert (product["thumbnail"] is not None) == keeps
    if keeps:
        assert staff.get(product["thumbnail"]).content == TINY_JPEG
        send(staff, "/undo", {"enrolment": saved["enrolment"]})
        assert list((shop.setup.gallery_folder / "thumbnails").glob("*")) == []


def test_the_queue_says_where_unknown_things_stand_and_carries_no_picture(shop: Shop, staff: Visitor) -> None:
    node = Node()
    unknown = SeenProduct(verdict="unknown", kind="tea", confidence=0.9, gallery="a" * 12, since=NOON, looks=7)
    shop.say(node.stock("s1-02", 3, seen=unknown), node.stock("s1-01", 3))
    found = staff.get("/api/v1/enrol").json()["unknown"]
    assert [(item["place"]["slot"], item["looks"], item["kind"]) for item in found] == [("2", 7, "tea")]
    assert found[0]["planned_name"]["en"] == "Spaghetti"
    assert set(found[0]) == {
        "place", "since", "looks", "kind", "planned_gtin", "planned_name", "bay", "slot", "candidates",
        "can_be_named", "picture_on",
    }  # fmt: skip
    assert found[0]["picture_on"] is None
    assert not found[0]["can_be_named"], "an older node tells no embedding"


def test_one_of_two_products_that_do_not_belong_there_is_in_the_queue_with_both(shop: Shop, staff: Visitor) -> None:
    node = Node()
    for second, (gtin, other) in enumerate([(GTINS[2], GTINS[3]), (GTINS[1], GTINS[3])]):
        either = SeenProduct(
            verdict="ambiguous", gtin=gtin, other=other, confidence=0.9, gallery="a" * 12, since=NOON, looks=7
        )
        shop.say(node.stock("s1-02", 3, seen=either, now=at(second)))
        found = staff.get("/api/v1/enrol").json()["unknown"]
        assert [len(item["candidates"]) for item in found] == ([2] if second == 0 else []), "the planned one may be it"


def test_an_unknown_thing_is_named_without_a_photo_and_the_name_taken_back(shop: Shop, staff: Visitor) -> None:
    before = enrol(staff, MILK, b"a front")
    node, vector = Node(), struct.pack("<2e", 0.6, 0.8)
    unknown = SeenProduct(
        verdict="unknown", confidence=0.9, gallery=before["revision"][:12], since=NOON, looks=7,
        embedding=base64.b64encode(vector).decode(),
    )  # fmt: skip
    shop.say(node.stock("s1-02", 3, seen=unknown))
    item = staff.get("/api/v1/enrol").json()["unknown"][0]
    assert item["can_be_named"]
    asked = {"bay": item["bay"], "slot": item["slot"], "since": item["since"], "gtin": TEA}
    late = send(staff, "/seen", {**asked, "since": "2020-01-01T00:00:00Z"})
    assert (late.status_code, "something else stands there" in late.text) == (409, True)
    assert send(staff, "/seen", {**asked, "slot": "s1-09"}).status_code == 409
    named = send(staff, "/seen", asked)
    assert named.status_code == 200, named.text
    assert shop.site.enrolling is not None
    galleries = shop.site.enrolling.galleries
    assert galleries.present is not None
    assert (galleries.present.gtins, galleries.present.vector(1)) == (sorted([MILK, TEA]), vector)
    again = send(staff, "/seen", asked)
    assert (again.status_code, "is not the one that is offered" in again.text) == (422, True), "by the gallery before"
    assert send(staff, "/undo", {"enrolment": named.json()["enrolment"]}).status_code == 200
    assert galleries.present.gtins == [MILK]


def test_what_a_node_tells_of_an_unknown_thing_is_not_believed_blindly(shop: Shop, staff: Visitor) -> None:
    before = enrol(staff, MILK, b"a front")
    for embedding, told in (("AAAA", "3 bytes"), (base64.b64encode(b"\0\0\0\0").decode(), "all zero")):
        seen = SeenProduct(
            verdict="unknown", confidence=0.9, gallery=before["revision"][:12], since=NOON, looks=7, embedding=embedding
        )
        shop.say(Node().stock("s1-02", 3, seen=seen))
        item = staff.get("/api/v1/enrol").json()["unknown"][0]
        answer = send(staff, "/seen", {name: item[name] for name in ("bay", "slot", "since")} | {"gtin": TEA})
        assert answer.status_code == 422, told
    assert shop.site.enrolling is not None
    galleries = shop.site.enrolling.galleries
    assert galleries.present is not None
    assert galleries.present.gtins == [MILK]


def test_a_large_gallery_is_listed_in_part_and_counted_whole(shop: Shop, staff: Visitor) -> None:
    enrol(staff, MILK, b"a front")
    assert shop.site.enrolling is not None
    galleries = shop.site.enrolling.galleries
    present = galleries.present
    assert present is not None
    digits = [f"{number:012d}" for number in range(1, 402)]
    numbers = [one + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(one)) % 10) for one in digits]
    entries = [
        GalleryEntry(gtin=f"0{number}", photo_sha256=f"{i:064x}", enrolment=f"e-{i}", at=NOON)
        for i, number in enumerate(numbers)
    ]
    many = [Reference(entry, struct.pack("<2e", 0.6, 0.8)) for entry in entries]
    galleries.add(present.embedder, present.dimension, many, lambda _: None)
    found = staff.get("/api/v1/enrol").json()
    assert (found["known"], len(found["products"])) == (402, 300)


def test_after_a_restart_a_node_that_is_off_is_still_listed(locked_folder: Path, open_shop: Any) -> None:
    models = [ModelInfo(role="recogniser", name="eyes", version="1", sha256="e" * 64, licence="x")]
    first = open_shop()
    for name, has in (("n01", models), ("n02", [])):
        info = NodeInfo(node=name, session="s", software="1", models=has)
        first.say_raw((f"smartshelf/v1/demo/node/{name}/info", info.model_dump_json().encode()))
    again = open_shop()
    found = logged_in(again, "Anna", Role.STAFF).get("/api/v1/enrol").json()["nodes"]
    assert [(node["node"], node["is_live"], node["state"]) for node in found] == [("n01", False, "unknown")], (
        "one without a recogniser has nothing to learn"
    )


def test_which_nodes_run_it_is_told(shop: Shop, staff: Visitor) -> None:
    saved = enrol(staff, GTINS[0], b"a one")
    for revision, is_live in (("b" * 64, False), (saved["revision"], True)):
        health = NodeHealth(
            node="n01", session="s", time=NOON, uptime_s=1, rss_mb=1, outbox_messages=0,
            gallery=GalleryHealth(revision=revision),
        )  # fmt: skip
        shop.say_raw(("smartshelf/v1/demo/node/n01/health", health.model_dump_json().encode()))
        nodes = staff.get("/api/v1/enrol").json()["nodes"]
        assert [(node["node"], node["is_live"]) for node in nodes] == [("n01", is_live)]


def test_the_command_lines_changes_are_noticed_and_a_bad_file_changes_nothing(shop: Shop, staff: Visitor) -> None:
    saved = enrol(staff, GTINS[0], b"a one")
    galleries = shop.site.enrolling.galleries if shop.site.enrolling else None
    assert galleries is not None
    second = enrol(staff, GTINS[1], b"b one")
    write_gallery(galleries.file, undone(read_gallery(galleries.file)))
    galleries.look()
    assert second["revision"] != shop.bus.newest("gallery/offer")["revision"] == saved["revision"]
    good = read_gallery(galleries.file)
    write_gallery(galleries.file, undone(good))
    galleries.look()
    assert shop.bus.newest("gallery/offer")["products"] == 1
    assert "enrol a product" in staff.get("/api/v1/enrol").json()["problem"]
    entry = good.entries[0]
    for odd in (
        added(Gallery(MODEL, 3), [Reference(entry, b"\x00\x3c" * 3)]),
        replace(good, embedder=MODEL.model_copy(update={"sha256": "d" * 64})),
    ):
        write_gallery(galleries.file, odd)
        galleries.look()
        problem = staff.get("/api/v1/enrol").json()["problem"]
        assert "shop.gallery" in problem
        assert "enrol the photos again" in problem
        assert shop.bus.newest("gallery/offer")["revision"] == saved["revision"]
        assert send(staff, "/undo", {"enrolment": saved["enrolment"]}).status_code == 422
    galleries.file.write_bytes(b"spoilt")
    galleries.look()
    assert "must begin with the line" in staff.get("/api/v1/enrol").json()["problem"]
    assert send(staff, "", wish(GTINS[1], take(staff, b"b"))).status_code == 422
    assert galleries.file.read_bytes() == b"spoilt"
    assert shop.bus.newest("gallery/offer")["revision"] == saved["revision"]


def test_a_restarted_collector_offers_what_was_enrolled(locked_folder: Path, open_shop: Any) -> None:
    saved = enrol(logged_in(open_shop(), "Anna", Role.STAFF), GTINS[0], b"a one")
    again = open_shop()
    again.site.enrolling.galleries.look()
    assert again.bus.newest("gallery/offer")["revision"] == saved["revision"]


def test_the_page_speaks_three_languages_and_says_what_is_missing(shop: Shop, staff: Visitor) -> None:
    for language in WORDS:
        text = staff.get(f"/enrol?lang={language}").text
        assert WORDS[language]["enrol_lead"].replace("'", "&#39;") in text
        assert set(words_of("enrol", language)) == set(words_of("enrol", "en"))
    shop.site.enrolling.worker.missing = "onnxruntime missing: pip install"  # type: ignore[union-attr,misc]
    assert "onnxruntime" in staff.get("/api/v1/enrol").json()["problem"]
    answer = staff.ask("POST", "/api/v1/enrol/photos", content=b"a", headers=marked(staff))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


# -- the helper process ------------------------------------------------------------------------------------------------

CHILD = """
import json, struct, sys, time
def tell(header, body=b""):
    text = json.dumps({**header, "body": len(body)}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(text)) + text + body); sys.stdout.buffer.flush()
tell({"ok": True, "dimension": 2, "embedder": {"name": "m", "version": "1", "sha256": "0" * 64}})
while True:
    start = sys.stdin.buffer.read(4)
    if len(start) < 4: break
    header = json.loads(sys.stdin.buffer.read(struct.unpack(">I", start)[0]))
    photo = sys.stdin.buffer.read(header["body"])
    if photo == b"die": sys.exit(9)
    if photo == b"hang": time.sleep(60)
    if photo == b"bad": tell({"ok": False, "problem": "no picture"}); continue
    tell({"ok": True, "sha256": "a" * 64, "width": 4, "height": 3, "proposals": [[0, 0, 1, 1]], "warnings": []})
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    package = tmp_path / "shelf_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(CHILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("shelf_collector.adapters.vision_worker._ANSWER_S", 2.0)
    worker = VisionWorker()
    yield worker
    worker.stop()


def test_a_photo_that_kills_or_hangs_the_helper_costs_that_photo_only(helper: VisionWorker) -> None:
    assert helper.look("photo", b"x" * 300_000).width == 4
    with pytest.raises(PhotoProblem, match="no picture"):
        helper.look("photo", b"bad")
    with pytest.raises(VisionProblem, match="ended with code 9"):
        helper.look("photo", b"die")
    with pytest.raises(VisionProblem, match="takes too long"):
        helper.look("photo", b"hang")
    assert helper.look("photo", b"fine").width == 4
    assert helper.describe()[1] == 2


def test_a_helper_that_keeps_ending_is_left_alone(helper: VisionWorker) -> None:
    for _ in range(5):
        with pytest.raises(VisionProblem, match="code 9"):
            helper.look("photo", b"die")
    with pytest.raises(VisionProblem, match="ended 5 times"):
        helper.look("photo", b"fine")


def test_a_helper_that_cannot_start_says_what_to_install(helper: VisionWorker, tmp_path: Path) -> None:
    (tmp_path / "shelf_models" / "__main__.py").write_text(
        CHILD.split("while True")[0].replace('"ok": True', '"ok": False, "missing": "onnxruntime"')
    )
    with pytest.raises(VisionProblem, match=r"onnxruntime missing: pip install 'smartshelf\[models\]'"):
        helper.look("photo", b"x")
    assert "onnxruntime" in helper.missing
