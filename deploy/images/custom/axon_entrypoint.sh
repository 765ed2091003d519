#!/bin/sh
# An agent that writes down what it was asked for. $1 is the prompt; the working directory is the checkout.
set -eu
printf '%s\n' "$1" >REQUEST.md
git add REQUEST.md
git commit --quiet --message "Write down the request"
# Lines of "key: value" become the Task's results.
[ -z "${AXON_RESULTS_FILE:-}" ] || echo "lines: $(wc -l <REQUEST.md)" >>"$AXON_RESULTS_FILE"
# What stands between these two lines becomes its outputs.
echo ---AXON_OUTPUTS_START---
echo "wrote REQUEST.md"
echo ---AXON_OUTPUTS_END---
