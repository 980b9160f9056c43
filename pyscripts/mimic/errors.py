"""The exceptions that are meant for a person: an error at the terminal, the reason of a missing score."""


class UserError(Exception):
    """Bad input or a wrong option: one line that names the file, the utterance, what is wrong and what to do."""


class AudioError(UserError):
    """Audio that cannot be used: utterance id, kind of problem (`missing`, `truncated`, `nan`, ...), the whole line."""

    def __init__(self, utt: str, kind: str, text: str) -> None:
        super().__init__(utt, kind, text)
        self.utt, self.kind, self.text = utt, kind, text

    def __str__(self) -> str:
        return self.text


class NotScored(Exception):
    """A measure is not defined for this pair of signals; the text says why, in a few words."""
