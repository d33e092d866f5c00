"""Which key seals the byte code of a store, and that it is the same one at every start."""

from __future__ import annotations

from crucible_server.config import ServerConfig
from crucible_server.engine.identity import UnitSeal
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.store import Store

_SETTING = "unit_key_id"


def configured_seal(config: ServerConfig, *, may_create: bool) -> UnitSeal:
    """The seal under the key of the environment, else under that of the key file.

    Raises ServiceError (CONFIGURATION_ERROR) when the file is missing and may not be made, or is not usable.
    """
    if config.unit_key is not None:
        return UnitSeal.of_text(config.unit_key.get_secret_value())
    return UnitSeal.open(config.unit_key_file, may_create=may_create)


async def open_seal(config: ServerConfig, store: Store) -> UnitSeal:
    """The seal under the configured key; makes a key file for a store that has none yet.

    Raises ServiceError (CONFIGURATION_ERROR) when the key is missing, unusable, or another than the store's.
    """
    known = await store.get_setting(_SETTING)
    seal = configured_seal(config, may_create=known is None)
    if known is None:
        # Of servers that start together on one database the first decides.
        known = await store.claim_setting(_SETTING, seal.key_id)
    place = "in the environment (CRUCIBLE_UNIT_KEY)" if config.unit_key is not None else f"in {config.unit_key_file}"
    if known != seal.key_id:
        raise ServiceError(
            ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
            f"the key of the byte code {place} is not the one that the byte code in the store was sealed under. Put "
            "the former key back, or that of the other servers that share the store, or run `crucible store reseal`; "
            "that drops the byte code, which is then compiled anew from the stored sources; nothing else is lost",
        )
    return seal


async def reseal(config: ServerConfig, store: Store) -> int:
    """Drops all byte code and adopts the configured key, made when there is none; returns how many units went."""
    seal = configured_seal(config, may_create=True)
    dropped = await store.drop_all_units()
    await store.put_setting(_SETTING, seal.key_id)
    return dropped
