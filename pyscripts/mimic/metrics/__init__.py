"""WER files, PESQ, STOI, composite scores, bootstrap."""
