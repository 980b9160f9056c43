"""The only module that imports kaldi-hmm-gmm, kaldifst, kaldi-decoder and kaldilm.

kaldi-hmm-gmm has to come first: imported behind kaldifst, it never returns.
"""

# ruff: isort: off
import kaldi_hmm_gmm as khg
import kaldifst
import kaldi_decoder
import kaldilm

# ruff: isort: on

__all__ = ["khg", "kaldi_decoder", "kaldifst", "kaldilm"]
