#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p" ] || p=python3; exec "$p" "$0" "$@"'
"""Writes docs/figures/demo.svg: test WER of the recogniser that is not retrained, from results/demo.json."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD, FIGURE = ROOT / "results/demo.json", ROOT / "docs/figures/demo.svg"
STYLE = """<style>
    text { font: 14px system-ui, sans-serif; fill: #1f2328; }
    .bar { fill: #8fb8de; } .best { fill: #0969da; } .error { stroke: #1f2328; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .bar { fill: #38608a; } .best { fill: #4493f8; } .error { stroke: #e6edf3; }
    }
  </style>"""
LEFT, SCALE = 120, 7  # pixels: where bars begin, per % of WER


def rates(column: str = "fixed test WER") -> dict[str, tuple[float, float]]:
    """System -> mean and standard deviation (0: one seed)."""
    header, *rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"]
    at = header.index(column)
    found = {row[0]: [float(number) for number in re.findall(r"[\d.]+", row[at])[:2]] for row in rows}
    return {
        name: (mean, spread if "+-" in {r[0]: r[at] for r in rows}[name] else 0.0)
        for name, (mean, spread) in found.items()
    }


def figure() -> str:
    bars = []
    for i, (name, (mean, spread)) in enumerate(rates().items()):
        y, x = 34 + 34 * i, LEFT + SCALE * mean
        best = " best" if "mimic" in name else ""
        bars.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{name}</text>')
        bars.append(f'<rect class="bar{best}" x="{LEFT}" y="{y}" width="{SCALE * mean:.1f}" height="24"/>')
        if spread:
            ends = x - SCALE * spread, x + SCALE * spread
            bars.append(f'<path class="error" d="M{ends[0]:.1f} {y + 12}H{ends[1]:.1f}"/>')
        shown = f"{mean:.2f}" + f" ± {spread:.2f}" * bool(spread)
        bars.append(f'<text x="{x + SCALE * spread + 8:.1f}" y="{y + 17}">{shown}</text>')
    title = "WER (%) on the demo test set, one seed"
    return (
        "\n  ".join(
            [
                '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 180" role="img" aria-labelledby="title">',
                f'<title id="title">{title}</title>',
                STYLE,
                '<text x="8" y="20">test WER (%), one seed</text>',
                *bars,
            ]
        )
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")
