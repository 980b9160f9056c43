"""The only module that imports kaldi-hmm-gmm and kaldifst.

kaldi-hmm-gmm has to come first: imported after kaldifst, it never returns.
"""

# ruff: isort: off
import kaldi_hmm_gmm as khg
import kaldifst

# ruff: isort: on

__all__ = ["kaldifst", "khg"]
