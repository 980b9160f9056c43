"""final.mdl and tree in Kaldi's formats, written in the binary ones: transition model, Gaussian mixtures, tree."""

import struct
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.hmm.basic_types import HEADER, Reader, TextReader, binary_tree, pack_floats, pack_int, pack_ints, read_file
from mimic.hmm.gmm import AmDiagGmm
from mimic.hmm.kaldi import khg
from mimic.io.atomic import replace


def write_tree(tree: khg.ContextDependency, path: Path) -> None:
    with replace(path, "wb") as f:
        f.write(HEADER + tree_bytes(tree))


def tree_bytes(tree: khg.ContextDependency) -> bytes:
    """A tree in Kaldi's binary format, less the header; the inverse of `tree_of`."""
    return np.array(tree.__getstate__()[0], np.int8).tobytes()


def read_tree(path: Path) -> khg.ContextDependency:
    """A tree in either of Kaldi's formats."""
    reader = read_file(path)
    try:
        return tree_of(binary_tree(reader.data) if isinstance(reader, TextReader) else reader.data[len(HEADER) :])
    except (ValueError, StopIteration, RuntimeError) as error:
        raise UserError(f"{path}: not a tree of Kaldi's, or damaged ({error}): train the model again") from None


def tree_of(data: bytes) -> khg.ContextDependency:
    """A tree from the bytes of its file, less the header."""
    if not data.startswith(b"ContextDependency \4"):
        raise ValueError("it does not begin with ContextDependency")
    tree = khg.ContextDependency.__new__(khg.ContextDependency)
    tree.__setstate__((np.frombuffer(data, np.int8).tolist(),))
    return tree


def read_topology(topo: str) -> khg.HmmTopology:
    """A topology from its text."""
    topology = khg.HmmTopology()
    topology.read(topo)
    return topology


def transition_model(tree: khg.ContextDependency, topo: str, log_probs: np.ndarray | None = None):
    """A khg.TransitionModel of a tree and the text of a topology, with these log-probabilities (ids + 1,)."""
    model = khg.TransitionModel(tree, read_topology(topo))
    if log_probs is not None:
        state = list(model.__getstate__())
        if len(log_probs) != len(state[6]):
            raise UserError(f"{len(log_probs)} transition probabilities for {len(state[6])} transitions: wrong tree?")
        state[6] = log_probs.tolist()
        loops = np.zeros(len(state[7]))
        for tid in range(1, model.num_transition_ids + 1):
            if model.is_self_loop(tid):
                loops[state[3][tid]] = np.exp(log_probs[tid])
        state[7] = [0.0, *np.log(np.maximum(1 - loops[1:], 1e-30)).tolist()]
        model = khg.TransitionModel.__new__(khg.TransitionModel)
        model.__setstate__(tuple(state))
    return model


class Model:
    """A tree, a transition model and, but for a neural network, Gaussian mixtures.

    tid_pdf, tid_phone, tid_state, tid_loop, tid_final hold for each transition id (from 1) its pdf, phone, HMM state,
    whether it is a self-loop, whether it leaves the phone.
    """

    by_tuple: dict[tuple[int, int, int], int]  # see tree.py; made when it is used

    def __init__(self, tree, transitions, gmm: AmDiagGmm | None, topo: str) -> None:
        self.tree, self.transitions, self.gmm, self.topo = tree, transitions, gmm, topo
        self.tuples = [entry.__getstate__() for entry in transitions.tuples]  # (phone, HMM state, pdf, pdf of the loop)
        self.tid_tuple = np.array(transitions.id2state, np.int32)  # from 1
        ids = range(1, transitions.num_transition_ids + 1)
        self.tid_pdf = np.array(transitions.transition_id_to_pdf_array(), np.int32)
        phone, state = (np.array([0, *(entry[i] for entry in self.tuples)], np.int32) for i in (0, 1))
        self.tid_phone, self.tid_state = phone[self.tid_tuple], state[self.tid_tuple]
        self.tid_loop = np.array([False, *map(transitions.is_self_loop, ids)])
        self.tid_final = np.array([False, *map(transitions.is_final, ids)])

    @classmethod
    def read(cls, path: Path, tree: Path | None = None) -> "Model":
        """Read final.mdl (with or without Gaussian mixtures) and the tree beside it."""
        try:
            return cls._read(Path(path), tree)
        except (struct.error, ValueError, KeyError, MemoryError, RuntimeError) as error:
            raise UserError(f"{path}: damaged ({error}): train the model again") from None

    @classmethod
    def _read(cls, path: Path, tree: Path | None) -> "Model":
        reader = read_file(path)
        reader.expect("<TransitionModel>")
        topo = reader.topology()
        reader.expect("<Triples>")
        for _ in range(3 * reader.basic("i")):
            reader.basic("i")
        reader.expect("</Triples>")
        reader.expect("<LogProbs>")
        log_probs = reader.floats()
        reader.expect("</LogProbs>")
        reader.expect("</TransitionModel>")
        context = read_tree(tree or path.parent / "tree")
        gmm = None if reader.ended else _read_gmm(reader)
        return cls(context, transition_model(context, topo, log_probs), gmm, topo)

    def write(self, path: Path) -> None:
        state = self.transitions.__getstate__()
        phones, index, entries = state[1].__getstate__()
        out = [HEADER, b"<TransitionModel> <Topology> ", pack_ints(phones), pack_ints(index), pack_int(len(entries))]
        for entry in entries:
            out.append(pack_int(len(entry)))
            for hmm in entry:
                out += [pack_int(hmm.forward_pdf_class), pack_int(len(hmm.transitions))]
                out += [pack_int(target) + b"\4" + struct.pack("<f", p) for target, p in hmm.transitions]
        out += [b"</Topology> <Triples> ", pack_int(len(self.tuples))]
        out += [pack_int(value) for entry in self.tuples for value in entry[:3]]
        out += [b"</Triples> <LogProbs> ", pack_floats(np.array(state[6])), b"</LogProbs> </TransitionModel> "]
        if self.gmm:
            g = self.gmm
            out += [b"<DIMENSION> ", pack_int(g.dim), b"<NUMPDFS> ", pack_int(g.num_pdfs)]
            for pdf in range(g.num_pdfs):
                rows = g.rows(pdf)
                out += [
                    b"<DiagGMM> <GCONSTS> ",
                    pack_floats(g.gconsts[rows]),
                    b"<WEIGHTS> ",
                    pack_floats(g.weights[rows]),
                ]
                out += [b"<MEANS_INVVARS> ", pack_floats((g.means * g.inv_vars)[rows])]
                out += [b"<INV_VARS> ", pack_floats(g.inv_vars[rows]), b"</DiagGMM> "]
        with replace(path, "wb") as f:
            f.write(b"".join(out))

    @property
    def mixtures(self) -> AmDiagGmm:
        """`gmm` of a model that has one."""
        assert self.gmm is not None
        return self.gmm

    def with_gmm(self, gmm: AmDiagGmm | None) -> "Model":
        return Model(self.tree, self.transitions, gmm, self.topo)

    def updated(self, counts: np.ndarray, floor: float = 0.01, mincount: float = 5.0) -> "Model":
        """With the transition probabilities of counts (ids + 1,)."""
        transitions = transition_model(self.tree, self.topo, np.array(self.transitions.log_probs))
        transitions.mle_update(counts, khg.MleTransitionUpdateConfig(floor, mincount, False))
        return Model(self.tree, transitions, self.gmm, self.topo)

    def phone_starts(self, ali: np.ndarray) -> np.ndarray:
        """The frames (phones,) at which the phones of an alignment begin; self-loops come after a state's exit."""
        exits = np.flatnonzero(~self.tid_loop[ali])
        after_final = np.concatenate([[True], self.tid_final[ali[exits]][:-1]])
        return exits[after_final]


def _read_gmm(reader: Reader) -> AmDiagGmm:
    reader.expect("<DIMENSION>")
    reader.basic("i")
    reader.expect("<NUMPDFS>")
    weights, means, variances, offsets = [], [], [], [0]
    for _ in range(reader.basic("i")):
        reader.expect("<DiagGMM>")
        if reader.expect("<GCONSTS>", "<WEIGHTS>") == "<GCONSTS>":
            reader.floats()
            reader.expect("<WEIGHTS>")
        weights.append(reader.floats())
        reader.expect("<MEANS_INVVARS>")
        scaled = reader.floats().astype(np.float64)
        reader.expect("<INV_VARS>")
        variances.append(1 / reader.floats().astype(np.float64))
        means.append(scaled * variances[-1])
        offsets.append(offsets[-1] + len(weights[-1]))
        reader.expect("</DiagGMM>")
    return AmDiagGmm(np.concatenate(weights), np.concatenate(means), np.concatenate(variances), np.array(offsets))
