"""Why an utterance has no score."""


class NotScored(Exception):
    """A measure is not defined for this pair of signals; the text says why, in a few words."""
