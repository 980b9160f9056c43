"""Parts of benchmarks/enhancers.py."""

FIX = "steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate"  # where a package is missing
