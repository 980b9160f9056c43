#!/usr/bin/env bash
# Fits the enhancement ratio "auto": from the estimated SNR of an utterance to the share of the enhanced signal with which
# a recogniser makes the fewest word errors on dev.
# Reads <model-dir>, the noisy dev speech and directories of steps/score_asr.sh, one for each ratio that dev was enhanced and
# recognised with; 0 is noisy speech. Writes <model-dir>/ratio.json; from then on auto is the model's default. Takes as long
# as enhancing dev once. Never give it a test set.

replications=1000 # of the bootstrap

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <noisy-data-dir> <ratio>=<scoring-dir> <ratio>=<scoring-dir>...
e.g.: $0 exp/enhance_mimic data/dev_noisy 0=exp/noisy/scoring/dev 0.5=exp/half/scoring/dev 1=exp/full/scoring/dev
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 4 ] || die "expected <model-dir> <noisy-data-dir> <ratio>=<scoring-dir>, at least two of them; see --help"
require_model "$1" conf/enhance.yaml
require "$2/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
for word in "${@:3}"; do require "${word#*=}" "steps/score_asr.sh"; done
pyscripts/fit_ratio.py --replications "$replications" "$@"
log "wrote $1/ratio.json"
