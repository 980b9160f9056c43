# shellcheck shell=bash
# The environment of every command of this recipe. Sourced (". ./path.sh") by run.sh, by each step and inside
# every cluster job: it may run twice, and it never exits. Your own additions go to local/path.sh.

_mimic_root=${BASH_SOURCE[0]%/*}
_mimic_root=$(cd "$_mimic_root" && pwd)

export LC_ALL=C           # sorting depends on it: never change it
export PYTHONUNBUFFERED=1 # the output of a job is in its log at once
export PYTHONPATH=$_mimic_root/pyscripts
case :$PATH: in
  *":$_mimic_root/steps/lib:"*) ;;
  *) export PATH=$_mimic_root/steps/lib:$_mimic_root/.venv/bin:$PATH ;;
esac

# Every script puts its options into $help_message; they are listed only where somebody asks for them.
case " $* " in
  *" --help "* | *" -h "*) unset -f list_options.sh ;;
  *) list_options.sh() { :; } ;;
esac

if [ ! -e "$_mimic_root/.venv/bin/python3" ]; then
  echo "path.sh: no $_mimic_root/.venv yet: steps/setup.sh makes it in about 3 minutes (run.sh does so by itself)" >&2
fi

# shellcheck disable=SC1091
if [ -f "$_mimic_root/local/path.sh" ]; then . "$_mimic_root/local/path.sh"; fi
unset _mimic_root
