"""What carries traces and metrics to the collector, as configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crucible_server.config import TelemetryConfig

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter


def span_exporter(config: TelemetryConfig, meters: MeterProvider | None) -> SpanExporter:
    """Sends spans. Raises OSError when the certificates cannot be read."""
    if config.otlp_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(**_over_grpc(config), meter_provider=meters)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

    return HttpSpanExporter(**_over_http(config, "traces"), meter_provider=meters)


def metric_exporter(config: TelemetryConfig) -> MetricExporter:
    """Sends metrics. Raises OSError when the certificates cannot be read."""
    if config.otlp_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter(**_over_grpc(config))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter

    return HttpMetricExporter(**_over_http(config, "metrics"))


def _over_grpc(config: TelemetryConfig) -> dict[str, Any]:
    import grpc

    is_plain = config.otlp_endpoint.startswith("http://")
    credentials = None
    if not is_plain:
        roots = config.otlp_ca_file.read_bytes() if config.otlp_ca_file is not None else None
        credentials = grpc.ssl_channel_credentials(roots)
    return {
        "endpoint": config.otlp_endpoint,
        "insecure": is_plain,
        "credentials": credentials,
        "headers": tuple(_headers(config).items()),
        "timeout": config.export_timeout,
    }


def _over_http(config: TelemetryConfig, signal: str) -> dict[str, Any]:
    from crucible_server.telemetry.http_session import BoundedSession

    authorities = str(config.otlp_ca_file) if config.otlp_ca_file is not None else None
    return {
        "endpoint": f"{config.otlp_endpoint}/v1/{signal}",
        "certificate_file": authorities,
        "headers": _headers(config),
        "timeout": config.export_timeout,
        "session": BoundedSession(authorities),
    }


def _headers(config: TelemetryConfig) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in config.otlp_headers.items()}
