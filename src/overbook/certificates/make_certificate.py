"""A CA and a certificate that it signs, made in a separate process; the CA's key is then discarded.

``python -m overbook.certificates.make_certificate`` reads a :class:`Wanted` from standard input and writes a
:class:`Certificate` to standard output, both as JSON. The process is separate because `cryptography` would
stay in the server's memory, and is needed only once in months.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

AUTHORITY_NAME: Final = "overbook-webhook-ca"
_SECONDS: Final = 60.0


class Wanted(msgspec.Struct, frozen=True):
    """The names and the lifetime of a certificate.

    Attributes:
        dns_names: names of the server.
        addresses: IP addresses of the server.
        valid_seconds: how long the certificate and its CA are valid.
    """

    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    valid_seconds: float


class Certificate(msgspec.Struct, frozen=True):
    """A server's certificate, all as PEM.

    Attributes:
        authority: the CA's certificate; the CA's key no longer exists.
        certificate: the server's certificate.
        key: the server's private key.
    """

    authority: str
    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Certificate(...)"


async def make(wanted: Wanted) -> Certificate:
    """Make a certificate in a separate process.

    Raises:
        RuntimeError: the process failed; the message has the last line of its error output.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __spec__.name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate(msgspec.json.encode(wanted))
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"making a certificate took more than {_SECONDS:.0f} s") from None
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"making a certificate failed: {lines[-1] if lines else process.returncode}")
    return msgspec.json.decode(output, type=Certificate)


def main() -> None:
    """Make a certificate: the entry point of the separate process."""
    from overbook.kube.api.certificates import Authority  # noqa: PLC0415 - only this process loads it

    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    now, lifetime = datetime.now(UTC), timedelta(seconds=wanted.valid_seconds)
    authority = Authority.make(AUTHORITY_NAME, now=now, lifetime=lifetime)
    pair = authority.issue(
        wanted.dns_names[0],
        now=now,
        lifetime=lifetime,
        dns_names=wanted.dns_names,
        addresses=wanted.addresses,
    )
    made = Certificate(
        authority.pair.certificate_pem.decode(), pair.certificate_pem.decode(), pair.key_pem.decode()
    )
    sys.stdout.buffer.write(msgspec.json.encode(made))


if __name__ == "__main__":
    main()
