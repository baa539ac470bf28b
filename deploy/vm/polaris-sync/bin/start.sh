#!/usr/bin/env bash
# Starts Causeway with the documents in conf/, and returns as soon as it runs. It goes on after the terminal is closed.
# Usage: bin/start.sh [--foreground] [more arguments of `causeway serve`]
#   --foreground  does not return, for systemd and containers
# The log goes to standard output; `bash bin/start.sh > sync.log 2>&1` puts it into a file.
# Environment: CAUSEWAY_LISTEN, where the API listens (127.0.0.1:8000); SERVER_PORT, the port of /sync/health (8690); CAUSEWAY_LOG (info);
# and those of polaris-sync.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
pid_file=$root/bin/causeway.pid
foreground=""
if [ "${1:-}" = --foreground ]; then foreground=1; shift; fi

# Whether the process of a number is this very program: a number may be somebody else's by now.
is_ours() {
  [ -n "$1" ] && [ "$(readlink "/proc/$1/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$root/bin/causeway" ]
}

pid=$(cat "$pid_file" 2>/dev/null || true)
if is_ours "$pid"; then
  echo "Causeway runs already (pid $pid); bin/stop.sh ends it" >&2
  exit 1
fi

# It finds bin/application.yaml and the documents below the working directory.
command=("$root/bin/causeway" serve --log stdout --data-dir "$root/data" "$@")
if [ -n "$foreground" ]; then
  echo $$ > "$pid_file"
  exec "${command[@]}"
fi
# The closing terminal does not end it.
trap '' HUP
"${command[@]}" < /dev/null &
pid=$!
echo "$pid" > "$pid_file"
# What cannot start, such as one whose port is taken, ends within this time.
for _ in $(seq 20); do
  if ! kill -0 "$pid" 2>/dev/null; then
    rm -f "$pid_file"
    wait "$pid" || code=$?
    echo "Causeway did not start" >&2
    exit "${code:-1}"
  fi
  sleep 0.1
done
echo "Causeway runs (pid $pid); bin/stop.sh ends it" >&2
