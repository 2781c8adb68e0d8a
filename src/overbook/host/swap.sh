#!/bin/sh
# Swap for this node: made once, the right size for its RAM, and on again after every boot.
#
#   overbook-swap plan     say what apply would do
#   overbook-swap apply    make it so; safe to repeat, and to be killed anywhere
#   overbook-swap on       only turn on what is there (at boot, before the kubelet)
#   overbook-swap remove   turn it off and leave nothing behind
#   overbook-swap status   what is there, as key=value
#
# Settings: /etc/overbook/swap.conf, KEY=VALUE a line. What came of it: /run/overbook/swap.state, which the agent
# reads and reports. Nothing waits for this program: where it fails, boot and kubelet go on without swap.
set -u
umask 077
export LC_ALL=C

ROOT=${OVERBOOK_ROOT:-}
CONF=${OVERBOOK_CONF:-$ROOT/etc/overbook/swap.conf}
STATE_DIR=$ROOT/run/overbook
PROC=${OVERBOOK_PROC:-/proc}
PAGE=4096

say() { echo "overbook-swap: $*" >&2; }

# Written whole or not at all: the agent may read at any moment.
state() { # state WORD SENTENCE
    mkdir -p "$STATE_DIR"
    printf 'state=%s\nsentence=%s\n' "$1" "$2" >"$STATE_DIR/.swap.state.$$" &&
        mv "$STATE_DIR/.swap.state.$$" "$STATE_DIR/swap.state"
}

refuse() { # refuse WORD SENTENCE: the node is not ready for swap, and everybody can see why
    say "$2"
    [ "$COMMAND" = plan ] || [ "$COMMAND" = status ] || state "$1" "$2"
    exit 1
}

setting() { # setting KEY DEFAULT: read, never executed
    value=$2
    if [ -r "$CONF" ]; then
        while IFS='=' read -r key rest; do
            [ "$key" = "$1" ] && value=$rest
        done <"$CONF"
    fi
    printf '%s' "$value"
}

memory_kib() { # memory_kib FIELD
    while read -r field kib _; do
        [ "$field" = "$1:" ] && { echo "$kib"; return; }
    done <"$PROC/meminfo"
    echo 0
}

mib() { echo "$(($1 / 1048576)) MiB"; }

number() { # number KEY VALUE
    case $2 in '' | *[!0-9]*) refuse BadSetting "$CONF: $1 is '$2'; it has to be a whole number" ;; esac
}

load_settings() {
    KIND=$(setting KIND file)
    SWAPFILE=$ROOT$(setting SWAPFILE /var/lib/overbook/swap/swapfile)
    DEVICE=$(setting DEVICE '')
    PERCENT=$(setting PERCENT 100)
    SIZE_BYTES=$(setting SIZE_BYTES 0)
    PRIORITY=$(setting PRIORITY 10)
    DISCARD=$(setting DISCARD once)
    ENCRYPT=$(setting ENCRYPT no)
    FLOOR_PERCENT=$(setting DISK_FLOOR_PERCENT 15)
    FLOOR_BYTES=$(setting DISK_FLOOR_BYTES 1073741824)
    KUBELET_CONFIGS=$(setting KUBELET_CONFIGS '')
    for key in PERCENT SIZE_BYTES PRIORITY FLOOR_PERCENT FLOOR_BYTES; do
        eval "number $key \"\$$key\""
    done
    case $KIND in file | device | zram) ;; *) refuse BadSetting "$CONF: KIND is '$KIND'; file, device or zram" ;; esac
    case $DISCARD in once | pages | no) ;; *) refuse BadSetting "$CONF: DISCARD is '$DISCARD'; once, pages or no" ;; esac
    case $KIND-$DEVICE in
        device-LABEL=* | device-PARTLABEL=* | device-/dev/*) ;;
        device-*) refuse BadSetting "$CONF: DEVICE is '$DEVICE'; /dev/…, LABEL=… or PARTLABEL=…" ;;
    esac
    case $SWAPFILE in
        "$ROOT"/var/tmp/* | "$ROOT"/tmp/*) refuse BadSetting "$SWAPFILE: files there are cleaned up; choose another place" ;;
    esac
}

# RAM × (percent/100 − 1), rounded up to pages, and one page for mkswap's header.
wanted_bytes() {
    bytes=$SIZE_BYTES
    if [ "$bytes" -eq 0 ]; then
        ram=$(($(memory_kib MemTotal) * 1024))
        extra=$((PERCENT > 100 ? PERCENT - 100 : 0))
        bytes=$(((ram * extra + 99) / 100))
    fi
    [ "$bytes" -eq 0 ] && { echo 0; return; }
    echo $(((bytes + PAGE - 1) / PAGE * PAGE + PAGE))
}

# An area's size or use in bytes, 0 where it is not on. The kernel writes a blank in a path as \040.
active() { # active PATH COLUMN
    while read -r path _ size used _; do
        [ "$path" = "$1" ] && { [ "$2" = size ] && echo $((size * 1024)) || echo $((used * 1024)); return; }
    done <"$PROC/swaps"
    echo 0
}

file_bytes() { [ -f "$1" ] && stat -c %s "$1" || echo 0; }

# What the swap areas named hold has to fit into RAM and into the other areas before they go.
check_room() { # check_room USED_BYTES OTHER_FREE_BYTES WHAT
    available=$(($(memory_kib MemAvailable) * 1024))
    margin=$(($(memory_kib MemTotal) * 1024 / 20))
    [ "$1" -le $((available - margin + $2)) ] || refuse NoRoom \
        "$3 holds $(mib "$1"); RAM has $(mib "$available") available, $(mib "$margin") of which stay free, and other swap has $(mib "$2"): nothing was changed"
}

# The kubelet does not start with swap on unless its configuration tolerates that.
check_kubelet() {
    [ -n "$KUBELET_CONFIGS" ] || return 0
    tolerant=no
    for place in $(echo "$KUBELET_CONFIGS" | tr ':' ' '); do
        if [ -d "$ROOT$place" ]; then set -- "$ROOT$place"/*.conf; else set -- "$ROOT$place"; fi
        for config in "$@"; do
            [ -r "$config" ] || continue
            # The last file wins, as in the kubelet. YAML or JSON, one setting a line or not.
            found=$(tr ',{}' '\n\n\n' <"$config" | sed -n 's/^[[:space:]]*"\{0,1\}failSwapOn"\{0,1\}:[[:space:]]*\(true\|false\).*/\1/p' | tail -n 1)
            [ "$found" = false ] && tolerant=yes
            [ "$found" = true ] && tolerant=no
        done
    done
    [ "$tolerant" = yes ] || refuse KubeletRefusesSwap \
        "the kubelet of this node does not tolerate swap: set failSwapOn: false in $KUBELET_CONFIGS; swap stays off"
}

check_file_system() { # check_file_system FOLDER
    kind=$(stat -f -c %T "$1")
    case $kind in
        ext2/ext3 | ext4 | xfs | f2fs) ;;
        btrfs) refuse FileSystem "$1 is on btrfs: a swap file there needs a subvolume without copy on write; use a partition" ;;
        *) refuse FileSystem "$1 is on $kind, which cannot hold a swap file; use ext4, xfs or a partition" ;;
    esac
}

check_disk() { # check_disk FOLDER NEW_BYTES
    set -- "$1" "$2" $(stat -f -c '%a %b %S' "$1")
    free=$(($3 * $5)) total=$(($4 * $5))
    floor=$((total / 100 * FLOOR_PERCENT))
    [ "$floor" -ge "$FLOOR_BYTES" ] || floor=$FLOOR_BYTES
    [ $((free - $2)) -ge "$floor" ] || refuse DiskFull \
        "$1 has $(mib "$free") free; $(mib "$2") of swap would leave less than the $(mib "$floor") that stay free for images and logs"
}

turn_on() { # turn_on PATH
    options="--priority $PRIORITY"
    [ "$DISCARD" = no ] || options="$options --discard=$DISCARD"
    # shellcheck disable=SC2086 # a list of words
    swapon $options "$1" 2>/dev/null || swapon --priority "$PRIORITY" "$1" ||
        refuse SwaponFailed "swapon $1 failed; see the kernel's log"
}

# A swap file in full, under another name: it takes its place by a rename once it is whole.
make_file() { # make_file PATH BYTES
    rm -f "$1"
    (set -C && : >"$1") || refuse MakeFailed "$1 cannot be made"
    chmod 600 "$1"
    if ! dd if=/dev/zero of="$1" bs=1M count="$2" iflag=count_bytes conv=fsync 2>/dev/null; then
        rm -f "$1"
        refuse DiskFull "writing $(mib "$2") to $1 failed: the disk is full or broken; nothing was changed"
    fi
    mkswap "$1" >/dev/null || { rm -f "$1"; refuse MakeFailed "mkswap $1 failed"; }
    if command -v selinuxenabled >/dev/null 2>&1 && selinuxenabled; then
        chcon -t swapfile_t "$1" || say "$1 has no SELinux type swapfile_t"
    fi
    sync "$1" 2>/dev/null || sync
}

apply_file() {
    folder=${SWAPFILE%/*} making=$SWAPFILE.new
    mkdir -p "$folder"
    [ ! -L "$SWAPFILE" ] || refuse NotOurs "$SWAPFILE is a symbolic link"
    check_file_system "$folder"
    # A run that was killed left its half: whole and on, or to be made again.
    if [ "$(active "$making" size)" -eq 0 ]; then rm -f "$making"; fi
    if [ "$(file_bytes "$SWAPFILE")" -eq "$WANTED" ] && [ "$(active "$making" size)" -eq 0 ]; then
        [ "$(active "$SWAPFILE" size)" -gt 0 ] || { check_kubelet; turn_on "$SWAPFILE"; }
        return
    fi
    if [ "$(active "$making" size)" -eq 0 ]; then
        used=$(active "$SWAPFILE" used)
        check_disk "$folder" "$WANTED"
        [ "$used" -eq 0 ] || check_room "$used" "$WANTED" "$SWAPFILE"
        check_kubelet
        make_file "$making" "$WANTED"
        turn_on "$making"
    fi
    if [ "$(active "$SWAPFILE" size)" -gt 0 ]; then
        # The new area is on already: what the old one holds has somewhere to go.
        swapoff "$SWAPFILE" || refuse SwapoffFailed "swapoff $SWAPFILE did not finish; both areas stay on"
    fi
    mv -T "$making" "$SWAPFILE"
    sync "$folder" 2>/dev/null || sync
}

device_path() {
    case $DEVICE in
        /dev/*) echo "$DEVICE" ;;
        LABEL=*) readlink -f "/dev/disk/by-label/${DEVICE#LABEL=}" ;;
        PARTLABEL=*) readlink -f "/dev/disk/by-partlabel/${DEVICE#PARTLABEL=}" ;;
    esac
}

# A device is only ever turned on where it is swap already, or empty: never over somebody's data.
apply_device() {
    device=$(device_path)
    [ -b "$device" ] || refuse NoDevice "$DEVICE is no block device here"
    target=$device
    [ "$ENCRYPT" = yes ] && target=/dev/mapper/overbook-swap
    [ "$(active "$(readlink -f "$target")" size)" -eq 0 ] || return 0
    content=$(blkid -p -o value -s TYPE "$device" 2>/dev/null)
    case $content in
        swap | '') ;;
        *) refuse NotEmpty "$device holds $content; it is not touched" ;;
    esac
    check_kubelet
    if [ "$ENCRYPT" = yes ]; then
        [ -b "$target" ] || cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 \
            --key-file /dev/urandom "$device" overbook-swap || refuse MakeFailed "cryptsetup on $device failed"
        mkswap "$target" >/dev/null || refuse MakeFailed "mkswap $target failed"
    elif [ "$content" != swap ]; then
        mkswap "$target" >/dev/null || refuse MakeFailed "mkswap $target failed"
    fi
    turn_on "$target"
}

apply_zram() {
    device=/dev/zram0
    [ "$(active $device size)" -eq 0 ] || [ "$(active $device size)" -eq $((WANTED - PAGE)) ] && [ "$(active $device size)" -gt 0 ] && return 0
    check_kubelet
    [ -b $device ] || modprobe zram num_devices=1 || refuse NoDevice "this kernel has no zram"
    used=$(active $device used)
    if [ "$(active $device size)" -gt 0 ]; then
        check_room "$used" 0 $device
        swapoff $device || refuse SwapoffFailed "swapoff $device did not finish"
    fi
    echo 1 >/sys/block/zram0/reset && echo "$WANTED" >/sys/block/zram0/disksize ||
        refuse MakeFailed "$device cannot be given a size"
    mkswap $device >/dev/null || refuse MakeFailed "mkswap $device failed"
    turn_on $device
}

apply() {
    WANTED=$(wanted_bytes)
    [ "$WANTED" -gt 0 ] || [ "$KIND" = device ] || refuse NothingToDo "PERCENT is $PERCENT and SIZE_BYTES 0: no swap is wanted; to take it away, remove"
    apply_"$KIND"
    state Ready "swap is on"
    say "swap is on ($KIND)"
}

on() {
    WANTED=$(wanted_bytes)
    case $KIND in
        file)
            [ "$(active "$SWAPFILE" size)" -eq 0 ] || return 0
            [ -f "$SWAPFILE" ] || { say "$SWAPFILE is not there yet"; return 0; }
            check_kubelet
            turn_on "$SWAPFILE"
            ;;
        *) apply_"$KIND" ;;
    esac
    state Ready "swap is on"
}

plan() {
    WANTED=$(wanted_bytes)
    now=$(active "$SWAPFILE" size)
    case $KIND in
        file)
            folder=${SWAPFILE%/*}
            while [ ! -d "$folder" ]; do folder=${folder%/*}; done
            check_file_system "${folder:-/}"
            if [ "$(file_bytes "$SWAPFILE")" -ne "$WANTED" ]; then
                check_disk "${folder:-/}" "$WANTED"
                check_room "$(active "$SWAPFILE" used)" "$WANTED" "$SWAPFILE"
                echo "make $SWAPFILE of $(mib "$WANTED"), write it in full, and turn it on with priority $PRIORITY"
                [ "$now" -eq 0 ] || echo "then turn the old one of $(mib "$now") off"
            elif [ "$now" -eq 0 ]; then echo "turn $SWAPFILE on"; else echo "nothing: $SWAPFILE is on and has its size"; fi
            ;;
        device) echo "turn $(device_path) on, encrypted: $ENCRYPT" ;;
        zram) echo "give /dev/zram0 $(mib "$WANTED") and turn it on" ;;
    esac
    check_kubelet
}

remove() {
    case $KIND in
        file) areas="$SWAPFILE $SWAPFILE.new" ;;
        zram) areas=/dev/zram0 ;;
        device) areas=$(device_path) && [ "$ENCRYPT" = no ] || areas=$(readlink -f /dev/mapper/overbook-swap) ;;
    esac
    for area in $areas; do
        [ "$(active "$area" size)" -gt 0 ] || continue
        check_room "$(active "$area" used)" 0 "$area"
        swapoff "$area" || refuse SwapoffFailed "swapoff $area did not finish; it stays on"
    done
    case $KIND in
        file)
            rm -f "$SWAPFILE" "$SWAPFILE.new"
            rmdir "${SWAPFILE%/*}" 2>/dev/null || true
            ;;
        zram) [ ! -b /dev/zram0 ] || echo 1 >/sys/block/zram0/reset ;;
        device) [ "$ENCRYPT" = no ] || [ ! -b /dev/mapper/overbook-swap ] || cryptsetup close overbook-swap ;;
    esac
    for area in $areas; do
        [ "$(active "$area" size)" -eq 0 ] || refuse StillOn "$area is still on"
    done
    rm -f "$STATE_DIR/swap.state"
    say "nothing is left: $areas"
}

status() {
    WANTED=$(wanted_bytes)
    echo "kind=$KIND"
    echo "wantedBytes=$WANTED"
    [ "$KIND" != file ] || printf 'path=%s\nsizeBytes=%s\nactiveBytes=%s\nusedBytes=%s\n' "$SWAPFILE" \
        "$(file_bytes "$SWAPFILE")" "$(active "$SWAPFILE" size)" "$(active "$SWAPFILE" used)"
    [ ! -r "$STATE_DIR/swap.state" ] || cat "$STATE_DIR/swap.state"
}

COMMAND=${1:-}
case $COMMAND in
    plan | apply | on | remove | status) ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
load_settings
if [ "$COMMAND" = apply ] || [ "$COMMAND" = on ] || [ "$COMMAND" = remove ]; then
    mkdir -p "$STATE_DIR"
    exec 9>"$STATE_DIR/.swap.lock"
    flock -w 300 9 || refuse Busy "another overbook-swap has been running for five minutes"
fi
"$COMMAND"
