#!/usr/bin/env bash
# Tests the job submission of cmd.sh: one job as for features, an array as for decoding, one as for training, which
# asks for --gpu GPUs. Prints what to change in cmd.sh, conf/slurm.conf or conf/queue.conf. Logs are in exp/cluster.
# Takes as long as five small jobs wait in the queue.

cmd_backend= # local, slurm or sge; empty: the one in cmd.sh
gpu=0        # GPUs that training will ask for
jobs=3       # of the array
patience=300 # seconds that a job may take from submission to end

. ./path.sh
help_message="Usage: $0 [options]
e.g.: $0 --cmd-backend slurm --gpu 1
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. ./cmd.sh || exit 1
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
problems=0
problem() {
  echo "  PROBLEM: $*"
  problems=$((problems + 1))
}

# try WHAT NAME COMMAND...: runs a command of cmd.sh and prints the outcome.
try() {
  local begun=$SECONDS code=0
  echo "$1: ${*:3}"
  timeout "$patience" "${@:3}" 2> "$dir/$2.err" || code=$?
  if [ "$code" = 124 ]; then echo "not finished after $patience s: the queue is full, or nothing in it fits" >> "$dir/$2.err"; fi
  if [ "$code" = 0 ]; then
    echo "  ok after $((SECONDS - begun)) s"
  else
    problem "$(sed 's/^launch.py: //; q' "$dir/$2.err")"
    sed '1d; s/^/    /' "$dir/$2.err"
  fi
  return "$code"
}

# check_nodes GPUS FILE...: whether jobs found on their nodes what the recipe needs.
check_nodes() {
  local line
  while IFS= read -r line; do problem "$line"; done < <(steps/lib/node_facts.py check "$@")
}

dir=exp/cluster # like the whole recipe on a disk that all nodes share
rm -rf "$dir"
mkdir -p "$dir/log"
facts=steps/lib/node_facts.py
# shellcheck disable=SC2086  # commands with their options, as in Kaldi
{
  if try "one job" job $train_cmd "$dir/log/job.log" $facts record "$dir/job.json"; then check_nodes 0 "$dir/job.json"; fi
  if try "an array" array $decode_cmd --max-jobs-run 2 JOB=1:"$jobs" "$dir/log/array.JOB.log" \
    $facts record "$dir/array.JOB.json"; then
    check_nodes 0 "$dir"/array.*.json
  fi
  if [ "$gpu" = 0 ]; then asked=() with=(); else asked=(--gpu "$gpu") with=(gpu); fi
  if try training training $cuda_cmd --num-threads 1 "${asked[@]}" "$dir/log/training.log" \
    $facts record "$dir/training.json" "${with[@]}"; then
    check_nodes "$gpu" "$dir/training.json"
  fi
}
[ "$problems" = 0 ] || die "$problems problems; logs are in $dir"
log "jobs run on: $($facts hosts "$dir"/*.json) "
