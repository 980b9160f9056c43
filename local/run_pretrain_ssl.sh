#!/usr/bin/env bash
# A self-supervised encoder from speech alone, as HuBERT: it predicts units of frames that it does not hear. The first
# units are clusters of filterbanks, those of a second iteration clusters of the first encoder's hidden states.
# Options as in run.sh: each line "name=value  # meaning" below is one.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=4           # last stage to run
config=                # bash file of name=value lines, read before the other options
corpus=demo            # 'demo', or a directory with {train,dev}_clean
exp=exp/ssl            # where everything goes, but the data of demo
ssl_config=            # network and training; empty: conf/hubert_demo.yaml, with a directory conf/hubert.yaml
iterations=1           # 2: another encoder, from the units of the first
layer=                 # stage 4: hidden state of the first encoder that is clustered; empty: its middle
clusters=              # units; empty: those of the configuration
second_clusters=       # units of the second iteration; empty: as many
demo_hours=0.5         # demo: hours of training speech
seed=1                 # of all training
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores shared out, on a cluster 4
force=false            # true: redo the stages although nothing changed
train_options=""       # stages 3 and 4: further settings, as "--train.epochs 5"; split at spaces

. ./path.sh || exit 1
help_message="Usage: local/run_pretrain_ssl.sh [--option value]...
e.g.: local/run_pretrain_ssl.sh                                        a small one, from the demo corpus
      local/run_pretrain_ssl.sh --corpus data --iterations 2 --ngpu 8  HuBERT Base

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage          writes
  1 data         data/{train,dev}_clean of the demo
  2 units        exp/ssl/{fbank,units1}/{train,dev}
  3 training     exp/ssl/hubert1, its encoder in exp/ssl/hubert1/encoder
  4 iteration    with --iterations 2: exp/ssl/{hidden,units2}/{train,dev}, exp/ssl/hubert2"
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
train_jobs=1 seeds=1
check_common
source=$corpus
if [ "$corpus" = demo ]; then source=data; fi
if [ -z "$ssl_config" ]; then
  ssl_config=conf/hubert.yaml
  if [ "$corpus" = demo ]; then ssl_config=conf/hubert_demo.yaml; fi
fi
check_files config ssl_config
if [ "$corpus" != demo ]; then
  for set in train dev; do [ -d "$corpus/${set}_clean" ] || die "--corpus $corpus has no directory ${set}_clean"; done
fi
size() { sed -n "s/.*[{ ,]$1: *\([0-9]*\).*/\1/p" "$ssl_config" | head -n 1; }  # size KEY: what the configuration says
layers=$(size layers)
: "${clusters:=$(size clusters)}" "${layer:=$((${layers:-12} / 2))}"
: "${second_clusters:=$clusters}"
start_recipe "$exp"

cluster() {  # cluster FEATS UNITS N: of the training set, and the same of the development set
  steps/cluster_feats.sh --cmd "$train_cmd" --force "$force" --clusters "$3" --seed "$seed" "$1/train" "$2/train"
  steps/cluster_feats.sh --cmd "$train_cmd" --force "$force" --clusters "$3" --seed "$seed" --centres "$2/train" \
    "$1/dev" "$2/dev"
}
pretrain() {  # pretrain NUMBER N
  local more
  read -r -a more <<< "$train_options"
  steps/train.sh "${training[@]}" "$ssl_config" "$exp/hubert$1" --train.seed "$seed" --model.clusters "$2" \
    --data.train "$source/train_clean" --data.targets "$exp/units$1/train" \
    --data.dev "$source/dev_clean" --data.dev_targets "$exp/units$1/dev" "${more[@]}"
}

if begin 1 "data" && [ "$corpus" = demo ]; then local/demo/prepare.sh "${alone[@]}" --hours "$demo_hours" data; fi

if begin 2 "units"; then
  for set in train dev; do
    aside 2 steps/make_feats.sh "${common[@]}" --feat-config conf/fbank_20ms.conf "$source/${set}_clean" "$exp/fbank/$set"
  done
  all_done
  cluster "$exp/fbank" "$exp/units1" "$clusters"
fi

if begin 3 "training"; then pretrain 1 "$clusters"; fi

if [ "$iterations" = 2 ] && begin 4 "second iteration"; then
  for set in train dev; do
    aside 2 steps/extract_ssl.sh "${common[@]}" --layers "$layer" "$exp/hubert1/encoder" "$source/${set}_clean" \
      "$exp/hidden/$set"
  done
  all_done
  cluster "$exp/hidden" "$exp/units2" "$second_clusters"
  pretrain 2 "$second_clusters"
fi

log "encoder: $exp/hubert$iterations/encoder"
log "finished. [elapsed=${SECONDS}s]"
