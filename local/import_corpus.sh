#!/usr/bin/env bash
# Stage 1 for your own data: Kaldi data directories (steps/import_data.sh makes them from other formats) become data/{train,dev,test}_{clean,noisy}.
# Interface for run.sh, one call for the whole corpus:
#   local/import_corpus.sh --nj N --cmd CMD --force true|false --corpus DIR [--lexicon F --oov-policy P ...] data
# A source holds wav.scp text utt2spk (spk2utt), and may hold segments, text.phn, utt2snr, utt2noise, spk2gender.
# Plain 16 kHz mono files are used where they are; everything else is written once as 16-bit wav to <set>/wav/.
# Writes <data>/<set>_{clean,noisy} and <data>/lang (lexicon.txt, phones.txt). Takes as long as decoding the audio.
# shellcheck disable=SC2034  # some options are read by their name

corpus=               # a directory with {train,dev,test}_{clean,noisy}; missing sets are left out
train_clean=          # one data directory per set, in place of --corpus; sets that are not given are left out
train_noisy=          # same utterances and lengths as --train-clean
dev_clean=            # as --train-clean
dev_noisy=            # as --train-noisy
test_clean=           # as --train-clean
test_noisy=           # as --train-noisy
valid_speakers=       # speakers of the training set who become the dev set, where the corpus has none: 'p226 p287'
lexicon=              # WORD PH PH lines, for transcripts without text.phn; empty: <corpus>/lang/lexicon.txt, if any
lexicon_type=auto     # columns of --lexicon: plain (WORD PH PH), prob, silprob (as Kaldi's); auto: from all its lines
oov_policy=fail       # words without pronunciation: fail, skip (their utterances), g2p (from their spelling)
text_normaliser=upper # none, upper, plain (also drops punctuation), voicebank (as the published systems)
allow_pipes=false     # true: run the commands that wav.scp may hold
channel=              # channel to take of audio that has several, from 0; empty: such audio is refused
max_skip=0.01         # share of a set's utterances that may be unusable
min_dur=              # seconds of the shortest utterance that is taken; the others do not count to --max-skip; empty: any
max_dur=              # seconds of the longest one; empty: any
nj=4                  # jobs that decode audio
cmd=launch.py         # where they run
force=false           # true: import again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] --corpus <dir> <data-dir>
   or: $0 [options] --train-clean <dir> --train-noisy <dir> --dev-clean <dir> ... <data-dir>
e.g.: $0 --corpus mycorpus --lexicon cmudict.txt --oov-policy g2p data
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <data-dir>, got $# words; see --help"
data=$1
check_durations
[ -z "$corpus" ] || [ -d "$corpus" ] || dry_run || die "--corpus $corpus: no such directory"
if [ -z "$lexicon" ] && [ -f "$corpus/lang/lexicon.txt" ]; then lexicon=$corpus/lang/lexicon.txt; fi
[ -z "$lexicon" ] || [ -f "$lexicon" ] || pending "$lexicon" || die "--lexicon $lexicon: no such file"

if [ -n "$valid_speakers" ]; then
  [ -z "$dev_clean$dev_noisy" ] && [ ! -d "$corpus/dev_clean" ] ||
    die "--valid-speakers takes the dev set from the training set, and there is one already: ${dev_clean:-$corpus/dev_clean}"
  for side in clean noisy; do
    name=train_$side
    if [ -z "${!name}" ] && [ -d "$corpus/$name" ]; then printf -v "$name" %s "$corpus/$name"; fi
    if [ -z "${!name}" ]; then continue; fi
    for part in train:less-speakers dev:speakers; do
      steps/subset_data.sh --cmd "$cmd" --force "$force" --"${part#*:}" "$valid_speakers" "${!name}" all \
        "$data/split/${part%:*}_$side"
    done
    printf -v "$name" %s "$data/split/train_$side"
    printf -v "dev_$side" %s "$data/split/dev_$side"
  done
fi

sets=() cleans=() words=()
for set in train dev test; do
  for side in clean noisy; do
    name=${set}_$side
    if [ -z "${!name}" ] && [ -n "$corpus" ] && { [ -d "$corpus/$name" ] || pending "$corpus/$name"; }; then
      printf -v "$name" %s "$corpus/$name"
    fi
    [ -z "${!name}" ] || [ -d "${!name}" ] || pending "${!name}" || die "--${name/_/-} ${!name}: no such data directory"
  done
  clean=${set}_clean noisy=${set}_noisy
  [ -n "${!clean}" ] || [ -z "${!noisy}" ] || die "${!noisy} has no clean speech: give --$set-clean"
  if [ -z "${!clean}" ]; then continue; fi
  sets+=("$set") cleans+=("${!clean}")
  [ -n "${!noisy}" ] || dry_run || log "${!clean} has no noisy speech: local/mix_noise.sh makes one"
done
[ ${#sets[@]} -gt 0 ] || die "nothing to import: no {train,dev,test}_clean in '$corpus', and no option names one"
for clean in "${cleans[@]}"; do
  for table in text text.phn; do [ ! -f "$clean/$table" ] || words+=(--input "$clean/$table"); done
done

lang=$data/lang
[ -z "$lexicon" ] || words+=(--input "$lexicon")
[ "$lexicon_type" = auto ] || words+=(--option "lexicon_type=$lexicon_type")
if ! up_to_date "$lang" --force "$force" --kind lang --version 1 "${words[@]}" \
  --option "oov_policy=$oov_policy" "text_normaliser=$text_normaliser" "lexicon_type=$lexicon_type"; then
  log "words and phones of ${sets[*]}"
  pyscripts/import_data.py lang --lexicon "$lexicon" --lexicon-type "$lexicon_type" --oov-policy "$oov_policy" \
    --text-normaliser "$text_normaliser" "$lang" "${cleans[@]}"
  mark_done "$lang"
fi

for set in "${sets[@]}"; do
  clean=${set}_clean noisy=${set}_noisy
  pair=("${!clean}" "$data/$clean") made=(--kind data --version 1 --input "${!clean}")
  # What this set is made from, and not the texts of other sets, of which data/lang is made too.
  if [ -f "$lang/lexicon.txt" ]; then made+=(--input "$lang/lexicon.txt"); fi
  if [ -n "${!noisy}" ]; then pair+=("${!noisy}" "$data/$noisy") made+=(--input "${!noisy}"); fi
  for name in text_normaliser allow_pipes channel; do made+=(--option "$name=${!name}"); done
  for name in min_dur max_dur; do [ -z "${!name}" ] || made+=(--option "$name=${!name}"); done
  unfinished=false
  for ((i = 1; i < ${#pair[@]}; i += 2)); do
    up_to_date "${pair[i]}" --force "$force" "${made[@]}" || unfinished=true
  done
  if ! $unfinished; then continue; fi

  options=(--text-normaliser "$text_normaliser" --allow-pipes "$allow_pipes" --max-skip "$max_skip" --lang "$lang")
  for name in min_dur max_dur; do [ -z "${!name}" ] || options+=("--${name/_/-}" "${!name}"); done
  [ -z "$channel" ] || options+=(--channel "$channel")
  utterances=$(pyscripts/import_data.py plan "${options[@]}" "${pair[@]}")
  [ "$utterances" -gt 0 ] || die "${!clean} has no utterances"
  jobs=$((nj < utterances ? nj : utterances))
  log "importing $utterances utterances of ${!clean}${!noisy:+ and ${!noisy}} in $jobs jobs"
  # shellcheck disable=SC2086  # a command with its options, as in Kaldi
  $cmd "$JOB=1:$jobs" "$data/$clean/log/import.$JOB.log" \
    pyscripts/import_data.py convert "${options[@]}" --job "$JOB" --nj $jobs "${pair[@]}"
  pyscripts/import_data.py finish "${options[@]}" --nj $jobs "${pair[@]}"
  for ((i = 1; i < ${#pair[@]}; i += 2)); do mark_done "${pair[i]}"; done
  log "$data/$clean${!noisy:+ and $data/$noisy}: $(wc -l < "$data/$clean/text") utterances, valid"
done
