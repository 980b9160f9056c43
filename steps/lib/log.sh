# shellcheck shell=bash
# What every step says and checks in the same words. Source it: ". log.sh".

# log MESSAGE: one line with the time and the place in the script that speaks.
log() {
  local source=${BASH_SOURCE[1]:-$0}
  printf '%(%FT%T)T (%s:%s) %s\n' -1 "${source##*/}" "${BASH_LINENO[0]}" "$*"
}

# die MESSAGE: one line on stderr, exit code 1.
die() { echo "$0: $*" >&2; exit 1; }

# dry_run: true where steps only say what they would do (run.sh --dry-run true).
dry_run() { [ -n "${MIMIC_DRY_RUN:-}" ]; }

# require PATH STEP: dies unless PATH is there and the directory it belongs to is finished. STEP makes it.
require() {
  local dir=$1 pending
  [ -d "$dir" ] || dir=$(dirname "$1")
  if dry_run; then
    while read -r pending; do case $(realpath -ms --relative-to=. "$1")/ in "$pending"/*) return ;; esac; done < "$MIMIC_DRY_RUN"
  fi
  [ -e "$1" ] || die "$1 is missing: run $2 first"
  if [ -e "$dir/.fingerprint" ] && [ ! -e "$dir/.done" ]; then die "$dir is incomplete: run $2 again"; fi
}

# up_to_date DIR [words of "done.py check"]: true when DIR is finished and unchanged, false when it is to be made. In the
# second case this shell keeps DIR locked until it ends, so that two runs never write the same DIR. In a dry run it only
# says what is to be made, and is true.
up_to_date() {
  local rc=0
  if dry_run; then
    done.py check "$1" --step "$0" --dry-run "$MIMIC_DRY_RUN" "${@:2}" || rc=$?
    [ "$rc" -le 1 ] || exit 1
    return 0
  fi
  done.py check "$1" --step "$0" --lock $$ "${@:2}" || rc=$?
  [ "$rc" -le 1 ] || exit 1
  return "$rc"
}

# mark_done DIR: the last act of a step; DIR is not locked any more.
mark_done() { done.py mark "$1" --lock $$; }

# check_skipped DIR SHARE: dies where more than this share of the utterances of a finished DIR is in its skipped.tsv.
check_skipped() {
  local skipped=0 kept
  if dry_run; then return; fi
  if [ -s "$1/skipped.tsv" ]; then skipped=$(wc -l < "$1/skipped.tsv"); fi
  kept=$(wc -l < "$1/utt2spk")
  awk -v s="$skipped" -v k="$kept" -v share="$2" 'BEGIN { exit s > share * (s + k) }' ||
    die "$1: $skipped of $((skipped + kept)) utterances cannot be used, listed in $1/skipped.tsv (allowed: --max-skip $2)"
}

# lock_dir DIR: this shell keeps DIR locked until it ends. Dies when another one has it.
lock_dir() {
  done.py lock "$1" --lock $$ || exit 1
  # shellcheck disable=SC2064  # DIR as it is now
  trap "rm -f $(printf %q "$1/.lock")" EXIT
}

_aside=()

# aside N COMMAND...: runs the command beside others, N at once; all_done waits for them. One that fails ends this
# shell (set -e). They share the terminal, so they write plain lines, which sed keeps whole.
aside() {
  while [ "${#_aside[@]}" -ge "$1" ]; do _one_done; done
  { "${@:2}" 2>&1 | sed -u ''; } &
  _aside+=($!)
}
all_done() { while [ "${#_aside[@]}" -gt 0 ]; do _one_done; done; }

# Waits for one of them and has its exit code. "wait -n" forgets one of two that end at the same moment (bash 5.2).
_one_done() {
  local i job
  while :; do
    for i in "${!_aside[@]}"; do
      job=${_aside[i]}
      if ! kill -0 "$job" 2> /dev/null; then unset "_aside[i]"; wait "$job"; return; fi
    done
    sleep 0.1
  done
}
