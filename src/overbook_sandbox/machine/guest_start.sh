# Second half of the node's start, in its final root: cgroups, swap, the share, then the job.
# job.sh is written for each boot (overbook_sandbox/machine/job.py): it sets the variables used here and defines `job`.
bb=/run/overbook/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
. /run/overbook/job.sh

$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs shm /dev/shm
$bb ln -s /proc/self/fd /dev/fd
for stream in 0,stdin 1,stdout 2,stderr; do
    $bb ln -s "/proc/self/fd/${stream%,*}" "/dev/${stream#*,}"
done
$bb ip link set lo up
$bb hostname overbook-node
if [ "$address" ]; then
    $bb ip address add "$address/24" dev eth0 && $bb ip link set eth0 up && $bb ip route add default via "$gateway" ||
        echo "overbook: cannot set the network up"
fi

if [ "$cgroup_version" = 2 ]; then
    $bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
    for controller in memory cpu io pids; do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
    done
else
    $bb mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
    for controller in memory cpu,cpuacct blkio pids; do
        $bb mkdir "/sys/fs/cgroup/$controller"
        $bb mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
fi

if [ "$swap" = on ]; then
    $bb mkswap /dev/vda >/dev/null && $bb swapon /dev/vda || echo "overbook: cannot turn swap on"
fi

$bb mkdir -p "$share"
$bb mount -t 9p -o trans=virtio,version=9p2000.L,cache=none,msize=512000 share "$share" ||
    echo "overbook: cannot mount the share"
cd "$directory" || cd /

if [ "$interactive" = yes ]; then
    $bb setsid $bb cttyhack $bb sh -c '. /run/overbook/job.sh; job'
    $bb poweroff -f
fi

# The job writes into a FIFO, so that whatever it leaves running cannot hold back the last line, and so that
# the job may open /dev/stdout again, which a virtio port does not allow.
for port in /sys/class/virtio-ports/*; do
    [ "$($bb cat "$port/name")" = overbook.output ] && device="/dev/${port##*/}"
done
$bb mkfifo /run/overbook/output
exec 4<>"$device"
$bb cat /run/overbook/output >&4 &
input=/dev/null
if [ "$takes_input" = yes ]; then
    input=/run/overbook/input
    $bb mkfifo "$input"
    $bb cat <&4 >"$input" &
fi
exec 3>/run/overbook/output 4>&-
echo "$marker started" >&3

finish() {
    cd /
    $bb umount "$share" 2>/dev/null || $bb sync
    echo "$marker exit $1" >&3
    $bb sleep 5
    $bb poweroff -f
}

if [ "$first_process" = yes ]; then
    $bb mkfifo /run/overbook/ended
    (read -r status </run/overbook/ended; finish "$status") &
    exec >&3 2>&3 3>&- <"$input"
    job
fi
(exec >&3 2>&3 3>&- <"$input"; job)
finish $?
