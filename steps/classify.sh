#!/usr/bin/env bash
# Classes of the utterances of a feature directory, by a probe of steps/train.sh conf/probe_speaker.yaml.
# Reads <model-dir> and <feat-dir>; writes <out-dir>: utt2class, embeddings.scp, scoring/test/summary.tsv with accuracy and
# the equal error rate of cosine similarities between all pairs.

labels=       # table `utterance class`; empty: utt2spk of <feat-dir>
cmd=launch.py # where it runs
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <feat-dir> <out-dir>
e.g.: $0 exp/distill/speaker/robust/probe exp/distill/feats/robust/test_noise exp/distill/speaker/robust/noise
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <model-dir> <feat-dir> <out-dir>, got $# words; see --help"
model=$1 feats=$2 dir=$3
require_model "$model" conf/probe_speaker.yaml
require "$feats/feats.scp" "steps/extract_ssl.sh"
[ -z "$labels" ] || [ -f "$labels" ] || die "--labels $labels: no such file"
if up_to_date "$dir" --force "$force" --version 1 --input "$model" --input "$feats" \
  ${labels:+--input "$labels"} --option "labels=$labels"; then
  exit 0
fi
$cmd "$dir/log/classify.log" pyscripts/classify.py ${labels:+--labels "$labels"} "$model" "$feats" "$dir"
mark_done "$dir"
cat "$dir/scoring/test/summary.tsv"
