"""Trained directories whose parts do not fit each other: one line says which."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from model_maker import make_enhancer, make_features, make_recogniser, make_segan, program

from mimic.deploy.transcriber import Transcriber
from mimic.errors import UserError
from mimic.frontend.stft import Stft, StftConfig
from mimic.io.archives import ArkWriter
from mimic.io.tokens import Tokens
from mimic.losses.config import EnhanceLoss
from mimic.losses.enhancement import EnhancementLoss, Waveforms
from mimic.models import load
from mimic.models.config import read_config
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser
from mimic.nets import ssl
from mimic.training import checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_recogniser(root / "asr"), make_enhancer(root / "enhance", "causal"), make_segan(root / "segan")
    make_recogniser(root / "other", features="stft")
    make_features(root / "feats", 2)
    pieces = shutil.copytree(root / "asr", root / "pieces")
    Tokens.build("unigram", ["ab ca b"] * 20, 9).save(pieces)
    return root


def change(model: Path, part: str, what: object) -> None:
    """Change a part of a model: weights by a function, files by their new content."""
    if isinstance(what, bytes):
        (model / part).write_bytes(what)
    elif part == "config.yaml":
        (model / part).write_text((model / part).read_text().replace(*what))
    else:
        checkpoint.save(what(checkpoint.load(model / "model.pt")), model / "model.pt")


def transcriber(model: Path) -> Transcriber:
    return Transcriber(Recogniser.load(model))


def without(state: dict) -> dict:
    return {name: value for name, value in state.items() if name != "encoder.cnn.blocks.0.conv.1.bias"}


def not_finite(state: dict) -> dict:
    state["ctc.bias"][2] = torch.nan
    return state


def infinite(state: dict) -> dict:
    next(iter(value for value in state.values() if value.is_floating_point())).view(-1)[0] = torch.inf
    return state


ASR = [
    ("model.pt", lambda state: {}, "model.pt: holds nothing: train the model again"),
    ("model.pt", lambda state: [1, 2], "model.pt: holds a list that is not weights by their names"),
    ("model.pt", lambda state: {"a": 1}, "model.pt: holds a dict that is not weights by their names"),
    ("model.pt", lambda state: torch.zeros(3), "model.pt: holds a Tensor that is not weights"),
    ("model.pt", lambda state: state | {"extra": torch.zeros(2)}, r"extra is 2 in model.pt and absent by config.yaml"),
    ("model.pt", without, r"blocks.0.conv.1.bias is absent in model.pt and 2 by config.yaml \(asr/crdnn\)"),
    ("model.pt", not_finite, "model.pt: ctc.bias has NaN or infinity: train the model again"),
    ("model.pt", infinite, "has NaN or infinity"),
    ("model.pt", lambda state: {"net.weight": torch.zeros(2)}, "model.pt has no normaliser.mean: it is not a model"),
    ("model.pt", b"no zip", "damaged checkpoint"),
    ("config.yaml", ("dnn_units: 8", "dnn_units: 12"), r"is 8x\d+ in model.pt and 12x\d+ by config.yaml \(asr/crdnn\)"),
    ("config.yaml", ("net: crdnn", "net: conformer"), "unknown name"),
    ("config.yaml", b"\x80\x02binary", "config.yaml: line 1 is not UTF-8"),
    ("config.yaml", b"", "config.yaml: empty"),
    ("tokens.txt", b"", "tokens.txt: does not begin with <blank> <bos>"),
    ("tokens.txt", b"<blank> 0\n<bos> 1\n<eos> 2\n<unk> 3\nA 4\n", "model.pt has 8 tokens and tokens.txt has 5"),
    ("tokens.txt", b"<blank> 0\n<bos> 1\n<eos> 2\n<unk> 3\n\xe9 4\n", "tokens.txt:5: not UTF-8"),
    ("tokens.txt", b"<blank> 0\n<bos> 1\n<eos> 2\n<unk> 3\nA 5\n", "tokens.txt:5: expected `token 4`"),
]


@pytest.mark.parametrize(("part", "what", "line"), ASR)
def test_a_recogniser_whose_parts_do_not_fit(models, tmp_path, part, what, line):
    model = shutil.copytree(models / "asr", tmp_path / "asr")
    change(model, part, what)
    with pytest.raises(UserError, match=line) as error:
        Recogniser.load(model, [])
    assert str(model) in str(error.value) and "\n" not in str(error.value)


def test_options_of_features_that_are_no_text(models, tmp_path):
    for name, loaded in (("asr", transcriber), ("enhance", Enhancer.load)):
        model = shutil.copytree(models / name, tmp_path / name)
        (model / "features.conf").write_bytes(b"\x80\x02binary")
        with pytest.raises(UserError, match="features.conf(:1)?: (not UTF-8|NUL|cannot be read as an option file)"):
            loaded(model)
        (model / "features.conf").unlink()
        with pytest.raises(UserError, match="features.conf: (no such option file|cannot be read as an option file)"):
            loaded(model)


@pytest.mark.parametrize("number", ["-1", "0", "257", "2.5", "many", ".nan"])
def test_processes_of_a_training_have_a_range(models, tmp_path, caplog, number):
    assert program("train.py", "--num-processes", number, models / "asr/config.yaml", tmp_path / "x") == 1
    assert "--num-processes: " in caplog.text and "from 1 to 256" in caplog.text and not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [b"no model", b""])
def test_a_sentencepiece_model_that_is_none(models, tmp_path, content):
    model = shutil.copytree(models / "pieces", tmp_path / "asr")
    change(model, "tokens.model", content)
    with pytest.raises(UserError, match="tokens.model: not a model of sentencepiece"):
        Tokens.load(model, "unigram")
    shutil.copy(models / "pieces/tokens.model", model)
    change(model, "tokens.txt", b"<blank> 0\n<bos> 1\n<eos> 2\n<unk> 3\n")
    with pytest.raises(UserError, match=r"tokens.model: has \d+ tokens, tokens.txt has 4"):
        Tokens.load(model, "unigram")


@pytest.mark.parametrize("name", ["enhance", "segan"])
@pytest.mark.parametrize(
    ("what", "line"),
    [
        (lambda state: state | {"extra": torch.zeros(2)}, "extra is 2 in model.pt and absent by config.yaml"),
        (lambda state: {}, "holds nothing"),
        (infinite, "has NaN or infinity"),
    ],
)
def test_an_enhancer_whose_parts_do_not_fit(models, tmp_path, name, what, line):
    model = shutil.copytree(models / name, tmp_path / name)
    change(model, "model.pt", what)
    with pytest.raises(UserError, match=line):
        Enhancer.load(model)


def test_weights_of_another_task(models, tmp_path):
    for name, other in (("asr", "enhance"), ("enhance", "asr")):
        model = shutil.copytree(models / name, tmp_path / name)
        shutil.copy(models / other / "model.pt", model)
        with pytest.raises(UserError, match="model.pt has no|absent in model.pt"):
            load(model)


def test_sizes_that_the_command_line_changes(models):
    with pytest.raises(UserError, match="sizes were changed, which stay as they were trained"):
        Recogniser.load(models / "asr", ["--model.rnn_units", "99"])


def test_a_directory_that_is_not_there_says_what_makes_it(models):
    with pytest.raises(UserError, match=r"/ars: no such model directory, did you mean .*/asr\?: steps/train.sh makes"):
        read_config(models / "ars")
    with pytest.raises(UserError, match=r"/feats: holds no config.yaml"):
        read_config(models / "feats")


def test_a_perceptual_model_of_other_features_makes_them_of_the_waveforms(models):
    config = EnhanceLoss(mimic_weight=1.0, perceptual=str(models / "asr"), mimic_layer="dnn")
    stft = Stft()
    losses, model = EnhancementLoss(config, stft), Recogniser.load(models / "asr")
    samples = torch.tensor([9000, 6000])
    clean = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(1))
    clean[1, 6000:] = 0
    noisy = (clean + 0.01 * clean.flip(1)).requires_grad_(True)
    waveforms = Waveforms(noisy, clean, samples, None)
    value = losses(stft(noisy), stft(clean), stft.num_frames(samples), waveforms)["mimic"]
    assert losses.uses_waveforms and not any(p.requires_grad for p in losses.parameters())
    apart, frames = 0.0, 0  # each utterance by itself
    for a, b, n in zip(noisy.detach(), clean, samples.tolist(), strict=True):
        features = [model.front(row[:n])[None] for row in (a, b)]
        x, y = (model.net.embed(f, torch.tensor([f.shape[1]]), "dnn")[0] for f in features)
        apart, frames = apart + float((x - y).square().mean(2).sum().detach()), frames + x.shape[1]
    assert float(value.detach()) == pytest.approx(apart / frames, rel=1e-3) and apart > 0
    assert losses.sizes(stft.num_frames(samples), samples)["mimic"] == frames
    value.backward()
    assert torch.isfinite(noisy.grad).all() and noisy.grad[0].any() and not noisy.grad[1, 6000:].any()


def test_the_phase_of_what_is_mimicked(models):
    """An enhancer that gives clean magnitudes: no loss where clean speech has the noisy phase as it does, else some."""
    stft = Stft()
    generator = torch.Generator().manual_seed(1)
    clean = 0.1 * torch.randn(1, 9000, generator=generator)
    spectrum, samples = stft.transform(clean + 0.05 * torch.randn(1, 9000, generator=generator)), torch.tensor([9000])
    perfect = stft(clean)
    waveforms = Waveforms(stft.resynthesise(perfect, spectrum, samples), clean, samples, spectrum)
    found = {}
    for phase in ("noisy", "clean"):
        config = EnhanceLoss(mimic_weight=1.0, perceptual=str(models / "asr"), mimic_phase=phase)
        losses = EnhancementLoss(config, stft)
        found[phase] = float(losses(perfect, perfect, stft.num_frames(samples), waveforms)["mimic"])
    assert found["noisy"] == 0 < found["clean"]


def test_what_is_no_perceptual_model(models):
    config = EnhanceLoss(mimic_weight=1.0, perceptual=str(models / "enhance"))
    with pytest.raises(UserError, match="task enhance, not asr"):
        EnhancementLoss(config, Stft())
    config.perceptual = str(models / "asr")
    with pytest.raises(UserError, match=r"takes 16000 Hz: the enhancer's features are of 8000 Hz"):
        EnhancementLoss(config, Stft(StftConfig(sample_frequency=8000)))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--batch-size", "0"), "--batch-size: 0 is out of its range"),
        (("--device", "tpu"), "--device tpu: expected cpu, cuda or mps"),
        (("--device", "mps"), "--device mps: there is no GPU of Apple's"),
        (("--nj", "0"), "--nj: 0 is out of its range"),
        (("--decode.beam", "0"), "decode.beam: 0 is out of its range: a whole number, from 1 to 10000"),
        (("--decode.temperature", ".nan"), "decode.temperature: .nan is out of its range"),
        (("--decode.window", "0"), "decode.window: 0 is out of its range"),
    ],
)
def test_settings_of_a_decoding(models, tmp_path, caplog, words, line):
    assert program("decode.py", models / "asr", models / "feats", tmp_path, *words) == 1
    assert line in caplog.text and "Traceback" not in caplog.text and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "words", "line"),
    [
        ("asr", ("--decode.beeam", "3"), "decode: unknown name 'beeam': did you mean beam?"),
        ("asr", ("--decode.beam", "0"), "decode.beam: 0 is out of its range: a whole number, from 1 to 10000"),
        ("asr", ("--decode.beam",), "expected `--section.key value` pairs"),
        ("asr", ("--dcode.beam", "3"), "unknown name 'dcode': did you mean decode?"),
        ("enhance", ("--mask.wieght", "1"), "mask: unknown name 'wieght': did you mean weight?"),
        ("enhance", ("--mask.weight", "1.5"), "mask.weight: 1.5 is out of its range: a number, from 0 to 1"),
    ],
)
def test_settings_are_checked_before_anything_is_written(models, caplog, model, words, line):
    assert program("check_settings.py", models / model, *words) == 1
    assert line in caplog.text and "Traceback" not in caplog.text
    assert program("check_settings.py", models / "asr", "--decode.beam", "3") == 0
    assert program("check_settings.py", models / "enhance", "--mask.weight", "0.5") == 0


def test_features_that_are_not_numbers_or_of_another_size(models, tmp_path, caplog):
    feats = shutil.copytree(models / "feats", tmp_path / "feats")
    with ArkWriter(feats / "feats.ark", feats / "feats.scp") as writer:
        for utt, n in (("utt0", 60), ("utt1", 85)):
            writer.write(utt, np.zeros((n, 20), np.float32))
    (feats / "feats.ark").write_bytes((feats / "feats.ark").read_bytes()[:-4] + np.float32(np.nan).tobytes())
    assert program("decode.py", models / "asr", feats, tmp_path) == 1
    assert "NaN or infin" in caplog.text
    with ArkWriter(feats / "feats.ark", feats / "feats.scp") as writer:
        for utt, n in (("utt0", 60), ("utt1", 85)):
            writer.write(utt, np.zeros((n, 21), np.float32))
    assert program("decode.py", models / "asr", feats, tmp_path) == 1
    assert "features of 21 bins for a model of 20" in caplog.text
    table = (feats / "utt2num_frames").read_text()
    (feats / "utt2num_frames").write_text("utt0 600\nutt1 85\n")
    assert program("decode.py", models / "asr", feats, tmp_path) == 1
    assert "utt0: 60 frames in feats.scp and 600 in utt2num_frames: run steps/make_feats.sh" in caplog.text
    for text, line in (("utt0 60\n", "utt1 is in feats.scp and"), (table + "utt9 60\n", "utt9 is in utt2num_frames")):
        (feats / "utt2num_frames").write_text(text)
        assert program("decode.py", models / "asr", feats, tmp_path) == 1 and line in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("config.json", b"{", "config.json: not JSON"),
        ("config.json", b"[]", "config.json: expected an object of JSON"),
        ("config.json", b"\xe9", "config.json:1: not UTF-8"),
        ("config.json", b'{"model_type": "hubert"}', "not a wav2vec 2.0, HuBERT or WavLM encoder"),
        ("pytorch_model.bin", [1], "holds a list that is not weights by their names: download"),
        ("pytorch_model.bin", {}, "holds nothing"),
        ("pytorch_model.bin", {"a": torch.tensor([torch.nan])}, "a has NaN or infinity: download the file again"),
    ],
)
def test_an_encoder_whose_parts_are_none(tmp_path, name, content, line):
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    torch.save({"a": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        torch.save(content, tmp_path / name)
    with pytest.raises(UserError, match=line):
        ssl.load(tmp_path)


def test_outputs_that_are_not_numbers(models, tmp_path, caplog):
    model = shutil.copytree(models / "asr", tmp_path / "asr")
    change(model, "model.pt", lambda state: state | {"ctc.weight": torch.full_like(state["ctc.weight"], 3e38)})
    for words in ((), ("--decode.search", "greedy", "--decode.window", "20", "--decode.margin", "4")):
        caplog.clear()
        assert program("decode.py", model, models / "feats", tmp_path, *words) == 1
        assert "the recogniser's output is NaN" in caplog.text and not (tmp_path / "text.1").exists()
