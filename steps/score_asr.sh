#!/usr/bin/env bash
# Scores a decoding: word and character error rates in Kaldi's files and formats.
# Reads <data-dir>/{text,utt2spk} (or another --reference) and <decode-dir>/text. Writes <decode-dir>/{wer,cer}_1_0.0 and
# <decode-dir>/scoring_kaldi/, and the same with breakdowns by SNR, noise, speaker and length into <scoring-dir>
# (default: beside the decode directory, exp/asr_x/decode_test -> exp/asr_x/scoring/test).

reference=text   # table of <data-dir> with the reference: text.phn for phones
cer=true         # characters too
cer_spaces=false # true: spaces count as characters, as in jiwer, unlike Kaldi
normaliser=none  # none, upper, plain, voicebank
lmwt=1           # language model weight of the decoding, for the names of files in <decode-dir>
wip=0.0          # word insertion penalty of the decoding, as --lmwt
cmd=launch.py    # where it runs
force=false      # true: score again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <decode-dir> [<scoring-dir>]
e.g.: $0 --normaliser upper data/test_noisy exp/asr_mimic/decode_test
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then die "expected <data-dir> <decode-dir> [<scoring-dir>], got $# words; see --help"; fi
data=${1%/} decode=${2%/}
name=$(basename "$decode")
dir=${3:-$(dirname "$decode")/scoring/${name#decode_}}
require "$data/$reference" "local/*/prepare.sh, steps/make_feats.sh or steps/enhance.sh"
require "$data/utt2spk" "local/*/prepare.sh, steps/make_feats.sh or steps/enhance.sh"
require "$decode/text" "steps/decode.sh"

# A decoding that was made again, with the same text, has lost its score files; one whose copies differ was changed since.
copies="$decode/wer_${lmwt}_$wip"
if [ ! -f "$copies" ] || { [ -f "$dir/wer_1_0.0" ] && ! cmp -s "$copies" "$dir/wer_1_0.0"; }; then
  dry_run || rm -f "$dir/.done"
fi
if up_to_date "$dir" --force "$force" --version 1 \
  --input "$data/$reference" "$data/utt2spk" "$decode/text" \
  --option "cer=$cer" "cer_spaces=$cer_spaces" "normaliser=$normaliser" "decode=$decode" "lmwt=$lmwt $wip"; then
  exit 0
fi

log "scoring $decode against $data/$reference"
$cmd "$dir/log/score.log" pyscripts/score_asr.py --reference "$reference" --cer "$cer" --cer-spaces "$cer_spaces" \
  --normaliser "$normaliser" --lmwt "$lmwt" --wip "$wip" "$data" "$decode" "$dir"
cat "$dir/best_wer"
if $cer; then cat "$dir/best_cer"; fi
mark_done "$dir"
