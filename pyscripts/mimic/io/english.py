"""The normaliser "english": the same words from a reference in capitals and from what Whisper writes.

1. Small letters; accents stay. Typographic apostrophes become plain ones.
2. Numbers in figures become words: 42, 1,500, 3.5, 2nd, 10%, $5, 7:30.
3. All signs but apostrophes inside a word become spaces: "t-shirt" is two words.
4. Contractions become the words they stand for: "don't" is "do not", "he's" is "he is", "it'll" is "it will". "'s"
   after any other word stays, for it may be a genitive.
5. A few spellings that are a matter of taste: ok, mr, mrs, dr; "gonna", "wanna", "gotta"; "all right".
"""

import re

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}
WHOLE = {"won't": "will not", "can't": "can not", "cannot": "can not", "shan't": "shall not", "ain't": "is not"}
WHOLE |= {"let's": "let us", "y'all": "you all", "ok": "okay", "mr": "mister", "mrs": "missus", "dr": "doctor"}
WHOLE |= {"gonna": "going to", "wanna": "want to", "gotta": "got to", "alright": "all right"}
ENDINGS = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will", "'m": "am", "'d": "would"}
IS = {"he", "she", "it", "that", "this", "what", "who", "where", "when", "how", "why", "here", "there"}
LARGEST = 10**12


def english(text: str) -> str:
    """See the head of this file."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """The words of `english`."""
    text = text.lower().replace("\u2019", "'").replace("\u2018", "'")
    text = re.sub(r"([$\u00a3\u20ac])\s?(\d[\d,]*(?:\.\d+)?)", _money, text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text).replace("%", " percent ")
    text = re.sub(r"\d+(?:\.\d+)?(?:st|nd|rd|th)?", lambda match: f" {_number(match[0])} ", text)
    text = re.sub(r"[^\w']|_", " ", text)
    found = (word.strip("'") for word in text.split())
    return [part for word in found if word for part in _expanded(word)]


def _expanded(word: str) -> list[str]:
    if word in WHOLE:
        return WHOLE[word].split()
    for ending, full in ENDINGS.items():
        if word.endswith(ending) and len(word) > len(ending):
            return [word.removesuffix(ending), full]
    if word.endswith("'s") and word[:-2] in IS:
        return [word[:-2], "is"]
    return [word]


def _money(match: re.Match) -> str:
    return f"{match[2]} {({'$': 'dollars', '£': 'pounds'}).get(match[1], 'euros')}"


def _number(text: str) -> str:
    figures = text.rstrip("sthndr")
    whole, point, decimals = figures.partition(".")
    if int(whole) >= LARGEST or (len(whole) > 1 and whole[0] == "0"):
        return " ".join(ONES[int(figure)] for figure in whole)
    spelt = cardinal(int(whole))
    if point:
        spelt += ["point", *(ONES[int(figure)] for figure in decimals)]
    if figures != text:
        spelt[-1] = ORDINALS.get(spelt[-1], re.sub("y$", "ie", spelt[-1]) + "th")
    return " ".join(spelt)


def cardinal(number: int) -> list[str]:
    """A number below 10^12 in words, without "and"."""
    if number < 20:
        return [ONES[number]]
    if number < 100:
        return [TENS[number // 10], *([ONES[number % 10]] if number % 10 else [])]
    for scale, name in SCALES:
        if number >= scale:
            rest = cardinal(number % scale) if number % scale else []
            return [*cardinal(number // scale), name, *rest]
    raise AssertionError(number)
