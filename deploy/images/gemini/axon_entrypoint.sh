#!/bin/sh
# Starts Gemini CLI on the prompt in $1.
set -eu
# Without this its launcher swallows SIGTERM.
export GEMINI_CLI_NO_RELAUNCH=true
settings="$HOME/.gemini/settings.json"
if [ ! -e "$settings" ]; then
  mkdir -p "$HOME/.gemini"
  printf '%s\n' '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"general":{"enableAutoUpdate":false,"enableAutoUpdateNotification":false,"maxAttempts":3}}' >"$settings"
fi
exec gemini --output-format stream-json --yolo --skip-trust ${AXON_MODEL:+-m "$AXON_MODEL"} "--prompt=$1"
