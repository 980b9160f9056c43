"""Self-supervised encoders as perceptual models: tiny ones with random weights, in the formats of the published."""

import json
from pathlib import Path

import pytest
import ssl_maker
import torch
from ssl_maker import tiny, waveforms
from tolerance import assert_near, of_network
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.losses.enhancement import EnhanceLoss, EnhancementLoss, Waveforms
from mimic.nets import ssl

KINDS = ["group_norm", "layer_norm", "wavlm"]


@pytest.fixture(params=KINDS)
def checkpoint(request, tmp_path) -> Path:
    path = tmp_path / f"{request.param}.pt"
    torch.save(tiny(request.param).state_dict(), path)
    return path


def test_frames_as_far_apart_as_the_strides_say(monkeypatch):
    assert ssl.SslEncoder(tiny("group_norm"), False).stride == 320
    monkeypatch.setattr(ssl_maker, "CONVOLUTIONS", [*ssl_maker.CONVOLUTIONS, (16, 2, 2)])
    encoder = ssl.SslEncoder(tiny("group_norm"), False)
    assert encoder.stride == 640 and encoder.num_frames(torch.tensor([41120])).tolist() == [64]


BUNDLES = {
    name: bundle
    for name, bundle in vars(pipelines).items()
    if isinstance(bundle, pipelines.Wav2Vec2Bundle) and bundle._params["extractor_conv_layer_config"]
}


@pytest.mark.parametrize("name", BUNDLES)
def test_architecture_of_every_published_checkpoint_is_recognised(name):
    bundle = BUNDLES[name]
    with torch.device("meta"):
        build = wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model
        state = build(**bundle._params).state_dict()
    found = ssl.infer({name: value for name, value in state.items() if not name.startswith("aux.")})
    for key, value in bundle._params.items():
        if "drop" not in key and key != "aux_num_out":
            assert found[key] == value, key
    assert bundle._normalize_waveform == (found["extractor_mode"] == "layer_norm")


def test_torchaudio_checkpoint_gives_what_torchaudio_gives(checkpoint):
    encoder, net = ssl.load(checkpoint), tiny(checkpoint.stem)
    for waveform in waveforms():
        x = torch.nn.functional.layer_norm(waveform, waveform.shape) if checkpoint.stem == "layer_norm" else waveform
        expected, _ = net.extract_features(x[None])
        states, lengths = encoder([waveform], [1, 2, 3])
        assert lengths.tolist() == [expected[0].shape[1]]
        errors = of_network(encoder, lambda waveform=waveform: dict(enumerate(encoder([waveform], [1, 2, 3])[0])))
        assert_near(dict(enumerate(states)), dict(enumerate(expected)), errors)


def test_hidden_states_do_not_depend_on_the_batch(checkpoint):
    encoder = ssl.load(checkpoint)
    together, lengths = encoder(waveforms(), [0, 2, 3])
    for row, waveform in enumerate(waveforms()):
        single, (length,) = encoder([waveform], [0, 2, 3])
        assert length == lengths[row]
        errors = of_network(encoder, lambda waveform=waveform: dict(enumerate(encoder([waveform], [0, 2, 3])[0])))
        cut = [state[row : row + 1, :length] for state in together]
        assert_near(dict(enumerate(single)), dict(enumerate(cut)), errors)


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM"])
def test_hidden_states_equal_those_of_transformers(kind, stable, tmp_path):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: steps/setup.sh --dev true"
    )
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        conv_dim=[16] * 7,
        conv_bias=stable,
        feat_extract_norm="layer" if stable else "group",
        do_stable_layer_norm=stable,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=9,
    )
    model = getattr(transformers, f"{kind}ForCTC")(config).eval()  # with a head, as fine-tuned models are
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    encoder = ssl.load(tmp_path)
    body = getattr(model, model.base_model_prefix)
    for waveform in waveforms():
        with torch.no_grad():
            expected = body(waveform[None], output_hidden_states=True)

        def mimic_states(waveform: torch.Tensor = waveform) -> dict[int, torch.Tensor]:
            states = dict(enumerate(encoder([waveform], [0, 1, 2, 3])[0]))
            return states | {3: body.encoder.layer_norm(states[3]) if stable else states[3]}

        hugging_face = dict(enumerate([*expected.hidden_states[:3], expected.last_hidden_state]))
        assert_near(mimic_states(), hugging_face, of_network(encoder, mimic_states))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert torch.equal(ssl.load(tmp_path)([waveform], [3])[0][0], encoder([waveform], [3])[0][0])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    normalised = torch.nn.functional.layer_norm(waveform, waveform.shape)
    assert torch.equal(ssl.load(tmp_path)([waveform], [3])[0][0], encoder([normalised], [3])[0][0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "whisper"}, "model_type is whisper: expected one of wav2vec2, hubert, wavlm"),
        ({"model_type": "hubert", "hidden_act": "relu"}, "hidden_act is relu"),
        ({"model_type": "hubert"}, "expected model.safetensors or pytorch_model.bin"),
    ],
)
def test_directories_that_are_no_such_encoder(config, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        ssl.load(tmp_path)


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [({"conv.weight": torch.ones(3)}, "not a wav2vec"), ({"a": Evil()}, "weights cannot be read"), (None, "be read")],
)
def test_files_that_are_no_such_encoder(content, message, tmp_path, capfd):
    path = tmp_path / "model.pt"
    path.write_bytes(b"damaged") if content is None else torch.save(content, path)
    with pytest.raises(UserError, match=message) as error:
        ssl.load(path)
    assert "\n" not in str(error.value) and "code ran" not in capfd.readouterr().out


def batch(stft: Stft) -> tuple[torch.Tensor, ...]:
    """log1p magnitudes of noisy and of clean speech, frames, noisy spectrum, samples."""
    samples = torch.tensor([len(waveform) for waveform in waveforms()])
    clean = torch.nn.utils.rnn.pad_sequence(waveforms(), batch_first=True)
    spectrum = stft.transform(clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(4)))
    return stft.log1p_magnitude(spectrum), stft(clean), stft.num_frames(samples), spectrum, samples


@pytest.mark.parametrize("kind", ["mse", "l1", "cosine"])
def test_mimic_loss(checkpoint, kind):
    """Zero for clean speech, the gradient passes through, nothing in the encoder changes, padding does not count."""
    stft = Stft()
    config = EnhanceLoss(mimic_weight=1.0, mimic_distance=kind, mimic_layers=[1, 3], perceptual=str(checkpoint))
    losses = EnhancementLoss(config, stft)
    before = {name: value.clone() for name, value in losses.perceptual.state_dict().items()}
    noisy, clean, lengths, spectrum, samples = batch(stft)

    def mimic(magnitude, some=slice(None)):
        sounds = stft.resynthesise(magnitude[some], spectrum[some], samples[some])
        waveforms = Waveforms(sounds, None, samples[some], spectrum[some])
        return losses.mimic(magnitude[some], clean[some], lengths[some], waveforms)

    assert float(mimic(clean)) == pytest.approx(0, abs=1e-6)
    noisy.requires_grad_(True)
    value = mimic(noisy)
    assert float(value.detach()) > 0.001
    value.backward()
    for row, length in enumerate(lengths):
        assert noisy.grad[row, :length].abs().sum() > 0 and torch.isfinite(noisy.grad[row]).all()
        assert not noisy.grad[row, length:].any()
    assert all(p.grad is None and not p.requires_grad for p in losses.perceptual.parameters())
    after = losses.perceptual.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    frames = losses.perceptual.num_frames(lengths, samples)
    single = [float(mimic(noisy, slice(i, i + 1)).detach()) for i in range(3)]
    mean = sum(a * n for a, n in zip(single, frames.tolist(), strict=True)) / int(frames.sum())
    assert float(value.detach()) == pytest.approx(mean, rel=1e-4)


def test_layers_are_checked_and_chosen(checkpoint):
    config = EnhanceLoss(mimic_weight=1.0, perceptual=str(checkpoint))
    assert EnhancementLoss(config, Stft()).perceptual.layers == [1, 2, 3]
    config.mimic_layers = [4]
    with pytest.raises(UserError, match=r"mimic_layers 4: .* has 0 to 3"):
        EnhancementLoss(config, Stft())
