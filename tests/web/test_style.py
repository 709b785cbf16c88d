"""The page's colours can be told apart, in light and dark: WCAG AA."""

import re
from collections.abc import Iterator

import pytest

from app.web.constants import STATIC_DIR

STYLE = (STATIC_DIR / "style.css").read_text()
# Text on what it stands on. What is drawn large, or only beautiful, is not here.
PAIRS = [
    *((text, ground) for text in ("ink", "muted") for ground in ("paper", "raised", "sunken")),
    *((text, "paper") for text in ("accent", "danger", "warn")),
    *((text, "raised") for text in ("accent", "danger", "warn")),
    ("accent-ink", "accent"),
    ("accent", "accent-soft"),
    ("ink", "mark"),
    ("ink", "danger-soft"),
]


def palettes() -> Iterator[tuple[str, dict[str, str]]]:
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", STYLE, re.DOTALL)[:2]
    for name, block in (("light", light), ("dark", dark)):
        yield name, dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "colours"), list(palettes()))
def test_texts_stand_out_from_what_is_behind_them(scheme: str, colours: dict[str, str]) -> None:
    for text, ground in PAIRS:
        lighter, darker = sorted((luminance(colours[text]), luminance(colours[ground])))[::-1]
        contrast = (lighter + 0.05) / (darker + 0.05)
        assert contrast >= 4.5, (scheme, text, ground, round(contrast, 2))


@pytest.mark.parametrize(("scheme", "colours"), list(palettes()))
def test_borders_of_controls_can_be_seen(scheme: str, colours: dict[str, str]) -> None:
    for ground in ("paper", "raised"):
        lighter, darker = sorted(
            (luminance(colours["line-strong"]), luminance(colours[ground])), reverse=True
        )
        assert (lighter + 0.05) / (darker + 0.05) >= 3, (scheme, ground)
