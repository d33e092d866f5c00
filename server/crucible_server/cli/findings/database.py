"""A store in PostgreSQL: reached, and read only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crucible_server.cli.findings.finding import Finding, Status
from crucible_server.cli.tables import size

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig

_ADVICE = "see what the message says; the server would refuse to start for the same reason"


def look(config: ServerConfig) -> tuple[list[Finding], bytes | None]:
    """Findings on the database, and what the store in it knows of the key of its byte code."""
    from crucible_server.cli.findings.storage import GROUP, schema_finding
    from crucible_server.engine.storage import store_password
    from crucible_server.store import StoreError
    from crucible_server.store.address import PostgresAddress, address_of
    from crucible_server.store.postgresql.inspection import describe

    try:
        address = address_of(config.store_url, store_password(config))
        assert isinstance(address, PostgresAddress)
        found = describe(address)
    except StoreError as error:
        return [Finding(GROUP, "place", Status.ERROR, error.message, _ADVICE)], None
    place = f"{address}, PostgreSQL {found.version}, {size(found.size)}, {found.encrypted}"
    findings = [Finding(GROUP, "place", Status.OK, place), schema_finding(found.revision)]
    if found.asynchronous:
        findings.append(Finding(GROUP, "durability", Status.WARNING, found.asynchronous, "see docs/storage.md"))
    findings.append(Finding(GROUP, "in use", Status.OK, "by " + (", ".join(found.servers) or "no server")))
    return findings, found.key_id
