#!/bin/sh
# Starts Claude Code on the prompt in $1.
set -eu
# A root file system may be read-only.
[ -w "${TMPDIR:-/tmp}" ] || { export TMPDIR="$HOME/tmp" && mkdir -p "$TMPDIR"; }
# A refused key is to cost seconds, not minutes; nothing is to be asked of other hosts.
export CLAUDE_CODE_MAX_RETRIES="${CLAUDE_CODE_MAX_RETRIES:-4}"
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
# It refuses to run unattended as root unless it is told that this is a sandbox.
[ "$(id -u)" -ne 0 ] || export IS_SANDBOX=1
exec claude -p --output-format stream-json --verbose --dangerously-skip-permissions \
  ${AXON_MODEL:+--model "$AXON_MODEL"} -- "$1"
