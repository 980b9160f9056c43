# shellcheck shell=bash
# Messages and checks of all steps. Source it after parse_options.sh: ". log.sh".

# Words of this script are names, and none of them an option for the programs that get them.
for _word; do
  case $_word in
    *$'\n'*)
      echo "$0: a name with a line break, which no table can hold: '$_word'" >&2
      exit 1
      ;;
    --*) break ;; # settings, whose values may be negative numbers
    -[0-9]*) ;;   # a number: no program has such options
    -?*)
      echo "$0: '$_word' looks like an option: write ./$_word for a name that begins with -" >&2
      exit 1
      ;;
  esac
done

# $JOB stands for the number of a job: $cmd "$JOB=1:$nj" "$dir/log/x.$JOB.log" program --job "$JOB". Launchers replace it
# everywhere, in names too; so it is "JOB" unless a word or an option of this script contains that.
_names=$*
for _word in $(compgen -v); do
  if [[ $_word == [a-z]* && $_word != help_message ]]; then _names+=" ${!_word-}"; fi
done
JOB=JOB
while [[ $_names == *"$JOB"* ]]; do JOB+=_; done

# An interrupt (Ctrl-C) ends the programs that run, then the scripts; the one that the user called prints a line.
: "${MIMIC_CALLED:=$$}"
export MIMIC_CALLED
_logged=
interrupted() {
  local i
  trap 'exit 130' INT # a second one does not wait for what saves its state
  for ((i = 0; i < 300; i++)); do
    [ -n "$(jobs -pr)" ] || break
    sleep 0.1
  done
  if [ "$MIMIC_CALLED" = $$ ]; then
    printf '%s: interrupted%s: the same command resumes there\n' "$0" "${_logged:+ ($_logged)}" >&2
  fi
  exit 130
}
trap interrupted INT

# log MESSAGE: one line with the time, the script and its line.
log() {
  _logged=$*
  local source=${BASH_SOURCE[1]:-$0}
  printf '%(%FT%T)T (%s:%s) %s\n' -1 "${source##*/}" "${BASH_LINENO[0]}" "$*"
}

# die MESSAGE: one line on stderr, exit code 1.
die() {
  echo "$0: $*" >&2
  exit 1
}

# dry_run: true where steps only print what they would make (--dry-run true of a recipe).
dry_run() { [ -n "${MIMIC_DRY_RUN:-}" ]; }

# listing: true where a recipe runs only to find out what it trains (list_trainings.sh): steps do nothing, so all is pending.
listing() { [ -n "${MIMIC_TRAININGS:-}" ]; }

# will_make DIR: notes in a dry run that DIR would be made; pending PATH: whether PATH is in such a directory.
will_make() {
  local path
  path=$(realpath -ms "$1")
  echo "${path#"$PWD"/}" >> "$MIMIC_DRY_RUN"
}
pending() {
  local path dir
  if listing; then return 0; fi
  dry_run || return 1
  path=$(realpath -ms "$1")
  while read -r dir; do case ${path#"$PWD"/}/ in "$dir"/*) return ;; esac done < "$MIMIC_DRY_RUN"
  return 1
}

# require PATH STEP: dies unless PATH is there and the directory it belongs to is finished. STEP makes it.
require() {
  local dir=$1
  [ -d "$dir" ] || dir=$(dirname "$1")
  if pending "$1"; then return; fi
  [ -e "$1" ] || die "$1 is missing: run $2 first"
  if [ -e "$dir/.fingerprint" ] && [ ! -e "$dir/.done" ]; then die "$dir is incomplete: run $2 again"; fi
}

# require_model DIR conf/NAME.yaml: dies unless DIR holds a finished model, with those that lie beside it.
require_model() {
  local beside model weights=$1/model.pt
  if [ ! -e "$weights" ] && [ -e "$1/model.safetensors" ]; then weights=$1/model.safetensors; fi # a pretrained model
  if [ ! -e "$weights" ] && ! dry_run; then
    beside=$(for model in "$(dirname "$1")"/*/model.pt; do [ ! -e "$model" ] || printf ' %s' "$(dirname "$model")"; done)
    die "$1/model.pt is missing: run steps/train.sh $2 first${beside:+; models beside it:$beside}"
  fi
  require "$weights" "steps/train.sh"
}

# default_model: prints the directory of the enhancer that is used where none is named.
default_model() {
  local name
  [ -s pretrained/default ] ||
    die "no model is named and none ships here: name a model directory, or run local/run_pretrained.sh --corpora DIR, which trains one"
  read -r name < pretrained/default
  echo "pretrained/$name"
}

# settings_for DIR WORD...: of the words of --set, '[NAME:]section.key=value', those for DIR, each in a line and without NAME.
settings_for() {
  local word name
  for word in "${@:2}"; do
    [[ $word =~ ^(([^:=]+):)?([a-z0-9_]+(\.[a-z0-9_]+)+=.+)$ ]] || die "--set takes [NAME:]section.key=value, got '$word'"
    name=${BASH_REMATCH[2]:-*}
    # shellcheck disable=SC2053  # a pattern, such as enhance_*
    if [[ ${1##*/} == $name || $1 == $name ]]; then echo "${BASH_REMATCH[3]}"; fi
  done
}

# check_settings MODEL [--section.name value]...: dies where a setting is wrong, before anything is changed.
check_settings() { [ $# -eq 1 ] || dry_run || pyscripts/check_settings.py "$@"; }

# up_to_date DIR [words of "done.py check"]: true when DIR is finished and unchanged, false when it is to be made. In the
# second case this shell keeps DIR locked until it ends, so that two runs never write the same DIR. In a dry run it only
# prints what would be made, and is true.
up_to_date() {
  local rc=0
  if listing; then return 0; fi
  if dry_run; then
    done.py check "$1" --step "$0" --dry-run "$MIMIC_DRY_RUN" "${@:2}" || rc=$?
    [ "$rc" -le 1 ] || exit 1
    return 0
  fi
  done.py check "$1" --step "$0" --lock $$ "${@:2}" || rc=$?
  [ "$rc" -le 1 ] || exit 1
  return "$rc"
}

# mark_done DIR: the last command of a step; DIR is not locked any more.
mark_done() { done.py mark "$1" --lock $$; }

# summary FILE: the values of a JSON file that a program wrote, for a log line.
summary() {
  python3 -c 'import json, sys
print(", ".join(f"{k} {v}" for k, v in json.load(open(sys.argv[1])).items()))' "$1"
}

# check_durations: dies where --min-dur is above --max-dur.
# shellcheck disable=SC2154  # a step has these
check_durations() {
  awk -v least="${min_dur:-0}" -v most="${max_dur:-0}" 'BEGIN { exit most > 0 && least > most }' ||
    die "--min-dur $min_dur is above --max-dur $max_dur"
}

# check_skipped DIR SHARE: dies where more than this share of the utterances of a finished DIR is in its skipped.tsv.
check_skipped() {
  local skipped=0 kept
  if dry_run; then return; fi
  if [ -s "$1/skipped.tsv" ]; then skipped=$(wc -l < "$1/skipped.tsv"); fi
  kept=$(wc -l < "$1/utt2spk")
  awk -v s="$skipped" -v k="$kept" -v share="$2" 'BEGIN { exit s > share * (s + k) }' ||
    die "$1: $skipped of $((skipped + kept)) utterances cannot be used, listed in $1/skipped.tsv (allowed: --max-skip $2)"
}

# lock_dir DIR: this shell keeps DIR locked until it ends. Dies when another shell has locked it.
lock_dir() {
  done.py lock "$1" --lock $$ || exit 1
  _locked=$1
  trap 'rm -f "$_locked/.lock"' EXIT
}

# choose_device: fills in an empty $device, cuda with --ngpu, else cpu; the array place has the launcher's options for it.
# shellcheck disable=SC2034,SC2154  # a step has these
choose_device() {
  place=()
  if [ "$ngpu" -gt 0 ]; then : "${device:=cuda}" && place=(--gpu "$ngpu"); fi
  : "${device:=cpu}"
}

# limit_jobs TABLE-OR-FOLDER: counts its lines or files in $utterances and lowers $nj to that. Dies where there are none.
limit_jobs() {
  if dry_run; then return; fi
  [ -e "$1" ] || die "$1 is missing: is ${1%/*} a data directory?"
  if [ -d "$1" ]; then utterances=$(find -L "$1" -type f -printf x | wc -c); else utterances=$(wc -l < "$1"); fi
  [ "$utterances" -gt 0 ] || die "$1 is empty: no utterances"
  if [ "$nj" -gt "$utterances" ]; then nj=$utterances; fi
}

_background=()

# in_background N COMMAND...: runs the command in the background, N of them at once; wait_all waits for them. One that
# fails ends this shell (set -e). They share the terminal, so they write plain lines, which sed keeps whole.
in_background() {
  if listing; then ("${@:2}") && return; fi # in the order of the recipe, at once
  while [ "${#_background[@]}" -ge "$1" ]; do _wait_one; done
  # A shell's background would not be interrupted; sed stays for the messages of an interrupt.
  {
    trap - INT
    "${@:2}" 2>&1 | (
      trap '' INT
      exec sed -u ''
    )
  } &
  _background+=($!)
}
wait_all() { while [ "${#_background[@]}" -gt 0 ]; do _wait_one; done; }

# Waits for one of them and has its exit code. "wait -n" forgets one of two that end at the same moment (bash 5.2).
_wait_one() {
  local i job
  while :; do
    for i in "${!_background[@]}"; do
      job=${_background[i]}
      if ! kill -0 "$job" 2> /dev/null; then
        unset "_background[i]"
        wait "$job"
        return
      fi
    done
    sleep 0.1
  done
}
