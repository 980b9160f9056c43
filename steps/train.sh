#!/usr/bin/env bash
# Trains the model that a configuration describes.
# Reads the directories that the overrides name; writes <exp-dir>: model.pt, config.yaml, train_log.jsonl, tensorboard/,
# and of an enhancer samples/.
# After a kill, the same command resumes from the last checkpoint and ends with the same weights. Exit code 75: stopped by
# SIGTERM or SIGUSR1 (a cluster reclaims the machine) with the state saved; run it again.

cmd=launch.py   # where the job runs
num_threads=0   # CPU threads; 0: all of this machine
num_processes=1 # on CPUs: processes that share each batch and these threads
ngpu=0          # GPUs of a machine, each with a process; 0: train on CPUs
device=         # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
num_nodes=1     # machines; several need Slurm
set=            # settings 'section.key=value ...', as after <exp-dir>; 'NAME:section.key=value': where it is called so
force=false     # true: train again although nothing changed; what was there goes to <dir>.old

. ./path.sh
help_message="Usage: $0 [options] <config.yaml> <exp-dir> [--section.key value]...
e.g.: $0 conf/asr.yaml exp/asr_clean --data.train exp/fbank/train_clean --data.dev exp/fbank/dev_clean --train.seed 2
      $0 conf/joint.yaml exp/joint --joint.enhancer exp/enhance_mse --data.init exp/asr_clean \
        --data.train data/train_noisy --data.dev data/dev_noisy --data.dev_clean data/dev_clean
Options (default):
$(list_options.sh "$0")
Settings after <exp-dir> override the configuration."
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 2 ] || die "expected <config.yaml> <exp-dir>, got $# words; see --help"
config=$1 dir=$2
shift 2
[ $(($# % 2)) = 0 ] || die "expected --section.key value pairs after <exp-dir>, got: $*"
read -r -a words <<< "$set" # of a recipe, for all of its trainings
own=$(settings_for "$dir" "${words[@]}") || exit 1
while read -r word; do [ -z "$word" ] || set -- "$@" "--${word%%=*}" "${word#*=}"; done <<< "$own"
[ "$num_nodes" -le 1 ] || command -v srun > /dev/null || die "--num-nodes $num_nodes needs Slurm, and there is not one here"

inputs=() options=() exist=true
if dry_run; then exist=false; fi
made_from=$(pyscripts/train_inputs.py --exist $exist "$config" "$@") || exit 1
while IFS=$'\t' read -r kind name value maker; do
  case $kind in
    task) task=$name ;;
    setting) options+=(--option "$name=$value") ;;
    input)
      require "$value" "$maker"
      inputs+=(--input "$value")
      ;;
  esac
done <<< "$made_from"
if up_to_date "$dir" --force "$force" --kind "$task" --version 1 "${inputs[@]}" "${options[@]}" \
  --verify pyscripts/train.py --check true "$config" "$dir" "$@"; then
  exit 0
fi

[ "$num_threads" != 0 ] || num_threads=$(nproc)
choose_device
if [ "$ngpu" -gt 0 ]; then num_processes=$ngpu; fi
start=()
if [ "$num_nodes" -gt 1 ]; then
  place+=(--num-nodes "$num_nodes")
  start=(srun --nodes "$num_nodes" --ntasks-per-node "$num_processes" --kill-on-bad-exit=1)
fi
mkdir -p "$dir/log"
rm -f "$dir/log/stopped.json"
# inside this repository it is found from there, so that a copy of the repository trains in the copy
repository=$(printf %q "$PWD") exp_dir=$dir
if [[ $(realpath "$dir") = "$(realpath .)"/* ]]; then
  repository="\"\$(dirname \"\$0\")\"/$(realpath --relative-to "$dir" .)"
  exp_dir=$(realpath --relative-to . "$dir")
fi
printf '#!/usr/bin/env bash\n# Made by %s: trains this model again.\ncd %s || exit 1\nexec %q --cmd %q --num-processes %q --ngpu %q --device %q --num-nodes %q "$@" %q %q %s\n' \
  "$0" "$repository" "$0" "$cmd" "$num_processes" "$ngpu" "$device" "$num_nodes" "$config" "$exp_dir" "${*@Q}" > "$dir/run.sh"
chmod +x "$dir/run.sh"

log "training $dir with $config"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --num-threads "$num_threads" "${place[@]}" "$dir/log/train.log" "${start[@]}" \
  pyscripts/train.py --device "$device" --num-processes "$num_processes" "$config" "$dir" "$@" || {
  rc=$? # launchers make every failure a 1
  if [ "$(summary "$dir/log/stopped.json" 2> /dev/null)" = "code 75" ]; then
    log "$dir: saved after a signal: run the same command again to resume"
    exit 75
  fi
  exit "$rc"
}

[ -s "$dir/model.pt" ] || die "$dir/model.pt was not written, see $dir/log/train.log"
mark_done "$dir"
log "trained $dir: $(tail -n 1 "$dir/train_log.jsonl")"
