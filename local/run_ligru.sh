#!/usr/bin/env bash
# The classical hybrid system without a Kaldi build: GMM-HMMs (monophones, triphones, LDA+MLLT, SAT), then networks on
# fMLLR features, decoded with HCLG. Trained on clean, clean and noisy, and enhanced speech, each tested on all three.
# Goes on after run.sh on any corpus, and after an enhancer, e.g. local/run_segan.sh. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=6           # last stage to run
config=                # bash file of name=value lines, read before the other options
corpus=demo            # 'demo': data/ as run.sh left it and small sizes; or a directory with {train,dev,test}_{clean,noisy}
lexicon=               # WORD PH PH lines, several of a word are possible; empty: lang/lexicon.txt of the corpus
lm=                    # ARPA file; empty: an n-gram model of the training transcripts
order=3                # of that model
enhancer=exp/enhance_segan  # directory with wav/{train,dev,test}; where it is not there, clean and noisy speech only
nets=ligru             # any of ligru, lstm, gru, mlp: conf/hybrid_<net>.yaml
size=                  # _demo takes conf/hybrid_<net>_demo.yaml; the default for --corpus demo; full: the published ones
train_options=""       # stage 5: further settings, as "--train.epochs 5"; split at spaces
leaves=                # of the trees; empty: 4000, for the demo 400
gauss=                 # Gaussians; empty: 50000, for the demo 2500
gmm_passes=            # over the speech, of each GMM-HMM; empty: 40 for monophones, 35 for triphones, for the demo 20
mfcc_config=conf/mfcc.conf  # features
exp=exp/ligru          # where everything goes
seed=1                 # of the networks
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2           # networks trained side by side; with --ngpu one after the other
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
force=false            # true: redo the stages although nothing changed

. ./path.sh || exit 1
help_message="Usage: local/run_ligru.sh [--option value]...
e.g.: ./run.sh && local/run_segan.sh && local/run_ligru.sh
      local/run_ligru.sh --nets 'ligru lstm gru mlp' --enhancer exp/enhance_mimic
      local/run_ligru.sh --corpus corpora/speechocean762 --lexicon lexicon.txt --leaves 1500 --gauss 12000

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage           writes
  1 language      exp/ligru/{lang,lm}
  2 features      exp/ligru/mfcc/<set>_<side>
  3 GMM-HMM       exp/ligru/{mono,tri1,tri2,tri3}, tri3/graph
  4 fMLLR         exp/ligru/tri3/decode_*, exp/ligru/tri3_ali_*, exp/ligru/fmllr/<set>_<side>
  5 networks      exp/ligru/<net>_{clean,multi,enhanced}
  6 scores        exp/ligru/<net>_*/<side>/scoring/{dev,test}, exp/ligru/{RESULTS,BREAKDOWN}.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
check_common
check_files config lexicon lm mfcc_config
source=$corpus
mono_gauss=1000
if [ "$corpus" = demo ]; then
  source=data mono_gauss=600
  : "${size:=_demo}" "${leaves:=400}" "${gauss:=2500}" "${gmm_passes:=20}"
fi
: "${leaves:=4000}" "${gauss:=50000}" "${lexicon:=$source/lang/lexicon.txt}"
for net in $nets; do
  [ -f "conf/hybrid_$net${size#full}.yaml" ] || die "--nets: no network '$net': conf/hybrid_$net.yaml is not there"
done
sides=(clean noisy) trained=(clean multi)
if [ -d "$enhancer/wav/train" ]; then sides+=(enhanced) trained+=(enhanced); fi
passes=() realign=()
if [ -n "$gmm_passes" ]; then
  passes=(--num-iters "$gmm_passes" --max-iter-inc $((gmm_passes * 3 / 4)))
  realign=(--realign-iters "$((gmm_passes * 3 / 10)) $((gmm_passes * 6 / 10))")
fi
start_recipe "$exp"
lang=$exp/lang mfcc=$exp/mfcc tri=$exp/tri3

heard() {  # heard SET SIDE: the data directory
  if [ "$2" = enhanced ]; then echo "$enhancer/wav/$1"; else echo "$source/$1_$2"; fi
}

if begin 1 "lexicon and language model"; then
  steps/prepare_lang.sh --cmd "$train_cmd" --force "$force" "$lexicon" '<UNK>' "$lang"
  if [ -z "$lm" ]; then
    require "$source/train_clean/text" "stage 1 of run.sh (data)"
    steps/train_lm.sh --cmd "$train_cmd" --force "$force" --order "$order" --unit word "$source/train_clean" "$exp/lm"
  fi
fi
: "${lm:=$exp/lm/lm.arpa}"

if begin 2 "MFCC"; then
  for set in train dev test; do
    for side in "${sides[@]}"; do
      aside 2 steps/make_feats.sh "${common[@]}" --type mfcc --feat-config "$mfcc_config" \
        "$(heard "$set" "$side")" "$mfcc/${set}_$side"
    done
  done
  all_done
fi

if begin 3 "GMM-HMMs on clean speech"; then
  train=$mfcc/train_clean more=(--cmd "$train_cmd" --force "$force" "${passes[@]}" "${realign[@]}")
  steps/train_mono.sh "${alone[@]}" --totgauss $mono_gauss "${passes[@]}" "$train" "$lang" "$exp/mono"
  steps/align_si.sh "${alone[@]}" "$train" "$lang" "$exp/mono" "$exp/mono_ali"
  steps/train_deltas.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/mono_ali" "$exp/tri1"
  steps/align_si.sh "${alone[@]}" "$train" "$lang" "$exp/tri1" "$exp/tri1_ali"
  steps/train_lda_mllt.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/tri1_ali" "$exp/tri2"
  steps/align_si.sh "${alone[@]}" "$train" "$lang" "$exp/tri2" "$exp/tri2_ali"
  steps/train_sat.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/tri2_ali" "$tri"
  for model in "$exp/tri2" "$tri"; do
    steps/mkgraph.sh --cmd "$train_cmd" --force "$force" "$lang" "$lm" "$model" "$model/graph"
  done
fi

# Training sets have transforms from their transcripts, the others from what a first pass hears.
adapt() {  # adapt SET SIDE
  local from=$tri/decode_$1_$2 skip=()
  if [ "$1" = train ]; then
    from=${tri}_ali_$2
    if [ "$2" != clean ]; then skip=(--max-skip 1); fi  # for transforms alone: the labels are those of clean speech
    steps/align_fmllr.sh "${common[@]}" "${skip[@]}" "$mfcc/train_$2" "$lang" "$tri" "$from"
  else
    steps/decode_lattice.sh "${decoding[@]}" "$tri/graph" "$mfcc/$1_$2" "$from"
  fi
  steps/make_fmllr_feats.sh "${common[@]}" "$mfcc/$1_$2" "$tri" "$from" "$exp/fmllr/$1_$2"
}
if begin 4 "alignments and fMLLR"; then
  for set in train dev test; do for side in "${sides[@]}"; do aside 2 adapt "$set" "$side"; done; done
  aside 2 steps/align_fmllr.sh "${common[@]}" "$mfcc/dev_clean" "$lang" "$tri" "${tri}_ali_dev"
  for side in "${sides[@]}"; do  # the same without adaptation, to compare with
    aside 2 steps/decode_lattice.sh "${decoding[@]}" "$exp/tri2/graph" "$mfcc/dev_$side" "$exp/tri2/decode_dev_$side"
  done
  all_done
fi

train_net() {  # train_net NET KIND: the labels of all kinds are the alignments of clean speech
  local sets=$exp/fmllr/train_$2 dev=$exp/fmllr/dev_$2 more
  read -r -a more <<< "$train_options"
  if [ "$2" = multi ]; then sets="$exp/fmllr/train_clean $exp/fmllr/train_noisy" dev=$exp/fmllr/dev_noisy; fi
  steps/train.sh "${training[@]}" "conf/hybrid_$1${size#full}.yaml" "$exp/$1_$2" --train.seed "$seed" \
    --data.train "$sets" --data.train_ali "${tri}_ali_clean" --data.dev "$dev" --data.dev_ali "${tri}_ali_dev" \
    "${more[@]}"
}
if begin 5 "networks"; then
  for net in $nets; do for kind in "${trained[@]}"; do aside "$train_jobs" train_net "$net" "$kind"; done; done
  all_done
fi

score() {  # score MODEL-DIR SIDE FEATURES [decoding options]: the scale of dev is that of test
  local set from=()
  for set in dev test; do
    [ "$3" = "$mfcc" ] || steps/decode_lattice.sh "${decoding[@]}" "${@:4}" "$tri/graph" "$3/${set}_$2" "$1/decode_${set}_$2"
    steps/score_lattices.sh --cmd "$train_cmd" --force "$force" "${from[@]}" \
      "$3/${set}_$2" "$tri/graph" "$1/decode_${set}_$2" "$1/$2/scoring/$set"
    from=(--from "$1/decode_dev_$2")
  done
}
if begin 6 "decoding and scores"; then
  rows=()
  for side in "${sides[@]}"; do
    aside 2 score "$tri" "$side" "$mfcc"
    aside 2 steps/score_lattices.sh --cmd "$train_cmd" --force "$force" "$mfcc/dev_$side" "$exp/tri2/graph" \
      "$exp/tri2/decode_dev_$side" "$exp/tri2/$side/scoring/dev"
    rows+=("GMM SAT, $side=,$tri/$side")
  done
  for net in $nets; do
    for kind in "${trained[@]}"; do
      for side in "${sides[@]}"; do
        aside 2 score "$exp/${net}_$kind" "$side" "$exp/fmllr" --acwt 0.1 --beam 15 --lattice-beam 9 --ngpu "$ngpu"
        rows+=("$net of $kind speech, $side=,$exp/${net}_$kind/$side")
      done
    done
  done
  all_done
  pyscripts/results_table.py --command "${call[*]}" --columns "dev WER,test WER" --output "$exp/RESULTS.md" "${rows[@]}"
  pyscripts/breakdown_table.py --command "${call[*]}" --output "$exp/BREAKDOWN.md" "${rows[@]/=,/=}"
  log "tables: $exp/RESULTS.md, by age and SNR $exp/BREAKDOWN.md, noise and speaker $exp/*/*/scoring/test/breakdown_wer.tsv"
fi

log "finished. [elapsed=${SECONDS}s]"
