"""Curves as an SVG that reads well on white and on black, without a plotting library."""

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["draw_curves"]

Point = tuple[float, float]

WIDTH: Final = 720
HEIGHT: Final = 400
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 16, 52
COLOURS: Final = ("#3b82f6", "#e8590c", "#2f9e44", "#a855f7", "#868e96", "#d6336c")
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.grid { stroke: #8886; stroke-width: 1 }
.floor { stroke: #24292f; stroke-width: 1; stroke-dasharray: 4 4 }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .floor { stroke: #e6edf3 } }
"""


def draw_curves(
    curves: Mapping[str, Sequence[Point]],
    marked: Mapping[str, Point],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_max: float,
    x_marked: float,
) -> str:
    """Draw shares, 0 to 1, as percentages; each curve has one marked point, all one marked x."""

    def x(share: float) -> float:
        return round(LEFT + share / x_max * (WIDTH - LEFT - RIGHT), 1)

    def y(share: float) -> float:
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
    ]
    for step in range(6):
        share, at = step / 5, step / 5 * x_max
        parts += [
            f'<path class="grid" d="M{x(0)} {y(share)}H{x(x_max)}"/>',
            f'<text x="{x(0) - 8}" y="{y(share) + 4}" text-anchor="end">{share:.0%}</text>',
            f'<path class="grid" d="M{x(at)} {y(0)}V{y(1)}"/>',
            f'<text x="{x(at)}" y="{y(0) + 18}" text-anchor="middle">{at:.0%}</text>',
        ]
    parts += [
        f'<path class="floor" d="M{x(x_marked)} {y(0)}V{y(1)}"/>',
        f'<text x="{x(x_max / 2)}" y="{HEIGHT - 10}" text-anchor="middle">{x_label}</text>',
        f'<g transform="translate(16 {y(0.5)}) rotate(-90)">',
        f'<text text-anchor="middle">{y_label}</text></g>',
    ]
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number]
        shown = [point for point in points if point[0] <= x_max]
        line = "".join(f"L{x(a)} {y(b)}" for a, b in shown).replace("L", "M", 1)
        at, share = marked[name]
        row = TOP + 16 + 22 * number
        parts += [
            f'<path class="curve" stroke="{colour}" d="{line}"/>',
            f'<circle cx="{x(at)}" cy="{y(share)}" r="4.5" fill="{colour}"/>',
            f'<path class="curve" stroke="{colour}" d="M{WIDTH - RIGHT + 14} {row}h18"/>',
            f'<text x="{WIDTH - RIGHT + 38}" y="{row + 4}">{name}: {share:.0%}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
