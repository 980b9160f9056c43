"""The states of a directory that a step is to write, and what follows from each."""

from __future__ import annotations

from enum import Enum, auto


class StepError(Exception):
    """One line for the user, why a step does not start."""


class State(Enum):
    ABSENT = auto()  # or empty
    FOREIGN = auto()  # holds files that no step made
    OTHERS = auto()  # another step's, or of another kind
    WORKING = auto()  # made from what is asked for, not finished
    DONE = auto()  # and finished
    DAMAGED = auto()  # and finished, but something in it is gone or was changed
    CHANGED = auto()  # made from something else


class Action(Enum):
    REFUSE = auto()
    SKIP = auto()
    START = auto()  # an empty directory
    RESUME = auto()  # what is there is taken up
    REPAIR = auto()  # what is damaged is made again
    REDO = auto()  # what is there is kept aside, and an empty directory takes its place
    RESTORE = auto()  # what was kept aside is what is asked for


def transition(state: State, *, forced: bool, kept: bool) -> Action:
    """What is to be done. `kept`: a directory that was kept aside is what is asked for."""
    if state in (State.FOREIGN, State.OTHERS):
        return Action.REFUSE
    if state is State.ABSENT:
        return Action.RESTORE if kept else Action.START
    if forced:
        return Action.REDO
    if state is State.CHANGED:
        return Action.RESTORE if kept else Action.REDO
    return {State.WORKING: Action.RESUME, State.DONE: Action.SKIP, State.DAMAGED: Action.REPAIR}[state]
