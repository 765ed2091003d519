#!/bin/sh
# Starts Codex on the prompt in $1.
set -eu
# A root file system may be read-only.
[ -w "${TMPDIR:-/tmp}" ] || { export TMPDIR="$HOME/tmp" && mkdir -p "$TMPDIR"; }
# It does not make this folder itself.
export CODEX_HOME="${CODEX_HOME:-$HOME/.codex}"
mkdir -p "$CODEX_HOME"
# A provider of our own: only such a one heeds a base URL and sends this key, and its retries are bounded.
url=$(printf %s "${OPENAI_BASE_URL:-https://api.openai.com/v1}" | sed 's/[\\"]/\\&/g')
provider="{name=\"axon\",base_url=\"$url\",env_key=\"CODEX_API_KEY\",wire_api=\"responses\",request_max_retries=2,stream_max_retries=3}"
# Its own sandbox would make .git read-only; the Pod is the sandbox. The rest keeps it from asking other hosts.
exec codex exec --json --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check \
  -c model_provider=axon -c "model_providers.axon=$provider" \
  -c analytics.enabled=false -c check_for_update_on_startup=false -c 'otel.metrics_exporter="none"' \
  --disable plugins --disable apps ${AXON_MODEL:+-m "$AXON_MODEL"} -- "$1"
