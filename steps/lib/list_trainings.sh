# shellcheck shell=bash
# Which features a recipe makes and which models it trains: bash sources this file in front of each script that the recipe
# calls (BASH_ENV), and none of them works. steps/train.sh adds its configuration, directory and settings to the file
# $MIMIC_TRAININGS, steps/make_feats.sh "features", their type, option file and directory.
# recipe.sh (check_set) runs the recipe so before its first stage; a name ends with a zero byte, as a name may hold all else.

case $0 in
  "$MIMIC_RECIPE") return ;;
  steps/train.sh | */steps/train.sh)
    while [[ ${1:-} == --* ]]; do shift 2 || exit 0; done
    if [ $# -ge 2 ]; then printf '%s\0' $# "$@" >> "$MIMIC_TRAININGS"; fi
    ;;
  steps/make_feats.sh)
    type=fbank config=''
    while [[ ${1:-} == --* ]]; do
      case $1 in --type) type=$2 ;; --feat-config) config=$2 ;; esac
      shift 2 || exit 0
    done
    if [ $# -eq 2 ]; then printf '%s\0' features "$type" "${config:-conf/$type.conf}" "$2" >> "$MIMIC_TRAININGS"; fi
    ;;
esac
exit 0
