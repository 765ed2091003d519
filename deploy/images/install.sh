#!/bin/sh
# Installs the command line program of AGENT into DIR, in the version that AGENT/package.json pins and with the
# checksums of AGENT/package-lock.json: `install.sh AGENT DIR [amd64|arm64]`. DIR/bin then has the program.
# The images are made with it, and so is what `make e2e-agents` runs.
set -eu
agent=$1 dir=$2
from=$(cd "$(dirname "$0")/$agent" && pwd)
case ${3:-$(uname -m)} in
amd64 | x86_64) cpu=x64 triple=x86_64-unknown-linux-musl ;;
arm64 | aarch64) cpu=arm64 triple=aarch64-unknown-linux-musl ;;
*) echo "install.sh: no architecture \"${3:-$(uname -m)}\"" >&2 && exit 64 ;;
esac
# Install scripts only choose among what the platform's package has; the links below do that.
set -- --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error --os=linux --cpu=$cpu --libc=glibc
mkdir -p "$dir/bin"
cp "$from/package.json" "$from/package-lock.json" "$dir"
cd "$dir"
if [ "$agent-$cpu" = opencode-arm64 ]; then
  # The lock file has no checksum of this one: a mirror that it was made with did not have it.
  version=$(node -p 'Object.values(require("./package.json").dependencies)[0]')
  npm install --no-save --no-package-lock "$@" "opencode-linux-arm64@$version"
else
  npm ci "$@"
fi
case $agent in
claude-code)
  ln -s ../node_modules/@anthropic-ai/claude-code-linux-$cpu/claude bin/claude ;;
codex)
  # A microphone is not among an agent's tools.
  rm -r node_modules/@openai/codex-linux-$cpu/vendor/$triple/codex-resources/voice
  ln -s ../node_modules/@openai/codex-linux-$cpu/vendor/$triple/bin/codex bin/codex ;;
gemini)
  ln -s ../node_modules/@google/gemini-cli/bundle/gemini.js bin/gemini ;;
opencode)
  package=opencode-linux-$cpu
  # Runs on every x86-64, the other build only where there is AVX2.
  [ "$cpu" = arm64 ] || package=$package-baseline
  ln -s "../node_modules/$package/bin/opencode" bin/opencode ;;
*)
  echo "install.sh: no agent \"$agent\"" >&2 && exit 64 ;;
esac
