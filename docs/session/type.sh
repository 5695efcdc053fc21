#!/bin/sh
# What the recording shows: README's test script, and the bisection with it. benchmarks/session.py
# runs this in a checkout that contains my-test.sh. BKBISECT_REPO may name a clone of BuildKit.
set -eu

typed() {
    printf '\033[1m$\033[0m '
    sleep 1
    printf '%s\n' "$1"
    sleep 0.3
    sh -c "$1"
}

typed 'cat my-test.sh'
typed './inv bisect --good v0.32.0-rc1 --bad v0.32.0 --script ./my-test.sh'
printf '\033[1m$\033[0m '
sleep 1
