"""Plots of RESULTS.md as SVG files that follow a reader's light or dark theme. The same data gives the same bytes."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; } .axis { stroke: #8c959f; stroke-width: 1; }
.c0 { stroke: #0969da; fill: #0969da; } .c1 { stroke: #bc4c00; fill: #bc4c00; } .c2 { stroke: #1a7f37; fill: #1a7f37; }
.c3 { stroke: #8250df; fill: #8250df; } .c4 { stroke: #57606a; fill: #57606a; } .line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .c0 { stroke: #4493f8; fill: #4493f8; }
.c1 { stroke: #f0883e; fill: #f0883e; } .c2 { stroke: #3fb950; fill: #3fb950; } .line { fill: none; } }
</style>"""
LEFT, WIDTH, TOP, HEIGHT = 56, 420, 24, 220  # pixels, of the field of `by_level`


def by_level(
    levels: Sequence[str],
    curves: Mapping[str, Sequence[tuple[float, float, float] | None]],
    title: str = "WER, %, with 95 % intervals",
    label: str = "SNR, dB",
) -> str:
    """Curves of (rate, low, high) over SNRs or seeds, points side by side so that intervals can be seen."""
    top = max(point[2] for curve in curves.values() for point in curve if point)
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    step = next(step for step in steps if top / step <= 6)
    top = step * (int(top / step) + 1)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - value / top)

    parts = [f'<text x="8" y="14">{escape(title)}</text>']
    for value in range(0, top + 1, step):
        parts.append(f'<path class="axis" d="M{LEFT} {y(value):.1f}h{WIDTH}" opacity="0.4"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    gap = WIDTH / len(levels)
    for k, level in enumerate(levels):
        parts.append(
            f'<text x="{LEFT + gap * (k + 0.5):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{level}</text>'
        )
    parts.append(f'<text x="{LEFT + WIDTH / 2:.1f}" y="{TOP + HEIGHT + 36}" text-anchor="middle">{label}</text>')
    for place, (name, curve) in enumerate(curves.items()):
        shift = gap * 0.5 * ((place + 0.5) / len(curves) - 0.5)
        points = [(LEFT + gap * (k + 0.5) + shift, point) for k, point in enumerate(curve) if point]
        line = " ".join(f"{x:.1f},{y(point[0]):.1f}" for x, point in points)
        parts.append(f'<polyline class="c{place % 5} line" points="{line}"/>')
        for x, (rate, low, high) in points:
            parts.append(f'<path class="c{place % 5}" d="M{x:.1f} {y(max(0, low)):.1f}V{y(high):.1f}"/>')
            parts.append(f'<circle class="c{place % 5}" cx="{x:.1f}" cy="{y(rate):.1f}" r="3.5"/>')
        at = TOP + 10 + 20 * place
        parts.append(f'<circle class="c{place % 5}" cx="{LEFT + WIDTH + 20}" cy="{at}" r="4"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 30}" y="{at + 4}">{escape(name)}</text>')
    return _svg(LEFT + WIDTH + 260, TOP + HEIGHT + 44, title, parts)


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    return "\n".join([f'{head} aria-label="{escape(title)}">', STYLE, *parts, "</svg>", ""])
