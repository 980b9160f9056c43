# shellcheck shell=bash
# How local/run_distill.sh makes its data and trains its students. Reads the recipe's options and variables by name.
# shellcheck disable=SC2154  # which the recipe sets

# data_dir_for SET CONDITION: a test set, or the held-out speech of a speaker probe.
data_dir_for() {
  case $1,$2 in
    test,clean) echo "$source/test_clean" ;;
    heldout,clean) former_dir "$made/heldout" "$made/held" ;;
    heldout,*) former_dir "$made/heldout_$(condition_name "$2")" "$made/held_$(condition_name "$2")" ;;
    *) echo "$made/$1_$(condition_name "$2")" ;;
  esac
}

# condition_name CONDITION: in names of directories; those of reverberant speech were called "room" before.
condition_name() {
  if [ "$1" = reverb ] && [ -d "$made/test_room" ]; then echo room; else echo "$1"; fi
}

# mix CLEAN NOISES OUT SNRS SHARE: with noises and RIRs of one split, OUT and OUT_reference; SHARE of it is reverberant.
mix() {
  local/mix_noise.sh "${common_2nj[@]}" --snrs "$4" --rir-dir "$rirs/$2" --rir-prob "$5" --clean-out "$3_reference" \
    "$1" "$made/noises/$2" "$3"
}

# mix_condition SET CONDITION: a test set of noisy or reverberant speech, or both.
mix_condition() {
  local clean out
  clean=$(data_dir_for "$1" clean) out=$(data_dir_for "$1" "$2")
  case $2 in
    noise) mix "$clean" test "$out" "$snrs" 0 ;;
    reverb) mix "$clean" test "$out" 60 1 ;; # at 60 dB the noise is inaudible
    both) mix "$clean" test "$out" "$snrs" 1 ;;
  esac
}

# distill CONFIG DIR SEED [--section.key value]...
distill() {
  local more
  read -r -a more <<< "$distill_options"
  steps/train.sh "${training[@]}" "$1" "$2" --train.seed "$3" --teacher.path "$teacher" \
    --teacher.dropout "$teacher_dropout" --data.train "$source/train_clean" --data.dev_noisy "$made/dev_noisy" \
    --data.dev_clean "$made/dev_noisy_reference" "${@:4}" "${more[@]}"
}

# model_dir NAME: of a student or the teacher; the baseline student was called "plain" before.
model_dir() {
  case $1 in
    teacher) echo "$teacher" ;;
    baseline*) former_dir "$exp/$1" "$exp/plain${1#baseline}" ;;
    *) echo "$exp/$1" ;;
  esac
}

# train_student NAME: $exp/NAME, from --seed or that of NAME_seed<k>.
train_student() {
  local noisy=(--data.noises "$made/noises/train" --data.rirs "$rirs/train") targets=() dir initial s
  s=$(seed_of "$1") dir=$(model_dir "$1")
  if $keep_targets; then targets=(--data.targets "$exp/targets"); fi
  case $1 in
    baseline*) distill "$distill_config" "$dir" "$s" "${targets[@]}" --loss.enhance_weight 0 \
      --augment.noise_prob 0 --augment.clean_rir_prob 0 ;;
    robust*) distill "$distill_config" "$dir" "$s" "${targets[@]}" --loss.enhance_weight 0 "${noisy[@]}" ;;
    enhance*) distill "$distill_config" "$dir" "$s" "${targets[@]}" --loss.enhance_weight 2 "${noisy[@]}" ;;
    pruned*) # pruned while it is distilled, then distilled with the layers that are left
      initial=$(former_dir "$exp/initial_$1" "$exp/first_$1")
      distill "$pruned_config" "$initial" "$s" "${noisy[@]}"
      distill "$pruned_final_config" "$dir" "$s" "${noisy[@]}" --model.initial_encoder "$initial/encoder"
      ;;
  esac
}
