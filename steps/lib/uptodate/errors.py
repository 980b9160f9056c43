"""What the check says to a user."""


class StepError(Exception):
    """One line for the user."""
