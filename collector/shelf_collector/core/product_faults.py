"""A products file in which something is wrong: what is certain of each product, and what must not be shown.

A fault takes away what it casts doubt on, and nothing else: a price nobody can read is no price, an allergen in two
lists leaves the allergens not known, and every other product stays as it is. Nothing is ever repaired by guessing.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from shelf_contracts.errors import Problem, shown
from shelf_contracts.files import LARGEST_FILE_BYTES, key_path, problems_of, refuse_depth
from shelf_contracts.ids import parse_gtin
from shelf_contracts.products import Allergens, Nutrition, Price, Product, ProductFile, Promotion

_PROMISED_IN: dict[str, type[BaseModel]] = {"price": Price, "promotion": Promotion, "allergens": Allergens}
"""What a shop answers for: it is left out as soon as something casts doubt on it."""

_BY_LANGUAGE = ("name", "short_name", "category", "origin", "ingredients")
_GO_TOGETHER: dict[str, tuple[str, ...]] = {
    "price": ("promotion",),
    "promotion": ("price",),  # what is paid now is not certain while a promotion cannot be read
    "allergens": ("vegan",),  # "vegan" is believed only beside allergens that do not speak against it
}
_HINTS: dict[str, tuple[str, ...]] = {
    "allergens": ("allerg", "contain", "bevat", "contiene", "trace", "sporen", "tracce"),
    "price": ("price", "prijs", "prezz", "promo", "actie", "offer"),
}
"""What a key that nobody knows may be about, in the languages of the shops."""
_MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class ProductFault:
    """One thing that is wrong with a products file.

    Attributes:
        problem: where (from the file's root), the value, what is allowed.
        gtin: of which product; empty when that cannot be told, or when it is the file as a whole.
        left_out: which fields of the product are not shown for it; empty: the whole product, or nothing of it.
    """

    problem: Problem
    gtin: str = ""
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" of {self.gtin}" if self.gtin else ""
        return f"{self.problem} (left out{of}: {', '.join(self.left_out)})" if self.left_out else str(self.problem)


@dataclass(frozen=True, slots=True)
class ReadProducts:
    """What a products file holds.

    Attributes:
        at: by GTIN, which entry of the file a product is.
        is_unread: nothing of the file could be read, and ``products`` is empty for that.
    """

    products: tuple[Product, ...]
    at: Mapping[str, int]
    faults: tuple[ProductFault, ...] = ()
    is_unread: bool = False


NameOf = Callable[[str], str]
"""What the planograms call the product with this GTIN; empty when none has it."""


def _no_name(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _Unusable:
    """Stands in the content for a value that JSON or Python cannot hold: no model takes it."""

    found: str
    allowed: str

    def __repr__(self) -> str:
        return self.found


def read_products(raw: bytes, name_of: NameOf = _no_name) -> ReadProducts:
    """The products in a file's bytes. Never raises for what stands in it."""
    try:
        content = _parsed(raw)
    except ValueError as error:
        return _unread([Problem("", "not JSON", str(error) or "nested too deep")])
    if not isinstance(content, dict):
        return _unread([Problem("", shown(content), "must be an object with named keys")])
    entries = content.get("products", [])
    if not isinstance(entries, list):
        return _unread([Problem("products", shown(entries), "must be a list")])
    around = _around(content)
    if any(problem.key in ("schema", "products") for problem in around):
        return _unread(around)  # what a file of another kind or version means, one cannot tell
    products: dict[str, Product] = {}
    at: dict[str, int] = {}
    faults = [ProductFault(problem) for problem in around]
    for index, entry in enumerate(entries):
        product, wrong = _certain(f"products[{index}]", entry, name_of)
        faults += wrong
        if product is None:
            continue
        first = products.get(product.gtin)
        if first is not None:
            problem = Problem(f"products[{index}].gtin", shown(product.gtin), "is in the file twice")
            product, differing = in_both(first, product, name_of)
            faults.append(ProductFault(problem, product.gtin, differing))
        products[product.gtin] = product
        at.setdefault(product.gtin, index)
    return ReadProducts(tuple(products.values()), at, tuple(faults))


def in_both(one: Product, other: Product, name_of: NameOf = _no_name) -> tuple[Product, tuple[str, ...]]:
    """Of a product that is described twice, what both agree on; and the fields on which they do not."""
    differing = {field for field in Product.model_fields if getattr(one, field) != getattr(other, field)}
    doubtful = _with_dependants(differing)
    facts = one.model_dump(mode="json", exclude=doubtful)
    if "name" in doubtful:
        facts["name"] = dict(one.name.items() & other.name.items())
    return Product.model_validate(_named(facts, name_of)), _in_order(doubtful)


def without_promises(product: Product) -> Product:
    """What may still be said of a product whose file cannot be read any more: neither price nor allergens."""
    gone = _with_dependants(_PROMISED_IN)
    return product.model_copy(update={field: Product.model_fields[field].get_default() for field in gone})


# -- what stands around the products, and what JSON forbids -----------------------------------------------------------


def _parsed(raw: bytes) -> Any:
    """The content, with what cannot be a value marked where it stands: one such value spoils no other product."""
    if len(raw) > LARGEST_FILE_BYTES:
        raise ValueError(f"must be at most {LARGEST_FILE_BYTES} bytes")
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_whole, object_pairs_hook=_with_doubles)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _no_number(name: str) -> _Unusable:
    return _Unusable(name, "is not a JSON number")


def _whole(digits: str) -> int | _Unusable:
    return int(digits) if len(digits) < 1000 else _Unusable(f"a number of {len(digits)} digits", "is too long")


def _with_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        for name in content:
            if names.count(name) > 1:
                content[name] = _Unusable("(two values)", f"{_readable(name)!r} stands in one object twice")
    return content


def _around(content: Mapping[str, Any]) -> list[Problem]:
    try:
        ProductFile.model_validate({_readable(key): value for key, value in content.items()} | {"products": []})
    except ValidationError as error:
        return problems_of(error, ProductFile)
    return []


def _unread(problems: Iterable[Problem]) -> ReadProducts:
    return ReadProducts((), {}, tuple(map(ProductFault, problems)), is_unread=True)


def _readable(text: str) -> str:
    """Bytes that are no UTF-8 as question marks: no model and no terminal takes them."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


# -- one product ------------------------------------------------------------------------------------------------------


def _certain(where: str, entry: Any, name_of: NameOf) -> tuple[Product | None, list[ProductFault]]:
    """What is certain of one entry; None when one cannot tell of which product it speaks."""
    if not isinstance(entry, dict):
        return None, [ProductFault(Problem(where, shown(entry), "must be an object with named keys"))]
    facts = {_readable(key): _usable(value) for key, value in entry.items()}
    gtin = _gtin(facts.get("gtin"))
    faults: list[ProductFault] = []
    for _ in range(_MOST_ROUNDS):
        try:
            return Product.model_validate(facts if not faults else _named(facts, name_of)), faults
        except ValidationError as error:
            for location, problem in _problems(error):
                key = f"{where}.{problem.key}" if problem.key else where
                left_out = _leave_out(facts, location) if gtin else set(Product.model_fields)
                shown_as = _in_order(left_out) if gtin else ()
                faults.append(ProductFault(replace(problem, key=key), gtin, shown_as))
        if not gtin:
            return None, faults
    return Product.model_validate(_named({"gtin": gtin}, name_of)), faults


def _gtin(value: Any) -> str:
    try:
        return parse_gtin(value) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _usable(value: Any) -> Any:
    """A field's value, with marks in the place of what no page could show."""
    try:
        refuse_depth(value)
    except ValueError as error:
        return _Unusable(f"({type(value).__name__})", str(error))
    return _as_text(value)


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_readable(key): _as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    if isinstance(value, str) and _readable(value) != value:
        return _Unusable(shown(_readable(value)), "must be text in UTF-8")
    return value


def _named(facts: dict[str, Any], name_of: NameOf) -> dict[str, Any]:
    """With the planogram's name, or else the number, when the product's own is gone."""
    if facts.get("name"):
        return facts
    return {**facts, "name": {"en": name_of(facts["gtin"]) or facts["gtin"]}}


def _problems(error: ValidationError) -> list[tuple[tuple[int | str, ...], Problem]]:
    """Each with its place in the product; of what JSON forbids, what our reader said of it."""
    problems = problems_of(error, Product)
    found = []
    for item, problem in zip(error.errors(include_url=False), problems, strict=False):
        value = item["input"]
        if isinstance(value, _Unusable):
            problem = Problem(key_path(item["loc"]), value.found, value.allowed)
        found.append((item["loc"], problem))
    return found


def _leave_out(facts: dict[str, Any], location: tuple[int | str, ...]) -> set[str]:
    """Take what is wrong out of a product's facts, and all it casts doubt on. Returns the fields concerned."""
    field, inner = str(location[0]) if location else "", location[1] if len(location) > 1 else None
    value = facts.get(field)
    if field not in Product.model_fields:
        facts.pop(field, None)
        doubtful = _with_dependants(_meant_by(field))
        for one in doubtful:
            facts.pop(one, None)
        return doubtful
    if field in _BY_LANGUAGE and isinstance(value, dict) and inner in value:
        facts[field] = {language: text for language, text in value.items() if language != inner} or None
        if facts[field] is None:
            del facts[field]
        return {field}
    if field == "nutrition" and isinstance(value, dict) and inner in value and inner != "per":
        meant = _nearest(str(inner), Nutrition.model_fields)
        facts[field] = {name: figure for name, figure in value.items() if name not in (inner, meant)}
        return {field}
    doubtful = _with_dependants({field})
    for one in doubtful:
        facts.pop(one, None)
    return doubtful


def _meant_by(key: str) -> set[str]:
    """Which promises a key that nobody knows may be about: mistyped, in another language, or one level too high."""
    low = key.lower()
    near = _nearest(low, Product.model_fields)
    if near and near not in _PROMISED_IN:
        return {near} & {"price_history", "vegan"}
    names = {name: field for field, model in _PROMISED_IN.items() for name in (field, *model.model_fields)}
    found = {field for field, hints in _HINTS.items() if any(hint in low for hint in hints)}
    return found | {names[name] for name in (_nearest(low, names),) if name}


def _nearest(key: str, names: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(key, list(names), n=1, cutoff=0.7)), "")


def _with_dependants(fields: Iterable[str]) -> set[str]:
    return {*fields, *(other for field in fields for other in _GO_TOGETHER.get(field, ()))}


def _in_order(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(field for field in Product.model_fields if field in set(fields))
