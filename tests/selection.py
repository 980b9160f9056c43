"""Which tests need what, read from the names in the code that they reach: nobody has to mark them.

A test reaches its own code, that of its fixtures, and all functions and classes below tests/ that those name, in turn.
"""

import inspect
import types
from pathlib import Path

import pytest

HERE = str(Path(__file__).resolve().parent)
STARTS = {"subprocess", "Popen", "sync_playwright"}  # another process
TRAINS = {"fit", "train_gmm"}
COMPARES = {"assert_close", "assert_allclose", "allclose", "approx", "array_equal", "assert_array_equal", "isclose"}
COMPARES |= {"assert_equal", "assert_near"}


def reached(item: pytest.Item) -> set[str]:
    """All names in the code that a test reaches."""
    fixtures = [definition.func for found in item._fixtureinfo.name2fixturedefs.values() for definition in found]
    pending, seen, names = [item.function, *fixtures], set(), set()
    while pending:
        part = pending.pop()
        if not isinstance(part, type | types.FunctionType) or part in seen:
            continue
        seen.add(part)
        if isinstance(part, type):
            pending += [getattr(method, "__func__", method) for method in vars(part).values()]
            continue
        function = inspect.unwrap(part)
        if not isinstance(function, types.FunctionType):
            continue
        codes = [function.__code__]
        if not codes[0].co_filename.startswith(HERE):
            continue
        for code in codes:
            codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
            names.update(code.co_names)
            pending += [function.__globals__.get(name) for name in code.co_names]
    return names


def is_fast(item: pytest.Item) -> bool:
    """It starts no process and trains nothing."""
    return not reached(item) & (STARTS | TRAINS)


def is_numerical(item: pytest.Item) -> bool:
    """It compares floats, and starts no process."""
    names = reached(item)
    equal = {"torch", "equal"} <= names
    return bool(names & COMPARES or equal) and not names & STARTS
