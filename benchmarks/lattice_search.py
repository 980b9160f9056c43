#!/usr/bin/env python3
"""The lattice search: CPU time of search, determinisation and writing, against Kaldi's and kaldi-hmm-gmm's.

    lattice_search.py --model exp/ligru/tri3 --graph exp/ligru/tri3/graph --features exp/ligru/mfcc/test_clean \
        --transform-dir exp/ligru/tri3/decode_test_clean
    lattice_search.py --model exp/ligru/tri3 --states 200000     # a random graph and random, flat scores

KALDI_ROOT names a Kaldi with src/bin/latgen-faster-mapped. Its time is that of the process less what it takes over no
utterances (start, graph, model), and it writes without gzip. kaldi-hmm-gmm's decoder writes nothing. All have the same
scores, beams and limits. One thread, the programs in turn.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import kaldiio  # noqa: E402
import numpy as np  # noqa: E402

from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions  # noqa: E402
from mimic.decoding.wfst.lattice_io import read_lattices, write_lattices  # noqa: E402
from mimic.hmm.kaldi import kaldifst, khg  # noqa: E402
from mimic.hmm.model import Model  # noqa: E402
from mimic.io.tables import read_frames  # noqa: E402
from mimic.models.acoustic_scores import gmm_scores  # noqa: E402


def random_graph(model: Model, states: int, out: Path) -> None:
    """A loop over random words of 4 to 8 phones, a prefix tree of HMMs of three states."""
    draw = np.random.default_rng(0)
    hmms = []
    for phone in np.unique(model.tid_phone[1:]):
        tids = [np.flatnonzero((model.tid_phone == phone) & (model.tid_state == state)) for state in range(3)]
        if all(model.tid_loop[one].any() and not model.tid_loop[one].all() for one in tids):
            hmms.append([(one[model.tid_loop[one]][0], one[~model.tid_loop[one]][0]) for one in tids])
    fst, tree, words = kaldifst.StdVectorFst(), {(): 0}, 0
    fst.start = fst.add_state()
    fst.set_final(0, 0.0)
    while fst.num_states < states:
        word = tuple(draw.integers(0, len(hmms), draw.integers(4, 9)).tolist())
        words += 1
        for end in range(1, len(word) + 1):
            if word[:end] in tree:
                continue
            at = tree[word[: end - 1]]
            for loop, forward in hmms[word[end - 1]]:
                new, cost = fst.add_state(), float(draw.uniform(0.5, 2))
                fst.add_arc(at, kaldifst.StdArc(int(forward), 0, cost, new))
                fst.add_arc(new, kaldifst.StdArc(int(loop), 0, 0.7, new))
                at = new
            tree[word[:end]] = at
        fst.add_arc(tree[word], kaldifst.StdArc(0, words, float(draw.uniform(0, 8)), 0))
    fst.write(str(out / "HCLG.fst"))


def cpu(run: Callable[[], object]) -> float:
    """Seconds of this process and of those that it starts."""
    begun, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return time.process_time() - begun + started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="directory with final.mdl")
    parser.add_argument("--graph", type=Path, help="its graph directory")
    parser.add_argument("--features", type=Path, help="its features")
    parser.add_argument("--transform-dir", type=Path, help="directory with trans.JOB")
    parser.add_argument("--states", type=int, default=0, help="of a random graph, instead of these")
    parser.add_argument("--utterances", type=int, default=40, help="to decode (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--beam", type=float, default=13.0, help="(default: %(default)s)")
    parser.add_argument("--lattice-beam", type=float, default=8.0, help="(default: %(default)s)")
    parser.add_argument("--max-active", type=int, default=7000, help="(default: %(default)s)")
    parser.add_argument("--min-active", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--acwt", type=float, default=0.083333, help="(default: %(default)s)")
    args = parser.parse_args()
    if not args.states and not (args.graph and args.features):
        parser.error("give --graph and --features, or --states")
    with tempfile.TemporaryDirectory() as folder:
        compare(args, Path(folder))


def compare(args: argparse.Namespace, work: Path) -> None:
    if args.states:
        model, graph, draw = Model.read(args.model / "final.mdl"), work, np.random.default_rng(1)
        random_graph(model, args.states, work)
        size = (200, model.transitions.num_pdfs)
        scores = {f"u{i}": draw.normal(-5, 10, size).astype(np.float32) for i in range(args.utterances)}
    else:
        model, score = gmm_scores(args.model, args.features, args.transform_dir, graph=args.graph)
        scores, graph = {utt: score(utt) for utt in list(read_frames(args.features))[: args.utterances]}, args.graph
    frames = sum(map(len, scores.values()))
    kaldiio.save_ark(str(work / "scores.ark"), scores)
    (work / "none.ark").touch()
    limits = args.beam, args.max_active, args.min_active, args.lattice_beam
    decode = Decoder(graph, SearchOptions(args.beam, args.lattice_beam, args.acwt, *limits[1:3]), model)

    def mimic() -> None:
        write_lattices(work / "lat.gz", ((utt, decode(utt, found)) for utt, found in scores.items()))

    fst = kaldifst.StdConstFst(kaldifst.StdVectorFst.read(str(graph / "HCLG.fst")))
    peer = khg.LatticeFasterDecoderStdConstFst(fst, khg.LatticeFasterDecoderConfig(*limits))

    def kaldi_hmm_gmm() -> None:
        for utt, found in scores.items():
            scaled = found[:, model.tid_pdf[1:]] * np.float32(args.acwt)
            khg.decode_utterance_lattice_faster(peer, khg.DecodableCtc(scaled), model.transitions, utt, True)

    def latgen(archive: str) -> None:
        options = [
            f"--{name.replace('_', '-')}={getattr(args, name)}" for name in ("beam", "lattice_beam", "max_active")
        ]
        options += [f"--min-active={args.min_active}", f"--acoustic-scale={args.acwt}", "--allow-partial=true"]
        files = [args.model / "final.mdl", graph / "HCLG.fst", f"ark:{work}/{archive}.ark", f"ark:{work}/kaldi.lat"]
        subprocess.run([str(binary), *options, *map(str, files)], stderr=subprocess.DEVNULL)

    runs = {"mimic": lambda: cpu(mimic), "kaldi_hmm_gmm": lambda: cpu(kaldi_hmm_gmm)}
    binary = Path(os.environ.get("KALDI_ROOT", "none")) / "src/bin/latgen-faster-mapped"
    if binary.exists():
        runs["kaldi"] = lambda: cpu(lambda: latgen("scores")) - cpu(lambda: latgen("none"))
    else:
        print("KALDI_ROOT does not name a Kaldi with latgen-faster-mapped: kaldi-hmm-gmm alone is compared")
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            spent[name].append(run())
    arcs = sum(len(lattice.source) for _, lattice in read_lattices(work / "lat.gz"))
    how = "compiled" if decode.compiled else "numpy"
    print(f"graph of {len(decode.graph.final)} states, {frames} frames, {arcs} arcs of lattices, mimic: {how}")
    for name, seconds in spent.items():
        print(f"{name:14}{1e6 * statistics.median(seconds) / frames:8.1f} us per frame")
        if name != "mimic":
            ratio = statistics.median(other / one for one, other in zip(spent["mimic"], seconds, strict=True))
            print(f"ratio lattice_search_vs_{name} {ratio:.2f}")


if __name__ == "__main__":
    main()
