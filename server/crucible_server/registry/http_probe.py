"""Health checks over HTTP: dialled where it was checked, no redirect followed, the body not read into anything."""

from __future__ import annotations

import structlog
from pydantic import ByteSize

from crucible.v1 import value_pb2
from crucible_server.config import HealthCheckConfig, HttpConfig
from crucible_server.outbound.allowance import Allowance, RefusedError
from crucible_server.outbound.client import HttpClient
from crucible_server.registry.health import Answer
from crucible_server.registry.infos import MAX_SECONDS, HealthUrl
from crucible_server.registry.probes import ALLOW_KEY

log = structlog.get_logger()

_MAX_BODY = ByteSize(64 * 1024)


class HttpProbe:
    """Asks by GET; an answer of 200 to 299 is a good one."""

    def __init__(self, config: HealthCheckConfig) -> None:
        bounds = HttpConfig(
            allow=config.allow,
            # Each service has its own.
            timeout=MAX_SECONDS,
            max_response_bytes=_MAX_BODY,
            max_concurrent_requests=config.max_concurrent,
        )
        self._client = HttpClient(bounds, allow_key=ALLOW_KEY)

    async def __call__(self, url: HealthUrl, timeout: float) -> Answer:  # noqa: ASYNC109 - it bounds one exchange
        """Asks once."""
        request = value_pb2.ObjectValue()
        request.fields["method"].string_value = "GET"
        request.fields["url"].string_value = url.url
        request.fields["timeout"].double_value = timeout
        request.fields["redirects"].int_value = 0
        try:
            response = await self._client.request(request, Allowance(max_requests=1))
        except RefusedError as error:
            # What a name leads to and what listens there is for the operator to know.
            log.info("health_check_unanswered", url=url.text, reason=str(error))
            return Answer(False, "its health check got no answer")
        status = response.object_value.fields["status"].int_value
        return Answer(200 <= status < 300, f"its health check answered {status}")
