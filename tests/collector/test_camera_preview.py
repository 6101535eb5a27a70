"""The demo's camera picture is passed through, with a deadline; a store that did not ask for it has none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.collector.builders import free_port
from tests.collector.conftest import Shop, Web

PICTURES = b"--frame\r\nContent-Type: image/jpeg\r\n\r\nJPEG\r\n--frame--\r\n"


class Camera(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        self.wfile.write(PICTURES)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        pass


@pytest.fixture
def camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/live"
    server.shutdown()
    thread.join(5)
    server.server_close()


def with_preview(folder: Path, url: str) -> None:
    config = folder / "collector.toml"
    config.write_text(f'{config.read_text()}[demo.camera_previews]\na01 = "{url}"\n')


def test_the_picture_comes_through(shop_folder: Path, open_shop: Callable[[], Shop], camera: str) -> None:
    with_preview(shop_folder, camera)
    web = Web(open_shop())
    assert '<img src="/demo/camera/a01.mjpg"' in web.get("/?lang=en").text
    answer = web.get("/demo/camera/a01.mjpg")
    assert answer.content == PICTURES
    assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"


def test_a_camera_that_is_away_is_said(shop_folder: Path, open_shop: Callable[[], Shop]) -> None:
    with_preview(shop_folder, f"http://127.0.0.1:{free_port()}/")
    answer = Web(open_shop()).get("/demo/camera/a01.mjpg")
    assert answer.status_code == 503
    assert "bay a01" in answer.json()["error"]["message"]


def test_without_it_the_overview_has_no_picture(web: Web) -> None:
    assert "/demo/camera" not in web.get("/").text
