"""The stages of run.sh by SpeechBrain's modules, with data, sizes and epochs of a run of mimic (benchmarks/recipe.py).

Data path, networks, losses, Brain and enhancement are those of its recipe Voicebank/MTL/ASR_enhance
(speechbrain_recipe.py), the beam search is its S2SRNNBeamSearcher with CTC, scores come from pesq, pystoi, composite
measures and jiwer. It computes features in each step, so stage 2 has no counterpart, and neither has the synthesis of
the demo corpus. Training data of the robust recognisers are waveforms that enhancers wrote.

A stage is measured on some of its batches, evenly spaced in order of length, and multiplied by their number. The
networks begin at random weights, which changes no time; the beam search has the weights of mimic's recogniser, for
what it finds decides how long it takes.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jiwer
import numpy as np
import soundfile
import torch
from beam_search import Batch as Encoded
from beam_search import peer, run_reference
from composite_reference import composite
from pesq import PesqError, pesq
from pystoi import stoi
from speechbrain.decoders import ctc_greedy_decode
from speechbrain_recipe import BINS, Recipe, loader

from mimic.io import archives
from mimic.io.batching import pad
from mimic.io.tables import read_table, read_text
from mimic.io.tokens import BLANK
from mimic.models.recogniser import Recogniser
from mimic.tasks import TASKS
from mimic.tasks import config as configuration

RATE = 16000
BATCH = 8
ENHANCERS = ("mse", "mimic")


class Piece(NamedTuple):
    """A part of a stage: CPU seconds of `measured` items of `total`."""

    what: str
    measured: int
    total: int
    seconds: float

    @property
    def whole(self) -> float:
        return self.seconds * self.total / self.measured


def spaced(items: list, count: int) -> list:
    """So many of the items at even distances; all where there are no more."""
    if len(items) <= count:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def measured(what: str, items: list, total: int, run: Callable[[Any], object]) -> Piece:
    """Time of `run` of the items but the first, which warms up."""
    run(items[0])
    begun = time.process_time()
    for item in items[1:]:
        run(item)
    return Piece(what, len(items) - 1, total, time.process_time() - begun)


class Stages:
    """What SpeechBrain takes for the stages of a run of mimic in `data` and `exp`; `items` batches of each part."""

    def __init__(self, data: Path, exp: Path, items: int, scratch: Path):
        self.data, self.exp, self.items, self.scratch = data, exp, items, scratch

    def pieces(self, stage: int) -> list[Piece]:
        parts: dict[int, Callable[[], Iterable[Piece]]] = {
            3: self._perceptual, 4: self._enhancers, 5: self._dump, 6: self._recognition, 7: self._scores,
        }  # fmt: skip
        torch.set_num_threads(1)
        return list(parts[stage]()) if stage in parts else []

    def _config(self, name: str):
        return configuration.read(self.exp / name / "config.yaml")

    def _targets(self, name: str) -> tuple[dict[str, list[int]], list[str], int]:
        """Token ids by utterance of both sets, training utterances in ascending order of length, number of tokens."""
        (self.scratch / name).mkdir(exist_ok=True)
        config = self._config(name)
        task = TASKS[config.task](config, self.scratch / name)
        return task.targets, sorted(task.lengths, key=lambda utt: (task.lengths[utt], utt)), len(task.tokens)

    def _utts(self, set_: str) -> list[str]:
        return sorted(read_table(self.data / f"{set_}_clean" / "utt2spk"))

    def _measured(self, what: str, sides, targets, utts: list[str], times: int, run: Callable) -> Piece:
        """`run` of batches of its loader at even distances, one more before them; all batches count `times`."""
        groups = [utts[i : i + BATCH] for i in range(0, len(utts), BATCH)]
        chosen = spaced(groups, self.items)
        batches = [iter(loader(*sides, targets, group, BATCH)) for group in [chosen[0], *chosen]]
        return measured(f"{what}, batches", batches, len(groups) * times, lambda batch: run(next(batch)))

    def _training(self, what: str, recipe: Recipe, sides, targets, utts: list[str], epochs: int) -> Piece:
        recipe.modules.train()
        step = lambda batch: recipe.fit_batch(recipe.features(batch))  # noqa: E731
        return self._measured(f"{what}: training", sides, targets, utts, epochs, step)

    def _evaluation(self, what: str, recipe: Recipe, sides, targets, utts: list[str], times: int, run) -> Piece:
        recipe.modules.eval()
        with torch.no_grad():
            return self._measured(what, sides, targets, utts, times, run)

    def _perceptual(self) -> Iterable[Piece]:
        config = self._config("perceptual")
        targets, utts, tokens = self._targets("perceptual")
        recipe = Recipe(config, BINS, tokens)
        sides = (None, self.data / "train_clean")
        yield self._training("perceptual", recipe, sides, targets, utts, config.train.epochs)
        sides = (None, self.data / "dev_clean")

        def greedy(batch) -> None:
            feats = recipe.features(batch)
            log_probs = recipe.modules.ctc_output(recipe.modules.src_embedding(feats.clean)).log_softmax(2)
            ctc_greedy_decode(log_probs, feats.lens, BLANK)

        yield self._evaluation("perceptual: validation", recipe, sides, targets, self._utts("dev"), 1, greedy)

    def _enhancers(self) -> Iterable[Piece]:
        _, utts, _ = self._targets("perceptual")
        none = {utt: [0] for utt in [*utts, *self._utts("dev")]}
        for name in ENHANCERS:
            config = self._config(f"enhance_{name}")
            recipe = Recipe(config, BINS, 0, perceptual=self._config("perceptual") if name == "mimic" else None)
            sides = (self.data / "train_noisy", self.data / "train_clean")
            yield self._training(name, recipe, sides, none, utts, config.train.epochs)
            dev = spaced(self._utts("dev"), config.data.valid_utterances or len(none))
            times = -(-config.train.epochs // config.train.validate_every)

            def score(batch, recipe=recipe) -> None:
                feats = recipe.features(batch)
                waveforms = recipe.resynthesise(recipe._enhance(feats.noisy), feats.waveforms).numpy()
                for x, y, share in zip(batch.clean_sig.data.numpy(), waveforms, feats.lens, strict=True):
                    n = int(share * len(x))
                    wideband(x[:n], y[:n])

            sides = (self.data / "dev_noisy", self.data / "dev_clean")
            yield self._evaluation(f"{name}: validation", recipe, sides, none, dev, times, score)

    def _dump(self) -> Iterable[Piece]:
        for name in ENHANCERS:
            recipe = Recipe(self._config(f"enhance_{name}"), BINS, 0)
            for set_ in ("train", "dev", "test"):
                source = self.data / f"{set_}_noisy"
                utts = self._utts(set_)

                def dump(batch, recipe=recipe) -> None:
                    noisy, lens = batch.noisy_sig
                    waveforms = recipe.resynthesise(recipe._enhance(recipe.spectrum(noisy)), noisy).numpy()
                    for utt, y, share in zip(batch.id, waveforms, lens, strict=True):
                        path = self.scratch / f"{utt}.wav"
                        soundfile.write(path, y[: int(share * len(y))].clip(-1, 1), RATE, "PCM_16")

                none = {utt: [0] for utt in utts}
                what = f"{name}: enhancement of {set_}"
                yield self._evaluation(what, recipe, (source, None), none, utts, 1, dump)

    def _recognition(self) -> Iterable[Piece]:
        targets, utts, tokens = self._targets("asr_clean")
        for name in ("clean", "noisy", *ENHANCERS):
            config = self._config(f"asr_{name}")
            entries = archives.read_scp(Path(config.data.train) / "feats.scp")
            recipe = Recipe(config, archives.load(next(iter(entries.values()))).shape[1], tokens)
            yield self._training(name, recipe, (self._wavs(name, "train"), None), targets, utts, config.train.epochs)
            for set_, beam in (("dev", 1), ("dev", config.decode.beam), ("test", config.decode.beam)):
                yield self._decoding(name, set_, beam, config, recipe)

    def _wavs(self, name: str, set_: str) -> Path:
        if name in ENHANCERS:
            return self.exp / f"enhance_{name}/wav/{set_}"
        return self.data / f"{set_}_{name}"

    def _decoding(self, name: str, set_: str, beam: int, config, recipe: Recipe) -> Piece:
        """Features and encoder of its own, then the search with mimic's weights over what mimic's encoder gives."""
        trained = Recogniser.load(self.exp / f"asr_{name}").net
        config.decode.beam = beam
        search = peer(trained.decoder, trained.ctc, config.decode)
        feats = self.exp / (f"enhance_{name}/enhanced/{set_}" if name in ENHANCERS else f"fbank/{set_}_{name}")
        entries = archives.read_scp(feats / "feats.scp")
        utts = sorted(entries)
        encoded = {}
        with torch.no_grad():
            for i in range(0, len(utts), BATCH):
                states, lengths, _ = trained.encode(*pad([archives.load(entries[utt]) for utt in utts[i : i + BATCH]]))
                encoded[utts[i]] = Encoded(states[:, : int(lengths.max())], lengths)

        def decode(batch) -> None:
            feats = recipe.features(batch)
            recipe.modules.src_embedding(recipe.normaliser(feats.noisy, feats.lens))
            run_reference(search, encoded[batch.id[0]])

        sides, none = (self._wavs(name, set_), None), {utt: [0] for utt in utts}
        return self._evaluation(f"{name}: {set_} with beam {beam}", recipe, sides, none, utts, 1, decode)

    def _scores(self) -> Iterable[Piece]:
        for name in ("clean", "noisy", *ENHANCERS):
            texts = []
            for set_ in ("dev", "test"):
                reference = read_text(self.data / f"{set_}_clean/text")
                found = read_text(self.exp / f"asr_{name}/decode_{set_}/text")
                texts.append(
                    ([" ".join(r) for r in reference.values()], [" ".join(found.get(utt, ())) for utt in reference])
                )
            yield measured(
                f"{name}: WER and CER, sets", [texts[0], *texts], 2, lambda pair: (jiwer.wer(*pair), jiwer.cer(*pair))
            )
        clean = read_table(self.data / "test_clean/wav.scp")
        for name in ("noisy", *ENHANCERS):
            wavs = read_table(self._wavs(name, "test") / "wav.scp")
            utts = spaced(sorted(clean), self.items)

            def score(utt: str, wavs=wavs) -> None:
                x, y = (soundfile.read(table[utt], dtype="float32")[0] for table in (clean, wavs))
                wideband(x, y)
                stoi(x, y, RATE)
                stoi(x, y, RATE, extended=True)
                composite(x, y)

            yield measured(f"{name}: scores of speech, utterances", [utts[0], *utts], len(clean), score)


def wideband(x: np.ndarray, y: np.ndarray) -> float | None:
    """wb-PESQ; None where it finds no speech."""
    try:
        return pesq(RATE, x, y, "wb")
    except PesqError:
        return None
