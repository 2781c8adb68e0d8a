#!/bin/sh
# OCI hook: gives a new container its swap allowance before its first instruction runs.
#
# The runtime calls this at createRuntime with the container's state on standard input, only for containers whose
# annotations can matter. The agent keeps the allowances in a small file, a line each: POD_UID/CONTAINER BYTES.
# Whatever is missing or wrong, the container starts: the agent writes its limit a moment later.
# No other program is started here: a fork costs more than all of this.
set -u
export LC_ALL=C
ALLOWANCES=${OVERBOOK_ALLOWANCES:-/run/overbook/allowances}
CGROUPS=${OVERBOOK_CGROUPS:-/sys/fs/cgroup}
PROC=${OVERBOOK_PROC:-/proc}

[ -r "$ALLOWANCES" ] || exit 0

state=
while IFS= read -r line || [ -n "$line" ]; do state=$state$line; done

# The value of a key that stands once in the state: text between the quotes after it.
value_of() { # value_of KEY
    case $state in *"\"$1\":"*) ;; *) value='' && return ;; esac
    value=${state#*"\"$1\":"}
    value=${value#"${value%%[! ]*}"}
    case $value in
        '"'*) value=${value#'"'} && value=${value%%'"'*} ;;
        *) value=${value%%[,\}]*} ;;
    esac
}

value_of io.kubernetes.pod.uid && uid=$value
value_of io.kubernetes.container.name && name=$value
value_of pid && pid=$value
[ -n "$uid" ] && [ -n "$name" ] || exit 0
case $pid in '' | *[!0-9]*) exit 0 ;; esac

wanted=
while read -r key bytes; do
    [ "$key" = "$uid/$name" ] && wanted=$bytes
done <"$ALLOWANCES"
case $wanted in '' | *[!0-9]*) exit 0 ;; esac

while IFS=: read -r hierarchy _ path; do
    [ "$hierarchy" = 0 ] || continue
    # crun puts the processes into a cgroup inside the container's: both limit.
    for cgroup in "$CGROUPS$path" "$CGROUPS${path%/container}"; do
        [ -w "$cgroup/memory.swap.max" ] && echo "$wanted" >"$cgroup/memory.swap.max"
    done
done <"$PROC/$pid/cgroup" 2>/dev/null
exit 0
