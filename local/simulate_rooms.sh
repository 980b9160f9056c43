#!/usr/bin/env bash
# Impulse responses of rooms that do not exist: boxes of 20 to 170 cubic metres, talker and microphone 0.5 to 3 m apart,
# by the image source method. The same options give the same rooms for any --nj.
# Writes <out-dir>/wav.scp, the wavs (16 kHz) in <out-dir>/wav, and rooms.tsv: name, measured reverberation time in s, volume in
# cubic metres, distance in m. Takes about 1 s per room.
# shellcheck disable=SC2034  # some options are read by their name

rooms=100      # how many
shortest=0.15  # reverberation time of the walls (Sabine) in s, drawn evenly from this
longest=0.5    # to this
seed=1         # another one makes other rooms
nj=2           # jobs
cmd=launch.py  # where they run
force=false    # true: again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <out-dir>
e.g.: $0 --rooms 200 --longest 0.8 data/simulated_rooms
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <out-dir>, got $# words; see --help"
dir=$1
options=() made=(--force "$force" --version 1)
for name in rooms shortest longest seed; do
  options+=("--$name" "${!name}")
  made+=(--option "$name=${!name}")
done
if up_to_date "$dir" "${made[@]}"; then exit 0; fi
if [ "$nj" -gt "$rooms" ]; then nj=$rooms; fi
log "simulating $rooms rooms in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/simulate.$JOB.log" local/simulate_rooms.py simulate --job "$JOB" --nj "$nj" "${options[@]}" "$dir"
local/simulate_rooms.py collect --nj "$nj" "${options[@]}" "$dir"
rm -f "$dir"/rooms.[0-9]*
mark_done "$dir"
