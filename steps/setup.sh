#!/usr/bin/env bash
# Makes .venv from the pinned requirements. Needs python3 >= 3.10 and a network, no root; about 3 minutes, 6 GB.
# It is made beside its place and then renamed, so that a failure loses nothing; one that was moved is set right.
# reads:  requirements.txt requirements-pesq.txt [requirements-dev.txt] [requirements-judges{,-no-deps}.txt] [benchmarks/requirements{,-no-deps}.txt]
# writes: .venv, with .venv/.installed last: what was installed. A second call only looks whether all that is pinned
#         is there. With --benchmarks true also benchmarks/.venv: what benchmarks compare with, on top of .venv
dev=false        # true: also what the tests need (requirements-dev.txt)
judges=false     # true: also recognisers and scores for steps/judge.sh (requirements-judges{,-no-deps}.txt), 300 MB
benchmarks=false # true: also benchmarks/.venv, for the programs of benchmarks/ that compare with another toolkit
force=false      # true: install again into the .venv that is there
offline=         # directory of wheels, for machines without a network: docs/installation.md says how to make one
locked=false     # true: exactly the packages of requirements.lock, each with the hash that it has there; pesq, --dev and --judges are pinned only
cpu=false        # true: torch without CUDA, 0.2 GB in place of 4.6 GB, from --cpu-index
cpu_index=       # index that has such wheels; empty: https://download.pytorch.org/whl/cpu, of the makers of torch
python=          # the Python to build on; empty: the first of python3, python3.14 ... python3.10 that is new enough
venv=.venv       # directory to make
requirements=.   # directory of the requirements files
pip_version=25.3 # fetched only where Python comes without its ensurepip (Debian: python3-venv is not installed)

PATH=$PWD/steps/lib:$PATH
help_message="Usage: steps/setup.sh [--dev true] [--judges true] [--benchmarks true] [--force true] [--offline wheels]
Makes .venv from requirements.txt and, with --dev true, requirements-dev.txt. Does nothing when that is done.
Options (default):
$(list_options.sh "$0")"

. parse_options.sh
set -euo pipefail
. log.sh
. venv.sh

if [ -n "$offline" ]; then
  [ -d "$offline" ] || die "--offline $offline: no such directory: make it with pip wheel, see docs/installation.md"
  PIP_FIND_LINKS=$(realpath "$offline")
  export PIP_FIND_LINKS PIP_NO_INDEX=1
fi
if "$cpu" && "$locked"; then die "--locked true has the hashes of torch with CUDA: leave --cpu out"; fi
cpu_index=${cpu_index:-https://download.pytorch.org/whl/cpu}
if "$cpu"; then export PIP_EXTRA_INDEX_URL="${PIP_EXTRA_INDEX_URL:-} $cpu_index"; fi

peers=$requirements/benchmarks/.venv peers_files=(./benchmarks/requirements{,-no-deps}.txt)
files=(./requirements.txt)
if "$dev"; then files+=(./requirements-dev.txt); fi
if "$judges"; then files+=(./requirements-judges{,-no-deps}.txt); fi

make_venv() {
  local build=$venv.new
  if [ -e "$venv" ] && ! [ -e "$venv/pyvenv.cfg" ]; then die "$venv is not a virtual environment: move it away"; fi
  if [ -n "$python" ]; then python=$(base_python "$python"); else python=$(base_python python3 python3.1{4,3,2,1,0}); fi ||
    die "needs Python 3.10 or newer: apt install python3, or name one with --python"
  if "$cpu" && [ -z "$offline" ]; then # pip asks it for every package, five times, and then takes torch with CUDA
    "$python" steps/lib/reachable.py "$cpu_index/torch/" ||
      die "--cpu true: see the line above; give a mirror with --cpu-index, or leave --cpu out (torch with CUDA runs on CPUs, too)"
  fi
  log "making $venv with $("$python" --version) ($python): about 3 minutes"
  rm -rf "$build" # of a set-up that was cut short
  if "$python" -c 'import ensurepip' 2> /dev/null; then
    "$python" -m venv "$build"
  else
    log "this Python comes without ensurepip: fetching pip $pip_version"
    "$python" -m venv --without-pip "$build"
    cp "$offline/pip-$pip_version-py3-none-any.whl" "$build" 2> /dev/null ||
      "$python" steps/lib/fetch_pip.py "$build" "$pip_version" || die "could not fetch pip: apt install python3-venv, or see the line above"
    "$build/bin/python3" "$build/pip-$pip_version-py3-none-any.whl/pip" install -q "$build/pip-$pip_version-py3-none-any.whl"
  fi
  install "$build" "${files[@]}" || exit 1
  replace "$build" "$venv"
  finish "$venv"
}

# make_peers: other toolkits bring other versions of what the recipe uses (numpy, soxr). Those lie in an environment of
# their own, which has the packages of .venv after its own.
make_peers() {
  local site recipe build=$peers.new
  log "making $peers on top of $venv"
  rm -rf "$build"
  "$venv/bin/python3" -m venv --without-pip "$build"
  site=$(echo "$build"/lib/python3*/site-packages) recipe=$(echo "$venv"/lib/python3*/site-packages)
  realpath --relative-to "$site" "$recipe" > "$site/recipe.pth"
  install "$build" "${peers_files[@]}" || exit 1
  replace "$build" "$peers"
  finish "$peers"
}

done_already() { installed "$venv" "${files[@]}" && { ! "$benchmarks" || installed "$peers" "${peers_files[@]}"; }; }
if ! "$force" && done_already > /dev/null; then exit 0; fi

exec {lock}< "$requirements" # one set-up at a time; the kernel lets go when this process ends
flock "$lock"
settle "$venv"
settle "$peers"
if ! "$force" && done_already > /dev/null; then exit 0; fi # another one did it while we waited

if ! usable "$venv"; then
  make_venv
elif "$force" || ! installed "$venv" "${files[@]}"; then
  update "$venv" "${files[@]}"
fi
if "$benchmarks"; then
  if ! usable "$peers"; then
    make_peers
  elif "$force" || ! installed "$peers" "${peers_files[@]}"; then
    update "$peers" "${peers_files[@]}"
  fi
fi
