"""Settings of decoding."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mimic.inputs import LanguageModel, Lexicon, NgramModel
from mimic.settings import Count, CountOrZero, Finite, NotNegative, Positive, Range, Share


@dataclass
class DecodeConfig:
    """How a recogniser's output becomes text.

    There are four searches. `joint` goes over attention decoder and CTC together, token by token. The others take the
    CTC output alone: `greedy` the likeliest token of each frame, `lexicon` the words of a list with an n-gram model of
    words, `lexicon-free` any tokens with an n-gram model of tokens. With beam 1 and no language model, lexicon-free
    equals greedy.

    In lexicon and lexicon-free, a transcript's score is its best CTC path + ngram_lm_scale * n-gram model
    + word_insertion_bonus * words. In joint it is (1 - ctc_weight) * attention decoder + ctc_weight * CTC
    + lm_scale * language model + ngram_lm_scale * n-gram model - coverage_weight * coverage penalty
    + length_bonus * tokens. All are natural logarithms of probabilities, the sentence end included. `rescore` adds its
    part to the nbest of all but greedy.

    Attributes:
        search: auto is joint where the model has an attention decoder, else greedy.
        beam: hypotheses kept per utterance; in lexicon and lexicon-free, 100 is usual.
        beam_threshold: lexicon and lexicon-free prune what is so much worse than the best hypothesis of the frame.
        beam_tokens: lexicon and lexicon-free try so many of the likeliest tokens of each frame; 0: all.
        ctc_weight: weight of the CTC prefix score, from 0 to 1; the attention decoder has the rest.
        temperature: of the attention decoder; above 1 its distributions are flatter.
        lm: directory of a language model (steps/train.sh conf/lm.yaml) over the recogniser's tokens.
        lm_scale: its scale. Without `lm` there is none; validation during training never uses it.
        lm_temperature: of the language model.
        ngram: n-gram model, an ARPA file or a gzipped one (steps/train_lm.sh).
        ngram_lm_scale: its scale.
        ngram_unit: in joint, the n-gram model predicts the recogniser's tokens, or words (in lexicon always words, in
            lexicon-free tokens). A word counts when it is complete: at the next word's first token, or at the end.
        lexicon: of the search of that name: `word token token...` lines. Without it the words are those of the n-gram
            model, spelt with the recogniser's tokens. Phones need one.
        word_insertion_bonus: added for every word in lexicon, and in lexicon-free where finished hypotheses are ranked.
        rescore: directory of a language model like `lm`, which rescores the nbest.
        rescore_weight: its weight.
        coverage_weight: weight of the coverage penalty: at every token, the attention that each frame has got so far
            beyond coverage_threshold, divided by the number of tokens so far. It stops loops.
        coverage_threshold: attention per frame that is not penalised.
        eos_threshold: a sentence may end only where log p(end) > eos_threshold * log p(likeliest token). 0: anywhere.
        max_attn_shift: most frames by which the peak of the attention may move from one token to the next. 0: any.
        max_ratio: most tokens of a hypothesis per encoder frame.
        min_ratio: fewest tokens of a hypothesis per encoder frame.
        length_bonus: added to the score for every token.
        length_norm: rank transcripts by score per token, the sentence end counted as one. The search then ends when
            `beam` hypotheses have ended inside the beam; without it, when no other one can win any more.
        nbest: hypotheses returned per utterance. More than 1: steps/decode.sh writes nbest.jsonl.
        window: all but joint read an utterance that is longer than so many frames piece by piece, in memory that does
            not grow with it. Each piece is encoded with `margin` frames of context before and after it.
        margin: frames of context of a piece.
        valid_beam: beam of the validation during training.
    """

    search: Literal["auto", "joint", "greedy", "lexicon", "lexicon-free"] = "auto"
    beam: Annotated[int, Range(1, 10000)] = 10
    beam_threshold: NotNegative = 25.0
    beam_tokens: CountOrZero = 40
    ctc_weight: Share = 0.5
    temperature: Positive = 1.0
    lm: LanguageModel = ""
    lm_scale: NotNegative = 0.3
    lm_temperature: Positive = 1.0
    ngram: NgramModel = ""
    ngram_lm_scale: NotNegative = 0.3
    ngram_unit: Literal["token", "word"] = "token"
    lexicon: Lexicon = ""
    word_insertion_bonus: Finite = 0.0
    rescore: LanguageModel = ""
    rescore_weight: NotNegative = 0.3
    coverage_weight: NotNegative = 0.0
    coverage_threshold: NotNegative = 0.5
    eos_threshold: NotNegative = 0.0
    max_attn_shift: CountOrZero = 0
    max_ratio: Positive = 1.0
    min_ratio: NotNegative = 0.0
    length_bonus: Finite = 0.0
    length_norm: bool = False
    nbest: Annotated[int, Range(1, 10000)] = 1
    window: Count = 6000
    margin: CountOrZero = 300
    valid_beam: Annotated[int, Range(1, 10000)] = 1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if self.min_ratio > self.max_ratio:
            return f"min_ratio {self.min_ratio} is above max_ratio {self.max_ratio}"
        return ""
