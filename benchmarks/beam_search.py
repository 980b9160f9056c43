#!/usr/bin/env python3
"""Beam search on a CPU, one thread: mimic against speechbrain's S2SRNNBeamSearcher with the same weights and beam.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/beam_search.py                  # the recogniser in exp/asr_clean and its test set
    benchmarks/beam_search.py --made-up        # a decoder that is trained on made-up speech first

attention and ctc score as we do: no division by the length, no threshold for the end. published has both, coverage
penalty, temperature and limit on the attention's shift, as conf/asr.yaml has them; no language model in any of them.
speechbrain scores CTC for the decoder's 2 * beam likeliest tokens only, mimic for all: with a decided recogniser both
find the same, with the barely trained decoder of --made-up they often do not.

Times are CPU seconds, so that other programs on the machine do not count.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

try:
    from speechbrain.decoders import S2SRNNBeamSearcher
    from speechbrain.decoders.scorer import CoverageScorer, CTCScorer, ScorerBuilder
    from speechbrain.nnet.linear import Linear
    from speechbrain.nnet.RNN import AttentionalRNNDecoder
except ImportError as error:
    sys.exit(f"{error}: steps/setup.sh --benchmarks true, then benchmarks/.venv/bin/python3 {sys.argv[0]}")

from mimic.decoding.attention.beam_search import search  # noqa: E402
from mimic.decoding.config import DecodeConfig  # noqa: E402
from mimic.io import archives  # noqa: E402
from mimic.io.batching import pad  # noqa: E402
from mimic.io.tokens import BLANK, BOS, EOS, UNK  # noqa: E402
from mimic.models.recogniser import Recogniser  # noqa: E402
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig  # noqa: E402
from mimic.nets.masking import valid_frames  # noqa: E402

SETTINGS = {
    "attention": DecodeConfig(ctc_weight=0.0),
    "ctc": DecodeConfig(ctc_weight=0.4),
    "published": DecodeConfig(
        ctc_weight=0.0,
        temperature=1.25,
        coverage_weight=1.5,
        eos_threshold=10.0,
        max_attn_shift=240,
        length_norm=True,
    ),
}


class Batch(NamedTuple):
    encoded: Tensor  # (batch, frames, features)
    lengths: Tensor  # (batch,)


def speech(codes: Tensor, batch: int, noise: float) -> tuple[Batch, list[list[int]], Tensor]:
    """Encoder outputs of random sentences: each token lasts 2 to 6 frames, which show it, the token before it and
    where it begins, in noise. Returns them, the tokens, and the token or blank of each frame (batch, frames)."""
    frames, labels, sentences = [], [], []
    for _ in range(batch):
        tokens = torch.randint(UNK + 1, codes.shape[1], (int(torch.randint(6, 22, ())),))
        spans = torch.randint(2, 7, (len(tokens),))
        before = torch.cat([torch.tensor([BOS]), tokens[:-1]])
        shown = torch.cat([codes[0, tokens], codes[1, before], torch.zeros(len(tokens), 1)], 1)
        shown = shown.repeat_interleave(spans, 0)
        begins = F.pad(spans.cumsum(0)[:-1], (1, 0))
        shown[begins, -1] = 3.0
        label = torch.full((len(shown),), BLANK)
        label[begins] = tokens
        silence = torch.cat([codes[0, EOS], codes[1, tokens[-1]], torch.zeros(1)]).expand(4, -1)
        shown = torch.cat([shown, silence])
        frames.append(shown + noise * torch.randn_like(shown))
        labels.append(F.pad(label, (0, 4), value=BLANK))
        sentences.append(tokens.tolist())
    lengths = torch.tensor([len(f) for f in frames])
    encoded = nn.utils.rnn.pad_sequence(frames, batch_first=True)
    return Batch(encoded, lengths), sentences, nn.utils.rnn.pad_sequence(labels, batch_first=True)


def train(args: argparse.Namespace) -> tuple[AttentionDecoder, nn.Linear, list[Batch]]:
    """A decoder and a CTC output that have learnt the made-up language, and batches to decode."""
    torch.manual_seed(0)
    codes = torch.randn(2, args.tokens, 64)
    sizes = DecoderConfig(128, args.units, args.units, 10, 100)
    decoder, ctc = AttentionDecoder(129, args.tokens, sizes), nn.Linear(129, args.tokens)
    optimiser = torch.optim.Adam([*decoder.parameters(), *ctc.parameters()], 2e-3, fused=True)
    for step in range(args.steps):
        batch, sentences, labels = speech(codes, 16, args.noise)
        tokens = nn.utils.rnn.pad_sequence([torch.tensor([BOS, *s]) for s in sentences], batch_first=True)
        target = nn.utils.rnn.pad_sequence(
            [torch.tensor([*s, EOS]) for s in sentences], batch_first=True, padding_value=-1
        )
        loss = F.nll_loss(
            decoder(batch.encoded, batch.lengths, tokens).flatten(0, 1), target.flatten(), ignore_index=-1
        )
        frames = valid_frames(batch.lengths, labels.shape[1])
        loss = loss + F.cross_entropy(ctc(batch.encoded)[frames], labels[frames])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / args.steps)
        optimiser.step()
        if step % 100 == 99:
            print(f"training step {step + 1}: loss {loss:.2f}", flush=True)
    count = -(-args.utterances // args.batch)
    return decoder.eval(), ctc, [speech(codes, args.batch, args.noise)[0] for _ in range(count)]


@torch.inference_mode()
def trained(args: argparse.Namespace) -> tuple[AttentionDecoder, nn.Linear, list[Batch]]:
    """The decoder of an experiment directory, and its encoder's output for a feature directory."""
    model = Recogniser.load(args.model).net
    entries = archives.read_scp(args.features / "feats.scp")
    utterances = sorted(entries)[: args.utterances]
    batches = []
    for i in range(0, len(utterances), args.batch):
        features, lengths = pad([archives.load(entries[utt]) for utt in utterances[i : i + args.batch]])
        encoded, lengths, _ = model.encode(features, lengths)
        batches.append(Batch(encoded[:, : int(lengths.max())], lengths))
    return model.decoder, model.ctc, batches


def peer(mimic: AttentionDecoder, ctc: nn.Linear, config: DecodeConfig) -> S2SRNNBeamSearcher:
    """speechbrain's decoder with our weights and the same settings."""
    units, size, tokens = mimic.rnn.hidden_size, mimic.key.out_features, mimic.output.out_features
    reference = AttentionalRNNDecoder(
        "gru", "location", units, size, 1, mimic.key.in_features, mimic.embedding.embedding_dim,
        channels=mimic.location.out_channels, kernel_size=mimic.location.padding[0],
    )  # fmt: skip
    attention, output = reference.attn, Linear(n_neurons=tokens, input_size=units)
    pairs = [
        (mimic.key, attention.mlp_enc), (mimic.query, attention.mlp_dec), (mimic.energy, attention.mlp_attn),
        (mimic.location, attention.conv_loc), (mimic.location_key, attention.mlp_loc), (mimic.value, attention.mlp_out),
        (mimic.rnn, reference.rnn.rnn_cells[0]), (mimic.combine, reference.proj), (mimic.output, output.w),
    ]  # fmt: skip
    for source, target in pairs:
        target.load_state_dict(source.state_dict())
    weights, full, partial = {}, [], []
    if config.coverage_weight:
        full.append(CoverageScorer(tokens, config.coverage_threshold))
        weights["coverage"] = config.coverage_weight
    if config.ctc_weight:
        partial.append(CTCScorer(ctc, BLANK, EOS))
        weights["ctc"] = config.ctc_weight
    return S2SRNNBeamSearcher(
        embedding=mimic.embedding,
        decoder=reference,
        linear=output,
        temperature=config.temperature,
        bos_index=BOS,
        eos_index=EOS,
        min_decode_ratio=config.min_ratio,
        max_decode_ratio=config.max_ratio,
        beam_size=config.beam,
        scorer=ScorerBuilder(weights, full, partial) if weights else None,
        using_eos_threshold=config.eos_threshold > 0,
        eos_threshold=config.eos_threshold,
        length_normalization=config.length_norm,
        using_max_attn_shift=config.max_attn_shift > 0,
        max_attn_shift=config.max_attn_shift,
    ).eval()


def run_mimic(decoder: AttentionDecoder, ctc: nn.Linear, batch: Batch, config: DecodeConfig) -> list[list[int]]:
    log_probs = ctc(batch.encoded).log_softmax(2) if config.ctc_weight else None
    found = search(decoder, batch.encoded, batch.lengths, log_probs, config)
    return [hypotheses[0].tokens for hypotheses in found]


def run_reference(decoder: S2SRNNBeamSearcher, batch: Batch) -> list[list[int]]:
    hypotheses, *_ = decoder(batch.encoded, batch.lengths / batch.encoded.shape[1])
    return [list(map(int, tokens)) for tokens in hypotheses]


def score(decoder: AttentionDecoder, ctc: nn.Linear, batch: Batch, row: int, tokens: list[int], weight: float) -> float:
    """Joint log-probability of a whole transcript, without any search."""
    length = batch.lengths[row : row + 1]
    encoded = batch.encoded[row : row + 1, : int(length)]
    log_probs = decoder(encoded, length, torch.tensor([[BOS, *tokens]]))[0]
    total = (1 - weight) * float(log_probs[range(len(tokens) + 1), [*tokens, EOS]].sum())
    if weight:
        frames = ctc(encoded).log_softmax(2).transpose(0, 1)
        total -= weight * float(
            F.ctc_loss(frames, torch.tensor([tokens]), length, torch.tensor([len(tokens)]), BLANK, "sum")
        )
    return total


@torch.inference_mode()
def compare(name: str, config: DecodeConfig, model: tuple[AttentionDecoder, nn.Linear], batches: list[Batch], rounds):
    """Print one line for a setting; returns the ratio of the times."""
    decoder, times = peer(*model, config), {"mimic": [], "reference": []}
    same = differing = better = 0
    for repeat in range(rounds):
        spent = dict.fromkeys(times, 0.0)
        for batch in batches:
            begun = time.process_time()
            mine = run_mimic(*model, batch, config)
            between = time.process_time()
            other = run_reference(decoder, batch)
            spent["reference"] += time.process_time() - between
            spent["mimic"] += between - begun
            for row, (a, b) in enumerate(zip(mine, other, strict=True)) if repeat == 0 else ():
                same += a == b
                differing += a != b
                if a != b and not config.length_norm:
                    scores = [score(*model, batch, row, tokens, config.ctc_weight) for tokens in (a, b)]
                    better += scores[0] > scores[1]
        for who, seconds in spent.items():
            times[who].append(seconds)
    ratio = statistics.median(b / a for a, b in zip(times["mimic"], times["reference"], strict=True))
    note = f"; of {differing} others mimic scores higher in {better}" if differing and not config.length_norm else ""
    mine, other = (statistics.median(times[who]) for who in ("mimic", "reference"))
    total = same + differing
    print(f"{name:10} mimic {mine:.2f} s, speechbrain {other:.2f} s; {same} of {total} best hypotheses identical{note}")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beam", type=int, default=32, help="hypotheses (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="utterances at once (default: %(default)s)")
    parser.add_argument("--utterances", type=int, default=24, help="in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=ROOT / "exp/asr_clean", help="(default: exp/asr_clean)")
    parser.add_argument("--features", type=Path, default=ROOT / "exp/fbank/test_clean", help="to decode")
    parser.add_argument("--made-up", action="store_true", help="no trained recogniser (also where --model has none)")
    parser.add_argument("--units", type=int, default=128, help="made-up: of GRU and attention (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=300, help="made-up: tokens (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="made-up: training steps (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.7, help="made-up: noise in the frames (default: %(default)s)")
    parser.add_argument("--only", choices=SETTINGS, help="one of the settings")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    made_up = args.made_up or not (args.model / "model.pt").exists()
    print("a decoder trained on made-up speech" if made_up else f"{args.model} on {args.features}")
    decoder, ctc, batches = train(args) if made_up else trained(args)
    frames = sum(int(batch.lengths.sum()) for batch in batches)
    print(
        f"{sum(len(b.lengths) for b in batches)} utterances, {frames} frames in batches of {args.batch}; beam "
        f"{args.beam}, {decoder.output.out_features} tokens, {decoder.rnn.hidden_size} units; CPU seconds of a round"
    )
    ratios = {}
    for name, config in SETTINGS.items():
        if args.only in (None, name):
            config.beam = args.beam
            ratios[name] = compare(name, config, (decoder, ctc), batches, args.rounds)
    for name, ratio in ratios.items():
        print(f"ratio beam_search_{name} {ratio:.2f}")
    print(f"ratio beam_search {statistics.geometric_mean(ratios.values()):.2f}")


if __name__ == "__main__":
    main()
