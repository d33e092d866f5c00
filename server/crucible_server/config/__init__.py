"""The configuration of the server: validated, from flags, environment, a TOML file and defaults."""

from .discovery import DiscoveryConfig, HealthCheckConfig
from .effects import Effect
from .events import EventsConfig
from .files import FilesConfig
from .http import HttpConfig
from .isolation import IsolationConfig
from .keys import Key, all_keys, shown, value_at
from .load import Layer, Loaded, Origin, Overlay, Sources, load, load_config
from .models import ResourceLimitsConfig, ScriptEngineConfig, ServerConfig
from .problems import ConfigError, Problem
from .telemetry import TelemetryConfig

__all__ = [
    "ConfigError",
    "DiscoveryConfig",
    "Effect",
    "EventsConfig",
    "FilesConfig",
    "HealthCheckConfig",
    "HttpConfig",
    "IsolationConfig",
    "Key",
    "Layer",
    "Loaded",
    "Origin",
    "Overlay",
    "Problem",
    "ResourceLimitsConfig",
    "ScriptEngineConfig",
    "ServerConfig",
    "Sources",
    "TelemetryConfig",
    "all_keys",
    "load",
    "load_config",
    "shown",
    "value_at",
]
