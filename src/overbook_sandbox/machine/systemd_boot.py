"""A node whose first process is systemd: none of this machine's units runs, only given ones.

The job is a shell script, which systemd starts as a service when the boot is over.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from typing import Final

from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.job import ENDED, OUTPUT, Job

SCRIPT: Final = "script.sh"
"""The job's script, in the folder shared with the node."""

_PUT_SYSTEMD: Final = """
from overbook_sandbox.node.node_programs import node_program
node_program("systemd").put_into_place()
"""
# It is put into place first: what a node keeps over a boot is not to hold a part of it.
_BOOT: Final = """#!/bin/sh
share=$1
[ -x /lib/systemd/systemd ] || %(put_systemd)s
%(prepare)s
"""
_WITH_SYSTEMD: Final = """
rm -rf /usr/lib/systemd/system/*.target.wants/* /usr/lib/systemd/system-generators
echo 0123456789abcdef0123456789abcdef >/etc/machine-id  # this is no first boot
mkdir -p /run/systemd/system && cp "$share"/units/* /run/systemd/system
exec /lib/systemd/systemd --unit=sandbox.target
"""
_SERVICE: Final = f"""[Unit]
After=multi-user.target

[Service]
Environment=PYTHONDONTWRITEBYTECODE=1 OVERBOOK_IN_NODE=1 %s
ExecStart=/bin/sh -c 'sh %s >{OUTPUT} 2>&1; echo $$? >{ENDED}'
"""


def systemd_job(
    script: str,
    share: str,
    units: Mapping[str, str],
    *,
    prepare: str = "",
    environment: Mapping[str, str] | None = None,
    systemd: bool = True,
) -> Job:
    """Write what the boot needs into the folder shared with the node, and make the job.

    Args:
        script: The shell script to run as root when the boot is over.
        share: The folder of the host that the node sees at the same path.
        units: The units of systemd by file name; all of them are started at boot.
        prepare: Shell commands that run before systemd; `$share` is the folder.
        environment: Variables for the script.
        systemd: Whether systemd is started; otherwise the script is all that runs.
    """
    variables = {"OVERBOOK_CACHE": cache_folder(os.environ), **(environment or {})}
    path = os.path.join(share, SCRIPT)
    service = _SERVICE % (" ".join(map(_assignment, variables.items())), path)
    started = {"sandbox.service": service, **units}
    target = f"[Unit]\nWants=multi-user.target {' '.join(started)}\n"
    put_systemd = shlex.join([sys.executable, "-c", _PUT_SYSTEMD])
    end = _WITH_SYSTEMD if systemd else f'exec /bin/sh "$share/{SCRIPT}"\n'
    files = {
        SCRIPT: script,
        "boot.sh": _BOOT % {"put_systemd": put_systemd, "prepare": prepare} + end,
        **{f"units/{name}": text for name, text in {**started, "sandbox.target": target}.items()},
    }
    os.makedirs(os.path.join(share, "units"), exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(share, name), "w", encoding="utf-8") as file:
            file.write(text)
    return Job(
        argv=("/bin/sh", os.path.join(share, "boot.sh"), share),
        share=share,
        environment=variables,
        directory=share,
        first_process=systemd,
    )


def _assignment(variable: tuple[str, str]) -> str:
    """A variable in a unit's `Environment=`, where `%` begins a specifier."""
    escaped = "=".join(variable).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
