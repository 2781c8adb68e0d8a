"""The two objects that the renewal reads and writes: the Secret and the webhook's configuration."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from overbook.certificates.make_certificate import Certificate
from overbook.certificates.rotation import split, validity
from overbook.certificates.settings import CERTIFICATE_FILE, KEY_FILE
from overbook.certificates.usable import why_unusable
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.kinds import Kind

AUTHORITY_FILE: Final = "ca.crt"
STAGED: Final = "staged-"
"""The prefix of the next certificate's three entries in the Secret."""


class Secret(KubeStruct, frozen=True):
    """A Secret; its values are base64."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"


class ClientConfig(KubeStruct, frozen=True):
    """The part of a webhook's ``clientConfig`` that is used here."""

    ca_bundle: str | None = None


class WebhookEntry(KubeStruct, frozen=True):
    """One webhook of a configuration."""

    client_config: ClientConfig = ClientConfig()


class WebhookConfiguration(KubeStruct, frozen=True):
    """A ``MutatingWebhookConfiguration``."""

    metadata: ObjectMeta = ObjectMeta()
    webhooks: tuple[WebhookEntry, ...] | None = None

    def bundles(self) -> list[str]:
        """The CAs of each webhook, PEM."""
        return [decoded(one.client_config.ca_bundle) for one in self.webhooks or ()]


SECRETS: Final = Kind("", "v1", "secrets", "Secret", True, Secret)
CONFIGURATIONS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    False,
    WebhookConfiguration,
)


def pair_of(data: Mapping[str, str], prefix: str, server_name: str) -> tuple[Certificate | None, str]:
    """A certificate in a Secret that can be used, or why there is none; empty: it has no such entries.

    Args:
        data: the Secret's data.
        prefix: the prefix of the entries' names.
        server_name: the name by which clients call the server.
    """
    names = [prefix + name for name in (AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE)]
    texts = [decoded(data.get(name)) for name in names]
    if not any(texts):
        return None, ""
    missing = [name for name, text in zip(names, texts, strict=True) if not text]
    if missing:
        return None, f"{', '.join(missing)} is missing or empty"
    authorities = split(texts[0])
    if len(authorities) != 1 or validity(authorities[0]) is None:
        return None, f"{names[0]} is not one CA that Overbook made"
    pair = Certificate(authorities[0], texts[1], texts[2])
    reason = why_unusable(pair, server_name)
    return (None, f"{', '.join(names)}: {reason}") if reason else (pair, "")


def entries(prefix: str, pair: Certificate | None) -> dict[str, Any]:
    """A pair's entries for a Secret's data; without a pair the patch that removes them."""
    texts = (pair.authority, pair.certificate, pair.key) if pair is not None else (None, None, None)
    names = (AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE)
    return {
        prefix + name: base64.b64encode(text.encode()).decode() if text is not None else None
        for name, text in zip(names, texts, strict=True)
    }


def decoded(encoded: str | None) -> str:
    """The text of a base64 value; bytes that are no text are replaced."""
    return base64.b64decode(encoded or "").decode(errors="replace")
