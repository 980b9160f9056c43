#!/usr/bin/env bash
# A Kaldi data directory from a corpus of another toolkit: Lhotse, Hugging Face, NeMo, CSV, LibriSpeech, VCTK, ...
# Reads <source>, a file or a folder; its format is detected by its content and printed. Writes <data-dir> with wav.scp,
# text, utt2spk, reco2dur and, where there are any, segments, spk2gender, reco2file_and_channel; utt2id, spk2id and
# reco2id hold ids that Kaldi's tables cannot. Audio stays where it is; that which lies within Arrow or Parquet is
# written to <data-dir>/audio. Reads the header of each recording, once.
# shellcheck disable=SC2034  # some options are read by their name

from=auto         # lhotse, huggingface, nemo, csv, librispeech, ljspeech, vctk, chime; auto: by the content
split=            # which one of several, such as train; of lhotse, huggingface, librispeech, chime
columns=          # names that this source has, e.g. 'text=normalized_text id=path'; else those that are usual
mic=              # which one of several microphones: mic2 of VCTK (mic1), CH1 of CHiME-4 (CH5), U01.CH1 of CHiME-6 (the speaker's)
audio_dir=        # where relative paths begin; empty: the folder of <source>, then this one
channel=          # channel of audio that has several, from 0, where <source> names none
allow_pipes=false # true: run the commands that <source> may hold
max_skip=0.01     # share of the utterances that may be unusable
cmd=launch.py     # where it runs
force=false       # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <source> <data-dir>
e.g.: $0 manifests/cuts.jsonl.gz mine/train_clean
      $0 --split train --columns 'text=sentence' dataset mine/train_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <source> <data-dir>, got $# words; see --help"
source=$1 data=$2
[ -e "$source" ] || pending "$source" || die "$source: no such file or directory"
[ -z "$audio_dir" ] || [ -d "$audio_dir" ] || die "--audio-dir $audio_dir: no such directory"
options=(--from "$from" --allow-pipes "$allow_pipes" --max-skip "$max_skip") made=()
for name in split columns mic audio_dir channel; do
  [ -z "${!name}" ] || options+=("--${name/_/-}" "${!name}")
done
for name in from split columns mic audio_dir channel allow_pipes; do made+=("$name=${!name}"); done
if up_to_date "$data" --force "$force" --kind data --version 1 --input "$source" --option "${made[@]}"; then exit 0; fi
$cmd "$data/log/import.log" pyscripts/import_data.py read --messages "$data/log/import.json" "${options[@]}" "$source" "$data"
mark_done "$data"
while IFS= read -r line; do log "$line"; done < <(
  python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["messages"], sep="\n")' "$data/log/import.json"
)
