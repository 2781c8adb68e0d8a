import os
import ssl
import tempfile
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from overbook.kube.api.private_key import load_pair
from tests.certificates.made import made_at

ONE, OTHER = made_at(time.time(), 3600.0), made_at(time.time(), 3600.0)


def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def files() -> set[str]:
    """Return what is open here, and what is in the folders for temporary files."""
    folders = [Path(place) for place in ("/dev/shm", tempfile.gettempdir()) if Path(place).is_dir()]  # noqa: S108 - read only
    found = {str(each) for folder in folders for each in folder.iterdir() if "overbook" in each.name}
    return found | set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_pair_is_loaded_and_leaves_no_file(end: str) -> None:
    before = files()
    load_pair(context(), ONE.certificate.strip() + end, ONE.key.strip() + end)
    assert files() == before


def test_a_pair_that_does_not_match_leaves_no_file() -> None:
    before = files()
    with pytest.raises(ssl.SSLError, match="mismatch"):
        load_pair(context(), ONE.certificate, OTHER.key)
    assert files() == before


def test_an_encrypted_key_is_refused_instead_of_asked_for() -> None:
    key = load_pem_private_key(ONE.key.encode(), password=None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(ssl.SSLError):
        load_pair(context(), ONE.certificate, locked.decode())
