"""Labels behind an OpenEPaperLink access point, by its HTTP. It knows no login: keep it in a network of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image

from shelf_collector.adapters.label_picture import as_jpeg
from shelf_collector.core.labels import Label, LabelProblem, PushState, PushTicket

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_TRIES = 3
_PAUSE_S = 1.0
_MOST_PAGES = 64
_SMALLEST_PX, _LARGEST_PX = 32, 4096
_EXTERNAL_PICTURE = "24"
"""The access point's content mode of a picture that somebody uploads."""


class OpenEPaperLink:
    """One access point. One upload at a time: it answers 409 to more, and to everything while it starts."""

    def __init__(self, address: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = httpx.Client(base_url=address, timeout=_TIMEOUT, trust_env=False)
        self._sleep = sleep
        self._types: dict[int, dict[str, Any]] = {}

    def close(self) -> None:
        self._client.close()

    def discover(self) -> list[Label]:
        """Raises: LabelProblem when the access point does not answer as one."""
        found = []
        position = 0
        for _ in range(_MOST_PAGES):
            page = self._json("/get_db", {"pos": position})
            try:
                found += [self._label(tag) for tag in page.get("tags", [])]
                position = int(page.get("continu", 0))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                where = f"{self._client.base_url}/get_db"
                raise LabelProblem(f"{where}: not the list of an OpenEPaperLink access point: {error!r}") from error
            if not position:
                break
        return found

    def push(self, label: Label, picture: Image.Image, *, revision: str, ttl_s: int) -> PushTicket:
        """Hand a picture to the access point. That it took it does not mean that the label shows it.

        Raises: LabelProblem.
        """
        before = self._tag(label.id)
        fields = {
            "mac": label.id,
            "contentmode": _EXTERNAL_PICTURE,
            "dither": "0",
            "ttl": str(max(1, ttl_s // 60)),
        }
        files = {"file": (f"{label.id}.jpg", as_jpeg(picture), "image/jpeg")}
        answer = self._insist("POST", "/imgupload", data=fields, files=files)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise LabelProblem(f"label {label.id}: the access point does not know it: {answer.text.strip()[:80]}")
        if answer.status_code != httpx.codes.OK:
            raise LabelProblem(f"label {label.id}: the access point answered {answer.status_code}")
        return PushTicket(label.id, revision, mark=str(before.get("hash", "")))

    def confirm(self, ticket: PushTicket) -> PushState:
        """By what the label told the access point at its last look: nothing waits, and it shows something else."""
        tag = self._tag(ticket.label)
        if not tag:
            return PushState.FAILED
        is_fetched = not tag.get("pending", 0) and str(tag.get("hash", "")) != ticket.mark
        return PushState.SHOWN if is_fetched else PushState.QUEUED

    def identify(self, label_id: str) -> None:
        """Let its LED flash. Raises: LabelProblem."""
        self._insist("GET", "/led_flash", params={"mac": label_id, "pattern": ""})

    def _label(self, tag: dict[str, Any]) -> Label:
        kind = self._type(int(tag["hwType"]))
        battery = int(tag.get("batteryMv", 0))
        width, height = int(kind["width"]), int(kind["height"])
        if not (_SMALLEST_PX <= width <= _LARGEST_PX and _SMALLEST_PX <= height <= _LARGEST_PX):
            raise ValueError(f"a label of {width} x {height} pixels")
        return Label(
            str(tag["mac"]).upper(), width, height, has_red="red" in kind.get("colortable", {}),
            battery_mv=battery or None,
        )  # fmt: skip

    def _tag(self, label: str) -> dict[str, Any]:
        tags = self._json("/get_db", {"mac": label}).get("tags", [])
        named = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
        return next((tag for tag in named if str(tag.get("mac", "")).upper() == label), {})

    def _type(self, number: int) -> dict[str, Any]:
        if number not in self._types:
            self._types[number] = self._json(f"/tagtypes/{number:02X}.json", {})
        return self._types[number]

    def _json(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = self._insist("GET", path, params=params)
        try:
            content = answer.raise_for_status().json()
            if not isinstance(content, dict):
                raise TypeError("no JSON object")
        except (httpx.HTTPStatusError, ValueError, TypeError) as error:
            raise LabelProblem(f"{self._client.base_url}{path}: no answer of an access point: {error}") from error
        return content

    def _insist(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Ask; again, after a pause, while it is busy. Raises: LabelProblem after three tries."""
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                self._sleep(_PAUSE_S * attempt)
            try:
                answer = self._client.request(method, path, **arguments)
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
                continue
            if answer.status_code != httpx.codes.CONFLICT:
                return answer
            problem = "busy (409)"
        raise LabelProblem(
            f"the access point at {self._client.base_url}: {problem}; is it on, and reachable from here?"
        )
