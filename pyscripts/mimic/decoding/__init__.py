"""From a recogniser's outputs to words: attention, CTC, WFST, n-gram models."""
