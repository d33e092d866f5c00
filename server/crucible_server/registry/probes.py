"""What may be asked how it is, and by which protocol it is asked."""

from __future__ import annotations

from collections.abc import Callable

from crucible_server.config import HealthCheckConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.registry.health import Answer, Probe
from crucible_server.registry.infos import HealthUrl

ALLOW_KEY = "engine.health_check.allow"


class Probes:
    """Loads what it takes only when the first service wants to be asked: most servers never ask anybody."""

    def __init__(self, config: HealthCheckConfig, grpc_probe: Callable[[HealthCheckConfig], Probe]) -> None:
        self._config = config
        self._make_grpc_probe = grpc_probe
        self._http: Probe | None = None
        self._grpc: Probe | None = None

    def apply(self, config: HealthCheckConfig) -> None:
        """Another list of what may be asked, for checks from now on."""
        if config != self._config:
            self._config = config
            self._http = self._grpc = None

    def require(self, url: HealthUrl) -> None:
        """Raises ServiceError unless the operator's list has it: the server would ask where its callers cannot."""
        from crucible_server.outbound.allow import AllowList, read_url
        from crucible_server.outbound.allowance import RefusedError

        try:
            _, target = read_url(url.url)
        except RefusedError as error:
            raise invalid("service.health_check_url", str(error)) from None
        try:
            AllowList(self._config.allow, ALLOW_KEY).require(target)
        except RefusedError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_SECURITY_VIOLATION,
                f"service.health_check_url: {error}; or leave it empty, then the lease alone decides",
            ) from None

    async def __call__(self, url: HealthUrl, timeout: float) -> Answer:  # noqa: ASYNC109 - it bounds one exchange
        """Asks once."""
        if url.is_grpc:
            if self._grpc is None:
                self._grpc = self._make_grpc_probe(self._config)
            return await self._grpc(url, timeout)
        if self._http is None:
            from crucible_server.registry.http_probe import HttpProbe

            self._http = HttpProbe(self._config)
        return await self._http(url, timeout)
