"""Kaldi data directories, archives, audio, text and lexicons."""
