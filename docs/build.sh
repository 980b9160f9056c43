#!/usr/bin/env bash
# Makes the site of docs/ to open from disk: exp/docs/index.html. Takes seconds, and the network on its first call.
# mkdocs and its packages lie in exp/docs_packages, so that .venv stays as it is.

site=exp/docs              # where the site goes
packages=exp/docs_packages # where mkdocs goes

cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/steps/lib:$PATH
help_message="Usage: docs/build.sh [--option value]...
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
[ -e .venv/bin/python3 ] || steps/setup.sh || exit 1
. ./path.sh
set -euo pipefail

if ! cmp -s requirements-docs.txt "$packages/installed.txt"; then
  rm -rf "$packages"
  python3 -m pip --disable-pip-version-check install --quiet --target "$packages" -r requirements-docs.txt
  cp requirements-docs.txt "$packages/installed.txt"
fi
site=$(realpath -m "$site")
PYTHONPATH=$packages python3 -m mkdocs build --quiet --strict --no-directory-urls --site-dir "$site"
log "site: $site/index.html"
