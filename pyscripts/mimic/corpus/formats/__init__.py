"""Corpora of other toolkits: readers give utterances, `directory` writes them as a Kaldi data directory."""
