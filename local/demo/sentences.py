"""What the voices of the demo corpus say: semantically unpredictable sentences of 5 to 8 words, none used twice.

The words of a sentence fit its syntax but not each other (Benoit, Grice and Hazan 1996), and some sentences are lists
of any words: a recogniser has to recognise each of them, for its neighbours do not give it away.
"""

import re
from dataclasses import dataclass

import numpy as np
from voices import VOICES, Voice

from mimic.augment.mixing import utterance_rng
from mimic.errors import UserError

# Homophones (TO beside TWO) and words of one sound only are left out: the demo is small and must be learnable.
WORDS = {
    "name": "ANNA DAVID HELEN JOYCE MARIA OLIVER PETER BOSTON CAIRO DUBLIN LONDON MADRID PARIS SYDNEY",
    "number": "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN TWELVE THIRTY",
    "adjective": """
        ANGRY BLACK BLUE BROWN CLOUDY COLD FAMOUS GENTLE GOLDEN GREEN HAPPY HEAVY HUNGRY NARROW ORANGE QUIET RAINY RED
        STRANGE SUNNY WARM YELLOW""",
    "noun": """
        BEDROOM BENCH BREAD BRIDGE BUS CAMERA CASTLE CHAIR CHEESE CHURCH COFFEE CUPBOARD DOCTOR DOOR FERRY GARDEN GATE
        HALLWAY HEATER HONEY HOSPITAL ISLAND KITCHEN LAMP LIBRARY MARKET MILK MOUNTAIN MUSEUM OFFICE PLANE RADIO SHADOW
        SHELF STATION SUGAR TABLE TEACHER TRAIN VILLAGE WINDOW""",
    "things": "APPLES BASKETS BOTTLES CANDLES FLOWERS HORSES PENCILS TICKETS",
    "past": "ANSWERED BORROWED CARRIED FOLLOWED FORGOT FOUND INVITED PAINTED PUSHED SOLD TOUCHED VISITED",
    "do": "BRING CALL CLEAN MEASURE OPEN PUT REPAIR SWITCH",
    "moves": "ARRIVES CLOSES LEAVES",
    "where": "BEHIND FROM INSIDE NEAR ON UNDER",
    "when": "MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY TODAY TOMORROW YESTERDAY",
    "which": "MY THE THIS YOUR",
}
# Parts in brackets are there in half of the sentences.
PATTERNS = [
    "{name} {past} {number} {adjective} {things} [{when}]",
    "{which} {adjective} {noun} {past} {number} {things}",
    "[PLEASE] {do} {which} {noun} {where} {adjective} {things}",
    "{noun} AND {noun} {past} {name} [{when}]",
    "WHERE IS {which} {adjective} {noun} {when}",
    "{name} {moves} {where} {which} {adjective} {noun}",
    "{noun} WAS {adjective} AND {adjective} {when}",
    "{any} {any} {any} {any} {any} [{any}]",
    "{any} {any} {any} {any} {any} [{any}]",  # twice: as often as two others
]
SLOTS = {name: words.split() for name, words in WORDS.items()}
SLOTS["any"] = sorted({word for words in SLOTS.values() for word in words})
POWER = 3.0  # how strongly rare words and patterns are preferred
DEV_UTTERANCES, TEST_UTTERANCES = 120, 160
MAX_HOURS = 10
TRAIN_SECONDS = 2.273  # mean length of a training utterance, as measured; turns --hours into a number of them


@dataclass(frozen=True)
class Utterance:
    """One line of the script: its id, its set (train, dev, test), who says it and the words (upper case)."""

    utt: str
    set: str
    voice: Voice
    text: str


def plan(seed: int, hours: float) -> list[Utterance]:
    """Write the script of the whole corpus, `hours` of it for training.

    The sets share neither voices nor sentences. Dev and test do not depend on `hours`, except that a tiny training
    set makes them as small; a shorter training set is the beginning of a longer one. Raises UserError for hours that
    the grammar cannot fill.
    """
    if not 0 < hours <= MAX_HOURS:
        raise UserError(f"--hours {hours:g}: the demo has sentences for more than 0 and at most {MAX_HOURS} hours")
    train = max(1, round(hours * 3600 / TRAIN_SECONDS))
    sizes = {"dev": min(DEV_UTTERANCES, train), "test": min(TEST_UTTERANCES, train), "train": train}
    limits = {"dev": DEV_UTTERANCES, "test": TEST_UTTERANCES, "train": train}
    used: set[str] = set()
    script = []
    for name, size in sizes.items():
        voices = [voice for voice in VOICES if voice.set == name]
        sentences = draw_sentences(limits[name], utterance_rng(seed, f"sentences {name}"), used)
        for i, text in enumerate(sentences[:size]):
            voice = voices[i % len(voices)]
            script.append(Utterance(f"{voice.speaker}-{i // len(voices) + 1:04d}", name, voice, text))
    return sorted(script, key=lambda utterance: utterance.utt)


def draw_sentences(number: int, rng: np.random.Generator, used: set[str]) -> list[str]:
    """Draw `number` sentences that are not in `used`, and add them to it; every word comes about equally often."""
    counts = dict.fromkeys((word for words in SLOTS.values() for word in words), 0)
    slots_of = [re.findall(r"{(.*?)}", pattern) for pattern in PATTERNS]
    sentences: list[str] = []
    while len(sentences) < number:
        # A pattern counts as often as the rarest of its slots.
        means = {slot: sum(counts[word] for word in words) / len(words) for slot, words in SLOTS.items()}
        pattern = PATTERNS[draw_rare([min(means[slot] for slot in slots) for slots in slots_of], rng)]
        pattern = re.sub(r"\[(.*?)\]", lambda match: match[1] if rng.random() < 0.5 else "", pattern)
        sentence = fill(pattern, counts, rng)
        # Words of a sentence that is taken count as well: a pattern whose sentences run out must not stay the rarest.
        for word in set(sentence.split()) & counts.keys():
            counts[word] += 1
        if sentence not in used:
            used.add(sentence)
            sentences.append(sentence)
    return sentences


def fill(pattern: str, counts: dict[str, int], rng: np.random.Generator) -> str:
    """Put words into the slots of a pattern, rare ones (by `counts`) sooner, none twice."""
    words: list[str] = []
    for item in pattern.split():
        if item.startswith("{"):
            choices = [word for word in SLOTS[item[1:-1]] if word not in words]
            item = choices[draw_rare([counts[word] for word in choices], rng)]
        words.append(item)
    return " ".join(words)


def draw_rare(counts: list[float], rng: np.random.Generator) -> int:
    """Draw an index, the likelier the lower its count is against the lowest."""
    weights = ((1.0 + min(counts)) / (1.0 + np.array(counts))) ** POWER
    return int(rng.choice(len(counts), p=weights / weights.sum()))
