#!/usr/bin/env bash
# Recognises speech with a recogniser of steps/judge.sh, e.g. Whisper, or with any program: one that reads a wav.scp and writes
# `utterance words` lines. Reads <data-dir>/{wav.scp,utt2spk}; writes <decode-dir>/text, which steps/score_asr.sh scores.
# Runs on this machine, in as many threads as OMP_NUM_THREADS says, else in half as many as there are cores. Names of files in
# wav.scp count from this directory; utterances that the program leaves out count as deletions.

force=false # true: run again although nothing changed
check=false # true: only say whether the recogniser is there; without the directories

. ./path.sh
help_message="Usage: $0 [options] <recogniser>|'<program> {wav.scp} {text}' <data-dir> <decode-dir>
e.g.: $0 whisper:models/whisper-tiny exp/enhance_mimic/wav/test exp/whisper/decode_test
      $0 'my_recogniser --model small {wav.scp} {text}' exp/enhance_mimic/wav/test exp/mine/decode_test
      $0 --check true whisper:models/whisper-tiny
Recognisers: whisper:DIR, sherpa:DIR, pocketsphinx (steps/setup.sh --judges true), or the directory of a model of this recipe.
A program and its words are split at spaces; {wav.scp} and {text} are replaced by these files.
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

if $check; then
  [ $# -eq 1 ] || die "--check true: expected <recogniser>|'<program> {wav.scp} {text}', got $# words; see --help"
else
  [ $# -eq 3 ] || die "expected <recogniser>|'<program> {wav.scp} {text}' <data-dir> <decode-dir>, got $# words; see --help"
fi
command=${1#cmd:} inputs=()
if [[ $command == \'*\' ]]; then command=${command:1:-1}; fi # cmd:'prog {wav.scp} {text}', as steps/judge.sh takes it
if [[ $command != *[\ \{]* ]]; then                        # one word
  pyscripts/recognise.py --check "$command" || exit 1
  command="pyscripts/recognise.py $command {wav.scp} {text}"
fi
for file in wav.scp text; do
  [[ $command == *"{$file}"* ]] || die "'$1' names no {$file}: expected a command such as 'prog {wav.scp} {text}'"
done
read -r -a words <<< "$command"
type -P "${words[0]}" > /dev/null || die "'${words[0]}': no such program"
if $check; then exit 0; fi
data=$2 dir=$3
for word in "${words[@]}"; do # the program, if it is a file here, and its model
  word=${word##*[=:]}
  if [[ -e $word && $word != pyscripts/recognise.py ]]; then inputs+=(--input "$word"); fi
done
require "$data/wav.scp" "local/*/prepare.sh or steps/enhance.sh"
require "$data/utt2spk" "local/*/prepare.sh or steps/enhance.sh"
if up_to_date "$dir" --force "$force" --version 1 --input "$data" "${inputs[@]}" --option "command=$1"; then exit 0; fi

[ -s "$data/utt2spk" ] || die "$data/utt2spk is empty: no utterances"
mkdir -p "$dir/log"
rm -f "$dir/text.new" # of a call that was interrupted
for k in "${!words[@]}"; do # in quotes: else & in a path would stand for what is replaced
  words[k]=${words[k]//"{wav.scp}"/"$data/wav.scp"}
  words[k]=${words[k]//"{text}"/"$dir/text.new"}
done
log "${words[0]} recognises $data"
# Recipes recognise two sets at a time. OpenMP's threads wait for each other in a loop: with more than there are cores an
# utterance took 4 s in place of 0.04 s (torch 2.11.0 with libgomp, 2 cores, 2 programs).
cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores < 4 ? 1 : cores / 2))}
"${words[@]}" > "$dir/log/decode.log" 2>&1 < /dev/null ||
  die "'$1' failed on $data with code $?: see $dir/log/decode.log"
[ -s "$dir/text.new" ] || die "'$1' has written nothing to {text}, $dir/text.new: see $dir/log/decode.log"
wrong=$(awk 'NR == FNR { known[$1]; next }
  NF == 0 { print FNR ": empty line"; exit }
  !($1 in known) { print FNR ": " $1 " is not an utterance of the data"; exit }
  $1 in seen { print FNR ": " $1 " is there twice"; exit }
  { seen[$1] }' "$data/utt2spk" "$dir/text.new")
[ -z "$wrong" ] || die "$dir/text.new:$wrong: correct what '$1' writes"
LC_ALL=C sort "$dir/text.new" > "$dir/text"
rm "$dir/text.new"
mark_done "$dir"
log "$(wc -l < "$dir/text") of $(wc -l < "$data/utt2spk") utterances in $dir/text"
