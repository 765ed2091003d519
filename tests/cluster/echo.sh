#!/bin/sh
# An agent that tells what it was given: how many arguments, and the digests of the first one and of
# the prompt's file.
set -eu
digest() {
  sha256sum | { read -r digest _ && echo "$digest"; }
}
{
  echo "arguments: $#"
  echo "argument: $(printf %s "$1" | digest)"
  echo "file: $(digest <"$AXON_PROMPT_FILE")"
} >>"$AXON_RESULTS_FILE"
