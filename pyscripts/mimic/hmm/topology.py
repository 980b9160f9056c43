"""HMM topologies in Kaldi's text format."""

from collections.abc import Sequence

State = tuple[int, list[tuple[int, float]]]  # pdf class (-1: final), transitions (state, probability)


def left_to_right(states: int) -> list[State]:
    """Each state loops or goes on."""
    return [(s, [(s, 0.75), (s + 1, 0.25)]) for s in range(states)] + [(-1, [])]


def silence(states: int) -> list[State]:
    """States in the middle reach each other and the last one, so that short and long silences fit."""
    if states < 4:
        return left_to_right(states)
    middle, last = list(range(1, states - 1)), states - 1
    p = 1 / (states - 1)
    found: list[State] = [(0, [(s, p) for s in range(states - 1)])]
    found += [(s, [(target, p) for target in [*middle, last]]) for s in middle]
    return [*found, (last, [(last, 0.75), (last + 1, 0.25)]), (-1, [])]


def entry_text(phones: Sequence[int], states: Sequence[State]) -> str:
    """One <TopologyEntry>."""
    lines = ["<TopologyEntry>", "<ForPhones>", " ".join(map(str, phones)), "</ForPhones>"]
    for number, (pdf_class, transitions) in enumerate(states):
        pdf = f"<PdfClass> {pdf_class} " if pdf_class >= 0 else ""
        moves = "".join(f"<Transition> {target} {p:.9g} " for target, p in transitions)
        lines.append(f"<State> {number} {pdf}{moves}</State>")
    return "\n".join([*lines, "</TopologyEntry>"]) + "\n"


def topo_text(voiced: Sequence[int], silent: Sequence[int], num_nonsil_states: int, num_sil_states: int) -> str:
    """The file `topo` of a lang directory."""
    entries = entry_text(voiced, left_to_right(num_nonsil_states)) + entry_text(silent, silence(num_sil_states))
    return f"<Topology>\n{entries}</Topology>\n"
