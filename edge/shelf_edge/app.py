"""The node's composition root: a checked configuration becomes parts, and the parts run until told to stop."""

from __future__ import annotations

import logging
import platform
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from shelf_contracts.gallery import read_gallery
from shelf_contracts.messages import CameraInfo, CameraStatus, HeldProduct, NodeHealth, NodeInfo
from shelf_edge.adapters.cameras_file import cameras_left_behind
from shelf_edge.adapters.clock import SystemClock
from shelf_edge.adapters.detector_onnx import load_detector
from shelf_edge.adapters.memory_file import MemoryFile
from shelf_edge.adapters.model_fetch import fetch_gallery, fetch_model, fetch_planogram
from shelf_edge.adapters.model_folder import people_in
from shelf_edge.adapters.model_store import ModelStore
from shelf_edge.adapters.mqtt_publisher import MqttPublisher
from shelf_edge.adapters.outbox_sqlite import OutboxLimits, SqliteOutbox, only_one
from shelf_edge.adapters.preview import Preview
from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser, load_recogniser
from shelf_edge.adapters.sources import make_source
from shelf_edge.adapters.unknown_store import UnknownStore
from shelf_edge.adapters.view_files import ViewFiles
from shelf_edge.adapters.waiting_file import WaitingFile
from shelf_edge.config import CheckedConfig
from shelf_edge.core.bay import Bay
from shelf_edge.core.memory import SlotMemory
from shelf_edge.core.reporting import moment
from shelf_edge.detector_switch import DetectorSwitch
from shelf_edge.gallery_updates import GalleryUpdates
from shelf_edge.journal import Journal, notice_maker
from shelf_edge.node import CameraWork, Pipeline, camera_health, camera_status
from shelf_edge.planogram_updates import PlanogramUpdates, kept_planogram
from shelf_edge.ports import Clock, Detector
from shelf_edge.recognising import CropBudget, HeldChange, Recognising
from shelf_edge.remembering import Remembering
from shelf_edge.stages import CameraState, Capture, LatestFrame
from shelf_edge.tiled import TilingDetector
from shelf_edge.unknown_pictures import UnknownPictures
from shelf_edge.updates import ModelUpdates

log = logging.getLogger(__name__)

HEALTH_EVERY_S = 5.0


def run_node(checked: CheckedConfig, stop: threading.Event) -> int:
    """Run until ``stop`` is set; exit code 0, or 1 when the pipeline broke down or the outbox took not all.

    Raises: FileProblems when the model or the outbox cannot be used, or another node works in the state folder.
    """
    with only_one(checked.state):
        return _run(checked, stop)


def _run(checked: CheckedConfig, stop: threading.Event) -> int:
    config, clock = checked.config, SystemClock()
    session_id = str(uuid.uuid4())
    began_s = clock.monotonic_s()
    section = config.model

    people: dict[str, frozenset[int]] = {}  # by the model's hash: models change while we run

    def load(path: Path) -> Detector:
        loaded = load_detector(
            path,
            threads=section.threads,
            score_threshold=section.score_threshold,
            execution=section.execution,
            trust=section.trust,
            tells_faint=True,
        )
        people[loaded.info.sha256] = people_in(path, section.trust)
        return loaded if section.tiles == "never" else TilingDetector(loaded, section.tiles)

    def self_test(path: Path) -> None:
        load(path)

    # What comes over the network must always be signed; what the configuration names, when it says so.
    store = ModelStore(checked.models, checked.model, section.trust, self_test)
    network_store = ModelStore(checked.models, checked.model, replace(section.trust, require=True), self_test)
    detector = DetectorSwitch(load(store.start()), clock, section.slowest_ms)
    outbox = SqliteOutbox(
        checked.state / "outbox.sqlite3",
        first_sequence=int(time.time() * 1000),
        clock=clock,
        limits=OutboxLimits(config.outbox.largest_mb * 2**20, config.outbox.largest_age_h * 3600),
        make_notice=notice_maker(config.store, config.node, clock),
    )
    room = WaitingFile(checked.state / "outbox.waiting")
    journal = Journal(config.store, config.node, outbox, clock, room)
    sight = _open_sight(checked)
    pictures = _open_unknown_pictures(checked, lambda: people.get(detector.info.sha256, frozenset()), clock)
    arrived = threading.Condition()
    planograms_folder = checked.state / "planograms"
    cameras = []
    for one in checked.cameras:
        plan, view = kept_planogram(planograms_folder, one.planogram, one.id) or (one.planogram, one.view)
        cameras.append(CameraWork(one.id, view, plan, LatestFrame(arrived), Bay(plan, view)))
    memory_file = MemoryFile(checked.state / "memory.json")
    books = memory_file.load()
    views = ViewFiles(checked.state / "views")
    for camera in cameras:
        _recall(camera, books, sight.recognising if sight is not None else None, clock.now_s())
        seen_before = views.load(camera.id)
        if seen_before is not None:
            camera.bay.recall_view(seen_before)
    served = {camera.planogram.bay for camera in cameras}
    remembering = Remembering(memory_file, {bay: held for bay, held in books.items() if bay in served}, views)
    present = [*(one.id for one in checked.cameras), *(one.id for one in checked.refused)]
    left_behind = cameras_left_behind(checked.state / "cameras.json", present)
    address = config.broker.address(checked.folder)
    preview = (
        Preview(config.preview.port, lambda: people.get(detector.info.sha256, frozenset()))
        if config.preview is not None
        else None
    )

    def birth() -> None:
        info = NodeInfo(
            node=config.node,
            session=session_id,
            hardware=platform.machine(),
            software=software_version(),
            models=[detector.info, *([sight.recogniser.info] if sight is not None else [])],
            cameras=[CameraInfo(id=c.id, bay=c.planogram.bay, slots=len(c.planogram.positions)) for c in cameras],
            capabilities=["count", "reach", "pickput", *(["recognise"] if sight is not None else [])],
            store_images=pictures is not None,
        )
        publisher.say("node_info", info, node=config.node)
        for camera in cameras:
            say_camera(camera)
        for refused in checked.refused:
            text = f"its planogram cannot be used: {refused.brief}"[:300]
            left_out = CameraStatus(state="offline", bay=refused.bay, since=moment(clock.now_s()), text=text)
            publisher.say("camera_status", left_out, node=config.node, camera=refused.id)
        for camera_id in left_behind:
            publisher.clear("camera_status", node=config.node, camera=camera_id)
        pipeline.say_stock_again()

    def say_camera(camera: CameraWork) -> None:
        status = camera_status(camera)
        if status is not None:
            publisher.say("camera_status", status, node=config.node, camera=camera.id)

    def say_held(bay: str, held: HeldChange, captured_s: float) -> None:
        """Past the outbox: what a hand held is worth nothing a moment later."""
        message = HeldProduct(
            node=config.node, seen=held.seen, slot=held.slot, side=held.side, captured_at=moment(captured_s)
        )
        publisher.say("bay_held", message, bay=bay)

    def camera_changed(camera: CameraWork, state: CameraState) -> None:
        camera.state = state
        say_camera(camera)

    def planogram_changed(camera_id: str) -> None:
        camera = next(one for one in cameras if one.id == camera_id)
        notice = planograms.notice(camera.planogram.bay)
        if notice != camera.planogram_notice:
            camera.planogram_notice = notice
            say_camera(camera)
        model_changed()

    def model_changed() -> None:
        publisher.say_health(health())
        birth()

    publisher = MqttPublisher(
        address,
        config.store,
        config.node,
        session_id,
        outbox,
        clock,
        birth,
        on_update=lambda command: updates.take(command),
        on_gallery=lambda offer: galleries.take(offer) if galleries is not None else None,
        limitation=lambda: detector.info.fallback,
        on_planogram=lambda offer: planograms.take(offer),
        bays=[camera.planogram.bay for camera in cameras],
    )
    pipeline = Pipeline(
        cameras,
        arrived,
        detector,
        journal,
        clock,
        publisher.wake,
        preview.show if preview is not None else None,
        say_camera,
        sight.recognising if sight is not None else None,
        remembering,
        say_held,
        pictures,
        lambda bay, failure: planograms.tried(bay, failure),
    )
    for camera in cameras:
        seen = camera.planogram.view_of(camera.view).slots
        pipeline.say_gone(camera.planogram.bay, books.get(camera.planogram.bay, {}).keys() - seen.keys())
    planograms = PlanogramUpdates(
        planograms_folder,
        config.store,
        [(camera.id, camera.planogram, camera.view) for camera in cameras],
        partial(fetch_planogram, make_tls=address.tls_context),
        pipeline.exchange,
        clock,
        on_change=planogram_changed,
    )
    galleries = (
        GalleryUpdates(
            checked.state / "gallery",
            checked.gallery,
            sight.recogniser.embedder,
            sight.recogniser.dimension,
            partial(fetch_gallery, make_tls=address.tls_context),
            sight.recognising.use,
            clock,
            accepts_offers=sight.accepts_offers,
            on_change=lambda: publisher.say_health(health()),
        )
        if sight is not None
        else None
    )
    updates = ModelUpdates(
        network_store,
        detector,
        load,
        partial(fetch_model, make_tls=address.tls_context),
        clock,
        incoming=checked.models / "fetched",
        trial_s=section.trial_s,
        accepts_orders=section.updates,
        is_pipeline_down=lambda: bool(pipeline.failed),
        on_change=model_changed,
    )
    captures = [
        Capture(
            camera.id,
            make_source(checked_camera.source, checked.folder),
            camera.hand_off,
            clock,
            lambda state, camera=camera: camera_changed(camera, state),  # type: ignore[misc]
        )
        for camera, checked_camera in zip(cameras, checked.cameras, strict=True)
    ]

    def health() -> NodeHealth:
        return NodeHealth(
            node=config.node,
            session=session_id,
            time=moment(clock.now_s()),
            uptime_s=round(clock.monotonic_s() - began_s, 1),
            rss_mb=round(psutil.Process().memory_info().rss / 2**20, 1),
            outbox_messages=outbox.depth(),
            outbox_lost=outbox.lost + journal.refused,
            outbox_waiting=journal.waiting,
            cameras=[camera_health(camera, clock.monotonic_s()) for camera in cameras],
            model=updates.health(),
            gallery=galleries.health() if galleries is not None else None,
            planograms=planograms.health(),
            unknown_pictures=pictures.health() if pictures is not None else None,
        )

    for left_out in checked.refused:
        log.error("camera %s is left out, its planogram cannot be used:\n%s", left_out.id, left_out.why)
    log.info("node %s: %s %s, %d cameras", config.node, detector.info.name, detector.info.version, len(cameras))
    if preview is not None:
        preview.start()
    if galleries is not None and sight is not None:
        galleries.start()
        sight.recognising.start()
    if pictures is not None:
        pictures.start()
    publisher.start()
    remembering.start()
    pipeline.start()
    updates.start()
    planograms.start()
    for capture in captures:
        capture.start()
    while not stop.wait(HEALTH_EVERY_S) and not pipeline.failed:
        publisher.say_health(health())

    if pipeline.failed and store.pointer.on_trial:
        store.roll_back(f"the pipeline went down on trial: {pipeline.failed}")

    # In this order: no new frames, no new facts, what is said reaches the broker, then goodbye.
    for capture in captures:
        capture.stop(0.1)
    updates.stop(1.0)
    planograms.stop(1.0)
    if galleries is not None and sight is not None:
        galleries.stop(1.0)
        sight.recognising.stop(1.0)
    pipeline.stop(2.0)
    remembering.stop(1.0)
    if pictures is not None:
        pictures.stop(1.0)
    if preview is not None:
        preview.stop()
    journal.retry()
    publisher.stop()
    is_all_kept = journal.finish()  # after the last acknowledgement, which makes room
    outbox.close()
    room.close()
    log.info("node %s: stopped", config.node)
    return 0 if is_all_kept and not pipeline.failed else 1


def _recall(
    camera: CameraWork, books: dict[str, dict[str, SlotMemory]], recognising: Recognising | None, now_s: float
) -> None:
    """Let a bay go on from its books, and say how old they are."""
    bay = camera.planogram.bay
    held = books.get(bay, {})
    if not held:
        return
    fit = camera.bay.recall(held, now_s)
    if recognising is not None:
        told = {slot: one.told_misplaced for slot, one in held.items() if one.told_misplaced}
        recognising.recall_misplaced(bay, told)
    age_s = max(0.0, now_s - max(one.seen_s for one in held.values()))
    log.info(
        "bay %s: the books of %d of %d slots go on, last seen %.0f s ago; they are stale until the camera sees them",
        bay, fit, len(held), age_s,
    )  # fmt: skip


@dataclass(frozen=True)
class _Sight:
    """What recognises products."""

    recogniser: OnnxRecogniser
    recognising: Recognising
    accepts_offers: bool


def _open_sight(checked: CheckedConfig) -> _Sight | None:
    """None when the configuration asks for none. Raises: FileProblems when the model cannot be used."""
    section = checked.config.recogniser
    if section is None or checked.recogniser is None:
        return None
    model = checked.config.model
    recogniser = load_recogniser(
        checked.recogniser, threads=section.threads, execution=model.execution, trust=model.trust
    )
    if checked.gallery is not None:
        read_gallery(checked.gallery, recogniser.embedder, recogniser.dimension)
    alone = section.crops_a_look
    budget = CropBudget(alone, max(1, alone // 6), max(1, alone // 2))
    return _Sight(recogniser, Recognising(recogniser, recogniser.calibration, budget=budget), section.updates)


def _open_unknown_pictures(
    checked: CheckedConfig, people: Callable[[], frozenset[int]], clock: Clock
) -> UnknownPictures | None:
    """None when the shop allows none; then what was kept before is deleted. Raises: OSError when that fails."""
    section = checked.config.unknown_pictures
    store = UnknownStore(checked.unknown_pictures, section.limits)
    if section.keep:
        return UnknownPictures(store, people, clock)
    deleted = store.purge()
    if deleted:
        log.warning("unknown_pictures.keep is false: %d pictures of unknown things were deleted", deleted)
    return None


def software_version() -> str:
    """The installed version of smartshelf, or "source" in a bare checkout."""
    try:
        return version("smartshelf")
    except PackageNotFoundError:
        return "source"
