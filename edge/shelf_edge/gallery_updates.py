"""Galleries that change while the node runs: offered on MQTT, fetched over HTTP, checked, used; else the old one stays.

One thread. The last good gallery is on disk, and the one before it: a node that starts without a network recognises
what it recognised before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from shelf_contracts.errors import ContractError
from shelf_contracts.gallery import Embedder, Gallery, read_gallery, refuse_empty
from shelf_contracts.messages import GalleryHealth, GalleryOffer
from shelf_edge.core.pauses import pause_after
from shelf_edge.ports import Clock

log = logging.getLogger(__name__)

Fetch = Callable[[GalleryOffer, Path, Callable[[], bool]], None]

_OFFERED = "the collector's gallery"
"""What errors call the file that came: the name under which it lies here says nothing to anybody."""

_SAME_MODEL = (
    "give both the same model (recogniser.model of the node, enrolment.recogniser of the collector) "
    "and enrol the photos again with it"
)
_TICK_S = 0.5
_SHORTEST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0


class GalleryUpdates:
    """Follows the gallery that the collector offers.

    Args:
        folder: keeps ``current.gallery`` and ``previous.gallery``.
        given: the gallery the configuration names; used until the first one came.
        embedder, dimension: of the model in use; a gallery of another one is refused.
        fetch: downloads an offer into a file; raises FileProblems.
        use: takes a gallery into use; called on the thread, and by ``start``.
        accepts_offers: False: offers are refused and said so.
        on_change: something was changed that the world should hear; called on the thread.
    """

    def __init__(
        self,
        folder: Path,
        given: Path | None,
        embedder: Embedder,
        dimension: int,
        fetch: Fetch,
        use: Callable[[Gallery], None],
        clock: Clock,
        *,
        accepts_offers: bool,
        on_change: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._given = given
        self._embedder = embedder
        self._dimension = dimension
        self._fetch = fetch
        self._use = use
        self._clock = clock
        self._accepts_offers = accepts_offers
        self._on_change = on_change
        self._lock = threading.Lock()
        self._wanted: GalleryOffer | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._failures = 0
        self._try_again_s = 0.0
        self._health = GalleryHealth()
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)

    def start(self) -> None:
        """Use the last good gallery, and begin to listen."""
        self._take(self._last_good())
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def take(self, offer: GalleryOffer) -> None:
        """What the collector offers; any thread, never waits. Only the newest counts."""
        with self._lock:
            self._wanted = offer
            self._failures, self._try_again_s = 0, 0.0
        self._wake.set()

    def health(self) -> GalleryHealth:
        """What the node's health says of its gallery."""
        return self._health

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            with self._lock:
                offer = self._wanted
            if offer is None or self._stop.is_set() or self._clock.monotonic_s() < self._try_again_s:
                continue
            try:
                self._follow(offer)
            except Exception as error:
                log.exception("the gallery could not be changed; trying again")
                self._fail(offer, f"{type(error).__name__}: {error}")

    def _follow(self, offer: GalleryOffer) -> None:
        if offer.revision == self._health.revision:
            self._tell("settled", offer.revision, "")
            return
        if not self._accepts_offers:
            self._fail(offer, "recogniser.updates is false on this node: set it to true, or put the file there")
            return
        if not offer.products:
            try:
                refuse_empty(Gallery(self._embedder, self._dimension), _OFFERED)
            except ContractError as error:
                self._fail(offer, str(error))
            return
        if offer.model_sha256 != self._embedder.sha256:
            theirs = f"{offer.model_name} {offer.model_version} ({offer.model_sha256[:8]})"
            self._fail(offer, f"made with {theirs}, this node runs {self._embedder}: {_SAME_MODEL}")
            return
        self._tell("fetching", offer.revision, "")
        incoming = self._folder / "incoming.gallery"
        try:
            self._fetch(offer, incoming, self._stop.is_set)
            gallery = self._checked(incoming)
            current = self._folder / "current.gallery"
            if current.is_file():
                current.replace(self._folder / "previous.gallery")
            incoming.replace(current)
        except (ContractError, OSError) as error:
            incoming.unlink(missing_ok=True)
            if not self._stop.is_set():
                self._fail(offer, str(error).splitlines()[0].replace(str(incoming), _OFFERED))
            return
        with self._lock:
            self._failures = 0
        self._take(gallery)
        log.warning("gallery in use: %s, %d products", gallery.revision[:12], self._health.products)
        self._tell("settled", offer.revision, "")

    def _checked(self, file: Path) -> Gallery:
        """Raises: FileProblems when it is damaged, empty, or of another model."""
        gallery = read_gallery(file, self._embedder, self._dimension)
        refuse_empty(gallery, file)
        return gallery

    def _last_good(self) -> Gallery:
        """The newest gallery that can be read; an empty one when there is none."""
        kept = [self._folder / "current.gallery", self._folder / "previous.gallery"]
        for file in [*kept, *([self._given] if self._given is not None else [])]:
            if not file.is_file():
                continue
            try:
                return self._checked(file)
            except ContractError as error:
                log.error("this gallery is left out: %s", error)
        return Gallery(self._embedder, self._dimension)

    def _take(self, gallery: Gallery) -> None:
        self._use(gallery)
        self._health = GalleryHealth(
            revision=gallery.revision, products=len(gallery.gtins), photos=len(gallery.entries)
        )

    def _fail(self, offer: GalleryOffer, why: str) -> None:
        """The old one stays; what was refused is tried again, less and less often: a network comes back."""
        with self._lock:
            if self._wanted is offer:
                pause_s = pause_after(self._failures, _SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
                self._failures += 1
                self._try_again_s = self._clock.monotonic_s() + pause_s
        if self._health.text != why[:300]:
            log.error("gallery %s: refused: %s", offer.revision[:12], why)
        self._tell("refused", offer.revision, why)

    def _tell(self, state: Literal["settled", "fetching", "refused"], offered: str, text: str) -> None:
        before = self._health
        self._health = before.model_copy(update={"state": state, "offered": offered, "text": text[:300]})
        if self._health != before:
            self._on_change()
