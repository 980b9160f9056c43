"""The lattice decoder: token passing in HCLG, and a determinised lattice of what is within the lattice beam."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic.decoding.wfst.compiled import kernel
from mimic.decoding.wfst.determinize import determinize_phones
from mimic.decoding.wfst.graph_file import Graph
from mimic.decoding.wfst.lattice import Lattice, Strings
from mimic.decoding.wfst.token_passing import TokenPassing
from mimic.errors import UserError
from mimic.hmm.model import Model

log = logging.getLogger(__name__)
Search = TokenPassing | kernel.TokenPassing


@dataclass(frozen=True)
class SearchOptions:
    """Lattice beam search.

    Attributes:
        beam: largest difference of scaled costs from the best token.
        lattice_beam: largest difference of scaled costs of a path in the lattice from the best path.
        acwt: scale of acoustic log-likelihoods in the search.
        max_active: so many tokens of a frame are expanded, the best ones.
        min_active: so many tokens of a frame are expanded where fewer are within the beam.
        post_decode_acwt: scale of the acoustic costs of the lattice that comes out.
        max_elements: determinisation ends after so many states of the search, the best paths first.
    """

    beam: float = 13.0
    lattice_beam: float = 8.0
    acwt: float = 0.1
    max_active: int = 7000
    min_active: int = 200
    post_decode_acwt: float = 1.0
    max_elements: int = 5_000_000


class Decoder:
    """A decoding graph and how to search it with the scores of a model.

    Attributes:
        failed: {utterance that was left without a lattice: reason}.
        partial: number of utterances that reached no final state.
    """

    def __init__(self, graph: Path, options: SearchOptions, model: Model) -> None:
        if not (graph / "HCLG.fst").exists():
            raise UserError(f"{graph}: no HCLG.fst: run steps/mkgraph.sh first")
        self.graph = Graph.read(graph / "HCLG.fst")
        self.graph.check(len(model.tid_pdf) - 1)
        self.options = options
        self.compiled = kernel.load() is not None  # numpy gives the same, slower
        self.failed: dict[str, str] = {}
        self.partial = 0
        self.columns = model.tid_pdf[1:]
        # The phone that each transition id begins, if any.
        self.begins = np.where((model.tid_state == 0) & ~model.tid_loop, model.tid_phone, 0)

    def __call__(self, utt: str, log_likes: np.ndarray) -> Lattice | None:
        """The lattice of log-likelihoods (frames, pdfs): every sequence of words once.

        Where no token reaches a final state, what is there counts as final, and None, where nothing is there. Each has
        its line in the log.
        """
        options = self.options
        search = self._search(utt, log_likes, options.lattice_beam)
        if search is None:
            return None
        lattice, tid = self._lattice(search)
        limits = options.lattice_beam, options.acwt, options.max_elements
        if self.compiled:
            lattice, beam = kernel.determinize(lattice, *limits, self.begins[tid])
        else:
            lattice, beam = determinize_phones(lattice, self.begins[tid], *limits)
        if beam < options.lattice_beam:
            log.warning("%s: lattice larger than allowed: effective beam %.2f", utt, beam)
        return lattice if options.post_decode_acwt == 1 else lattice.scaled(options.post_decode_acwt)

    def best_path(self, utt: str, log_likes: np.ndarray) -> np.ndarray | None:
        """The transition ids (frames,) of the best path alone; the rest as for lattices."""
        search = self._search(utt, log_likes, 0.0)
        if search is None:
            return None
        lattice, _ = self._lattice(search)  # of the best path, and of others that cost the same
        return lattice.alignment(lattice.best_paths([1 / self.options.acwt], [0.0])[0])

    def _search(self, utt: str, log_likes: np.ndarray, lattice_beam: float) -> Search | None:
        options = self.options
        scores = log_likes * np.float32(options.acwt)
        if not len(scores):
            self._fail(utt, "it has no frames")
            return None
        search_class = kernel.TokenPassing if self.compiled else TokenPassing
        search = search_class(self.graph, options.beam, options.max_active, lattice_beam, options.min_active)
        if not search(scores, self.columns):
            self._fail(utt, f"no token survived; a larger --beam than {options.beam:g} may help")
            return None
        if not search.reached_final:
            self.partial += 1
            log.warning("%s: outputting partial output since no final-state reached", utt)
        return search

    def _fail(self, utt: str, reason: str) -> None:
        self.failed[utt] = reason
        log.warning("%s: empty lattice: no words; %s", utt, reason)

    def _lattice(self, search: Search) -> tuple[Lattice, np.ndarray]:
        """The lattice of a search, and the transition id of each arc."""
        (source, target, tid, word, graph, acoustic), final = search.paths()
        tids = Strings(tid[tid > 0].astype("<i4").tobytes(), 4 * (tid > 0).cumsum())
        word, graph, acoustic = word.astype(np.int64), graph.astype(float), acoustic / float(self.options.acwt)
        ends = {state: (cost, 0.0, b"") for state, cost in final.items()}
        return Lattice(source, target, word, graph, acoustic, tids, ends), tid
