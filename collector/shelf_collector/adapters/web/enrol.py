"""/enrol: products enrolled by sight, on a phone. /galleries: what nodes fetch of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from shelf_collector.adapters.vision_worker import INSTALL, Warned
from shelf_collector.adapters.web.entrance import form_page
from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import visit_of
from shelf_collector.adapters.web.pages import language_of
from shelf_collector.adapters.web.photo_answers import in_words, must_be_own, words_of
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.core.access import Role
from shelf_collector.core.views import PlaceView
from shelf_collector.enrolling import MOST_PHOTOS_AT_ONCE, Chosen, Enrolling
from shelf_contracts.gallery import PhotoTaken
from shelf_contracts.ids import BayId, Gtin, SlotId
from shelf_contracts.messages import SeenProduct, UtcTime, iso_time
from shelf_contracts.products import Text, text_in

router = APIRouter()
T = TypeVar("T")

pages = APIRouter(include_in_schema=False)

_MOST_PRODUCTS = 500
_MOST_LISTED = 300
"""A phone shows no more, and asks for it every few seconds."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Revision = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
_LONGEST_KIND = 64
Kind = Annotated[str, Field(max_length=_LONGEST_KIND)]
"""What a product is when the very product is not sure: milk, apple."""
Mark = Annotated[str, Header(alias="X-Form-Mark", max_length=100)]
PhotoName = Annotated[str, Query(max_length=100)]


class PhotoView(BaseModel):
    """A photo that waits in memory for a quarter of an hour. ``proposals``: x1 y1 x2 y2 in shares, the best first."""

    photo: str
    width: int
    height: int
    proposals: list[tuple[float, float, float, float]]
    warnings: list[Warned]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChosenPhoto(_Body):
    photo: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    box: tuple[Share, Share, Share, Share]


class EnrolRequest(_Body):
    """Photos of one product, and what of each is the product."""

    gtin: Gtin
    kind: Kind = ""
    photos: Annotated[list[ChosenPhoto], Field(min_length=1, max_length=MOST_PHOTOS_AT_ONCE)]


class SeenRequest(_Body):
    """What an unknown thing on the shelf is. ``since``: as the queue says, so that it is still the same thing."""

    bay: BayId
    slot: SlotId
    since: UtcTime
    gtin: Gtin
    kind: Kind = ""


class KindRequest(_Body):
    """Of what kind a product is; an empty one takes it back."""

    gtin: Gtin
    kind: Kind


class UndoRequest(_Body):
    enrolment: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class RemoveRequest(_Body):
    gtin: Gtin


class LookAlikeView(BaseModel):
    """A product that looks alike; ``similarity`` is a cosine, ``thumbnail`` an address when a picture is kept.

    ``photo``: which of the photos looks most like it, by its place among them.
    """

    gtin: str
    name: Text
    similarity: float
    thumbnail: str | None
    photo: int = 0


class CheckView(BaseModel):
    """``warnings``: of each photo, in their order."""

    name: Text
    warnings: list[list[Warned]]
    look_alikes: list[LookAlikeView]


class EnrolledView(BaseModel):
    enrolment: str
    gtin: str
    name: Text
    revision: str


class KnownProduct(BaseModel):
    """A product that is enrolled. ``enrolment`` is its newest one; ``kind`` is empty where nobody said it."""

    gtin: str
    name: Text
    kind: str
    photos: int
    at: UtcTime
    by: str
    enrolment: str
    thumbnail: str | None


class NodeGallery(BaseModel):
    """What a node runs; ``is_live`` when it is what is offered.

    ``state``: as the node's health tells it, or ``unknown`` when it was not heard since we started.
    """

    node: str
    is_present: bool
    is_live: bool
    state: str
    revision: str
    text: str


class UnknownItem(BaseModel):
    """Something on a shelf that nobody enrolled: where, since when, how often seen, what the plan wants there.

    ``candidates``: it may be one of these two, of which the plan wants neither there.
    """

    place: PlaceView
    since: UtcTime
    looks: int
    kind: str
    planned_gtin: str | None
    planned_name: Text
    bay: str
    slot: str
    candidates: list[Text] = []
    can_be_named: bool
    """Whether staff may say what it is without a photo."""
    picture_on: str | None = None
    """The node that keeps a picture of it, where the shop allows that; it is looked at there and sent nowhere."""


class EnrolView(BaseModel):
    """``problem``: why nothing can be enrolled here, or is not offered to nodes; empty when all is well.

    ``can_look``: False when it is that photos cannot be looked at. ``products``: the newest 300 of ``known``.
    """

    problem: str
    can_look: bool
    revision: str | None
    known: int
    products: list[KnownProduct]
    unknown: list[UnknownItem]
    nodes: list[NodeGallery]


@router.get("/galleries/{revision}", tags=["models"])
def get_gallery(request: Request, revision: Revision) -> Response:
    """The gallery that nodes are offered; nodes trust its hash, not this address."""
    enrolling = site_of(request).enrolling
    content = enrolling.galleries.content(revision) if enrolling is not None else None
    if content is None:
        raise not_found("gallery", revision, [])
    return Response(content, media_type="application/octet-stream")


@router.get("/api/v1/enrol", tags=["enrolment"])
def get_enrol(request: Request) -> EnrolView:
    """What is enrolled, what is unknown on the shelves, and which nodes have it."""
    site, enrolling = site_of(request), _enrolling(request)
    offered = enrolling.galleries.offered
    return EnrolView(
        problem=enrolling.worker.missing or enrolling.galleries.problem,
        can_look=not enrolling.worker.missing,
        revision=offered.revision if offered is not None else None,
        known=len(enrolling.galleries.present.gtins) if enrolling.galleries.present is not None else 0,
        products=_known(site, enrolling)[:_MOST_LISTED],
        unknown=_unknown(site),
        nodes=_nodes(site, offered.revision if offered is not None else ""),
    )


@router.post("/api/v1/enrol/photos", tags=["enrolment"])
async def add_photo(request: Request, mark: Mark = "", name: PhotoName = "") -> PhotoView:
    """A photo as the body. It is looked at, kept in memory for a quarter of an hour, and never written to disk.

    ``name`` is the file's, for what is said of it.
    """
    must_be_own(request, mark)
    enrolling, who = _enrolling(request), visit_of(request).who
    raw = await request.body()
    if not raw:
        raise HTTPException(422, "the photo is empty")
    called = "".join(letter for letter in name if letter.isprintable()).strip()
    photo, look = await run_in_threadpool(in_words, lambda: enrolling.take(who, raw, called))
    return PhotoView(photo=photo, **look.model_dump(exclude={"sha256"}))


@router.post("/api/v1/enrol/check", tags=["enrolment"])
def check(request: Request, asked: EnrolRequest, mark: Mark = "") -> CheckView:
    """What to know before saving: what is wrong with the crops, and which products look alike."""
    must_be_own(request, mark)
    site, enrolling, who = site_of(request), _enrolling(request), visit_of(request).who
    found = in_words(lambda: enrolling.check(who, asked.gtin, _chosen(asked)))
    pictures = {product.gtin: product.thumbnail for product in _known(site, enrolling)}
    names = _names(site, [asked.gtin, *(one.gtin for one in found.look_alikes)])
    alike = [
        LookAlikeView(
            gtin=one.gtin,
            name=names[one.gtin],
            similarity=one.similarity,
            thumbnail=pictures.get(one.gtin),
            photo=one.photo,
        )
        for one in found.look_alikes
    ]
    return CheckView(name=names[asked.gtin], warnings=found.warnings, look_alikes=alike)


@router.post("/api/v1/enrol", tags=["enrolment"])
def enrol(request: Request, asked: EnrolRequest, mark: Mark = "") -> EnrolledView:
    """Enrol: all of these photos or none. Nodes take the new gallery by themselves."""
    must_be_own(request, mark)
    site, enrolling, visit = site_of(request), _enrolling(request), visit_of(request)
    name, _ = _in_words(
        site, lambda: enrolling.enrol(visit.who, visit.origin, asked.gtin, asked.kind.strip(), _chosen(asked))
    )
    names = _names(site, [asked.gtin])
    return EnrolledView(enrolment=name, gtin=asked.gtin, name=names[asked.gtin], revision=_offered(enrolling))


@router.post("/api/v1/enrol/seen", tags=["enrolment"])
def enrol_seen(request: Request, asked: SeenRequest, mark: Mark = "") -> EnrolledView:
    """Say what an unknown thing on the shelf is: what the camera saw of it becomes a reference."""
    must_be_own(request, mark)
    site, enrolling, visit = site_of(request), _enrolling(request), visit_of(request)
    with site.memory() as (memory, now):
        reading = memory.reading(asked.bay, asked.slot, now)
    seen = reading.seen if reading is not None else None
    if seen is None or seen.verdict != "unknown" or iso_time(seen.since) != iso_time(asked.since):
        raise HTTPException(409, "something else stands there by now: look again")
    name, _ = _in_words(
        site, lambda: enrolling.enrol_seen(visit.who, visit.origin, asked.gtin, asked.kind.strip(), seen)
    )
    names = _names(site, [asked.gtin])
    return EnrolledView(enrolment=name, gtin=asked.gtin, name=names[asked.gtin], revision=_offered(enrolling))


@router.post("/api/v1/enrol/undo", tags=["enrolment"])
def undo(request: Request, asked: UndoRequest, mark: Mark = "") -> EnrolView:
    """Take an enrolment back."""
    must_be_own(request, mark)
    enrolling, visit = _enrolling(request), visit_of(request)
    in_words(lambda: enrolling.undo(visit.who, visit.origin, asked.enrolment))
    return get_enrol(request)


@router.post("/api/v1/enrol/kind", tags=["enrolment"])
def set_kind(request: Request, asked: KindRequest, mark: Mark = "") -> EnrolView:
    """Say of what kind a product is: what a camera tells when it cannot tell the very product."""
    must_be_own(request, mark)
    enrolling, visit = _enrolling(request), visit_of(request)
    in_words(lambda: enrolling.set_kind(visit.who, visit.origin, asked.gtin, asked.kind.strip()))
    return get_enrol(request)


@router.post("/api/v1/enrol/remove", tags=["enrolment"])
def remove(request: Request, asked: RemoveRequest, mark: Mark = "") -> EnrolView:
    """Forget a product altogether."""
    must_be_own(request, mark)
    enrolling, visit = _enrolling(request), visit_of(request)
    in_words(lambda: enrolling.remove(visit.who, visit.origin, asked.gtin))
    return get_enrol(request)


@pages.get("/enrol")
def enrol_page(request: Request, lang: str | None = None) -> Response:
    """Enrol a product with the phone's camera."""
    site, enrolling = site_of(request), _enrolling(request)
    language = language_of(request, lang)
    gallery = enrolling.galleries.present
    known = set(gallery.gtins) if gallery is not None else set()
    planned = sorted({slot.gtin for slot in site.plan.slots.values() if slot.gtin})
    names = _names(site, [*planned, *site.database.product_gtins(after="", limit=_MOST_PRODUCTS)])
    order = sorted(names, key=lambda gtin: (gtin in known, gtin not in planned, gtin))
    kinds = _kinds(site, enrolling, order, language)
    context = {
        "lang": language,
        "enrol_words": words_of("enrol", language),
        "products": [(gtin, names[gtin], gtin in known, kinds.get(gtin, "")) for gtin in order],
        "kinds": sorted({kind for kind in kinds.values() if kind}, key=str.casefold),
        "keeps_thumbnails": enrolling.galleries.keeps_thumbnails,
        "is_admin": visit_of(request).who.role >= Role.ADMIN,
        "install": INSTALL,
        "most": MOST_PHOTOS_AT_ONCE,
    }
    return form_page(request, "enrol.html", context)


@pages.get("/enrol/thumbnails/{photo}.jpg")
def get_thumbnail(request: Request, photo: Revision) -> Response:
    """A small picture of an enrolled pack, where the shop keeps them."""
    found = _enrolling(request).galleries.thumbnail(photo)
    if found is None:
        raise not_found("thumbnail", photo, [])
    return Response(found, media_type="image/jpeg")


def _enrolling(request: Request) -> Enrolling:
    enrolling = site_of(request).enrolling
    if enrolling is None:
        raise HTTPException(503, "enrolment is not set up here")
    return enrolling


def _in_words(site: Site, action: Callable[[], T]) -> T:
    """As ``in_words``; a product whose photo it is already is called by its name."""

    def named() -> T:
        try:
            return action()
        except PhotoTaken as taken:
            text = str(taken)
            for gtin, name in _names(site, taken.gtins).items():
                called = name.get("en") or next(iter(name.values()))
                text = text.replace(gtin, f"{called} ({gtin})" if called != gtin else gtin)
            raise HTTPException(422, text) from taken

    return in_words(named)


def _chosen(asked: EnrolRequest) -> list[Chosen]:
    return [Chosen(one.photo, one.box) for one in asked.photos]


def _offered(enrolling: Enrolling) -> str:
    offered = enrolling.galleries.offered
    return offered.revision if offered is not None else ""


def _names(site: Site, gtins: Iterable[str]) -> dict[str, Text]:
    """What products are called: by their file, else by the planogram, else by their number."""
    wanted = list(dict.fromkeys(gtins))
    planned = {slot.gtin: slot.name for slot in site.plan.slots.values() if slot.gtin}
    described = site.database.products(wanted)
    return {gtin: described[gtin].name if gtin in described else {"en": planned.get(gtin) or gtin} for gtin in wanted}


def _kinds(site: Site, enrolling: Enrolling, gtins: Sequence[str], language: str) -> dict[str, str]:
    """Of what kind products are: as it was said, else by the category in their file."""
    described = site.database.products(gtins)
    kinds = {
        gtin: text_in(product.category, language)[:_LONGEST_KIND]
        for gtin, product in described.items()
        if product.category
    }
    gallery = enrolling.galleries.present
    return kinds | {entry.gtin: entry.kind for entry in (gallery.entries if gallery else ()) if entry.kind}


def _known(site: Site, enrolling: Enrolling) -> list[KnownProduct]:
    """The newest enrolment first."""
    gallery = enrolling.galleries.present
    names = _names(site, gallery.gtins if gallery is not None else [])
    found: dict[str, KnownProduct] = {}
    kept = enrolling.galleries.thumbnails()
    for entry in gallery.entries if gallery is not None else ():
        before = found.get(entry.gtin)
        own = f"/enrol/thumbnails/{entry.photo_sha256}.jpg" if entry.photo_sha256 in kept else None
        picture = own or (before.thumbnail if before else None)
        found[entry.gtin] = KnownProduct(
            gtin=entry.gtin,
            name=names[entry.gtin],
            kind=entry.kind,
            photos=1 + (before.photos if before else 0),
            at=entry.at,
            by=entry.by,
            enrolment=entry.enrolment,
            thumbnail=picture,
        )
    return sorted(found.values(), key=lambda product: product.at, reverse=True)


def _unknown(site: Site) -> list[UnknownItem]:
    """The most often seen first."""
    with site.memory() as (memory, now):
        slots = [slot for bay in site.plan.planograms for slot in site.viewer.slots_of_bay(bay, memory, now)]
        pictures = {
            place: node.node
            for node in memory.state.nodes.values()
            if node.is_present(now) and node.health is not None and node.health.unknown_pictures is not None
            for place in node.health.unknown_pictures.places
        }
    names = _names(site, [gtin for slot in slots if slot.seen for gtin in (slot.seen.gtin, slot.seen.other) if gtin])
    found = [
        UnknownItem(
            place=slot.place,
            since=slot.seen.since,
            looks=slot.seen.looks,
            kind=slot.seen.kind,
            planned_gtin=slot.gtin,
            planned_name=slot.name,
            bay=slot.bay,
            slot=slot.slot,
            candidates=[names[gtin] for gtin in (slot.seen.gtin, slot.seen.other) if gtin],
            can_be_named=bool(slot.seen.embedding),
            picture_on=pictures.get(f"{slot.bay}/{slot.slot}") if slot.seen.verdict == "unknown" else None,
        )
        for slot in slots
        if slot.seen is not None and _is_strange(slot.seen, slot.gtin)
    ]
    return sorted(found, key=lambda item: -item.looks)


def _is_strange(seen: SeenProduct, planned: str | None) -> bool:
    """Nobody knows it, or it is one of two products that do not belong there."""
    return seen.verdict == "unknown" or (seen.verdict == "ambiguous" and planned not in (None, seen.gtin, seen.other))


def _nodes(site: Site, offered: str) -> list[NodeGallery]:
    with site.memory() as (memory, now):
        nodes = [site.viewer.node(node, now) for node in memory.state.nodes.values()]
    return [
        NodeGallery(
            node=node.node,
            is_present=node.is_present,
            is_live=bool(offered) and node.gallery is not None and node.gallery.revision == offered,
            state=node.gallery.state if node.gallery is not None else "unknown",
            revision=node.gallery.revision if node.gallery is not None else "",
            text=node.gallery.text if node.gallery is not None else "",
        )
        for node in nodes
        # What a node runs is told by its heartbeats; that it recognises at all is remembered from its birth.
        if node.gallery is not None or any(model.role == "recogniser" for model in node.models)
    ]
