"""The voices of the demo corpus: an accent of espeak-ng, a variant of its voice, pitch and rate of speaking."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """A speaker: id, set, gender (f, m), espeak-ng's accent and variant, pitch (0..99, 50 is usual), words/minute."""

    speaker: str
    set: str
    gender: str
    accent: str
    variant: str
    pitch: int
    rate: int


# Whispering, robotic and distorted variants are left out. No variant of train is used in dev or test; the accents
# of dev and test are spoken in train. British English is called "en".
TABLE = """
d01 train f en-us           f1       50 165
d02 train m en-us           m1       50 160
d03 train f en              f2       46 170
d04 train m en              m3       54 165
d05 train f en-us           f3       48 175
d06 train m en-us           m4       45 170
d07 train f en-gb-x-rp      aunty    52 160
d08 train m en-gb-x-rp      m5       50 175
d09 train f en-us           Alicia   40 160
d10 train m en-us           m7       55 160
d11 train f en              steph2   50 165
d12 train m en              max      46 180
d13 train f en-gb-scotland  steph    55 165
d14 train m en-gb-scotland  m8       58 160
d15 train f en-us           Andrea   42 150
d16 train m en-us           robert   44 175
d17 train f en-gb-x-gbcwmd  f1       62 170
d18 train m en-gb-x-gbclan  michel   50 165
d19 train f en-us           anika    40 150
d20 train m en-us-nyc       edward   52 165
d21 dev   f en-us           f5       50 165
d22 dev   m en              m2       48 170
d23 dev   f en              belinda  45 165
d24 dev   m en-us           Alex     52 170
d25 dev   f en-us           grandma  50 165
d26 dev   m en              Denis    48 165
d27 test  f en-us           f4       52 165
d28 test  m en              m6       50 165
d29 test  f en              linda    44 170
d30 test  m en-us           Mike     54 165
d31 test  f en-us           steph3   50 165
d32 test  m en              pablo    50 160
d33 test  f en              Annie    42 165
d34 test  m en-us           rob      52 170
"""
VOICES = [
    Voice(speaker, set_, gender, accent, variant, int(pitch), int(rate))
    for speaker, set_, gender, accent, variant, pitch, rate in map(str.split, TABLE.strip().splitlines())
]
