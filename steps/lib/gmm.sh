# shellcheck shell=bash
# GMM-HMM training and alignment: the code of steps/train_{mono,deltas,lda_mllt,sat}.sh, steps/align_{si,fmllr}.sh
# and steps/build_tree.sh.
# Source it after log.sh. The functions read the steps' options by name, and set data, lang, alidir, dir and nj.
# shellcheck disable=SC2154  # which the steps set

# gmm NAME [options]: the sub-command NAME of pyscripts/train_gmm.py, over the statistics of all jobs; gmm_jobs: in each
# job. The log is log/NAME.ITER.log or log/NAME.ITER.JOB.log.
gmm() { _launch_gmm "$1" "" "${@:2}"; }
gmm_jobs() { _launch_gmm "$1" "$JOB" "${@:2}"; }
_launch_gmm() {
  local name=$1 iter=0 words=("${@:3}") i jobs=() log
  for ((i = 0; i < ${#words[@]}; i += 2)); do if [ "${words[i]}" = --iter ]; then iter=${words[i + 1]}; fi; done
  log=$dir/log/$name.$iter.log words+=(--nj "$nj")
  if [ -n "$2" ]; then jobs=("$2=1:$nj") log=$dir/log/$name.$iter.$2.log words+=(--job "$2"); fi
  # shellcheck disable=SC2086  # a command with its options, as in Kaldi
  $cmd --mem 2G "${jobs[@]}" "$log" pyscripts/train_gmm.py "$name" "${words[@]}" "$data" "$lang" "$dir" > "$dir/log/$name.out" ||
    {
      cat "$dir/log/$name.out"
      die "$name failed, see $dir/log"
    }
}

# begin_gmm WORDS...: false where $dir is done. Otherwise it is emptied: a training that was interrupted starts again, for
# its iterations overwrite each other's alignments.
begin_gmm() {
  if up_to_date "$dir" --force "$force" --version 1 "$@"; then return 1; fi
  find "$dir" -mindepth 1 -maxdepth 1 ! -name '.*' -exec rm -r {} +
  mkdir -p "$dir/log"
  echo "$nj" > "$dir/num_jobs"
  cp "$lang/phones.txt" "$dir/phones.txt"
}

# limit_jobs_to_speakers DATA: no more jobs than speakers, for the utterances of a speaker stay together.
limit_jobs_to_speakers() {
  local speakers
  if pending "$1"; then return; fi
  speakers=$(awk '{ print $2 }' "$1/utt2spk" | sort -u | wc -l)
  [ "$speakers" -gt 0 ] || die "$1/utt2spk is empty: no utterances"
  if [ "$nj" -gt "$speakers" ]; then nj=$speakers; fi
}

# check_number WORD NAME
check_number() { [[ $1 =~ ^[1-9][0-9]{0,8}$ ]] || die "<$2> is a whole number of at least 1, got '$1'"; }

# train_monophones <feat-dir> <lang-dir> <exp-dir>
train_monophones() {
  [ $# -eq 3 ] || die "expected <feat-dir> <lang-dir> <exp-dir>, got $# words; see --help"
  data=$1 lang=$2 dir=$3
  require "$data/feats.scp" "steps/make_feats.sh"
  require "$lang/L.fst" "steps/prepare_lang.sh"
  limit_jobs_to_speakers "$data"
  begin_gmm --input "$data" "$lang" --option "iters=$num_iters $max_iter_inc $realign_iters" "totgauss=$totgauss" \
    "align=$boost_silence $power $beam $retry_beam" || exit 0

  log "monophones on $(wc -l < "$data/feats.scp") utterances of $data in $nj jobs"
  gmm init-mono
  gmm_jobs align-equal
  gmm_jobs acc --iter 0
  gmm est --iter 0 --min-gaussian-occupancy 3
  rm "$dir/0.mdl"
  em_iterations
  end_training
}

# train_triphones deltas|lda_mllt|sat <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>
train_triphones() {
  local type=$1 iters="$num_iters $max_iter_inc $realign_iters"
  shift
  [ $# -eq 6 ] || die "expected <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>, got $# words; see --help"
  numleaves=$1 totgauss=$2 data=$3 lang=$4 alidir=$5 dir=$6
  check_number "$numleaves" num-leaves
  check_number "$totgauss" tot-gauss
  [ "$totgauss" -ge "$numleaves" ] || die "<tot-gauss> $totgauss is below <num-leaves> $numleaves: each leaf has a Gaussian"
  require "$data/feats.scp" "steps/make_feats.sh"
  require "$alidir/ali.1.gz" "steps/align_si.sh"
  case $type in
    lda_mllt) iters+=" mllt $mllt_iters $lda_dim" ;;
    sat)
      iters+=" fmllr $fmllr_iters $fmllr_min_count"
      require "$alidir/final.mat" "steps/train_lda_mllt.sh"
      ;;
  esac
  if pending "$alidir"; then nj=1; else nj=$(cat "$alidir/num_jobs"); fi
  begin_gmm --input "$data" "$lang" "$alidir" --option "iters=$iters" "sizes=$numleaves $totgauss $thresh" \
    "align=$boost_silence $power $beam $retry_beam" || exit 0

  log "triphones ($type) on $alidir in $nj jobs"
  copy_alignments
  case $type in
    lda_mllt)
      gmm_jobs lda-stats --iter ali
      gmm lda --dim "$lda_dim"
      rm "$dir"/lda.*.acc.npz
      ;;
    sat)
      copy_files "$alidir"/{final.mat,splice_opts,mllt_log_det,trans.*}
      gmm_jobs fmllr --iter ali --fmllr-min-count "$fmllr_min_count"
      ;;
  esac
  tree_and_mixtures
  em_iterations
  if [ "$type" = sat ]; then
    gmm_jobs alimdl-stats --iter final
    gmm alimdl --iter final --out alimdl
    mv "$dir/alimdl.mdl" "$dir/final.alimdl"
  fi
  end_training
}

# align si|fmllr <feat-dir> <lang-dir> <src-dir> <ali-dir>
align() {
  local type=$1 aligning=(--beam "$beam" --retry-beam "$retry_beam" --boost-silence "$boost_silence") model=final.mdl src summary
  shift
  [ $# -eq 4 ] || die "expected <feat-dir> <lang-dir> <src-dir> <ali-dir>, got $# words; see --help"
  data=$1 lang=$2 src=$3 dir=$4
  require "$data/feats.scp" "steps/make_feats.sh"
  if [ "$type" = fmllr ]; then model=final.alimdl; fi
  require "$src/$model" "the training of $src"
  limit_jobs_to_speakers "$data"
  begin_gmm --input "$data" "$lang" "$src" \
    --option "align=$boost_silence $beam $retry_beam${fmllr_min_count:+ $fmllr_min_count}" || exit 0

  log "aligning $(wc -l < "$data/feats.scp") utterances of $data with $src in $nj jobs"
  copy_files "$src"/{final.mdl,final.alimdl,tree,final.mat,splice_opts,mllt_log_det}
  if [ "$type" = fmllr ]; then
    cp "$dir/final.alimdl" "$dir/si.mdl"
    gmm_jobs align --iter si "${aligning[@]}"
    rm "$dir/si.mdl"
    # The second time the posteriors come from features after the first transform.
    for _ in 1 2; do gmm_jobs fmllr --iter final --fmllr-min-count "$fmllr_min_count"; done
  fi
  gmm_jobs align --iter final "${aligning[@]}"
  summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir")
  mark_done "$dir"
  log "$summary"
}

# lfmmi_tree <num-leaves> <feat-dir> <lang-dir> <ali-dir> <tree-dir>
lfmmi_tree() {
  local summary
  [ $# -eq 5 ] || die "expected <num-leaves> <feat-dir> <lang-dir> <ali-dir> <tree-dir>, got $# words; see --help"
  numleaves=$1 data=$2 lang=$3 alidir=$4 dir=$5
  check_number "$numleaves" num-leaves
  require "$data/feats.scp" "steps/make_feats.sh"
  require "$alidir/ali.1.gz" "steps/align_fmllr.sh"
  if pending "$alidir"; then nj=1; else nj=$(cat "$alidir/num_jobs"); fi
  begin_gmm --input "$data" "$lang" "$alidir" --option "tree=$numleaves $thresh $frame_subsampling_factor" || exit 0
  copy_alignments
  copy_files "$alidir"/{final.mat,splice_opts,mllt_log_det,trans.*}
  gmm_jobs tree-stats --iter ali --factor "$frame_subsampling_factor"
  gmm build-chain-tree --numleaves "$numleaves" --thresh "$thresh"
  echo "$frame_subsampling_factor" > "$dir/frame_subsampling_factor"
  summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir")
  rm -f "$dir"/{tree.*.acc.npz,ali.mdl,ali.*.gz,trans.*,final.mat,splice_opts,mllt_log_det}
  mark_done "$dir"
  log "$(pyscripts/gmm_info.py "$dir/final.mdl"); $summary"
}

# copy_files FILE...: those that exist, into $dir.
copy_files() {
  local file
  for file; do if [ -e "$file" ]; then cp "$file" "$dir/"; fi; done
}

# copy_alignments: of $alidir into $dir, with their model as ali.mdl.
copy_alignments() {
  local job
  for job in $(seq "$nj"); do cp "$alidir/ali.$job.gz" "$dir/ali.$job.gz"; done
  cp "$alidir/final.mdl" "$dir/ali.mdl"
  cp "$alidir/tree" "$dir/tree"
}

# tree_and_mixtures: a tree of at most $numleaves leaves from the alignments of $alidir and the present features of $dir;
# 1.mdl and alignments with it.
tree_and_mixtures() {
  gmm_jobs tree-stats --iter ali
  gmm build-tree --numleaves "$numleaves" --thresh "$thresh"
  gmm_jobs convert-ali --ali-dir "$alidir"
  rm -f "$dir"/tree.*.acc.npz "$dir/ali.mdl"
}

# em_iterations: from 1.mdl to final.mdl with $totgauss Gaussians.
em_iterations() {
  local x summary numgauss step realign
  numgauss=$(pyscripts/gmm_info.py --number pdfs "$dir/1.mdl")
  step=$((max_iter_inc > 0 ? (totgauss - numgauss) / max_iter_inc : 0))
  for ((x = 1; x < num_iters; x++)); do
    if [[ " ${mllt_iters:-} " == *" $x "* ]]; then
      gmm_jobs mllt-stats --iter "$x"
      gmm mllt --iter "$x"
    fi
    if [[ " ${fmllr_iters:-} " == *" $x "* ]]; then gmm_jobs fmllr --iter "$x"; fi
    realign=false
    if [[ " $realign_iters " == *" $x "* ]]; then realign=true; fi
    gmm_jobs acc --iter "$x" --realign "$realign" --beam "$beam" --retry-beam "$retry_beam" --boost-silence "$boost_silence"
    if [ "$x" -le "$max_iter_inc" ]; then numgauss=$((numgauss + step)); fi
    gmm est --iter "$x" --mix-up "$numgauss" --power "$power"
    log "$(basename "$dir") pass $x of $((num_iters - 1)): pass, log-likelihood per frame, frames: $(tail -n 1 "$dir/likes")"
    rm "$dir/$x.mdl"
  done
  mv "$dir/$x.mdl" "$dir/final.mdl"
  summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir") # of the last alignments
  log "$(basename "$dir"): $summary"
}

end_training() {
  mark_done "$dir"
  log "$(pyscripts/gmm_info.py "$dir/final.mdl")"
}
