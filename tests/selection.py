"""Which tests need what, read from the code that they reach: nobody has to mark them.

A test reaches its own code, that of its fixtures, and all functions and classes below tests/ that those name, in turn.
"""

import inspect
import re
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# A comparison of floats, or of bytes that are made of them.
COMPARES = re.compile(r"\b(assert_close|\w*allclose|approx|torch\.equal|\w*array_equal|assert_equal|isclose)\(")
STARTS = re.compile(r"\b(subprocess|Popen|spawn|sync_playwright)\b")  # another process
TRAINS = re.compile(r"\b(fit|recipe|train_gmm)\(")  # epochs, and what is made of trained models


@cache
def source(function: types.FunctionType) -> str:
    return inspect.getsource(function)


def reached(item: pytest.Item) -> Iterator[str]:
    """The sources of all functions that a test reaches."""
    fixtures = [definition.func for found in item._fixtureinfo.name2fixturedefs.values() for definition in found]
    todo, seen = [item.function, *fixtures], set()
    while todo:
        function = todo.pop()
        if isinstance(function, type) and function not in seen:
            seen.add(function)
            todo += [getattr(part, "__func__", part) for part in vars(function).values()]
        if not isinstance(function, types.FunctionType) or function in seen:
            continue
        seen.add(function)
        if not Path(function.__code__.co_filename).is_relative_to(HERE):
            continue
        yield source(function)
        codes = [function.__code__]
        for code in codes:
            codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
            todo += [function.__globals__.get(name) for name in code.co_names]


def is_fast(item: pytest.Item) -> bool:
    """It starts no process and trains nothing."""
    return not any(STARTS.search(text) or TRAINS.search(text) for text in reached(item))


def is_numerical(item: pytest.Item) -> bool:
    """It compares floats, and starts no process."""
    texts = list(reached(item))
    return any(map(COMPARES.search, texts)) and not any(map(STARTS.search, texts))
