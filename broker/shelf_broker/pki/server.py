"""Where devices get their certificates: an HTTPS server with three questions, each small and with a deadline.

``POST /v1/authority`` gives the authority's certificate (public; the device compares it with its token),
``POST /v1/enrol`` takes ``{"token", "request"}``, ``POST /v1/renew`` takes ``{"request"}`` over a connection on which
the device has shown the certificate it has. Answers are ``{"certificate", "device"}`` or ``{"error"}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import threading
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shelf_broker.errors import PortInUse
from shelf_broker.pki.certificates import RequestRefused
from shelf_broker.pki.office import Issued, PkiProblem, Refused, RegistryOffice
from shelf_broker.pki.roster import SERVER_FILE
from shelf_mqtt.address import CA_FILE
from shelf_mqtt.enrolment import LARGEST_BODY_BYTES

log = logging.getLogger(__name__)

_STEP_TIMEOUT_S = 5.0
_WHOLE_REQUEST_S = 15.0
_MOST_CONNECTIONS = 32
_MOST_CONNECTIONS_A_HOST = 4
_UPKEEP_EVERY_S = 3600.0


class EnrolmentServer:
    """Serves until ``stop``; a context manager. ``port`` 0 takes any free one.

    Raises: PortInUse when the address cannot be listened on.
    """

    def __init__(self, office: RegistryOffice, host: str, port: int) -> None:
        self._office = office
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(office.public / SERVER_FILE)
        self._context.load_verify_locations(office.public / CA_FILE)
        self._context.verify_mode = ssl.CERT_OPTIONAL  # a device that enrols has none yet
        try:
            self._server = _Server(host, port, office, self._context)
        except OSError as error:
            raise PortInUse(f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port") from error
        self.port: int = self._server.server_address[1]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="enrolment", daemon=True),
            threading.Thread(target=self._upkeep, name="pki-upkeep", daemon=True),
        ]

    def __enter__(self) -> EnrolmentServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(2.0)

    def _upkeep(self) -> None:
        """The server's own certificate, the broker's too, is renewed when it is due."""
        while not self._stop.wait(_UPKEEP_EVERY_S):
            try:
                if self._office.renew_server_if_due():
                    self._context.load_cert_chain(self._office.public / SERVER_FILE)
                    log.info("the server's certificate was renewed")
            except (OSError, PkiProblem):
                log.exception("the server's certificate could not be renewed; trying again in an hour")


class _Server(ThreadingHTTPServer):
    """A thread a connection, never more than a few, and few for one host."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, host: str, port: int, office: RegistryOffice, context: ssl.SSLContext) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.office = office
        self._context = context
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        host = str(client_address[0])
        with self._lock:
            is_too_many = self._open.total() >= _MOST_CONNECTIONS or self._open[host] >= _MOST_CONNECTIONS_A_HOST
            if not is_too_many:
                self._open[host] += 1
        if is_too_many:
            log.warning("%s: too many connections at a time; one was closed", host)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        host = str(client_address[0])
        # Whoever sends one byte now and then must not hold a place for ever.
        connections: list[socket.socket] = [request]
        timer = threading.Timer(_WHOLE_REQUEST_S, _shut, (connections,))
        timer.daemon = True
        timer.start()
        try:
            request.settimeout(_STEP_TIMEOUT_S)
            encrypted = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            connections.append(encrypted)
            encrypted.do_handshake()
        except OSError as error:  # ssl.SSLError too
            log.warning("%s: no TLS connection: %s", host, error)
            self.shutdown_request(connections[-1])
        else:
            super().process_request_thread(encrypted, client_address)
        finally:
            timer.cancel()
            with self._lock:
                self._open[host] -= 1
                if not self._open[host]:
                    del self._open[host]

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("%s: the request could not be answered", client_address[0], exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "smartshelf"
    sys_version = ""
    timeout = _STEP_TIMEOUT_S

    def do_POST(self) -> None:
        host = self.client_address[0]
        office = self.server.office
        try:
            body = self._body()
            if self.path == "/v1/authority":
                self._answer(HTTPStatus.OK, {"authority": office.authority_pem})
                return
            if self.path == "/v1/enrol":
                issued = office.enrol(_text(body, "token"), _text(body, "request"))
            elif self.path == "/v1/renew":
                issued = self._renew(body)
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "unknown question"})
                return
        except (RequestRefused, ValueError, RecursionError) as error:  # RecursionError: JSON nested too deep
            log.warning("%s: a bad request: %s", host, error)
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except Refused as refusal:
            log.warning("%s: refused: %s", host, refusal)
            self._answer(HTTPStatus.FORBIDDEN, {"error": str(refusal)})
        except PkiProblem as problem:
            log.error("%s: %s", host, problem)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the authority is busy; try again"})
        else:
            log.info("%s: a certificate for %s (%s)", host, issued.device, self.path)
            self._answer(HTTPStatus.OK, {"certificate": issued.certificate_pem, "device": issued.device})

    def log_message(self, *_: object) -> None:
        """What matters is logged above."""

    def _renew(self, body: dict[str, Any]) -> Issued:
        shown = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
        if shown is None:
            raise Refused("a renewal needs the certificate that is to be renewed")
        return self.server.office.renew(shown, _text(body, "request"))

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= LARGEST_BODY_BYTES:
            self.rfile.read(min(max(0, length), 4 * LARGEST_BODY_BYTES))  # else the answer may be lost with the rest
            raise ValueError(f"a request has at most {LARGEST_BODY_BYTES} bytes")
        content = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(content, dict):
            raise ValueError("a request is a JSON object")
        return content

    def _answer(self, status: HTTPStatus, content: dict[str, str]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key}: must be given as text")
    return value


def _shut(connections: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        connections[-1].shutdown(socket.SHUT_RDWR)
