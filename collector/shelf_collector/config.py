"""The collector's TOML file as models, and everything it names, read and checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_contracts.files import read_model
from shelf_contracts.ids import BayId, DisplayId, StoreId
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import Product, ProductFile
from shelf_mqtt.settings import BrokerSection

Port = Annotated[int, Field(ge=1, le=65_535)]
Dwell = Annotated[float, Field(ge=0.0, le=86_400.0)]
Language = Literal["nl", "it", "en"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSection(_Section):
    """Where API and pages are served. There is no login: bind it to a network you trust."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8080


class DisplaySection(_Section):
    """A screen over a bay; the letters are sized so that they are read from ``viewing_distance_m``."""

    id: DisplayId
    bay: BayId
    viewing_distance_m: Annotated[float, Field(ge=0.3, le=10.0)] = 2.0
    languages: Annotated[list[Language], Field(min_length=1)] = ["nl", "it", "en"]


class RulesSection(_Section):
    """How long a stock condition must hold, in seconds, before staff hear of it."""

    low_dwell_s: Dwell = 10.0
    out_dwell_s: Dwell = 5.0
    clear_dwell_s: Dwell = 3.0


class DemoSection(_Section):
    """Only for demonstrations: a live picture per bay, which a real store never has."""

    camera_previews: dict[BayId, Annotated[str, Field(pattern=r"^https?://")]] = {}


class CollectorConfig(_Section):
    """The whole file. Relative names are relative to its folder."""

    store: StoreId
    store_name: Annotated[str, Field(max_length=60)] = ""
    """What displays call the shop; the store id when empty."""
    state: Path = Path("state")
    """Folder of what the collector keeps."""
    database: str = ""
    """SQLAlchemy URL, or the path of an SQLite file; empty: collector.sqlite3 in ``state``."""
    history_days: Annotated[int, Field(ge=8, le=3650)] = 90
    panel_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 10.0
    """How long a panel stays after the last reach, pick or put at its slot."""
    planograms: Annotated[list[Path], Field(min_length=1)]
    products: list[Path] = []
    broker: BrokerSection = BrokerSection()
    http: HttpSection = HttpSection()
    displays: list[DisplaySection] = []
    rules: RulesSection = RulesSection()
    demo: DemoSection = DemoSection()


@dataclass(frozen=True)
class CollectorSetup:
    """A config whose files were all read and fit together. ``displays`` is never empty."""

    config: CollectorConfig
    folder: Path
    planograms: list[Planogram]
    products: list[Product]
    displays: list[DisplaySection]
    warnings: list[str]

    @property
    def database_url(self) -> str:
        """The database as an SQLAlchemy URL with an absolute path."""
        given = self.config.database
        if given.startswith("sqlite:///") or "://" not in given:
            path = given.removeprefix("sqlite:///") or str(self.config.state / "collector.sqlite3")
            return f"sqlite:///{(self.folder / path).resolve()}"
        return given


class SetupProblems(ValueError):
    """All problems of all files; ``files`` is never empty."""

    def __init__(self, files: list[FileProblems]) -> None:
        self.files = files
        super().__init__("\n".join(str(file) for file in files))


def load_setup(path: Path) -> CollectorSetup:
    """Read the config and every file it names.

    Raises: SetupProblems with every problem of every file.
    """
    try:
        config = read_model(path, CollectorConfig)
    except FileProblems as error:
        raise SetupProblems([error]) from error
    folder = path.resolve().parent
    wrong: list[FileProblems] = []
    planograms: list[Planogram] = []
    products: list[Product] = []
    own: list[Problem] = []
    for index, name in enumerate(config.planograms):
        try:
            plan = read_model(folder / name, Planogram)
        except FileProblems as error:
            wrong.append(error)
            continue
        if plan.store != config.store:
            own.append(Problem(f"planograms[{index}]", shown(plan.store), f"its store must be {config.store!r}"))
        if any(plan.bay == other.bay for other in planograms):
            own.append(Problem(f"planograms[{index}]", shown(plan.bay), "its bay has a planogram already"))
        planograms.append(plan)
    for index, name in enumerate(config.products):
        try:
            file = read_model(folder / name, ProductFile)
        except FileProblems as error:
            wrong.append(error)
            continue
        seen = {product.gtin for product in products}
        own += [
            Problem(f"products[{index}]", product.gtin, "is in an earlier file already")
            for product in file.products
            if product.gtin in seen
        ]
        products += file.products
    bays = [plan.bay for plan in planograms]
    if not wrong:
        own += _display_problems(config, bays)
    if own:
        wrong.append(FileProblems(path, own))
    if wrong:
        raise SetupProblems(wrong)
    displays = config.displays or [DisplaySection(id=bay, bay=bay) for bay in bays]
    return CollectorSetup(config, folder, planograms, products, displays, _warnings(planograms, products))


def _display_problems(config: CollectorConfig, bays: list[str]) -> list[Problem]:
    known = f"must be one of the planograms' bays: {', '.join(bays)}"
    wrong = [
        Problem(f"displays[{index}].bay", shown(display.bay), known)
        for index, display in enumerate(config.displays)
        if display.bay not in bays
    ]
    ids = [display.id for display in config.displays]
    wrong += [
        Problem(f"displays[{index}].id", shown(display), "is used more than once")
        for index, display in enumerate(ids)
        if display in ids[:index]
    ]
    wrong += [
        Problem(f"demo.camera_previews.{bay}", shown(bay), known)
        for bay in config.demo.camera_previews
        if bay not in bays
    ]
    return wrong


def _warnings(planograms: list[Planogram], products: list[Product]) -> list[str]:
    known = {product.gtin for product in products}
    found = []
    for plan in planograms:
        for planned in plan.products:
            if planned.gtin is None:
                found.append(f"planogram {plan.id}: product {planned.id!r} has no gtin: displays cannot show it")
            elif planned.gtin not in known:
                found.append(f"planogram {plan.id}: no product file describes {planned.gtin} ({planned.name})")
    return found
