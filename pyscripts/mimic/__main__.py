"""The command `mimic`: enhance, transcribe and score, without the recipe around the library.

mimic enhance talk.flac talk_enhanced.flac
mimic transcribe exp/asr_mimic talk_enhanced.flac
mimic score clean_wavs enhanced_wavs

`mimic VERB --help` has the options of a verb.
"""

import sys

from mimic import cli
from mimic.errors import UserError
from mimic.registry import Registry
from mimic.settings import nearest

VERBS = Registry({name: f"mimic.commands.{name}:main" for name in ("enhance", "transcribe", "score")})


def main() -> int | None:
    """Run the verb that the command line names; gives its exit code."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0
    if verb not in VERBS:
        raise UserError(f"mimic: {nearest(verb, list(VERBS))}")
    sys.argv[:2] = [f"mimic {verb}"]
    return VERBS[verb]()


def console() -> None:
    """Entry point of the package."""
    cli.run(main)


if __name__ == "__main__":
    console()
