"""A real Kubernetes node in the emulator: kubelet, containerd and runc, on a control plane of this host."""

import json
import os
import sys
import time
from collections.abc import Mapping
from signal import Signals
from typing import Any, Final, NamedTuple, Self

import msgspec

from overbook.sandbox.cache import cache_folder
from overbook.sandbox.container_runtime import ContainerRuntime, container_runtime
from overbook.sandbox.control_plane import ControlPlane
from overbook.sandbox.errors import NodeError
from overbook.sandbox.go_programs import Programs, find
from overbook.sandbox.guest_link import GuestLink
from overbook.sandbox.image import Image
from overbook.sandbox.image import prepare as prepare_machine
from overbook.sandbox.job import Job
from overbook.sandbox.kubeconfig import write_kubeconfig
from overbook.sandbox.kubernetes_guest import PLAN_FILE
from overbook.sandbox.kubernetes_messages import Answer, GuestPlan, Read, Run, Sample, Signal, Start
from overbook.sandbox.load_image import load_image
from overbook.sandbox.node import Node
from overbook.sandbox.node_configuration import (
    CONTAINERD_SOCKET,
    KubernetesNodeSpec,
    containerd_configuration,
    kubelet_arguments,
    kubelet_configuration,
    network_configuration,
)
from overbook.sandbox.packages import Host, Say
from overbook.sandbox.spec import HOST_ADDRESS, NODE_ADDRESS
