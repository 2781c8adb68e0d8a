#!/bin/sh
# Swap for this node: made once, the right size for its RAM, and on again after every boot.
#
#   overbook-swap plan [remove]   say what apply (or remove, or leave) would do
#   overbook-swap apply           make it so; safe to repeat, and to be killed anywhere
#   overbook-swap on              only turn on what is there (at boot, before the kubelet)
#   overbook-swap remove          turn it off and leave nothing behind
#   overbook-swap leave           the same for these settings' swap alone: other settings' swap has taken over
#   overbook-swap status          what is there, as key=value
#
# Settings: /etc/overbook/swap.conf, KEY=VALUE a line. What came of it: /run/overbook/swap.state, which the agent
# reads and reports. Nothing waits for this program: where it fails, boot and kubelet go on without swap.
# It needs a POSIX shell, GNU coreutils and util-linux; cryptsetup where swap is encrypted.
# shellcheck disable=SC2046,SC2086 # paths have no blanks here: lists of them are split on purpose
set -u
umask 077
export LC_ALL=C

CONF=${OVERBOOK_CONF:-/etc/overbook/swap.conf}
PROC=${OVERBOOK_PROC:-/proc}
RUN=/run/overbook
PAGE=4096
LABEL=overbook-swap

say() { echo "overbook-swap: $*" >&2; }

# Written whole or not at all: the agent may read at any moment.
state() { # state WORD SENTENCE
    printf 'state=%s\nsentence=%s\n' "$1" "$2" >"$RUN/.swap.state" && mv "$RUN/.swap.state" "$RUN/swap.state"
}

refuse() { # refuse WORD SENTENCE: the node is not ready for swap, and everybody can see why
    say "$2"
    [ "$COMMAND" = status ] || state "$1" "$2"
    exit 1
}

ready() { state Ready "$1"; say "$1"; } # ready SENTENCE

memory_bytes() { # memory_bytes FIELD
    while read -r field kib _; do
        [ "$field" = "$1:" ] && { echo $((kib * 1024)); return; }
    done <"$PROC/meminfo"
    echo 0
}

mib() { echo "$((($1 + 524288) / 1048576)) MiB"; }

# Read, never executed: a line is a known key and its value, whatever stands in it.
load_settings() {
    KIND=file FOLDER=/var/lib/overbook/swap DEVICE='' PERCENT=100 SIZE_BYTES=0 PRIORITY=10 DISCARD=once ENCRYPT=no
    OTHER_BYTES=0 DISK_FLOOR_PERCENT=15 DISK_FLOOR_BYTES=1073741824 KUBELET_CONFIGS='' KUBELET_FAIL_SWAP_ON=''
    [ -r "$CONF" ] || refuse BadSetting "$CONF cannot be read"
    while IFS='=' read -r key value; do
        case $key in
            KIND | FOLDER | DEVICE | PERCENT | SIZE_BYTES | PRIORITY | DISCARD | ENCRYPT | DISK_FLOOR_PERCENT | \
                DISK_FLOOR_BYTES | OTHER_BYTES | KUBELET_CONFIGS | KUBELET_FAIL_SWAP_ON) eval "$key=\$value" ;;
        esac
    done <"$CONF"
    for key in PERCENT SIZE_BYTES OTHER_BYTES PRIORITY DISK_FLOOR_PERCENT DISK_FLOOR_BYTES; do
        eval "value=\$$key"
        case $value in '' | *[!0-9]*) refuse BadSetting "$CONF: $key is '$value'; it has to be a whole number" ;; esac
    done
    case $KIND-$ENCRYPT in
        file-yes | file-no | device-yes | device-no | zram-no) ;;
        *) refuse BadSetting "$CONF: KIND is '$KIND' and ENCRYPT '$ENCRYPT'; file or device with yes or no, or zram with no" ;;
    esac
    FOLDER=$(readlink -m "$FOLDER")
    case $FOLDER/ in
        /var/tmp/* | /tmp/*) refuse BadSetting "$FOLDER: files there are cleaned up; choose another place" ;;
    esac
}

# RAM × (percent/100 − 1), rounded up to pages, and one page for mkswap's header. One kernel counts a little more
# RAM than the next: below half of the smallest step of the percentage, an area is not made anew for that. Swap of
# other programs that was there at the first apply counts: only the rest is made.
size_wanted() {
    ram=$(($(memory_bytes MemTotal) - $(memory_bytes Hugetlb))) # huge pages never swap
    bytes=$SIZE_BYTES SLACK=0
    if [ "$bytes" -eq 0 ]; then
        bytes=$(((ram * (PERCENT > 100 ? PERCENT - 100 : 0) + 99) / 100)) SLACK=$((ram / 256))
        bytes=$((bytes > OTHER_BYTES ? bytes - OTHER_BYTES : 0))
    fi
    WANTED=$((bytes ? (bytes + PAGE - 1) / PAGE * PAGE + PAGE : 0))
}

# What is ours, a line each. A file gets its name, which holds its size, once it is whole.
areas() {
    case $KIND in
        file) for area in "$FOLDER"/swapfile-*; do [ ! -f "$area" ] || echo "$area"; done ;;
        zram) for area in "$RUN"/zram[0-9]*; do [ ! -e "$area" ] || echo "/dev/${area##*/}"; done ;;
        device) case $DEVICE in /dev/*) readlink -e "$DEVICE" ;; *) findfs "$DEVICE" 2>/dev/null ;; esac ;;
    esac
}

target() { # target AREA: what is turned on
    case $KIND-$ENCRYPT-$1 in
        file-*.crypt | device-yes-*) echo "/dev/mapper/$LABEL-${1##*/}" ;;
        *) echo "$1" ;;
    esac
}

# An area's size or use in bytes as the kernel sees it, 0 where it is not on.
swapped() { # swapped size|used AREA
    real=$(target "$2")
    case $real in /dev/mapper/*) real=$(readlink -f "$real") ;; esac
    while read -r path _ size used _; do
        [ "$path" = "$real" ] && { [ "$1" = size ] && echo $((size * 1024)) || echo $((used * 1024)); return; }
    done <"$PROC/swaps"
    echo 0
}

is_on() { [ "$(swapped size "$1")" -gt 0 ]; } # is_on AREA

size_of() { # size_of AREA
    case $KIND in
        file) stat -c %s "$1" ;;
        zram) cat "/sys/block/${1##*/}/disksize" ;;
        device) blockdev --getsize64 "$1" ;;
    esac
}

content() { blkid -p -o value -s TYPE -s PTTYPE "$1" 2>/dev/null; } # content PATH: status 0 or 2, else unclear

fits() { # fits AREA: it can stay
    [ "$KIND" != device ] || return 0
    off=$(($(size_of "$1") - WANTED))
    [ "${off#-}" -le "$SLACK" ] || return 1
    case $KIND-$ENCRYPT-$1 in
        file-yes-*.crypt) ;;
        file-yes-* | file-no-*.crypt) return 1 ;;
        *) is_on "$1" || [ "$(content "$1")" = swap ] ;;
    esac
}

# What the areas hold has to fit into RAM and into the rest of swap before they go.
check_room() { # check_room COMING_BYTES AREA...
    room=$(($1 + $(memory_bytes SwapFree))) held=0
    shift
    for going in "$@"; do
        used=$(swapped used "$going")
        held=$((held + used)) room=$((room - $(swapped size "$going") + used))
    done
    available=$(memory_bytes MemAvailable) margin=$(($(memory_bytes MemTotal) / 20))
    [ "$held" -eq 0 ] || [ "$held" -le $((available - margin + room)) ] || refuse NoRoom \
        "$* holds $(mib "$held"): RAM has $(mib "$available") available, $(mib "$margin") of which stay free, and other swap takes $(mib "$room"); it stays on"
}

fail_swap_on() { # fail_swap_on FILE: its value there, YAML or JSON; nothing where it is absent
    case $(tr -d '[:space:]' <"$1" | cut -c 1) in
        '{') tr '{},' '[\n*]' <"$1" | sed 's/^[[:space:]]*//' ;;
        *) sed 's/[[:space:]]#.*//' "$1" ;;
    esac | sed -n "s/^[\"']\{0,1\}failSwapOn[\"']\{0,1\}[[:space:]]*:[[:space:]]*\([^[:space:]]*\).*/\1/p" | tail -n 1
}

# The last file that says something wins, and the flag over all, as in the kubelet. What is unclear is a refusal.
kubelet_answer() {
    [ -n "$KUBELET_CONFIGS$KUBELET_FAIL_SWAP_ON" ] || { echo unasked; return; }
    answer=refuses
    for place in $(echo "$KUBELET_CONFIGS" | tr : ' '); do
        files=$place
        [ ! -d "$place" ] || files=$(find "$place" -name '*.conf' | sort)
        for file in $files; do
            [ -r "$file" ] || continue
            case $(fail_swap_on "$file") in
                '') ;;
                false | False | FALSE) answer=tolerates ;;
                *) answer=refuses ;;
            esac
        done
    done
    case $KUBELET_FAIL_SWAP_ON in '') ;; false) answer=tolerates ;; *) answer=refuses ;; esac
    echo "$answer"
}

check_kubelet() {
    [ "$(kubelet_answer)" != refuses ] || refuse KubeletRefusesSwap \
        "the kubelet of this node does not start with swap on: set failSwapOn: false${KUBELET_CONFIGS:+ in $KUBELET_CONFIGS}; swap stays off until then"
}

check_disk() { # check_disk BYTES: the file system can hold swap, and as much of it
    place=$FOLDER
    until [ -d "$place" ]; do place=$(dirname "$place"); done
    case $(stat -f -c %T "$place") in
        ext2/ext3 | ext4 | xfs) ;;
        *) refuse FileSystem "$place is on $(stat -f -c %T "$place"), which is not known to hold swap files well; use ext4, xfs or a partition" ;;
    esac
    bytes=$1
    set -- $(stat -f -c '%a %b %S' "$place")
    free=$(($1 * $3)) floor=$(($2 * $3 * DISK_FLOOR_PERCENT / 100))
    [ "$floor" -ge "$DISK_FLOOR_BYTES" ] || floor=$DISK_FLOOR_BYTES
    [ $((free - bytes)) -ge "$floor" ] && return
    rm -f "$FOLDER/.making"
    refuse DiskFull "$place has $(mib "$free") free: $(mib "$bytes") more of swap would leave less than the $(mib "$floor") that stay free for images and logs; what is on stays on"
}

progress() { # progress BYTES
    if [ -t 2 ]; then printf '\r' >&2; fi
    printf 'overbook-swap: wrote %s of %s (%s %%)' "$(mib "$1")" "$(mib "$WANTED")" $(($1 * 100 / WANTED)) >&2
    if [ ! -t 2 ] || [ "$1" -eq "$WANTED" ]; then echo >&2; fi
}

# A relabel of the file system takes the type away, and then swapon is refused: it is set before each.
label() { # label FILE
    ! selinuxenabled 2>/dev/null || chcon -t swapfile_t "$1" || say "$1 has no SELinux type swapfile_t"
}

# In full, under another name: it takes its place by a rename once all of it is on the disk. The disk is looked at
# again and again, since others write to it too.
make_file() {
    making=$FOLDER/.making MADE=$FOLDER/swapfile-$WANTED
    [ "$ENCRYPT" = no ] || MADE=$MADE.crypt
    step=$((WANTED / 50)) written=0
    [ "$step" -ge 67108864 ] || step=67108864
    rm -f "$making"
    check_disk "$WANTED"
    mkdir -p "$FOLDER"
    : >"$making" || refuse MakeFailed "$making cannot be made"
    while [ "$written" -lt "$WANTED" ]; do
        check_disk $((WANTED - written))
        [ $((written + step)) -le "$WANTED" ] || step=$((WANTED - written))
        if ! dd if=/dev/zero of="$making" bs=1M count="$step" iflag=count_bytes oflag=append conv=notrunc,fsync 2>/dev/null; then
            rm -f "$making"
            refuse DiskFull "writing $(mib "$WANTED") to $making failed after $(mib "$written"): the disk is full or broken; nothing was changed"
        fi
        written=$((written + step))
        progress "$written"
    done
    mkswap -L "$LABEL" "$making" >/dev/null || refuse MakeFailed "mkswap $making failed"
    label "$making"
    sync "$making"
    mv -T "$making" "$MADE" || refuse MakeFailed "$MADE cannot be put in its place"
    sync "$FOLDER"
}

# Which zram devices are ours is remembered where it is forgotten as they are: at the next boot.
make_zram() {
    [ -d /sys/class/zram-control ] || modprobe zram 2>/dev/null || refuse NoDevice "this kernel has no zram"
    name=
    for block in /sys/block/zram*; do
        [ "$(cat "$block/disksize" 2>/dev/null)" != 0 ] || name=${block##*/}
    done
    [ -n "$name" ] || name=zram$(cat /sys/class/zram-control/hot_add)
    : >"$RUN/$name"
    echo "$WANTED" >"/sys/block/$name/disksize" || refuse MakeFailed "/dev/$name cannot be given $(mib "$WANTED")"
    mkswap -L "$LABEL" "/dev/$name" >/dev/null || refuse MakeFailed "mkswap /dev/$name failed"
    MADE=/dev/$name
}

make_device() { refuse NoDevice "$DEVICE is not there"; }

# A device is only ever written to where nothing is known to be on it: never over somebody's data.
claim_device() { # claim_device DEVICE
    [ -b "$1" ] || refuse NoDevice "$1 is no block device"
    known=$(content "$1")
    case $?-$known in
        0-swap) return ;;
        0- | 2-) ;;
        *) refuse NotEmpty "$1 holds ${known:-something unclear}; it is not touched. To give it away: wipefs --all $1" ;;
    esac
    [ "$ENCRYPT" = yes ] || mkswap -L "$LABEL" "$1" >/dev/null || refuse MakeFailed "mkswap $1 failed"
}

# With a key that nobody knows, nobody keeps, and no boot sees again.
open_encrypted() { # open_encrypted AREA TARGET
    device=$1
    if [ -f "$1" ]; then
        device=$(losetup -n -O NAME -j "$1" | head -n 1)
        [ -n "$device" ] || device=$(losetup --find --show --direct-io=on "$1") ||
            refuse MakeFailed "no loop device for $1"
    fi
    [ -b "$2" ] || cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /dev/urandom \
        "$device" "${2##*/}" || refuse MakeFailed "cryptsetup on $device failed; is cryptsetup there, and the module dm_crypt?"
    mkswap -L "$LABEL" "$2" >/dev/null || refuse MakeFailed "mkswap $2 failed"
}

turn_on() { # turn_on AREA
    ! is_on "$1" || return 0
    case $KIND in device) claim_device "$1" ;; file) label "$1" ;; esac
    path=$(target "$1")
    [ "$path" = "$1" ] || open_encrypted "$1" "$path"
    set -- --priority "$PRIORITY" "$path"
    [ "$DISCARD" = no ] || set -- "--discard=$DISCARD" "$@"
    swapon "$@" || refuse SwaponFailed "swapon $path failed; the kernel's log says why"
}

drop() { # drop AREA: off, and nothing left of it
    path=$(target "$1")
    ! is_on "$1" || swapoff "$path" || refuse SwapoffFailed "swapoff $path did not finish; it stays on"
    if [ "$path" != "$1" ]; then
        [ ! -b "$path" ] || cryptsetup close "${path##*/}" || refuse StillThere "cryptsetup cannot close $path"
        for loop in $([ ! -f "$1" ] || losetup -n -O NAME -j "$1"); do losetup -d "$loop"; done
    fi
    case $KIND in
        file) rm -f "$1" ;;
        zram)
            echo 1 >"/sys/block/${1##*/}/reset" && echo "${1#/dev/zram}" >/sys/class/zram-control/hot_remove
            rm -f "$RUN/${1##*/}"
            ;;
        device) [ "$(blkid -p -o value -s LABEL "$1")" != "$LABEL" ] || wipefs -q -a "$1" ;;
    esac
}

apply() {
    [ "$WANTED" -gt 0 ] || [ "$KIND" = device ] ||
        refuse NothingWanted "PERCENT is $PERCENT and SIZE_BYTES 0$([ "$OTHER_BYTES" -eq 0 ] || echo ", and other swap has $(mib "$OTHER_BYTES")"): no swap is wanted; to take it away: overbook node swap remove"
    keep=
    for area in $(areas); do
        if fits "$area" && { [ -z "$keep" ] || is_on "$area"; }; then keep=$area; fi
    done
    if [ -z "$keep" ]; then
        check_kubelet
        check_room "$WANTED" $(areas)
        state Making "$(mib "$WANTED") of swap are being made"
        make_"$KIND"
        keep=$MADE
    fi
    is_on "$keep" || check_kubelet
    turn_on "$keep"
    for area in $(areas); do
        [ "$area" != "$keep" ] || continue
        # The new area is on already: what the old one holds has somewhere to go.
        check_room 0 "$area"
        drop "$area"
    done
    rm -f "$FOLDER/.making"
    ready "$(mib "$(swapped size "$keep")") of swap are on: $keep"
}

on() {
    state TurningOn "swap is being turned on; where this stays, see journalctl -u overbook-swap"
    [ "$KIND" = file ] || { apply; return; }
    list=$(areas)
    [ -n "$list" ] || refuse NotMade "there is no swap file in $FOLDER yet; overbook-swap-provision.service makes it"
    check_kubelet
    for area in $list; do turn_on "$area"; done
    ready "swap is on: $(echo "$list" | tr '\n' ' ')"
}

take_away() {
    list=$(areas)
    check_room 0 $list
    for area in $list; do drop "$area"; done
}

remove() {
    take_away
    prove_removed
    rm -f "$RUN/swap.state"
}

# The state stays: it is that of the swap which has taken over.
leave() {
    take_away
    [ "$COMMAND" != plan ] || return 0
    rm -f "$FOLDER/.making"
    rmdir "$FOLDER" 2>/dev/null
    say "the former swap is off and taken away: ${list:-there was none}"
}

prove_removed() {
    rm -f "$FOLDER/.making"
    rmdir "$FOLDER" 2>/dev/null
    left=
    for area in $list; do ! is_on "$area" || left="$left $area is on;"; done
    for path in "/dev/mapper/$LABEL"-* "$RUN"/zram[0-9]* "$FOLDER"/swapfile-*; do [ ! -e "$path" ] || left="$left $path is there;"; done
    [ -z "$left" ] || refuse StillThere "not all is gone:$left"
    say "nothing is left of swap here: no area on, no file, no mapping${list:+; it was $list}"
}

status() {
    printf 'kind=%s\nwantedBytes=%s\nkubelet=%s\n' "$KIND" "$WANTED" "$(kubelet_answer)"
    for area in $(areas); do
        echo "area=$area $(size_of "$area") $(swapped size "$area") $(swapped used "$area")"
    done
    [ ! -r "$RUN/swap.state" ] || cat "$RUN/swap.state"
}

# The same steps, told instead of done.
only_tell() {
    state() { :; }
    ready() { :; }
    make_file() {
        check_disk "$WANTED"
        MADE=$FOLDER/swapfile-$WANTED
        echo "write $MADE in full: $(mib "$WANTED")"
    }
    make_zram() {
        MADE=/dev/zram
        echo "give a zram device $(mib "$WANTED")"
    }
    turn_on() { if is_on "$1"; then echo "nothing: $1 is on"; else echo "turn $1 on, priority $PRIORITY, encrypted: $ENCRYPT"; fi; }
    drop() { echo "turn $1 off and take it away"; }
    prove_removed() { [ -n "$list" ] || echo "nothing: there is no swap of Overbook's here"; }
    rm() { :; }
}

COMMAND=${1:-}
case $COMMAND-${2:-} in
    plan- | plan-remove | plan-leave | apply- | on- | remove- | leave- | status-) ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
case $COMMAND in
    plan) only_tell ;;
    apply | on | remove | leave)
        # The lock is the folder's own: nothing is left of it, and it goes with the last process that holds it.
        mkdir -p "$RUN" && exec 9<"$RUN"
        flock -w 20 9 || { say "another overbook-swap is running; try again when it is done"; exit 1; }
        ;;
esac
load_settings
size_wanted
case $COMMAND in plan) "${2:-apply}" ;; *) "$COMMAND" ;; esac
