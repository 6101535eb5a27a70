"""/calibrate: a bay set up from a photo of the full shelf. The photo is looked at and never kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from shelf_collector.adapters.vision_worker import INSTALL, BayPhoto, EdgeLabel
from shelf_collector.adapters.web.entrance import form_page
from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import visit_of
from shelf_collector.adapters.web.pages import language_of
from shelf_collector.adapters.web.photo_answers import in_words, must_be_own, words_of
from shelf_collector.adapters.web.site import site_of
from shelf_collector.calibrating import Calibrating
from shelf_contracts.files import problems_of
from shelf_contracts.ids import BayId, CameraId
from shelf_contracts.planogram import Planogram

router = APIRouter()
pages = APIRouter(include_in_schema=False)

_LEAST_DEPTH_MM, _USUAL_DEPTH_MM = 20.0, 400.0

Corners = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=8, max_length=8)]
SizeMm = Annotated[float, Query(ge=100, le=20_000)]
Mark = Annotated[str, Header(alias="X-Form-Mark", max_length=100)]


class ProposalView(BaseModel):
    """``planogram`` as the file is written. ``people``: boxes to be covered in what is shown, in shares.

    ``labels``: barcodes on shelf edges, which the planogram follows; ``reads_labels``: whether they can be read here.
    ``not_full``: shelves on which places were empty: slots there are missing or guessed.
    """

    planogram: dict[str, Any]
    people: list[tuple[float, float, float, float]]
    width: int
    height: int
    labels: list[EdgeLabel]
    reads_labels: bool
    not_full: list[str]


class SaveRequest(BaseModel):
    """A planogram as a person left it; ``corners``: x y of top left, top right, bottom right, bottom left: shares."""

    model_config = ConfigDict(extra="forbid")

    planogram: dict[str, Any]
    camera: CameraId
    corners: Corners
    width: Annotated[int, Field(ge=16, le=20_000)]
    height: Annotated[int, Field(ge=16, le=20_000)]


class SavedView(BaseModel):
    """``revision`` of the planogram; ``unseen``: slots that are not in the camera's picture."""

    bay: str
    revision: int
    slots: int
    unseen: list[str]


@router.post("/api/v1/calibrate/propose", tags=["calibration"])
async def propose(
    request: Request,
    bay: BayId,
    corners: Annotated[str, Query(max_length=200)],
    width: SizeMm,
    height: SizeMm,
    depth: Annotated[float, Query(ge=_LEAST_DEPTH_MM, le=3000)],
    camera: CameraId = "c1",
    mark: Mark = "",
) -> ProposalView:
    """Slots of a full shelf: the photo is the body, the bay's size in mm, ``corners`` eight shares with commas."""
    must_be_own(request, mark)
    site = site_of(request)
    raw = await request.body()
    if not raw:
        raise HTTPException(422, "the photo is empty")
    try:
        shares = tuple(float(word) for word in corners.split(","))
    except ValueError as error:
        raise HTTPException(422, "corners: must be eight numbers") from error
    if len(shares) != 8:
        raise HTTPException(422, "corners: must be eight numbers of 0 to 1: the four corners, clockwise from top left")
    _must_be_inside(shares)
    asked = BayPhoto(site.setup.config.store, bay, camera, width, height, depth, shares)
    enrolling = site.enrolling
    gallery = enrolling.galleries.file if enrolling is not None else None
    known = gallery if gallery is not None and gallery.is_file() else None
    found = await run_in_threadpool(in_words, lambda: _calibrating(request).propose(asked, raw, known))
    return ProposalView(
        planogram=found.planogram.model_dump(mode="json", by_alias=True, exclude_none=True),
        people=found.people,
        width=found.width_px,
        height=found.height_px,
        labels=found.labels,
        reads_labels=found.reads_labels,
        not_full=found.not_full,
    )


@router.post("/api/v1/calibrate/save", tags=["calibration"])
def save(request: Request, asked: SaveRequest, mark: Mark = "") -> SavedView:
    """Check the planogram as a whole, and put it in the place of the bay's; the last good one is kept beside it."""
    must_be_own(request, mark)
    visit = visit_of(request)
    _must_be_inside(asked.corners)
    try:
        plan = Planogram.model_validate({**asked.planogram, "views": []})
    except ValidationError as error:
        raise HTTPException(422, "; ".join(str(one) for one in problems_of(error, Planogram)[:5])) from error
    calibrating = _calibrating(request)
    if plan.bay not in calibrating.bays:
        raise not_found("bay", plan.bay, calibrating.bays)
    size = asked.width, asked.height
    done = in_words(
        lambda: calibrating.replace_planogram(visit.who, visit.origin, plan, asked.camera, list(asked.corners), size)
    )
    seen = done.view_of(asked.camera).slots
    unseen = [position.id for position in done.positions if position.id not in seen]
    return SavedView(bay=done.bay, revision=done.revision, slots=len(done.positions), unseen=unseen)


@router.post("/api/v1/calibrate/back", tags=["calibration"])
def roll_back(request: Request, bay: BayId, mark: Mark = "") -> SavedView:
    """Take the bay's last good planogram again."""
    must_be_own(request, mark)
    visit, calibrating = visit_of(request), _calibrating(request)
    if bay not in calibrating.bays:
        raise not_found("bay", bay, calibrating.bays)
    done = in_words(lambda: calibrating.roll_back(visit.who, visit.origin, bay))
    return SavedView(bay=done.bay, revision=done.revision, slots=len(done.positions), unseen=[])


@router.get("/planograms/{sha256}", tags=["models"])
def get_offered(request: Request, sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]) -> Response:
    """A planogram that a node is offered; nodes trust its hash, not this address."""
    offers = site_of(request).planograms
    content = offers.content(sha256) if offers is not None else None
    if content is None:
        raise not_found("planogram", sha256, [])
    return Response(content, media_type="application/json")


@pages.get("/calibrate")
def calibrate_page(request: Request, lang: str | None = None) -> Response:
    """Set a bay up with the phone's camera."""
    site, calibrating = site_of(request), _calibrating(request)
    language = language_of(request, lang)
    plans = [site.plan.planograms[bay] for bay in calibrating.bays]
    names = {
        slot.gtin: site.viewer.event_name(slot_bay, slot_id, slot.gtin)
        for (slot_bay, slot_id), slot in site.plan.slots.items()
        if slot.gtin
    }
    context = {
        "lang": language,
        "calibrate_words": words_of("calibrate", language),
        "bays": [
            {
                "bay": plan.bay,
                "name": plan.name,
                "width": plan.width,
                "height": plan.height,
                "depth": _depth_of(plan),
                "cameras": [view.camera for view in plan.views] or ["c1"],
            }
            for plan in plans
        ],
        "products": sorted(names.items()),
        "missing": calibrating.missing,
        "install": INSTALL,
    }
    return form_page(request, "calibrate.html", context)


@pages.get("/calibrate/planograms/{bay}.json")
def get_planogram(request: Request, bay: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,32}$")]) -> Response:
    """The bay's planogram as it was saved last: the file its node needs."""
    calibrating = _calibrating(request)
    if bay not in calibrating.bays:
        raise not_found("bay", bay, calibrating.bays)
    plan = in_words(lambda: calibrating.planogram(bay))
    told = plan.model_dump_json(indent=2, by_alias=True, exclude_none=True)
    headers = {"Content-Disposition": f'attachment; filename="planogram-{bay}.json"'}
    return Response(told + "\n", media_type="application/json", headers=headers)


def _must_be_inside(shares: Sequence[float]) -> None:
    """Corners outside the picture were guessed. Raises: HTTPException 422 naming each."""
    at = zip(("top left", "top right", "bottom right", "bottom left"), shares[::2], shares[1::2], strict=True)
    outside = [f"{name} {x:g},{y:g}" for name, x, y in at if not (0 <= x <= 1 and 0 <= y <= 1)]
    if outside:
        allowed = "must lie in the picture, as shares of its width and height from 0 to 1"
        remedy = "take the photo from where the whole bay is seen, and drag them to its corners"
        raise HTTPException(422, f"corners = {', '.join(outside)}: {allowed}; {remedy}")


def _depth_of(plan: Planogram) -> float:
    """Of the deepest shelf; a usual one where the planogram does not say."""
    deepest = max(fixture.d for fixture in plan.fixtures)
    return deepest if deepest >= _LEAST_DEPTH_MM else _USUAL_DEPTH_MM


def _calibrating(request: Request) -> Calibrating:
    site = site_of(request)
    if site.enrolling is None:
        raise HTTPException(503, "photos cannot be looked at here")
    return Calibrating(site.setup, site.enrolling.worker, site.doorkeeper.accounts, site.clock, site.planograms)
