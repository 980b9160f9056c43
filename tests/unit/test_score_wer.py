"""Error rates: totals against jiwer and kaldialign, files against Kaldi's own perl scripts."""

# ruff: noqa: F811 (fixtures)

import os
import random
import re
import subprocess
from pathlib import Path

import jiwer
import kaldialign
import pytest
from score_maker import kaldi, random_set, utt2spk  # noqa: F401 (a fixture)

from mimic.errors import UserError
from mimic.io.tables import write_table
from mimic.io.text import normaliser
from mimic.metrics.conditions import grouped
from mimic.metrics.kaldi_files import ops, per_spk, per_utt
from mimic.metrics.wer import (
    added,
    align,
    align_set,
    bootci_line,
    characters,
    characters_and_spaces,
    compute_wer,
    interval,
    operations,
    totals,
    wer_lines,
    words,
)


@pytest.mark.parametrize("seed", range(10))
def test_totals_equal_jiwer_and_kaldialign(seed):
    refs, hyps = random_set(seed)
    pairs = [(refs[utt], hyps.get(utt, "")) for utt in refs]
    total = totals(align_set(refs, hyps))
    peer = jiwer.process_words(*map(list, zip(*pairs, strict=True)))
    assert total.errors == peer.substitutions + peer.insertions + peer.deletions
    assert total.rate == pytest.approx(100 * peer.wer)
    assert total.words == sum(len(ref.split()) for ref, _ in pairs) == total.correct + total.sub + total.dele
    third = kaldialign.batch_error_rate([r.split() for r, _ in pairs], [h.split() for _, h in pairs])
    printed = compute_wer((a.ref, a.hyp, a.present) for a in align_set(refs, hyps))
    assert (printed.errors, printed.ins, printed.dele) == (third["total"], third["ins"], third["del"])
    assert (printed.errors, printed.wrong_sentences, printed.missing, printed.rate) == (
        total.errors, total.wrong_sentences, total.missing, total.rate,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_character_totals_equal_jiwer_when_spaces_count(seed):
    # Tags stay whole as in Kaldi, which jiwer does not know about.
    refs, hyps = (
        {utt: re.sub(r"[\[<]\w+[\]>]", "X", text) for utt, text in table.items()} for table in random_set(seed)
    )
    pairs = [(refs[utt], hyps.get(utt, "")) for utt in refs]
    peer = jiwer.cer(*map(list, zip(*pairs, strict=True)))
    assert totals(align_set(refs, hyps, characters_and_spaces)).rate == pytest.approx(100 * peer)
    bare = [[text.replace(" ", "") for text in pair] for pair in pairs]
    peer = jiwer.cer(*map(list, zip(*bare, strict=True)))
    assert totals(align_set(refs, hyps, characters)).rate == pytest.approx(100 * peer)


def test_characters_as_kaldi_splits_them():
    assert characters("AB  <unk> C [x y] !SIL") == ["A", "B", "<unk>", "C", "[", "x", "y", "]", "!SIL"]
    assert characters_and_spaces("AB C") == ["A", "B", "<space>", "C"]
    assert characters("") == characters_and_spaces("") == []


@pytest.mark.parametrize(
    "ref,hyp,expected",
    [  # as Kaldi's align-text aligns them
        ("B", "D A", "*** D|B A"),
        ("A B", "C", "A ***|B C"),
        ("A B C", "B C D", "A ***|B B|C C|*** D"),
        ("A A", "A", "A ***|A A"),
        ("A", "A A", "*** A|A A"),
        ("A B A C", "A C", "A ***|B ***|A A|C C"),
        ("A B C D", "B X D", "A ***|B B|C X|D D"),
        ("", "A", "*** A"),
        ("", "", ""),
    ],
)
def test_of_equal_alignments_the_one_of_align_text(ref, hyp, expected):
    assert "|".join(map(" ".join, align(ref.split(), hyp.split()))) == expected


def by_table(ref: list[str], hyp: list[str]) -> str:
    """As align-text does it: all costs, then back from the end."""
    costs = [[max(i, j) for j in range(len(hyp) + 1)] for i in range(len(ref) + 1)]
    for i, a in enumerate(ref, 1):
        for j, b in enumerate(hyp, 1):
            costs[i][j] = min(costs[i - 1][j - 1] + (a != b), costs[i - 1][j] + 1, costs[i][j - 1] + 1)
    i, j, found = len(ref), len(hyp), ""
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (ref[i - 1] != hyp[j - 1]):
            i, j, op = i - 1, j - 1, "C" if ref[i - 1] == hyp[j - 1] else "S"
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i, op = i - 1, "D"
        else:
            j, op = j - 1, "I"
        found = op + found
    return found


@pytest.mark.parametrize("longest", [3, 12, 150])
def test_bits_give_the_alignment_of_the_table(longest):
    rng = random.Random(longest)
    for _ in range(4000 // longest):
        ref, hyp = (rng.choices("ABC", k=rng.randint(0, longest)) for _ in range(2))
        assert operations(ref, hyp) == by_table(ref, hyp), (ref, hyp)


def test_interval_is_that_of_kaldialign():
    alignments = align_set(*random_set(5, 60))
    limits = interval(alignments, 500)
    peer = kaldialign.bootstrap_wer_ci([a.ref for a in alignments], [a.hyp for a in alignments], replications=500)
    assert limits == {name: peer[name] for name in ("wer", "ci95min", "ci95max")}


def test_lines_are_kaldis():
    refs = {"a-1": "A B C D", "a-2": "A B C", "b-1": "A"}
    alignments = align_set(refs, {"a-1": "A X C", "a-2": "A B C E"})
    assert wer_lines(totals(alignments)) == (
        "%WER 50.00 [ 4 / 8, 1 ins, 2 del, 1 sub ] [PARTIAL]\n%SER 100.00 [ 3 / 3 ]\n"
        "Scored 3 sentences, 1 not present in hyp.\n"
    )
    assert wer_lines(totals(align_set(refs, refs))) == (
        "%WER 0.00 [ 0 / 8, 0 ins, 0 del, 0 sub ]\n%SER 0.00 [ 0 / 3 ]\nScored 3 sentences, 0 not present in hyp.\n"
    )


def test_missing_empty_and_unknown():
    refs = {"a-1": "A B", "a-2": "", "a-3": "C"}
    alignments = align_set(refs, {"a-2": "X Y", "a-3": ""})
    total = totals(alignments)
    assert (total.words, total.dele, total.ins, total.sub, total.missing) == (3, 3, 2, 0, 1)
    assert [a.present for a in alignments] == [False, True, True]
    with pytest.raises(UserError, match="b-9.*without a reference"):
        align_set(refs, {"b-9": "A"})
    with pytest.raises(UserError, match=r"a-3.*\*\*\*"):
        align_set(refs, {"a-3": "C ***"})
    with pytest.raises(UserError, match="nothing to score"):
        align_set({"a-1": ""}, {"a-1": "A"})


def test_utterances_are_in_c_order_whatever_the_input_order():
    refs = {"p10-1": "A", "p1-1": "B", "p1-10": "C"}
    assert [a.utt for a in align_set(refs, {})] == ["p1-1", "p1-10", "p10-1"]


@pytest.mark.parametrize("seed", range(3))
def test_alignments_are_made_anew_from_texts_and_runs(seed):
    rng = random.Random(seed)
    long = {f"u{k:03d}": " ".join(rng.choices("AB", k=k)) for k in range(0, 300, 29)}
    for refs, hyps in (random_set(seed), (long, {}), (long, long), (long, dict.fromkeys(long, "B " * 200))):
        alignments = align_set(refs, hyps)
        want = [operations(refs[utt].split(), hyps.get(utt, "").split()) for utt in sorted(refs)]
        for _ in range(2):
            assert [a.ops for a in alignments] == want and len(alignments) == len(want)
            assert [(a.utt, a.texts) for a in alignments] == [(u, (refs[u], hyps.get(u, ""))) for u in sorted(refs)]
        one = next(iter(alignments))
        assert one in alignments and one not in list(alignments)[1:] and one.total == totals([one])
        assert added(a.total for a in alignments) == totals(alignments)


def test_bootstrap_line():
    refs, hyps = random_set(0, 400)
    alignments = align_set(refs, hyps)
    line = bootci_line(alignments)
    match = re.fullmatch(r"Set1: %WER (\d+\.\d\d) 95% Conf Interval \[ (\d+\.\d\d), (\d+\.\d\d) \]\n", line)
    mean, low, high = map(float, match.groups())
    assert low < totals(alignments).rate < high and abs(mean - totals(alignments).rate) < 0.3 and high - low < 10
    assert bootci_line(alignments) == line
    wrong = align_set({"a-1": "A", "a-2": "B"}, {"a-1": "X", "a-2": "X"})
    assert bootci_line(wrong) == "Set1: %WER 100.00 95% Conf Interval [ 100.00, 100.00 ]\n"


def test_normalisers():
    assert normaliser("none")("It's a short-term  plan.") == "It's a short-term plan."
    assert normaliser("upper")("It's so") == "IT'S SO"
    assert normaliser("upper-nopunct")("It's a short-term plan.") == "ITS A SHORTTERM PLAN"
    with pytest.raises(UserError, match="voicebank"):
        normaliser("uper")


def test_conditions_are_grouped_in_order(tmp_path):
    write_table(tmp_path / "utt2snr", {"a": "12.5", "b": "2.5", "c": "-5", "d": "2.5"})
    write_table(tmp_path / "utt2dur", {"a": "11", "b": "2", "c": "1.99", "d": "3"})
    found = [(name, value, items) for name, value, items in grouped(list("abcde"), str, [tmp_path])]
    assert found == [
        ("snr", "-5", ["c"]),
        ("snr", "2.5", ["b", "d"]),
        ("snr", "12.5", ["a"]),
        ("length", "0-2s", ["c"]),
        ("length", "2-5s", ["b", "d"]),
        ("length", "10s-", ["a"]),
    ]


def pipe(text: str, *command: str | Path) -> str:
    env = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True, env=env)
    return done.stdout.decode()


@pytest.mark.parametrize("tokenise", [words, characters, characters_and_spaces])
@pytest.mark.parametrize("seed", [0, 1])
def test_kaldis_scripts_give_our_files(kaldi, tmp_path, tokenise, seed):
    refs, hyps = random_set(seed)
    refs |= {"p0-empty": "", "p1-both": ""}
    hyps |= {"p0-empty": "A B", "p1-both": ""}
    alignments = align_set(refs, hyps, tokenise)
    # What align-text would print; an utterance with neither side is none that Kaldi's script can take.
    text = "".join(f"{a.utt} {' ; '.join(f'{r} {h}' for r, h in a.pairs)}\n" for a in alignments if a.pairs)
    mimic_details = "".join(per_utt(alignments))
    scored = "".join(line for line in mimic_details.splitlines(True) if not line.startswith("p1-both "))
    assert scored == pipe(text, kaldi / "scoring/wer_per_utt_details.pl", "--special-symbol", "***")
    speakers = utt2spk(refs)
    write_table(tmp_path / "utt2spk", speakers)
    assert "".join(per_spk(alignments, speakers)) == pipe(
        mimic_details, kaldi / "scoring/wer_per_spk_details.pl", tmp_path / "utt2spk"
    )
    peer = pipe(scored, kaldi / "scoring/wer_ops_details.pl", "--special-symbol", "***")
    assert "".join(ops(alignments)) == pipe(peer, *"sort -b -i -k 1,1 -k 4,4rn -k 2,2 -k 3,3".split())
