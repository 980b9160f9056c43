"""What a recogniser is trained on, transcripts as tokens and features that differ in every epoch; its error rates."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import kaldialign
import numpy as np
import torch

from mimic.augment.augmenter import Augmenter
from mimic.augment.recordings import CachedAudio, Recordings
from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG, front_end
from mimic.io.tables import read_table, write_skipped
from mimic.io.tokens import UNK, Tokens
from mimic.losses import ctc
from mimic.models.config import Config
from mimic.training.task import leave_out

log = logging.getLogger(__name__)
Targets = dict[str, list[int]]  # {utterance: token ids}


def make_tokens(config: Config, texts: Mapping[str, str], directory: Path) -> Tokens:
    """The tokens of `data.init`, or new ones from these texts; kept in the experiment directory."""
    data = config.data
    if data.init:
        tokens = Tokens.load(Path(data.init), data.token_type)
    else:
        letters = [data.alphabet] if data.token_type == "char" else []
        tokens = Tokens.build(data.token_type, [*texts.values(), *letters], data.vocabulary)
    tokens.save(directory)
    return tokens


def table_of(config: Config, data_dir: str) -> Path:
    """The transcripts of a set: words, or phones where these are the tokens. UserError where a set has no phones."""
    phones = config.data.token_type == "phn"
    path = Path(data_dir) / ("text.phn" if phones else "text")
    if phones and not path.exists() and path.parent.is_dir():
        raise UserError(
            f"{path}: no such file: local/import_corpus.sh makes it, with a lexicon (--lexicon, or lang/lexicon.txt of "
            "the corpus), before features are made; --data.token_type char needs none"
        )
    return path


def check_texts(path: Path, texts: Mapping[str, str], lengths: Mapping[str, int]) -> None:
    """UserError unless the table `path` of transcripts has all of these utterances, and words."""
    if missing := lengths.keys() - texts.keys():
        raise UserError(f"{path}: has no {min(missing)}, which is in utt2num_frames: give it a transcript")
    if not any(texts[utt].strip() for utt in lengths):
        raise UserError(f"{path}: has no words: validation needs transcripts")


class Aligned:
    """Transcripts as token ids, and whether CTC can align them with as many frames as an encoder gives.

    output_lengths: frames of features -> frames of the encoder. What is left out is listed in `directory`.
    """

    def __init__(self, config: Config, tokens: Tokens, output_lengths: Callable[[int], int], directory: Path):
        self.data, self.tokens, self.output_lengths, self.directory = config.data, tokens, output_lengths, directory

    def training(self, texts: Mapping[str, str], frames: Mapping[str, int]) -> Targets:
        """Those of the utterances that can be aligned; skipped.tsv has the others, with reasons.

        Raises UserError where these are too many, or where another recogniser's tokens do not spell the transcripts.
        """
        targets: Targets = {}
        skipped = {}
        for utt, text in texts.items():
            ids = self.tokens.encode(text)
            if utt not in frames:
                skipped[utt] = "no features"
            elif not ids:
                skipped[utt] = "empty transcript"
            elif what := ctc.too_long(ids, self.output_lengths(frames[utt])):
                skipped[utt] = what
            else:
                targets[utt] = ids
        if skipped:
            log.warning("%d of %d training utterances left out, see skipped.tsv", len(skipped), len(texts))
        self._check_spelling(targets, texts)
        leave_out(skipped, len(texts), self.data.max_skip, self.directory)
        return targets

    def development(self, texts: Mapping[str, str], frames: Mapping[str, int]) -> Targets:
        """Those of the development set. What cannot be aligned there is decoded and counted all the same."""
        targets = {utt: self.tokens.encode(text) for utt, text in texts.items()}
        out = {utt: self.output_lengths(n) for utt, n in frames.items()}
        if short := {utt: why for utt in targets.keys() & out if (why := ctc.too_long(targets[utt], out[utt]))}:
            write_skipped(self.directory / "unaligned_dev.tsv", short)
            line = "%d of %d development utterances count 0 in the CTC loss, see unaligned_dev.tsv"
            log.warning(line, len(short), len(out))
        return targets

    def _check_spelling(self, targets: Targets, texts: Mapping[str, str]) -> None:
        data, total = self.data, sum(map(len, targets.values()))
        unknown = {utt: ids.count(UNK) for utt, ids in targets.items() if UNK in ids}
        if data.init and sum(unknown.values()) > data.max_unknown * total:
            utt = min(unknown)
            raise UserError(
                f"{data.train}: {sum(unknown.values())} of {total} tokens are <unk>, more than --data.max_unknown "
                f"{data.max_unknown}: spell as {data.init} does (case, punctuation), unlike {utt}: {texts[utt]}"
            )


class AugmentedFeatures:
    """Augments the waveforms that the feature directory `data.train` was made from, and makes such features of them.

    The options of the features are those in the experiment directory. Raises UserError for noise that is
    never mixed in and where the waveforms are not there any more.
    """

    def __init__(self, config: Config, directory: Path):
        data = config.data
        if (data.noises or data.rirs) and not config.waveform_augment.noise_prob:
            raise UserError("--data.noises and --data.rirs need --waveform_augment.noise_prob above 0")
        self.front = front_end(directory / FEATURE_CONFIG)
        speech = CachedAudio(data.train, self.front.rate)
        sources = [Recordings(name, self.front.rate) if name else None for name in (data.noises, data.rirs)]
        speaker_of = read_table(Path(data.train) / "utt2spk")
        settings = (config.waveform_augment, config.train.seed, sources[1], self.front.rate)
        self.augmenter = Augmenter(speech, speaker_of, sources[0], *settings)

    def __call__(self, utt: str, epoch: int) -> np.ndarray:
        """(frames, bins); what an utterance gets depends on the seed, the epoch and its id alone."""
        waveform = self.augmenter(utt, epoch).noisy
        with torch.inference_mode():
            features = self.front(torch.from_numpy(waveform)).numpy()
        if not len(features):
            raise UserError(f"{utt}: too short for one frame when it is sped up: leave it out of the training set")
        return features


def error_rates(hypotheses: Targets, targets: Targets, texts: Mapping[str, str], tokens: Tokens) -> dict[str, float]:
    """Errors per 100 tokens (ter) and per 100 words (wer) of these hypotheses, which are token ids."""
    wrong = [kaldialign.edit_distance(targets[utt], ids) for utt, ids in hypotheses.items()]
    words = [
        kaldialign.edit_distance(texts[utt].split(), tokens.decode(ids).split()) for utt, ids in hypotheses.items()
    ]
    return {
        "ter": 100 * sum(t["total"] for t in wrong) / sum(len(targets[utt]) for utt in hypotheses),
        "wer": 100 * sum(w["total"] for w in words) / sum(len(texts[utt].split()) for utt in hypotheses),
    }
