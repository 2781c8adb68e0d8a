"""What of the stand-in does not work, and how fast it is; tests change both while it runs."""

from typing import Literal


class Outage:
    """The parts that do not work; they may be changed at any time, from any thread.

    Attributes:
        api: How virt-api answers: empty: as it should; `Refuses`: it closes every connection; `Hangs`: it
            does so after the API server has given up.
        controller: Whether virt-controller is down.
        look_seconds: How soon a part notices that it works again.
    """

    def __init__(self) -> None:
        self.api: Literal["", "Refuses", "Hangs"] = ""
        self.controller = False
        self.look_seconds = 0.2


class Pace:
    """KubeVirt's times, which tests shorten.

    Attributes:
        retry_seconds: The pause after the first failure of an evacuation; it doubles with each.
        unschedulable_seconds: How long a target pod may be without a node.
        second_write_seconds: How long after its end a migration says why.
    """

    def __init__(self) -> None:
        self.retry_seconds = 20.0
        self.unschedulable_seconds = 300.0
        self.second_write_seconds = 0.3
