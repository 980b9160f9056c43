"""HCLG, the decoding graph: HMMs, phone contexts, lexicon and grammar composed once (Mohri, Pereira, Riley, 2008)."""

import logging
import shutil
from pathlib import Path

import numpy as np

from mimic.decoding.ngram.ngram import END, START, Ngram
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst, khg
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model

log = logging.getLogger(__name__)
MARKS = ("<s>", "</s>", "<unk>", "<UNK>")


def grammar(lm: Path, lang: Lang) -> kaldifst.StdVectorFst:
    """G of an ARPA file, plain or gzipped; what it says of words without pronunciation is left out.

    As Kaldi's arpa2fst makes it: a state for each history, `#0` on the arcs that back off. States from which nothing
    but such an arc leads are left out.
    """
    ngram = Ngram(lm)
    missing = [word for word in ngram.words if word not in lang.words and word not in MARKS]
    if missing:
        log.warning("%s: %d words have no pronunciation, first %s: left out", lm, len(missing), missing[0])
    if not any(word in lang.words for word in ngram.words if word not in MARKS):
        raise UserError(f"{lm}: none of its {len(ngram.words)} words is in {lang.path}/words.txt: same case?")
    if reserved := {"<eps>", "#0"} & ngram.ids.keys():
        raise UserError(f"{lm}: {min(reserved)} is not a word: remove it")
    labels = np.array([{START: -1, END: 0}.get(word, lang.words.get(word, -1)) for word in ngram.words])
    contexts, words, log_probs, following = ngram.arcs()
    listed = (labels[words] >= 0) & np.isfinite(log_probs)
    contexts, words, costs, following = contexts[listed], words[listed], -log_probs[listed], following[listed]

    # A state that only backs off is replaced by the one that it backs off to, with the cost of doing so.
    used = np.zeros(len(ngram.backoff), bool)
    used[contexts] = used[ngram.start] = used[0] = True
    target, extra = np.arange(len(used)), np.zeros(len(used))
    while not used[target].all():
        skipped = ~used[target]
        extra[skipped] -= ngram.backoff[target[skipped]]
        target[skipped] = ngram.shorter[target[skipped]]
    state = used.cumsum() - 1

    fst = kaldifst.StdVectorFst()
    for _ in range(used.sum()):
        fst.add_state()
    fst.start = int(state[ngram.start])
    backs_off = lang.words["#0"]
    for context in np.flatnonzero(used)[1:].tolist():
        shorter = target[ngram.shorter[context]]
        cost = float(extra[ngram.shorter[context]] - ngram.backoff[context])
        if cost < np.inf:
            fst.add_arc(int(state[context]), kaldifst.StdArc(backs_off, 0, cost, int(state[shorter])))
    ends = words == ngram.ids[END]
    for context, cost in zip(state[contexts[ends]].tolist(), costs[ends].tolist(), strict=True):
        fst.set_final(context, cost)
    costs, targets = costs + extra[following], state[target[following]]
    rows = zip(*(x[~ends].tolist() for x in (state[contexts], labels[words], costs, targets)), strict=True)
    for context, label, cost, to in rows:
        fst.add_arc(context, kaldifst.StdArc(label, label, cost, to))
    kaldifst.connect(fst)
    kaldifst.arcsort(fst, "ilabel")
    log.info("G.fst has %d states, after %d that only backed off", fst.num_states, (~used).sum())
    return fst


def make_graph(lang: Lang, lm: Path, model: Model, out: Path, self_loop_scale: float = 0.1) -> None:
    """Write HCLG.fst, G.fst, words.txt and phones.txt to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    g = grammar(lm, lang)
    g.write(str(out / "G.fst"))
    lexicon = kaldifst.StdVectorFst.read(str(lang.path / "L_disambig.fst"))
    lg = kaldifst.StdVectorFst(kaldifst.compose(lexicon, g))
    kaldifst.determinize_star(lg, use_log=True)
    kaldifst.minimize_encoded(lg)
    kaldifst.arcsort(lg, "ilabel")
    tree = model.tree
    clg, ilabels = kaldifst.compose_context(lang.disambig, tree.context_width, tree.central_position, lg)
    kaldifst.arcsort(clg, "ilabel")
    h, disambig = khg.get_h_transducer(ilabels, tree, model.transitions, khg.HTransducerConfig(1.0))
    kaldifst.arcsort(h, "olabel")
    hclg = kaldifst.StdVectorFst(kaldifst.compose(h, clg))
    kaldifst.determinize_star(hclg, use_log=True)
    hclg = without_symbols(hclg, model.transitions.num_transition_ids, disambig)
    kaldifst.minimize_encoded(hclg)
    hclg = khg.add_self_loops(
        self_loop_scale=self_loop_scale, disambig_syms=[], reorder=True, trans_model=model.transitions, ifst=hclg
    )
    if hclg.start < 0:
        raise UserError(f"{out}: the graph is empty: no sentence of {lm} can be spoken with {lang.path}")
    hclg.write(str(out / "HCLG.fst"))
    for name in ("words.txt", "phones.txt"):
        shutil.copy(lang.path / name, out / name)
    shutil.copytree(lang.path / "phones", out / "phones", dirs_exist_ok=True)
    (out / "num_pdfs").write_text(f"{model.transitions.num_pdfs}\n")
    log.info("HCLG.fst has %d states", hclg.num_states)


def without_symbols(fst: kaldifst.StdVectorFst, ids: int, symbols: list[int]) -> kaldifst.StdVectorFst:
    """Input labels `symbols` become epsilons; the others are 1 to `ids`."""
    keep = kaldifst.StdVectorFst()
    state = keep.add_state()
    keep.start = state
    keep.set_final(state, 0.0)
    gone = set(symbols)
    for label in range(1, max([ids, *symbols]) + 1):
        keep.add_arc(state, kaldifst.StdArc(0 if label in gone else label, label, 0.0, state))
    kaldifst.arcsort(fst, "ilabel")
    return kaldifst.StdVectorFst(kaldifst.compose(keep, fst))
