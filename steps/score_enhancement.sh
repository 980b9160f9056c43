#!/usr/bin/env bash
# Scores enhanced speech against clean speech: PESQ, STOI, eSTOI, CSIG, CBAK, COVL, segmental SNR, SI-SDR.
# Reads two data directories (or two plain folders of audio files) with the same utterances; writes
# <scoring-dir>/per_utt.tsv, with NA and the reason for a missing score, summary.tsv (means, 95 % intervals,
# counts) and breakdown.tsv (the same by SNR, noise, speaker and length). PESQ takes most of the time, 0.03 x real time.

measures=all      # or some of wb-pesq,nb-pesq,stoi,estoi,csig,cbak,covl,segsnr,si-sdr
nj=2              # jobs
cmd=launch.py     # where they run
allow_pipes=false # true: run the commands in wav.scp
channel=          # of audio that has several, from 0
force=false       # true: score again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <clean-data-dir> <enhanced-data-dir> <scoring-dir>
e.g.: $0 --nj 4 data/test_clean data/test_noisy exp/noisy/scoring/test
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <clean-data-dir> <enhanced-data-dir> <scoring-dir>, got $# words; see --help"
clean=${1%/} enhanced=${2%/} dir=$3
require "$clean" "local/*/prepare.sh or local/import_corpus.sh"
require "$enhanced" "steps/enhance.sh"
if [ -f "$clean/utt2spk" ]; then limit_jobs "$clean/utt2spk"; else limit_jobs "$clean"; fi

# Which PESQ there is changes the scores: installing it later has to show.
pesq=$(python3 -c 'from mimic.metrics.pesq import version; print(version())')
if up_to_date "$dir" --force "$force" --version 1 --input "$clean" "$enhanced" \
  --option "measures=$measures${channel:+ channel $channel}" "pesq=$pesq"; then
  exit 0
fi

log "scoring $enhanced against $clean in $nj jobs"
options=(--measures "$measures" --allow-pipes "$allow_pipes")
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
$cmd "$JOB=1:$nj" "$dir/log/score.$JOB.log" pyscripts/score_enhancement.py "${options[@]}" --job "$JOB" --nj "$nj" \
  "$clean" "$enhanced" "$dir"
pyscripts/score_enhancement.py "${options[@]}" "$clean" "$enhanced" "$dir"
mark_done "$dir"
