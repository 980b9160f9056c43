#!/usr/bin/env bash
# Simulated RIRs of boxes of 20 to 170 cubic metres, talker and microphone 0.5 to 3 m apart, by the
# image source method. The same options give the same RIRs for any --nj.
# Writes <out-dir>/wav.scp, the wavs (16 kHz) in <out-dir>/wav, and rirs.tsv: name, measured reverberation time in s, volume
# in cubic metres, distance in m. Takes about 1 s per RIR.
# shellcheck disable=SC2034  # some options are read by their name

rirs=100      # number of RIRs  # was: rooms
shortest=0.15 # reverberation time of the walls (Sabine) in s, uniform from this
longest=0.5   # to this
seed=1        # of shapes and positions
nj=2          # jobs
cmd=launch.py # where they run
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <out-dir>
e.g.: $0 --rirs 200 --longest 0.8 data/simulated_rirs
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <out-dir>, got $# words; see --help"
dir=$1
options=() made=(--force "$force" --version 1)
for name in rirs shortest longest seed; do
  options+=("--$name" "${!name}")
  made+=(--option "$name=${!name}")
done
if up_to_date "$dir" "${made[@]}"; then exit 0; fi
if [ "$nj" -gt "$rirs" ]; then nj=$rirs; fi
log "simulating $rirs RIRs in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/simulate.$JOB.log" local/simulate_rirs.py simulate --job "$JOB" --nj "$nj" "${options[@]}" "$dir"
local/simulate_rirs.py collect --nj "$nj" "${options[@]}" "$dir"
rm -f "$dir"/rirs.[0-9]*
mark_done "$dir"
