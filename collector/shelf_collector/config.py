"""The collector's TOML file as models, and everything it names, read and checked at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shelf_collector.core.cards import CardRules, allergen_doubt
from shelf_collector.core.languages import LANGUAGES
from shelf_collector.core.stressed import stressed_in, stressed_words
from shelf_collector.product_files import ShopProducts, read_shop_products
from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_contracts.files import read_model
from shelf_contracts.ids import BayId, DisplayId, StoreId
from shelf_contracts.messages import UtcTime
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import Place, Product
from shelf_mqtt.settings import BrokerSection

Port = Annotated[int, Field(ge=1, le=65_535)]
Dwell = Annotated[float, Field(ge=0.0, le=86_400.0)]


def _must_be_language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(LANGUAGES)}: each is a file of core/languages")
    return code


Language = Annotated[str, AfterValidator(_must_be_language)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _must_be_network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


Network = Annotated[str, AfterValidator(_must_be_network)]


class HttpSection(_Section):
    """Where API and pages are served, and to whom.

    Displays are open to the network; everything else needs a login, which needs HTTPS unless it comes from this
    computer: with ``tls_cert`` and ``tls_key`` we speak it ourselves, else a proxy does.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: list[Network] = []
    """Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed; those of others are not read."""
    public_address: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")] | None = None
    """How people reach the pages, for printed links: https://shelf.example."""
    idle_minutes: Annotated[int, Field(ge=5, le=720)] = 120
    session_hours: Annotated[int, Field(ge=1, le=12)] = 12

    @model_validator(mode="after")
    def _both_or_none(self) -> HttpSection:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or none")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this computer can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        """How people reach the pages, as far as we know."""
        if self.public_address:
            return self.public_address
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"{'https' if self.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


Contact = Annotated[str, Field(pattern=r"^(https://|mailto:|tel:)\S+$", max_length=200)]


class SecurityTextSection(_Section):
    """What /.well-known/security.txt says (RFC 9116); without this section there is none."""

    contact: Annotated[list[Contact], Field(min_length=1, max_length=8)]
    expires: UtcTime
    policy: Annotated[str, Field(pattern=r"^https://\S+$", max_length=200)] | None = None


class DisplaySection(_Section):
    """A screen over a bay; the letters are sized so that they are read from ``viewing_distance_m``."""

    id: DisplayId
    bay: BayId
    viewing_distance_m: Annotated[float, Field(ge=0.3, le=10.0)] = 2.0
    screen_width_mm: Annotated[float, Field(ge=50.0, le=10_000.0)] | None = None
    """The picture's width on the glass; without it 96 pixels are taken for an inch."""
    languages: Annotated[list[Language], Field(min_length=1)] = ["nl", "it", "en"]


TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class ShopSection(_Section):
    """What displays may say of the shop.

    ``latitude`` and ``longitude`` put it on the maps of origin. ``link_domain`` is a public domain that answers GS1
    Digital Links; without it displays show no QR codes, since a name of the shop's own network is of no use on a
    shopper's phone. Between ``closes`` and ``opens`` (the display's own time) a display at rest is dark.
    """

    latitude: Annotated[float, Field(ge=-60.0, le=80.0)] | None = None
    longitude: Annotated[float, Field(ge=-180.0, le=180.0)] | None = None
    link_domain: Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:\d+)?$")] | None = None
    allergens_days: Annotated[int, Field(ge=1, le=3650)] = 730
    """Allergens that were verified longer ago than this are not shown."""
    opens: TimeOfDay | None = None
    closes: TimeOfDay | None = None

    @model_validator(mode="after")
    def _pairs(self) -> ShopSection:
        for one, other in (("latitude", "longitude"), ("opens", "closes")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} belong together: give both or none")
        return self

    @property
    def card_rules(self) -> CardRules:
        """What of it matters to product cards."""
        place = None
        if self.latitude is not None and self.longitude is not None:
            place = Place(latitude=self.latitude, longitude=self.longitude)
        return CardRules(place, self.allergens_days, self.link_domain or "")


LabelPlace = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}/[a-z0-9][a-z0-9-]{0,31}$")]
LabelId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]


class LabelsSection(_Section):
    """Electronic shelf labels.

    ``simulated`` writes each label's picture into a folder; ``openepaperlink`` sends it to an access point at
    ``address``. ``places`` says which label hangs where: ``0000021F4A6B3C1D = "a01/s1-02"``.
    """

    driver: Literal["simulated", "openepaperlink"] = "simulated"
    folder: Path = Path("labels")
    address: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")] | None = None
    language: Language = "nl"
    places: Annotated[dict[LabelId, LabelPlace], Field(min_length=1, max_length=5000)]

    @model_validator(mode="after")
    def _has_address(self) -> LabelsSection:
        if (self.driver == "openepaperlink") != (self.address is not None):
            raise ValueError("address belongs to driver openepaperlink: give both or neither")
        return self


class RulesSection(_Section):
    """How long a stock condition must hold, in seconds, before staff hear of it.

    ``likely_dwell_s``: an alert also ends when the best count is above the minimum for so long, the rear unseen.
    """

    low_dwell_s: Dwell = 10.0
    out_dwell_s: Dwell = 5.0
    clear_dwell_s: Dwell = 3.0
    likely_dwell_s: Dwell = 120.0


Minutes = Annotated[float, Field(ge=1.0, le=1440.0)]


class TasksSection(_Section):
    """Work for staff.

    ``aisles`` says which bays belong to one round; without it bays belong together by the letters their id begins with.
    """

    escalate_minutes: Minutes = 20.0
    """So long may a task wait for somebody to claim it before it is told more loudly."""
    verify_minutes: Minutes = 5.0
    """So long after "done" the camera may take to see it; then the task is open again."""
    hold_minutes: Minutes = 30.0
    """A claimed task of which nothing is heard for so long is open again."""
    no_stock_hours: Annotated[float, Field(ge=0.5, le=168.0)] = 8.0
    """After "no stock in the back" nobody is asked again for so long."""
    trouble_seconds: Annotated[float, Field(ge=0.0, le=3600.0)] = 60.0
    """A silent node, a covered camera or a misplaced product becomes work when it stays so long."""
    round_hours: Annotated[float, Field(ge=0.25, le=24.0)] = 2.0
    """Time to the next usual round: expected lost sales are those until then."""
    least_watched_hours: Annotated[float, Field(ge=0.01, le=168.0)] = 1.0
    """With fewer hours of watching a slot, how much it sells is not known."""
    demand_days: Annotated[int, Field(ge=1, le=60)] = 7
    aisles: dict[Annotated[str, Field(min_length=1, max_length=30)], list[BayId]] = {}

    @model_validator(mode="after")
    def _each_bay_once(self) -> TasksSection:
        bays = [bay for group in self.aisles.values() for bay in group]
        twice = sorted({bay for bay in bays if bays.count(bay) > 1})
        if twice:
            raise ValueError(f"aisles: {', '.join(twice)}: each bay belongs to one aisle")
        return self


ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
HttpAddress = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[^\s]*)?$", max_length=300)]
MailAddress = Annotated[str, Field(pattern=r"^[^\s@<>,]+@[^\s@<>,]+$", max_length=200)]


class _ChannelSection(_Section):
    name: ChannelName
    late_only: bool = False
    """Only what waits too long goes here: the manager's phone."""


class WebhookSection(_ChannelSection):
    """JSON by POST, signed with the secret (HMAC-SHA256)."""

    url: HttpAddress
    secret_file: Path


class NtfySection(_ChannelSection):
    """A topic of a ntfy server of your own."""

    server: HttpAddress
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    token_file: Path | None = None


class MailSection(_ChannelSection):
    """The shop's mail server."""

    host: Annotated[str, Field(min_length=1, max_length=200)]
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: MailAddress
    to: Annotated[list[MailAddress], Field(min_length=1, max_length=20)]
    username: Annotated[str, Field(max_length=200)] = ""
    password_file: Path | None = None

    @model_validator(mode="after")
    def _safe_password(self) -> MailSection:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file belong together: give both or none")
        if self.username and self.security == "none":
            raise ValueError("security = 'none' would send the password in the clear: use 'starttls' or 'tls'")
        return self


class NoticesSection(_Section):
    """Who is told of tasks without looking at the list, by what, and when not."""

    language: Language = "nl"
    group_seconds: Annotated[float, Field(ge=0.0, le=600.0)] = 10.0
    cooldown_minutes: Annotated[float, Field(ge=0.0, le=1440.0)] = 10.0
    repeat_minutes: Minutes = 30.0
    quiet_from: TimeOfDay | None = None
    quiet_until: TimeOfDay | None = None
    time_zone: Annotated[str, Field(max_length=60)] = "UTC"
    webhooks: list[WebhookSection] = []
    ntfy: list[NtfySection] = []
    mail: list[MailSection] = []

    @property
    def channels(self) -> list[WebhookSection | NtfySection | MailSection]:
        return [*self.webhooks, *self.ntfy, *self.mail]

    @model_validator(mode="after")
    def _fits_together(self) -> NoticesSection:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet_from and quiet_until belong together: give both or none")
        names = [one.name for one in self.channels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: each channel needs a name of its own")
        if len(names) > 16:
            raise ValueError(f"{len(names)} channels: at most 16")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone = {self.time_zone!r}: must be a name such as Europe/Amsterdam") from error
        return self


class ModelsSection(_Section):
    """Models the collector can offer to nodes."""

    folder: Path
    """Holds model folders, signed ones (``smartshelf models sign``)."""
    url: Annotated[str, Field(pattern=r"^(https?://[^\s]+[^/\s])?$")] = ""
    """Where nodes reach the collector; empty: the address of ``[http]``."""


class EnrolmentSection(_Section):
    """Products enrolled by sight on ``/enrol``. Photos are never kept; thumbnails only if asked for."""

    recogniser: Path | None = None
    """Model folder of the embedding network, the one nodes run; by default the shipped one."""
    detector: Path | None = None
    """Model folder of the detector that proposes crops; by default the shipped one."""
    keep_thumbnails: bool = False
    """Keep a picture of 160 px of each enrolled pack, so that look-alikes can be shown side by side."""
    url: Annotated[str, Field(pattern=r"^(https?://[^\s]+[^/\s])?$")] = ""
    """Where nodes reach the collector; empty: the address of ``[http]``."""


class DemoSection(_Section):
    """Only for demonstrations, and only while nobody but this computer can connect.

    ``open_to_this_computer``: no login; everybody on this computer is staff, nobody is an admin.
    ``camera_previews``: a live picture per bay, which a real store never has.
    """

    open_to_this_computer: bool = False
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
    shop: ShopSection = ShopSection()
    displays: list[DisplaySection] = []
    rules: RulesSection = RulesSection()
    tasks: TasksSection = TasksSection()
    notices: NoticesSection = NoticesSection()
    security_txt: SecurityTextSection | None = None
    models: ModelsSection | None = None
    enrolment: EnrolmentSection = EnrolmentSection()
    labels: LabelsSection | None = None
    demo: DemoSection = DemoSection()

    @model_validator(mode="after")
    def _demo_stays_here(self) -> CollectorConfig:
        demo, http = self.demo, self.http
        if demo.open_to_this_computer and not (
            http.is_loopback and not http.trusted_proxies and not http.public_address
        ):
            raise ValueError(
                f"demo.open_to_this_computer needs [http] host 127.0.0.1 without proxies, not {http.host!r}: without "
                "a login nobody else may connect"
            )
        if demo.camera_previews and not demo.open_to_this_computer:
            raise ValueError("demo.camera_previews needs demo.open_to_this_computer: a store shows no live pictures")
        return self


@dataclass(frozen=True)
class CollectorSetup:
    """A config whose files were all read and fit together. ``displays`` is never empty."""

    config: CollectorConfig
    folder: Path
    planograms: list[Planogram]
    products: list[Product]
    displays: list[DisplaySection]
    warnings: list[str]
    shop_products: ShopProducts
    """``products`` as they were read, with what is wrong in their files."""

    @property
    def product_files(self) -> list[Path]:
        """Where the shop's products are read from."""
        return [self.folder / name for name in self.config.products]

    def planned_name(self, gtin: str) -> str:
        """What the planograms call a product; empty when none has it."""
        return planned_name(self.planograms, gtin)

    @property
    def rollouts_folder(self) -> Path:
        """Where requests for rollouts are put, and the present one is kept."""
        return self.folder / self.config.state / "rollouts"

    @property
    def models_url(self) -> str:
        """Where nodes reach the models."""
        given = self.config.models.url if self.config.models is not None else ""
        return given or self.config.http.address

    @property
    def gallery_folder(self) -> Path:
        """Where the shop's gallery is kept."""
        return self.folder / self.config.state / "gallery"

    @property
    def planograms_folder(self) -> Path:
        """Where planograms are kept that were saved on the page, as nodes are offered them."""
        return self.folder / self.config.state / "offered-planograms"

    @property
    def galleries_url(self) -> str:
        """Where nodes reach the gallery, and planograms."""
        return self.config.enrolment.url or self.config.http.address

    @property
    def vision_arguments(self) -> list[str]:
        """Which models the helper for photos uses."""
        section = self.config.enrolment
        pairs = (("--recogniser", section.recogniser), ("--detector", section.detector))
        return [word for name, path in pairs if path is not None for word in (name, str(self.folder / path))]

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


def load_setup(path: Path, *, despite_products: bool = False) -> CollectorSetup:
    """Read the config and every file it names.

    Args:
        despite_products: faults of product files are not raised but told by the setup: a store does not stand still
            for one product.
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
    doubts: list[str] = []
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
    shop = read_shop_products([folder / name for name in config.products], lambda gtin: planned_name(planograms, gtin))
    products = list(shop.products)
    if not despite_products:
        wrong += [one.problems for one in shop.faulty]
    doubts = allergen_warnings(shop, config.shop.card_rules, datetime.now(UTC))
    bays = [plan.bay for plan in planograms]
    if not wrong:
        own += _display_problems(config, bays)
    slots = {f"{plan.bay}/{position.id}" for plan in planograms for position in plan.positions}
    if config.labels is not None and not wrong:
        own += [
            Problem(f"labels.places.{label}", shown(place), "must be bay/slot of a planogram")
            for label, place in config.labels.places.items()
            if place not in slots
        ]
    if not wrong:
        own += [
            Problem(f"tasks.aisles.{aisle}", shown(bay), f"must be a bay with a planogram: {', '.join(bays)}")
            for aisle, named in config.tasks.aisles.items()
            for bay in named
            if bay not in bays
        ]
    own += _secret_problems(config, folder)
    own += [
        Problem(f"http.{key}", shown(str(name)), "must be a readable file")
        for key, name in (("tls_cert", config.http.tls_cert), ("tls_key", config.http.tls_key))
        if name is not None and not (folder / name).is_file()
    ]
    if own:
        wrong.append(FileProblems(path, own))
    if wrong:
        raise SetupProblems(wrong + [one.problems for one in shop.faulty if despite_products])
    displays = config.displays or [DisplaySection(id=bay, bay=bay) for bay in bays]
    warnings = doubts + _warnings(planograms, products)
    if config.security_txt and config.security_txt.expires < datetime.now(UTC):
        warnings.append("security_txt.expires has passed: nobody believes an expired security.txt")
    return CollectorSetup(config, folder, planograms, products, displays, warnings, shop)


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


def planned_name(planograms: list[Planogram], gtin: str) -> str:
    """What the planograms call a product; empty when none has it."""
    return next((one.name for plan in planograms for one in plan.products if one.gtin == gtin and one.name), "")


def allergen_warnings(shop: ShopProducts, rules: CardRules, now: datetime) -> list[str]:
    """What displays will not show of the allergens given: where it stands, what stands there, why not, what to do."""
    found = []
    for product in shop.products:
        path, index = shop.places[product.gtin].file, shop.places[product.gtin].index
        facts, doubt = product.allergens, allergen_doubt(product, now, rules)
        if facts is None or doubt is None:
            continue
        day, key = facts.verified_on.isoformat(), f"products[{index}].allergens"
        match doubt:
            case "to_come":
                where, value = f"{key}.verified_on", day
                why = "is a day to come; write the day on which it was verified"
            case "too_old":
                where, value = f"{key}.verified_on", day
                why = f"is more than {rules.allergens_days} days ago (shop.allergens_days); verify it again"
            case "none_listed":
                where, value = f"{key}.contains", "[]"
                stressed = _stressed(index, product)
                why = f"lists none, and may_contain neither, but {stressed}; correct the one that is wrong"
            case "not_listed":
                where, value = f"{key}.contains", shown([*facts.contains])
                missing = sorted(stressed_in(product) - {*facts.contains, *facts.may_contain})
                why = f"lists no {', '.join(missing)}, but {_stressed(index, product)}; correct the one that is wrong"
            case "to_review":
                where, value = f"{key}.needs_review", shown(facts.needs_review)
                why = "holds tags that are none of the fourteen; sort them out, then empty the list"
        found.append(f'{path}: {where} = {value}: {why}; until then displays say "not available" ({product.gtin})')
    return found


def _stressed(index: int, product: Product) -> str:
    language, text = next(item for item in (product.ingredients or {}).items() if stressed_words(item[1]))
    return f"products[{index}].ingredients.{language} stresses {', '.join(f'_{one}_' for one in stressed_words(text))}"


SHORTEST_WEBHOOK_SECRET = 16


def read_secret(path: Path) -> str:
    """What a secret's file holds, without the line's end. Raises: OSError, UnicodeDecodeError."""
    return path.read_text(encoding="utf-8").strip()


def _secret_problems(config: CollectorConfig, folder: Path) -> list[Problem]:
    """Files of secrets that cannot be read, are empty, or hold too little to be one."""
    notices = config.notices
    named: list[tuple[str, Path | None, int]] = [
        *(
            (f"notices.webhooks.{one.name}.secret_file", one.secret_file, SHORTEST_WEBHOOK_SECRET)
            for one in notices.webhooks
        ),
        *((f"notices.ntfy.{one.name}.token_file", one.token_file, 1) for one in notices.ntfy),
        *((f"notices.mail.{one.name}.password_file", one.password_file, 1) for one in notices.mail),
    ]
    found = []
    for key, path, least in named:
        if path is None:
            continue
        try:
            secret = read_secret(folder / path)
        except (OSError, UnicodeDecodeError):
            found.append(Problem(key, shown(str(path)), "must be a readable file of text"))
            continue
        if len(secret) < least:
            found.append(Problem(key, shown(str(path)), f"must hold at least {least} characters: openssl rand -hex 32"))
    return found
