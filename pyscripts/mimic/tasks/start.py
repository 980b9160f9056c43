"""Starting from a model that was trained elsewhere: what has to be equal, and what to do where it is not."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FEATURE_CONFIG, option_difference
from mimic.frontend.stft import StftConfig
from mimic.io import feature_dir
from mimic.io.tokens import Tokens
from mimic.models import trained
from mimic.models.config import Config, read_config
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import network
from mimic.nets.recogniser import RecogniserNet


def check_start(config: Config, directory: Path) -> None:
    """UserError unless `data.init` is a recogniser of the same tokens and normalisation, and of the same features,
    where the options of those are in the new experiment directory already and have to be equal.
    """
    init = Path(config.data.init)
    initial = read_config(init)
    if initial.task != "asr":
        raise UserError(f"--data.init {init} was trained as task {initial.task}, not asr: give a recogniser")
    for key in ("token_type", "normalise"):
        there, here = getattr(initial.data, key), getattr(config.data, key)
        if there != here:
            raise differs(init, f"data.{key}", there, here, f"give --data.{key} {there}")
    if config.data.init_features == "other" or not (directory / FEATURE_CONFIG).exists():
        return
    if found := option_difference(init / FEATURE_CONFIG, directory / FEATURE_CONFIG):
        fix = f"make the features with {init / FEATURE_CONFIG} (run.sh: --fbank-config)"
        raise differs(init, f"feature option --{found.option}", found.there, found.here, fix)


def initial_recogniser(config: Config, tokens: Tokens) -> RecogniserNet:
    """A recogniser before training: new, or with the weights of `data.init`."""
    if not config.data.init:
        return network(config, _normaliser(config), len(tokens))
    init = Path(config.data.init)
    state = trained.read_weights(init)
    bins = trained.size(state, "normaliser.mean", init, config)
    outputs = trained.size(state, "ctc.weight", init, config)
    trained.check_count(init, outputs, "tokens.txt", len(tokens), "tokens")
    net = network(config, Cmvn(bins), outputs)
    start_from(net, state, init)
    if config.data.init_features == "other":
        net.normaliser = _normaliser(config)
    return net


def _normaliser(config: Config) -> Cmvn:
    """By the statistics of the training set, (2, bins + 1)."""
    stats = feature_dir.read_global(Path(config.data.train))
    return Cmvn(stats.shape[1] - 1) if config.data.normalise == "none" else Cmvn(stats, norm_vars=True)


def start_enhancer(model: nn.Module, init: Path, stft: StftConfig) -> None:
    """Take over the weights of an enhancer of the same network and the same spectrum.

    Raises UserError where it is none, or another.
    """
    initial = Enhancer.load(init)
    for name, there in asdict(getattr(initial.front, "config", stft)).items():
        if there != (here := getattr(stft, name, None)):
            fix = f"take {init / FEATURE_CONFIG} as option file of the spectrum"
            raise differs(init, f"option --{name.replace('_', '-')}", there, here, fix)
    start_from(model, initial.net.state_dict(), init)


def start_from(model: nn.Module, state: Mapping[str, Tensor], init: Path) -> None:
    """Take over `state`, the weights of directory `init`. UserError names the first that is not as in `model`."""
    there = {name: tuple(value.shape) for name, value in state.items()}
    here = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in [*here, *there]:
        if there.get(name) != here.get(name):
            fix = f"take the network and its sizes of {init / 'config.yaml'}"
            raise differs(init, f"the size of {name}", there.get(name, "absent"), here.get(name, "absent"), fix)
    model.load_state_dict(state)


def differs(init: Path, what: str, there: object, here: object, fix: str) -> UserError:
    """The error of a model in `init` that is not as this training needs it, with what to do."""
    return UserError(f"--data.init {init}: {what} is {there} there and {here} here: {fix}")
