#!/bin/sh
# The test puts the compiled frontend where this file says.
cp "$(cat "$(dirname "$0")/where")" "$BKBISECT_CONTEXT/frontend"
