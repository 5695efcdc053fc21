#!/bin/sh
# Builds three times what a frontend older than BuildKit v0.17 sends for "FROM base" and a RUN, the third
# time with --no-cache, and prints whether the RUN ran. Such a frontend writes the fields of an operation
# in the order of their numbers; since v0.17, what the operation does (source, exec) is the last one.
set -eu

# Bytes are texts with escapes of printf %b.
varint() {
    rest=$1
    while [ "$rest" -ge 128 ]; do
        printf '\\0%03o' $((rest % 128 + 128))
        rest=$((rest / 128))
    done
    printf '\\0%03o' "$rest"
}

# field NUMBER BYTES: a field of protobuf that has a length
field() {
    size=$(printf %b "$2" | wc -c)
    printf '%s%s%s' "$(varint $(($1 * 8 + 2)))" "$(varint "$size")" "$2"
}

digest() {
    printf 'sha256:%s' "$(printf %b "$1" | sha256sum | cut -d ' ' -f 1)"
}

constraints=$(field 11 '')

source=$(field 3 "$(field 1 "docker-image://$BKBISECT_IMAGE_BASE")")$constraints
command='cat /proc/sys/kernel/random/uuid > /id'
meta=$(field 1 /bin/sh)$(field 1 -c)$(field 1 "$command")$(field 3 /)
exec=$(field 1 "$meta")$(field 2 "$(field 3 /)")
run=$(field 1 "$(field 1 "$(digest "$source")")")$(field 2 "$exec")$constraints
result=$(field 1 "$(field 1 "$(digest "$run")")")
metadata=$(field 2 "$(field 1 "$(digest "$run")")$(field 2 '')")
printf %b "$(field 1 "$source")$(field 1 "$run")$(field 1 "$result")$metadata" > definition

# build NAME [OPTION]: prints whether the RUN ran; it writes another text each time
build() {
    name=$1
    shift
    "$BKBISECT_BUILDCTL" build "$@" --output "type=local,dest=$name" < definition
    if [ -e last ] && cmp -s "$name/id" last; then
        echo "$name: the RUN is cached"
    else
        echo "$name: the RUN ran"
    fi
    cp "$name/id" last
}

build first
build second
build no-cache --no-cache
