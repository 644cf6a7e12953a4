# Sourced by the other scripts: finds Python, makes the virtual environment, installs into it once.
# shellcheck shell=bash

MIN_MINOR=10 MAX_MINOR=13 # the versions of Python 3 that the project supports
DISK_MB=4000              # a CPU-only installation takes about 2.5 GB, and pip unpacks beside it

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${CVAT_AUDIT_VENV:-$TOP/.venv}
unset PYTHONPATH PYTHONHOME # another project's packages must not mix with the environment's

say() { printf '%s\n' "$@" >&2; } # one line per argument
fail() { # code, line...
  local code=$1
  shift
  printf 'Error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit "$code"
}

# Prints a Python between 3.MIN_MINOR and 3.MAX_MINOR; $PYTHON goes first.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 python; do
    if supported_python "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail 2 "no Python 3.$MIN_MINOR to 3.$MAX_MINOR found (tried python3, python3.13 ... python3.10, python)." \
    "Debian or Ubuntu: sudo apt-get install python3 python3-venv python3-pip" \
    "One that is not on the PATH: PYTHON=/path/to/python3 $0"
}

supported_python() { # python
  "$1" -c "import sys; sys.exit(not (3, $MIN_MINOR) <= sys.version_info[:2] <= (3, $MAX_MINOR))" >/dev/null 2>&1
}

# Makes $VENV unless a working one is there.
make_venv() {
  supported_python "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return
  [ ! -e "$VENV" ] || [ -e "$VENV/pyvenv.cfg" ] ||
    fail 2 "$VENV exists and is not a virtual environment." "Move it away, or name another place in CVAT_AUDIT_VENV."
  local python
  python=$(find_python) || exit $?
  check_disk
  say "Making a virtual environment in $VENV with $("$python" --version 2>&1) ..."
  rm -f "$VENV"/.installed-*
  "$python" -m venv --clear "$VENV" >/dev/null 2>&1 || venv_without_ensurepip "$python"
}

# Debian without python3-venv has no ensurepip, but its pip can put a pip into an empty environment.
venv_without_ensurepip() { # python
  local version site
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if "$1" -m venv --clear --without-pip "$VENV" 2>/dev/null; then
    site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$1" -m pip install --quiet --disable-pip-version-check --target "$site" pip >/dev/null 2>&1 &&
      "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return
  fi
  rm -rf "$VENV"
  fail 2 "$1 cannot make a virtual environment in $VENV." \
    "Debian or Ubuntu: sudo apt-get install python$version-venv    Then run $0 again."
}

check_disk() {
  local free_mb
  free_mb=$(df -Pm "$(dirname "$VENV")" 2>/dev/null | awk 'NR == 2 { print $4 }')
  [ -z "$free_mb" ] || [ "$free_mb" -ge "$DISK_MB" ] ||
    fail 3 "only $free_mb MB are free in $(dirname "$VENV"); the installation needs about $DISK_MB MB." \
      "Free some space, or name another place in CVAT_AUDIT_VENV."
}

# Installs this project with some extras, unless that was done with the same pyproject.toml and constraints.
install() { # extras
  local stamp="$VENV/.installed-$1" state log="$VENV/install.log" done
  make_venv
  state=$(cat "$TOP/pyproject.toml" "$TOP/scripts/constraints.txt" | cksum)
  for done in "$stamp"*; do # a longer list of extras that begins with this one will do
    [ "$(cat "$done" 2>/dev/null)" != "$state" ] || return 0
  done
  check_disk
  say "Installing cvat-audit with '$1' (a few minutes the first time; details in $log) ..."
  if ! "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    -c "$TOP/scripts/constraints.txt" -e "$TOP[$1]" 2>&1 | tee "$log" | show_progress; then
    explain_failure "$log"
  fi
  printf '%s\n' "$state" >"$stamp"
}

# From pip's output: the large downloads, every 25th package, and the long silent step at the end.
show_progress() {
  awk '/^ *Downloading .*\([0-9][0-9.]+ (MB|GB)\)/ { print "  downloading " $2, $3, $4; fflush() }
       /^Collecting / && ++n % 25 == 0 { print "  " n " packages looked up"; fflush() }
       /^Building / { print "  " tolower($0); fflush() }
       /^Installing collected packages/ { print "  unpacking " split($0, a, ",") " packages"; fflush() }' >&2
}

explain_failure() { # log
  if grep -qi 'no space left on device\|errno 28\|disk quota exceeded' "$1"; then
    fail 3 "the disk is full." "Free some space (about $DISK_MB MB are needed) or name another place in CVAT_AUDIT_VENV."
  elif grep -qi 'failed to establish a new connection\|name resolution\|network is unreachable\|timed out\|ProxyError\|SSLError\|ConnectionResetError' "$1"; then
    fail 3 "the Python package index cannot be reached." \
      "Check the network; behind a proxy set HTTPS_PROXY, with a mirror set PIP_INDEX_URL. Then run $0 again." \
      "pip's own words are in $1."
  fi
  tail -n 15 "$1" >&2
  fail 3 "pip could not install the packages; its last lines are above, all of them in $1."
}

# Installs system packages if that is possible without a question; false if it is not.
apt_install() { # package...
  command -v apt-get >/dev/null || return 1
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  say "Installing $* with apt-get ..."
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"' apt "$@" >/dev/null 2>&1
}

# The libraries that FiftyOne's database server is linked against; most machines have them.
need_database_libraries() {
  has_library libcurl.so.4 && has_library libssl.so.3 && return
  apt_install libcurl4 libssl3 && return
  say "Note: libcurl4 or libssl3 is missing, so FiftyOne's database may not start." \
    "To install them: sudo apt-get install libcurl4 libssl3"
}

has_library() { # soname
  { /sbin/ldconfig -p 2>/dev/null || ldconfig -p 2>/dev/null; } | grep -qF "$1"
}
