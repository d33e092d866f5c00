"""The configuration of a running server: reloaded, changed by calls, watched."""

from .changes import ConfigurationChange, KeyChange
from .configuration import Configuration

__all__ = ["Configuration", "ConfigurationChange", "KeyChange"]
