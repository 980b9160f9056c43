"""Sets of phones: whether they are ARPABET, and what their stress digits and word positions are."""

import re
from collections.abc import Iterable

# CMUdict's 39 phones and those that TIMIT and its relatives add.
VOWELS = frozenset("AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX".split())
CONSONANTS = frozenset("B CH D DH DX EL EM EN F G HH HV JH K L M N NG NX P Q R S SH T TH V W WH Y Z ZH".split())
SILENCES = frozenset("SIL SP SPN NSN".split())  # Kaldi's, which stand in lexicons of any phones
_STRESSED = re.compile("^([A-Z]+)([0-2])$", re.ASCII)
_POSITION = re.compile("_[BIES]$")


def phone_names(spoken: Iterable[Iterable[str]]) -> tuple[dict[str, str], str]:
    """What each phone of these pronunciations is called from now on, and a line about it for the user.

    Word positions (`AH0_B`) go where every phone has one. Stress digits go where all phones are ARPABET's and only its
    vowels have them: elsewhere a digit may be a tone, or all that parts two phones.
    """
    names = {phone: phone for phones in spoken for phone in phones}
    how = []
    voiced = names.keys() - SILENCES
    if voiced and all(_POSITION.search(phone) for phone in voiced):
        how.append("word positions (_B _I _E _S) are taken off")
        phones = names.keys() | {f"{silence}_{position}" for silence in SILENCES for position in "BIES"}
        names = {phone: _POSITION.sub("", phone) for phone in phones}
    foreign = first_foreign(names.values())
    if foreign:
        how.append(f"phones are kept as they are, for {foreign} is not of ARPABET")
    else:
        stressed = any(_STRESSED.match(name) for name in names.values())
        how.append(f"phones are ARPABET{', its stress digits are taken off' if stressed else ''}")
        names = {phone: _bare(name) or name for phone, name in names.items()}
    return names, "; ".join(how)


def first_foreign(phones: Iterable[str]) -> str:
    """A phone that is neither ARPABET, with or without stress, nor silence; "" where there is none."""
    return min((phone for phone in phones if phone not in SILENCES and not _bare(phone)), default="")


def _bare(phone: str) -> str:
    """A phone of ARPABET without its stress; "" for any other."""
    match = _STRESSED.match(phone)
    if match:
        return match[1] if match[1] in VOWELS else ""
    return phone if phone in VOWELS | CONSONANTS else ""
