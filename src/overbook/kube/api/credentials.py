"""The client's present credentials: a fixed token, a token file, or the output of a plugin."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from overbook.core.errors import InvalidInput
from overbook.kube.api.configuration import ClusterConfig, read_small_file
from overbook.kube.api.errors import AccessError

EARLY_SECONDS = 30.0
"""A plugin is run again this long before its credentials expire."""
MOST_CLOCK_WAIT_SECONDS = 60.0
"""A token file is read again after this time, even if it looks unchanged."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The credentials of a request. They are never printed.

    Attributes:
        token: a bearer token; empty: none.
        certificate: a client certificate from a plugin, PEM.
        key: the certificate's key, PEM.
    """

    token: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return "Identity(…)"


class Credentials(Protocol):
    """A source of the identity for the next request."""

    async def current(self) -> Identity:
        """The identity for the next request.

        Raises:
            AccessError: there are no credentials.
        """
        ...

    def refused(self, identity: Identity) -> bool:
        """Report that the API server answered 401. Returns whether `current` may give another identity."""
        ...


class FixedCredentials:
    """A fixed token, or none (then only a client certificate identifies the client)."""

    def __init__(self, token: str = "") -> None:
        self._identity = Identity(token)

    async def current(self) -> Identity:
        """The same identity each time."""
        return self._identity

    def refused(self, identity: Identity) -> bool:  # noqa: ARG002 - the signature is the base class's
        """Return False: there is no other identity."""
        return False


class TokenFile:
    """A token in a file that is renewed from outside, usually a projected service account token.

    Args:
        path: the file.
        clock: seconds that only grow.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._identity = Identity()
        self._stamp: tuple[int, ...] = ()
        self._read_at = 0.0

    async def current(self) -> Identity:
        """The token, read again when the file has changed, and once a minute."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp or self._clock() - self._read_at > MOST_CLOCK_WAIT_SECONDS:
                token = read_small_file(self._path).strip()
                if token:
                    self._identity, self._stamp, self._read_at = Identity(token), stamp, self._clock()
        except (OSError, InvalidInput) as error:
            if not self._identity.token:
                raise AccessError(f"{self._path}: no token could be read: {error}") from error
        if not self._identity.token:
            raise AccessError(f"{self._path}: the token file is empty")
        return self._identity

    def refused(self, identity: Identity) -> bool:
        """Return whether the file now holds another token than the refused one."""
        self._stamp = ()
        try:
            return read_small_file(self._path).strip() not in ("", identity.token)
        except (OSError, InvalidInput):
            return False


class PluginCredentials:
    """The credentials from an exec plugin, kept until shortly before they expire.

    Args:
        config: the configuration with the plugin.
        wall_clock: seconds since 1970, as in expiration times.
    """

    def __init__(self, config: ClusterConfig, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._wall_clock = wall_clock
        self._identity: Identity | None = None
        self._expires: float | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Identity:
        """The last credentials if still valid; else the plugin is run, once for all waiting requests."""
        from overbook.kube.api.exec_plugin import run_plugin  # noqa: PLC0415 - a pod's credentials are files

        async with self._lock:
            expired = self._expires is not None and self._wall_clock() >= self._expires - EARLY_SECONDS
            if self._identity is None or expired:
                given = await run_plugin(self._config)
                self._identity = Identity(given.token, given.certificate, given.key)
                self._expires = given.expires
            return self._identity

    def refused(self, identity: Identity) -> bool:
        """Make the next request run the plugin again, unless another request has already done so."""
        if self._identity == identity:
            self._identity = None
        return True


def credentials_for(config: ClusterConfig) -> Credentials:
    """The kind of credentials that a configuration names; a file wins over a token, as in client-go."""
    if config.token_file:
        return TokenFile(config.token_file)
    if config.token or config.exec_plugin is None:
        return FixedCredentials(config.token)
    return PluginCredentials(config)
