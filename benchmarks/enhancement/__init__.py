"""Parts of benchmarks/enhancers.py."""
