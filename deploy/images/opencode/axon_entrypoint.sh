#!/bin/sh
# Starts OpenCode on the prompt in $1.
set -eu
export OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1
exec opencode run --format json --auto ${AXON_MODEL:+-m "$AXON_MODEL"} -- "$1"
