"""Kaldi tables and archives, audio files and their headers, atomic files, locks, downloads."""
