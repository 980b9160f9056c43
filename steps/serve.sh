#!/usr/bin/env bash
# Serves a page on this machine: record speech or drop a file, compare it before and after enhancement, read the transcript.
# Reads the model directories; writes nothing. Ctrl-C ends it.

enhance=           # directory of an enhancer; true: the default pretrained one, as without --recognise; false: none
enhancement_ratio= # of it, 0 to 1, or auto; empty: its default  # was: enhance-ratio
recognise=         # directory of a recogniser; with --enhance its input is enhanced speech
host=127.0.0.1     # address to listen on; 0.0.0.0: everybody who reaches this machine may use it
port=8000          # 0: any that is free
max_mb=50          # largest recording, MB
max_minutes=10     # longest recording
ngpu=0             # 1: on a GPU
device=            # cpu, cuda or mps; empty: cuda with --ngpu, else cpu

. ./path.sh
help_message="Usage: $0 [options]
e.g.: $0
      $0 --enhance exp/enhance_mimic --recognise exp/asr_mimic
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
case $enhance,$recognise in
  true,* | ,) enhance=$(default_model) ;;
  false,) die "give --enhance, --recognise or both; see --help" ;;
  false,*) enhance='' ;;
esac
if [ -n "$enhance" ]; then require_model "$enhance" conf/enhance.yaml; fi
if [ -n "$recognise" ]; then require_model "$recognise" conf/asr.yaml; fi
ratio=()
if [ -n "$enhancement_ratio" ]; then ratio=(--enhancement-ratio "$enhancement_ratio"); fi
choose_device
exec pyscripts/serve.py --enhance "$enhance" "${ratio[@]}" --recognise "$recognise" --host "$host" --port "$port" \
  --max-mb "$max_mb" --max-minutes "$max_minutes" --device "$device"
