"""The whole collector on one screen: what it is made of, and in which order it starts and stops."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.backup import only_one, sqlite_file
from shelf_collector.adapters.clock import ShiftedClock, SystemClock
from shelf_collector.adapters.database import Database
from shelf_collector.adapters.hub import Hub
from shelf_collector.adapters.model_shelf import ModelShelf
from shelf_collector.adapters.mqtt_bus import MqttBus
from shelf_collector.adapters.notice_list import NoticeList
from shelf_collector.adapters.passwords import Passwords
from shelf_collector.adapters.task_list import TaskList
from shelf_collector.adapters.vision_worker import VisionWorker
from shelf_collector.adapters.web.server import Listening, create_app, serve
from shelf_collector.adapters.web.site import Site
from shelf_collector.config import CollectorSetup
from shelf_collector.core.access import SessionRules
from shelf_collector.core.alerts import AlertRules
from shelf_collector.core.cards import product_card
from shelf_collector.core.catalogue import Catalogue
from shelf_collector.core.labels import LabelText, label_text
from shelf_collector.core.logbook import Deed
from shelf_collector.core.memory import DisplayPlan, StoreMemory
from shelf_collector.core.plan import StorePlan, store_plan
from shelf_collector.core.rollout import NodeReport
from shelf_collector.core.surroundings import surroundings
from shelf_collector.core.tasks import Condition, Surroundings, TaskRules
from shelf_collector.core.texts import WORDS
from shelf_collector.core.views import ProductsView, Screen, Viewer
from shelf_collector.doorkeeper import Doorkeeper
from shelf_collector.enrolling import Enrolling
from shelf_collector.galleries import Galleries
from shelf_collector.keeper import Keeper
from shelf_collector.notice_words import NoticeWords, notice_rules, routes
from shelf_collector.notifying import Notifier
from shelf_collector.planogram_offers import PlanogramOffers
from shelf_collector.ports import Bus, Clock, Delivery, LabelDriver
from shelf_collector.product_files import ProductWatch, ShopProducts
from shelf_collector.rollouts import Rollouts
from shelf_collector.task_topics import TaskTopics
from shelf_collector.taskdesk import DeskRules, Foreman, TaskDesk, Worth
from shelf_collector.watch import ModelWatch, note_files
from shelf_contracts.errors import ContractError
from shelf_contracts.files import read_model
from shelf_contracts.gallery import Embedder
from shelf_contracts.manifest import Manifest
from shelf_contracts.shipped import DEFAULT_RECOGNISER, model_folder

if TYPE_CHECKING:
    from shelf_collector.labels import Labels, LabelState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collector:
    """A collector that was put together and not yet started."""

    site: Site
    bus: MqttBus
    web: FastAPI


def build(setup: CollectorSetup, clock: Clock | None = None) -> Collector:
    """Open the database, recall the state, and put the parts together.

    Raises: StorageProblem when the database cannot be opened.
    """
    clock = clock or SystemClock()
    config = setup.config
    database = Database(setup.database_url, config.history_days, clock)
    database.open()
    doorkeeper = open_door(setup, clock)
    plan = store_plan(setup.planograms)
    planned = sorted({slot.gtin for slot in plan.slots.values() if slot.gtin})
    catalogue = Catalogue({})

    def take_products(shop: ShopProducts) -> None:
        """What the product files say now; of a file that cannot be read, what may be said all the same."""
        before = database.shop_products()
        products = shop.with_former(before).products
        note_files(doorkeeper.accounts, clock, before, products, setup.planograms)
        database.replace_shop_products(products)
        catalogue.replace(database.products(planned))

    take_products(setup.shop_products)

    def recall() -> StoreMemory:
        """The store's memory as the database has it."""
        now = clock.now()
        return StoreMemory(
            plan=plan,
            display_plans=[DisplayPlan(display.id, display.bay) for display in setup.displays],
            rules=AlertRules(**config.rules.model_dump()),
            panel_s=config.panel_s,
            state=database.load_state(now),
            open_alerts=database.load_open_alerts(),
            first_revision=int(now.timestamp() * 1000),
        )

    viewer = Viewer(plan, catalogue)
    hub = Hub(boot=uuid.uuid4().hex[:12])

    def take_and_tell(shop: ShopProducts) -> None:
        take_products(shop)
        hub.show(Screen("products", ProductsView(read_at=clock.now())))

    product_watch = ProductWatch(setup.product_files, setup.planned_name, setup.shop_products, take_and_tell, clock)
    address = config.broker.address(setup.folder)

    def deliver(delivery: Delivery) -> None:
        keeper.deliver(delivery)

    bus = MqttBus(address, config.store, deliver, database.solved_alert_ids, clock)
    watch = ModelWatch(hub, doorkeeper.accounts, clock)
    foreman = Foreman(watch, clock)
    keeper = Keeper(recall, viewer, database, bus, foreman, clock, config.store)
    rollouts = None
    if config.models is not None:
        shelf = ModelShelf(setup.folder / config.models.folder, setup.models_url)
        rollouts = Rollouts(setup.rollouts_folder, shelf, bus, clock, config.store, lambda: node_reports(keeper, clock))
    desk = open_desk(setup, doorkeeper, hub, clock, plan, keeper, database, product_watch.conditions)
    task_topics = TaskTopics(bus, config.store)
    desk.listen(task_topics.hear)
    enrolling = open_enrolling(setup, bus, clock, doorkeeper)
    planograms = PlanogramOffers(setup.planograms_folder, setup.galleries_url, bus, clock, config.store)
    notice_words = NoticeWords(setup, viewer)
    notifier = Notifier(
        routes(setup, clock), notice_rules(config.notices), notice_words.message, clock,
        memory=NoticeList(doorkeeper.accounts),
    )  # fmt: skip
    desk.listen(notifier.hear)
    site = Site(
        setup, plan, keeper, viewer, database, hub, bus, clock, doorkeeper, desk, rollouts, enrolling, notifier,
        notice_words, planograms,
    )  # fmt: skip

    labels = _labels(site)

    def start() -> None:
        keeper.start()
        if labels is not None:
            labels.start()
        bus.start()
        task_topics.say_all(desk)
        notifier.recall(desk.everything())
        notifier.start()
        foreman.start(desk)
        enrolling.start()
        planograms.start()
        product_watch.start()
        if rollouts is not None:
            rollouts.start()
        log.info("collecting for store %s from %s", config.store, address)

    def stop() -> None:
        # First no more messages, then what is queued, then goodbye: 6 s at most.
        if rollouts is not None:
            rollouts.stop()
        product_watch.stop()
        enrolling.stop()
        if labels is not None:
            labels.stop()
        foreman.stop()
        notifier.stop()
        keeper.stop()
        bus.stop()
        doorkeeper.accounts.close()
        database.close()

    web = create_app(site, start, stop)
    web.state.labels = labels
    return Collector(site, bus, web)


def _labels(site: Site) -> Labels | None:
    """The labels of the config; their packages are needed only then."""
    section = site.setup.config.labels
    if section is None:
        return None
    from shelf_collector.adapters.labels_openepaperlink import OpenEPaperLink
    from shelf_collector.adapters.labels_simulated import SimulatedLabels
    from shelf_collector.labels import Labels

    def text_of(bay: str, slot: str) -> LabelText | None:
        planned = site.plan.slots.get((bay, slot))
        product = site.database.products([planned.gtin]).get(planned.gtin) if planned and planned.gtin else None
        if product is None:
            return None
        card = product_card(product, section.language, site.clock.now(), site.setup.config.shop.card_rules)
        return label_text(card, section.language)

    def note(state: LabelState) -> None:
        if state.wanted is not None:
            detail = {"gtin": state.wanted.gtin, "price": state.wanted.price, "prior": state.wanted.prior}
            deed = Deed("label.shown", subject=f"label:{state.label}", detail=detail)
            site.doorkeeper.accounts.note([deed], site.clock.now())

    folder = site.setup.folder / site.setup.config.state / section.folder
    driver: LabelDriver = (
        OpenEPaperLink(section.address) if section.address else SimulatedLabels(folder, list(section.places))
    )
    places = {label: (place.split("/")[0], place.split("/")[1]) for label, place in section.places.items()}
    return Labels(driver, places, text_of, WORDS[section.language]["label_no_price"], note, site.clock)


def open_door(setup: CollectorSetup, clock: Clock) -> Doorkeeper:
    """Who may come in, on a database whose schema is up to date."""
    http = setup.config.http
    rules = SessionRules(timedelta(minutes=http.idle_minutes), timedelta(hours=http.session_hours))
    return Doorkeeper(Accounts(setup.database_url), Passwords(), clock, rules)


def open_desk(
    setup: CollectorSetup, doorkeeper: Doorkeeper, hub: Hub, clock: Clock, plan: StorePlan, keeper: Keeper,
    database: Database, more: Callable[[], Mapping[str, Condition]] = dict,
) -> TaskDesk:  # fmt: skip
    """Work for staff, as the config wants it; ``more``: what besides the shelves asks for somebody, by key."""
    section = setup.config.tasks
    minutes = {name: timedelta(minutes=getattr(section, f"{name}_minutes")) for name in ("escalate", "verify", "hold")}
    rules = TaskRules(
        **minutes, no_stock=timedelta(hours=section.no_stock_hours),
        trouble_dwell=timedelta(seconds=section.trouble_seconds),
    )  # fmt: skip

    def look() -> Surroundings:
        with keeper.lock:
            around = surroundings(keeper.memory, clock.now())
        return replace(around, conditions={**around.conditions, **more()})

    worth = Worth(
        database.slot_history, database.products, timedelta(days=section.demand_days), section.least_watched_hours,
        section.round_hours,
    )  # fmt: skip
    aisles = {name: tuple(bays) for name, bays in section.aisles.items()}
    return TaskDesk(TaskList(doorkeeper.accounts), hub, clock, plan, look, worth, DeskRules(rules, aisles))


def open_enrolling(setup: CollectorSetup, bus: Bus, clock: Clock, doorkeeper: Doorkeeper) -> Enrolling:
    """The shop's gallery, and eyes for photos that are opened when they are needed."""
    galleries = Galleries(
        setup.gallery_folder, setup.galleries_url, bus, clock, setup.config.store,
        keeps_thumbnails=setup.config.enrolment.keep_thumbnails, model=_recogniser_in_use(setup),
    )  # fmt: skip
    return Enrolling(galleries, VisionWorker(setup.vision_arguments), doorkeeper.accounts, clock)


def _recogniser_in_use(setup: CollectorSetup) -> tuple[Embedder, int] | None:
    """Which model the gallery must be of, by its manifest; None where no model can be read."""
    given = setup.config.enrolment.recogniser
    try:
        folder = setup.folder / given if given is not None else model_folder(DEFAULT_RECOGNISER)
        manifest = read_model(folder / "manifest.json", Manifest)
    except (ContractError, OSError) as error:
        log.warning("galleries are offered whatever their model, nodes check them: %s", error)
        return None
    if manifest.embedding is None:
        return None
    about = Embedder(name=manifest.name, version=manifest.version, sha256=manifest.sha256)
    return about, manifest.embedding.dimension


def node_reports(keeper: Keeper, clock: Clock) -> dict[str, NodeReport]:
    """What the nodes said of themselves last."""
    now = clock.now()
    with keeper.lock:
        nodes = dict(keeper.memory.state.nodes)
    return {
        name: NodeReport(name, node.is_present(now), node.health.model if node.health is not None else None)
        for name, node in nodes.items()
    }


def run(setup: CollectorSetup, clock_file: Path | None = None) -> None:
    """Run until SIGINT or SIGTERM; ``clock_file`` is for rehearsals.

    Raises: StorageProblem when the database cannot be opened, or another collector has it.
    """
    clock = ShiftedClock(clock_file) if clock_file is not None else None
    with ExitStack() as held:
        if setup.database_url.startswith("sqlite"):
            held.enter_context(only_one(sqlite_file(setup.database_url)))
        collector = build(setup, clock)
        http = setup.config.http
        log.info("pages and API on %s/", http.address)
        if setup.config.demo.open_to_this_computer:
            log.warning("demo: everybody on this computer is staff, without a login")
        else:
            secret = collector.site.doorkeeper.make_setup_link()
            if secret:
                log.warning("nobody can log in yet; within 15 minutes, open %s/welcome/%s", http.address, secret)
        folder = setup.folder
        cert, key = (folder / name if name else None for name in (http.tls_cert, http.tls_key))
        serve(collector.web, Listening(http.host, http.port, cert, key), collector.site.hub.close)
