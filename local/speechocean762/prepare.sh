#!/usr/bin/env bash
# speechocean762 (OpenSLR 101: read English of children and adults) as data directories for ./run.sh --corpus <out>.
# Reads <src>: utterances.tsv (utt speaker gender age split text), audio/<utt>.opus, lexicon.txt.
# Writes <out>/{train,dev,test}_clean, which point to that audio, and <out>/lang/lexicon.txt. With --noise-dir also
# <out>/{train,dev,test}_noisy, and clean speech is stored as 16 kHz wavs of the same lengths. Takes about a minute.

noise_dir=    # folder of recorded noises: train (for train and dev) and test, as local/mix_noise.sh takes them
rir_dir=      # folder of RIRs: train and test
rir_prob=0.3  # with --rir-dir: share of reverberant mixtures
nj=2          # jobs
cmd=launch.py # where they run
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <src> <out>
e.g.: $0 --noise-dir noise --rir-dir rirs speechocean762 corpora/speechocean762
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <src> <out>, got $# words; see --help"
for file in utterances.tsv lexicon.txt audio; do [ -e "$1/$file" ] || die "no $1/$file: is $1 the corpus folder?"; done
src=$1 out=$2 speech=$2
if [ -n "$noise_dir" ]; then speech=$out/speech; fi
if dry_run; then
  for set in train dev test; do will_make "$speech/${set}_clean"; done
else
  local/speechocean762/prepare.py "$src" "$speech"
fi
for set in train dev test; do
  dry_run || steps/validate_data.sh --no-wav "$speech/${set}_clean"
  if [ -z "$noise_dir" ]; then continue; fi
  case $set in
    test) from=test snrs="2.5 7.5 12.5 17.5" ;;
    *) from=train snrs="0 5 10 15" ;;
  esac
  reverb=(--rir-prob "$rir_prob")
  if [ -n "$rir_dir" ]; then reverb+=(--rir-dir "$rir_dir/$from"); fi
  local/mix_noise.sh --nj "$nj" --cmd "$cmd" --force "$force" --snrs "$snrs" "${reverb[@]}" \
    "$speech/${set}_clean" "$noise_dir/$from" "$out/${set}_noisy"
done
if [ "$speech" != "$out" ] && ! dry_run; then
  mkdir -p "$out/lang"
  cp "$speech/lang/lexicon.txt" "$out/lang/"
fi
