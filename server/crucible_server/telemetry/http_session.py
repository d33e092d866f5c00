"""What speaks HTTP with a collector: the exporter's library, bounded, and with the certificates that are configured."""

from __future__ import annotations

from typing import Any

import requests

# Bytes of an answer that are read. A collector's is next to empty, and nobody looks at it.
_MAX_ANSWER = 65_536


class BoundedSession(requests.Session):
    """Reads the beginning of an answer only."""

    def __init__(self, authorities: str | None) -> None:
        """With certificates, a file in PEM, a collector is checked against these alone."""
        super().__init__()
        self._authorities = authorities
        # The library would read an answer whole, however long.
        self.stream = True
        self.hooks["response"].append(_read_little)

    def merge_environment_settings(
        self, url: str, proxies: dict[str, str] | None, stream: bool | None, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Proxies are those of the environment. Its certificates, in REQUESTS_CA_BUNDLE, do not replace ours."""
        return super().merge_environment_settings(url, proxies, stream, self._authorities or verify, cert)


def _read_little(answer: requests.Response, **_: object) -> None:
    # One that was read to its end leaves its connection to the next export.
    if len(answer.raw.read(_MAX_ANSWER)) == _MAX_ANSWER:
        answer.close()
