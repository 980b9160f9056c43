"""Rows of text as a table: padded for a terminal, in Markdown, separated by tabs."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same as a table in Markdown."""
    head, *body = (f"| {' | '.join(row)} |\n" for row in rows)
    return head + "|---" * len(rows[0]) + "|\n" + "".join(body)


def tsv(rows: Sequence[Sequence[str]]) -> str:
    """The same, tab-separated."""
    return "".join("\t".join(row) + "\n" for row in rows)
