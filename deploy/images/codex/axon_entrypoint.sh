#!/bin/sh
# Starts Codex on the prompt in $1.
set -eu
export CODEX_HOME="${CODEX_HOME:-$HOME/.codex}"
mkdir -p "$CODEX_HOME"
# Its own sandbox would make .git read-only; the Pod is the sandbox.
exec codex exec --json --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check \
  -c analytics.enabled=false -c check_for_update_on_startup=false \
  ${AXON_MODEL:+-m "$AXON_MODEL"} -- "$1"
