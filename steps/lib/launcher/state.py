"""The states of a task and what the launcher does in each. Both back ends use this transition."""

from __future__ import annotations

from enum import Enum, auto

AGAIN = 75  # exit code of a program that saved its state and asks for another start (sysexits.h: EX_TEMPFAIL)


class State(Enum):
    QUEUED = auto()  # waits in the queue
    RUNNING = auto()
    ENDED = auto()  # ended by itself: it leaves an exit code
    VANISHED = auto()  # the scheduler does not list it (any more): it may have left an exit code
    LOST = auto()  # its node failed, or could not start it
    STOPPED = auto()  # by the scheduler: time limit, out of memory, options that no node satisfies
    CANCELLED = auto()  # by a person


class Action(Enum):
    WAIT = auto()
    SUCCEED = auto()
    FAIL = auto()
    RESTART = auto()  # as another try


def transition(state: State, code: int | None, *, settled: bool, retries_left: bool) -> Action:
    """What to do with a task.

    `code`: its exit code, None as long as it has left none. `settled`: a network disk had time to show the exit code.
    """
    if code not in (None, AGAIN):
        return Action.SUCCEED if code == 0 else Action.FAIL
    if state in (State.QUEUED, State.RUNNING):  # also with AGAIN: it has to be out of the queue first
        return Action.WAIT
    if code == AGAIN:
        return Action.FAIL if state is State.CANCELLED else Action.RESTART
    if state in (State.ENDED, State.VANISHED) and not settled:
        return Action.WAIT
    if state in (State.LOST, State.VANISHED) and retries_left:
        return Action.RESTART
    return Action.FAIL
