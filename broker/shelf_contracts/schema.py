"""The documents made from the catalog: JSON Schemas, the AsyncAPI description and docs/topics.md.

``documents`` is pure; ``smartshelf broker docs`` writes what it returns, and a test fails when the committed files
differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shelf_contracts.catalog import CATALOG, Topic
from shelf_contracts.envelope import (
    CONTENT_TYPE,
    LARGEST_PAYLOAD_BYTES,
    NodeHappening,
    SlotHappening,
    StockLevelEvent,
    encode,
)
from shelf_contracts.examples import EXAMPLES, Example
from shelf_contracts.ids import LEVEL_PATTERN
from shelf_contracts.manifest import Manifest
from shelf_contracts.planogram import Planogram
from shelf_contracts.products import ProductFile

REGENERATE = "smartshelf broker docs"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_BINDING_VERSION = "0.2.0"
_PLAIN_CONTENT_TYPE = "application/json; charset=utf-8"
_PLACE = re.compile(r"\{(\w+)\}")
_FILES: tuple[type[BaseModel], ...] = (Planogram, ProductFile, Manifest)

_IDS = {
    "store": "The shop.",
    "bay": "One camera's view of a fixture; its level in the topic is called shelf.",
    "slot": "The place of one product in the bay.",
    "kind": "What happened.",
    "node": "The edge computer.",
    "camera": "A camera of the node.",
    "display": "A screen at the shelf.",
    "alert": "One open alert.",
    "task": "One piece of work for staff.",
}

Json = dict[str, Any]


def documents() -> dict[str, str]:
    """Every generated document: path inside the docs folder to text."""
    texts = {f"schemas/{_file_name(model)}.json": _json_text(json_schema(model)) for model in _models()}
    texts["asyncapi.json"] = _json_text(asyncapi())
    texts["topics.md"] = topics_page()
    return texts


def write_documents(folder: Path | str) -> list[Path]:
    """Write every document below ``folder``; schemas that belong to no message any more are removed."""
    root = Path(folder)
    texts = documents()
    for old in (root / "schemas").glob("*.json"):
        if f"schemas/{old.name}" not in texts:
            old.unlink()
    written = []
    for name, text in texts.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def drifted_documents(folder: Path | str) -> list[str]:
    """Names of documents below ``folder`` that are missing, differ from the catalog or should not be there."""
    root = Path(folder)
    texts = documents()
    wrong = [name for name, text in texts.items() if _text_of(root / name) != text]
    extra = [f"schemas/{file.name}" for file in (root / "schemas").glob("*.json")]
    return sorted([*wrong, *(name for name in extra if name not in texts)])


def json_schema(model: type[BaseModel]) -> Json:
    """The JSON Schema (2020-12) of what a reader accepts. What a schema cannot say (sums, ranges) the model checks."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT, "$id": f"urn:smartshelf:v1:{_file_name(model)}", **schema}


def asyncapi() -> Json:
    """The AsyncAPI 3.0.0 description of every topic, seen from the role that publishes it."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:smartshelf:mqtt:v1",
        "info": {
            "title": "SmartShelf MQTT API",
            "version": "1.0.0",
            "description": (
                "Made from the topic catalog. Messages are self-sufficient: MQTT 5 properties only repeat what the "
                "payload says, so that MQTT 3.1.1 and MQTT 5 brokers and clients can be mixed."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": _PLAIN_CONTENT_TYPE,
        "servers": _servers(),
        "channels": {_camel(row.name): _channel(row) for row in CATALOG},
        "operations": {name: body for row in CATALOG for name, body in _operations(row)},
        "components": {
            "messages": {_message_name(model): _message(model) for model in _message_models()},
            "parameters": {name: _parameter(name, about) for name, about in _IDS.items()},
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "Each client has its own user and permissions."},
                "certificate": {"type": "X509", "description": "Mutual TLS."},
            },
        },
    }


def topics_page() -> str:
    """docs/topics.md."""
    lines = [
        "# Topics",
        "",
        f"Made from `shelf_contracts.catalog`; do not edit. Written by `{REGENERATE}`.",
        "",
        f"Every topic begins with `smartshelf/v1/{{store}}/`. An id in a topic matches `{LEVEL_PATTERN}`. The level",
        "`shelf/{bay}` keeps the word of the published topic tree: it names a bay.",
        "",
        "| topic | from | read by | QoS | retained | worthless after | at most | message |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in CATALOG:
        kept = "yes" if row.retain else "no"
        schema = f"[{_message_name(row.message)}](schemas/{_file_name(row.message)}.json)"
        lines.append(
            f"| `{row.template}` | {row.publisher} | {', '.join(row.subscribers)} | {row.qos} | {kept} "
            f"| {_duration(row.expiry_s)} | {row.largest_bytes} B | {schema} |"
        )
    lines += ["", *_RULES]
    for row in CATALOG:
        lines += ["", f"## `{row.template}`", "", row.about]
        for example in _examples_of(row.name):
            payload = json.dumps(payload_of(example), indent=2, ensure_ascii=False)
            lines += ["", f"{example.summary} – `{example.topic}`:", "", "```json", *payload.splitlines(), "```"]
    return "\n".join(lines) + "\n"


_RULES = [
    "Rules for readers: ignore fields you do not know; refuse a `specversion` other than `1.x`; refuse a payload over",
    f"{LARGEST_PAYLOAD_BYTES // 1024} KiB; deduplicate on `source` and `id`; ignore a message past its `expirytime`; "
    "drop a stock level older than",
    "the one you hold (`observed_at`); ignore an `offline` whose `session` is not the last `online` one. An empty",
    "retained payload means: there is nothing any more.",
]


def payload_of(example: Example) -> Any:
    """An example's payload as the real encoder writes it, read back as JSON."""
    return json.loads(encode(example.message))


def _models() -> Iterable[type[BaseModel]]:
    return (*_message_models(), *_FILES)


def _message_models() -> list[type[BaseModel]]:
    return list(dict.fromkeys(row.message for row in CATALOG))


def _examples_of(row: str) -> list[Example]:
    return [example for example in EXAMPLES if example.row == row]


def _servers() -> Json:
    session = {"mqtt": {"cleanSession": False, "sessionExpiryInterval": 86_400, "bindingVersion": _BINDING_VERSION}}
    return {
        "embedded": {
            "host": "127.0.0.1:1883",
            "protocol": "mqtt",
            "protocolVersion": "3.1.1",
            "description": "The broker the shop's computer starts itself; reached from that computer only.",
            "bindings": session,
        },
        "store": {
            "host": "broker.store.internal:8883",
            "protocol": "mqtts",
            "protocolVersion": "5.0",
            "description": "A broker for the whole shop.",
            "security": [
                {"$ref": "#/components/securitySchemes/password"},
                {"$ref": "#/components/securitySchemes/certificate"},
            ],
            "bindings": session,
        },
    }


def _channel(row: Topic) -> Json:
    name = _message_name(row.message)
    places = _PLACE.findall(row.address)
    return {
        "address": row.address,
        "description": row.about,
        "parameters": {place: {"$ref": f"#/components/parameters/{place}"} for place in places},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operations(row: Topic) -> list[tuple[str, Json]]:
    channel = f"#/channels/{_camel(row.name)}"
    delivery: Json = {"qos": row.qos, "retain": row.retain}
    if row.expiry_s is not None:
        delivery["messageExpiryInterval"] = row.expiry_s
    shared: Json = {
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{_message_name(row.message)}"}],
    }
    send = {
        "action": "send",
        "summary": f"Published by the {row.publisher}; at most {row.largest_bytes} bytes.",
        "tags": [{"name": row.publisher}],
        **shared,
        "bindings": {"mqtt": {**delivery, "bindingVersion": _BINDING_VERSION}},
    }
    receive = {
        "action": "receive",
        "tags": [{"name": role} for role in row.subscribers],
        **shared,
        "bindings": {"mqtt": {"qos": row.qos, "bindingVersion": _BINDING_VERSION}},
    }
    name = _camel(row.name)
    return [(f"send{name[0].upper()}{name[1:]}", send), (f"receive{name[0].upper()}{name[1:]}", receive)]


def _message(model: type[BaseModel]) -> Json:
    content_type = content_type_of(model)
    rows = {row.name for row in CATALOG if row.message is model}
    return {
        "name": _message_name(model),
        "summary": (model.__doc__ or "").strip().splitlines()[0] if model.__doc__ else _message_name(model),
        "contentType": content_type,
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"schemas/{_file_name(model)}.json"}},
        "examples": [
            {"name": _camel(f"{example.row}_{index + 1}"), "summary": example.summary, "payload": payload_of(example)}
            for index, example in enumerate(EXAMPLES)
            if example.row in rows
        ],
        "bindings": {
            "mqtt": {
                "payloadFormatIndicator": 1,
                "contentType": content_type,
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def content_type_of(model: type[BaseModel]) -> str:
    """The MQTT 5 content type of a message: CloudEvents for what is numbered, else plain JSON."""
    return CONTENT_TYPE if issubclass(model, (StockLevelEvent, SlotHappening, NodeHappening)) else _PLAIN_CONTENT_TYPE


def _parameter(name: str, about: str) -> Json:
    examples = {"store": "nl-ams-001", "bay": "a03", "slot": "s2-04", "kind": "pick", "node": "n01", "camera": "c1"}
    parameter: Json = {"description": f"{about} Matches {LEVEL_PATTERN}"}
    if name in examples:
        parameter["examples"] = [examples[name]]
    return parameter


def _message_name(model: type[BaseModel]) -> str:
    name = model.__name__
    return name[0].lower() + name[1:]


def _file_name(model: type[BaseModel]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", model.__name__).lower()


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    days, rest = divmod(seconds, 86_400)
    return f"{days} d" if days and not rest else f"{seconds} s"


def _json_text(content: Json) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None
