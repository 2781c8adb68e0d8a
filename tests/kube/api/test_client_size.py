import json
import subprocess
import sys

PROGRAM = """
import asyncio, json, sys
from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.events import EventRecorder
from overbook.kube.api.kinds import PODS
from overbook.kube.api.lease import LeaderElection
from overbook.kube.api.reflector import Reflector
asyncio.run(asyncio.sleep(0))
with open("/proc/self/status", encoding="ascii") as file:
    resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
print(json.dumps({"modules": sorted(sys.modules), "kib": resident}))
"""
MOST_MIB = 30
"""Measured: 25 MiB with Python 3.11; 23 MiB of it are asyncio, ssl and msgspec."""
NEVER = {"yaml", "http", "email", "urllib", "cryptography", "logging.handlers", "rich", "multiprocessing"}


def test_client_in_a_pod_imports_neither_yaml_nor_http_library() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    said = json.loads(ended.stdout)
    assert NEVER.isdisjoint(said["modules"])
    assert not any(name.startswith("overbook.kube.yaml") for name in said["modules"])
    assert said["kib"] <= MOST_MIB * 1024
