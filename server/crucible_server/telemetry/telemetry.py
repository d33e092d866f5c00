"""Everything that tells of the server, from start to stop. Nothing here ever makes a call wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from crucible_server import __version__
from crucible_server.config import TelemetryConfig
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.telemetry.exporters import metric_exporter, span_exporter
from crucible_server.telemetry.recorder import NOTHING_RECORDED, Recorder

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from crucible_server.engine.engine import Engine
    from crucible_server.engine.monitor import Monitor
    from crucible_server.telemetry.observed_operations import Operations
    from crucible_server.telemetry.page import Page
    from crucible_server.telemetry.spans import OtelTracer

_SCOPE = "crucible"
# What is still queued gets this long to leave; a collector that does not answer holds up no stop.
_LAST_SECONDS = 2.0
_BATCH = 512
_BATCH_DELAY_MS = 1000
_USELESS = ("exporter.operation", "metric_reader.collection")
_MAX_FACTS = 32
_MAX_FACT_LENGTH = 256

log = structlog.get_logger()


class Telemetry:
    """Without configuration it does nothing and loads no library."""

    def __init__(self, config: TelemetryConfig, engine: Engine, monitor: Monitor, operations: Operations) -> None:
        """Raises ServiceError (CONFIGURATION_ERROR) when it cannot be had as configured."""
        self.recorder: Recorder = NOTHING_RECORDED
        self.tracer: OtelTracer | None = None
        self.page: Page | None = None
        self._meters: MeterProvider | None = None
        self._spans: TracerProvider | None = None
        if not (config.is_exporting or config.is_measuring):
            return
        # The SDK then counts, by the names that the conventions have, what it exported and what it had to drop.
        os.environ.setdefault("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
        try:
            resource = _resource(config, engine.instance_id)
            if config.is_measuring:
                self._measure(config, resource, engine, monitor, operations)
            if config.otlp_endpoint and config.traces:
                self._trace(config, resource)
        except Exception as error:
            self._close_page()
            if isinstance(error, ServiceError):
                raise
            # The SDK reads OTEL_* variables besides, and takes offence where it likes.
            raise ServiceError(
                ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
                f"telemetry could not be set up: {error}; look at [telemetry] and at the OTEL_* variables",
            ) from error
        log.info(
            "telemetry_on",
            traces=self.tracer is not None,
            metrics=self._meters is not None,
            collector=config.otlp_endpoint,
            page=self.page.address if self.page is not None else "",
        )

    @property
    def is_on(self) -> bool:
        """Whether anything is measured or traced."""
        return self.tracer is not None or self._meters is not None

    def _measure(
        self, config: TelemetryConfig, resource: Resource, engine: Engine, monitor: Monitor, operations: Operations
    ) -> None:
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.metrics.view import DropAggregation, View

        from crucible_server.telemetry.instruments import MeterRecorder
        from crucible_server.telemetry.observed import observe
        from crucible_server.telemetry.observed_operations import observe_operations

        readers: list[MetricReader] = []
        if config.otlp_endpoint and config.metrics:
            readers.append(
                PeriodicExportingMetricReader(
                    metric_exporter(config), config.metrics_interval * 1000, config.export_timeout * 1000
                )
            )
        if config.metrics_listen:
            readers.append(self._open_page(config.metrics_listen))
        # Of these the SDK cuts seconds into buckets that are meant for milliseconds.
        useless = [
            View(instrument_name=f"otel.sdk.{name}.duration", aggregation=DropAggregation()) for name in _USELESS
        ]
        self._meters = MeterProvider(
            readers, resource, AlwaysOffExemplarFilter(), shutdown_on_exit=False, views=useless
        )
        meter = self._meters.get_meter(_SCOPE, __version__)
        self.recorder = MeterRecorder(meter)
        engine.store.on_write(self.recorder.stored)
        observe(meter, engine, monitor)
        observe_operations(meter, operations)

    def _open_page(self, listen: str) -> MetricReader:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry

        from crucible_server.telemetry.page import Page

        registry = CollectorRegistry()
        reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
        host, _, port = listen.rpartition(":")
        try:
            self.page = Page(host, int(port), registry)
        except OSError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
                f"cannot listen on {listen} for the page of metrics: {error.strerror}; choose another "
                "`telemetry.metrics_listen`",
            ) from error
        return reader

    def _trace(self, config: TelemetryConfig, resource: Resource) -> None:
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        from crucible_server.telemetry.spans import OtelTracer

        limits = SpanLimits(max_span_attributes=_MAX_FACTS, max_span_attribute_length=_MAX_FACT_LENGTH)
        self._spans = TracerProvider(
            ParentBased(TraceIdRatioBased(config.sample_ratio)),
            resource,
            shutdown_on_exit=False,
            span_limits=limits,
            meter_provider=self._meters,
        )
        self._spans.add_span_processor(
            BatchSpanProcessor(
                span_exporter(config, self._meters),
                max_queue_size=config.max_queued_spans,
                schedule_delay_millis=_BATCH_DELAY_MS,
                max_export_batch_size=_BATCH,
                meter_provider=self._meters,
            )
        )
        self.tracer = OtelTracer(self._spans.get_tracer(_SCOPE, __version__), self.recorder)

    def _close_page(self) -> None:
        if self.page is not None:
            self.page.close()

    async def stop(self) -> None:
        """Closes the page and sends what is left, for two seconds at most."""
        endings: list[Callable[[], object]] = []
        if self.page is not None:
            endings.append(self.page.close)
        if self._spans is not None:
            endings.append(self._spans.shutdown)
        if self._meters is not None:
            endings.append(self._meters.shutdown)
        ended = [_in_thread(ending) for ending in endings]
        self.page = self._spans = self._meters = None
        if ended:
            _, late = await asyncio.wait(ended, timeout=_LAST_SECONDS)
            if late:
                log.warning("telemetry_not_sent", reason=f"the collector did not take it within {_LAST_SECONDS:g} s")


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _in_thread(ending: Callable[[], object]) -> asyncio.Future[None]:
    # Not of the loop's executor: a collector that does not answer would hold up the end of the process.
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        try:
            ending()
        except Exception as error:
            log.warning("telemetry_not_sent", reason=str(error))
        # Nobody may be left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, ended)

    threading.Thread(target=run, name="telemetry", daemon=True).start()
    return ended


def _resource(config: TelemetryConfig, instance_id: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource.create(
        {
            **config.resource_attributes,
            "service.name": config.service_name,
            "service.version": __version__,
            "service.instance.id": instance_id,
        }
    )
