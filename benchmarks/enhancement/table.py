"""Tables in Markdown from what benchmarks/enhancers.py found: scores with differences to noisy, and by condition."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mimic.metrics.comparison import REPLICATIONS, Comparison, Value, bootstrap
from mimic.reporting.score_table import markdown

# Measure: heading, digits. Those of words come after them, one for each recogniser.
QUALITY = {"wb-pesq": ("PESQ", 2), "estoi": ("eSTOI", 3), "si-sdr": ("SI-SDR", 1)}
QUALITY |= {"sig": ("SIG", 2), "bak": ("BAK", 2), "ovrl": ("OVRL", 2)}
BASE = "noisy"
LOW_SNR = 5  # dB: pairs are compared below it too
NONE = "-"
Results = Mapping[str, Mapping[str, Any]]  # by system, see benchmarks/enhancers.py
Figures = Mapping[str, Mapping[str, Comparison]]  # by system, by measure


def tables(
    results: Results, groups: Mapping[str, Mapping[str, Sequence[str]]], pairs: Sequence[Sequence[str]] = ()
) -> str:
    """All tables. groups: utterances by value, of each known condition; pairs: A, and B compared with it."""
    utts = sorted(results[BASE]["utterances"])
    recognisers = sorted({name for r in results.values() for row in r["utterances"].values() for name in row["errors"]})
    found = {name: compare(results, name, utts, recognisers) for name in results}
    parts = [main_table(results, found, recognisers), differences(found, recognisers)]
    if pairs:
        low = [utt for snr, of_snr in groups.get("snr", {}).items() if float(snr) < LOW_SNR for utt in of_snr]
        parts.append(pair_table(results, pairs, {"": utts, f", below {LOW_SNR} dB": sorted(low)}, recognisers))
    for condition, values in groups.items():
        parts += by_condition(results, condition, values, recognisers)
    return "\n".join(parts)


def compare(
    results: Results,
    name: str,
    utts: Iterable[str],
    recognisers: Sequence[str],
    replications: int = REPLICATIONS,
    base: str = BASE,
    capped: bool = False,
) -> dict[str, Comparison]:
    """Each measure of a system against that of `base`: paired bootstrap over utterances (mimic.metrics.comparison).

    capped: also errors of words of which an utterance has at most as many as words, as "<recogniser>, capped".
    """
    utts, sides = list(utts), [results[system]["utterances"] for system in (base, name)]

    def values(side: Mapping[str, Any], value: Callable[[Mapping[str, Any]], Value | None]) -> dict[str, Value | None]:
        return {utt: value(side[utt]) for utt in utts}

    def score(measure: str) -> Callable[[Mapping[str, Any]], Value | None]:
        return lambda row: None if row.get(measure) is None else Value(row[measure], 1)

    def errors(recogniser: str) -> Callable[[Mapping[str, Any]], Value | None]:
        return lambda row: Value(row["errors"][recogniser], row["words"]) if recogniser in row["errors"] else None

    def cap(value: Value | None) -> Value | None:
        return value and Value(min(value.amount, value.weight), value.weight)

    found = {}
    for measure in QUALITY:
        a, b = (values(side, score(measure)) for side in sides)
        found[measure] = bootstrap(measure, [(a, b)], replications)
    for recogniser in recognisers:
        a, b = (values(side, errors(recogniser)) for side in sides)
        found[recogniser] = bootstrap("wer", [(a, b)], replications)
        if capped:
            a, b = ({utt: cap(value) for utt, value in side.items()} for side in (a, b))
            found[f"{recogniser}, capped"] = bootstrap("wer", [(a, b)], replications)
    return found


def main_table(results: Results, found: Figures, recognisers: Sequence[str]) -> str:
    """A row a system: scores, the change of WER with its interval, and what the system costs."""
    words = [title for name in recognisers for title in (f"WER {name}", f"change [95 %] {name}")]
    head = ["system", *(title for title, _ in QUALITY.values()), *words]
    rows = [[*head, "parameters", "MAC/s", "RTF", "latency, ms"]]
    for name, result in results.items():
        row = [name, *(number(found[name][m].b, digits) for m, (_, digits) in QUALITY.items())]
        for recogniser in recognisers:
            c = found[name][recogniser]
            row += [number(c.b, 1), NONE if name == BASE else change(c, 1)]
        rows.append([*row, *costs(result)])
    return markdown(rows)


def differences(found: Figures, recognisers: Sequence[str]) -> str:
    """A row a system: difference to noisy speech of every other score; bold where the interval excludes 0."""
    measures = {**QUALITY}
    rows = [["difference to noisy [95 %]", *(title for title, _ in measures.values())]]
    for name, comparisons in found.items():
        if name != BASE:
            rows.append([name, *(change(comparisons[m], digits) for m, (_, digits) in measures.items())])
    return markdown(rows)


def pair_table(
    results: Results,
    pairs: Sequence[Sequence[str]],
    groups: Mapping[str, Sequence[str]],
    recognisers: Sequence[str],
) -> str:
    """A row a pair and group of utterances: difference of B to A; also of capped errors, among which one sentence that
    a recogniser repeats without end does not decide alone.
    """
    words = {key: (f"WER {key}", 1) for name in recognisers for key in (name, f"{name}, capped")}
    measures = {**QUALITY, **words}
    rows = [["difference [95 %]", *(title for title, _ in measures.values())]]
    for a, b in pairs:
        for group, utts in groups.items():
            if utts:
                found = compare(results, b, utts, recognisers, base=a, capped=True)
                title = f"{b} against {a}{group} (n={len(utts)})"
                rows.append([title, *(change(found[m], digits) for m, (_, digits) in measures.items())])
    return markdown(rows)


def by_condition(
    results: Results, condition: str, values: Mapping[str, Sequence[str]], recognisers: Sequence[str]
) -> list[str]:
    """PESQ, SI-SDR and WER of each system, a column a value of the condition."""
    found = {  # without intervals
        value: {name: compare(results, name, utts, recognisers, replications=1) for name in results}
        for value, utts in values.items()
    }
    tables = []
    measures = {"wb-pesq": QUALITY["wb-pesq"], "si-sdr": QUALITY["si-sdr"]} | {
        recogniser: (f"WER {recogniser}", 1) for recogniser in recognisers
    }
    for measure, (title, digits) in measures.items():
        rows = [[f"{title} by {condition}", *(f"{value} (n={len(values[value])})" for value in values)]]
        rows += [[name, *(number(found[value][name][measure].b, digits) for value in values)] for name in results]
        tables.append(markdown(rows))
    return tables


def costs(result: Mapping[str, Any]) -> list[str]:
    """Parameters, MAC/s, real-time factor and latency as text."""
    parameters, macs, rtf, latency = (result.get(key) for key in ("parameters", "macs_per_s", "rtf", "latency_ms"))
    return [
        NONE if parameters is None else f"{parameters / 1000:,.0f} K",
        NONE if macs is None else f"{macs / 1e6:,.0f} M",
        NONE if rtf is None else f"{rtf:.4f}",
        NONE if latency is None else f"{latency:.0f}",
    ]


def number(value: float, digits: int) -> str:
    return NONE if value != value else f"{value:.{digits}f}"


def change(c: Comparison, digits: int) -> str:
    """`+1.2 [+0.3, +2.1]`, bold where the interval excludes 0."""
    if not c.n:
        return NONE
    text = f"{c.b - c.a:+.{digits}f} [{c.low:+.{digits}f}, {c.high:+.{digits}f}]"
    return text if c.verdict == "undecided" else f"**{text}**"
