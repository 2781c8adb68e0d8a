import subprocess
import sys

import pytest

from overbook.certificates.settings import service_names


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--certificate-seconds=0", "--certificate-seconds: '0' is not valid; expected more than 0"),
        ("--certificate-seconds=nan", "--certificate-seconds: 'nan' is not valid; expected more than 0"),
        ("--kubeconfig=/nowhere", "/nowhere"),
    ],
)
def test_wrong_settings_are_one_line_and_status_2(option: str, complaint: str) -> None:
    command = [sys.executable, "-m", "overbook", "certificates", option]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_api_server_calls_a_service_by_its_first_name() -> None:
    assert service_names("overbook-webhook", "guests")[0] == "overbook-webhook.guests.svc"
