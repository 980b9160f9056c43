#!/usr/bin/env bash
# Trains the model that a configuration describes.
# Reads the directories that the overrides name; writes <exp-dir>: model.pt, config.yaml, train_log.jsonl, tensorboard/.
# After a kill, the same command goes on from the last checkpoint and ends with the same weights. Exit code 75: SIGTERM
# or SIGUSR1 came (a cluster takes its machine back), all is saved, start it again.

cmd=launch.py   # where the job runs
num_threads=0   # CPU threads; 0: all of this machine
num_processes=1 # on CPUs: processes that share each batch and these threads
ngpu=0          # GPUs of a machine, each with a process; 0: train on CPUs
num_nodes=1     # machines; several need Slurm
force=false     # true: start anew although nothing changed

help_message="Usage: $0 [options] <config.yaml> <exp-dir> [--section.key value]...
e.g.: $0 conf/asr.yaml exp/asr_clean --data.train exp/fbank/train_clean --data.dev exp/fbank/dev_clean --train.seed 2
      $0 conf/joint.yaml exp/joint --joint.enhancer exp/enhance_mse --data.init exp/asr_clean \
        --data.train data/train_noisy --data.dev data/dev_noisy --data.dev_clean data/dev_clean
Options (default):
  --cmd CMD           where the job runs ($cmd)
  --num-threads N     CPU threads, 0: all of this machine ($num_threads)
  --num-processes N   on CPUs: processes that share each batch and these threads ($num_processes)
  --ngpu N            GPUs of a machine, each with a process; 0: train on CPUs ($ngpu)
  --num-nodes N       machines; several need Slurm ($num_nodes)
  --force true|false  start anew although nothing changed ($force)
What is given behind <exp-dir> overrides the configuration."

. ./path.sh
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 2 ] || die "expected <config.yaml> <exp-dir>, got $# words; see --help"
config=$1 dir=$2
shift 2
[ $(($# % 2)) = 0 ] || die "expected --section.key value pairs behind <exp-dir>, got: $*"
require "$config" "a configuration of conf/"
for n in "$num_threads" "$num_processes" "$ngpu" "$num_nodes"; do
  [[ $n =~ ^[0-9]+$ ]] || die "--num-threads, --num-processes, --ngpu and --num-nodes take whole numbers, got '$n'"
done
[ "$num_nodes" -le 1 ] || command -v srun > /dev/null || die "--num-nodes $num_nodes needs Slurm, and here is no srun"

inputs=() options=()
file=$config task=$(sed -n 's/^task: *//p' "$config")
while base=$(sed -n 's/^base: *//p' "$file") && [ -n "$base" ]; do  # the configurations that it starts from
  file=$(dirname "$file")/$base
  inputs+=(--input "$file")
  task=${task:-$(sed -n 's/^task: *//p' "$file")}
done
for ((i = 1; i <= $#; i += 2)); do
  j=$((i + 1))
  case ${!i} in
    *loss.perceptual)
      # A file or a directory of transformers is a self-supervised encoder that a user has brought.
      if [ ! -f "${!j}" ] && [ ! -f "${!j}/config.json" ]; then require "${!j}/model.pt" "stage 3 (perceptual model)"; fi
      inputs+=(--input "${!j}") ;;
    --teacher.path | --model.first)
      [ -e "${!j}" ] || die "${!i} ${!j}: no such file or directory: local/run_pretrain_ssl.sh trains a small teacher"
      inputs+=(--input "${!j}") ;;
    --data.targets | --data.features) require "${!j}/feats.scp" "steps/extract_ssl.sh"; inputs+=(--input "${!j}") ;;
    --data.units | --data.dev_units) require "${!j}/units.scp" "steps/cluster_feats.sh"; inputs+=(--input "${!j}") ;;
    --joint.enhancer) require "${!j}/model.pt" "stage 4 (enhancement)"; inputs+=(--input "${!j}") ;;
    --data.init) require "${!j}/model.pt" "stage 6 (recognition)"; inputs+=(--input "${!j}") ;;
    --data.labels | --data.dev_labels)
      [ -f "${!j}" ] || die "${!i} ${!j}: no such file"
      inputs+=(--input "${!j}") ;;
    --data.tokens) require "${!j}/tokens.txt" "stage 6 (recognition)"; inputs+=(--input "${!j}") ;;
    --data.noises | --data.rooms | --data.stft)
      [ -e "${!j}" ] || die "${!i} ${!j}: no such file or directory"
      inputs+=(--input "${!j}") ;;
    --data.train* | --data.dev*)
      if [ "$task" = hybrid ]; then  # several directories may be given
        for set in ${!j}; do
          if [[ ${!i} == *ali ]]; then require "$set/ali.1.gz" "steps/align_fmllr.sh"; fi
          if [[ ${!i} != *ali ]]; then require "$set/feats.scp" "steps/make_fmllr_feats.sh"; fi
          inputs+=(--input "$set")
        done
      elif [[ $task =~ ^(joint|denoise|distill|metricgan|pretrain_ssl|probe_enhance|segan)$ ]]; then
        require "${!j}/wav.scp" "stage 1 (data)"
      elif [ ! -f "${!j}" ]; then  # a language model may be trained on a text file
        require "${!j}/feats.scp" "stage 2 (features) or 5 (dump)"
      fi
      [ "$task" = hybrid ] || inputs+=(--input "${!j}") ;;
  esac
  options+=(--option "${!i}=${!j}")
done
if up_to_date "$dir" --force "$force" --kind "$task" --version 1 --input "$config" "${inputs[@]}" "${options[@]}" \
  --verify pyscripts/train.py --check true "$config" "$dir" "$@"; then
  exit 0
fi

[ "$num_threads" != 0 ] || num_threads=$(nproc)
device=cpu place=()
if [ "$ngpu" -gt 0 ]; then device=cuda num_processes=$ngpu place=(--gpu "$ngpu"); fi
start=()
if [ "$num_nodes" -gt 1 ]; then
  place+=(--num-nodes "$num_nodes")
  start=(srun --nodes "$num_nodes" --ntasks-per-node "$num_processes" --kill-on-bad-exit=1)
fi
mkdir -p "$dir/log"
printf '#!/usr/bin/env bash\n# Made by %s: trains this model again.\ncd %q || exit 1\nexec %q --cmd %q --num-processes %q --ngpu %q --num-nodes %q "$@" %q %q %s\n' \
  "$0" "$PWD" "$0" "$cmd" "$num_processes" "$ngpu" "$num_nodes" "$config" "$dir" "${*@Q}" > "$dir/run.sh"
chmod +x "$dir/run.sh"

log "training $dir with $config"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --num-threads "$num_threads" "${place[@]}" "$dir/log/train.log" "${start[@]}" \
  pyscripts/train.py --device "$device" --num-processes "$num_processes" "$config" "$dir" "$@" || {
  rc=$?  # launchers make every failure a 1, but all write the code into the log
  if tail -n 1 "$dir/log/train.log" | grep -q '(code 75)'; then
    log "$dir: saved after a signal: run the same command again to go on"
    exit 75
  fi
  exit "$rc"
}

[ -s "$dir/model.pt" ] || die "$dir/model.pt was not written, see $dir/log/train.log"
mark_done "$dir"
log "trained $dir: $(tail -n 1 "$dir/train_log.jsonl")"
