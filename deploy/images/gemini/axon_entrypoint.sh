#!/bin/sh
# Starts Gemini CLI on the prompt in $1.
set -eu
# A root file system may be read-only.
[ -w "${TMPDIR:-/tmp}" ] || { export TMPDIR="$HOME/tmp" && mkdir -p "$TMPDIR"; }
# Without this its launcher swallows SIGTERM.
export GEMINI_CLI_NO_RELAUNCH=true
# Without a chosen way to authenticate it refuses a base URL. It reads settings elsewhere too, but not where others
# may write to a folder above, as in a volume. A file that is there is the user's.
settings="${GEMINI_CLI_HOME:-$HOME}/.gemini/settings.json"
if [ ! -e "$settings" ]; then
  mkdir -p "${settings%/*}"
  printf '%s\n' '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"general":{"enableAutoUpdate":false,"enableAutoUpdateNotification":false,"maxAttempts":3}}' >"$settings"
fi
exec gemini --output-format stream-json --yolo --skip-trust ${AXON_MODEL:+-m "$AXON_MODEL"} "--prompt=$1"
