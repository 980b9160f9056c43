#!/usr/bin/env bash
# Set-up, style of Python and shell, then pytest. Arguments go to pytest: tests/run.sh tests/shell -k done
cd "$(dirname "$0")/.." || exit 1
steps/setup.sh --dev true || exit 1
. ./path.sh
set -euo pipefail
export OMP_NUM_THREADS=1  # several tests run at a time
unset PYTHONDONTWRITEBYTECODE  # the recipes that the tests run start thousands of programs

ruff check .
shopt -s globstar nullglob
shellcheck -x ./*.sh RESULTS .ci/run {local,steps,tests}/**/*.sh

# Tests that share one run of the recipe carry the same xdist_group, so that one worker makes it for all of them. One
# worker more than cores: tests that wait for a scheduler, a browser or a signal leave theirs idle.
python3 -m pytest -n 3 --dist loadgroup "$@"
