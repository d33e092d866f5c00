"""What scripts may reach over HTTP, and how much of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator

from .quantities import Bytes, Entries, Seconds

_MIB = 1024 * 1024


class HttpConfig(BaseModel):
    """Bounds of `crucible::http`. Nothing can be reached unless it is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    allow: Entries = ()
    """`SCHEME://HOST[:PORT]`; the host may start with `*.` for all names below it. Loopback and private addresses are
    reached only by an entry that names host and port."""
    timeout: Seconds = 30.0
    """For one request with its redirects; a script can ask for less."""
    max_response_bytes: Bytes = Field(default=ByteSize(4 * _MIB), le=32 * _MIB)
    """The body of one response."""
    max_header_bytes: Bytes = Field(default=ByteSize(64 * 1024), le=_MIB)
    """The headers of one response."""
    max_concurrent_requests: int = Field(default=64, gt=0, le=1024)
    """Of all executions together; others wait."""
    ca_file: Path | None = None
    """Certificates in PEM that are trusted besides the usual ones."""

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            return value
        # Imported late, and only when it is needed: the reading of entries belongs to the one who dials.
        from crucible_server.outbound.allow import parse_entry

        for entry in value:
            parse_entry(entry)
        return value

    @field_validator("ca_file")
    @classmethod
    def _check_ca_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.expanduser().is_file():
            raise ValueError("expected a file of certificates in PEM")
        return value.expanduser() if value is not None else None
