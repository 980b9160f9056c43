#!/usr/bin/env bash
# Filterbank (Kaldi's or torchaudio's), MFCC or log1p-magnitude STFT features; hidden states: steps/extract_ssl.sh.
# Reads the audio of <data-dir>; writes <feat-dir>, a data directory with the same tables and feats.scp,
# utt2num_frames, frame_shift, cmvn.scp (per speaker), global_cmvn.ark, conf/ and skipped.tsv.
# Takes about 5 s per hour of speech and job, more where audio has to be decoded (Opus, MP3).

type=fbank        # fbank, logmel, mfcc, stft; ssl: by steps/extract_ssl.sh
feat_config=      # option file in Kaldi's format; empty: conf/<type>.conf
nj=2              # jobs
cmd=launch.py     # where they run
compress=none     # archives: none (float32), int16 (half the size) or uint8 (a quarter, coarse)
allow_pipes=false # true: run the commands in wav.scp
channel=          # of audio that has several, from 0
ssl_model=        # of --type ssl, the encoder that --feat-config names: steps/extract_ssl.sh gives it
set=              # options '[NAME:]type.option=value ...' that override the file, as fbank.num_mel_bins=40
max_skip=0.01     # largest share of utterances whose audio cannot be used
force=false       # true: compute again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <feat-dir>
e.g.: $0 --type stft --nj 4 data/train_noisy exp/stft/train_noisy
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <feat-dir>, got $# words; see --help"
data=$1 dir=$2
conf=${feat_config:-conf/$type.conf}
require "$data/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
[ -f "$conf" ] || die "$conf is missing: --type is fbank, logmel, mfcc or stft, --feat-config an option file"

given=() # of --set, in the file's format
read -r -a words <<< "$set"
own=$(settings_for "$dir" "${words[@]}") || exit 1
while read -r word; do
  [[ $word == "$type".* ]] || continue
  word=${word#"$type".} name=${word%%=*}
  given+=("--${name//_/-}=${word#*=}")
done <<< "$own"

limit_jobs "$data/utt2spk"
if up_to_date "$dir" --force "$force" --version 1 --input "$conf" --input "$data" ${ssl_model:+--input "$ssl_model"} \
  --option "type=$type" --option "compress=$compress" --option "channel=$channel" ${given[0]+--option "set=${given[*]}"}; then
  check_skipped "$dir" "$max_skip"
  exit 0
fi
# Jobs that an earlier, cut-off run finished are kept, unless the utterances were split differently.
if [ "$(cat "$dir/num_jobs" 2> /dev/null)" != "$nj" ]; then rm -rf "$dir/archives"; fi
mkdir -p "$dir/log" "$dir/conf"
echo "$nj" > "$dir/num_jobs"

cp "$conf" "$dir/conf/$type.conf"
if [ ${#given[@]} -gt 0 ]; then
  printf '%s\n' '' '# of --set' "${given[@]}" >> "$dir/conf/$type.conf"
  conf=$dir/conf/$type.conf
fi
log "$type features of $utterances utterances of $data in $nj jobs"
options=(--type "$type" --config "$conf" --compress "$compress" --allow-pipes "$allow_pipes")
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --mem 1G "$JOB=1:$nj" "$dir/log/make_feats.$JOB.log" \
  pyscripts/make_feats.py --job "$JOB" --nj "$nj" "${options[@]}" "$data" "$dir/archives"
pyscripts/collect_feats.py --nj "$nj" --max-skip "$max_skip" "$data" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/feats.scp") utterances in $dir"
