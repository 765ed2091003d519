#!/bin/sh
# Starts OpenCode on the prompt in $1. AXON_MODEL is PROVIDER/MODEL, and OPENCODE_API_KEY is that provider's key.
set -eu
# A root file system may be read-only.
[ -w "${TMPDIR:-/tmp}" ] || { export TMPDIR="$HOME/tmp" && mkdir -p "$TMPDIR"; }
export OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1

# Prints $1 as a string of JSON.
json() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }

# Prints the settings of provider $1, which serves the model $2.
provider() {
  npm='' url=''
  case $1 in
  anthropic) url=${ANTHROPIC_BASE_URL:+$ANTHROPIC_BASE_URL/v1} ;;
  google) url=${GOOGLE_GEMINI_BASE_URL:+$GOOGLE_GEMINI_BASE_URL/v1beta} ;;
  openai) url=${OPENAI_BASE_URL:-} ;;
  *) url=${OPENAI_BASE_URL:-} npm=${OPENAI_BASE_URL:+'"npm":"@ai-sdk/openai-compatible",'} ;;
  esac
  printf '{%s"models":{%s:{}},"options":{%s' "$npm" "$(json "$2")" "${OPENCODE_API_KEY:+\"apiKey\":\"{env:OPENCODE_API_KEY\}\"}"
  [ -z "$url" ] || printf '%s"baseURL":%s' "${OPENCODE_API_KEY:+,}" "$(json "$url")"
  printf '}}'
}

if [ -z "${OPENCODE_CONFIG_CONTENT:-}" ]; then
  providers=
  case ${AXON_MODEL:-} in
  # Its own provider knows its key.
  opencode/*) ;;
  */*) providers=",\"provider\":{$(json "${AXON_MODEL%%/*}"):$(provider "${AXON_MODEL%%/*}" "${AXON_MODEL#*/}")}" ;;
  esac
  export OPENCODE_CONFIG_CONTENT="{\"permission\":\"allow\",\"autoupdate\":false,\"share\":\"disabled\"$providers}"
fi

# An argument with a space in it would reach the model in quotes, so the prompt goes through standard input. The title
# is not to be asked of a model, which would cost what no event tells.
set -- "$1" opencode run --format json --auto --title "${AXON_TASK:-task}" ${AXON_MODEL:+-m "$AXON_MODEL"}
prompt=$1
shift
[ ! -r "${AXON_PROMPT_FILE:-}" ] || exec "$@" <"$AXON_PROMPT_FILE"
# This way it gets a line feed more.
exec "$@" <<END
$prompt
END
