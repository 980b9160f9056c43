#!/usr/bin/env bash
# Fails unless the noisy test set of VoiceBank-DEMAND has the mean wide-band PESQ of all publications. Another value means
# other audio (wrong resampling, sides or sets mixed up), whose scores are not comparable.
# Reads <data>/test_{clean,noisy}; writes a scoring directory. Takes about 30 s on 2 cores.
# shellcheck disable=SC2034  # some options are read by their name

skip_pesq_check=false # true: no check  # was: no-gate
target=1.97           # published mean
tolerance=0.01        # largest deviation from it
nj=2                  # jobs
cmd=launch.py         # where they run
force=false           # true: score again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <scoring-dir>
e.g.: $0 --nj 4 data exp/noisy/pesq_check
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <scoring-dir>, got $# words; see --help"
data=$1 dir=$2
if [ "$skip_pesq_check" = true ]; then
  log "no PESQ check: $data/test_noisy is used as it is"
  exit 0
fi
steps/score_enhancement.sh --nj "$nj" --cmd "$cmd" --force "$force" --measures wb-pesq \
  "$data/test_clean" "$data/test_noisy" "$dir"
if dry_run; then exit; fi
found=$(local/vbdemand/check_pesq.py --target "$target" --tolerance "$tolerance" "$data/test_noisy" "$dir")
log "$found"
