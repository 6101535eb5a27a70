"""The HTTP camera against real servers, good and bad."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from shelf_edge.adapters.camera_mjpeg import MjpegCamera
from shelf_edge.ports import SourceProblem, UnreadablePicture

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def jpeg(shade: int = 128) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((64, 96, 3), shade, np.uint8))[1].tobytes())


def part(body: bytes, *extra: str) -> bytes:
    lines = ["--frame", "Content-Type: image/jpeg", f"Content-Length: {len(body)}", *extra, "", ""]
    return "\r\n".join(lines).encode() + body + b"\r\n"


def stream(*chunks: bytes, pause_s: float = 0.0) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(chunk)
            request.wfile.flush()
        time.sleep(pause_s)

    return answer


@contextmanager
def camera(answer: Answer, timeout_s: float = 2.0) -> Iterator[MjpegCamera]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    source = MjpegCamera(f"http://127.0.0.1:{server.server_address[1]}/a01.mjpg", timeout_s=timeout_s, poll_s=0.01)
    try:
        yield source
    finally:
        source.close()
        server.shutdown()
        server.server_close()
        thread.join(2)


def test_frames_come_in_order_with_the_cameras_own_capture_time() -> None:
    stamp = time.time() - 0.5
    with camera(stream(part(jpeg(10), f"X-Timestamp: {stamp:.6f}"), part(jpeg(200)))) as source:
        source.open()
        first, second = source.read(), source.read()
    assert first.captured_s == pytest.approx(stamp, abs=1e-5)
    assert second.captured_s == pytest.approx(time.time(), abs=2)
    assert (first.number, second.number) == (0, 1)
    assert first.image.mean() < second.image.mean()
    assert first.image.shape == (64, 96, 3)


def test_a_camera_whose_clock_is_wrong_is_not_believed() -> None:
    with camera(stream(part(jpeg(), "X-Timestamp: 1234.5"))) as source:
        source.open()
        assert source.read().captured_s == pytest.approx(time.time(), abs=2)


def test_a_camera_that_answers_single_pictures_is_asked_again_and_again() -> None:
    asked = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_response(200)
        request.send_header("Content-Type", "image/jpeg")
        request.end_headers()
        request.wfile.write(jpeg())

    with camera(answer) as source:
        source.open()
        assert [source.read().number for _ in range(3)] == [0, 1, 2]
    assert len(asked) == 3


def test_a_camera_that_leaves_out_the_length_is_read_too() -> None:
    bare = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(30) + b"\r\n"
    with camera(stream(bare, bare, b"--frame--\r\n")) as source:
        source.open()
        assert [round(source.read().image.mean()) for _ in range(2)] == [30, 30]


def test_garbage_between_good_pictures_is_passed_over() -> None:
    torn = part(jpeg(90)[:-300])
    with camera(stream(part(jpeg(10)), part(b"garbage"), torn, part(jpeg(200)))) as source:
        source.open()
        first = source.read()
        with pytest.raises(UnreadablePicture, match="7 bytes that are no picture"):
            source.read()
        with pytest.raises(UnreadablePicture, match="torn JPEG"):
            source.read()
        last = source.read()
    assert (round(first.image.mean()), round(last.image.mean())) == (10, 200)


def refused(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_error(401)


def page(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    request.wfile.write(b"<html>log in</html>")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refused, "answered 401"),
        (page, "Content-Type = 'text/html'"),
        (stream(part(b"not a picture")), "no picture"),
        (stream(part(jpeg())[:-400]), "ended within a picture"),
        (stream(b"--frame\r\nContent-Length: -5\r\n\r\n"), "Content-Length"),
        (stream(b"--frame\r\nContent-Length: 99999999999\r\n\r\n"), "Content-Length"),
        (stream(b"--frame\r\nContent-Length: many\r\n\r\n"), "invalid literal"),
        (stream(), "the stream ended"),
        (stream(pause_s=3), "timed out"),
    ],
)
def test_a_bad_camera_is_a_problem_that_names_it_and_never_hangs(answer: Answer, said: str) -> None:
    def look(source: MjpegCamera) -> None:
        source.open()
        source.read()

    with camera(answer, timeout_s=0.7) as source, pytest.raises(SourceProblem, match=said) as caught:
        look(source)
    assert "a01.mjpg" in str(caught.value)


def drip(content: bytes) -> Answer:
    """A byte now and then, for ever: between two of them no timeout would strike."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        try:
            for byte in content * 50:
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass  # the camera hung up

    return answer


_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def headed(answer: Answer) -> Answer:
    def whole(request: http.server.BaseHTTPRequestHandler) -> None:
        request.wfile.write(_HEAD)
        answer(request)

    return whole


_DRIPPING = {
    "the answer's head": drip(b"HTTP/1.0 200 OK\r\nX-Header: aaaaaaaaaaaaaaaa\r\n"),
    "a picture": headed(drip(part(jpeg()))),
    "a part's head": headed(drip(b"--frame\r\nA: b")),
}


@pytest.mark.parametrize("what", _DRIPPING)
def test_a_stream_that_drips_is_lost_in_time(what: str) -> None:
    def look(source: MjpegCamera) -> None:
        source.open()
        source.read()

    began_s = time.monotonic()
    with camera(_DRIPPING[what], timeout_s=0.5) as source, pytest.raises(SourceProblem):
        look(source)
    assert time.monotonic() - began_s < 10


def test_nobody_there_is_a_problem() -> None:
    with pytest.raises(SourceProblem, match="refused"):
        MjpegCamera("http://127.0.0.1:9/x.mjpg").open()


def test_passwords_are_not_in_the_name() -> None:
    assert "secret" not in MjpegCamera("http://user:secret@camera.local/live").name
