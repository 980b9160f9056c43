#!/usr/bin/env bash
# Do enhancers help recognisers? WER without and with each enhancer at several ratios of enhanced speech, of which the best is
# chosen on a part of the data (dev); paired bootstrap; by SNR and noise type where they are known. Without transcripts:
# DNSMOS, Distill-MOS, and how much of the words and confidences changes. Ends with a line for each recogniser; without
# transcripts one for each enhancer, too, at its highest ratio.
# Reads <in>, a data directory or a folder of audio; writes <out>/results/{results.json,results.txt,scores,report}, and keeps
# in <out>/kept what was enhanced and recognised: other options, or a kill, lose nothing of it. Nothing is downloaded.

enhancers=pretrained   # [NAME=]DIR of models or of enhanced speech (a data directory or folder), or pretrained; several: "A B"
recognisers=           # [NAME=]DIR, whisper:DIR, sherpa:DIR, pocketsphinx, cmd:'program {wav.scp} {text}'; several: "A B"
ratios="0.3 0.5 0.7 1" # of enhanced speech, the rest is noisy; or auto; with one enhancer and one ratio there is no dev part
dev_share=0.3          # of the utterances, to choose the ratio on
text=                  # table of transcripts, or folder of <utterance>.txt; empty: <in>/text
language=en            # of Whisper
normaliser=            # of transcripts and words: none, upper, plain, voicebank, english; empty: english, of others plain
measures=auto          # dnsmos-sig,dnsmos-bak,dnsmos-ovrl,dnsmos-p808,distill-mos, or some; auto: without transcripts
max_skip=0.01          # share of utterances that may be unreadable, or without a transcript where others have one
channel=               # of audio that has several, from 0
allow_pipes=false      # true: run the commands in wav.scp
nj=2                   # jobs
cmd=launch.py          # where they run
force=false            # true: write the results again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <in> <out>
e.g.: $0 --recognisers whisper:models/whisper-tiny data/test_noisy exp/judge/test
      $0 --enhancers 'pretrained gtcrn=enhanced_by_gtcrn' --recognisers 'whisper:models/base exp/asr_clean' my_wavs verdict
      $0 --recognisers \"mine=cmd:'./recognise.sh {wav.scp} {text}'\" --ratios 0.5 data/test_noisy exp/judge/mine
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <in> <out>, got $# words; see --help"
data=${1%/} dir=$2/results
require "$data" "local/*/prepare.sh or local/import_corpus.sh"
[ ! "$data" -ef "$2" ] || die "$2 is <in>: name another directory for what is found"
[ -n "$recognisers" ] || die "--recognisers: name one at least; see --help"
options=(--enhancers "$enhancers" --recognisers "$recognisers" --ratios "$ratios" --dev-share "$dev_share"
  --language "$language" --normaliser "$normaliser" --measures "$measures" --max-skip "$max_skip"
  --allow-pipes "$allow_pipes")
if [ -n "$text" ]; then options+=(--text "$text"); fi
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
if [ -f "$data/utt2spk" ]; then limit_jobs "$data/utt2spk"; else limit_jobs "$data"; fi

found=$(pyscripts/judge.py --part inputs "${options[@]}" "$data" "$2")
mapfile -t inputs <<< "$found"
show() { # the verdicts come last
  for page in "$dir"/report/*/index.html; do log "page: $page"; done
  cat "$dir/results.txt"
}
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" --option "judge=${options[*]}"; then
  show
  exit 0
fi

log "judging '$enhancers' before '$recognisers' on $data in $nj jobs"
for part in dev test; do
  $cmd "$JOB=1:$nj" "$dir/log/$part.$JOB.log" pyscripts/judge.py --part "$part" --job "$JOB" --nj "$nj" "${options[@]}" \
    "$data" "$2"
done
$cmd "$dir/log/results.log" pyscripts/judge.py "${options[@]}" "$data" "$2"
show
mark_done "$dir"
