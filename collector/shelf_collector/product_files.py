"""The shop's product files: read with what is wrong in them, at the start and whenever one of them changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from shelf_collector.core.product_faults import NameOf, ProductFault, in_both, read_products, without_promises
from shelf_collector.core.tasks import Condition
from shelf_collector.ports import Clock, StorageProblem
from shelf_contracts.errors import FileProblems, Problem, shown
from shelf_contracts.files import read_bytes
from shelf_contracts.products import Product

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_MOST_LOGGED = 100
_LONGEST_DETAIL, _LONGEST_LINE, _LONGEST_FOUND = 300, 140, 24


@dataclass(frozen=True)
class FaultyFile:
    """A file in which something is wrong. ``is_unread``: nothing of it could be read."""

    file: Path
    faults: tuple[ProductFault, ...]
    is_unread: bool

    @property
    def problems(self) -> FileProblems:
        """The same as an error."""
        return FileProblems(self.file, [fault.problem for fault in self.faults])

    @property
    def summary(self) -> str:
        """The faults in a few lines, as many as have room on a task."""
        lines = [_in_short(fault.problem) for fault in self.faults]
        text, count = lines[0], 1
        while count < len(lines) and len(text) + len(lines[count]) < _LONGEST_DETAIL - 20:
            text, count = f"{text}\n{lines[count]}", count + 1
        return f"{text}\n+ {len(lines) - count}" if count < len(lines) else text


def _in_short(problem: Problem) -> str:
    found = problem.found if len(problem.found) <= _LONGEST_FOUND else f"{problem.found[: _LONGEST_FOUND - 1]}…"
    return f"{problem.key or '(whole file)'} = {found}: {problem.allowed}"[:_LONGEST_LINE]


@dataclass(frozen=True)
class ProductPlace:
    """Where a product stands: the entry ``products[index]`` of a file."""

    file: Path
    index: int


@dataclass(frozen=True)
class ShopProducts:
    """All that is certain of the shop's products, where each stands, and the files in which something is wrong."""

    products: tuple[Product, ...]
    places: Mapping[str, ProductPlace]
    faulty: tuple[FaultyFile, ...] = ()

    @property
    def has_unread(self) -> bool:
        return any(one.is_unread for one in self.faulty)

    def with_former(self, former: Mapping[str, Product]) -> ShopProducts:
        """While a file cannot be read, its products of before stay, without what a shop answers for."""
        if not self.has_unread:
            return self
        known = {product.gtin for product in self.products}
        kept = [without_promises(product) for gtin, product in former.items() if gtin not in known]
        return replace(self, products=(*self.products, *kept))


def read_shop_products(files: Sequence[Path], name_of: NameOf) -> ShopProducts:
    """Read all files. What two of them say differently of one product is not certain, and left out."""
    products: dict[str, Product] = {}
    places: dict[str, ProductPlace] = {}
    faulty: list[FaultyFile] = []
    for file in files:
        try:
            found = read_products(read_bytes(file), name_of)
        except FileProblems as error:
            faulty.append(FaultyFile(file, tuple(map(ProductFault, error.problems)), is_unread=True))
            continue
        faults = list(found.faults)
        for product in found.products:
            gtin, known, place = product.gtin, products.get(product.gtin), ProductPlace(file, found.at[product.gtin])
            if known is None:
                products[gtin], places[gtin] = product, place
                continue
            products[gtin], differing = in_both(known, product, name_of)
            said = f"is in an earlier file already: {places[gtin].file.name}"
            problem = Problem(f"products[{place.index}].gtin", shown(gtin), said)
            faults.append(ProductFault(problem, gtin, differing))
        if faults:
            faulty.append(FaultyFile(file, tuple(faults), found.is_unread))
    return ShopProducts(tuple(products.values()), places, tuple(faulty))


def log_faults(shop: ShopProducts) -> None:
    """Each fault with file and key path; the first hundred."""
    lines = [f"{one.file}: {fault}" for one in shop.faulty for fault in one.faults]
    for line in lines[:_MOST_LOGGED]:
        log.error("%s", line)
    if len(lines) > _MOST_LOGGED:
        log.error("and %d faults more: see the check command", len(lines) - _MOST_LOGGED)


class ProductWatch:
    """Looks at the files every other second and takes a change once it has stood still for as long.

    Args:
        take: called with all products when a file changed; raises StorageProblem when they could not be stored, and is
            called again then.
    """

    def __init__(
        self, files: Sequence[Path], name_of: NameOf, now: ShopProducts, take: Callable[[ShopProducts], None],
        clock: Clock,
    ) -> None:  # fmt: skip
        self._files = list(files)
        self._name_of = name_of
        self._take = take
        self._clock = clock
        self._taken = self._last = self._marks()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="products", daemon=True)
        self._since: dict[Path, datetime] = {}
        self._conditions: dict[str, Condition] = {}
        self._note(now)

    def conditions(self) -> dict[str, Condition]:
        """What somebody has to mend, by key: one condition a file. Any thread."""
        return self._conditions

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def look(self) -> bool:
        """One look; whether products were taken. Called by the thread; by tests in its place."""
        marks = self._marks()
        is_still, self._last = marks == self._last, marks
        if marks == self._taken or not is_still:
            return False
        shop = read_shop_products(self._files, self._name_of)
        self._take(shop)
        self._taken = marks
        self._note(shop)
        log_faults(shop)
        log.info("%d products read anew", len(shop.products))
        return True

    def _note(self, shop: ShopProducts) -> None:
        now = self._clock.now()
        self._since = {one.file: self._since.get(one.file, now) for one in shop.faulty}
        self._conditions = {
            key: Condition(key, "products", "", None, None, self._since[one.file], detail=one.summary)
            for one in shop.faulty
            for key in (f"products/{one.file.name[-60:]}",)
        }

    def _marks(self) -> dict[Path, tuple[int, int, int] | None]:
        return {file: _mark(file) for file in self._files}

    def _run(self) -> None:
        said = ""
        while not self._stopping.wait(_LOOK_EVERY_S):
            try:
                self.look()
                said = ""
            except StorageProblem as problem:  # tried again at the next look; said once
                if str(problem) != said:
                    log.error("%s; trying again until it works", problem)
                said = str(problem)
            except Exception:  # what is shown stays; it is said
                log.exception("reading the product files failed; trying again")


def _mark(file: Path) -> tuple[int, int, int] | None:
    """Another mark: another content. None: it cannot be read."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
