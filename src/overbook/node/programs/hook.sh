#!/bin/sh
# OCI hook: gives a new container its swap allowance before its first instruction runs.
#
# The runtime calls this at createRuntime with the container's state on standard input, only for containers whose
# annotations can matter. The agent keeps the allowances in a small file, one in each line: POD_UID/CONTAINER BYTES;
# the last line is `end`. If anything is missing or wrong, the container starts as without the hook, and the agent
# writes its limit a moment later.
#
# One awk reads everything. The shell's own `read` makes a system call for each byte of a pipe, and the time of its
# patterns grows with the square of the state's length, which a pod's owner can make long.
set -uf
trap 'exit 0' EXIT
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
CGROUPS=${OVERBOOK_CGROUPS:-/sys/fs/cgroup}
PROC=${OVERBOOK_PROC:-/proc}

# Prints the limit and the container's cgroup if all of them are valid. All of standard input is read first: a runtime
# that cannot write the whole state ends the container.
found=$(awk -v proc="$PROC" '
    FNR == 1 { files++ }
    # A quote after one of these characters opens a string, because quotes in strings are escaped. So only keys match.
    function text_of(key,    rest) {
        if (!match(state, "(^|[{, \t\n])\"" key "\"[ \t]*:[ \t]*\"")) return ""
        rest = substr(state, RSTART + RLENGTH, 256)
        return match(rest, /^[-.0-9A-Za-z]+"/) ? substr(rest, 1, RLENGTH - 1) : ""
    }
    function process_id(    rest) {
        if (!match(state, "(^|[{, \t\n])\"pid\"[ \t]*:[ \t]*[1-9]")) return ""
        rest = substr(state, RSTART + RLENGTH - 1, 16)
        match(rest, /^[0-9]+/)
        return substr(rest, 1, RLENGTH)
    }
    function cgroup_of(process,    line, path) {
        while ((getline line < (proc "/" process "/cgroup")) > 0)
            if (line ~ /^0::\//) path = substr(line, 4)
        return path
    }
    # A cgroup that the kubelet named after one pod never gets the limit of another pod.
    function belongs(path, uid,    name) {
        if (path !~ /kubepods/) return 1
        name = uid
        gsub(/-/, "_", name)
        return index(path, "pod" uid) || index(path, "pod" name)
    }
    files == 1 { state = state $0 "\n"; next }
    FNR == 1 {
        uid = text_of("io[.]kubernetes[.]pod[.]uid")
        name = text_of("io[.]kubernetes[.]container[.]name")
        key = uid "/" name " "
    }
    index($0, key) == 1 { limit = substr($0, length(key) + 1) }
    { last = $0 }
    END {
        if (last != "end" || uid == "" || name == "" || limit !~ /^[0-9]+$/ || length(limit) > 18) exit
        path = cgroup_of(process_id())
        # Never the own cgroup of the runtime, and never a path above the visible root.
        if (path !~ /[^\/]/ || path == cgroup_of("self") || path ~ /\/[.][.]/ || !belongs(path, uid)) exit
        print limit, path
    }' - "${OVERBOOK_ALLOWANCES:-/run/overbook/allowances}" 2>/dev/null)

limit=${found%% *}
path=${found#* }
[ -n "$found" ] || exit 0
case $path in
    # crun can put the processes into a cgroup inside the container's: both get the limit.
    ?*/container) set -- "$path" "${path%/container}" ;;
    *) set -- "$path" ;;
esac
for cgroup; do
    [ -w "$CGROUPS$cgroup/memory.swap.max" ] && echo "$limit" >"$CGROUPS$cgroup/memory.swap.max"
done 2>/dev/null
exit 0
