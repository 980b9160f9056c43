"""HCLG, the decoding graph: HMMs, phone contexts, lexicon and grammar composed once (Mohri, Pereira, Riley, 2008)."""

import gzip
import logging
import shutil
import tempfile
from pathlib import Path

from mimic.decode import arpa
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst, kaldilm, khg
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model

log = logging.getLogger(__name__)
MARKS = ("<s>", "</s>", "<unk>", "<UNK>")


def grammar(lm: Path, lang: Lang, out: Path) -> kaldifst.StdVectorFst:
    """G.fst from an ARPA file, plain or gzipped; what it says of words without pronunciation is left out."""
    known: dict[str, int] = {}
    arpa.read(lm, known)
    missing = [word for word in known if word not in lang.words and word not in MARKS]
    if missing:
        log.warning("%s: %d words have no pronunciation, first %s: left out", lm, len(missing), missing[0])
    if not any(word in lang.words for word in known if word not in MARKS):
        raise UserError(f"{lm}: none of its {len(known)} words is in {lang.path}/words.txt: same case and spelling?")
    with tempfile.TemporaryDirectory() as folder:
        plain = lm
        if lm.suffix == ".gz":
            plain = Path(folder) / "lm.arpa"
            with gzip.open(lm) as source, open(plain, "wb") as target:
                shutil.copyfileobj(source, target)
        kaldilm.arpa2fst(
            str(plain), str(out / "G.fst"), disambig_symbol="#0", read_symbol_table=str(lang.path / "words.txt"),
            max_arpa_warnings=0,
        )  # fmt: skip
    return kaldifst.StdVectorFst.read(str(out / "G.fst"))


def make_graph(lang: Lang, lm: Path, model: Model, out: Path, self_loop_scale: float = 0.1) -> None:
    """Write HCLG.fst, G.fst, words.txt and phones.txt to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    g = grammar(lm, lang, out)
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
