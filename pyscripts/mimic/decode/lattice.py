"""Lattices: search that makes them, Kaldi's archives of them, best and n best paths under any scale, word times."""

import gzip
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mimic.atomic import replace
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldi_decoder, kaldifst

log = logging.getLogger(__name__)
MAX_ACTIVE = 7000  # tokens that a search without lattice follows, Kaldi's default; that with one knows no such limit
Found = TypeVar("Found")


@dataclass
class Lattice:
    """Arcs as columns: states from and to, transition id, word (0: none), graph and acoustic cost; final states.

    State 0 is the start. Acoustic costs are unscaled negative log-likelihoods.
    """

    source: np.ndarray
    target: np.ndarray
    tid: np.ndarray
    word: np.ndarray
    graph: np.ndarray
    acoustic: np.ndarray
    final: dict[int, tuple[float, float]]

    @classmethod
    def parse(cls, lines: Sequence[str], scale: float = 1.0) -> "Lattice":
        """From Kaldi's text form, costs on every line; acoustic costs are divided by `scale`."""
        arcs, final = [], []
        for line in lines:
            (arcs if len(line.split(None, 2)) == 3 else final).append(line)
        table = np.array(" ".join(arcs).replace(",", " ").split(), np.float64).reshape(-1, 6)
        whole = table[:, :4].astype(np.int64).T.copy()
        start = int(lines[0].split(None, 1)[0])
        renamed = {start: 0, 0: start}  # the state of the first line is the start
        ends = {}
        for state, costs in map(str.split, final):
            graph, acoustic = map(float, costs.split(","))
            ends[renamed.get(int(state), int(state))] = (graph, acoustic / scale)
        if start:
            for column in whole[:2]:
                at_start, at_zero = column == start, column == 0
                column[at_start], column[at_zero] = 0, start
        return cls(*whole, table[:, 4], table[:, 5] / scale, ends)

    def text(self) -> str:
        """Kaldi's text form."""
        rows = zip(*(column.tolist() for column in self.columns), strict=True)
        lines = [f"{s}\t{t}\t{i}\t{w}\t{g:.7g},{a:.7g}\n" for s, t, i, w, g, a in rows]
        return "".join(lines + [f"{state}\t{g:.7g},{a:.7g}\n" for state, (g, a) in sorted(self.final.items())])

    @property
    def columns(self) -> list[np.ndarray]:
        return [self.source, self.target, self.tid, self.word, self.graph, self.acoustic]

    @property
    def states(self) -> int:
        return 1 + int(max(self.target.max(initial=0), self.source.max(initial=0)))

    def order(self) -> list[int]:
        """Arcs such that all that enter a state come before those that leave it."""
        waiting = np.bincount(self.target, minlength=self.states).tolist()
        leaving: list[list[int]] = [[] for _ in waiting]
        for arc, state in enumerate(self.source.tolist()):
            leaving[state].append(arc)
        todo, out, targets = [state for state, n in enumerate(waiting) if not n], [], self.target.tolist()
        while todo:
            for arc in leaving[todo.pop()]:
                out.append(arc)
                target = targets[arc]
                waiting[target] -= 1
                if not waiting[target]:
                    todo.append(target)
        return out

    def best_paths(self, lmwts: Sequence[float], penalties: Sequence[float]) -> list[list[int]]:
        """The arcs of the best path for each pair of language model weight and word insertion penalty.

        The cost is that of Kaldi's scoring: graph + penalty for each word + acoustic / weight.
        """
        lmwt, penalty = np.asarray(lmwts, float), np.asarray(penalties, float)
        costs = self.graph[:, None] + self.acoustic[:, None] / lmwt + (self.word > 0)[:, None] * penalty
        best = np.full((self.states, len(lmwt)), np.inf)
        best[0] = 0
        came = np.full((self.states, len(lmwt)), -1)
        sources, targets = self.source.tolist(), self.target.tolist()
        for arc in self.order():
            new, target = best[sources[arc]] + costs[arc], targets[arc]
            better = new < best[target]
            if better.any():
                best[target][better] = new[better]
                came[target][better] = arc
        ends = np.array(sorted(self.final))
        last = best[ends] + np.array([[self.final[s][0]] for s in ends]) + [self.final[s][1] / lmwt for s in ends]
        paths = []
        for column, state in enumerate(ends[np.argmin(last, axis=0)]):
            path = []
            while (arc := came[state, column]) >= 0:
                path.append(int(arc))
                state = sources[arc]
            paths.append(path[::-1])
        return paths

    def pruned(self, beam: float, scale: float) -> "Lattice":
        """Without what lies on no path within `beam` of the best one, with acoustic costs times `scale`."""
        costs, order = (self.graph + self.acoustic * scale).tolist(), self.order()
        sources, targets = self.source.tolist(), self.target.tolist()
        before = [0.0] + [np.inf] * (self.states - 1)  # cost of the best path to each state, and from it to the end
        for arc in order:
            before[targets[arc]] = min(before[targets[arc]], before[sources[arc]] + costs[arc])
        last = {state: graph + acoustic * scale for state, (graph, acoustic) in self.final.items()}
        behind = [last.get(state, np.inf) for state in range(self.states)]
        for arc in reversed(order):
            behind[sources[arc]] = min(behind[sources[arc]], costs[arc] + behind[targets[arc]])
        limit = behind[0] + beam
        kept = np.array(before)[self.source] + costs + np.array(behind)[self.target] <= limit
        columns = [column[kept] for column in self.columns]
        states = np.unique([0, *columns[0], *columns[1]])
        columns[:2] = (np.searchsorted(states, column) for column in columns[:2])
        final = {s: costs for s, costs in self.final.items() if before[s] + last[s] <= limit}
        return Lattice(*columns, {int(np.searchsorted(states, s)): costs for s, costs in final.items()})

    def words(self, path: Sequence[int]) -> list[int]:
        return [word for word in self.word[list(path)].tolist() if word]

    def alignment(self, path: Sequence[int]) -> np.ndarray:
        """Transition ids (frames,) of a path."""
        tids = self.tid[list(path)]
        return tids[tids > 0].astype(np.int32)

    def nbest(self, n: int, lmwt: float, penalty: float) -> list[tuple[float, list[int]]]:
        """The n best different word sequences with their costs (in units of the graph cost), best first."""
        cost = self.graph + self.acoustic / lmwt + (self.word > 0) * penalty
        rows = zip(*(column.tolist() for column in (self.source, self.target, self.word, cost)), strict=True)
        text = "".join(f"{s} {t} {w} {w} {c:.7g}\n" for s, t, w, c in rows)
        text += "".join(f"{state} {g + a / lmwt:.7g}\n" for state, (g, a) in self.final.items())
        fst = kaldifst.compile(text, acceptor=False)
        kaldifst.determinize_star(fst)  # of paths with the same words the best one stays
        found = []
        for path in kaldifst.convert_nbest_to_vector(kaldifst.shortest_path(fst, n=n)):
            _, words, _, weight = kaldifst.get_linear_symbol_sequence(path)
            found.append((float(weight.value), list(words)))
        return sorted(found)


@dataclass(frozen=True)
class SearchOptions:
    """Lattice beam search.

    Attributes:
        beam: largest difference of scaled costs from the best token.
        lattice_beam: likewise of the paths that the lattice keeps.
        acwt: scale of acoustic log-likelihoods in the search.
        max_states: where a lattice is larger, it is pruned with half its beam until it fits.
    """

    beam: float = 13.0
    lattice_beam: float = 8.0
    acwt: float = 0.1
    max_states: int = 20000


class Decoder:
    """A decoding graph and how to search it."""

    def __init__(self, graph: Path, options: SearchOptions) -> None:
        if not (graph / "HCLG.fst").exists():
            raise UserError(f"{graph}: no HCLG.fst: run steps/mkgraph.sh first")
        self.fst = kaldifst.StdVectorFst.read(str(graph / "HCLG.fst"))
        self.options = options

    def __call__(self, utt: str, log_likes: np.ndarray) -> Lattice | None:
        """The lattice of log-likelihoods (frames, transition ids).

        Where no token survives or none reaches a final state, the search is repeated with twice the beam; then what is
        there counts as final, and None, where nothing is there. Each has its line in the log.
        """
        return self._searched(utt, log_likes, self._lattice)

    def best_path(self, utt: str, log_likes: np.ndarray) -> np.ndarray | None:
        """The transition ids (frames,) of the best path alone, in a fifth of the time; the rest as for lattices."""
        return self._searched(utt, log_likes, self._best_path)

    def _searched(
        self, utt: str, log_likes: np.ndarray, search: Callable[[str, np.ndarray, float], tuple[Found | None, bool]]
    ) -> Found | None:
        scores = np.ascontiguousarray(log_likes * np.float32(self.options.acwt))
        if not len(scores):
            log.warning("%s: empty lattice: no words; it has no frames", utt)
            return None
        found, final = search(utt, scores, self.options.beam)
        if found is None or not final:
            log.warning("%s: no token reached a final state: again with beam %g", utt, 2 * self.options.beam)
            found, final = search(utt, scores, 2 * self.options.beam)
        if found is None:
            log.warning("%s: empty lattice: no words; a larger --beam than %g may help", utt, self.options.beam)
        elif not final:
            log.warning("%s: outputting partial output since no final-state reached", utt)
        return found

    def _best_path(self, utt: str, scores: np.ndarray, beam: float) -> tuple[np.ndarray | None, bool]:
        decoder = kaldi_decoder.FasterDecoder(
            self.fst, kaldi_decoder.FasterDecoderOptions(beam=beam, max_active=MAX_ACTIVE)
        )
        decoder.decode(kaldi_decoder.DecodableCtc(scores))
        found, path = decoder.get_best_path()
        if not found:
            return None, False
        _, tids, _, _ = kaldifst.get_linear_symbol_sequence(path)
        return np.array(tids, np.int32), decoder.reached_final()

    def _lattice(self, utt: str, scores: np.ndarray, beam: float) -> tuple[Lattice | None, bool]:
        lattice_beam = self.options.lattice_beam
        config = kaldi_decoder.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
        decoder = kaldi_decoder.LatticeSimpleDecoder(self.fst, config)
        final = decoder.decode(kaldi_decoder.DecodableCtc(scores))
        found, raw = decoder.get_raw_lattice()  # where no token is in a final state, all count as final
        if not found or raw.start < 0:
            return None, False
        lattice = Lattice.parse(raw.to_str(show_weight_one=True).splitlines(), self.options.acwt)
        if not lattice.final or not len(lattice.tid):
            return None, False
        while lattice.states > self.options.max_states and lattice_beam >= 0.5:
            lattice_beam /= 2
            log.warning("%s: lattice of %d states: effective beam %g", utt, lattice.states, lattice_beam)
            lattice = lattice.pruned(lattice_beam, self.options.acwt)
        return lattice, final


def write_lattices(path: Path, lattices: Iterator[tuple[str, Lattice | None]]) -> int:
    """lat.JOB.gz, a gzipped text archive; an utterance without lattice is left out. Gives their number."""
    written = 0
    with replace(path, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as f:
        for utt, lattice in lattices:
            if lattice is not None:
                f.write(f"{utt} \n{lattice.text()}\n".encode())
                written += 1
    return written


def read_lattices(path: Path) -> Iterator[tuple[str, Lattice]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as f:
            utt, lines = "", []
            for line in f:
                if utt and line.strip():
                    lines.append(line)
                elif utt:
                    yield utt, Lattice.parse(lines)
                    utt, lines = "", []
                else:
                    utt = line.strip()
            if utt:
                raise ValueError(f"{utt} is cut short")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path}: damaged or missing lattices ({error}): decode again") from None


def read_decode_dir(directory: Path) -> Iterator[tuple[str, Lattice]]:
    """All lattices of a decode directory."""
    try:
        nj = int((directory / "num_jobs").read_text())
    except (OSError, ValueError):
        raise UserError(f"{directory}: no num_jobs: is it a decode directory with lattices?") from None
    for job in range(1, nj + 1):
        yield from read_lattices(directory / f"lat.{job}.gz")
