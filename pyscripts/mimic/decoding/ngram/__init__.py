"""N-gram models: counting, smoothing, ARPA files, queries."""
