#!/usr/bin/env bash
# Tries where cmd.sh lets jobs run: one job as for features, an array as for decoding, one as for training, which asks
# for --gpu GPUs. Says what to change in cmd.sh, conf/slurm.conf or conf/queue.conf. Writes logs into exp/cluster.
# Takes as long as five small jobs wait in the queue.

cmd_backend=       # local, slurm or sge; empty: what cmd.sh says
gpu=0              # GPUs that training will ask for
jobs=3             # of the array
patience=300       # seconds that a job may take from submission to end

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
problem() { echo "  PROBLEM: $*"; problems=$((problems + 1)); }
fact() { sed -n "s/^$1 //p" "$2"; }  # fact NAME LOG: what a job has said

# try WHAT NAME COMMAND...: runs a command of cmd.sh and says how it went.
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

# check_node LOG: whether a job found there what the recipe needs.
check_node() {
  local host venv
  host=$(fact host "$1") venv=$(fact venv "$1")
  if [ ! -e .venv ]; then
    problem "there is no .venv yet: steps/setup.sh makes it"
  elif [ "$(realpath "$venv")" != "$(realpath .venv)" ]; then
    problem "$host does not see $PWD/.venv, its Python is $venv: put this directory on a disk that all nodes share"
  fi
}

dir=exp/cluster  # like the whole recipe on a disk that all nodes share
rm -rf "$dir"
mkdir -p "$dir/log"
log=$dir/log/training.log
# shellcheck disable=SC2086  # commands with their options, as in Kaldi
{
  if try "one job" job $train_cmd "$dir/log/job.log" steps/lib/node_facts.py; then check_node "$dir/log/job.log"; fi
  if try "an array" array $decode_cmd --max-jobs-run 2 JOB=1:"$jobs" "$dir/log/array.JOB.log" steps/lib/node_facts.py; then
    for ((job = 1; job <= jobs; job++)); do check_node "$dir/log/array.$job.log"; done
  fi
  if [ "$gpu" = 0 ]; then
    if try training training $cuda_cmd --num-threads 1 "$log" steps/lib/node_facts.py; then check_node "$log"; fi
  elif try training training $cuda_cmd --num-threads 1 --gpu "$gpu" "$log" steps/lib/node_facts.py gpu; then
    check_node "$log"
    if [ "$(fact gpus "$log")" -lt "$gpu" ]; then
      problem "$(fact host "$log") shows $(fact gpus "$log") GPUs to a job that asked for $gpu" \
        "(CUDA_VISIBLE_DEVICES: $(fact devices "$log")): change 'option gpu=*' in conf/, or see nvidia-smi on that host"
    fi
  fi
}
[ "$problems" = 0 ] || die "$problems problems; logs are in $dir"
log "jobs run on: $(sed -n 's/^host //p' "$dir"/log/*.log | sort -u | tr '\n' ' ')"
