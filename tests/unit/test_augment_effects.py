"""Polarity, missing pieces, RIRs as they are, and utterances that come a second time as they were."""

import numpy as np
import pytest
from test_augment import RATE, SPEECH, augmenter

from mimic.augment import mixing
from mimic.augment.effects import drop_pieces


def test_polarity_changes_both_sides_and_missing_pieces_the_noisy_one():
    turned, utts = augmenter(noise_prob=0.0, polarity_prob=1.0), list(SPEECH)[:12]
    for utt in utts:
        np.testing.assert_array_equal(turned(utt, 1).noisy, -SPEECH[utt])
        np.testing.assert_array_equal(turned(utt, 1).target, -SPEECH[utt])
    half = [augmenter(polarity_prob=0.5).plan(utt, epoch).sign for utt in SPEECH for epoch in range(1, 6)]
    assert np.mean(half) == pytest.approx(0, abs=0.2)
    gaps, counts = augmenter(noise_prob=0.0, drop_prob=1.0, drop_count=3, drop_ms=[10.0, 20.0]), []
    for utt in utts:
        cut, drops = gaps(utt, 1), gaps.plan(utt, 1).drops
        np.testing.assert_array_equal(cut.target, SPEECH[utt])
        changed = cut.noisy != cut.target
        assert not cut.noisy[changed].any() and 150 < changed.sum() <= sum(round(s * RATE) for _, s in drops)
        counts.append(len(drops))
    assert set(counts) == {1, 2, 3}
    x = np.ones(10, np.float32)
    assert drop_pieces(x, [(0.0, 2 / RATE), (1.0, 3 / RATE)]).tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert not drop_pieces(x, [(0.5, 1.0)]).any() and x.all()


def test_rirs_may_stay_as_they_are():
    options = dict(rir_prob=1.0, snr=[60.0, 60.0], babble=False)
    for early_ms in (0.0, 50.0):
        aligned, delayed = (augmenter(align_rirs=a, early_ms=early_ms, **options) for a in (True, False))
        for utt in list(SPEECH)[:6]:
            a, b, draw = aligned(utt, 1), delayed(utt, 1), delayed.plan(utt, 1).draw
            delay = 40 * int(draw.rir[1:])  # of the direct path
            assert draw == aligned.plan(utt, 1).draw and mixing.power(b.noisy) == pytest.approx(
                mixing.power(a.noisy), rel=0.02
            )
            for x, y, samples in ((a.noisy, b.noisy, delay), (a.target, b.target, delay if early_ms else 0)):
                same = np.corrcoef(x[: len(x) - samples][200:-200], y[samples:][200:-200])[0, 1]
                assert same > 0.999
    far = np.zeros(9000, np.float32)
    far[-1] = 1
    with pytest.raises(ValueError, match="ends before the delay"):
        mixing.reverberate(SPEECH["s0-00"], mixing.Rir(far, align=False))


def test_originals_follow_their_mixtures():
    utts = list(SPEECH)[:3]
    mixtures = augmenter(concat_original=True).batch(utts, 2)
    plain = augmenter().batch(utts, 2)
    assert (len(mixtures), len(plain)) == (6, 3)
    for mixture, original, expected in zip(mixtures, mixtures[3:], plain, strict=False):
        np.testing.assert_array_equal(mixture.noisy, expected.noisy)
        np.testing.assert_array_equal(mixture.target, expected.target)
        assert original.noisy is original.target is mixture.target
