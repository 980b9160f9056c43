#!/usr/bin/env bash
# The classical hybrid system without a Kaldi build: GMM-HMMs (monophones, triphones, LDA+MLLT, SAT), then networks on
# fMLLR features, decoded with HCLG. Trained on clean, clean and noisy, and enhanced speech, each tested on all three.
# Runs after run.sh on any corpus, and after an enhancer, e.g. local/run_segan.sh. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
. steps/lib/corpus_options.sh           # --min-dur, --max-dur, --valid-speakers
exp=exp/ligru                           # where everything goes
corpus=demo                             # 'demo': --data as run.sh made it, and small sizes; or a directory with {train,dev,test}_{clean,noisy}
lexicon=                                # WORD PH PH lines, several per word allowed; empty: lang/lexicon.txt of the corpus
lexicon_type=auto                       # columns of --lexicon: plain, prob, silprob; auto: from all its lines
lm=                                     # ARPA file; empty: an n-gram model of the training transcripts
order=3                                 # of that model
mix=                                    # further text for it, such as books; its share is fitted on the dev transcripts
enhancer=exp/enhance_segan              # model (pretrained/fast_b), or directory with wav/{train,dev,test}, the first to train on; if it does not exist: clean and noisy speech only
nets=ligru                              # any of ligru, lstm, gru, mlp: conf/hybrid_<net>.yaml; tdnnf by LF-MMI: conf/lfmmi_tdnnf.yaml
size=                                   # _demo: conf/*_<net>_demo.yaml, the default of --corpus demo; full: the published sizes
train_speech="clean multi enhanced"     # what the networks train on: any of clean, multi (clean and noisy), enhanced (where it is there), copies (below)
noise_copies=2                          # of clean speech, each with other noise, enhanced where there is an enhancer; beside clean, and enhanced or else noisy speech
noise_dir=                              # recorded noises: DIR/train, or DIR
rir_dir=                                # RIRs for three of ten utterances of a copy, as --noise-dir
snrs="0 5 10 15 20"                     # of the copies, dB
speeds=                                 # the networks also train on copies at these speeds, e.g. "0.9 1.1"
also=                                   # data directory of more clean training speech for the networks, as local/demo/synthesise.sh makes it
train_options=""                        # stage 5: further settings, as "--train.epochs 5"; split at spaces
leaves=                                 # of the trees; empty: 4000, for the demo 400
lfmmi_leaves=                           # of the tree of LF-MMI; empty: 1000, for the demo 150
gauss=                                  # Gaussians; empty: 50000, for the demo 2500
gmm_passes=                             # over the speech, of each GMM-HMM; empty: 40 for monophones, 35 for triphones, for the demo 20
mfcc_config=conf/mfcc.conf              # features
net_feats=fmllr                         # what the networks read: fmllr, adapted to the speaker; or options of filterbanks, as conf/fbank_40.conf
fuse=false                              # stage 6: true: also all networks of one tree together, by the mean of their scores
max_lmwt=17                             # stage 6: largest LM scale that is tried on dev; a loop of few words wants more
word_ins_penalty=0.0,0.5,1.0            # stage 6: penalties that are tried on dev
decode_mbr=false                        # stage 6: true: the words with the fewest expected errors, with confidences in ctm
seeds=1                                 # networks from this many seeds: --seed, --seed + 1, ...
train_jobs=2                            # networks trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_ligru.sh [--option value]...
e.g.: ./run.sh && local/run_segan.sh && local/run_ligru.sh
      local/run_ligru.sh --nets 'ligru lstm gru mlp' --enhancer exp/enhance_mimic
      local/run_ligru.sh --nets tdnnf --train-speech copies --noise-dir noises --enhancer pretrained/fast_b
      local/run_ligru.sh --corpus corpora/speechocean762 --lexicon lexicon.txt --leaves 1500 --gauss 12000

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage           writes
  1 language      exp/ligru/{lang,lm}
  2 features      exp/ligru/{mfcc,fbank}/<set>_<side>; exp/ligru/data: perturbed, mixed and enhanced speech
  3 GMM-HMM       exp/ligru/{mono,tri1,tri2,tri3}, tri3/graph
  4 fMLLR         exp/ligru/tri3/decode_*, exp/ligru/tri3_ali_*, exp/ligru/fmllr/<set>_<side>; for LF-MMI exp/ligru/lfmmi_tree
  5 networks      exp/ligru/<net>_{clean,multi,enhanced,copies}
  6 scores        exp/ligru/<net>_*/<side>/scoring/{dev,test}, exp/ligru/{RESULTS,BREAKDOWN,SYSTEMS}.md, exp/ligru/BREAKDOWN_snr*.svg"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

is_mmi() { [[ ${config[$1]} == conf/lfmmi_* ]]; }

check_common "$@"
check_files lexicon lm mix mfcc_config
check_dirs also noise_dir rir_dir
check_words train_speech clean multi enhanced copies
[ "$net_feats" = fmllr ] || [ -f "$net_feats" ] || die "--net-feats $net_feats: no such file, and not fmllr"
mono_gauss=1000
if $debug; then # what run.sh and local/run_segan.sh made with --debug true
  : "${leaves:=40}" "${lfmmi_leaves:=30}" "${gauss:=150}" "${gmm_passes:=6}"
  if [ "$enhancer" = exp/enhance_segan ]; then enhancer=exp_debug/enhance_segan; fi
fi
if [ "$corpus" = demo ]; then
  whole_corpus
  source=$data mono_gauss=600
  : "${size:=_demo}" "${leaves:=400}" "${lfmmi_leaves:=150}" "${gauss:=2500}" "${gmm_passes:=20}"
else
  choose_source {train,dev,test}_{clean,noisy}
  : "${lexicon:=$corpus/lang/lexicon.txt}"
fi
: "${leaves:=4000}" "${lfmmi_leaves:=1000}" "${gauss:=50000}" "${lexicon:=$source/lang/lexicon.txt}"
declare -A config=()
mmi=false
for net in $nets; do
  for kind in hybrid lfmmi; do
    if [ -f "conf/${kind}_$net${size#full}.yaml" ]; then config[$net]=conf/${kind}_$net${size#full}.yaml; fi
  done
  [ -n "${config[$net]:-}" ] || die "--nets: no network '$net': conf/hybrid_$net.yaml is not there"
  if is_mmi "$net"; then mmi=true; fi
done
sides=(clean noisy) sets=(train dev test) net_train=train
if [ -n "$speeds" ]; then net_train=train_speed; fi
copied=$net_train
if [ -n "$also" ]; then net_train=train_also; fi
if [ "$net_train" != train ]; then sets+=("$net_train"); fi
there=$train_speech enhanced=$enhancer/wav enhances=false copies=()
if [ -f "$enhancer/config.yaml" ] && { [ ! -d "$enhanced/test" ] || [ ! -d "$enhanced/train" ]; }; then
  enhanced=$exp/enhanced enhances=true # in stage 2
fi
if $enhances || [ -d "$enhanced/test" ]; then
  sides+=(enhanced)
elif [ -d "$enhancer" ]; then
  die "--enhancer $enhancer: no model (config.yaml), and no enhanced speech in $enhanced/{train,dev,test}"
fi
last=${sides[-1]} # what the copies are like
if ! $enhances && [ ! -d "$enhanced/train" ]; then there=${there//enhanced/}; fi
if [[ " $train_speech " = *" copies "* ]]; then
  [ -n "$noise_dir" ] || die "--train-speech copies: name recorded noises, --noise-dir"
  [ "$last" != enhanced ] || [ -f "$enhancer/config.yaml" ] ||
    die "--train-speech copies: no model in $enhancer to enhance them: --enhancer MODEL, or none"
  for ((i = 1; i <= noise_copies; i++)); do copies+=("copy$i"); done
fi
read -r -a trained <<< "$there"
[ -n "$train_speech" ] || die "--train-speech: any of clean, multi, enhanced and copies, got none"
[ ${#trained[@]} -gt 0 ] || die "--train-speech $train_speech: there is no enhanced speech in $enhanced/train"
passes=() realign=()
if [ -n "$gmm_passes" ]; then
  passes=(--num-iters "$gmm_passes" --max-iter-inc $((gmm_passes * 3 / 4)))
  realign=(--realign-iters "$((gmm_passes * 3 / 10)) $((gmm_passes * 6 / 10))")
fi
start_recipe "$exp"
lang=$exp/lang mfcc=$exp/mfcc tri=$exp/tri3 tree=$exp/lfmmi_tree
if [ "$net_feats" = fmllr ]; then feats=$exp/fmllr; else feats=$exp/fbank; fi

used() { # used SET SIDE: whether it is clean, for dev or test, or what a network trains on
  if [[ $2 = copy* ]]; then
    [ "$1" = "$net_train" ]
  elif [[ $1 = train* && $2 != clean ]]; then
    [[ " ${trained[*]} " = *" ${2/noisy/multi} "* ]] || { [ ${#copies[@]} -gt 0 ] && [ "$2" = "$last" ]; }
  fi
}
data_dir_for() { # data_dir_for SET SIDE
  if [ "$1,$2" = train_also,clean ]; then
    echo "$exp/data/train_also_clean"
  elif [ "$1" = train_also ]; then
    data_dir_for "$copied" "$2"
  elif [ "$1" = train_speed ] || [[ $2 = copy* ]]; then
    echo "$exp/data/$1_$2"
  elif [ "$2" = enhanced ]; then
    echo "$enhanced/$1"
  else
    echo "$source/$1_$2"
  fi
}

if begin 1 "lexicon and language model"; then
  if $selected; then select_sets "$corpus" "$source" {train,dev,test}_{clean,noisy}; fi
  steps/prepare_lang.sh "${one_job[@]}" --lexicon-type "$lexicon_type" "$lexicon" '<UNK>' "$lang"
  if [ -z "$lm" ]; then
    require "$source/train_clean/text" "stage 1 of run.sh (data)"
    steps/train_lm.sh "${one_job[@]}" --order "$order" --unit word --lexicon "$lang/words.txt" --mix "$mix" \
      ${mix:+--dev "$source/dev_clean"} "$source/train_clean" "$exp/lm"
  fi
fi
: "${lm:=$exp/lm/lm.arpa}"

mix_copy() { # mix_copy SIDE
  local dir noisy mixing=()
  dir=$(data_dir_for "$copied" "$1")
  noisy=$dir
  if [ "$last" = enhanced ]; then noisy=${dir}_noisy; fi
  if [ -n "$rir_dir" ]; then mixing+=(--rir-dir "$exp/rirs/train" --rir-prob 0.3); fi
  if [ "$(cut -d ' ' -f 2 "$source/train_clean/utt2spk" 2> /dev/null | sort -u | wc -l)" -gt 4 ] &&
    ! grep -qs '^babble' "$exp/noises/train/wav.scp"; then
    mixing+=(--babble-dir "$source/train_clean")
  fi
  local/mix_noise.sh "${common[@]}" --snrs "$snrs" --seed "10${1#copy}" "${mixing[@]}" \
    --clean-out "${dir}_clean" "$(data_dir_for "$copied" clean)" "$exp/noises/train" "$noisy"
  if [ "$noisy" != "$dir" ]; then steps/enhance.sh "${common[@]}" "$enhancer" "$noisy" "$dir"; fi
}
if begin 2 "MFCC"; then
  if $enhances; then
    for set in train dev test; do
      if used "$set" enhanced; then steps/enhance.sh "${common_2nj[@]}" "$enhancer" "$source/${set}_noisy" "$enhanced/$set"; fi
    done
  fi
  if [ -n "$speeds" ]; then
    for side in "${sides[@]}"; do
      if ! used train "$side"; then continue; fi
      in_background 2 steps/perturb_speed.sh "${common[@]}" --speeds "$speeds" "$(data_dir_for train "$side")" \
        "$(data_dir_for train_speed "$side")"
    done
    wait_all
  fi
  if [ -n "$also" ]; then
    steps/combine_data.sh --force "$force" "$exp/data/train_also_clean" "$(data_dir_for "$copied" clean)" "$also"
  fi
  if [ ${#copies[@]} -gt 0 ]; then
    local/split_recordings.sh --force "$force" "$noise_dir" "$exp/noises"
    if [ -n "$rir_dir" ]; then local/split_recordings.sh --force "$force" "$rir_dir" "$exp/rirs"; fi
    for side in "${copies[@]}"; do in_background 2 mix_copy "$side"; done
    wait_all
  fi
  for set in "${sets[@]}"; do
    for side in "${sides[@]}" "${copies[@]}"; do
      if ! used "$set" "$side"; then continue; fi
      in_background 2 make_feats mfcc "$mfcc_config" "$(data_dir_for "$set" "$side")" "$mfcc/${set}_$side"
      [ "$net_feats" = fmllr ] ||
        in_background 2 make_feats fbank "$net_feats" "$(data_dir_for "$set" "$side")" "$feats/${set}_$side"
    done
  done
  wait_all
fi

if begin 3 "GMM-HMMs on clean speech"; then
  train=$mfcc/train_clean more=("${one_job[@]}" "${passes[@]}" "${realign[@]}")
  steps/train_mono.sh "${common_2nj[@]}" --totgauss $mono_gauss "${passes[@]}" "$train" "$lang" "$exp/mono"
  steps/align_si.sh "${common_2nj[@]}" "$train" "$lang" "$exp/mono" "$exp/mono_ali"
  steps/train_deltas.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/mono_ali" "$exp/tri1"
  steps/align_si.sh "${common_2nj[@]}" "$train" "$lang" "$exp/tri1" "$exp/tri1_ali"
  steps/train_lda_mllt.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/tri1_ali" "$exp/tri2"
  steps/align_si.sh "${common_2nj[@]}" "$train" "$lang" "$exp/tri2" "$exp/tri2_ali"
  steps/train_sat.sh "${more[@]}" "$leaves" "$gauss" "$train" "$lang" "$exp/tri2_ali" "$tri"
  for model in "$exp/tri2" "$tri"; do steps/mkgraph.sh "${one_job[@]}" "$lang" "$lm" "$model" "$model/graph"; done
fi

# The transforms of training sets are estimated from transcripts, those of the others from a first decoding.
adapt() { # adapt SET SIDE
  local from=$tri/decode_$1_$2 skip=()
  if ! used "$1" "$2"; then return; fi
  if [ "$1" = "$net_train" ]; then
    from=${tri}_ali_$2
    if [ "$2" != clean ] && [ "$net_feats" != fmllr ]; then return; fi # nothing of it is used
    if [ -n "$also" ]; then skip=(--max-skip 0.1); fi  # of voices that are no one's
    if [ "$2" != clean ]; then skip=(--max-skip 1); fi # only its transforms are used: labels are those of clean speech
    steps/align_fmllr.sh "${common[@]}" "${skip[@]}" "$mfcc/$1_$2" "$lang" "$tri" "$from"
  else
    steps/decode_lattice.sh "${decoding[@]}" "$tri/graph" "$mfcc/$1_$2" "$from"
  fi
  [ "$net_feats" != fmllr ] || steps/make_fmllr_feats.sh "${common[@]}" "$mfcc/$1_$2" "$tri" "$from" "$feats/$1_$2"
}
if begin 4 "alignments and fMLLR"; then
  for set in $net_train dev test; do
    for side in "${sides[@]}" "${copies[@]}"; do in_background 2 adapt "$set" "$side"; done
  done
  in_background 2 steps/align_fmllr.sh "${common[@]}" "$mfcc/dev_clean" "$lang" "$tri" "${tri}_ali_dev"
  for side in "${sides[@]}"; do # without adaptation, for comparison
    in_background 2 steps/decode_lattice.sh "${decoding[@]}" "$exp/tri2/graph" "$mfcc/dev_$side" \
      "$exp/tri2/decode_dev_$side"
  done
  wait_all
  if $mmi; then
    steps/build_tree.sh "${one_job[@]}" "$lfmmi_leaves" "$mfcc/${net_train}_clean" "$lang" "${tri}_ali_clean" "$tree"
    steps/mkgraph.sh "${one_job[@]}" --self-loop-scale 1.0 "$lang" "$lm" "$tree" "$tree/graph"
  fi
fi

train_net() { # train_net NET SPEECH NAME: the labels are always the alignments of clean speech
  local speech=$feats/${net_train}_$2 dev=$feats/dev_$2 more side
  read -r -a more <<< "$train_options"
  if is_mmi "$1"; then more=(--data.tree "$tree" "${more[@]}"); fi
  case $2 in
    multi) speech="$feats/${net_train}_clean $feats/${net_train}_noisy" dev=$feats/dev_noisy ;;
    copies)
      speech=$feats/${net_train}_clean dev=$feats/dev_$last
      for side in "$last" "${copies[@]}"; do speech+=" $feats/${net_train}_$side"; done
      ;;
  esac
  steps/train.sh "${training[@]}" "${config[$1]}" "$exp/$3" --train.seed "$(seed_of "$3")" \
    --data.train "$speech" --data.train_ali "${tri}_ali_clean" --data.dev "$dev" --data.dev_ali "${tri}_ali_dev" \
    "${more[@]}"
}
if begin 5 "networks"; then
  for net in $nets; do
    for speech in "${trained[@]}"; do
      for name in $(with_seeds "${net}_$speech"); do in_background "$train_jobs" train_net "$net" "$speech" "$name"; done
    done
  done
  wait_all
fi

scoring=("${one_job[@]}" --max-lmwt "$max_lmwt" --word-ins-penalty "$word_ins_penalty" --decode-mbr "$decode_mbr")
score() { # score MODEL-DIR SIDE FEATURES GRAPH [decoding options]: the LM scale is tuned on dev
  local set from=()
  for set in dev test; do
    if [ "$1" = "$exp/fused_lfmmi" ] || [ "$1" = "$exp/fused_hybrid" ]; then
      steps/decode_score_fusion.sh "${decoding[@]}" "${@:5}" "$4" "$3/${set}_$2" "${fused[@]}" "$1/decode_${set}_$2"
    elif [ "$3" != "$mfcc" ]; then
      steps/decode_lattice.sh "${decoding[@]}" "${@:5}" "$4" "$3/${set}_$2" "$1/decode_${set}_$2"
    fi
    steps/score_lattices.sh "${scoring[@]}" "${from[@]}" "$3/${set}_$2" "$4" "$1/decode_${set}_$2" "$1/$2/scoring/$set"
    from=(--from "$1/decode_dev_$2")
  done
}
set_search() { # set_search CONFIG: graph and search options of networks of a configuration
  search=("$tri/graph" --acwt 0.1 --beam 15 --lattice-beam 9)
  if [[ $1 == conf/lfmmi_* ]]; then search=("$tree/graph" --acwt 1.0 --post-decode-acwt 10.0 --beam 15); fi
}
if begin 6 "decoding and scores"; then
  rows=() pairs=() systems=("GMM SAT=$tri")
  for side in "${sides[@]}"; do
    in_background 2 score "$tri" "$side" "$mfcc" "$tri/graph"
    in_background 2 steps/score_lattices.sh "${scoring[@]}" "$mfcc/dev_$side" "$exp/tri2/graph" "$exp/tri2/decode_dev_$side" \
      "$exp/tri2/$side/scoring/dev"
    rows+=("GMM SAT, $side=,$tri/$side")
  done
  for net in $nets; do
    set_search "${config[$net]}"
    for speech in "${trained[@]}"; do
      systems+=("$net of $speech speech=$exp/${net}_$speech<seed>")
      for side in "${sides[@]}"; do
        for name in $(with_seeds "${net}_$speech"); do
          in_background 2 score "$exp/$name" "$side" "$feats" "${search[@]}" --ngpu "$ngpu"
        done
        rows+=("$net of $speech speech, $side=,$exp/${net}_$speech<seed>/$side")
        pairs+=(--pair "GMM SAT, $side" "$net of $speech speech, $side")
      done
    done
  done
  for kind in hybrid lfmmi; do
    fused=()
    for net in $nets; do
      if $fuse && [[ ${config[$net]} == conf/${kind}_* ]]; then
        for speech in "${trained[@]}"; do for name in $(with_seeds "${net}_$speech"); do fused+=("$exp/$name"); done; done
      fi
    done
    if [ ${#fused[@]} -lt 2 ]; then continue; fi
    wait_all
    set_search "conf/${kind}_"
    systems+=("${#fused[@]} fused, $kind=$exp/fused_$kind")
    for side in "${sides[@]}"; do
      in_background 2 score "$exp/fused_$kind" "$side" "$feats" "${search[@]}" --ngpu "$ngpu"
      rows+=("${#fused[@]} fused, $kind, $side=,$exp/fused_$kind/$side")
    done
    wait_all
  done
  wait_all
  score_table --columns "dev WER,test WER" --output "$exp/RESULTS.md" "${pairs[@]}" -- "${rows[@]}"
  dry_run || pyscripts/breakdown_table.py --command "$(command_line)" --seed "$seed" --seeds "$seeds" \
    --output "$exp/BREAKDOWN.md" "${rows[@]/=,/=}"
  recogniser_table --output "$exp/SYSTEMS.md" "${systems[@]}"
fi

finished "tables: $exp/{RESULTS,SYSTEMS}.md; by age and SNR $exp/BREAKDOWN.md; by noise and speaker */scoring/test/breakdown_wer.tsv"
