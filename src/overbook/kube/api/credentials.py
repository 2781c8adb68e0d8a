"""Who we are, as of now: a token that is kept, one that is reread, or what a plugin gave."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from overbook.core.errors import InvalidInput
from overbook.kube.api.configuration import ClusterConfig, read_small_file
from overbook.kube.api.errors import AccessError
from overbook.kube.api.exec_plugin import run_plugin

EARLY_SECONDS = 30.0
"""So long before it expires a plugin's answer is renewed."""
MOST_CLOCK_WAIT_SECONDS = 60.0
"""A token file is read again after so long, even where it looks the same."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What a request is made with. Never printed.

    Attributes:
        token: a bearer token; empty: none.
        certificate: PEM of a client certificate that a plugin gave.
        key: PEM of its key.
    """

    token: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return "Identity(…)"


class Credentials(Protocol):
    """Gives the identity for the next request."""

    async def current(self) -> Identity:
        """The identity.

        Raises:
            AccessError: there is none.
        """
        ...

    def refused(self, identity: Identity) -> bool:
        """The API server answered 401. Whether another identity may be had by asking again."""
        ...


class FixedCredentials:
    """A token, or nothing beside what TLS proves."""

    def __init__(self, token: str = "") -> None:
        self._identity = Identity(token)

    async def current(self) -> Identity:
        """The same each time."""
        return self._identity

    def refused(self, identity: Identity) -> bool:  # noqa: ARG002 - the signature is the base class's
        """Nothing else can be had."""
        return False


class TokenFile:
    """A token in a file that somebody renews: a projected service account token, as a rule.

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
        """Whether the file now holds another token than the one that was refused."""
        self._stamp = ()
        try:
            return read_small_file(self._path).strip() not in ("", identity.token)
        except (OSError, InvalidInput):
            return False


class PluginCredentials:
    """What an exec plugin gives, kept until shortly before it expires.

    Args:
        config: with the plugin.
        wall_clock: seconds since 1970, as expiration times are.
    """

    def __init__(self, config: ClusterConfig, wall_clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._wall_clock = wall_clock
        self._identity: Identity | None = None
        self._expires: float | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Identity:
        """What it gave last, if that is still good; else it is run again, once however many ask."""
        async with self._lock:
            expired = self._expires is not None and self._wall_clock() >= self._expires - EARLY_SECONDS
            if self._identity is None or expired:
                given = await run_plugin(self._config)
                self._identity = Identity(given.token, given.certificate, given.key)
                self._expires = given.expires
            return self._identity

    def refused(self, identity: Identity) -> bool:
        """The plugin is run again, unless somebody else's request has seen to that already."""
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
