#!/usr/bin/env bash
# Makes .venv from the pinned requirements. Needs python3 >= 3.10 and a network, no root; about 3 minutes, 6 GB.
# reads:  requirements.txt requirements-pesq.txt [requirements-dev.txt]
# writes: .venv, with .venv/.installed last: what was installed, so that a second call ends at once and a set-up
#         that was cut short is made anew
dev=false        # true: also what the tests need (requirements-dev.txt)
force=false      # true: install again into the .venv that is there
python=          # the Python to build on; empty: the first of python3, python3.14 ... python3.10 that is new enough
venv=.venv       # directory to make
requirements=.   # directory of the requirements files
pip_version=25.3 # fetched only where Python comes without its ensurepip (Debian: python3-venv is not installed)
help_message="Usage: steps/setup.sh [--dev true] [--force true] [--python /usr/bin/python3.12]
Makes .venv from requirements.txt and, with --dev true, requirements-dev.txt. Does nothing when that is done."

PATH=$PWD/steps/lib:$PATH
. parse_options.sh
set -euo pipefail
. log.sh

marker=$venv/.installed
files=("$requirements/requirements.txt")
if "$dev"; then files+=("$requirements/requirements-dev.txt"); fi

usable() {  # a finished set-up, made where it lies now? (programs in .venv/bin hold their own path)
  [ -e "$venv/bin/python3" ] && [ -e "$marker" ] && grep -qxF "# $(realpath "$venv")" "$marker"
}

installed() {  # and all that is wanted in it, unchanged?
  local file
  usable || return 1
  for file in "${files[@]}"; do grep -qF "  $file" "$marker" || return 1; done
  sha256sum --check --status "$marker" 2> /dev/null
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; }

fetch_pip() {  # fetch_pip DIR: puts pip's wheel from the package index of this machine into DIR
  "$python" - "$1" "$pip_version" <<'PYTHON'
import hashlib, html, os, re, sys, urllib.parse, urllib.request
from configparser import ConfigParser

folder, version = sys.argv[1:]
config = ConfigParser(interpolation=None, strict=False)
places = ["/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf", os.environ.get("PIP_CONFIG_FILE", "")]
config.read([os.path.expanduser(place) for place in places])
index = config.get("global", "index-url", fallback="https://pypi.org/simple")
page_url = os.environ.get("PIP_INDEX_URL", index).rstrip("/") + "/pip/"
page = urllib.request.urlopen(page_url, timeout=60).read().decode()
name = f"pip-{version}-py3-none-any.whl"
links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page)]
link = next((link for link in links if urllib.parse.urlsplit(link).path.endswith(name)), None)
if link is None:
    sys.exit(f"{page_url} has no {name}")
wheel = urllib.request.urlopen(urllib.parse.urljoin(page_url, link), timeout=60).read()
wanted = re.search("#sha256=([0-9a-f]+)", link)
if wanted and hashlib.sha256(wheel).hexdigest() != wanted[1]:
    sys.exit(f"{name} came damaged from {page_url}")
with open(os.path.join(folder, name), "wb") as file:
    file.write(wheel)
PYTHON
}

if ! "$force" && installed; then exit 0; fi

exec {lock}< "$requirements"  # one set-up at a time; the kernel lets go when this process ends
flock "$lock"
if ! "$force" && installed; then exit 0; fi  # another one did it while we waited

if ! usable; then
  if [ -z "$python" ]; then
    for python in python3 python3.1{4,3,2,1,0} none; do if new_enough "$python"; then break; fi; done
  fi
  new_enough "$python" || die "needs Python 3.10 or newer: apt install python3, or name one with --python"
  log "making $venv with $("$python" --version) ($(command -v "$python"))"
  if [ -e "$venv" ] && ! [ -e "$venv/pyvenv.cfg" ]; then die "$venv is no virtual environment: move it away"; fi
  rm -rf "$venv"
  if "$python" -c 'import ensurepip' 2> /dev/null; then
    "$python" -m venv "$venv"
  else
    log "this Python comes without ensurepip: fetching pip $pip_version"
    "$python" -m venv --without-pip "$venv"
    fetch_pip "$venv" || die "could not fetch pip: apt install python3-venv, or see the line above"
    "$venv/bin/python3" "$venv/pip-$pip_version-py3-none-any.whl/pip" install -q "$venv/pip-$pip_version-py3-none-any.whl"
  fi
fi

rm -f "$marker"
pip=("$venv/bin/python3" -m pip --disable-pip-version-check --no-input install --no-compile)
if ! [ -t 1 ]; then pip+=(-q); fi  # a terminal shows how far the downloads are
log "installing ${files[*]} into $venv: about 3 minutes the first time"
lists=()
for file in "${files[@]}"; do lists+=(-r "$file"); done
"${pip[@]}" "${lists[@]}" || die "pip could not install ${files[*]}: its last lines above say why; run this again"
if "${pip[@]}" -r "$requirements/requirements-pesq.txt" > "$venv/pesq.log" 2>&1; then
  files+=("$requirements/requirements-pesq.txt")
else
  log "WARNING: pesq did not build (see $venv/pesq.log), so PESQ scores will be NA." \
    "Fix: apt install build-essential python3-dev, then steps/setup.sh --force true"
fi
# As pip would, but on all cores and not what nobody imports; some packages hold files that are no Python.
"$venv/bin/python3" -m compileall -qq -j 0 -x 'site-packages/((.*/)?tests?/|transformers/models/)' "$venv/lib" || true
{ echo "# $(realpath "$venv")"; sha256sum "${files[@]}"; } > "$marker.tmp"
sync "$marker.tmp"
mv "$marker.tmp" "$marker"
log "$venv is ready"
