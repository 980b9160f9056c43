#!/usr/bin/env bash
# A data directory as manifests of another toolkit; audio stays where it is, ids are those that it was imported with.
# Reads <data-dir>; writes <out-dir> with recordings, supervisions and cuts (*.jsonl.gz; Lhotse), manifest.json (NeMo) or
# utterances.csv. Reads the header of each recording.

to=lhotse         # lhotse, nemo, csv
channel=          # channel of audio that has several, from 0, where <data-dir> names none; empty: all
allow_pipes=false # true: run the commands that wav.scp may hold
cmd=launch.py     # where it runs
force=false       # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: $0 --to nemo data/train_clean manifests/train
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <out-dir>, got $# words; see --help"
data=$1 dir=$2
for file in wav.scp utt2spk; do require "$data/$file" "steps/import_data.sh"; done
options=(--to "$to" --allow-pipes "$allow_pipes")
[ -z "$channel" ] || options+=(--channel "$channel")
if up_to_date "$dir" --force "$force" --kind manifests --version 1 --input "$data" \
  --option "to=$to" "channel=$channel" "allow_pipes=$allow_pipes"; then
  exit 0
fi
$cmd "$dir/log/export.log" pyscripts/export_data.py "${options[@]}" "$data" "$dir"
mark_done "$dir"
log "$dir: $(wc -l < "$data/utt2spk") utterances for $to"
