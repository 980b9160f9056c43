# shellcheck shell=bash
# Command-line options in Kaldi's manner. Source it after the block of defaults: every variable set there is
# an option, so that "--stop-stage 3" (or --stop_stage) sets $stop_stage. The value is always a separate word.
# "--config FILE" sources a bash file of name=value lines before the other options are looked at; "--help"
# prints $help_message. Parsing stops at the first word that is no option; the rest stays in "$@".
# Kaldi's own parse_options.sh can take this file's place; names here start with _po_ to stay out of the way.

_po_die() { echo "$0: $*" >&2; exit 1; }

# _po_known --stop-stage: puts stop_stage into $_po_name; false when the script has no such variable.
_po_known() {
  _po_name=${1#--}
  _po_name=${_po_name//-/_}
  [[ $_po_name =~ ^[a-z][a-z0-9_]*$ && -v $_po_name ]]
}

# _po_value COUNT OPTION [VALUE]: dies when OPTION is the last of COUNT words or the next word is an option too.
_po_value() {
  if [ "$1" -lt 2 ]; then _po_die "option $2 needs a value"; fi
  if [[ $3 == --config || $3 == --help ]] || { [[ $3 == --* ]] && _po_known "$3"; }; then
    _po_die "option $2 needs a value, but '$3' follows"
  fi
}

_po_invalid() {
  local near names  # only variables of the script itself: exported ones are mostly the user's environment
  mapfile -t names < <(comm -23 <(compgen -v | sort) <(compgen -e | sort) | grep '^[a-z]' | tr _ -)
  near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1))' \
    "${1#--}" "${names[@]}" help config 2>/dev/null) || true
  _po_die "invalid option $1${near:+ (did you mean --$near?)}"
}

_po_source() {
  if [ ! -r "$1" ] || [ -d "$1" ]; then _po_die "missing config '$1'"; fi
  case $1 in
    *.yaml | *.yml) _po_die "--config takes a bash file of name=value lines, not the YAML file '$1'" ;;
    */*) _po_file=$1 ;;
    *) _po_file=./$1 ;;  # without a slash bash would look for it in PATH
  esac
  # shellcheck disable=SC1090
  . "$_po_file"
}

for ((_po_i = 1; _po_i <= $#; _po_i += 2)); do
  case ${!_po_i} in
    --config) _po_value $(($# - _po_i + 1)) "${@:_po_i:2}"; _po_source "${@:_po_i+1:1}" ;;
    --help | -h | --*=*) break ;;
    --?*) ;;
    *) break ;;
  esac
done

while [ -n "${1:-}" ]; do
  case $1 in
    --help | -h)
      printf '%s\n' "${help_message:-No help found.}" >&2
      exit 0 ;;
    --*=*) _po_die "options to scripts must be of the form --name value, got '$1'" ;;
    --config) ;;  # sourced above
    --*)
      _po_known "$1" || _po_invalid "$1"
      _po_option=$_po_name
      _po_value $# "${@:1:2}"
      if [[ ${!_po_option} =~ ^(true|false)$ && ! $2 =~ ^(true|false)$ ]]; then
        _po_die "expected \"true\" or \"false\": $1 $2"
      fi
      printf -v "$_po_option" %s "$2" ;;
    *) break ;;
  esac
  shift 2
done

if [ -v cmd ] && [ -z "$cmd" ]; then _po_die "empty argument to --cmd option"; fi
true  # the status of sourcing this file
