# shellcheck shell=bash
# Command-line options in Kaldi's manner. Source it after the block of defaults: every variable set there is
# an option, so that "--stop-stage 3" (or --stop_stage) sets $stop_stage. The value is always a separate word.
# "--config FILE" sources a bash file of name=value lines before the other options are looked at; "--help"
# prints $help_message. Parsing stops at the first word that is not an option; the rest stays in "$@".
# Types and ranges of values are in option_ranges.txt beside this file; a default of true or false is a boolean.
# The last of several values counts, as in Kaldi, but of options of several values, which users of other tools repeat.
# A renamed option keeps its old name for one release: "new_name=3  # meaning  # was: old-name"; the block has a line
# "# removed: name" for an option that does nothing any more.
# Kaldi's own parse_options.sh can take this file's place; names here start with _po_ to stay out of the way.

_po_die() {
  echo "$0: $*" >&2
  exit 1
}

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

# _po_renamed: the renamed options of the block of defaults, a line "old_name new_name" each; of removed ones "name".
_po_renamed() {
  [ ! -r "$0" ] || awk '/^help_message=/ { exit }
    match($0, /# was: /) { n = split(substr($0, RSTART + RLENGTH), old, /[ ,]+/); sub(/=.*/, "")
      for (i = 1; i <= n; i++) { gsub(/-/, "_", old[i]); print old[i], $0 } }
    /^# removed: / { for (i = 3; i <= NF; i++) print $i }' "$0"
}

# _po_was --old-name: puts the new name into $_po_name and prints a note; false when no option had this name.
_po_was() {
  local old new given=${1#--}
  while read -r old new; do
    if [ "$old" = "${given//-/_}" ] && [ -z "$new" ]; then
      echo "$0: --${old//_/-} does nothing any more; it will be refused in the next release" >&2
      _po_name=_po_removed
      return
    elif [ "$old" = "${given//-/_}" ]; then
      echo "$0: --${old//_/-} is now --${new//_/-}; the old name will be removed in the next release" >&2
      _po_name=$new
      return
    fi
  done < <(_po_renamed)
  return 1
}

_po_invalid() {
  local near names # only variables of the script itself: exported ones are mostly the user's environment
  mapfile -t names < <(comm -23 <(compgen -v | sort) <(compgen -e | sort) | grep '^[a-z]' | tr _ -)
  near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1))' \
    "${1#--}" "${names[@]}" help config 2> /dev/null) || true
  _po_die "invalid option $1${near:+ (did you mean --$near?)}"
}

_po_source() {
  if [ ! -r "$1" ] || [ -d "$1" ]; then _po_die "missing config '$1'"; fi
  case $1 in
    *.yaml | *.yml) _po_die "--config takes a bash file of name=value lines, not the YAML file '$1'" ;;
    */*) _po_file=$1 ;;
    *) _po_file=./$1 ;; # without a slash bash would look for it in PATH
  esac
  if [[ $(grep -Evm 1 '^[[:space:]]*(#|$)' "$_po_file") =~ ^[[:space:]]*-- ]]; then # bash would run each line as a command
    _po_die "--config takes a bash file of name=value lines, not a program's options as in '$1' (in steps: --feat-config)"
  fi
  local old new
  while read -r old new; do unset -v "$old"; done < <(_po_renamed)
  # shellcheck disable=SC1090
  . "$_po_file"
  while read -r old new; do
    if [ -v "$old" ] && _po_was "$old"; then printf -v "$_po_name" %s "${!old}"; fi
  done < <(_po_renamed)
}

# _po_number WORD TYPE FROM TO: whether WORD is an "int" or a "real" from FROM to TO.
_po_number() {
  local open=false below=false from=$3 to=$4
  case $2 in # 010 would be 8 to bash, and 20 digits more than it can hold
    int*) [[ $1 =~ ^(0|-?[1-9][0-9]{0,14})$ ]] || return 1 ;;
    *) [[ $1 =~ ^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$ ]] || return 1 ;;
  esac
  if [[ $from == *'<' ]]; then open=true from=${from%<}; fi
  if [[ $to == '<'* ]]; then below=true to=${to#<}; fi
  awk -v x="$1" -v from="$from" -v to="$to" -v open=$open -v below=$below 'BEGIN {
    exit !((from == "" || x > from + 0 || (open == "false" && x == from + 0)) &&
           (to == "" || x < to + 0 || (below == "false" && x == to + 0))) }'
}

# _po_check NAME TYPE [FROM [TO [WORD]]]: dies unless the value of NAME is one that its line of option_ranges.txt allows.
_po_check() {
  local word words good=true value=${!1} expected
  if [ "$2" = words ] || { [ -z "$value" ] && [ -z "${_po_default[$1]}" ]; }; then return; fi
  if [ "$2" = choice ]; then
    if [[ -n $value && $value != *' '* && " ${*:3} " == *" $value "* ]]; then return; fi
    words=${*:3} expected="one of ${words// /, }"
  else
    words=("$value")
    if [[ $2 == *s ]]; then read -r -a words <<< "${value//,/ }"; fi
    [ ${#words[@]} -gt 0 ] || [ "$2" = ints ] || good=false # no passes, for example
    for word in "${words[@]}"; do
      [[ -n ${5:-} && $word == "$5" ]] || _po_number "$word" "$2" "${3:-}" "${4:-}" || good=false
    done
    if $good; then return; fi
    case $2 in
      int) expected="a whole number" ;;
      ints) expected="whole numbers" ;;
      real) expected="a number" ;;
      *) expected="numbers" ;;
    esac
    case ${3:-},${4:-} in
      ,) ;;
      *'<,') expected+=" above ${3%<}" ;;
      *,) expected+=" of at least $3" ;;
      *) expected+=" from $3 to $4" ;;
    esac
    expected=${expected/from 0< to/above 0, at most} expected=${expected/at most </below }
    expected=${expected/to </to below }${5:+ or $5}
  fi
  _po_die "--${1//_/-} takes $expected, got '$value'"
}

# _po_once NAME VALUE: dies where an option of several values is given again, with others: the first would be lost.
_po_once() {
  local between=' '
  case ${_po_range[$1]:-} in
    words*,) between=, ;;
    ints* | reals* | words*) ;;
    *) return 0 ;;
  esac
  if [[ -n ${_po_given[$1]:-} && ${_po_given[$1]} != "$2" ]]; then
    _po_die "--${1//_/-} is given twice: several values go into one word: --${1//_/-} '${_po_given[$1]}$between$2'"
  fi
  _po_given[$1]=$2
}

# The options that have a range and those that are true or false, with their defaults: what is not changed is not checked.
declare -A _po_default=() _po_range=() _po_given=()
while read -r _po_name _po_rest; do
  if [[ $_po_name == [a-z]* && -v $_po_name ]]; then
    _po_default[$_po_name]=${!_po_name} _po_range[$_po_name]=$_po_rest
  fi
done < "${BASH_SOURCE[0]%/*}/option_ranges.txt"
for _po_name in $(compgen -v); do
  if [[ $_po_name == [a-z]* && ${!_po_name:-} =~ ^(true|false)$ && ! -v _po_default[$_po_name] ]]; then
    _po_default[$_po_name]=${!_po_name} _po_range[$_po_name]=boolean
  fi
done

for ((_po_i = 1; _po_i <= $#; _po_i += 2)); do
  case ${!_po_i} in
    --config)
      _po_value $(($# - _po_i + 1)) "${@:_po_i:2}"
      _po_source "${@:_po_i+1:1}"
      ;;
    --help | -h | --*=*) break ;;
    --?*) ;;
    *) break ;;
  esac
done

while [ -n "${1:-}" ]; do
  case $1 in
    --help | -h)
      printf '%s\n' "${help_message:-No help found.}"
      exit 0
      ;;
    --*=*) _po_die "options to scripts must be of the form --name value, got '$1'" ;;
    --config) ;; # sourced above
    --*)
      _po_known "$1" || _po_was "$1" || _po_invalid "$1"
      _po_option=$_po_name
      _po_value $# "${@:1:2}"
      _po_once "$_po_option" "$2"
      printf -v "$_po_option" %s "$2"
      ;;
    *) break ;;
  esac
  shift 2
done

for _po_name in "${!_po_default[@]}"; do
  if [ "${!_po_name}" = "${_po_default[$_po_name]}" ]; then continue; fi
  if [ "${_po_range[$_po_name]}" = boolean ]; then
    [[ ${!_po_name} =~ ^(true|false)$ ]] || _po_die "expected \"true\" or \"false\": --${_po_name//_/-} ${!_po_name}"
  else
    # shellcheck disable=SC2086  # words of a line of option_ranges.txt
    _po_check "$_po_name" ${_po_range[$_po_name]}
  fi
done

if [ -v cmd ] && [ -z "$cmd" ]; then _po_die "empty argument to --cmd option"; fi
true # the status of sourcing this file
