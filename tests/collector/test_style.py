"""The look keeps its promises: readable contrast, nothing from other hosts, calm for those who asked for calm."""

from __future__ import annotations

import re

import pytest

from shelf_collector.adapters.web.pages import STATIC

CSS = (STATIC / "style.css").read_text() + (STATIC / "display.css").read_text()
TOKENS = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", CSS))
AA, AA_LARGE = 4.5, 3.0


def luminance(colour: str) -> float:
    def linear(share: float) -> float:
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"), ("ink", "card"), ("ink", "amber-soft"), ("muted", "paper"), ("muted", "card"),
        ("leaf", "paper"), ("leaf", "card"), ("leaf", "leaf-soft"), ("amber", "amber-soft"), ("amber", "card"),
        ("amber", "paper"), ("tomato", "tomato-soft"), ("tomato", "card"), ("tomato", "paper"), ("paper", "ink"),
    ],
)  # fmt: skip
def test_text_meets_wcag_aa_on_every_ground_it_stands_on(text: str, ground: str) -> None:
    assert contrast(TOKENS[text], TOKENS[ground]) >= AA


def test_letters_on_their_own_colours() -> None:
    assert contrast("#ffffff", TOKENS["tomato"]) >= AA
    scores = dict(re.findall(r"\.ns-([a-e]) \{ fill: (#[0-9a-f]{6})", CSS))
    assert len(scores) == 5
    assert all(contrast("#ffffff", colour) >= AA_LARGE for colour in scores.values())
    assert contrast("#64502c", TOKENS["amber-soft"]) >= AA
    assert contrast("#47504b", "#e6e2d9") >= AA


def test_calm_for_those_who_asked_for_it() -> None:
    assert "prefers-reduced-motion: reduce" in CSS
    assert ":focus-visible" in CSS


def test_nothing_comes_from_another_host() -> None:
    files = [
        *(one for one in STATIC.glob("*.*") if one.suffix != ".png"),
        *(STATIC.parent / "templates").glob("*.html"),
    ]
    assert len(files) > 10
    for file in files:
        found = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", file.read_text())
        assert set(found) <= {"http://www.w3.org"}, file.name  # the name of SVG, which nobody fetches


_INSTALLED = {"staff.webmanifest", "icon-192.png", "icon-512.png"}
"""Read by the phone when the staff's list is installed."""


def test_every_page_is_made_of_files_that_exist() -> None:
    for template in (STATIC.parent / "templates").glob("*.html"):
        for name in re.findall(r'"/static/([^"]+)"', template.read_text()):
            assert (STATIC / name).is_file(), f"{template.name} asks for {name}"
    worker = (STATIC / "sw.js").read_text()
    kept = set(re.findall(r'"([a-z]+\.(?:js|css|svg))"', worker))
    assert (
        kept
        == {path.name for path in STATIC.iterdir()}
        - {"sw.js", "overview.js", "enrol.js", "calibrate.js", "times.js"}
        - _INSTALLED
    ), "behind the login: never kept"
