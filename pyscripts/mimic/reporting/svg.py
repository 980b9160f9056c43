"""Figures as SVG inside the page: drawn by matplotlib, coloured by the page's style sheet, so that they follow its
light and dark theme. Text stays text. The same data gives the same bytes."""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
COLOURS = 8  # of the style sheet: --c0 to --c7
MARKERS = "osD^vPX*"
# Colours that stand for variables of the style sheet.
INK, FAINT = "#010101", "#020202"
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Line:
    """A curve: its name, colour number, points, limits of intervals (or none); a dashed one is of a second kind."""

    name: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot that opens a page."""

    x: float
    y: float
    href: str
    label: str


def tint(colour: int) -> str:
    return f"#0400{colour % COLOURS:02x}"


def lines(title: str, x_label: str, series: Sequence[Line], label: str, x_names: Sequence[str] = ()) -> Markup:
    """Curves over epochs, or over named levels (then side by side, with intervals)."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(4.6, 3.0) if x_names else _figure(3.6, 2.5)
        for place, line in enumerate(series):
            style: dict[str, Any] = {"color": tint(line.colour), "marker": MARKERS[line.colour % len(MARKERS)]}
            style["linestyle"] = (0, (3, 2)) if line.dashed else "-"
            if line.low:
                shift = 0.4 * ((place + 0.5) / len(series) - 0.5)  # side by side
                below = [y - low for y, low in zip(line.y, line.low, strict=True)]
                above = [high - y for y, high in zip(line.y, line.high, strict=True)]
                x = [x + shift for x in line.x]
                axes.errorbar(x, line.y, yerr=[below, above], capsize=2.5, elinewidth=1.1, **style)
            else:
                axes.plot(line.x, line.y, **style)
        if x_names:
            axes.set_xticks(range(len(x_names)), x_names)
        else:
            locator = axes.xaxis.get_major_locator()
            assert isinstance(locator, MaxNLocator)  # matplotlib's own choice for such an axis
            locator.set_params(integer=True)
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set_xlabel(x_label)
        return _svg(figure, label)


def scatter(title: str, unit: str, colour: int, points: Sequence[Point], label: str) -> Markup:
    """One link per point, noisy on x and enhanced on y, with the line on which nothing changed."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(4.6, 4.6)
        values = [v for p in points for v in (p.x, p.y)]
        margin = 0.04 * (max(values) - min(values)) or 0.1
        span = (min(values) - margin, max(values) + margin)
        axes.plot(span, span, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        drawn = axes.scatter(
            [p.x for p in points], [p.y for p in points], s=22, color=tint(colour), alpha=0.75, linewidths=0
        )
        drawn.set_urls([p.href for p in points])
        axes.set(xlim=span, ylim=span, aspect="equal", xlabel=f"noisy {unit}", ylabel=f"enhanced {unit}")
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.text(0.03, 0.97, "better", transform=axes.transAxes, va="top", color=INK, fontsize=9)
        axes.text(0.97, 0.03, "worse", transform=axes.transAxes, ha="right", color=INK, fontsize=9)
        return _svg(figure, label, {f"{p.href}": p.label for p in points})


def spectrogram(image: str, seconds: float, rate: int, label: str) -> Markup:
    """Axes in seconds and kHz around an image file."""
    text = _spectrogram_axes(seconds, rate).replace("IMAGE", escape(image)).replace("LABEL", escape(label))
    for name in re.findall(r' id="([^"]+)"', text):  # made once, but on its page no id is there twice
        text = text.replace(name, f"{name}-{crc32(f'{image} {label}'.encode()):x}")
    return Markup(text)


@lru_cache(maxsize=8)  # the versions of an utterance are equally long
def _spectrogram_axes(seconds: float, rate: int) -> str:
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "font.size": 11}):
        figure, axes = _figure(5.0, 2.0)
        axes.set(xlim=(0, seconds), ylim=(0, rate / 2000), xlabel="seconds", ylabel="kHz")
        figure.draw_without_rendering()
        box = axes.get_window_extent()
        top, bottom = figure.bbox.height - box.y1, figure.bbox.height - box.y0
        href = {"href": "IMAGE", "x": f"{box.x0:.2f}", "y": f"{top:.2f}", "preserveAspectRatio": "none"}
        href |= {"width": f"{box.width:.2f}", "height": f"{box.height:.2f}"}
        cursor = {"class": "cursor", "x1": href["x"], "x2": href["x"], "data-width": href["width"]}
        cursor |= {"y1": href["y"], "y2": f"{bottom:.2f}"}
        extra = [ET.Element(f"{{{SVG}}}image", href), ET.Element(f"{{{SVG}}}line", cursor)]
        return str(_svg(figure, "LABEL", extra=extra))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=72, layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, label: str, links: dict[str, str] | None = None, extra: Sequence[ET.Element] = ()) -> Markup:
    """The figure for a page: themed, without sizes and unused ids, with a label for screen readers."""
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": label}):  # ids differ between the figures of a page
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(out.getvalue())
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)  # a style element would hold for the whole page
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    for element in root.iter():
        for name in {"d", "x", "y", "transform"} & element.attrib.keys():
            short = re.sub(r"(\.\d\d)\d+", r"\1", element.attrib[name])
            element.set(name, " ".join(short.split()))
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        style = element.get("style")
        if style:
            element.set("style", _themed(style))
        if element.tag == f"{{{SVG}}}a":
            href = element.attrib.pop(f"{{{XLINK}}}href", "")
            element.attrib.update({"href": href, "aria-label": (links or {}).get(href, ""), "tabindex": "-1"})
            title = ET.SubElement(element, f"{{{SVG}}}title")
            title.text = element.get("aria-label")
    root.attrib.update({"role": "group" if links else "img", "aria-label": label, "class": "plot"})
    root.extend(extra)
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return Markup(re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode")))


def _themed(style: str) -> str:
    style = re.sub(
        r"font-family:[^;]*;?|font: ([\d.]+px)[^;]*;?", lambda m: f"font-size: {m[1]};" if m[1] else "", style
    )
    style = re.sub(r"#0400([0-9a-f]{2})", lambda m: f"var(--c{int(m[1], 16)})", style)
    return style.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
