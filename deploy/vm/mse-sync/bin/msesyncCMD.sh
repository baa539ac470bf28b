#!/usr/bin/env bash
# Sends a command to the Causeway of this folder, in the form of MSE Sync's script. Usage: bin/msesyncCMD.sh apply -f FILE
# Every command of bin/causeway works; the port and a token are found in data/.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
exec "$root/bin/causeway" --local "$root/data" "$@"
