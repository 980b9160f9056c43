"""Weights that are chosen on a development set: once through the network, never on a test set."""

import shlex

import pytest
from arpa_maker import arpa
from ctc_maker import TOKENS, output
from model_maker import make_features, make_recogniser, program

from mimic.decoding import tune
from mimic.decoding.config import DecodeConfig
from mimic.decoding.decoder import ctc_decoder
from mimic.errors import UserError


@pytest.fixture
def feats(tmp_path):
    """A feature directory of 4 utterances, exp/dev."""
    return make_features(tmp_path / "exp" / "dev", 4)


def test_errors_are_those_of_decoding_with_these_weights(tmp_path):
    config = DecodeConfig(search="lexicon", beam=20, ngram=arpa(tmp_path / "w.arpa"))
    outputs = [(f"utt{seed}", lambda seed=seed: output(seed, 12)) for seed in range(6)]
    texts = {f"utt{seed}": "AB A BA" for seed in range(6)}
    grid = [(0.1, 0.0), (0.1, 4.0), (3.0, 0.0), (0.5, -8.0)]
    points = tune.search(ctc_decoder(config, TOKENS), outputs, texts, grid)
    assert len({p.errors for p in points}) > 1 and all(p.words == 18 for p in points)
    for point in points:
        config.ngram_lm_scale, config.word_insertion_bonus = point[:2]
        decoder, errors = ctc_decoder(config, TOKENS), 0
        for _, read in outputs:
            (found,) = decoder.decode(read())
            errors += tune.kaldialign.edit_distance("AB A BA".split(), [word for word, _ in found.words])["total"]
        assert point.errors == errors
    assert tune.total([points, points])[1] == points[1]._replace(errors=2 * points[1].errors, words=36)
    assert tune.best(points).errors == min(p.errors for p in points)
    table = tune.table([tune.Point(*pair, 1, 8) for pair in ((0.1, 0.0), (0.1, 4.0), (3.0, 0.0), (3.0, 4.0))])
    assert table.splitlines() == ["ngram_lm_scale\tbonus 0\tbonus 4", "0.1\t12.50\t12.50", "3\t12.50\t12.50"]


def test_of_equals_the_smallest_weights():
    points = [tune.Point(*p, 10) for p in ((1.0, 0.0, 3), (0.5, 2.0, 3), (0.5, -1.0, 3), (0.2, 0.0, 4))]
    assert tune.best(points)[:2] == (0.5, -1.0)


def test_the_program_writes_options_that_decoding_takes(feats, tmp_path, capsys):
    model = make_recogniser(tmp_path / "model")
    words = arpa(tmp_path / "w.arpa", (["-1\tAB\t-0.1", "-1\tCA\t-0.1"], ["-1\tAB CA"]))
    work = tmp_path / "tune"
    (work / "outputs").mkdir(parents=True)
    decode = ("--decode.search", "lexicon", "--decode.ngram", words, "--decode.beam", "9")
    assert program("tune_decode.py", "outputs", model, feats, work / "outputs") == 0
    (work / "outputs" / "ctc.1.scp").rename(work / "outputs" / "ctc.scp")
    grid = ("--lm-scales", "0.5 1", "--word-insertion-bonuses", " -1 0")
    assert program("tune_decode.py", "search", *grid, model, feats, work, *decode) == 0
    assert program("tune_decode.py", "choose", model, feats, work, *decode) == 0
    output = capsys.readouterr().out
    assert output.startswith((work / "table.tsv").read_text()) and "best: WER" in output
    options = shlex.split((work / "options").read_text())
    assert options[:6] == list(decode) and options[6::2] == ["--decode.ngram_lm_scale", "--decode.word_insertion_bonus"]
    assert program("tune_decode.py", "search", *grid, model, feats, work, "--decode.search", "greedy") == 1


def test_a_test_set_is_refused_by_its_name_and_by_its_origin(feats, tmp_path):
    tune.refuse_test(feats)  # although this directory lies below one of pytest's
    for name in ("test_clean", "mini_test", "eval92"):
        feats.rename(feats.with_name(name))
        (tmp_path / "exp/dev_link").unlink(missing_ok=True)
        (tmp_path / "exp/dev_link").symlink_to(feats.with_name(name))
        for path in (feats.with_name(name), tmp_path / "exp/dev_link"):
            with pytest.raises(UserError, match="tuned on a development set"):
                tune.refuse_test(path)
        feats.with_name(name).rename(feats)
    (tmp_path / "data/contest").mkdir(parents=True)
    (tmp_path / "exp/wav").mkdir()
    # What import_corpus.sh makes: the lexicon of all words, test sets' too, is an input of every set.
    (tmp_path / "data/lang").mkdir()
    (tmp_path / "data/lang/lexicon.txt").write_text("ONE W AH N\n")
    (tmp_path / "data/lang/.fingerprint").write_text(f'input "{tmp_path}/mine/test_clean/text" 0\n')
    (tmp_path / "data/dev").mkdir()
    inputs = (tmp_path / "data/lang/lexicon.txt", tmp_path / "mine/dev_clean")
    (tmp_path / "data/dev/.fingerprint").write_text("".join(f'input "{path}" 0\n' for path in inputs))
    (feats / ".fingerprint").write_text(f'input "{tmp_path}/data/dev" 0\n')
    tune.refuse_test(feats)
    (tmp_path / "data/test").mkdir()
    for table, refused in (("utt2spk", True), ("words", False)):
        (tmp_path / "data/test" / table).touch()
        (feats / ".fingerprint").write_text(f'input "{tmp_path}/data/test/{table}" 0\n')
        if refused:
            with pytest.raises(UserError, match="made from. test"):
                tune.refuse_test(feats)
            (tmp_path / "data/test" / table).unlink()
        else:
            tune.refuse_test(feats)
    for origin, refused in (("contest", False), ("test", True)):
        (tmp_path / "data" / origin).mkdir(exist_ok=True)
        (tmp_path / "exp/wav/.fingerprint").write_text(f'input "{tmp_path}/data/{origin}" 0\n')
        (feats / ".fingerprint").write_text(f'code "x" 0\ninput "{tmp_path}/exp/wav" 0\noption "a" "test"\n')
        if refused:
            with pytest.raises(UserError, match="made from. test"):
                tune.refuse_test(feats)
        else:
            tune.refuse_test(feats)
