"""Pretraining on the micro corpus in the layout of LibriSpeech, and run.sh, which starts from the result."""

import shutil
from pathlib import Path

import pytest
import soundfile
from recipe import SIZES, Recipe, difference

from mimic.data.kaldi_dir import read_table
from mimic.train import checkpoint

pytestmark = pytest.mark.xdist_group("recipe")

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
            samples, rate = soundfile.read(wav, dtype="int16")
            soundfile.write(folder / f"{number}00-7-{i:04d}.flac", samples, rate)
            texts += f"{number}00-7-{i:04d} {read_table(source / 'text')[utt].upper()}\n"
        (folder / f"{number}00-7.trans.txt").write_text(texts)
    (speech / "SPEAKERS.TXT").write_text("".join(lines))
    # Known to be right without its published sum: the list of this checkout names none.
    shutil.copy(recipe.root / "corpus/lang/lexicon.txt", recipe.root / "libri/librispeech-lexicon.txt")
    recipe.edit("local/librispeech/files.tsv", lambda text: text.replace("28f72663f6bfed7cd346283c064c315b", "-"))


def test_a_recogniser_from_librispeech_is_what_run_sh_starts_from(recipe, tmp_path):
    make_librispeech(recipe)
    said = recipe.call(*WORDS)
    exp = recipe.root / "exp/librispeech"
    for folder, name in (("asr", "model.pt"), ("lm", "model.pt"), ("asr/decode_test", "wer_1_0.0")):
        assert (exp / folder / name).stat().st_size, said
    assert len(read_table(exp / "asr/decode_dev/text")) == SIZES["dev"]
    assert (exp / "asr/tokens.txt").read_bytes() == (exp / "lm/tokens.txt").read_bytes()
    again = recipe.call(*WORDS)
    assert ": to do" not in again and "starting again" not in again

    said = recipe.run("--init", "exp/librispeech/asr", "--stage", "6", "--stop-stage", "6")
    assert "exp/asr_clean: starting again, data.init was unset" in said
    clean = recipe.root / "exp/asr_clean"
    assert (clean / "tokens.model").read_bytes() == (exp / "asr/tokens.model").read_bytes()
    states = [checkpoint.load(folder / "model.pt") for folder in (exp / "asr", clean)]
    mean = "normaliser.mean"  # learnt there, kept here
    assert not difference(states[0][mean], states[1][mean]) and difference(*states)
    bad = recipe.run("--init", "exp/librispeech/lm", "--stage", "6", "--stop-stage", "6", code=1)
    assert "--data.init exp/librispeech/lm was trained as task lm, not asr: give a recogniser" in bad


def test_text_for_the_language_model_can_be_a_file(recipe):
    text = Path("corpus/sentences.txt")
    (recipe.root / text).write_text(
        "".join(f"{t}\n" for t in read_table(recipe.root / "data/train_clean/text").values())
    )
    words = ["steps/train.sh", "tests/e2e/lm.yaml", "exp/lm", "--data.tokens", "exp/asr_clean"]
    words += ["--data.token_type", "bpe"]
    recipe.call(*words, "--data.train", text, "--data.dev", "data/dev_clean", code=1)  # no features
    recipe.call(*words, "--data.train", text, "--data.dev", "exp/fbank/dev_clean")
    assert (recipe.root / "exp/lm/model.pt").exists()
