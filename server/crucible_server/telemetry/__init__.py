"""Metrics and traces of the server, for OpenTelemetry and Prometheus; off unless configured."""
