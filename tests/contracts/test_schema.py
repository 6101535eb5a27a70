"""The generated documents: up to date, valid, and true to what the code reads and writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shelf_contracts.catalog import BY_NAME, CATALOG
from shelf_contracts.envelope import decode_numbered, decode_plain
from shelf_contracts.examples import EXAMPLES
from shelf_contracts.messages import Message
from shelf_contracts.schema import REGENERATE, asyncapi, documents, drifted_documents, json_schema, payload_of
from shelf_contracts.topics import build, parse

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_committed_documents_are_up_to_date() -> None:
    stale = drifted_documents(DOCS)
    assert not stale, f"docs/{', docs/'.join(stale)} differ from the catalog; run: {REGENERATE}"


def test_the_same_catalog_always_gives_the_same_documents() -> None:
    assert documents() == documents()


def test_every_row_has_an_example_and_every_example_its_row() -> None:
    assert {example.row for example in EXAMPLES} == set(BY_NAME)
    for example in EXAMPLES:
        address = parse(example.topic)
        assert address.row.name == example.row
        assert isinstance(example.message, address.row.message)
        assert build(example.row, **address.ids) == example.topic


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_examples_keep_their_schema_and_the_schema_refuses_what_the_model_refuses(row: Any) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(row.message))
    validator.check_schema(validator.schema)
    for example in EXAMPLES:
        if example.row == row.name:
            validator.validate(payload_of(example))
            assert not validator.is_valid([])
    assert not validator.is_valid({})


def test_the_schemas_catch_what_can_be_said_in_a_schema() -> None:
    stock = next(example for example in EXAMPLES if example.row == "slot_stock")
    validator = jsonschema.Draft202012Validator(json_schema(BY_NAME["slot_stock"].message))
    for path, value in [
        (("specversion",), "2.0"), (("sequence",), "4711"), (("data", "count"), -1), (("data", "level"), "empty"),
        (("data", "gtin"), "12"), (("data", "confidence"), 1.5), (("type",), "org.smartshelf.slot.event.v1"),
    ]:  # fmt: skip
        payload = payload_of(stock)
        place = payload
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not validator.is_valid(payload), path


def test_every_example_in_the_asyncapi_document_goes_through_the_real_reader() -> None:
    document = asyncapi()
    by_message = {name: body["examples"] for name, body in document["components"]["messages"].items()}
    models = {body.message.__name__: body.message for body in CATALOG}
    read = 0
    for name, examples in by_message.items():
        model = models[name[0].upper() + name[1:]]
        for example in examples:
            payload = json.dumps(example["payload"]).encode()
            if issubclass(model, Message):
                decode_plain("t", payload, model)
            else:
                decode_numbered("t", payload)
            read += 1
    assert read >= len(EXAMPLES)


def test_every_example_on_the_topics_page_is_json_of_a_known_topic() -> None:
    page = (DOCS / "topics.md").read_text(encoding="utf-8")
    blocks = page.split("```json\n")[1:]
    assert len(blocks) == len(EXAMPLES)
    for block, before in zip(blocks, page.split("```json\n")[:-1], strict=True):
        payload = block.split("\n```")[0].encode()
        address = parse(before.rstrip().rsplit("`", 2)[1])
        if issubclass(address.row.message, Message):
            decode_plain("t", payload, address.row.message)
        else:
            decode_numbered("t", payload)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = list(_references(document))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            place: Any = document
            for part in reference[2:].split("/"):
                place = place[part]
        else:
            assert (DOCS / reference).is_file(), reference


def test_the_operations_say_what_the_catalog_says() -> None:
    document = asyncapi()
    for row in CATALOG:
        sends = [
            body
            for body in document["operations"].values()
            if body["action"] == "send" and _address(document, body) == row.address
        ]
        assert len(sends) == 1
        binding = sends[0]["bindings"]["mqtt"]
        assert (binding["qos"], binding["retain"]) == (row.qos, row.retain)
        assert binding.get("messageExpiryInterval") == row.expiry_s


@pytest.mark.real
def test_the_asyncapi_document_is_valid_asyncapi_3() -> None:
    data = Path(os.environ.get("SMARTSHELF_DATA", ROOT.parent / "shared" / "data"))
    schema_file = data / "schemas" / "asyncapi-3.0.0.json"
    if not schema_file.is_file():
        pytest.skip("the AsyncAPI 3.0.0 schema is not there; set SMARTSHELF_DATA to the folder that holds schemas/")
    validator = jsonschema.Draft7Validator(json.loads(schema_file.read_text(encoding="utf-8")))
    document = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []
    document["operations"]["sendSlotStock"]["bindings"]["mqtt"]["qoss"] = 1
    assert not validator.is_valid(document), "the schema must notice a wrong name"


def _references(part: Any) -> Any:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _address(document: Any, operation: Any) -> str:
    name = operation["channel"]["$ref"].rsplit("/", 1)[1]
    return str(document["channels"][name]["address"])
