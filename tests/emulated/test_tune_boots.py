import pathlib

from overbook.node.tune.files import OVERCOMMIT_PROGRAM, OVERCOMMIT_UNIT, SYSCTL_FILE
from tests.emulated.systemd_node import SystemdNode, python_line

UNITS = {
    # As the kubelet: its name, a configuration, and overcommit switched on some time after its start.
    "kubelet.service": """[Service]
ExecStart=/bin/bash -c '(sleep 2; echo 1 >/proc/sys/vm/overcommit_memory; echo >>/run/starts) & \
echo "failSwapOn: false" >/run/kubelet.yaml; \
exec -a kubelet /bin/sh -c "while :; do sleep 3600; done" sh --config=/run/kubelet.yaml'
Restart=always
RestartSec=1
""",
    # The machine's own units are left out; this is the one that reads sysctl.d.
    "sysctls.service": """[Unit]
Requires=systemd-sysctl.service
After=systemd-sysctl.service

[Service]
Type=oneshot
ExecStart=/bin/true
""",
}
APPLY_OFF = python_line("overbook", "node", "tune", "apply", "--overcommit", "off")
REMOVE = python_line("overbook", "node", "tune", "remove")
WORDS = f"""
says() {{ echo "$1: $(eval "$2" 2>&1)"; }}
swap_max='cat /sys/fs/cgroup/system.slice/memory.swap.max'
overcommit='cat /proc/sys/vm/overcommit_memory'
unit='systemctl show -p ActiveState --value {OVERCOMMIT_UNIT}'
kubelet='systemctl show -p ActiveState --value kubelet.service'
comes_to_be() {{ # comes_to_be VALUE COMMAND
    tries=0
    until [ "$(eval "$2" 2>&1)" = "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || {{ echo "$2 is $(eval "$2" 2>&1), not $1"; return; }}
        sleep 0.2
    done
}}
# The kubelet has started so often, and has switched overcommit on each time.
started() {{ comes_to_be "$1" "wc -l </run/starts"; }}
off() {{ comes_to_be 0 "$overcommit"; }}
"""
FIRST = f"""{WORDS}
started 1
says 'before' "$swap_max"
{APPLY_OFF} >/dev/null; echo "apply: $?"
says 'slice' "$swap_max"
says 'systemd' 'systemctl show -p MemorySwapMax --value system.slice'
says 'off' "$overcommit"
systemctl restart kubelet.service; started 2; off; says 'restarted' "$unit"
systemctl kill --signal=KILL kubelet.service; started 3; off; says 'crashed' "$unit"
systemctl stop kubelet.service; says 'stopped' "$unit"
cp /{OVERCOMMIT_PROGRAM} /run/kept; echo 'exit 1' >/{OVERCOMMIT_PROGRAM}
systemctl start kubelet.service; says 'with a broken program' "$kubelet"
cp /run/kept /{OVERCOMMIT_PROGRAM}
"""
SECOND = f"""{WORDS}
started 1; off; says 'after a boot' "$unit"
says 'slice' "$swap_max"
says 'factor' 'cat /proc/sys/vm/watermark_scale_factor'
says 'written' "sed -n 's/vm.watermark_scale_factor = //p' /{SYSCTL_FILE}"
{REMOVE} >/dev/null; echo "remove: $?"
says 'slice removed' "$swap_max"
says 'factor removed' 'cat /proc/sys/vm/watermark_scale_factor'
says 'overcommit removed' "$overcommit"
says 'kubelet' "$kubelet"
says 'left' 'find /etc/systemd/system /etc/sysctl.d /usr/local/libexec/overbook /var/lib/overbook ! -type d'
"""


def test_tuning_holds_over_kubelet_starts_and_a_boot(tmp_path: pathlib.Path) -> None:
    node = SystemdNode(tmp_path, units=UNITS)

    assert node.boot(FIRST) == [
        "before: max",
        "apply: 0",
        "slice: 0",
        "systemd: 0",
        "off: 0",
        "restarted: active",
        "crashed: active",
        "stopped: inactive",
        "with a broken program: active",
    ]
    second = dict(line.split(": ", 1) for line in node.boot(SECOND))
    factor = second.pop("factor")
    assert int(factor) > 10
    assert second == {
        "after a boot": "active",
        "slice": "0",
        "written": factor,
        "remove": "0",
        "slice removed": "max",
        "factor removed": "10",
        "overcommit removed": "1",
        "kubelet": "active",
        "left": "",
    }
