#!/bin/busybox sh
# First program of the node: modules, the host's file system under a writable overlay, then guest_start.sh.
# The kernel unpacks this as /init from the initramfs.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin:/usr/bin:/sbin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module.ko" || echo "overbook: cannot load module $module"
done </modules/order

mkdir -p /lower /upper /node
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,ro,msize=512000 host /lower ||
    echo "overbook: cannot mount the host's file system"
mount -t tmpfs -o mode=0755 upper /upper
mkdir /upper/changed /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/changed,workdir=/upper/work overlay /node ||
    echo "overbook: cannot mount the overlay"

mount --move /proc /node/proc
mount --move /sys /node/sys
mount --move /dev /node/dev
mount -t tmpfs -o mode=0755 run /node/run
mkdir /node/run/overbook
cp /bin/busybox /guest_start.sh /job.sh /node/run/overbook
exec switch_root /node /run/overbook/busybox sh /run/overbook/guest_start.sh
