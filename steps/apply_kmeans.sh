#!/usr/bin/env bash
# K-means targets of frames, which the encoders of local/run_pretrain_ssl.sh predict.
# Reads <feat-dir>; writes <targets-dir>: units.scp, units.ark (int32, the cluster of each frame), centres.pt (centroids).

clusters=100  # k-means clusters
centroids=    # directory of targets whose centroids are applied, as for a development set  # was: centres
frames=200000 # sampled for k-means
seed=1        # of this sample and of the initial centroids
cmd=launch.py # where it runs
force=false   # true: cluster again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <targets-dir>
e.g.: $0 --clusters 100 exp/ssl/fbank/train_clean exp/ssl/units1/train_clean
      $0 --centroids exp/ssl/units1/train_clean exp/ssl/fbank/dev_clean exp/ssl/units1/dev_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <feat-dir> <targets-dir>, got $# words; see --help"
feats=$1 dir=$2
for name in clusters frames; do [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "--$name is above 0, got '${!name}'"; done
require "$feats/feats.scp" "what makes these features"
made=(--force "$force" --version 1 --input "$feats" --option "clusters=$clusters"
  --option "frames=$frames" --option "seed=$seed")
options=(--clusters "$clusters" --frames "$frames" --seed "$seed")
if [ -n "$centroids" ]; then
  require "$centroids/centres.pt" "steps/apply_kmeans.sh"
  made+=(--input "$centroids")
  options+=(--centroids "$centroids")
fi
if up_to_date "$dir" "${made[@]}"; then exit 0; fi
$cmd "$dir/log/cluster.log" pyscripts/apply_kmeans.py "${options[@]}" "$feats" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/units.scp") utterances in $dir: $(summary "$dir/summary.json")"
