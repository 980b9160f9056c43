#!/usr/bin/env bash
# Self-supervised pretraining as HuBERT: the encoder predicts k-means targets of masked frames. The targets of the first
# iteration are clusters of filterbanks, those of the second iteration clusters of that encoder's hidden states.
# Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
. steps/lib/corpus_options.sh           # --min-dur, --max-dur, --valid-speakers
exp=exp/ssl                             # where everything goes but the demo corpus
corpus=demo                             # 'demo', or a directory with {train,dev}_clean
ssl_config=                             # network and training; empty: conf/hubert_demo.yaml, with a directory conf/hubert.yaml
iterations=1                            # 2: a second encoder, with targets from the first
layer=                                  # stage 4: encoder layer whose output is clustered; empty: the middle one
clusters=                               # k-means clusters; empty: as in the configuration
second_clusters=                        # k-means clusters of the second iteration; empty: as --clusters
ali=                                    # stage 2: alignments of {train,dev}_clean, such as exp/ligru/tri3_ali_*: their phones' states are the first targets
demo_hours=0.5                          # demo: hours of training speech
train_options=""                        # stages 3 and 4: further settings, as "--train.epochs 5"; split at spaces

. ./path.sh || exit 1
help_message="Usage: local/run_pretrain_ssl.sh [--option value]...
e.g.: local/run_pretrain_ssl.sh                                        a small one, from the demo corpus
      local/run_pretrain_ssl.sh --corpus data --iterations 2 --ngpu 8  HuBERT Base
      local/run_pretrain_ssl.sh --ali 'exp/ligru/tri3_ali_clean exp/ligru/tri3_ali_dev'    from transcribed speech

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage          writes
  1 data         data/{train,dev}_clean of the demo
  2 targets      exp/ssl/{fbank,units1}/{train,dev}; with --ali exp/ssl/phones, exp/ssl/data/{train,dev}
  3 training     exp/ssl/hubert1, its encoder in exp/ssl/hubert1/encoder
  4 iteration    with --iterations 2: exp/ssl/{hidden,units2}/{train,dev}, exp/ssl/hubert2"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
for directory in $ali; do [ -d "$directory" ] || die "--ali $directory: no such directory"; done
if [ "$corpus" = demo ]; then
  whole_corpus
  source=$data
  : "${ssl_config:=conf/hubert_demo.yaml}"
else
  choose_source train_clean dev_clean
  : "${ssl_config:=conf/hubert.yaml}"
fi
check_files ssl_config
sizes=$(pyscripts/print_settings.py "$ssl_config" model.layers=12 model.clusters) || exit 1
mapfile -t sizes <<< "$sizes"
: "${clusters:=${sizes[1]}}" "${layer:=$((sizes[0] / 2))}" "${second_clusters:=$clusters}"
start_recipe "$exp"

data_dir_for() { # data_dir_for SET: with --ali what of it is aligned
  if [ -n "$ali" ]; then echo "$exp/data/$1"; else echo "$source/${1}_clean"; fi
}
targets_for() { # targets_for ITERATION SET
  if [ "$1" = 1 ] && [ -n "$ali" ]; then echo "$exp/phones"; else echo "$exp/units$1/$2"; fi
}
cluster() { # cluster FEATS TARGETS N: centroids of the training set, which label the development set too
  steps/apply_kmeans.sh "${one_job[@]}" --clusters "$3" --seed "$seed" "$1/train" "$2/train"
  steps/apply_kmeans.sh "${one_job[@]}" --clusters "$3" --seed "$seed" --centroids "$2/train" "$1/dev" "$2/dev"
}
pretrain() { # pretrain ITERATION N
  local more
  read -r -a more <<< "$train_options"
  steps/train.sh "${training[@]}" "$ssl_config" "$exp/hubert$1" --train.seed "$seed" --model.clusters "$2" \
    --data.train "$(data_dir_for train)" --data.targets "$(targets_for "$1" train)" \
    --data.dev "$(data_dir_for dev)" --data.dev_targets "$(targets_for "$1" dev)" "${more[@]}"
}

if begin 1 "data"; then
  if [ "$corpus" = demo ]; then prepare_demo; fi
  if $selected; then select_sets "$corpus" "$source" {train,dev}_clean; fi
fi

if begin 2 "targets"; then
  if [ -n "$ali" ]; then
    # shellcheck disable=SC2086  # directories
    steps/ali_to_units.sh --force "$force" $ali "$exp/phones"
    for set in train dev; do
      steps/subset_data.sh --force "$force" --utt-list "$exp/phones/units.scp" "$source/${set}_clean" all "$(data_dir_for "$set")"
    done
  else
    for set in train dev; do
      in_background 2 make_feats fbank conf/fbank_20ms.conf "$source/${set}_clean" "$exp/fbank/$set"
    done
    wait_all
    cluster "$exp/fbank" "$exp/units1" "$clusters"
  fi
fi

if begin 3 "training"; then
  if [ -n "$ali" ] && [ -f "$exp/phones/units.txt" ]; then clusters=$(wc -l < "$exp/phones/units.txt"); fi
  pretrain 1 "$clusters"
fi

if [ "$iterations" = 2 ] && begin 4 "second iteration"; then
  for set in train dev; do
    in_background 2 steps/extract_ssl.sh "${common[@]}" --layers "$layer" "$exp/hubert1/encoder" "$(data_dir_for "$set")" \
      "$exp/hidden/$set"
  done
  wait_all
  cluster "$exp/hidden" "$exp/units2" "$second_clusters"
  pretrain 2 "$second_clusters"
fi

finished "encoder: $exp/hubert$iterations/encoder"
