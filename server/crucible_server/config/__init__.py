"""The configuration of the server: validated, from flags, environment, a TOML file and defaults."""

from .discovery import DiscoveryConfig, HealthCheckConfig
from .events import EventsConfig
from .files import FilesConfig
from .http import HttpConfig
from .isolation import IsolationConfig
from .load import ConfigError, load_config
from .models import ResourceLimitsConfig, ScriptEngineConfig, ServerConfig
from .telemetry import TelemetryConfig

__all__ = [
    "ConfigError",
    "DiscoveryConfig",
    "EventsConfig",
    "FilesConfig",
    "HealthCheckConfig",
    "HttpConfig",
    "IsolationConfig",
    "ResourceLimitsConfig",
    "ScriptEngineConfig",
    "ServerConfig",
    "TelemetryConfig",
    "load_config",
]
