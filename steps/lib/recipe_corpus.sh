# shellcheck shell=bash
# Corpora of the complete recipes: the demo corpus, and which utterances of the user's own are taken. recipe.sh sources it.
# The functions read the options of the recipe by name, those of corpus_options.sh where it has them.
# shellcheck disable=SC2034,SC2154  # which the recipes set and use

# check_corpus SET...: dies unless the directory --corpus has these sets, or with --valid-speakers those that they are from.
check_corpus() {
  local set
  for set; do
    if [ -n "${valid_speakers:-}" ] && [[ $set == dev_* ]]; then
      [ ! -d "$corpus/$set" ] ||
        die "--valid-speakers takes the dev set from the training set, and there is one already: $corpus/$set"
      set=train_${set#dev_}
    fi
    [ -d "$corpus/$set" ] || die "--corpus $corpus has no directory $set"
  done
}

# choose_source SET...: checks --corpus, a directory with these sets; source: that directory or, where selected is true, the
# one for select_sets: --debug, --min-dur, --max-dur or --valid-speakers takes some of its utterances. whole_corpus: dies
# where one of these is given for a corpus of the recipe's own.
selected=false
choose_source() {
  check_corpus "$@"
  source=$corpus
  if [ -n "$min_dur$max_dur$valid_speakers" ]; then selected=true source=$exp/data/corpus; fi
  if $debug; then selected=true source=$data/few; fi
}
whole_corpus() {
  [ -z "$min_dur$max_dur$valid_speakers" ] ||
    die "--min-dur, --max-dur and --valid-speakers are for your own data: give --corpus DIR"
}

# prepare_demo: the demo corpus in $data, by $demo_options; with --debug true all of a small one in $demo, a few utterances in $data.
# select_sets FROM TO SET...: those utterances of the sets of a corpus that are there, and its lexicon. By duration a
# noisy set has those of the clean set, which stands before it.
demo_options=()
prepare_demo() {
  local/demo/prepare.sh "${common_2nj[@]}" --hours "$demo_hours" "${demo_options[@]}" "$demo"
  if ${debug:-false}; then select_sets "$demo" "$data" {train,dev,test}_{clean,noisy}; fi
}
select_sets() {
  local name from count=all limits clean
  if ${debug:-false}; then count=24; fi
  for name in "${@:3}"; do
    from=$1/$name limits=(--min-dur "${min_dur:-0}" --max-dur "${max_dur:-0}") clean=$2/${name%_*}_clean/utt2spk
    if [ -n "${valid_speakers:-}" ]; then
      case $name in
        train_*) limits+=(--less-speakers "$valid_speakers") ;;
        dev_*) from=$1/train_${name#dev_} limits+=(--speakers "$valid_speakers") ;;
      esac
    fi
    if [[ -n ${min_dur:-}${max_dur:-} && $name == *_noisy ]] && { [ -f "$clean" ] || pending "$clean"; }; then
      limits=(--utt-list "$clean")
    fi
    if [ -d "$from" ] || pending "$from"; then
      steps/subset_data.sh --force "$force" "${limits[@]}" "$from" $count "$2/$name"
    fi
  done
  if [ -d "$1/lang" ] && ! dry_run; then ln -sfn "$(realpath "$1/lang")" "$2/lang"; fi
}
