#!/usr/bin/env python3
"""CTC beam search on a CPU, one thread: mimic against pyctcdecode and against flashlight-text called directly.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/ctc_decode.py                       # made-up CTC outputs of real sentences, a trigram of such sentences
    benchmarks/ctc_decode.py --utterances 40

ratio ctc_decode                time of pyctcdecode / mimic, equal beam, n-gram model and weights; more is better
ratio ctc_decode_vs_flashlight  our time / flashlight's with the same spellings, its result unused; 1 is the least
ratio ctc_greedy                time of greedy decoding, times and confidences too / time of the compact Deep Speech 2's
                                recurrent layers for the same frames; less is better

The sentences are $MIMIC_REAL_DATA's transcripts where they are there, else lines of LICENSE. Each character lasts a few
frames and is mistaken for others in some; the n-gram model is estimated from sentences that are not decoded. The
programs take turns at each utterance; times are seconds of the processor. All drop hypotheses that are 15 worse than
the best (natural logarithms). Of tokens, pyctcdecode takes those above -8 (its -5 costs it many words), mimic any.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it

import argparse
import logging
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

import kaldialign  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from flashlight.lib.text import decoder as flashlight  # noqa: E402

try:
    import kenlm
    from pyctcdecode import BeamSearchDecoderCTC
    from pyctcdecode.alphabet import Alphabet
    from pyctcdecode.language_model import LanguageModel
except ImportError as error:
    sys.exit(f"{error}: steps/setup.sh --benchmarks true, then benchmarks/.venv/bin/python3 {sys.argv[0]}")

from mimic.decoding.config import DecodeConfig  # noqa: E402
from mimic.decoding.ctc.beam import LOG10, NEVER, Lexicon  # noqa: E402
from mimic.decoding.ctc.path import Greedy  # noqa: E402
from mimic.decoding.ctc.times import timed  # noqa: E402
from mimic.decoding.ngram import arpa  # noqa: E402
from mimic.decoding.ngram.counts import NgramCounts  # noqa: E402
from mimic.decoding.ngram.kneser_ney import estimate  # noqa: E402
from mimic.io.tokens import BLANK, UNK, Tokens  # noqa: E402

REAL = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data"))
FRAME_S = 0.04
TOKEN = -8.0


def sentences() -> tuple[list[str], str]:
    table = REAL / "speechocean762" / "utterances.tsv"
    if table.is_file():
        lines = [line.split("\t")[5] for line in table.read_text(encoding="utf-8").splitlines()[1:]]
        return lines, "transcripts of speechocean762"
    text = re.sub("[^A-Z'\n]", " ", (ROOT / "LICENSE").read_text(encoding="utf-8").upper())
    return [" ".join(line.split()) for line in text.splitlines() if line.split()], "lines of LICENSE"


def ctc_output(draw: np.random.Generator, ids: list[int], tokens: int) -> np.ndarray:
    """Log-probabilities (frames, tokens) as of a network whose input is these tokens in noise."""
    frames = []
    for token in ids:
        frames += [token] * int(draw.integers(1, 3)) + [BLANK] * int(draw.integers(1, 4))
    frames = np.array([BLANK] * 3 + frames + [BLANK] * 3)
    logits = draw.normal(0, 1.0, (len(frames), tokens))
    logits[np.arange(len(frames)), frames] += draw.normal(6.0, 2.0, len(frames))
    confused = (frames != BLANK) & (draw.random(len(frames)) < 0.25)
    logits[confused, draw.integers(UNK + 1, tokens, confused.sum())] += 6.0
    logits[:, 1 : UNK + 1] -= 20
    return torch.from_numpy(logits.astype(np.float32)).log_softmax(1).numpy()


def pyctc(path: str, words: list[str], tokens: Tokens, config: DecodeConfig) -> BeamSearchDecoderCTC:
    """pyctcdecode with the same model, weights and word bonus; characters of its own for what it must not see."""
    labels = ["", "\u2047", "\u2048", "\u2049", *(" " if s == "▁" else s for s in tokens.symbols[UNK + 1 :])]
    model = LanguageModel(
        kenlm.Model(path), words, alpha=config.ngram_lm_scale, beta=config.word_insertion_bonus, score_boundary=True
    )
    return BeamSearchDecoderCTC(Alphabet(labels, False), model)


def direct(decoder: Lexicon, config: DecodeConfig) -> flashlight.LexiconDecoder:
    """flashlight's decoder with the same model and spellings, made without us."""
    options = flashlight.LexiconDecoderOptions(
        config.beam, config.beam_tokens or decoder.width, config.beam_threshold, config.ngram_lm_scale * LOG10,
        config.word_insertion_bonus, float("-inf"), 0.0, False, flashlight.CriterionType.CTC,
    )  # fmt: skip
    return flashlight.LexiconDecoder(options, decoder._trie, decoder._lm, decoder.silence, BLANK, -1, [], False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=60, help="to decode (default: %(default)s)")
    parser.add_argument("--beam", type=int, default=100, help="hypotheses (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # pyctcdecode's remarks on its alphabet
    lines, what = sentences()
    counts = NgramCounts(3)
    for line in lines[args.utterances :]:
        counts.add(line.split())
    levels = estimate(*counts.finish(), len(counts.words))
    tokens, draw = Tokens.build("char", lines), np.random.default_rng(1)
    outputs = [ctc_output(draw, tokens.encode(line), len(tokens)) for line in lines[: args.utterances]]
    with tempfile.TemporaryDirectory() as folder:
        arpa.write(Path(folder) / "lm.arpa", levels, counts.words)
        config = DecodeConfig(
            search="lexicon", beam=args.beam, beam_threshold=15.0, ngram=f"{folder}/lm.arpa",
            ngram_lm_scale=0.8, word_insertion_bonus=1.0,
        )  # fmt: skip
        mimic, reference = Lexicon(config, tokens), pyctc(config.ngram, counts.words[3:], tokens, config)
        raw, greedy = direct(mimic, config), Greedy(tokens)
        network = torch.nn.GRU(384, 800, 3, batch_first=True)
        spent = dict.fromkeys(("mimic", "pyctcdecode", "flashlight", "greedy", "network"), 0.0)
        errors = dict.fromkeys(("mimic", "pyctcdecode", "flashlight", "greedy"), 0)
        for counted in (False, True):
            for line, log_probs in zip(lines, outputs if counted else outputs[:1], strict=False):
                recognised, times = {}, [time.process_time()]
                (found,) = mimic.decode(log_probs)
                timed(found.words, found.spans, FRAME_S, len(log_probs) * FRAME_S)
                recognised["mimic"] = [word for word, _ in found.words]
                times.append(time.process_time())
                recognised["pyctcdecode"] = reference.decode(
                    log_probs, beam_width=args.beam, beam_prune_logp=-config.beam_threshold, token_min_logp=TOKEN
                ).split()
                times.append(time.process_time())
                frames = np.full((len(log_probs) + 1, mimic.width), NEVER, np.float32)
                frames[:-1, :-1] = log_probs
                frames[-1, mimic.silence] = 0.0
                result = raw.decode(frames.ctypes.data, *frames.shape)[0]
                recognised["flashlight"] = [mimic.words[word] for word in result.words if word >= 0]
                times.append(time.process_time())
                (found,) = greedy.decode(log_probs)
                timed(found.words, found.spans, FRAME_S, len(log_probs) * FRAME_S)
                recognised["greedy"] = [word for word, _ in found.words]
                times.append(time.process_time())
                with torch.inference_mode():
                    network(torch.zeros(1, len(log_probs), 384))
                times.append(time.process_time())
                for name, seconds in zip(spent, np.diff(times), strict=True):
                    spent[name] += seconds * counted
                for name, words in recognised.items():
                    errors[name] += counted * kaldialign.edit_distance(line.split(), words)["total"]
    total = sum(len(line.split()) for line in lines[: args.utterances])
    audio = FRAME_S * sum(map(len, outputs))
    print(f"{args.utterances} utterances, {audio:.0f} s of {what}; beam {args.beam}, {len(mimic.words)} words, "
          f"{len(levels[2].rows)} trigrams")  # fmt: skip
    print(f"{'':14}{'seconds':>9}{'real-time factor':>18}{'WER':>8}")
    for name, seconds in spent.items():
        wer = f"{100 * errors[name] / total:8.2f}" if name in errors else ""
        print(f"{name:14}{seconds:9.3f}{seconds / audio:18.4f}{wer}")
    print(f"ratio ctc_decode {spent['pyctcdecode'] / spent['mimic']:.2f}")
    print(f"ratio ctc_decode_vs_flashlight {spent['mimic'] / spent['flashlight']:.3f}")
    print(f"ratio ctc_greedy {spent['greedy'] / spent['network']:.4f}")


if __name__ == "__main__":
    main()
