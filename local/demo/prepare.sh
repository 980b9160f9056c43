#!/usr/bin/env bash
# Stage 1 for the demo corpus: 28 voices of espeak-ng speak sentences of a small grammar, noises made by rule are mixed
# in. Nothing is downloaded; the same options give the same samples everywhere and for every --nj: compare the SHA-256.
# Writes <data>/{train,dev,test}_{clean,noisy} and <data>/lang, wavs under <data>/demo_audio. Takes about 30 s.
# shellcheck disable=SC2034  # some options are read by their name

nj=2           # jobs
cmd=launch.py  # where they run
hours=0.5      # of training speech, at most 10; dev has about 5 minutes and test 6
seed=0         # another one makes other sentences, noises and mixtures of the same voices
noise_dir=     # recorded noises in place of made ones: DIR/train and DIR/test, or DIR, whose kinds are then shared out
rir_dir=       # room impulse responses, likewise
rir_prob=0.5   # share of mixtures that are in a room, where there are rooms
force=false    # true: make all again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir>
e.g.: $0 --nj 4 --hours 1 data
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <data-dir>, got $# words; see --help"
data=$1
audio=$data/demo_audio
sets=("$data"/{train,dev,test}_{clean,noisy} "$data/lang")
options=(--hours "$hours" --seed "$seed" --rir-prob "$rir_prob")
made=(--force "$force" --version 1 --input local/demo/lexicon.txt)
for name in hours seed rir_prob; do made+=(--option "$name=${!name}"); done
for name in noise_dir rir_dir; do
  dir=${!name}
  if [ -z "$dir" ]; then continue; fi
  [ -d "$dir" ] || die "--${name//_/-} $dir: no such directory"
  options+=("--${name//_/-}" "$dir")
  made+=(--input "$dir" --option "$name=$dir")
done

# The sets first: where they hold another corpus, that is said before minutes of work.
todo=false
for dir in "${sets[@]}"; do up_to_date "$dir" "${made[@]}" || todo=true; done
if ! up_to_date "$audio" "${made[@]}"; then
  for act in speech mix; do
    log "$act of the demo corpus, $hours hours of training speech, in $nj jobs"
    # shellcheck disable=SC2086  # a command with its options, as in Kaldi
    $cmd "$JOB=1:$nj" "$audio/log/$act.$JOB.log" \
      local/demo/make.py "$act" --job "$JOB" --nj "$nj" "${options[@]}" "$data"
  done
  rm -rf "$audio/speech"  # the clean wavs hold it
  mark_done "$audio"
fi
if dry_run; then exit; fi
if [ $todo = true ] || [ ! -e "$audio/manifest" ]; then
  local/demo/make.py tables "${options[@]}" "$data"
  for dir in "${sets[@]}"; do mark_done "$dir"; done
fi
log "demo corpus in $data, manifest sha256 $(sha256sum "$audio/manifest" | cut -d ' ' -f 1)"
