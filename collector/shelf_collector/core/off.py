"""Open Food Facts rows as products: nothing guessed, everything that does not fit said with its line number.

Two formats: the project's present tab-separated export, and the small comma-separated extracts with a ``barcode_id``
column. Only what a row says is taken over. An empty allergen column means "nobody entered any", never "free of".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from shelf_contracts.errors import Problem, shown
from shelf_contracts.ids import is_restricted_gtin, parse_gtin
from shelf_contracts.products import Allergen, Allergens, NetContent, Nutrition, Product

SOURCE: Final = "off"
KJ_PER_KCAL = 4.184
_MOST_PER_100_G = 100.0
_MOST_ENERGY_KJ = 4000.0
_LONGEST_TEXT = 4000
_THE_FOURTEEN = frozenset(get_args(Allergen))
_NUTRI_SCORES = {"a", "b", "c", "d", "e"}
_VOLUMES = {"ml", "cl", "l"}
_NO_SCORE = {"", "unknown", "not-applicable"}
_QUANTITY = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(kg|g|ml|cl|l)\.?\s*$", re.IGNORECASE)

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row was skipped, or (``is_skipped`` false) which of its values were left out."""

    line: int
    problem: Problem
    is_skipped: bool


@dataclass(frozen=True, slots=True)
class Import:
    """What came of a file."""

    products: tuple[Product, ...]
    problems: tuple[RowProblem, ...]

    @property
    def skipped(self) -> int:
        return sum(problem.is_skipped for problem in self.problems)


def read_rows(
    rows: Iterable[tuple[int, Row]], *, layout: Literal["off-tsv", "off-csv"], language: str, fetched_at: datetime
) -> Import:
    """Turn rows into products.

    Args:
        rows: line number in the file and the row by column name.
        language: of names and texts in the extracts, which do not say (``nl`` or ``it``); the export's own is unknown
            and taken as this too.
        fetched_at: when the file was fetched, kept with every product.
    """
    products: dict[str, Product] = {}
    problems: list[RowProblem] = []
    for line, row in rows:
        columns = _TSV if layout == "off-tsv" else _CSV
        reader = _RowReader(line, row, columns, problems)
        product = reader.product(language, fetched_at)
        if product is None:
            continue
        if product.gtin in products:
            problems.append(RowProblem(line, Problem(columns.gtin, product.gtin, "is in the file already"), True))
            continue
        products[product.gtin] = product
    return Import(tuple(products.values()), tuple(problems))


@dataclass(frozen=True, slots=True)
class _Columns:
    """The names of the columns; several where a name has changed, the first that is filled counts."""

    gtin: str
    nutrients: dict[str, tuple[str, ...]]


_TSV = _Columns(
    gtin="code",
    nutrients={
        "energy_kj": ("energy-kj_100g", "energy_100g"),
        "fat_g": ("fat_100g",),
        "saturates_g": ("saturated-fat_100g",),
        "carbohydrate_g": ("carbohydrates_100g",),
        "sugars_g": ("sugars_100g",),
        "fibre_g": ("fiber_100g",),
        "protein_g": ("proteins_100g",),
        "salt_g": ("salt_100g",),
    },
)
_CSV = _Columns(
    gtin="barcode_id",
    nutrients={
        "fat_g": ("fat_amount",),
        "saturates_g": ("saturated_fats",),
        "carbohydrate_g": ("carbohydrate",),
        "sugars_g": ("sugar",),
        "fibre_g": ("dietary_fiber",),
        "protein_g": ("protein",),
        "salt_g": ("salt",),
    },
)


@dataclass
class _RowReader:
    line: int
    row: Row
    columns: _Columns
    problems: list[RowProblem]

    def product(self, language: str, fetched_at: datetime) -> Product | None:
        gtin = self._gtin()
        name = self._text("product_name", "generic_name")
        if not name:
            self._note("product_name", "", "must not be empty", skipped=True)
        if gtin is None or not name:
            return None
        net_content = self._net_content()
        ingredients = self._text("ingredients_text", "ingredients")
        origin = self._text("origins", "origins_en")
        return Product(
            gtin=gtin,
            name={language: name[:300]},
            brand=self._text("brands")[:300],
            net_content=net_content,
            origin={language: origin} if origin else None,
            ingredients={language: ingredients} if ingredients else None,
            allergens=self._allergens(fetched_at),
            nutrition=self._nutrition(is_drink=net_content is not None and net_content.unit in _VOLUMES),
            nutri_score=self._nutri_score(),
            source=SOURCE,
            fetched_at=fetched_at,
        )

    def _gtin(self) -> str | None:
        text = self._text(self.columns.gtin)
        try:
            gtin = parse_gtin(text)
        except ValueError as error:
            self._note(self.columns.gtin, text, str(error), skipped=True)
            return None
        if is_restricted_gtin(gtin):
            allowed = "must be unique in the world; this number (02, 04, 20 to 29) means something else in each shop"
            self._note(self.columns.gtin, text, allowed, skipped=True)
            return None
        return gtin

    def _net_content(self) -> NetContent | None:
        match = _QUANTITY.match(self._text("quantity"))
        if match is None:
            return None
        amount = float(match[1].replace(",", "."))
        return NetContent.model_validate({"amount": amount, "unit": match[2].lower()}) if amount > 0 else None

    def _allergens(self, fetched_at: datetime) -> Allergens | None:
        contains, unclear = self._tags("allergens_tags", "allergens")
        may_contain, unclear_traces = self._tags("traces_tags", "traces")
        if not contains and not unclear:
            # Nobody entered what it contains; traces alone would read as "contains nothing".
            return None
        entered = self._text("last_modified_t")
        day = datetime.fromtimestamp(int(entered), UTC) if entered.isdecimal() and len(entered) <= 10 else fetched_at
        return Allergens(
            contains=contains,
            may_contain=[tag for tag in may_contain if tag not in contains],
            needs_review=unclear + unclear_traces,
            source=SOURCE,
            verified_on=day.date(),
        )

    def _tags(self, *names: str) -> tuple[list[Allergen], list[str]]:
        found: list[Allergen] = []
        unclear: list[str] = []
        for tag in filter(None, (tag.strip() for tag in self._text(*names).split(","))):
            if tag in _THE_FOURTEEN:
                if tag not in found:
                    found.append(tag)  # type: ignore[arg-type]  # looked up in the literal's own values
            else:
                unclear.append(tag[:100])
        return found, unclear

    def _nutrition(self, *, is_drink: bool) -> Nutrition | None:
        values: dict[str, float] = {}
        for field, names in self.columns.nutrients.items():
            text = self._text(*names)
            if not text:
                continue
            limit = _MOST_ENERGY_KJ if field == "energy_kj" else _MOST_PER_100_G
            try:
                value = float(text)
            except ValueError:
                value = -1.0
            if 0 <= value <= limit:
                values[field] = round(value, 3)
            else:
                self._note(names[0], text, f"must be a number from 0 to {limit:g}; it is left out")
        kcal = self._text("energy-kcal_100g")
        if "energy_kj" not in values and re.fullmatch(r"\d+(\.\d+)?", kcal) and float(kcal) < _MOST_ENERGY_KJ / 4:
            values["energy_kj"] = round(float(kcal) * KJ_PER_KCAL, 1)
        per = "100ml" if is_drink else "100g"
        return Nutrition.model_validate({"per": per, **values}) if values else None

    def _nutri_score(self) -> Literal["a", "b", "c", "d", "e"] | None:
        grade = self._text("nutriscore_grade", "nutrition_grade_fr").lower()
        if grade in _NUTRI_SCORES:
            return grade  # type: ignore[return-value]  # looked up in the same five letters
        if grade not in _NO_SCORE:
            self._note("nutriscore_grade", grade, "must be a, b, c, d or e; it is left out")
        return None

    def _text(self, *names: str) -> str:
        for name in names:
            value = (self.row.get(name) or "").strip()
            if value:
                return value[:_LONGEST_TEXT]
        return ""

    def _note(self, column: str, value: str, allowed: str, *, skipped: bool = False) -> None:
        self.problems.append(RowProblem(self.line, Problem(column, shown(value), allowed), skipped))
