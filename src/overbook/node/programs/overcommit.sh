#!/bin/sh
# Keeps the kernel's overcommit off while the kubelet runs: the kubelet switches it on each time it starts, some
# seconds into its start, and says nothing. So somebody has to look.
set -u
export LC_ALL=C
SETTING=${OVERBOOK_PROC:-/proc}/sys/vm/overcommit_memory
SECONDS_BETWEEN=${OVERBOOK_SECONDS:-5}

while :; do
    # One digit. A shell reads byte by byte, and the kernel gives a sysctl only to the first read: then the line has no
    # end, which read calls a failure.
    value=
    read -r value <"$SETTING" || :
    case $value in
        '' | 0) ;;
        *) echo 0 >"$SETTING" && echo "vm.overcommit_memory was $value and is 0 again" ;;
    esac
    sleep "$SECONDS_BETWEEN"
done
