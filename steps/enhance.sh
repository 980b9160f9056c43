#!/usr/bin/env bash
# Enhances speech: a data directory, audio files, or a stream of samples.
# <model-dir>: of a trained enhancer; the default of pretrained/ where none is named.
# A data directory: reads <model-dir> and the audio of <in>; writes <out>, a data directory with the enhanced speech of the
# same utterances. Files (any rate, length and number of channels): <out> has the files of <in>; existing files are
# replaced. Enhanced speech is as long as noisy speech.

nj=2               # a data directory: jobs
cmd=launch.py      # a data directory: where they run
ngpu=0             # 1: on a GPU
device=            # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
channel=           # a data directory: of audio that has several, from 0
force=false        # a data directory: true enhances again although nothing changed
enhancement_ratio= # share of the enhanced signal, 0 to 1, the rest is the input; auto: by SNR; empty: the model's default  # was: dry-wet, enhance-ratio
chunk_seconds=60   # files: seconds that the network processes at once; 0: the whole file
stream=false       # true: raw samples from standard input to standard output
allow_pipes=false  # files: true runs the commands that a wav.scp may hold

. ./path.sh
help_message="Usage: $0 [options] [<model-dir>] <in> <out> [--section.key value]...
e.g.: $0 talk.mp3 talk_enhanced.wav
      $0 --nj 4 exp/enhance_mimic data/test_noisy exp/enhance_mimic/wav/test --mask.weight 0.7
      $0 exp/enhance_mimic talk.flac talk_enhanced.flac
      $0 --enhancement-ratio 0.8 exp/enhance_mimic recordings recordings_enhanced
      curl -s https://example.org/talk.mp3 | $0 exp/enhance_mimic - - > talk.wav
      arecord -t raw -f S16_LE -r 16000 | $0 --stream true exp/enhance_causal - - | aplay -t raw -f S16_LE -r 16000
<in>: a data directory, an audio file, a folder of them, a wav.scp, or - for standard input
<out>: a directory; for one file, a file, an existing folder, or - for standard output (WAV)
Options (default):
$(list_options.sh "$0")
Settings after <out> override the model's configuration."
. parse_options.sh
. log.sh
set -euo pipefail

count=0
for word; do
  case $word in --*) break ;; esac
  count=$((count + 1))
done
if [ "$count" = 2 ] && [ ! -e "$1/config.yaml" ]; then
  model=$(default_model)
  set -- "$model" "$@"
elif [ "$count" != 3 ]; then
  die "expected [<model-dir>] <in> <out>, got $count words; see --help"
fi
model=$1 data=$2 dir=$3
shift 3
require_model "$model" conf/enhance.yaml
check_settings "$model" "$@"
ratio=()
if [ -n "$enhancement_ratio" ]; then ratio=(--enhancement-ratio "$enhancement_ratio"); fi
choose_device

if [ "$stream" = true ] || { [ ! -e "$data/wav.scp" ] && ! pending "$data"; }; then
  exec pyscripts/enhance_files.py --device "$device" "${ratio[@]}" --chunk-seconds "$chunk_seconds" --stream "$stream" \
    --allow-pipes "$allow_pipes" "$model" "$data" "$dir" "$@"
fi

options=("$@" "${ratio[@]}")
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
inputs=("$model" "$data")
if [ -e "$model/ratio.json" ]; then inputs+=("$model/ratio.json"); fi # fitted after the model was finished
limit_jobs "$data/utt2spk"
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" \
  --option "mask=${options[*]}"; then
  exit 0
fi
require "$data/utt2spk" "local/*/prepare.sh or local/import_corpus.sh"
mkdir -p "$dir/log"

log "enhancing $utterances utterances of $data with $model"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "${place[@]}" "$JOB=1:$nj" "$dir/log/enhance.$JOB.log" \
  pyscripts/enhance.py --job "$JOB" --nj "$nj" --device "$device" "$model" "$data" "$dir" "${options[@]}"

for table in "$data"/text "$data"/text.phn "$data"/utt2* "$data"/spk2*; do # any: scores tell apart by what is there
  if [ -f "$table" ] && [[ $table != */utt2@(num_frames|fs) ]]; then cp "$table" "$dir/"; fi
done
for job in $(seq "$nj"); do cat "$dir/wav.$job.scp"; done > "$dir/wav.scp.tmp"
[ "$(wc -l < "$dir/wav.scp.tmp")" = "$utterances" ] || die "$dir: not every utterance was enhanced, see $dir/log"
mv "$dir/wav.scp.tmp" "$dir/wav.scp"
rm "$dir"/wav.[0-9]*.scp
mark_done "$dir"
