"""Pretraining on the micro corpus in the layout of LibriSpeech, and recognisers that start from the result."""

import shutil

import pytest
import soundfile
from recipe import SIZES, Recipe, difference

from mimic.io.tables import read_table
from mimic.training import checkpoint

pytestmark = pytest.mark.xdist_group("begun")

PARTS = {"train": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}
WORDS = ["local/librispeech/run_pretrain.sh", "--librispeech-dir", "libri", "--train-parts", "train-clean-100"]
WORDS += ["--fbank-config", "conf/fbank.conf", "--asr-config", "tests/e2e/asr_pretrain.yaml"]
WORDS += ["--lm-config", "tests/e2e/lm.yaml", "--nj", "1"]


def make_librispeech(recipe: Recipe) -> None:
    """The clean sets of the corpus as tar leaves those of LibriSpeech."""
    speech, lines = recipe.root / "libri" / "LibriSpeech", []
    for number, (name, part) in enumerate(PARTS.items(), 1):
        source = recipe.root / "corpus" / f"{name}_clean"
        folder = speech / part / f"{number}00" / "7"
        folder.mkdir(parents=True)
        lines.append(f"{number}00 | F | {part} | 1.0 | Somebody\n")
        texts = ""
        for i, (utt, wav) in enumerate(read_table(source / "wav.scp").items()):
            samples, rate = soundfile.read(recipe.root / wav, dtype="int16")
            soundfile.write(folder / f"{number}00-7-{i:04d}.flac", samples, rate)
            texts += f"{number}00-7-{i:04d} {read_table(source / 'text')[utt].upper()}\n"
        (folder / f"{number}00-7.trans.txt").write_text(texts)
    (speech / "SPEAKERS.TXT").write_text("".join(lines))
    # Known to be right without its published sum: the list of this checkout names none.
    shutil.copy(recipe.root / "corpus/lang/lexicon.txt", recipe.root / "libri/librispeech-lexicon.txt")
    recipe.edit("local/librispeech/files.tsv", lambda text: text.replace("28f72663f6bfed7cd346283c064c315b", "-"))


def test_a_recogniser_from_librispeech_is_what_others_start_from(begun):
    make_librispeech(begun)
    output = begun.call(*WORDS)
    exp = begun.root / "exp/librispeech"
    for folder, name in (("asr", "model.pt"), ("lm", "model.pt"), ("asr/decode_test", "wer_1_0.0")):
        assert (exp / folder / name).stat().st_size, output
    assert len(read_table(exp / "asr/decode_dev/text")) == SIZES["dev"]
    assert (exp / "asr/tokens.txt").read_bytes() == (exp / "lm/tokens.txt").read_bytes()
    again = begun.call(*WORDS)
    assert ": to do" not in again

    features = ["--data.train", exp / "fbank/train_clean", "--data.dev", exp / "fbank/dev_clean"]
    begun.call("steps/train.sh", "tests/e2e/asr.yaml", "exp/asr_clean", "--data.init", exp / "asr", *features)
    clean = begun.root / "exp/asr_clean"
    assert (clean / "tokens.model").read_bytes() == (exp / "asr/tokens.model").read_bytes()
    states = [checkpoint.load(folder / "model.pt") for folder in (exp / "asr", clean)]
    mean = "normaliser.mean"  # learnt there, kept here
    assert not difference(states[0][mean], states[1][mean]) and difference(*states)

    # Text for a language model can be a file.
    text = begun.root / "corpus/sentences.txt"
    text.write_text("".join(f"{line}\n" for line in read_table(begun.root / "corpus/train_clean/text").values()))
    words = ["steps/train.sh", "tests/e2e/lm.yaml", "exp/lm", "--data.tokens", exp / "asr", "--data.train", text]
    words += ["--data.token_type", "bpe"]
    begun.call(*words, "--data.dev", "data/librispeech/dev_clean")  # so can a data directory without features
    assert (begun.root / "exp/lm/model.pt").exists()
