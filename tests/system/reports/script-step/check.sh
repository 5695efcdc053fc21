#!/bin/sh
# Prints what no rule sees, and fails if the daemon cannot be reached.
"$BKBISECT_BUILDCTL" debug workers > /dev/null || exit 9
exec python3 "$(dirname "$0")/lib/look.py" "$BKBISECT_WORK/image" "$BKBISECT_AXIS_LABEL"
