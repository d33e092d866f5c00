"""The configuration of the server: validated, from flags, environment, a TOML file and defaults."""

from .http import HttpConfig
from .load import ConfigError, load_config
from .models import ResourceLimitsConfig, ScriptEngineConfig, ServerConfig
from .telemetry import TelemetryConfig

__all__ = [
    "ConfigError",
    "HttpConfig",
    "ResourceLimitsConfig",
    "ScriptEngineConfig",
    "ServerConfig",
    "TelemetryConfig",
    "load_config",
]
