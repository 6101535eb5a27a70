"""A label's picture: black on white, red for an offer; every edge on a whole pixel, since a label has no grey."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from shelf_collector.core.labels import Label, LabelText

_BLACK, _WHITE, _RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf")
_BOLD_FONTS = ("DejaVuSans-Bold.ttf", "LiberationSans-Bold.ttf")
_SMALLEST_PX = 8

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a part of the label stands, in pixels."""

    x: int
    y: int
    width: int
    height: int


def label_picture(text: LabelText, label: Label, no_price: str) -> Image.Image:
    """Draw a label. Names may be cut; a price, its unit price and the price before are never cut, they get smaller.

    Args:
        no_price: what stands in place of a price that is not known or not true any more.
    Returns: RGB of the label's size, in pure black, white and, where it has it, red.
    """
    width, height = label.width_px, label.height_px
    picture = Image.new("RGB", (width, height), _WHITE)
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # no grey edges
    pad = max(3, min(width, height) // 24)
    inner = width - 2 * pad
    is_wide = width > 1.6 * height
    y = pad
    y += _block(draw, _Box(pad, y, inner, round(height * (0.23 if is_wide else 0.22))), text.name, bold=True, lines=2)
    y += _block(draw, _Box(pad, y, inner, round(height * (0.13 if is_wide else 0.09))), text.detail) + pad
    bottom = height - pad
    if text.prior:
        space = round(height * (0.12 if is_wide else 0.16))
        bottom -= space
        _block(draw, _Box(pad, bottom, inner, space), text.prior, lines=1 if is_wide else 2, is_whole=True)
        bottom -= pad
    if not text.price:
        _block(draw, _Box(pad, y, inner, bottom - y), no_price, lines=2, is_whole=True, most_px=round(height * 0.17))
        return picture
    accent = _RED if label.has_red and text.tag else _BLACK
    if is_wide:
        side = round(inner * (0.36 if text.unit_price or text.tag else 0))
        price = _Box(pad, y, inner - side, bottom - y)
        beside = _Box(pad + inner - side + pad, y, side - pad, bottom - y)
    else:
        row = round(height * 0.1)
        price = _Box(pad, y, inner, bottom - y - row - pad)
        beside = _Box(pad, bottom - row, inner // 2 if text.tag else inner, row)
    _block(draw, price, text.price, bold=True, is_whole=True, fill=accent, at_bottom=is_wide)
    small = round(height * (0.13 if is_wide else 0.1))
    unit = _Box(beside.x, beside.y + beside.height - small, beside.width, small)
    _block(draw, unit, text.unit_price, is_whole=True, at_bottom=True)
    if text.tag:
        tag = _Box(beside.x, beside.y, beside.width, small + pad)
        if not is_wide:
            tag = _Box(pad + inner // 2, beside.y - pad, inner // 2, small + pad)
        words = text.tag
        if draw.textlength(words, font=_font(_SMALLEST_PX, is_bold=True)) > tag.width - 2 * pad:
            words = words.rpartition("−")[1] + words.rpartition("−")[2]  # how much is saved, without the word
        font, _ = _fitting(draw, words, _Box(0, 0, tag.width - 2 * pad, small), bold=True, lines=1, is_whole=True)
        right = tag.x + 2 * pad + round(draw.textlength(words, font=font))
        draw.rectangle((tag.x, tag.y, right, tag.y + tag.height), fill=accent)
        middle = tag.y + tag.height // 2
        draw.text((tag.x + pad, middle), words, font=font, fill=_WHITE, anchor="lm")
    return picture


def as_png(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return held.getvalue()


def as_jpeg(picture: Image.Image) -> bytes:
    """Without chroma subsampling and at full quality: less would blur letters of one pixel's width."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=100, subsampling=0)
    return held.getvalue()


def _block(
    draw: ImageDraw.ImageDraw, box: _Box, text: str, *, bold: bool = False, lines: int = 1, is_whole: bool = False,
    fill: tuple[int, int, int] = _BLACK, at_bottom: bool = False, most_px: int = 0,
) -> int:  # fmt: skip
    """Text in the largest letters that fit the box. ``is_whole``: never cut. Returns the height it took."""
    if not text or box.width < _SMALLEST_PX:
        return 0
    room = _Box(box.x, box.y, box.width, min(box.height, most_px * lines) if most_px else box.height)
    font, found = _fitting(draw, text, room, bold=bold, lines=lines, is_whole=is_whole)
    step = _step(font)
    y = box.y + box.height - step * len(found) if at_bottom else box.y
    for number, line in enumerate(found):
        draw.text((box.x, y + number * step), line, font=font, fill=fill, anchor="la")
    return step * len(found)


def _fitting(
    draw: ImageDraw.ImageDraw, text: str, box: _Box, *, bold: bool, lines: int, is_whole: bool
) -> tuple[Font, list[str]]:
    """The font and the lines: as large as the box allows, on as many lines as are allowed."""
    size = max(_SMALLEST_PX, box.height)
    # A name gets no less than a third of its space: below that it is cut rather than made unreadable.
    least = _SMALLEST_PX if is_whole else max(_SMALLEST_PX, round(box.height * 0.34))
    while size > least:
        font = _font(size, bold)
        found = _wrapped(draw, text, font, box.width)
        if (
            len(found) <= lines
            and _step(font) * len(found) <= box.height + 2
            and _widest(draw, found, font) <= box.width
        ):
            return font, found
        size -= 1
    font = _font(size, bold)
    found = _wrapped(draw, text, font, box.width)
    if not is_whole:
        allowed = max(1, min(lines, box.height // _step(font)))
        is_cut = len(found) > allowed
        found = found[:allowed]
        while len(found[-1]) > 1 and (is_cut or draw.textlength(found[-1], font=font) > box.width):
            found[-1] = found[-1].rstrip("…")[:-1].rstrip() + "…"
            is_cut = draw.textlength(found[-1], font=font) > box.width
    return font, found


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> list[str]:
    """Broken at spaces."""
    found: list[str] = []
    for word in text.split(" "):
        longer = f"{found[-1]} {word}" if found else word
        if found and draw.textlength(longer, font=font) <= width:
            found[-1] = longer
        else:
            found.append(word)
    return found


def _widest(draw: ImageDraw.ImageDraw, lines: list[str], font: Font) -> float:
    return max(draw.textlength(line, font=font) for line in lines)


def _step(font: Font) -> int:
    """Height of a line."""
    size = font.size if isinstance(font, ImageFont.FreeTypeFont) else 11
    return round(size * 1.12)


def _font(size: int, is_bold: bool) -> Font:
    for name in _BOLD_FONTS if is_bold else _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def write_png(picture: Image.Image, path: Path) -> None:
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(as_png(picture))
    part.replace(path)
