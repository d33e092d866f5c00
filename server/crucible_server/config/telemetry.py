"""What the server tells of itself, and whom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from .addresses import check_address
from .quantities import Entries, Seconds

_HEADER = re.compile(r"[a-z0-9_.-]{1,128}")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")


class TelemetryConfig(BaseModel):
    """Traces and metrics. Nothing leaves the server, and nothing is measured, unless it is configured here."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    otlp_protocol: Literal["grpc", "http/protobuf"] = "grpc"
    """How the collector takes OTLP."""
    otlp_endpoint: str = ""
    """`http://HOST:PORT` of a collector, usually port 4317 for gRPC and 4318 for HTTP; `https://` for TLS.

    Over HTTP a path may follow; traces go to `/v1/traces` below it, metrics to `/v1/metrics`.
    """
    otlp_headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with every export, such as the key of a vendor."""
    otlp_ca_file: Path | None = None
    """Certificates in PEM that the collector's is checked against, instead of the usual ones."""
    traces: bool = True
    """Whether the collector gets traces."""
    metrics: bool = True
    """Whether the collector gets metrics."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces that are exported; a client that sends `traceparent` decides for its own."""
    max_queued_spans: int = Field(default=8192, ge=512, le=1_000_000)
    """Spans that wait for the collector at most; beyond them the oldest are dropped, and counted."""
    export_timeout: Seconds = 10.0
    """For one export, tries included."""
    metrics_interval: Seconds = 60.0
    """Between two exports of metrics."""
    service_name: str = Field(default="crucible", min_length=1, max_length=255)
    resource_attributes: dict[str, str] = Field(default_factory=dict)
    """Said of this server with everything it exports, such as `deployment.environment.name`."""
    allow_insecure_metrics_listen: bool = False
    """Whether others than this machine may read the page below, which has neither TLS nor authentication."""
    metrics_listen: str = ""
    """`HOST:PORT` of the page that Prometheus reads, under `/metrics`; port 0 takes a free one."""
    propagate_to: Entries = ()
    """Origins, `SCHEME://HOST[:PORT]` as in `engine.http.allow`, whose requests by scripts carry `traceparent`."""

    @property
    def is_exporting(self) -> bool:
        """Whether a collector gets anything."""
        return bool(self.otlp_endpoint) and (self.traces or self.metrics)

    @property
    def is_measuring(self) -> bool:
        """Whether anybody reads metrics."""
        return bool(self.metrics_listen) or (bool(self.otlp_endpoint) and self.metrics)

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        is_http = info.data.get("otlp_protocol") == "http/protobuf"
        try:
            url = urlsplit(value)
            fits = url.scheme in ("http", "https") and url.hostname and url.port
            fits = fits and not (url.query or url.fragment or url.username or url.password)
            path = url.path.rstrip("/")
        except ValueError:
            fits, path = False, ""
        if not fits or (path and not is_http):
            raise ValueError(
                "expected http://HOST:PORT or https://HOST:PORT of a collector that takes OTLP over gRPC; "
                'for one that takes it over HTTP, also with a path, set `otlp_protocol = "http/protobuf"`'
            )
        if path.endswith(("/v1/traces", "/v1/metrics")):
            raise ValueError("expected the part of the URL before /v1/traces and /v1/metrics")
        return value.rstrip("/")

    @field_validator("otlp_headers")
    @classmethod
    def _check_headers(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in value.items():
            if not _HEADER.fullmatch(name) or name.startswith("grpc-") or name.endswith("-bin"):
                raise ValueError(f"expected names of lower-case letters, digits and `-`, got {name[:80]!r}")
            text = secret.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"expected printable ASCII in the header {name}")
        return value

    @field_validator("otlp_ca_file")
    @classmethod
    def _check_ca_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.expanduser().is_file():
            raise ValueError("expected a file of certificates in PEM")
        return value.expanduser() if value is not None else None

    @field_validator("resource_attributes")
    @classmethod
    def _check_attributes(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _ATTRIBUTE.fullmatch(name):
                raise ValueError(f"expected names such as `deployment.environment.name`, got {name[:80]!r}")
        return value

    @field_validator("metrics_listen")
    @classmethod
    def _check_listen(cls, value: str, info: ValidationInfo) -> str:
        if value:
            check_address(
                value,
                is_open=bool(info.data.get("allow_insecure_metrics_listen")),
                otherwise="the page has neither TLS nor authentication. Put a proxy that has both before it, or set "
                "`telemetry.allow_insecure_metrics_listen = true` where the network itself is trusted",
            )
        return value

    @field_validator("propagate_to")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            return value
        # Imported late, and only when it is needed: the reading of entries belongs to the one who dials.
        from crucible_server.outbound.allow import parse_entry

        for entry in value:
            parse_entry(entry)
        return value
