# shellcheck shell=bash
# Virtual environments for steps/setup.sh. Source it after log.sh. The functions read the step's options by name:
# requirements pip_version locked peers offline.
# shellcheck disable=SC2154  # which the step sets

# state VENV VERB WORD...: venv_state.py by the Python of VENV
state() { "$1/bin/python3" -I "$PWD/steps/lib/venv_state.py" "${@:2}"; }

# usable VENV: a finished set-up whose Python works, made where it lies now? (Programs in bin/ hold their own path.)
usable() {
  [ -e "$1/.installed" ] && grep -qxF "# $(realpath "$1")" "$1/.installed" && state "$1" sound "$1" 2> /dev/null
}

# settle VENV: corrects the paths of one that was moved or copied.
settle() {
  local before here
  if usable "$1" || ! { [ -e "$1/.installed" ] && state "$1" sound "$1" 2> /dev/null; }; then return; fi
  before=$(sed -n '1s/^# //p' "$1/.installed") here=$(realpath "$1")
  log "$1 was made as $before: its programs get the new path"
  state "$1" move "$before" "$here" "$here"
  {
    echo "# $here"
    tail -n +2 "$1/.installed"
  } > "$1/.installed.tmp"
  mv "$1/.installed.tmp" "$1/.installed"
}

# installed VENV FILE...: is what the files ask for in it, in the pinned versions? Prints what is not.
installed() {
  local file lacks pinned=("${@:2}")
  usable "$1" || return 1
  for file in "${@:2}"; do grep -qF "  $file" "$1/.installed" || return 1; done
  if grep -qF ./requirements-pesq.txt "$1/.installed"; then pinned+=(./requirements-pesq.txt); fi
  if ! lacks=$(state "$1" check "${pinned[@]/#/$requirements/}"); then
    log "$1: $lacks"
    return 1
  fi
  (cd "$requirements" && sha256sum --check --status) < "$1/.installed" 2> /dev/null
}

# base_python NAME...: the first Python of PATH that is new enough. Where it is a virtual environment's, the one below
# that: an environment to be replaced, or one that is broken, is nothing to build on.
base_python() {
  local name path found
  for name; do
    while IFS= read -r path; do
      found=$("$path" -I -c 'import sys; print(sys._base_executable if sys.version_info >= (3, 10) else "")' 2> /dev/null) ||
        continue
      if [ -n "$found" ] && "$found" -c '' 2> /dev/null; then
        echo "$found"
        return
      fi
    done < <(type -ap "$name")
  done
  return 1
}

# wheel_commands: what fills the folder of --offline with the wheels of lists, exact and PESQ, which it compiles.
wheel_commands() {
  local make="python3 -m pip wheel -w $offline"
  echo "$make ${lists[*]} -r $requirements/requirements-pesq.txt${exact[*]:+ && $make --no-deps ${exact[*]}}"
}

# install VENV FILE...: into an environment that has pip; made is then what it was made from. Of *-no-deps.txt only what it
# lists, after the others.
install() {
  local file lacks lists=() exact=() pip=("$1/bin/python3" -m pip --disable-pip-version-check --no-input install --no-compile)
  if ! [ -t 1 ]; then pip+=(-q); fi # a terminal shows how far the downloads are
  made=("${@:2}")
  for file in "${made[@]}"; do
    case $file in
      *-no-deps.txt) exact+=(-r "$requirements/$file") ;;
      *) lists+=(-r "$requirements/$file") ;;
    esac
  done
  if [ -n "$offline" ] && ! lacks=$(state "$1" wheels "$offline" "${made[@]/#/$requirements/}"); then
    die "--offline $offline has no files for this Python of $lacks: where there is a network, with the same Python: $(wheel_commands)"
  fi
  log "installing ${made[*]} into $1"
  if "$locked" && [[ $1 != "$peers"* ]]; then # the others of ${made[*]} are pinned, but have no hashes
    "${pip[@]}" --require-hashes -r "$requirements/requirements.lock" ||
      die "pip could not install requirements.lock: its last lines above say why; run this again"
  fi
  if ! "${pip[@]}" "${lists[@]}" || { [ ${#exact[@]} -gt 0 ] && ! "${pip[@]}" --no-deps "${exact[@]}"; }; then
    echo "$0: pip could not install ${made[*]}: its last lines above say why; run this again" >&2
    return 1
  fi
  if [ "$1" = "$peers.new" ] || [ "$1" = "$peers" ]; then return; fi
  if "${pip[@]}" -r "$requirements/requirements-pesq.txt" > "$1/pesq.log" 2>&1; then
    made+=(./requirements-pesq.txt)
  else
    if [ -n "$offline" ]; then
      log "WARNING: no pesq for this Python in $offline, so PESQ scores will be NA. Fix: where there is a network: $(wheel_commands)"
      return
    fi
    log "WARNING: pesq did not build (see $venv/pesq.log), so PESQ scores will be NA." \
      "Fix: apt install build-essential python3-dev, then steps/setup.sh --force true"
  fi
}

# finish VENV: compiled as pip would, but on all cores and not what nobody imports; some packages hold files that are no
# Python. Then the list of what it was made from.
finish() {
  "$1/bin/python3" -m compileall -qq -j 0 -x 'site-packages/((.*/)?tests?/|transformers/models/)' "$1/lib" || true
  {
    echo "# $(realpath "$1")"
    (cd "$requirements" && sha256sum "${made[@]}")
  } > "$1/.installed.tmp"
  sync "$1/.installed.tmp"
  mv "$1/.installed.tmp" "$1/.installed"
  rm -f "$1/.installing"
  log "$1 is ready"
}

# replace NEW VENV: NEW takes the place of VENV. One that this script did not make stays as VENV.old.
replace() {
  local new here
  new=$(realpath "$1") here=$(realpath "$(dirname "$2")")/$(basename "$2")
  state "$1" move "$new" "$here" "$new"
  if [ -e "$2" ] || [ -L "$2" ]; then
    rm -rf "$2.old"
    mv "$2" "$2.old"
  fi
  mv "$1" "$2"
  if [ -e "$2.old/.installed" ] || [ -e "$2.old/.installing" ]; then rm -rf "$2.old"; fi
}

# update VENV FILE...: installs into the environment that is there.
update() {
  mv "$1/.installed" "$1/.installing" # a set-up that is cut short here is made again
  install "$@" || {
    mv "$1/.installing" "$1/.installed"
    exit 1
  }
  finish "$1"
}
