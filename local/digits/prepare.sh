#!/usr/bin/env bash
# Connected digits in noise, after Aurora-2, from recordings of single digits: for ./run.sh --corpus <out> and
# local/run_ligru.sh --corpus <out> --lm <out>/lang/digit_loop.arpa.
# Reads <src>: the directory of local/digits/download.sh, or any with <digit>_<speaker>_<index>.wav or .flac, and <noise>:
# a folder with train and test. Strings have 1 to 7 digits; no speaker is in two sets. Test strings are halves: set A has
# noise types of the training (other recordings), set B others. Writes <out>/{train,dev,test}_{clean,noisy} and
# <out>/lang (lexicon.txt, digit_loop.arpa). All is limited to 4 kHz, as at 8 kHz; wavs have 16 kHz, as everywhere here.
# Takes about two minutes.
# shellcheck disable=SC2034  # some options are read by their name

train_strings=1200                # strings to train with
dev_strings=210                   # strings to select with
test_strings=420                  # strings of each test set, A and B
dev_speakers=                     # speakers of dev, split at spaces; empty: a sixth of them, at least one
test_speakers=                    # speakers of test, as --dev-speakers
speeds="0.9 1.0 1.1"              # of training strings, each as often; another speed counts as another speaker
train_snrs="clean 20 15 10 5"     # dB, of train_noisy and dev_noisy, each as often; clean: without noise
test_snrs="clean 20 15 10 5 0 -5" # dB, of test_noisy
seed=1                            # of strings and mixtures
nj=2                              # jobs
cmd=launch.py                     # where they run
force=false                       # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <src> <noise> <out>
e.g.: $0 --test-speakers theo downloads/fsdd noises corpora/digits
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <src> <noise> <out>, got $# words; see --help"
src=$1 noise=$2 out=$3
[ -d "$src" ] || pending "$src" || die "$src: no such directory: local/digits/download.sh $src fetches the recordings"
[ -d "$noise" ] || pending "$noise" || die "$noise: no such directory"
case $(realpath -m "$out")/ in # the next call would read what this one writes
  "$(realpath -m "$src")"/* | "$(realpath -m "$noise")"/*) die "$out lies in <src> or <noise>: name another directory" ;;
esac
options=() made=(--force "$force" --version 1 --input "$src" --input "$noise" --input local/digits/lexicon.txt)
for name in train_strings dev_strings test_strings dev_speakers test_speakers speeds seed; do
  options+=("--${name//_/-}" "${!name}")
  made+=(--option "$name=${!name}")
done
if ! up_to_date "$out/digits" "${made[@]}"; then
  log "strings of digits from $src"
  local/digits/prepare.py "${options[@]}" "$src" "$noise" "$out/digits"
  mark_done "$out/digits"
fi
mix() { # mix SET NOISES SNRS OUT
  local/mix_noise.sh --nj "$nj" --cmd "$cmd" --force "$force" --seed "$seed" --snrs "$3" \
    "$out/digits/speech/$1_clean" "$out/digits/noises/$2" "$4/$1_noisy"
}
mix train train "$train_snrs" "$out"
mix dev train "$train_snrs" "$out"
mix test_a seen "$test_snrs" "$out/digits/mixed"
mix test_b unseen "$test_snrs" "$out/digits/mixed"
for side in clean noisy; do
  steps/combine_data.sh --cmd "$cmd" --force "$force" "$out/test_$side" "$out/digits/mixed"/test_{a,b}_$side
done
dry_run || cp -r "$out/digits/lang" "$out/"
