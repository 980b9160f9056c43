#!/usr/bin/env bash
# Words of a table of wavs by Gaussian mixtures of local/run_ligru.sh: a recogniser for steps/judge.sh and steps/decode_foreign.sh.
# Reads <graph-dir>, in the directory of its model, lmwt and wip of <scored-dir> (steps/score_lattices.sh), <wav.scp>; writes <text>.

feat_config=conf/mfcc.conf # features that the model was trained on
beam=13.0                  # of the search
max_active=7000            # most tokens of a frame
nj=1                       # jobs

. ./path.sh
help_message="Usage: $0 [options] <graph-dir> <scored-dir> <wav.scp> <text>
e.g.: steps/judge.sh --recognisers \"hmm=cmd:'$0 exp/ligru/tri3/graph exp/ligru/tri3/decode_dev_noisy {wav.scp} {text}'\" data/test_noisy verdict
Each utterance counts as a speaker of its own.
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 4 ] || die "expected <graph-dir> <scored-dir> <wav.scp> <text>, got $# words; see --help"
graph=${1%/} scored=$2 text=$4
require "$graph/HCLG.fst" "steps/mkgraph.sh"
require "$scored/lmwt" "steps/score_lattices.sh of the development set"
work=$(mktemp -d)
decode=$(dirname "$graph")/recognise_${work##*/} # beside the graph: a decode directory lies in that of its model
trap 'rm -rf "$work" "$decode"' EXIT
mkdir "$work/data"
sort "$3" > "$work/data/wav.scp"
awk '{ print $1, $1 }' "$work/data/wav.scp" > "$work/data/utt2spk"
steps/make_feats.sh --nj "$nj" --type mfcc --feat-config "$feat_config" --max-skip 1 "$work/data" "$work/mfcc"
steps/decode_lattice.sh --nj "$nj" --beam "$beam" --max-active "$max_active" "$graph" "$work/mfcc" "$decode"
pyscripts/score_lattices.py --from "$scored" "$work/mfcc" "$graph" "$(dirname "$graph")" "$decode"
cp "$decode/text" "$text"
