"""Ways to tell people without any cloud: a signed webhook, a ntfy server of one's own, the shop's mail server."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import httpx

from shelf_collector.ports import NoticeMessage, NoticeProblem
from shelf_contracts.messages import iso_time

_TIMEOUT = httpx.Timeout(5.0, connect=3.0)
_SMTP_TIMEOUT_S = 8.0
_TRY_AGAIN = frozenset({408, 425, 429})
_LONGEST_TITLE = 150
_LONGEST_TEXT = 3500

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

    def send(self, message: NoticeMessage) -> None:
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
        _post(self.url, body, headers)


@dataclass(frozen=True)
class Ntfy:
    """Publishes to a topic of a ntfy server, as JSON: titles in headers could only be ASCII."""

    name: str
    server: str
    topic: str
    token: str = ""

    def send(self, message: NoticeMessage) -> None:
        content: dict[str, object] = {
            "topic": self.topic, "title": message.title[:_LONGEST_TITLE], "message": message.text[:_LONGEST_TEXT],
            "priority": 4 if message.is_urgent else 3,
        }  # fmt: skip
        if message.link:
            content["click"] = message.link
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        _post(self.server, json.dumps(content, ensure_ascii=False).encode(), headers)


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

    def send(self, message: NoticeMessage) -> None:
        mail = EmailMessage()
        # A line break in a name would make another header.
        mail["Subject"] = " ".join(f"{message.store}: {message.title[:_LONGEST_TITLE]}".split())
        mail["From"], mail["To"], mail["Date"] = self.sender, ", ".join(self.to), format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self.sender.partition('@')[2] or 'smartshelf'}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{message.text[:_LONGEST_TEXT]}\n\n{message.link}\n")
        try:
            self._hand_over(mail)
        except smtplib.SMTPAuthenticationError as error:
            raise NoticeProblem(f"{self.host} refuses user name or password", is_final=True) from error
        except smtplib.SMTPResponseException as error:
            why = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else str(error)
            raise NoticeProblem(f"{self.host} says {error.smtp_code} {why[:200]}", error.smtp_code >= 500) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise NoticeProblem(f"{self.host} takes no mail for {', '.join(self.to)}", is_final=True) from error
        except ssl.SSLError as error:
            raise NoticeProblem(f"{self.host}: its certificate or TLS does not do: {error.reason}", True) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NoticeProblem(f"{self.host}:{self.port}: {error or type(error).__name__}", is_final=False) from error

    def _hand_over(self, mail: EmailMessage) -> None:
        context = ssl.create_default_context()
        server = (
            smtplib.SMTP_SSL(self.host, self.port, timeout=_SMTP_TIMEOUT_S, context=context)
            if self.security == "tls"
            else smtplib.SMTP(self.host, self.port, timeout=_SMTP_TIMEOUT_S)
        )
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, self.password)
            server.send_message(mail)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        # No redirects: a signed message goes where it was meant to go, or nowhere.
        answer = httpx.post(url, content=body, headers=headers, timeout=_TIMEOUT, trust_env=False)
    except httpx.HTTPError as error:
        raise NoticeProblem(f"{url}: {error or type(error).__name__}", is_final=False) from error
    if not answer.is_success:
        is_final = answer.status_code < 500 and answer.status_code not in _TRY_AGAIN
        raise NoticeProblem(f"{url} answers {answer.status_code}", is_final)
