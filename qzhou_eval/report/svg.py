"""matplotlib -> inline SVG that takes the page's fonts and colours. Knows nothing of what is drawn."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

# Colours that nothing else is drawn in; the page says what each is in light and dark.
INK, MUTED, LINE, PAPER, GOOD, BAD = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
SERIES = ("#010201", "#010202", "#010203", "#010204")
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", GOOD: "more", BAD: "less"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, 1)
}
UNITS = 72  # of the drawing, for an inch; the page scales them to pixels

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "qzhou-eval",
    "text.parse_math": False,
    "font.size": 12,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.solid_capstyle": "round",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the page's style. Text is measured in a font that lacks Chinese; the page has its own."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def new_figure(width: float, height: float):
    """A figure of ``width`` x ``height`` units that no window and no global state knows."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / UNITS, height / UNITS))
    FigureCanvasSVG(figure)
    return figure


def inline(figure, name: str) -> str:
    """The drawing as an ``<svg>`` element without size, for a page that names and scales it.

    Args:
        name: letters and digits that no other drawing of the page has: ids begin with it.
    """
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)  # at this size, in the page's family
    text = re.sub(r" ?font-family: [^;\"]*;?", "", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    return text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1).strip()
