#!/usr/bin/env bash
# Noisy speech from clean speech, noises and RIRs, at given SNRs; each mixture depends on --seed and its utterance id only.
# Reads <clean-dir> (any data directory with audio) and <noise>: a folder of recordings in any format, or a wav.scp;
# the noise type is the name up to the first "-". Writes two data directories with the ids of <clean-dir>, 16 kHz
# wavs in their wav/: <out-noisy-dir> with utt2snr utt2noise (utt2room), and its clean counterpart with equal lengths.
# A mixture that would clip is scaled down, its clean speech equally: use that clean speech in training and scoring.
# Speech stays aligned: the direct path of an RIR is moved to time 0; the clean speech is not reverberant. Takes 1 min per 3 h.
# shellcheck disable=SC2034  # some options are read by their name

snrs="0 5 10 15"  # dB, each as often; clean: without noise
snr_power=active  # power of the speech is that of its active frames, or of all samples: active or all
rir_dir=          # RIRs: a folder or a wav.scp
rir_prob=0.5      # with --rir-dir: share of reverberant mixtures
rir_align=true    # false: RIRs as they are, with their delay and sign
babble_dir=       # clean data directory: its other speakers are one more noise type, babble
clean_out=        # the clean counterpart (<out-noisy-dir> with _clean in place of _noisy)
prefix=           # before the ids of utterances and speakers, so that the directory can be combined with others
seed=1            # of the mixtures
allow_pipes=false # true: run the commands in wav.scp
channel=          # of speech that has several, from 0
nj=2              # jobs
cmd=launch.py     # where they run
force=false       # true: mix again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <clean-dir> <noise> <out-noisy-dir>
e.g.: $0 --snrs '0 5 10 15' --nj 4 speech/train_clean noises/train corpus/train_noisy
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <clean-dir> <noise> <out-noisy-dir>, got $# words; see --help"
clean=$1 noise=$2 noisy_out=${3%/}
if [ -z "$clean_out" ]; then clean_out=${noisy_out%_noisy}_clean; fi
for file in wav.scp utt2spk; do
  [ -f "$clean/$file" ] || pending "$clean" || die "$clean/$file is missing: is $clean a data directory?"
done
[ "$(realpath -m "$clean_out")" != "$(realpath -m "$clean")" ] ||
  die "the clean counterpart would take the place of $clean: name another <out-noisy-dir>, or --clean-out"
made=(--force "$force" --version 1 --input "$clean")
options=()
for name in snrs snr_power rir_dir rir_prob babble_dir prefix seed allow_pipes channel; do
  if [ -n "${!name}" ]; then options+=("--${name//_/-}=${!name}"); fi # in one word: an SNR may begin with -
  made+=(--option "$name=${!name}")
done
if ! $rir_align; then options+=(--rir-align false) made+=(--option "rir_align=false"); fi
if [ -n "$babble_dir" ]; then made+=(--input "$babble_dir"); fi
for recordings in "$noise" "$rir_dir"; do
  if [ -z "$recordings" ]; then continue; fi
  [ -e "$recordings" ] || pending "$recordings" || die "$recordings: no such folder or wav.scp"
  made+=(--input "$recordings")
done

limit_jobs "$clean/utt2spk"
unfinished=false
for dir in "$noisy_out" "$clean_out"; do up_to_date "$dir" "${made[@]}" || unfinished=true; done
if ! $unfinished; then exit 0; fi
log "mixing $noise into $utterances utterances of $clean in $nj jobs"
dirs=("$clean" "$noise" "$noisy_out" "$clean_out")
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$noisy_out/log/mix_noise.$JOB.log" \
  pyscripts/mix_noise.py mix --job "$JOB" --nj "$nj" "${options[@]}" "${dirs[@]}"
pyscripts/mix_noise.py collect "${options[@]}" "${dirs[@]}"
for dir in "$noisy_out" "$clean_out"; do mark_done "$dir"; done
log "$utterances utterances in $noisy_out, clean counterpart in $clean_out"
