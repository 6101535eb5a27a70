"""How large letters must be to be read from where people stand: 0.7 degrees of sight (EN 301 549, 5.1.4)."""

from __future__ import annotations

import math

ANGLE_DEG = 0.7
CAP_SHARE_OF_FONT = 0.7
"""Height of a capital as a share of the font size, for the fonts we ask for."""
_CSS_MM_PER_PX = 25.4 / 96


def cap_height_mm(distance_m: float) -> float:
    """Height of a capital that is read from this far.

    >>> round(cap_height_mm(2.0), 1), round(cap_height_mm(0.5), 1)
    (24.4, 6.1)
    """
    return distance_m * 1000 * math.radians(ANGLE_DEG)


def key_font_mm(distance_m: float) -> float:
    """Font size in mm for a line that is read from this far.

    >>> key_font_mm(2.0)
    34.91
    """
    return round(cap_height_mm(distance_m) / CAP_SHARE_OF_FONT, 2)


def mm_in_css(screen_width_mm: float | None) -> str:
    """A millimetre on the glass as a CSS length: a share of the screen's width, else as if a inch had 96 pixels.

    >>> mm_in_css(941.0), mm_in_css(None)
    ('calc(100vw / 941)', '3.7795px')
    """
    if screen_width_mm is None:
        return f"{1 / _CSS_MM_PER_PX:.4f}px"
    return f"calc(100vw / {screen_width_mm:g})"
