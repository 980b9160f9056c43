#!/usr/bin/env bash
# Checks a data directory, or a clean/noisy pair, and prints every problem with its id and the fix.
#   steps/validate_data.sh data/train_clean
#   steps/validate_data.sh data/train_clean data/train_noisy
#   steps/validate_data.sh --help
# The options are those of the program: some are flags, as in Kaldi's script of this name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=path.sh
. "$here/path.sh"
exec python3 "$here/pyscripts/validate_data.py" "$@"
