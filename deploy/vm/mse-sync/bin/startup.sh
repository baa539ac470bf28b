#!/usr/bin/env bash
# Starts and stops Causeway, in the form of MSE Sync's script. It goes on after the terminal is closed.
# Usage: bin/startup.sh start|stop|restart|status|run
#   start   returns as soon as Causeway runs; the log goes to logs/causeway.log
#   stop    ends it and waits until it has; what it wrote into registries stays there
#   status  says whether it runs; exit code 0: it does, 3: it does not
#   run     does not return, and the log goes to standard output: for systemd and containers
# conf/java.env is read first: set environment variables there. conf/config.yaml is applied at the start.
# Environment: CAUSEWAY_LISTEN, where the API listens (0.0.0.0:8000); CAUSEWAY_TOKEN, the token of the API; CAUSEWAY_LOG (info).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
pid_file=$root/bin/causeway.pid
log=$root/logs/causeway.log

if [ -r conf/java.env ]; then
  set -a
  # It may add to variables that are not set.
  set +u
  # shellcheck disable=SC1091
  . conf/java.env
  set -u
  set +a
fi

# Whether the process of a number is this very program: a number may be somebody else's by now.
is_ours() {
  [ -n "$1" ] && [ "$(readlink "/proc/$1/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$root/bin/causeway" ]
}

command() {
  exec "$root/bin/causeway" serve --log stdout --listen "${CAUSEWAY_LISTEN:-0.0.0.0:8000}" --data-dir "$root/data"
}

start() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null || true)
  if is_ours "$pid"; then
    echo "Causeway runs already (pid $pid); bin/startup.sh stop ends it" >&2
    exit 1
  fi
  mkdir -p logs
  # Somebody may read a token in it.
  touch "$log" && chmod 600 "$log"
  local from
  from=$(wc -c < "$log")
  # The closing terminal does not end it.
  trap '' HUP
  command < /dev/null >> "$log" 2>&1 &
  pid=$!
  echo "$pid" > "$pid_file"
  # What cannot start, such as one whose port is taken, ends within this time. What listens can be asked.
  for _ in $(seq 100); do
    if ! kill -0 "$pid" 2>/dev/null; then
      rm -f "$pid_file"
      tail -c "+$((from + 1))" "$log" >&2
      wait "$pid" || code=$?
      echo "Causeway did not start" >&2
      exit "${code:-1}"
    fi
    if tail -c "+$((from + 1))" "$log" | grep -q 'listening on'; then break; fi
    sleep 0.1
  done
  # A token that was made now is shown this once.
  tail -c "+$((from + 1))" "$log" | grep -A 1 '^token: ' || true
  echo "Causeway runs (pid $pid), its log is $log; bin/startup.sh stop ends it"
}

stop() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null || true)
  if ! is_ours "$pid"; then
    rm -f "$pid_file"
    echo "Causeway does not run" >&2
    return
  fi
  kill "$pid"
  for _ in $(seq 600); do
    if ! is_ours "$pid"; then
      rm -f "$pid_file"
      echo "Causeway has ended"
      return
    fi
    sleep 0.1
  done
  echo "Causeway (pid $pid) has not ended within 60 s" >&2
  exit 1
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  run) command ;;
  status)
    pid=$(cat "$pid_file" 2>/dev/null || true)
    if is_ours "$pid"; then
      echo "Causeway runs (pid $pid)"
      "$root/bin/causeway" --local "$root/data" get tasks || true
    else
      echo "Causeway does not run"
      exit 3
    fi
    ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
