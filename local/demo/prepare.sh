#!/usr/bin/env bash
# The demo corpus: unpredictable sentences, synthesised with 34 voices of espeak-ng and mixed with synthesised noises.
# Nothing is downloaded; the same options give the same samples everywhere and for every --nj: compare the SHA-256.
# Writes <data>/{train,dev,test}_{clean,noisy} and <data>/lang, wavs under <data>/demo_audio. Takes about 30 s.
# shellcheck disable=SC2034  # some options are read by their name

nj=2          # jobs
cmd=launch.py # where they run
hours=0.5     # of training speech, at most 10; dev has about 5 minutes and test 6
seed=0        # of sentences, noises and mixtures
noise_dir=    # recorded noises in place of synthesised ones: DIR/train and DIR/test, or DIR, which is then split by noise type
rir_dir=      # RIRs, as --noise-dir
rir_prob=0.5  # with --rir-dir: share of reverberant mixtures
force=false   # true: run again although nothing changed

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
  [ -d "$dir" ] || pending "$dir" || die "--${name//_/-} $dir: no such directory"
  options+=("--${name//_/-}" "$dir")
  made+=(--input "$dir" --option "$name=$dir")
done

# The sets first: if they hold another corpus, this fails before minutes of work.
unfinished=false
for dir in "${sets[@]}"; do up_to_date "$dir" "${made[@]}" || unfinished=true; done
if ! up_to_date "$audio" "${made[@]}"; then
  for part in speech mix; do
    log "$part of the demo corpus, $hours hours of training speech, in $nj jobs"
    # shellcheck disable=SC2086  # a command with its options, as in Kaldi
    $cmd "$JOB=1:$nj" "$audio/log/$part.$JOB.log" \
      local/demo/make.py "$part" --job "$JOB" --nj "$nj" "${options[@]}" "$data"
  done
  rm -rf "$audio/speech" # the clean wavs hold it
  mark_done "$audio"
fi
if dry_run; then exit; fi
if $unfinished || [ ! -e "$audio/manifest" ]; then
  local/demo/make.py tables "${options[@]}" "$data"
  for dir in "${sets[@]}"; do mark_done "$dir"; done
fi
log "demo corpus in $data, manifest sha256 $(sha256sum "$audio/manifest" | cut -d ' ' -f 1)"
