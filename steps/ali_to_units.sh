#!/usr/bin/env bash
# Targets from alignments, which the encoders of local/run_pretrain_ssl.sh predict: HMM states of phones.
# Reads <ali-dir>..., all aligned with one model; writes <targets-dir>: units.scp, units.ark (int32, the unit of each
# frame), units.txt (their names).

frame_subsampling_factor=2 # frames of an alignment for one target: 2 of 10 ms for encoders of 20 ms
cmd=launch.py              # where it runs
force=false                # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <ali-dir>... <targets-dir>
e.g.: $0 exp/ligru/tri3_ali_clean exp/ssl/phones
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 2 ] || die "expected <ali-dir>... <targets-dir>, got $# words; see --help"
alignments=("${@:1:$#-1}") dir=${*: -1}
for ali in "${alignments[@]}"; do require "$ali/ali.1.gz" "steps/align_si.sh, steps/align_fmllr.sh"; done
[[ $frame_subsampling_factor =~ ^[1-9][0-9]*$ ]] ||
  die "--frame-subsampling-factor is above 0, got '$frame_subsampling_factor'"
if up_to_date "$dir" --force "$force" --version 1 --input "${alignments[@]}" --option "factor=$frame_subsampling_factor"; then
  exit 0
fi
$cmd "$dir/log/units.log" pyscripts/ali_to_units.py --frame-subsampling-factor "$frame_subsampling_factor" \
  "${alignments[@]}" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/units.scp") utterances in $dir: $(summary "$dir/summary.json")"
