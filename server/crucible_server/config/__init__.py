"""The configuration of the server: validated, from flags, environment, a TOML file and defaults."""

from .discovery import DiscoveryConfig, HealthCheckConfig
from .effects import Effect
from .http import HttpConfig
from .keys import Key, all_keys, shown, value_at
from .load import Layer, Loaded, Origin, Overlay, Sources, load, load_config
from .models import ResourceLimitsConfig, ScriptEngineConfig, ServerConfig
from .problems import ConfigError, Problem

__all__ = [
    "ConfigError",
    "DiscoveryConfig",
    "Effect",
    "HealthCheckConfig",
    "HttpConfig",
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
    "all_keys",
    "load",
    "load_config",
    "shown",
    "value_at",
]
