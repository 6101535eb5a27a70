"""What the store knows about its products, by GTIN."""

from __future__ import annotations

from collections.abc import Mapping

from shelf_contracts.products import Product, Text


class Catalogue:
    """A look-up of products; the shop's own win over Open Food Facts' before they come here."""

    def __init__(self, products: Mapping[str, Product]) -> None:
        self._products = dict(products)

    def replace(self, products: Mapping[str, Product]) -> None:
        """From now on this is known. Any thread: who reads meanwhile has either the old or the new."""
        self._products = dict(products)

    def get(self, gtin: str | None) -> Product | None:
        return None if gtin is None else self._products.get(gtin)

    def name(self, gtin: str | None, planned_name: str = "") -> Text:
        """The product's name by language: its own, else the planogram's, else the GTIN."""
        product = self.get(gtin)
        if product is not None:
            return product.name
        return {"en": planned_name or gtin or "?"}
