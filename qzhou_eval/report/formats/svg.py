"""Inline SVG of lines, bands, dots and text in the page's fonts and colours. Knows nothing about the content."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

INK, MUTED, LINE, PAPER, GOOD, BAD = (f"var(--{name})" for name in ("ink", "muted", "line", "paper", "more", "less"))
SERIES = tuple(f"var(--series-{number})" for number in range(1, 5))
SMALL, NORMAL = 11, 12  # font sizes
_STEPS = (1, 2, 2.5, 5, 10)

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low`` to ``high`` to the drawing's units from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values within the scale, at most ``most`` steps of 1, 2, 2.5 or 5 times a power of ten."""
        least = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(least))
        step = next(power * step for step in _STEPS if power * step >= least * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


class Drawing:
    """Builds an ``<svg>`` element without a size: the page scales it. Places are (right, down)."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], color: str, width: float = 1) -> None:
        """Draw straight lines through the points."""
        style = f"fill:none;stroke:{color};stroke-width:{width:g};stroke-linejoin:round"
        self._parts.append(f'<polyline points="{_points(points)}" style="{style}"/>')

    def band(self, upper: Sequence[Point], lower: Sequence[Point], color: str) -> None:
        """Fill the area between two lines, pale."""
        self._parts.append(f'<polygon points="{_points([*upper, *lower[::-1]])}" style="fill:{color};opacity:.16"/>')

    def mark(self, place: Point, color: str, *, size: float, hollow: bool = False, diamond: bool = False) -> None:
        """Draw a dot or a diamond, ``size`` across."""
        (x, y), half = place, size / 2
        style = f"fill:{PAPER if hollow else color};stroke:{color};stroke-width:1.4"
        corners = [(x, y - 1.4 * half), (x + 1.4 * half, y), (x, y + 1.4 * half), (x - 1.4 * half, y)]
        shape = f'polygon points="{_points(corners)}"' if diamond else f'circle cx="{x:.2f}" cy="{y:.2f}" r="{half:g}"'
        self._parts.append(f'<{shape} style="{style}"/>')

    def text(self, place: Point, text: str, color: str = MUTED, *, size: int = SMALL, anchor: str = "middle") -> None:
        """Draw text, vertically centred on the place; ``anchor`` is ``start``, ``middle`` or ``end``."""
        x, y = place
        style = f"fill:{color};font-size:{size}px;text-anchor:{anchor}"
        self._parts.append(f'<text x="{x:.2f}" y="{y:.2f}" dy=".35em" style="{style}">{html.escape(text)}</text>')

    def __str__(self) -> str:
        box = f"0 0 {self._width:g} {self._height:g}"
        return f'<svg viewBox="{box}" aria-hidden="true" focusable="false">{"".join(self._parts)}</svg>'


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
