"""Ids that a Kaldi table can hold, for ids of any text: no blanks, sorted by speaker as by utterance.

What a table cannot hold is written as UTF-8 bytes in quoted-printable form (RFC 2045, 6.7): "Jo Ann" is Jo=20Ann. The
original stands in utt2id, spk2id and reco2id where one of the ids differs from it.
"""

import re
from collections.abc import Mapping

# Control characters, blanks of Unicode, and what looks like nothing; and `=` where it would read as one of these.
ESCAPED = re.compile(
    "[\x00-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff]|=(?=[0-9A-F]{2})"
)
# Sorted before `-`, which comes after a speaker's id: "o" and "o'neil" would change their order.
EARLY = re.compile(r"[!-,]")
QUOTED = re.compile("(?:=[0-9A-F]{2})+")


def escaped(name: str) -> str:
    """The id as a table can hold it; ids that differ stay different."""
    return ESCAPED.sub(_quoted, name)


def original(name: str) -> str:
    """What `escaped` was given."""
    return QUOTED.sub(lambda match: bytes.fromhex(match[0].replace("=", "")).decode(errors="replace"), name)


def speaker_ids(speakers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """{id: its speaker, or ""} -> ({id: new id}, {new id: its new speaker}), in the order that Kaldi's tools need.

    An id gets its speaker and `-` in front, unless it has them; one without a speaker is its own.
    """

    def renamed(early: re.Pattern) -> tuple[dict[str, str], dict[str, str]]:
        utts, known = {}, {}
        for utt, speaker in speakers.items():
            spk = early.sub(_quoted, escaped(speaker or utt))
            new = escaped(utt) if speaker else spk
            if speaker and new != spk and not new.startswith(f"{spk}-"):
                new = f"{spk}-{new}"
            utts[utt] = new
            known[new] = spk
        return utts, known

    utts, known = renamed(EARLY)
    if sorted(known, key=lambda utt: (known[utt], utt)) != sorted(known):
        utts, known = renamed(re.compile(r"[!-,\-]"))  # "a" and "a-b": the `-` within a speaker's id, too
    return utts, known


def _quoted(match: re.Match) -> str:
    return "".join(f"={byte:02X}" for byte in match[0].encode())
