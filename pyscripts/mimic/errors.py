"""The one exception that is meant for the person at the terminal."""


class UserError(Exception):
    """Bad input or a wrong option: one line that names the file, the utterance, what is wrong and what to do."""


class AudioError(UserError):
    """Audio that cannot be used: utterance id, kind of problem (`missing`, `truncated`, `nan`, ...), the whole line."""

    def __init__(self, utt: str, kind: str, text: str) -> None:
        super().__init__(utt, kind, text)
        self.utt, self.kind, self.text = utt, kind, text

    def __str__(self) -> str:
        return self.text
