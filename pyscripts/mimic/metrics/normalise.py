"""Named text normalisers, applied to references and hypotheses alike before they are compared."""

import string
from collections.abc import Callable

from mimic.errors import UserError

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

NORMALISERS: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "upper": str.upper,
    # What VoiceBank's recipes do: "short-term" becomes SHORTTERM, in references and hypotheses alike.
    "upper-nopunct": lambda text: text.translate(NO_PUNCTUATION).upper(),
}


def normaliser(name: str) -> Callable[[str], str]:
    """Look up a normaliser; UserError lists the names there are."""
    if name not in NORMALISERS:
        raise UserError(f"--normaliser {name}: not known, there are {', '.join(NORMALISERS)}")
    return NORMALISERS[name]
