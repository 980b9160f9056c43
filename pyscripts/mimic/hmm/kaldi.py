"""The only module that imports kaldi-hmm-gmm, kaldifst and kaldilm.

kaldi-hmm-gmm has to come first: imported behind kaldifst, it never returns.
"""

# ruff: isort: off
import kaldi_hmm_gmm as khg
import kaldifst
import kaldilm

# ruff: isort: on

__all__ = ["khg", "kaldifst", "kaldilm"]
