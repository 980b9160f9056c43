#!/usr/bin/env bash
# Clean speech with the phase of noisy speech: what masking would reach with a perfect mask.
# Reads the audio of <clean-dir> and <noisy-dir>, which have the same utterances and lengths; writes <out-dir>, a data
# directory like <noisy-dir>, wavs in <out-dir>/wav. Takes about 10 s per hour of speech and job.
# shellcheck disable=SC2034  # some options are read by their name

stft_config=conf/stft.conf # of the spectra whose phase is exchanged
nj=2                       # jobs
cmd=launch.py              # where they run
channel=                   # of audio that has several, from 0
force=false                # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <clean-dir> <noisy-dir> <out-dir>
e.g.: $0 --nj 4 data/test_clean data/test_noisy exp/enhance_noisy_phase/wav/test
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <clean-dir> <noisy-dir> <out-dir>, got $# words; see --help"
clean=$1 noisy=$2 dir=$3
for data in "$clean" "$noisy"; do require "$data/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"; done
require "$stft_config" "what makes it"
limit_jobs "$noisy/utt2spk"
if up_to_date "$dir" --force "$force" --version 1 --input "$stft_config" "$clean" "$noisy" \
  ${channel:+--option "channel=$channel"}; then
  exit 0
fi

log "$utterances utterances of $clean with the phase of $noisy in $nj jobs"
options=(--stft-config "$stft_config" ${channel:+--channel "$channel"} "$clean" "$noisy" "$dir")
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/noisy_phase.$JOB.log" pyscripts/noisy_phase.py exchange --job "$JOB" --nj "$nj" "${options[@]}"
pyscripts/noisy_phase.py collect "${options[@]}"
mark_done "$dir"
