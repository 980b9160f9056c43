"""Tables in blocks of lines: as a dict is, whatever the order of the file."""

import random

import pytest

from mimic.corpus.problems import Checked, read_leniently
from mimic.errors import UserError
from mimic.io.compact import LINES, Table, in_order, table_of
from mimic.io.tables import RUN, read_table, read_text, read_utt2spk, rows, write_table

KEYS = [
    "a",
    "a-1",
    "a-10",
    "a1",
    "b\x1f",
    "caf\u00e9",
    "cafe\u0301",
    "\u4f60\u597d",
    "\U0001f600",
    "\u2028",
    "u\u00a0v",
]
VALUES = ["", "ONE", "ONE TWO  THREE", "\u00e9 \u4f60", "x\u2028y\x85z", "\u00a0", "trailing\x0b"]


def random_table(seed: int, count: int) -> dict[str, str]:
    rng = random.Random(seed)
    keys = [*KEYS, *(f"spk{rng.randint(0, 30)}-{k}" for k in range(count))][-count:] if count else []
    rng.shuffle(keys)
    return {key: rng.choice(VALUES) for key in keys}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("count", [0, 1, LINES - 1, LINES, LINES + 1, 7 * LINES + 3])
def test_table_is_as_a_dict(count, ordered):
    want = random_table(count, count)
    want = dict(sorted(want.items())) if ordered else want
    table = table_of(iter(want.items()))
    assert isinstance(table, Table) == (list(want) == sorted(want))
    assert list(table.items()) == list(want.items()) and list(table) == list(want) == list(table.keys())
    assert list(table.values()) == list(want.values()) and len(table) == len(want) and bool(table) == bool(want)
    assert table == want and want == table and {**table} == want and table != {**want, "more": ""}
    for some in (sorted(want), sorted(want, reverse=True), random.Random(0).choices([*want, "a-"], k=200)):
        assert [table.get(key) for key in some] == [want.get(key) for key in some]
        assert [key in table for key in some] == [key in want for key in some]
    assert list(in_order(table).items()) == sorted(want.items()) == list(in_order(want).items())
    assert table.keys() - {"a"} == want.keys() - {"a"} and want.keys() ^ table.keys() == set()


@pytest.mark.parametrize("pairs", [[], [("b", "1")], [("b", "1"), ("d", ""), ("f", "2")]])
def test_keys_that_are_not_there(pairs):
    table = table_of(pairs)
    for _ in range(2):  # also after a key that was found
        for key in ("", "a", "b 1", "b\nd", "b\n", "c", "e", "g", "\udce9", " ", "bb"):
            assert key not in table and table.get(key) is None
            with pytest.raises(KeyError) as error:
                table[key]
            assert error.value.args == (key,)
        assert [table[key] for key, _ in pairs] == [value for _, value in pairs]


def test_the_last_of_equal_keys_counts_as_in_a_dict():
    pairs = [*((f"a{k:03d}", "x") for k in range(100)), ("a099", "y"), ("a100", "z")]
    assert table_of(pairs) == dict(pairs) and table_of(pairs[98:]) == dict(pairs[98:])


@pytest.mark.parametrize("ordered", [True, False])
def test_files_give_what_a_dict_of_their_rows_has(tmp_path, ordered):
    want = {key: value.strip(" ") for key, value in random_table(3, 200).items()}
    lines = sorted(want.items()) if ordered else list(want.items())
    (tmp_path / "text").write_bytes("".join(f"{key} {value}\n" for key, value in lines).encode())
    assert {key: value for _, key, value in rows(tmp_path / "text")} == dict(lines) == read_table(tmp_path / "text")
    assert list(read_table(tmp_path / "text")) == [key for key, _ in lines]
    write_table(tmp_path / "a", read_table(tmp_path / "text"))
    write_table(tmp_path / "b", want)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_texts_are_composed_and_normalised(tmp_path):
    (tmp_path / "text").write_bytes("u1 cafe\u0301\t a  b\nu2\nu0\tx\n".encode())
    assert dict(read_text(tmp_path / "text")) == {"u1": "caf\u00e9 a b", "u2": "", "u0": "x"}
    assert dict(read_text(tmp_path / "text", str.upper)) == {"u1": "CAF\u00c9 A B", "u2": "", "u0": "X"}


@pytest.mark.parametrize("before", [0, RUN - 2, RUN - 1, RUN, 3 * RUN + 7])
@pytest.mark.parametrize(
    ("ids", "line", "key"), [("aa", 2, "a"), ("abcb", 4, "b"), ("cabda", 5, "a"), ("abcaa", 4, "a"), ("cbab", 4, "b")]
)
def test_ids_that_are_there_twice(tmp_path, before, ids, line, key):
    first = "".join(f"A{number:06d} s\n" for number in range(before))
    (tmp_path / "utt2spk").write_text(first + "".join(f"{utt} s\n" for utt in ids) + "no-speaker\n")
    for read in (read_table, read_text, read_utt2spk):
        with pytest.raises(UserError, match=f"utt2spk:{before + line}: {key} is there twice: remove one of its lines$"):
            read(tmp_path / "utt2spk")


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ("a 1\nb 2\n", 0),
        ("a\u00e9 1\nb  2\n", 0),
        ("a 1\nb\t2\n", 0),
        ("b 2\na 1\n", 1),
        ("a 1\nb 2", 1),
        ("a 1\n\nb 2 \n", 2),
        ("a 1\na 1\nb 2\n", 1),
    ],
)
def test_what_the_validator_reads(tmp_path, lines, problems):
    (tmp_path / "text").write_bytes(lines.encode())
    found = Checked(tmp_path)
    table = read_leniently(found, tmp_path / "text")
    assert list(table.items()) == list(dict(line.split() for line in lines.split("\n") if line).items())
    assert len(found.problems) == problems
