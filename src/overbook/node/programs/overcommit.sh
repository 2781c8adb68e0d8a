#!/bin/sh
# Keeps the kernel's overcommit off while the kubelet runs. The kubelet switches it on some seconds after each start,
# without any notice, so this program checks the setting again and again.
set -u
export LC_ALL=C
SETTING=${OVERBOOK_PROC:-/proc}/sys/vm/overcommit_memory
SECONDS_BETWEEN=${OVERBOOK_SECONDS:-5}

while :; do
    # Only one digit is read: a shell reads byte by byte, and the kernel returns a sysctl only to the first read. So the
    # line has no end, for which `read` returns a failure.
    value=
    read -r value <"$SETTING" || :
    case $value in
        '' | 0) ;;
        *) echo 0 >"$SETTING" && echo "vm.overcommit_memory was $value and is 0 again" ;;
    esac
    sleep "$SECONDS_BETWEEN"
done
