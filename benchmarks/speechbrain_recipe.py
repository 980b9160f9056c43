"""The training steps of this recipe built from speechbrain's blocks, for benchmarks/train_step.py and recipe.py.

Networks as in its recipe Voicebank/MTL/ASR_enhance (CRDNN, LiGRU, attention decoder, CNN-Transformer, wide ResNet), its
losses, and its Brain, which makes the step. The step computes features from waveforms that its data set reads.
"""

from pathlib import Path
from typing import NamedTuple

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.EnhanceResnet import EnhanceResnet
from speechbrain.lobes.models.transformer.TransformerSE import CNNTransformerSE
from speechbrain.nnet import losses
from speechbrain.nnet.CNN import Conv1d
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.normalization import LayerNorm
from speechbrain.nnet.RNN import LSTM, AttentionalRNNDecoder, LiGRU
from speechbrain.processing.features import ISTFT, STFT, InputNormalization, spectral_magnitude
from speechbrain.processing.signal_processing import resynthesize
from torch import Tensor, nn

from mimic.io.tables import read_table
from mimic.io.tokens import BLANK, BOS, EOS
from mimic.models.config import Config

BINS = 257
STFT_SIZES = {"sample_rate": 16000, "n_fft": 512, "win_length": 32, "hop_length": 16}


class Batch(NamedTuple):
    """Features (batch, frames, bins), relative lengths (batch,); tokens (batch, length) and reference, where used.

    With the noisy waveforms (batch, samples) the step resynthesises enhanced ones, as its recipe always does.
    """

    noisy: Tensor | None
    clean: Tensor | None
    lens: Tensor
    tokens: Tensor | None = None
    token_lens: Tensor | None = None
    waveforms: Tensor | None = None


def crdnn(config: Config, bins: int) -> CRDNN:
    m = config.model
    return CRDNN(
        input_shape=[None, None, bins],
        dropout=m.dropout,
        cnn_blocks=len(m.channels),
        cnn_channels=m.channels,
        time_pooling=m.time_pooling > 1,
        time_pooling_size=m.time_pooling,
        rnn_class={"ligru": LiGRU, "lstm": LSTM}[m.rnn],
        rnn_layers=m.rnn_layers,
        rnn_neurons=m.rnn_units,
        dnn_blocks=m.dnn_layers,
        dnn_neurons=m.dnn_units,
    )


def recogniser(config: Config, bins: int, tokens: int) -> dict[str, nn.Module]:
    d, units = config.decoder, config.model.dnn_units
    decoder = AttentionalRNNDecoder(
        "gru", "location", d.units, d.attention, 1, units, d.embedding,
        channels=d.channels, kernel_size=d.kernel, dropout=d.dropout,
    )  # fmt: skip
    return {
        "src_embedding": crdnn(config, bins),
        "tgt_embedding": Embedding(num_embeddings=tokens, embedding_dim=d.embedding),
        "recognizer": decoder,
        "ctc_output": Linear(input_size=units, n_neurons=tokens),
        "seq_output": Linear(input_size=d.units, n_neurons=tokens),
    }


def cnn_transformer(config: Config) -> CNNTransformerSE:
    m = config.model
    front = Sequential(input_shape=[None, None, BINS])
    for channels in m.channels:
        front.append(Conv1d, out_channels=channels, kernel_size=3)
        front.append(LayerNorm)
        front.append(nn.LeakyReLU())
    return CNNTransformerSE(
        m.channels[-1], BINS, nhead=m.heads, num_layers=m.layers, d_ffn=m.feedforward, dropout=m.dropout,
        causal=False, custom_emb_module=front,
    )  # fmt: skip


class Recipe(sb.Brain):
    """One stage. `perceptual` (for mimic loss) and `enhancer` (in front of a recogniser) are frozen."""

    def __init__(
        self, config: Config, bins: int, tokens: int, perceptual: Config | None = None, enhancer: Config | None = None
    ):
        self.config, self.asr = config, config.task == "asr"
        self.phones = self.asr and config.data.token_type == "phn"
        if self.asr:
            modules = recogniser(config, bins, tokens)
        elif config.net == "wide_resnet":
            modules = {"enhance_model": EnhanceResnet(channel_counts=config.model.channels)}
        else:
            modules = {"enhance_model": cnn_transformer(config)}
        train = config.train
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[train.optimiser]
        options = {"lr": train.lr} | ({"weight_decay": train.weight_decay} if train.optimiser == "adamw" else {})
        super().__init__(
            modules, lambda p: kind([x for x in p if x.requires_grad], **options), {},
            {"device": "cpu", "max_grad_norm": train.max_grad_norm},
        )  # fmt: skip
        self.perceptual = crdnn(perceptual, BINS).CNN.eval().requires_grad_(False) if perceptual else None
        self.enhancer = cnn_transformer(enhancer).eval().requires_grad_(False) if enhancer else None
        self.stft, self.istft = STFT(**STFT_SIZES), ISTFT(**{k: v for k, v in STFT_SIZES.items() if k != "n_fft"})
        self.fbank, self.normaliser = Fbank(n_mels=bins), InputNormalization()
        self.modules.train()
        self.init_optimizers()

    def parameters(self) -> int:
        return sum(p.numel() for p in self.modules.parameters())

    def spectrum(self, waveforms: Tensor) -> Tensor:
        return torch.log1p(spectral_magnitude(self.stft(waveforms), power=0.5))

    def features(self, batch) -> Batch:
        """What its recipe computes of the waveforms in each step."""
        if self.phones:  # the perceptual model's input is clean speech
            clean, lens = batch.clean_sig
            return Batch(None, self.spectrum(clean), lens, *batch.tokens)
        noisy, lens = batch.noisy_sig
        if not self.asr:
            return Batch(self.spectrum(noisy), self.spectrum(batch.clean_sig[0]), lens, waveforms=noisy)
        with torch.no_grad():
            return Batch(self.fbank(noisy if self.enhancer is None else self.enhance(noisy)), None, lens, *batch.tokens)

    def enhance(self, noisy: Tensor) -> Tensor:
        """What the enhancer before a recogniser makes of waveforms (batch, samples)."""
        feats = self.spectrum(noisy)
        return self.resynthesise(self.enhancer(feats) * feats, noisy)

    def resynthesise(self, feats: Tensor, noisy: Tensor) -> Tensor:
        return resynthesize(torch.expm1(feats), noisy, self.stft, self.istft)

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> dict[str, Tensor]:
        if not self.asr:
            feats = self._enhance(batch.noisy)
            if batch.waveforms is not None:
                self.resynthesise(feats, batch.waveforms)
            return {"feats": feats}
        if batch.clean is None:
            feats = self.normaliser(batch.noisy, batch.lens)
        else:
            feats = batch.clean
        embed = self.modules.src_embedding(feats)
        bos = nn.functional.pad(batch.tokens, (1, 0), value=BOS)
        out, _ = self.modules.recognizer(self.modules.tgt_embedding(bos), embed, batch.lens)
        return {
            "seq": self.modules.seq_output(out).log_softmax(2),
            "ctc": self.modules.ctc_output(embed).log_softmax(2),
        }

    def _enhance(self, noisy: Tensor) -> Tensor:
        net = self.modules.enhance_model
        if self.config.net != "wide_resnet":
            return net(noisy) * noisy
        mask = net.DNN(net.CNN(noisy)).clamp(min=0, max=1)
        gain = net.mask_weight * mask + (1 - net.mask_weight)
        return torch.log1p(gain * torch.expm1(noisy))

    def compute_objectives(self, predictions: dict[str, Tensor], batch: Batch, stage: sb.Stage) -> Tensor:
        loss = self.config.loss
        if self.asr:
            eos = nn.functional.pad(batch.tokens, (0, 1))
            count = (batch.token_lens * batch.tokens.shape[1]).round().long()
            eos[torch.arange(len(eos)), count] = EOS
            ctc = losses.ctc_loss(predictions["ctc"], batch.tokens, batch.lens, batch.token_lens, BLANK)
            seq = losses.nll_loss(predictions["seq"], eos, (count + 1) / eos.shape[1], loss.label_smoothing)
            return loss.ctc_weight * ctc + loss.attention_weight * seq
        distance = {"mse": losses.mse_loss, "l1": losses.l1_loss}
        total = distance[loss.distance](predictions["feats"], batch.clean, batch.lens)
        if self.perceptual is not None:
            wanted, embedded = self.perceptual(batch.clean), self.perceptual(predictions["feats"])
            total = total + loss.mimic_weight * distance[loss.mimic_distance](embedded, wanted, batch.lens)
        return total


def loader(
    noisy: Path | None, clean: Path | None, tokens: dict[str, list[int]], utts: list[str], batch: int, workers: int = 0
):
    """Its data loader over the waveforms of one or two data directories, in this order of utterances."""
    tables = {side: read_table(folder / "wav.scp") for side, folder in (("noisy", noisy), ("clean", clean)) if folder}
    items = {
        utt: {f"{side}_wav": table[utt] for side, table in tables.items()} | {"target": " ".join(map(str, tokens[utt]))}
        for utt in utts
    }

    def audio(side: str):
        @sb.utils.data_pipeline.takes(f"{side}_wav")
        @sb.utils.data_pipeline.provides(f"{side}_sig")
        def read(wav):
            return sb.dataio.dataio.read_audio(wav)

        return read

    @sb.utils.data_pipeline.takes("target")
    @sb.utils.data_pipeline.provides("tokens")
    def target(target):
        return torch.tensor([int(token) for token in target.split()])

    keys = ["id", *(f"{side}_sig" for side in tables), "tokens"]
    dataset = DynamicItemDataset(items, dynamic_items=[*map(audio, tables), target], output_keys=keys)
    return make_dataloader(dataset, batch_size=batch, num_workers=workers)
