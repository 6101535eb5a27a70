"""What changed between two states of the shop's files or of a node, as rows for the logbook."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from shelf_collector.core.logbook import Deed
from shelf_contracts.messages import ModelInfo
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import Price, Product

_MOST_NAMED = 20


def product_deeds(before: Mapping[str, Product], after: Iterable[Product]) -> list[Deed]:
    """A row for each product that changed, with its price before and after; one each for all that came and went."""
    now = {product.gtin: product for product in after}
    deeds = []
    for gtin, product in now.items():
        old = before.get(gtin)
        if old is None or old == product:
            continue
        names = [name for name in Product.model_fields if getattr(old, name) != getattr(product, name)]
        detail = {"fields": " ".join(names)}
        if "price" in names:
            detail["price"] = f"{_price(old.price)} -> {_price(product.price)}"
        deeds.append(Deed("product.changed", subject=f"product:{gtin}", detail=detail))
    came, went = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    if came:
        deeds.append(Deed("product.added", subject="products", detail=_named(came)))
    if went:
        deeds.append(Deed("product.removed", subject="products", detail=_named(went)))
    return deeds


def planogram_hash(plan: Planogram) -> str:
    """SHA-256 over a planogram's content, whatever its file looks like."""
    return hashlib.sha256(plan.model_dump_json(by_alias=True).encode()).hexdigest()


def planogram_deeds(known: Mapping[str, str], plans: Iterable[Planogram]) -> list[Deed]:
    """A row for each planogram whose content is another than the one last noted (hash by bay)."""
    return [
        Deed(
            "planogram.changed", subject=f"bay:{plan.bay}",
            detail={"id": plan.id, "revision": plan.revision, "slots": len(plan.positions), "sha256": hashed},
        )
        for plan in plans
        if known.get(plan.bay) != (hashed := planogram_hash(plan))
    ]  # fmt: skip


def models_word(models: Sequence[ModelInfo]) -> str:
    """A node's models in one line: ``detector shelf-demo 2026.11.22 d580488e7415``."""
    return "; ".join(f"{model.role} {model.name} {model.version} {model.sha256[:12]}" for model in models)


def _price(price: Price | None) -> str:
    return f"{price.cents} {price.currency} cents" if price else "none"


def _named(gtins: Sequence[str]) -> dict[str, str | int | float | bool | None]:
    return {"count": len(gtins), "first": " ".join(gtins[:_MOST_NAMED])}
