"""Lattices: search that makes them, Kaldi's archives of them, best and n best paths under any scale, word times."""

import gzip
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic.atomic import replace
from mimic.decode.search import Graph, Search
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst

log = logging.getLogger(__name__)


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
    def parse(cls, lines: Sequence[str]) -> "Lattice":
        """From Kaldi's text form, costs on every line."""
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
            ends[renamed.get(int(state), int(state))] = (graph, acoustic)
        if start:
            for column in whole[:2]:
                at_start, at_zero = column == start, column == 0
                column[at_start], column[at_zero] = 0, start
        return cls(*whole, table[:, 4], table[:, 5], ends)

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
        max_active: so many tokens of a frame go on, the best ones.
        max_states: where a lattice is larger, it is pruned with half its beam until it fits.
    """

    beam: float = 13.0
    lattice_beam: float = 8.0
    acwt: float = 0.1
    max_active: int = 7000
    max_states: int = 20000


class Decoder:
    """A decoding graph and how to search it."""

    def __init__(self, graph: Path, options: SearchOptions) -> None:
        if not (graph / "HCLG.fst").exists():
            raise UserError(f"{graph}: no HCLG.fst: run steps/mkgraph.sh first")
        self.graph = Graph.read(graph / "HCLG.fst")
        self.options = options

    def __call__(self, utt: str, log_likes: np.ndarray) -> Lattice | None:
        """The lattice of log-likelihoods (frames, transition ids).

        Where no token survives or none reaches a final state, the search is repeated with twice the beam; then what is
        there counts as final, and None, where nothing is there. Each has its line in the log.
        """
        search = self._search(utt, log_likes, self.options.lattice_beam)
        if search is None:
            return None
        lattice = self._lattice(search)
        while lattice.states > self.options.max_states and search.lattice_beam >= 0.5:
            search.lattice_beam /= 2
            log.warning("%s: lattice of %d states: effective beam %g", utt, lattice.states, search.lattice_beam)
            lattice = self._lattice(search)
        return lattice

    def best_path(self, utt: str, log_likes: np.ndarray) -> np.ndarray | None:
        """The transition ids (frames,) of the best path alone; the rest as for lattices."""
        search = self._search(utt, log_likes, 0.0)
        if search is None:
            return None
        lattice = self._lattice(search)  # of the best path, and of others that cost the same
        return lattice.alignment(lattice.best_paths([1 / self.options.acwt], [0.0])[0])

    def _search(self, utt: str, log_likes: np.ndarray, lattice_beam: float) -> Search | None:
        scores = log_likes * np.float32(self.options.acwt)
        if not len(scores):
            log.warning("%s: empty lattice: no words; it has no frames", utt)
            return None
        for beam in (self.options.beam, 2 * self.options.beam):
            search = Search(self.graph, beam, self.options.max_active, lattice_beam)
            if (survived := search(scores)) and search.reached_final:
                return search
            if beam == self.options.beam:
                log.warning("%s: no token reached a final state: again with beam %g", utt, 2 * beam)
        if not survived:
            log.warning("%s: empty lattice: no words; a larger --beam than %g may help", utt, self.options.beam)
            return None
        log.warning("%s: outputting partial output since no final-state reached", utt)
        return search

    def _lattice(self, search: Search) -> Lattice:
        columns, final = search.paths()
        columns[5] = columns[5] / self.options.acwt
        return Lattice(*columns, {state: (cost, 0.0) for state, cost in final.items()})


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
