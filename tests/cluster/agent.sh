#!/bin/sh
# The agent of the node level's tests: does in the checkout what its prompt says, as a shell script.
set -eu
export GIT_AUTHOR_NAME=agent GIT_AUTHOR_EMAIL=agent@example.com
export GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=agent@example.com
exec /bin/sh -euc "$1"
