"""Settings of the training loop, a section of every task's configuration (mimic.tasks.config)."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from mimic.settings import LARGEST, Count, CountOrZero, NotNegative, Positive, Range, Share


@dataclass
class TrainConfig:
    """The training loop.

    Attributes:
        seed: of initial weights, batch order, dropout and augmentation.
        epochs: passes over the training set.
        max_steps: optimiser steps after which training ends, in the middle of an epoch too; 0 means no limit.
        batch_size: most utterances in a batch, that is for one optimiser step. Several processes share a batch.
        max_frames: most frames in a batch, padding included; 0 means no limit.
        accum_grad: pieces into which each process cuts its share of a batch, to hold one of them in memory at a time.
        sorting: order of batches by length: ascending and descending keep it every epoch, random shuffles batches of
            utterances of similar length, curriculum is ascending in the first epoch and random then.
        shard_utterances: a random epoch of a training set that is larger than shard_buffer shards takes its utterances
            shard by shard: so many that follow each other in the archives, which are read in their order;
            0 takes them from everywhere.
        shard_buffer: shards in random order from which batches are mixed at a time. Memory of the system's file cache
            should hold three times as many.
        optimiser: adam, adamw or rmsprop.
        lr: highest learning rate.
        weight_decay: of adamw, on matrices only.
        rms_decay: of rmsprop, the share of its mean square that a step keeps.
        beta2: of adam and adamw: how slowly their mean of squared gradients follows.
        epsilon: of adam and adamw, under the division by its root.
        schedule: constant; step (times lr_factor every lr_every epochs); cosine, linear (to zero at the last step);
            plateau (times lr_factor after each validation whose `best_metric` is not better than the one before by at
            least the share lr_threshold).
        lr_every: epochs between two reductions of the step schedule.
        lr_factor: factor of a reduction.
        lr_threshold: of the plateau schedule.
        warmup: optimiser steps over which the rate rises from zero, whatever the schedule.
        max_grad_norm: largest norm of the gradient; 0 means no limit.
        precision: of matrix products; mixed keeps weights and what is sensitive to rounding in 32 bits.
        compile: true compiles the networks with torch.compile, which takes minutes and needs a C++ compiler on a CPU.
        best_metric: the validation figure that ranks epochs.
        num_avg_ckpts: epochs whose weights are averaged into the final model.
        avg_policy: average the best epochs by `best_metric`, or the last ones.
        keep_ckpts: how many of the newest epochs keep their weights in <exp-dir>/weights, beside those that are
            averaged; -1: all of them. pyscripts/average_checkpoints.py makes models of them.
        freeze: parts of the model that are frozen in some epochs, by name or pattern: [encoder:1-4] in the first four,
            [encoder.*:5-] from the fifth on, [encoder] always.
        validate_every: epochs between validations; the last epoch is always validated.
        workers: threads that read (and augment) batches in advance; 0: none.
        checkpoint_interval: minutes between checkpoints inside an epoch; one is always saved at an epoch's end.
        max_nonfinite_batches: number of consecutive batches with a NaN or infinite loss or gradient that ends the
            training.
        profile: steps, after the first ten of a start, whose times <exp-dir>/profile gets: a table, and a trace for
            chrome://tracing; 0: none.
        detect_anomaly: true names the operation whose gradient is NaN, and takes twice the time.
        tracker: where curves are written: tensorboard (<exp-dir>/tensorboard), mlflow (<exp-dir>/mlflow, if
            MLFLOW_TRACKING_URI
            names no other place), wandb (<exp-dir>/wandb, offline unless WANDB_MODE says otherwise) or none.
        samples: of an enhancer, how many development utterances, evenly spread, are written to <exp-dir>/samples and
            the tracker: noisy, enhanced and clean speech, spectra and mask; 0: none.
        samples_every: epochs between two samples of an utterance; there is one of the first and the last epoch, too.
        histograms_every: epochs between histograms of all weights and gradients in the tracker; 0: none.
    """

    seed: Annotated[int, Range(0, 2**32 - 1)] = 1
    epochs: Count = 20
    max_steps: CountOrZero = 0
    batch_size: Count = 8
    max_frames: CountOrZero = 0
    accum_grad: Count = 1
    sorting: Literal["random", "ascending", "descending", "curriculum"] = "random"
    shard_utterances: CountOrZero = 256
    shard_buffer: Count = 8
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.0
    rms_decay: Annotated[float, Range(least=0, below=1)] = 0.99
    beta2: Annotated[float, Range(least=0, below=1)] = 0.999
    epsilon: Positive = 1e-8
    schedule: Literal["constant", "step", "cosine", "linear", "plateau"] = "constant"
    lr_every: Count = 3
    lr_factor: Annotated[float, Range(above=0, most=1)] = 0.5
    lr_threshold: Share = 0.001
    warmup: CountOrZero = 0
    max_grad_norm: NotNegative = 5.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    best_metric: str = "loss"
    num_avg_ckpts: Count = 1
    avg_policy: Literal["best", "last"] = "best"
    keep_ckpts: Annotated[int, Range(-1, LARGEST)] = 0
    freeze: list[str] = field(default_factory=list)
    validate_every: Count = 1
    workers: Annotated[int, Range(0, 256)] = 1
    checkpoint_interval: NotNegative = 10.0
    max_nonfinite_batches: Count = 3
    profile: CountOrZero = 0
    detect_anomaly: bool = False
    tracker: Literal["tensorboard", "mlflow", "wandb", "none"] = "tensorboard"
    samples: CountOrZero = 2
    samples_every: Count = 10
    histograms_every: CountOrZero = 0
