"""Who may publish and read what, from the catalog: filters per client, then in each broker's own words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shelf_contracts.catalog import CATALOG, Topic
from shelf_contracts.topics import everything, subscription

ClientRole = Literal["node", "collector", "display", "observer"]
"""The catalog's roles, and ``observer``: reads everything of the store and says nothing."""


@dataclass(frozen=True)
class Client:
    """Somebody who may log in.

    Attributes:
        username: what it logs in with.
        own_id: the node's or display's id in topics; of no meaning for the other roles.
        bays: the bays whose slots a node may speak of.
    """

    username: str
    role: ClientRole
    store: str
    own_id: str = ""
    bays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Permissions:
    """MQTT topic filters a client may publish to and subscribe."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def permissions_of(client: Client) -> Permissions:
    """A client's permissions: what the catalog says of its role, narrowed to its own id and bays."""
    if client.role == "observer":
        return Permissions((), (everything(client.store),))
    publish: list[str] = []
    subscribe: list[str] = []
    for row in CATALOG:
        if row.publisher == client.role:
            publish += _own_filters(row, client)
        if client.role in row.subscribers:
            subscribe += _own_filters(row, client)
    return Permissions(tuple(publish), tuple(subscribe))


def mosquitto_acl(clients: list[Client]) -> str:
    """The text of a Mosquitto ``acl_file``. What no line allows is denied."""
    lines = ["# Made from the topic catalog; changes here are overwritten."]
    for client in clients:
        permissions = permissions_of(client)
        lines += ["", f"user {client.username}"]
        lines += [f"topic write {topic_filter}" for topic_filter in permissions.publish]
        lines += [f"topic read {topic_filter}" for topic_filter in permissions.subscribe]
    return "\n".join(lines) + "\n"


def nats_subjects(topic_filter: str) -> tuple[str, ...]:
    """An MQTT topic filter as NATS subjects; a closing ``#`` needs two, as it holds the level above too.

    >>> nats_subjects("smartshelf/v1/s1/node/+/status")
    ('smartshelf.v1.s1.node.*.status',)
    >>> nats_subjects("shelf/#")
    ('shelf', 'shelf.>')
    """
    levels = ["*" if level == "+" else level for level in topic_filter.split("/")]
    if levels[-1] == "#":
        above = ".".join(levels[:-1])
        return (above, f"{above}.>") if above else (">",)
    return (".".join(levels),)


def _own_filters(row: Topic, client: Client) -> list[str]:
    if client.role == "node" and "{bay}" in row.template:
        return [subscription(row.name, store=client.store, bay=bay) for bay in client.bays]
    if client.role == "node" and "{node}" in row.template:
        return [subscription(row.name, store=client.store, node=client.own_id)]
    if client.role == "display" and "{display}" in row.template:
        return [subscription(row.name, store=client.store, display=client.own_id)]
    return [subscription(row.name, store=client.store)]
