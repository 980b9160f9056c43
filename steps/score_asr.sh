#!/usr/bin/env bash
# Scores a decoding: word and character error rates in Kaldi's files and formats.
# Reads <data-dir>/{text,utt2spk} (or another --reference) and <decode-dir>/text. Writes <decode-dir>/{wer,cer}_1_0.0 and
# <decode-dir>/scoring_kaldi/, and the same with breakdowns by SNR, noise, speaker and length into <scoring-dir>
# (default: beside the decode directory, exp/asr_x/decode_test -> exp/asr_x/scoring/test).

reference=text   # table of <data-dir> that holds what was said: text.phn for phones
cer=true         # characters too
cer_spaces=false # true: spaces count as characters, as jiwer has it; Kaldi leaves them out
normaliser=none  # none, upper, upper-nopunct
lmwt=1           # language model weight of the decoding, for the names of files in <decode-dir>
wip=0.0          # likewise its word insertion penalty
nj=1             # jobs; one is enough for any set, the option is there as in every step
cmd=launch.py    # where it runs
force=false      # true: score again although nothing changed

help_message="Usage: $0 [options] <data-dir> <decode-dir> [<scoring-dir>]
e.g.: $0 --normaliser upper data/test_noisy exp/asr_mimic/decode_test
Options (default):
  --reference NAME         table of <data-dir> that holds what was said: text.phn for phones ($reference)
  --cer true|false         score characters too ($cer)
  --cer-spaces true|false  count spaces as characters ($cer_spaces)
  --normaliser NAME        none, upper, upper-nopunct ($normaliser)
  --lmwt N --wip P         weight and penalty of the decoding, for names of files ($lmwt, $wip)
  --nj N                   jobs ($nj); scoring takes one
  --cmd CMD                where it runs ($cmd)
  --force true|false       score again although nothing changed ($force)"

. ./path.sh
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
