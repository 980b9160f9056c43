#!/usr/bin/env bash
# Decodes with HCLG.fst into lattices. The model lies in the directory above <decode-dir>: a network of
# conf/hybrid_*.yaml or conf/lfmmi_*.yaml (model.pt), or Gaussian mixtures (final.mdl). A model of steps/train_sat.sh takes several passes: the
# first without adaptation, the others with fMLLR from the output of the pass before, never from the transcripts.
# Writes <decode-dir>: lat.JOB.gz, determinised as with Kaldi's --determinize-lattice; trans.JOB, if fMLLR was estimated.
# steps/score_lattices.sh makes text of it.

beam=13.0             # of the search
lattice_beam=8.0      # of the paths that lattices keep
max_active=7000       # most tokens of a frame
min_active=200        # least tokens of a frame, where fewer are within the beam
first_beam=10.0       # --beam of the passes whose output is only for fMLLR
first_max_active=2000 # --max-active of these passes
acwt=0.083333         # scale of acoustic log-likelihoods in the search; conf/hybrid_*.yaml go with 0.1, conf/lfmmi_*.yaml with 1
post_decode_acwt=1.0  # scale of those in the lattices; 10 goes with --acwt 1, for the LM weights of steps/score_lattices.sh
fmllr_passes=2        # decodings with adaptation; 0: none
fmllr_min_count=500   # least frames of a speaker for a transform
nj=4                  # jobs, at most as many as speakers
cmd=launch.py         # where they run
ngpu=0                # 1: a network on a GPU in every job
device=               # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
force=false           # true: decode again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <graph-dir> <feat-dir> <decode-dir>
e.g.: $0 --nj 4 exp/ligru/tri3/graph exp/mfcc/dev_clean exp/ligru/tri3/decode_dev_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <graph-dir> <feat-dir> <decode-dir>, got $# words; see --help"
graph=$1 data=$2 dir=$3
model=$(dirname "$dir")
require "$graph/HCLG.fst" "steps/mkgraph.sh"
require "$data/feats.scp" "steps/make_feats.sh"
require "$model/final.mdl" "the training of $model"
if [ -e "$model/model.pt" ] || [ ! -e "$model/final.alimdl" ]; then fmllr_passes=0; fi
limit_jobs_to_speakers "$data"
if up_to_date "$dir" --force "$force" --version 1 \
  --input "$graph" "$data" "$model" --option "search=$beam $lattice_beam $max_active $min_active $acwt" "post=$post_decode_acwt" \
  "fmllr=$fmllr_passes $fmllr_min_count $first_beam $first_max_active"; then exit 0; fi
rm -rf "$dir"/{trans,best}.* "$dir/log"
mkdir -p "$dir/log"
echo "$nj" > "$dir/num_jobs"
choose_device

search() { # search PASS [options]
  # shellcheck disable=SC2086  # a command with its options, as in Kaldi
  $cmd --mem 4G "${place[@]}" "$JOB=1:$nj" "$dir/log/decode$1.$JOB.log" \
    pyscripts/decode_lattice.py --job "$JOB" --nj "$nj" --acwt "$acwt" --min-active "$min_active" --device "$device" "${@:2}" \
    "$model" "$graph" "$data" "$dir"
}
first=(--best-path true --beam "$first_beam" --max-active "$first_max_active") # these need no lattices
last=(--beam "$beam" --lattice-beam "$lattice_beam" --max-active "$max_active" --post-decode-acwt "$post_decode_acwt")
log "decoding $(wc -l < "$data/feats.scp") utterances of $data with $model in $nj jobs"
if [ "$fmllr_passes" = 0 ]; then
  search "" "${last[@]}"
else
  search .si --alimdl true "${first[@]}"
  for ((pass = 1; pass <= fmllr_passes; pass++)); do
    $cmd --mem 2G "$JOB=1:$nj" "$dir/log/fmllr.$pass.$JOB.log" pyscripts/estimate_fmllr.py --job "$JOB" --nj "$nj" \
      --fmllr-min-count "$fmllr_min_count" "$model" "$graph" "$data" "$dir" "$dir"
    if [ "$pass" -lt "$fmllr_passes" ]; then beams=("${first[@]}"); else beams=("${last[@]}"); fi
    search ".$pass" --transform-dir "$dir" "${beams[@]}"
  done
fi
summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip 1 "$dir") # utterances without a lattice count as deletions
mark_done "$dir"
log "$dir: $summary"
