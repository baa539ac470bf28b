#!/usr/bin/env bash
# Ends the Causeway that bin/start.sh has started, and waits until it has. What it wrote into registries stays there.
# Usage: bin/stop.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
pid_file=$root/bin/causeway.pid
pid=$(cat "$pid_file" 2>/dev/null || true)

# Whether the process of a number is this very program: a number may be somebody else's by now.
is_ours() {
  [ -n "$1" ] && [ "$(readlink "/proc/$1/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$root/bin/causeway" ]
}

if ! is_ours "$pid"; then
  rm -f "$pid_file"
  echo "Causeway does not run" >&2
  exit 0
fi
kill "$pid"
for _ in $(seq 300); do
  if ! is_ours "$pid"; then
    rm -f "$pid_file"
    echo "Causeway has ended" >&2
    exit 0
  fi
  sleep 0.1
done
echo "Causeway (pid $pid) has not ended within 30 s" >&2
exit 1
