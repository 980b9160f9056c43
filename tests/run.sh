#!/usr/bin/env bash
# Set-up, style and types, then the tests. Arguments after the options go to pytest.

fast=false # true: what to run before each commit, in less than 2 minutes on two cores
forks=true # false: start each program as users do, not as a fork of one that has loaded torch (tests/forks)

cd "$(dirname "$0")/.." || exit 1
path=$PATH PATH=$PWD/steps/lib:$PATH
help_message="Usage: tests/run.sh [--option value]... [words for pytest]...
e.g.: tests/run.sh --fast true
      tests/run.sh tests/shell -k done
Makes the .venv of the tests if need be, then runs ruff, mypy, shellcheck, hadolint, docs/build.sh and pytest.
Options (default):
$(list_options.sh "$0")
With --fast true: the tests that start no process and train nothing, which tests/selection.py finds by reading them.
tests/processors.sh runs what compares floats as on other processors, tests/faults.sh injects faults into the recipe."
. parse_options.sh
steps/setup.sh --dev true || exit 1
PATH=$path # path.sh adds all of it, or nothing
. ./path.sh
set -euo pipefail
export OMP_NUM_THREADS=1      # several tests run at a time
unset OPENBLAS_CORETYPE       # jobs of a scheduler do not get it, and other kernels round otherwise
unset PYTHONDONTWRITEBYTECODE # the recipes that the tests run start thousands of programs

ruff check .
shopt -s globstar nullglob
checks=() # mypy and shellcheck take a core each for half a minute, while the tests begin
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then # the last numpy for 3.10 has other types
  mypy pyscripts/mimic &
  checks+=($!)
fi
shellcheck -x ./*.sh RESULTS .ci/run tests/forks/python3 {local,steps,tests}/**/*.sh &
checks+=($!)
if command -v hadolint > /dev/null; then # of some platforms there is none
  hadolint Dockerfile &
  checks+=($!)
fi
if ! "$fast"; then
  docs/build.sh & # every page is in the site, and no link within it is dead
  checks+=($!)
fi

if ! "$forks"; then export MIMIC_FORKS=; fi
# Tests that share one run of the recipe carry the same xdist_group, so that one worker makes it for all of them. One
# worker more than cores: tests that wait for a scheduler, a browser or a signal leave their core idle.
workers=3
if "$fast"; then
  workers=2
  set -- --only fast "$@"
fi
rc=0
python3 -m pytest -n $workers --dist loadgroup "$@" || rc=$?
for check in "${checks[@]}"; do
  wait "$check" || { rc=1 && echo "mypy, shellcheck, hadolint or docs/build.sh failed: their lines are above those of pytest"; }
done
exit $rc
