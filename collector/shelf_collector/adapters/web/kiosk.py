"""What shoppers see: the display over a bay, the same bay on their phone, and a product behind its GS1 Digital Link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import segno
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup
from pydantic import BaseModel
from starlette.responses import Response

from shelf_collector.adapters.web.bay_cards import BayCards, Cards
from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.gate import visit_of
from shelf_collector.adapters.web.hyphens import word_pieces, words_of
from shelf_collector.adapters.web.pages import language_of, page, templates
from shelf_collector.adapters.web.site import Site, site_of
from shelf_collector.config import DisplaySection
from shelf_collector.core.cards import ProductCard, Words, others_of, product_card
from shelf_collector.core.drawing import bay_drawing
from shelf_collector.core.filters import FILTERS
from shelf_collector.core.letters import key_font_mm, mm_in_css
from shelf_collector.core.origin_map import LAND_PATH, WATER_PATH
from shelf_collector.core.plan import PlannedSlot
from shelf_collector.core.texts import ALLERGENS, WORDS
from shelf_collector.core.views import HelpView
from shelf_contracts.ids import SlotId, parse_gtin
from shelf_contracts.products import Product

router = APIRouter(include_in_schema=False)
_QUIET_ZONE = 4
_MOST_OFFERS = 6


def qr_code(text: str) -> Markup:
    """A QR code as an SVG of one path in the colour of the text around it, with its quiet zone."""
    code = segno.make(text, error="m", micro=False)
    size = code.symbol_size(border=_QUIET_ZONE)[0]
    rows = enumerate(code.matrix_iter(border=_QUIET_ZONE))
    dots = "".join(f"M{x} {y}h1v1h-1z" for y, row in rows for x, dark in enumerate(row) if dark)
    return Markup(f'<svg class="qr" viewBox="0 0 {size} {size}" aria-hidden="true"><path d="{dots}"/></svg>')  # noqa: S704 - figures only


templates.env.filters["qr"] = qr_code
templates.env.filters["pieces"] = word_pieces


@router.get("/display/{display}")
def display_page(request: Request, display: str, lang: str | None = None) -> Response:
    """The kiosk page over a bay, with everything of every product of it inside: a reach only chooses."""
    site = site_of(request)
    section = site.display(display)
    if section is None:
        unknown = {"displays": site.setup.displays, "asked": display, "lang": language_of(request, lang)}
        return page(request, "unknown_display.html", unknown, status=404)
    return page(request, "display.html", _bay_context(request, section, _language(section, lang)))


@router.get("/display/{display}/cards")
def display_cards(request: Request, display: str, lang: str | None = None) -> Response:
    """Only the products, for a display that is open already: prices begin and end."""
    site = site_of(request)
    section = site.display(display)
    if section is None:
        return JSONResponse({"error": {"code": "not_found", "message": f"display {display!r} is not known"}}, 404)
    return HTMLResponse(_bay_cards(request, section.bay, _language(section, lang)).html)


class Call(BaseModel):
    """Somebody asks for help; ``slot`` is what their display shows."""

    slot: SlotId | None = None


@router.post("/display/{display}/ask")
def ask_a_colleague(request: Request, display: str, call: Call) -> HelpView:
    """A call for help becomes a task for staff; while it waits, asking again is asking once."""
    site = site_of(request)
    section = site.display(display)
    if section is None:
        raise not_found("display", display, [one.id for one in site.setup.displays])
    planned = site.plan.slots.get((section.bay, call.slot)) if call.slot else None
    task = site.desk.call(
        display, section.bay, planned.slot if planned else None, planned.gtin if planned else None,
        visit_of(request).origin,
    )  # fmt: skip
    return HelpView(display=display, state=task.state)


@router.get("/my/{display}")
def phone_page(request: Request, display: str, lang: str | None = None) -> Response:
    """The bay on a shopper's phone, with their filter: which products fit, and why others do not."""
    site = site_of(request)
    section = site.display(display)
    if section is None:
        unknown = {"displays": site.setup.displays, "asked": display, "lang": language_of(request, lang)}
        return page(request, "unknown_display.html", unknown, status=404)
    language = language_of(request, lang)
    return page(request, "my.html", {**_bay_context(request, section, language), "languages": section.languages})


@router.get("/01/{gtin}")
def product_page(
    request: Request, gtin: str, lang: str | None = None, link_type: Annotated[str, Query(alias="linkType")] = ""
) -> Response:
    """A product behind its GS1 Digital Link; a set of links (RFC 9264) for who asks for one."""
    site = site_of(request)
    language = language_of(request, lang)
    try:
        wanted = parse_gtin(gtin)
    except ValueError:
        return page(request, "no_product.html", {"lang": language, "asked": gtin}, status=404)
    products = site.database.products([wanted])
    if wanted not in products:
        return page(request, "no_product.html", {"lang": language, "asked": wanted}, status=404)
    if link_type == "all" or "application/linkset+json" in request.headers.get("accept", ""):
        return JSONResponse(_link_set(site, wanted), media_type="application/linkset+json")
    card = product_card(products[wanted], language, site.clock.now(), site.setup.config.shop.card_rules)
    return page(request, "product.html", {"lang": language, "card": card, **_map_paths()})


def _link_set(site: Site, gtin: str) -> dict[str, object]:
    """The same page answers every kind of question; it says all that is known."""
    anchor = f"{site.setup.config.shop.link_domain or site.setup.config.http.address}/01/{gtin}"
    kinds = ("defaultLink", "pip", "allergenInfo", "nutritionalInfo", "sustainabilityInfo", "recipeInfo")
    links = {f"https://gs1.org/voc/{kind}": [{"href": anchor, "type": "text/html"}] for kind in kinds}
    return {"linkset": [{"anchor": anchor, **links}]}


def _bay_cards(request: Request, bay: str, language: str) -> Cards:
    site = site_of(request)
    held = request.app.state.bay_cards
    assert isinstance(held, BayCards)
    return held.of(bay, language, site.clock.monotonic_s(), lambda: _made_cards(site, bay, language))


def _made_cards(site: Site, bay: str, language: str) -> Cards:
    now, rules = site.clock.now(), site.setup.config.shop.card_rules
    everywhere = site.database.products(sorted({slot.gtin for slot in site.plan.slots.values() if slot.gtin}))
    cards = {
        slot.gtin: product_card(
            everywhere[slot.gtin], language, now, rules, others_of(everywhere[slot.gtin], everywhere.values())
        )
        if slot.gtin in everywhere
        else _only_a_name(slot, language, now)
        for slot in site.plan.of_bay(bay)
        if slot.gtin and (slot.gtin in everywhere or slot.name)
    }
    context = {
        "lang": language, "words": WORDS[language], "cards": list(cards.values()),
        "known": _known_words(cards, language), **_at_rest(cards),
    }  # fmt: skip
    text = templates.get_template("_cards.html").render({**context, **_map_paths()})
    return Cards(cards, Markup(text))  # noqa: S704 - our own template, escaped there


def _known_words(cards: Mapping[str, ProductCard], language: str) -> frozenset[str]:
    """What long names are made of, as far as the bay itself says: its names and ingredients, and the allergens."""
    names = (card.name.text for card in cards.values())
    ingredients = (part.text for card in cards.values() for part in card.ingredients)
    return words_of([*names, *ingredients, *ALLERGENS[language].values()])


def _at_rest(cards: Mapping[str, ProductCard]) -> dict[str, object]:
    return {
        "offers": _most_telling([card for card in cards.values() if card.prior_price]),
        "season": [card for card in cards.values() if card.is_in_season][:_MOST_OFFERS],
    }


def _bay_context(request: Request, section: DisplaySection, language: str) -> dict[str, object]:
    site = site_of(request)
    shop = site.setup.config.shop
    here = [slot for slot in site.plan.of_bay(section.bay) if slot.gtin]
    shared = _bay_cards(request, section.bay, language)
    cards = shared.by_gtin
    public = site.setup.config.http.public_address
    return {
        "lang": language,
        "languages": section.languages,
        "display": section,
        "cards": list(cards.values()),
        "slots": here,
        "names": {gtin: card.name for gtin, card in cards.items()},
        "cards_html": shared.html,
        **_at_rest(cards),
        "drawing": bay_drawing(site.plan.planograms[section.bay]),
        "filters": FILTERS,
        "key_mm": key_font_mm(section.viewing_distance_m),
        "mm": mm_in_css(section.screen_width_mm),
        "shop": shop,
        "my_link": f"{public}/my/{section.id}" if public else "",
        **_map_paths(),
    }


def _only_a_name(slot: PlannedSlot, language: str, now: datetime) -> ProductCard:
    """The card of a product of which only the planogram knows something: its name, in a language nobody said."""
    assert slot.gtin is not None
    card = product_card(Product(gtin=slot.gtin, name={language: slot.name}), language, now)
    return replace(card, name=Words(slot.name, ""))


def _most_telling(cards: list[ProductCard]) -> list[ProductCard]:
    return sorted(cards, key=lambda card: (len(card.saving), card.saving), reverse=True)[:_MOST_OFFERS]


def _language(section: DisplaySection, asked: str | None) -> str:
    return asked if asked in section.languages else section.languages[0]


def _map_paths() -> dict[str, object]:
    return {"land": LAND_PATH, "water": WATER_PATH}
