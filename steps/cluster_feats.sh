#!/usr/bin/env bash
# Units of frames by k-means, which local/run_pretrain_ssl.sh predicts.
# Reads <feat-dir>; writes <units-dir>: units.scp, units.ark (int32, a unit per frame), centres.pt.

clusters=100  # units
centres=      # directory of units whose clusters are taken, as for a development set
frames=200000 # that are looked at
seed=1        # of which, and of where the clusters begin
cmd=launch.py # where it runs
force=false   # true: cluster again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <units-dir>
e.g.: $0 --clusters 100 exp/ssl/fbank/train_clean exp/ssl/units1/train_clean
      $0 --centres exp/ssl/units1/train_clean exp/ssl/fbank/dev_clean exp/ssl/units1/dev_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <feat-dir> <units-dir>, got $# words; see --help"
feats=$1 dir=$2
for name in clusters frames; do [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "--$name is above 0, got '${!name}'"; done
require "$feats/feats.scp" "what makes these features"
made=(--force "$force" --version 1 --input "$feats" --option "clusters=$clusters"
  --option "frames=$frames" --option "seed=$seed")
options=(--clusters "$clusters" --frames "$frames" --seed "$seed")
if [ -n "$centres" ]; then
  require "$centres/centres.pt" "steps/cluster_feats.sh"
  made+=(--input "$centres")
  options+=(--centres "$centres")
fi
if up_to_date "$dir" "${made[@]}"; then exit 0; fi
$cmd "$dir/log/cluster.log" pyscripts/cluster_feats.py "${options[@]}" "$feats" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/units.scp") utterances in $dir: $(sed -n 's/.*cluster_feats.py: //p' "$dir/log/cluster.log" | tail -n 1)"
