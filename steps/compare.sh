#!/usr/bin/env bash
# Compares two systems on the same utterances: paired bootstrap of every score that both have (WER and CER, or PESQ
# and the other measures): difference, 95 % interval, probability that the second one is better. With --seeds directories have
# <seed> in their names: nothing for the first, _seed<k> for the others, as run.sh makes them; then seeds are drawn, too.
# Reads what stage 7 wrote: experiment directories (of which scoring/<set>), decode or scoring directories; one
# system may be several directories joined by a comma. Prints a table; with <dir> also writes <dir>/comparison.tsv, with
# --by <dir>/comparison_by.tsv, and <dir>/{wer,cer}_bootci, the lines of Kaldi's compute-wer-bootci. Takes seconds.

set="test"         # which set of an experiment directory
replications=10000 # of the bootstrap
seed=1             # the first seed
seeds=1            # so many from there
by=                # conditions to compare in as well, e.g. "snr noise": tables utt2snr, utt2noise
data=              # data directory with these tables; empty: what was scored

. ./path.sh
help_message="Usage: $0 [options] <system-A> <system-B> [<dir>]
e.g.: $0 exp/asr_mse exp/asr_mimic
      $0 --seeds 3 --by 'snr noise' --data data/test_noisy 'exp/asr_mse<seed>' 'exp/asr_mimic<seed>' exp/compare/mimic
      $0 --set dev exp/enhance_mse,exp/asr_mse exp/enhance_mimic,exp/asr_mimic exp/compare/dev
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then die "expected <system-A> <system-B> [<dir>], got $# words; see --help"; fi
pyscripts/compare.py --set "$set" --replications "$replications" --seed "$seed" --seeds "$seeds" --by "$by" --data "$data" "$@"
