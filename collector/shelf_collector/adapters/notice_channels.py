"""Ways to tell people without any cloud: a signed webhook, a ntfy server of one's own, the shop's mail server."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

import httpx

from shelf_collector.ports import NoticeMessage, NoticeProblem, NoticeWhy
from shelf_contracts.messages import iso_time

if TYPE_CHECKING:
    from typing_extensions import Buffer

_TIMEOUT = httpx.Timeout(5.0, connect=3.0)
_SMTP_TIMEOUT_S = 8.0
_TRY_AGAIN = frozenset({408, 425, 429})
_LONGEST_TITLE = 150
_LONGEST_TEXT = 3500
_LONGEST_ANSWER = 200
_MOST_READ = 4096
_READ_S = 3.0

SIGNATURE_HEADER = "Smartshelf-Signature"
DELIVERY_HEADER = "Smartshelf-Delivery"


def signature(secret: bytes, at_s: int, body: bytes) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 over the seconds, a full stop and the body.

    Who receives it computes the same, compares in constant time, and refuses what is older than five minutes.
    """
    made = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={made}"


@dataclass(frozen=True)
class Webhook:
    """POSTs JSON, signed. The same delivery id comes again when it is tried again."""

    name: str
    url: str
    secret: bytes
    now: Callable[[], datetime]

    def send(self, message: NoticeMessage) -> str:
        body = json.dumps(
            {
                "id": message.id, "at": iso_time(message.at), "store": message.store, "title": message.title,
                "text": message.text, "urgent": message.is_urgent, "link": message.link, "test": message.is_test,
                "tasks": list(message.tasks),
            },
            ensure_ascii=False,
        ).encode()  # fmt: skip
        headers = {
            "Content-Type": "application/json", DELIVERY_HEADER: message.id,
            SIGNATURE_HEADER: signature(self.secret, int(self.now().timestamp()), body),
        }  # fmt: skip
        return _post(self.url, body, headers)


@dataclass(frozen=True)
class Ntfy:
    """Publishes to a topic of a ntfy server, as JSON: titles in headers could only be ASCII."""

    name: str
    server: str
    topic: str
    token: str = ""

    def send(self, message: NoticeMessage) -> str:
        content: dict[str, object] = {
            "topic": self.topic, "title": message.title[:_LONGEST_TITLE], "message": message.text[:_LONGEST_TEXT],
            "priority": 4 if message.is_urgent else 3,
        }  # fmt: skip
        if message.link:
            content["click"] = message.link
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return _post(self.server, json.dumps(content, ensure_ascii=False).encode(), headers)


@dataclass(frozen=True)
class Mail:
    """A mail by SMTP; ``security``: ``starttls``, ``tls``, or ``none`` for a server on this computer."""

    name: str
    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""

    def send(self, message: NoticeMessage) -> str:
        mail = EmailMessage()
        # A line break in a name would make another header.
        mail["Subject"] = " ".join(f"{message.store}: {message.title[:_LONGEST_TITLE]}".split())
        mail["From"], mail["To"], mail["Date"] = self.sender, ", ".join(self.to), format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self.sender.partition('@')[2] or 'smartshelf'}>"
        mail["Auto-Submitted"] = "auto-generated"
        # In ASCII and short lines: not every server takes eight bits, or lines of a thousand characters.
        mail.set_content(f"{message.text[:_LONGEST_TEXT]}\n\n{message.link}\n", cte="quoted-printable")
        try:
            return self._hand_over(mail)
        except smtplib.SMTPAuthenticationError as error:
            text = f"{self.host} says {error.smtp_code} {_one_line(error.smtp_error)}"
            raise NoticeProblem(text, is_final=True, why="no_login") from error
        except smtplib.SMTPResponseException as error:
            text = f"{self.host} says {error.smtp_code} {_one_line(error.smtp_error)}"
            raise NoticeProblem(text, error.smtp_code >= 500) from error
        except smtplib.SMTPRecipientsRefused as error:
            said = "; ".join(f"{to}: {code} {_one_line(why)}" for to, (code, why) in error.recipients.items())
            is_final = all(code >= 500 for code, _ in error.recipients.values())
            raise NoticeProblem(f"{self.host} says of {said}", is_final) from error
        except smtplib.SMTPNotSupportedError as error:
            raise NoticeProblem(f"{self.host}: {error}", is_final=True, why="no_tls") from error
        except ssl.SSLError as error:
            text = f"{self.host}: its certificate or TLS does not do: {error.reason}"
            raise NoticeProblem(text, is_final=True, why="no_tls") from error
        except (OSError, smtplib.SMTPException) as error:
            text = f"{self.host}:{self.port}: {error or type(error).__name__}"
            raise NoticeProblem(text, is_final=False, why=_why(error)) from error

    def _hand_over(self, mail: EmailMessage) -> str:
        """Returns what the server said when it had all of it, and who of several is refused."""
        context = ssl.create_default_context()
        server = (
            _TalkativeTls(self.host, self.port, timeout=_SMTP_TIMEOUT_S, context=context)
            if self.security == "tls"
            else _Talkative(self.host, self.port, timeout=_SMTP_TIMEOUT_S)
        )
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, self.password)
            refused = server.send_message(mail)
            others = "".join(f"; but not {to}: {code} {_one_line(why)}" for to, (code, why) in refused.items())
            return f"{self.host} says {server.answer}{others}"
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()


class _Talkative(smtplib.SMTP):
    """Remembers what the server said of the mail: "250 2.0.0 Ok: queued as ..."."""

    answer = ""

    def data(self, msg: Buffer | str) -> tuple[int, bytes]:
        code, said = super().data(msg)
        self.answer = f"{code} {_one_line(said)}"
        return code, said


class _TalkativeTls(_Talkative, smtplib.SMTP_SSL):
    pass


def _one_line(said: bytes | str) -> str:
    """What the other side said, as it may be shown: a line of 200 characters at most."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= _LONGEST_ANSWER else line[: _LONGEST_ANSWER - 1] + "…"


def _why(error: BaseException | None) -> NoticeWhy:
    """Why nobody answered, by what lies at the bottom of it."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return "nobody"
        if isinstance(error, socket.gaierror):
            return "no_name"
        if isinstance(error, ssl.SSLError):
            return "no_tls"
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return "no_answer"
        error = error.__cause__ or error.__context__
    return "failed"


def _said(kind: str, beginning: bytes) -> str:
    """What a server said in its body: the words of a JSON error, or the text as it is; nothing of a page of HTML."""
    if "html" in kind:
        return ""
    text = beginning.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except ValueError:
        return _one_line(text)
    words = [content.get(key) for key in ("error", "message", "detail")] if isinstance(content, dict) else []
    return _one_line(next((one for one in words if isinstance(one, str) and one), ""))


def _beginning(answer: httpx.Response) -> bytes:
    """The first words of an answer: one that is endless, or comes drop by drop, is not waited for."""
    found, deadline_s = b"", time.monotonic() + _READ_S
    for piece in answer.iter_raw(_MOST_READ):
        found += piece
        if len(found) >= _MOST_READ or time.monotonic() > deadline_s:
            break
    return found[:_MOST_READ]


def _post(url: str, body: bytes, headers: dict[str, str]) -> str:
    headers = {**headers, "Accept-Encoding": "identity"}
    try:
        # No redirects: a signed message goes where it was meant to go, or nowhere.
        with httpx.stream("POST", url, content=body, headers=headers, timeout=_TIMEOUT, trust_env=False) as answer:
            text = "" if answer.is_success else _said(answer.headers.get("content-type", ""), _beginning(answer))
    except httpx.HTTPError as error:
        text = f"{url}: {error or type(error).__name__}"
        raise NoticeProblem(text, is_final=False, why=_why(error)) from error
    status = " ".join((str(answer.status_code), answer.reason_phrase)).strip()
    said = f"{url} answers {status}"
    if not answer.is_success:
        is_final = answer.status_code < 500 and answer.status_code not in _TRY_AGAIN
        leads = " (an address that leads elsewhere is not followed)" if answer.is_redirect else ""
        raise NoticeProblem(": ".join(part for part in (said + leads, text) if part), is_final)
    return said
