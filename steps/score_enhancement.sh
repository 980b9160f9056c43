#!/usr/bin/env bash
# Scores enhanced speech against clean speech: PESQ, STOI, eSTOI, CSIG, CBAK, COVL, segmental SNR, SI-SDR, LSD, MCD, ViSQOL;
# and, which need no clean speech, DNSMOS P.835 and P.808, Distill-MOS and SRMR; speaker and phone similarity by trained
# models; NISQA, UTMOS, SCOREQ and others by models of yours.
# Reads two data directories (or two plain folders of audio files) with the same utterances. A clean directory with spk1.scp
# and wav.scp, as in the URGENT challenges, is read by its spk1.scp, with the rates of utt2fs. Writes
# <scoring-dir>/per_utt.tsv, with NA and the reason for a missing score, summary.tsv (means, 95 % intervals,
# counts) and breakdown.tsv (the same by SNR, noise, speaker and length). PESQ takes most of the time, 0.03 x real time.
# A pair that cannot be read or does not fit is an error: NA, named and counted; the others are scored.

measures=all      # wb-pesq,nb-pesq,stoi,estoi,csig,cbak,covl,segsnr,si-sdr, or some of them and of lsd,mcd,visqol,dnsmos-sig,dnsmos-bak,dnsmos-ovrl,dnsmos-p808,distill-mos,srmr; none: only those of the models below
speaker_model=    # [NAME=]DIR: also speaker similarity, spksim-NAME, by this classifier of speakers or encoder
phone_model=      # [NAME=]DIR: also Levenshtein phone similarity, lps-NAME, by this recogniser of phones
mos_models=       # NAME=FILE or NAME=cmd:PROGRAM, several in quotes: also NAME by an ONNX graph, TorchScript or a program of yours, e.g. utmos=utmos.pt
reference=clean   # none: there is no clean speech; all measures are then those of dnsmos
pesq=default      # corrigendum2: ITU-T P.862.2 with Corrigendum 2, by the package pesqc2
max_skip=0.01     # share of pairs that may be errors
nj=2              # jobs
cmd=launch.py     # where they run
allow_pipes=false # true: run the commands in wav.scp
channel=          # of audio that has several, from 0
force=false       # true: score again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] [<clean-data-dir>] <enhanced-data-dir> <scoring-dir>
e.g.: $0 --nj 4 data/test_clean data/test_noisy exp/noisy/scoring/test
      $0 --reference none --measures dnsmos-ovrl,distill-mos recordings_enhanced scores
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

measures=${measures//[[:blank:]]/} # 'stoi, estoi' is 'stoi,estoi', in what is recorded too
[[ $pesq =~ ^(default|corrigendum2)$ ]] || die "--pesq takes default or corrigendum2, got '$pesq'"
[[ $reference =~ ^(clean|none)$ ]] || die "--reference takes clean or none, got '$reference'"
clean=()
if [ "$reference" = clean ]; then
  [ $# -eq 3 ] || die "expected <clean-data-dir> <enhanced-data-dir> <scoring-dir>, got $# words; see --help"
  clean=("${1%/}")
  require "${clean[0]}" "local/*/prepare.sh or local/import_corpus.sh"
  shift
fi
[ $# -eq 2 ] || die "--reference none: expected <enhanced-data-dir> <scoring-dir>, got $# words; see --help"
enhanced=${1%/} dir=$2
require "$enhanced" "steps/enhance.sh"
sides=("${clean[@]}" "$enhanced")
if [ -f "${sides[0]}/utt2spk" ]; then limit_jobs "${sides[0]}/utt2spk"; else limit_jobs "${sides[0]}"; fi

# Which PESQ there is changes the scores: installing it later has to show. Measures are checked before anything is moved away.
version=$(python3 -c 'import sys; from mimic.judging.similarity import chosen; from mimic.metrics import pesq
pesq.use(sys.argv[1]); chosen(sys.argv[2], sys.argv[3] == "clean", *sys.argv[4:])
print(pesq.version())' "$pesq" "$measures" "$reference" "$speaker_model" "$phone_model" "$mos_models" 2>&1) || die "${version##*UserError: }"
extra=()
if [ "$reference" = none ]; then extra+=("reference=none"); fi
if [ "$pesq" != default ]; then extra+=("edition=$pesq"); fi
models=()
for option in speaker_model phone_model; do
  if [ -n "${!option}" ]; then
    extra+=("$option=${!option}")
    models+=(--input "${!option#*=}")
  fi
done
if [ -n "$mos_models" ]; then
  extra+=("mos_models=$mos_models")
  for one in $mos_models; do
    if [ -f "${one#*=}" ]; then models+=(--input "${one#*=}"); fi
  done
fi
if up_to_date "$dir" --force "$force" --version 1 --input "${sides[@]}" "${models[@]}" \
  --option "measures=$measures${channel:+ channel $channel}" "pesq=$version" "${extra[@]}"; then
  exit 0
fi

log "scoring $enhanced${clean[0]:+ against ${clean[0]}} in $nj jobs"
options=(--measures "$measures" --reference "$reference" --pesq "$pesq" --max-skip "$max_skip" --allow-pipes "$allow_pipes")
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
if [ -n "$speaker_model" ]; then options+=(--speaker-model "$speaker_model"); fi
if [ -n "$phone_model" ]; then options+=(--phone-model "$phone_model"); fi
if [ -n "$mos_models" ]; then options+=(--mos-models "$mos_models"); fi
$cmd "$JOB=1:$nj" "$dir/log/score.$JOB.log" pyscripts/score_enhancement.py "${options[@]}" --job "$JOB" --nj "$nj" \
  "${sides[@]}" "$dir"
pyscripts/score_enhancement.py "${options[@]}" "${sides[@]}" "$dir"
mark_done "$dir"
