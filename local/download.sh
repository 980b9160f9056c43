# shellcheck shell=bash
# What local/*/download.sh share. Source it after log.sh. A file that is there, packed or unpacked, is checked (MD5) and not
# downloaded again; an interrupted download resumes. The functions read --files and the options of download_options.sh.
# shellcheck disable=SC2154  # which the scripts set

# begin_download "$@": sets $dir, makes and locks it. A dry run ends here: it notes a directory that is not there yet.
begin_download() {
  [ $# -eq 1 ] || die "expected <dir>, got $# words; see --help"
  [ -f "$files" ] || die "--files $files: no such file"
  dir=$1
  if dry_run; then
    if [ ! -d "$dir" ]; then
      echo "$dir: to be downloaded"
      will_make "$dir"
    fi
    exit 0
  fi
  local error
  error=$(mkdir -p "$dir" 2>&1) || die "$error"
  lock_dir "$dir"
}

# fetch NAME[=FOLDER]...: downloads these files of the list, less those whose unpacked FOLDER is in $dir.
fetch() {
  local/fetch.py --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" --script "$0" "$dir" "$@"
}

# unpack ARCHIVE PARENT NAME [FILE]: PARENT/NAME of a .tar.gz or .tar.bz2, with the files beside it, into $dir. FILE has to
# be in it. The folder is moved there whole.
unpack() {
  local new=$dir/unpacking parent=${2:+/$2} reason
  if [ ! -d "$dir$parent/$3" ]; then
    log "unpacking $dir/$1"
    rm -rf "$new"
    mkdir -p "$new" "$dir$parent"
    # Python reads bzip2 where that is not installed.
    case $1 in
      *.gz) tar -xz -C "$new" < "$dir/$1" ;;
      *) python3 -m tarfile -e "$dir/$1" "$new" ;;
    esac || die "$dir/$1: cannot be unpacked, see the line above"
    reason=${2:+$2/}$3${4:+/$4}
    [ -e "$new/$reason" ] || die "$dir/$1 has no $reason: remove it and try again"
    if [ -n "$2" ]; then find "$new/$2" -maxdepth 1 -type f -exec mv -t "$dir/$2" {} +; fi
    mv "$new${parent}/$3" "$dir$parent/"
    rm -rf "$new"
  fi
  if $remove_archives; then rm -f "$dir/$1"; fi
}
