"""The configuration of the server: validated, from flags, environment, a TOML file and defaults."""

from .discovery import DiscoveryConfig, HealthCheckConfig
from .events import EventsConfig
from .http import HttpConfig
from .load import ConfigError, load_config
from .models import ResourceLimitsConfig, ScriptEngineConfig, ServerConfig

__all__ = [
    "ConfigError",
    "DiscoveryConfig",
    "EventsConfig",
    "HealthCheckConfig",
    "HttpConfig",
    "ResourceLimitsConfig",
    "ScriptEngineConfig",
    "ServerConfig",
    "load_config",
]
