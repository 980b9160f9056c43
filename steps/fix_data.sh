#!/usr/bin/env bash
# Repairs what it can in a data directory, or a clean/noisy pair; old files go to DATA/.backup.
#   steps/fix_data.sh data/train_clean
#   steps/fix_data.sh data/train_clean data/train_noisy
#   steps/fix_data.sh --help
# The options are those of the program: some are flags, as in Kaldi's script of this name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=path.sh
. "$here/path.sh"
exec python3 "$here/pyscripts/fix_data.py" "$@"
