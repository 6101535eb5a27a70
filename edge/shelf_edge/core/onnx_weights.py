"""Does an ONNX file hold all of its weights? Asked of the bytes alone, without the package onnx.

A tensor may say that its numbers lie in another file; a hash of the graph's file says nothing about those. So every
tensor is visited: of the graph, of graphs inside its nodes, of functions and of training parts.
"""

from __future__ import annotations

from mmap import mmap

TENSOR = "TensorProto"
PARTS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: TENSOR, 6: "GraphProto", 10: TENSOR, 11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
}  # fmt: skip
"""Which fields of a message lead to tensors: number to kind of message."""

_EXTERNAL_DATA, _DATA_LOCATION, _TENSOR_NAME = 13, 14, 8
_NODE_TYPE = 4
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class NotOnnx(ValueError):
    """The bytes are no ONNX model."""


def outside_weights(raw: bytes | mmap, largest: int = 5) -> list[str]:
    """Names of tensors (and of nodes that hold a compiled graph) whose content is in another file; at most so many.

    Args:
        raw: the whole file.
    Raises: NotOnnx when it is torn or something else.
    """
    found: list[str] = []
    # A list, not recursion: a file may nest graphs as deep as it likes.
    waiting = [("ModelProto", 0, len(raw))]
    while waiting and len(found) < largest:
        kind, at, end = waiting.pop()
        inner = PARTS.get(kind, {})
        name, is_outside = "", False
        while at < end:
            tag, at = _varint(raw, at, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise NotOnnx(f"a field of unknown number in {kind}")
            if wire == _VARINT:
                value, at = _varint(raw, at, end)
                # Protobuf keeps 32 bits of an enumeration.
                is_outside |= kind == TENSOR and number == _DATA_LOCATION and bool(value & 0xFFFFFFFF)
                continue
            if wire == _LENGTH:
                length, at = _varint(raw, at, end)
            elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
                length = 8 if wire == _EIGHT_BYTES else 4
            else:
                raise NotOnnx(f"a field of unknown form in {kind}")
            start, at = at, at + length
            if at > end:
                raise NotOnnx(f"{kind} is torn")
            if wire != _LENGTH:
                continue
            if number in inner:
                waiting.append((inner[number], start, at))
            elif kind == TENSOR and number == _EXTERNAL_DATA:
                is_outside = True
            elif kind == TENSOR and number == _TENSOR_NAME:
                name = raw[start : min(at, start + 80)].decode("utf-8", "replace")
            elif kind == "NodeProto" and number == _NODE_TYPE and raw[start:at] == b"EPContext":
                name, is_outside = "EPContext", True
        if is_outside:
            found.append(name or "a tensor without a name")
    return found


def _varint(raw: bytes | mmap, at: int, end: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotOnnx("it ends in the middle of a number, or is no protobuf")
