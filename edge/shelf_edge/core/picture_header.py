"""What a picture file says about itself before anything is decoded: kind, size, and whether it is whole and still.

A few kilobytes of PNG can hold a picture of a billion pixels, and decoders take the first frame of an animation or half
of a torn JPEG without a word; so the header is read first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureHeader:
    """Attributes:
    kind: "JPEG", "PNG", "WebP" or "BMP".
    width_px, height_px: as stored, before the EXIF orientation is applied.
    is_animated: more than one frame.
    is_whole: the end of the picture is there.
    """

    kind: str
    width_px: int
    height_px: int
    is_animated: bool = False
    is_whole: bool = True


def read_header(raw: bytes) -> PictureHeader | None:
    """The header of a JPEG, PNG, WebP or BMP; None when it is none of them or its header is broken.

    >>> read_header(b"GIF89a")
    """
    try:
        if raw[:2] == b"\xff\xd8":
            return _jpeg(raw)
        if raw[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(raw)
        if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
            return _webp(raw)
        if raw[:2] == b"BM":
            width, height = (int.from_bytes(raw[at : at + 4], "little", signed=True) for at in (18, 22))
            return PictureHeader("BMP", abs(width), abs(height))
    except IndexError:
        return None
    return None


def _jpeg(raw: bytes) -> PictureHeader | None:
    at, size = 2, None
    while at + 4 <= len(raw):
        if raw[at] != 0xFF:
            return None
        marker = raw[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in (0x01, *range(0xD0, 0xD9)):  # markers without a length
            at += 2
            continue
        length = int.from_bytes(raw[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = int.from_bytes(raw[at + 7 : at + 9], "big"), int.from_bytes(raw[at + 5 : at + 7], "big")
        if marker == 0xDA:  # the picture itself; a thumbnail with an end of its own lies before it
            return None if size is None else PictureHeader("JPEG", *size, is_whole=raw.rfind(b"\xff\xd9") > at)
        at += 2 + length
    return None if size is None else PictureHeader("JPEG", *size, is_whole=False)


def _png(raw: bytes) -> PictureHeader:
    width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    data = raw.find(b"IDAT")
    is_animated = raw.find(b"acTL", 8, data if data > 0 else len(raw)) >= 0
    return PictureHeader("PNG", width, height, is_animated, is_whole=raw.rfind(b"IEND") > 0)


def _webp(raw: bytes) -> PictureHeader | None:
    is_whole = len(raw) >= int.from_bytes(raw[4:8], "little") + 8
    chunk = raw[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(raw[at : at + 3], "little") + 1 for at in (24, 27))
        return PictureHeader("WebP", width, height, bool(raw[20] & 0x02), is_whole)
    if chunk == b"VP8L":
        bits = int.from_bytes(raw[21:25], "little")
        return PictureHeader("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, is_whole=is_whole)
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(raw[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        return PictureHeader("WebP", width, height, is_whole=is_whole)
    return None
