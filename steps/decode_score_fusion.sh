#!/usr/bin/env bash
# Decodes with HCLG.fst and the mean of the scores of several networks of one tree (seeds, features, training speech) into
# lattices. Writes <decode-dir>: lat.JOB.gz; into the directory above it what scoring needs of the first network.

beam=15.0            # of the search
lattice_beam=8.0     # of the paths that lattices keep
max_active=7000      # most tokens of a frame
min_active=200       # least tokens of a frame, where fewer are within the beam
acwt=0.1             # scale of acoustic log-likelihoods in the search; conf/lfmmi_*.yaml go with 1
post_decode_acwt=1.0 # scale of those in the lattices; 10 goes with --acwt 1, for the LM weights of steps/score_lattices.sh
nj=4                 # jobs, at most as many as speakers
cmd=launch.py        # where they run
ngpu=0               # 1: the networks on a GPU in every job
device=              # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
force=false          # true: decode again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <graph-dir> <feat-dir> <model-dir>... <decode-dir>
e.g.: $0 --nj 4 exp/ligru/tri3/graph exp/ligru/fmllr/test_clean exp/ligru/ligru_clean exp/ligru/ligru_multi exp/ligru/fused/decode_test_clean
      $0 exp/ligru/tri3/graph 'exp/ligru/fmllr/test_clean exp/ligru/fbank/test_clean' exp/a exp/b exp/fused/decode_test_clean
Several feature directories in one word are those of the networks, in their order.
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -ge 4 ] || die "expected <graph-dir> <feat-dir> <model-dir>... <decode-dir>, got $# words; see --help"
graph=$1 dir=${*: -1}
models=("${@:3:$#-3}")
read -r -a feats <<< "$2"
if [ ${#feats[@]} -eq 1 ]; then for ((i = 1; i < ${#models[@]}; i++)); do feats+=("${feats[0]}"); done; fi
[ ${#feats[@]} -eq ${#models[@]} ] || die "${#feats[@]} feature directories for ${#models[@]} networks: one for all, or one for each"
data=${feats[0]}
require "$graph/HCLG.fst" "steps/mkgraph.sh"
for i in "${!models[@]}"; do
  require "${feats[i]}/feats.scp" "steps/make_feats.sh"
  require "${models[i]}/model.pt" "steps/train.sh"
done
limit_jobs_to_speakers "$data"
if up_to_date "$dir" --force "$force" --version 1 --input "$graph" "${feats[@]}" "${models[@]}" \
  --option "search=$beam $lattice_beam $max_active $min_active $acwt" "post=$post_decode_acwt"; then exit 0; fi
rm -rf "$dir/log"
mkdir -p "$dir/log"
for file in final.mdl tree frame_subsampling_factor; do
  if [ -f "${models[0]}/$file" ]; then cp "${models[0]}/$file" "$(dirname "$dir")/"; fi
done
echo "$nj" > "$dir/num_jobs"
choose_device
also=()
for ((i = 1; i < ${#models[@]}; i++)); do also+=(--also "${models[i]}" "${feats[i]}"); done
log "decoding $(wc -l < "$data/feats.scp") utterances of $data with ${#models[@]} networks in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --mem 4G "${place[@]}" "$JOB=1:$nj" "$dir/log/decode.$JOB.log" \
  pyscripts/decode_lattice.py --job "$JOB" --nj "$nj" --acwt "$acwt" --post-decode-acwt "$post_decode_acwt" --beam "$beam" \
  --lattice-beam "$lattice_beam" --max-active "$max_active" --min-active "$min_active" --device "$device" "${also[@]}" \
  "${models[0]}" "$graph" "$data" "$dir"
summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip 1 "$dir") # utterances without a lattice count as deletions
mark_done "$dir"
log "$dir: $summary"
