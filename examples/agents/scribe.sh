#!/bin/sh
# A small agent without a model: it writes its prompt into a file of the workspace, commits that on the
# branch it is on, pushes the branch, and reports what it did. It is started as every agent image is:
# the prompt is the first argument, the working directory is the checked-out workspace.
set -eu

prompt=$1
file=NOTES.md

echo "scribe: reading the prompt"
printf -- '- %s\n' "$prompt" >>"$file"

git add -- "$file"
git commit --quiet --message "Note what was asked"
git push --quiet origin HEAD
echo "scribe: committed and pushed $file"

# Lines between the markers become outputs of the Task.
echo "---AXON_OUTPUTS_START---"
echo "wrote $file"
echo "---AXON_OUTPUTS_END---"

# Pairs in this file become results of the Task.
echo "lines: $(grep -c '' "$file")" >>"$AXON_RESULTS_FILE"
