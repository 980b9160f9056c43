"""Settings of the beam search."""

from dataclasses import dataclass
from typing import Literal


@dataclass
class DecodeConfig:
    """Beam search.

    The score of a transcript is (1 - ctc_weight) * attention decoder + ctc_weight * CTC + lm_weight * language model
    + ngram_weight * n-gram model - coverage_weight * coverage penalty + length_bonus * tokens, all of them natural
    logarithms of probabilities, the sentence end included.

    Attributes:
        beam: hypotheses kept per utterance.
        ctc_weight: weight of the CTC prefix score, from 0 to 1; the attention decoder has the rest.
        temperature: of the attention decoder; above 1 its distributions are flatter.
        lm: directory of a language model (steps/train.sh conf/lm.yaml) over the recogniser's tokens.
        lm_weight: its weight. Without `lm` there is none; validation during training never uses it.
        lm_temperature: of the language model.
        ngram: n-gram model, an ARPA file or a gzipped one.
        ngram_weight: its weight.
        ngram_unit: the n-gram model predicts the recogniser's tokens, or words. A word counts when it is complete: at
            the next word's first token, or at the sentence end.
        coverage_weight: weight of the coverage penalty: at every token, the attention that each frame has got so far
            beyond coverage_threshold, divided by the number of tokens so far. It stops loops.
        coverage_threshold: attention that a frame gets for nothing.
        eos_threshold: a sentence may end only where log p(end) > eos_threshold * log p(likeliest token). 0: anywhere.
        max_attn_shift: most frames by which the peak of the attention may move from one token to the next. 0: any.
        max_ratio: most tokens of a hypothesis per encoder frame.
        min_ratio: fewest tokens of a hypothesis per encoder frame.
        length_bonus: added to the score for every token.
        length_norm: rank transcripts by score per token, the sentence end counted as one. The search then ends when
            `beam` hypotheses have ended inside the beam; without it, when no other one can win any more.
        nbest: hypotheses returned per utterance.
        valid_beam: beam of the validation during training.
    """

    beam: int = 10
    ctc_weight: float = 0.5
    temperature: float = 1.0
    lm: str = ""
    lm_weight: float = 0.3
    lm_temperature: float = 1.0
    ngram: str = ""
    ngram_weight: float = 0.3
    ngram_unit: Literal["token", "word"] = "token"
    coverage_weight: float = 0.0
    coverage_threshold: float = 0.5
    eos_threshold: float = 0.0
    max_attn_shift: int = 0
    max_ratio: float = 1.0
    min_ratio: float = 0.0
    length_bonus: float = 0.0
    length_norm: bool = False
    nbest: int = 1
    valid_beam: int = 1
