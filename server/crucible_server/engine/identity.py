"""What things are called: script ids, unit keys, request hashes, and the seal on byte code."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crucible.v1 import execution_pb2, script_pb2
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.store import UnitRecord

UNIT_FORMAT = "2"
"""Changes with the meaning of the fields below: every older unit is then compiled anew."""


def _digest(parts: Iterable[bytes]) -> str:
    # Each part with its length: no two lists of parts can run into the same bytes.
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()


def script_id(source: script_pb2.ScriptSource) -> str:
    """The hash of the source and its included files, and of nothing else: 64 hexadecimal digits."""
    parts = [b"crucible script", source.source.encode()]
    for path in sorted(source.files):
        parts += [path.encode(), source.files[path].encode()]
    return _digest(parts)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What decides, besides the source, which byte code comes out."""

    vm_version: str
    rune_version: str
    patch_level: str

    @property
    def name(self) -> str:
        """All of it in one word, as the store notes it with byte code."""
        return f"{UNIT_FORMAT}/{self.vm_version}/{self.rune_version}/{self.patch_level}"


@lru_cache(maxsize=4096)
def unit_key(tenant: str, script: str, toolchain: Toolchain, modules: tuple[str, ...]) -> str:
    """Names the byte code of a script for one tenant, toolchain and set of modules: 64 hexadecimal digits."""
    return _digest(
        part.encode()
        for part in (
            "crucible unit",
            UNIT_FORMAT,
            tenant,
            script,
            toolchain.vm_version,
            toolchain.rune_version,
            toolchain.patch_level,
            *sorted(modules),
        )
    )


def request_hash(context: execution_pb2.ExecutionContext) -> bytes:
    """The hash by which two requests of one execution id are told apart: 32 bytes."""
    if context.execution_id:
        copy = execution_pb2.ExecutionContext()
        copy.CopyFrom(context)
        copy.ClearField("execution_id")
        context = copy
    return hashlib.sha256(context.SerializeToString(deterministic=True)).digest()


class UnitSeal:
    """Seals byte code under a key that lives outside the database and never enters the zygote.

    Byte code is not validated when it is loaded: only what this server sealed is ever handed to a child.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @property
    def key_id(self) -> bytes:
        """Tells keys apart without giving one away: 32 bytes."""
        return hmac.digest(self._key, b"crucible key id", "sha256")

    @classmethod
    def of_text(cls, text: str) -> UnitSeal:
        """The seal under a key given as 64 hexadecimal digits."""
        return cls(bytes.fromhex(text))

    @classmethod
    def open(cls, path: Path, *, may_create: bool = True) -> UnitSeal:
        """Reads the key file, or makes one that only its owner can read when there is none and it may.

        Raises ServiceError (CONFIGURATION_ERROR) when there is none, others can read it or it is not a key.
        """
        if may_create:
            _create(path)
        try:
            mode = path.stat().st_mode
            key = path.read_bytes()
        except FileNotFoundError:
            raise _bad_key(
                path,
                "the file is missing, and the store holds byte code that was sealed under it. Put it back, or run "
                "`crucible store reseal`: that makes a new key and drops the byte code, which is then compiled anew "
                "from the stored sources; nothing else is lost",
            ) from None
        except OSError as error:
            raise _bad_key(path, str(error)) from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _bad_key(path, f"others may read it (mode {stat.S_IMODE(mode):04o}); run `chmod 600` on it")
        if len(key) != 32:
            raise _bad_key(
                path,
                f"expected 32 bytes, found {len(key)}. Put the right file back, or delete it and run `crucible store "
                "reseal`",
            )
        return cls(key)

    def seal(self, key: str, compiled: bytes, unit: bytes) -> bytes:
        """The seal of a unit and of what is known of it, under its unit key: 32 bytes."""
        # With its length: neither can run into the other.
        length = len(compiled).to_bytes(8, "little")
        return hmac.digest(self._key, b"".join((key.encode(), b"\0", length, compiled, unit)), "sha256")

    def is_valid(self, unit: UnitRecord) -> bool:
        """Whether a stored unit is what `seal` sealed."""
        return hmac.compare_digest(self.seal(unit.unit_key, unit.compiled, unit.unit), unit.mac)


def _create(path: Path) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise _bad_key(path, str(error)) from error
    with os.fdopen(handle, "wb") as new:
        new.write(secrets.token_bytes(32))


def _bad_key(path: Path, why: str) -> ServiceError:
    return ServiceError(ErrorKind.ERROR_KIND_CONFIGURATION_ERROR, f"the key of the byte code, {path}: {why}")
