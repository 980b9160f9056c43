# shellcheck shell=bash
# What steps/train_{mono,deltas,lda_mllt,sat}.sh and steps/align_*.sh share. Source it behind log.sh. The functions read
# by name what these set: data lang alidir dir nj cmd numleaves thresh num_iters max_iter_inc realign_iters mllt_iters fmllr_iters totgauss
# power beam retry_beam boost_silence max_skip.
# shellcheck disable=SC2154  # which the steps set

# act NAME [options]: pyscripts/train_gmm.py NAME over the sums of all jobs; act_jobs: in each job. Its log is
# log/NAME.ITER.log or log/NAME.ITER.JOB.log.
act() { _launch_act "$1" "" "${@:2}"; }
act_jobs() { _launch_act "$1" "$JOB" "${@:2}"; }
_launch_act() {
  local name=$1 iter=0 words=("${@:3}") i jobs=() log
  for ((i = 0; i < ${#words[@]}; i += 2)); do if [ "${words[i]}" = --iter ]; then iter=${words[i + 1]}; fi; done
  log=$dir/log/$name.$iter.log words+=(--nj "$nj")
  if [ -n "$2" ]; then jobs=("$2=1:$nj") log=$dir/log/$name.$iter.$2.log words+=(--job "$2"); fi
  # shellcheck disable=SC2086  # a command with its options, as in Kaldi
  $cmd --mem 2G "${jobs[@]}" "$log" pyscripts/train_gmm.py "$name" "${words[@]}" "$data" "$lang" "$dir" > "$dir/log/$name.out" ||
    { cat "$dir/log/$name.out"; die "$name failed, see $dir/log"; }
}

# begin_gmm WORDS...: false where $dir is done. Otherwise it is empty but for what is to be read: a training that
# was cut short starts anew, for its iterations overwrite each other's alignments.
begin_gmm() {
  if up_to_date "$dir" --force "$force" --version 1 "$@"; then return 1; fi
  find "$dir" -mindepth 1 -maxdepth 1 ! -name '.*' -exec rm -r {} +
  mkdir -p "$dir/log"
  echo "$nj" > "$dir/num_jobs"
  cp "$lang/phones.txt" "$dir/phones.txt"
}

# speakers_as_jobs DATA: no more jobs than speakers, for a speaker's utterances stay together.
speakers_as_jobs() {
  local speakers
  speakers=$(awk '{ print $2 }' "$1/utt2spk" | sort -u | wc -l)
  [ "$speakers" -gt 0 ] || die "$1/utt2spk is empty: no utterances"
  if [ "$nj" -gt "$speakers" ]; then nj=$speakers; fi
}

# em_iterations NUMGAUSS: from 1.mdl with so many Gaussians to final.mdl with $totgauss.
em_iterations() {
  local x summary numgauss=$1 step=$((max_iter_inc > 0 ? (totgauss - $1) / max_iter_inc : 0)) realign
  for ((x = 1; x < num_iters; x++)); do
    if [[ " ${mllt_iters:-} " == *" $x "* ]]; then
      act_jobs mllt-stats --iter "$x"
      act mllt --iter "$x"
    fi
    if [[ " ${fmllr_iters:-} " == *" $x "* ]]; then act_jobs fmllr --iter "$x"; fi
    realign=false
    if [[ " $realign_iters " == *" $x "* ]]; then realign=true; fi
    act_jobs acc --iter "$x" --realign "$realign" --beam "$beam" --retry-beam "$retry_beam" --boost-silence "$boost_silence"
    if [ "$x" -le "$max_iter_inc" ]; then numgauss=$((numgauss + step)); fi
    act est --iter "$x" --mix-up "$numgauss" --power "$power"
    log "$(basename "$dir") pass $x of $((num_iters - 1)): $(sed -n 's/.*Overall avg like/avg like/p' "$dir/log/est.$x.log")"
    rm "$dir/$x.mdl"
  done
  mv "$dir/$x.mdl" "$dir/final.mdl"
  summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir")  # of the last alignments
  log "$(basename "$dir"): $summary"
}

# check_sizes: dies unless $numleaves and $totgauss are numbers of leaves and Gaussians.
check_sizes() {
  [[ $numleaves =~ ^[1-9][0-9]{0,8}$ ]] || die "<num-leaves> is a whole number of at least 1, got '$numleaves'"
  [[ $totgauss =~ ^[1-9][0-9]{0,8}$ ]] || die "<tot-gauss> is a whole number of at least 1, got '$totgauss'"
}

# tree_and_mixtures: tree of at most $numleaves leaves, 1.mdl and alignments with it, from those of $alidir and the
# features that $dir has by now.
tree_and_mixtures() {
  act_jobs tree-stats --iter ali
  act build-tree --numleaves "$numleaves" --thresh "$thresh"
  act_jobs convert-ali --ali-dir "$alidir"
  rm -f "$dir"/tree.*.acc.npz "$dir/ali.mdl"
}

# take_alignments: of $alidir into $dir, with their model as ali.mdl.
take_alignments() {
  local job
  for job in $(seq "$nj"); do cp "$alidir/ali.$job.gz" "$dir/ali.$job.gz"; done
  cp "$alidir/final.mdl" "$dir/ali.mdl"
  cp "$alidir/tree" "$dir/tree"
}
