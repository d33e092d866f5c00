"""The configuration while the server runs: what is in force, and how it becomes something else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from crucible.v1 import config_pb2
from crucible_server.config import (
    ConfigError,
    Key,
    Loaded,
    Overlay,
    ServerConfig,
    Sources,
    all_keys,
    load,
    shown,
    value_at,
)
from crucible_server.config.problems import Problem
from crucible_server.configuration import entries
from crucible_server.configuration.changes import Cause, ConfigurationChange, ConfigurationSink, KeyChange, differences
from crucible_server.configuration.refusals import behind, check_keys, not_valid, stale, unknown_revision
from crucible_server.configuration.watched import WatchedFiles
from crucible_server.configuration.watches import View, Watches
from crucible_server.encoded import Encoded
from crucible_server.errors import ErrorKind, ServiceError, invalid, unavailable
from crucible_server.policy.principals import Caller
from crucible_server.store import EventDraft, Store, StoreError, StoreErrorKind
from crucible_server.store.configurations import ConfigRevisionRecord

_POLL_SECONDS = 0.5
_MAX_COMMENT = 500
# Another server on the same database may be as quick as this one.
_MAX_TRIES = 5

log = structlog.get_logger()


class Configuration:
    """What is configured, from all layers, and what of it is in force. To be used from one event loop."""

    def __init__(self, config: ServerConfig, sources: Sources | None = None, *, leave_overlay: bool = False) -> None:
        """`config` was read from `sources`; without any it is taken as it is.

        With `leave_overlay` what calls have set is not in force, until the next call sets something.
        """
        self._sources = sources or Sources.fixed(config)
        self._leaves_aside = leave_overlay
        self._overlay = Overlay()
        self._latest = Overlay()
        self._target: Loaded | None = None
        self._lock = asyncio.Lock()
        self._watches = Watches(self._view)
        self._files = WatchedFiles([] if self._sources.file is None else [self._sources.file])
        self._store: Store | None = None
        self._task: asyncio.Task[None] | None = None
        self._reads_again = False
        self.config = config
        """What is in force."""
        self.file_problem = ""
        """Why the latest change of the file is not in force; empty when it is."""
        self.revision_problem = ""
        """Why what calls have set last, at another server, is not in force here; empty when it is."""
        self.checks: list[Callable[[ServerConfig], None]] = []
        """Called with every configuration before it is stored or comes into force; what one raises refuses it."""
        self.appliers: list[Callable[[ServerConfig], None]] = []
        """Called with every configuration that comes into force, in order; none may raise."""
        self.on_change: list[ConfigurationSink] = []
        self.told: Callable[[ConfigurationChange], Sequence[EventDraft]] = lambda _: ()
        """The events that are stored together with a change that was made by a call of this server."""

    @property
    def version(self) -> int:
        """The change made by calls that is in force, counted from 1 on; later ones may be kept: `revision_problem`."""
        return self._overlay.version

    @property
    def target(self) -> Loaded:
        """What would be in force after a restart."""
        assert self._target is not None
        return self._target

    async def open(self, store: Store) -> None:
        """Adds what calls have set. Raises ServiceError (CONFIGURATION_ERROR) when that no longer fits the rest."""
        self._store = store
        latest = await store.latest_config_revision()
        if latest is not None:
            self._latest = self._overlay = _overlay(latest)
            if self._leaves_aside:
                self._overlay = Overlay(version=latest.version)
        try:
            target = load(self._sources, self._overlay)
            self._files.take(target.watched)
            self.config = target.config
        except ConfigError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
                f"the configuration is not valid together with what ConfigService has set:\n{error}\nMend it, or start "
                "with --leave-config-service, which leaves aside what was set by calls",
            ) from error
        self._target = target

    def start(self) -> None:
        """Looks for changes from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Looks no more, and ends whoever watches."""
        self._watches.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    # -- changes

    async def reload(self) -> None:
        """Reads file and secrets again. What is not valid is refused whole; the log and `file_problem` say why."""
        async with self._lock:
            self._files.take(self.target.watched)
            try:
                changes = await self._read()
            except ConfigError as error:
                self.file_problem = str(error)
                log.error("configuration_refused", file=str(self._sources.file), problems=list(error.problems))
                self._watches.change()
                return
            if self.file_problem:
                self.file_problem = ""
                self._watches.change()
            if not changes:
                log.info("configuration_unchanged", file=str(self._sources.file))

    async def _read(self) -> tuple[KeyChange, ...]:
        """Reads file and secrets, and puts them in force. Raises ConfigError, with nothing changed."""
        is_behind = bool(self.revision_problem)
        overlay = self._latest if is_behind else self._overlay
        try:
            target, after = await asyncio.to_thread(self._load, overlay)
        except ConfigError:
            if not is_behind:
                raise
            # It does not help against what is not in force; it still counts beside what is.
            overlay = self._overlay
            target, after = await asyncio.to_thread(self._load, overlay)
        changes = self._take(target, after, "file", "", overlay)
        # Another file may have been named by now.
        if target.watched != self._files.files:
            self._files.take(target.watched)
        return changes

    def _load(self, overlay: Overlay) -> tuple[Loaded, ServerConfig]:
        target = load(self._sources, overlay)
        return target, self._after(target)

    async def update(
        self,
        values: Mapping[str, Any],
        resets: Sequence[str],
        *,
        expected: int | None,
        principal: str,
        comment: str,
        validate_only: bool = False,
    ) -> tuple[KeyChange, ...]:
        """Sets some keys and takes others back, all or none; returns what changed.

        Raises ServiceError: VALIDATION_ERROR, SECURITY_VIOLATION for keys that are set beside the server only,
        VERSION_CONFLICT, CONFIGURATION_ERROR while what another server has set does not fit here; and StoreError, with
        nothing changed.
        """
        _check_comment(comment)
        check_keys([*values, *resets], is_set=frozenset(self._latest.values))

        def next_overlay() -> Mapping[str, Any]:
            # What was left aside at the start is kept by whoever only takes some of it back.
            before = self._overlay if self._leaves_aside and values else self._latest
            kept = {key: value for key, value in before.values.items() if key not in resets}
            return {**kept, **values}

        return await self._change(next_overlay, expected, principal, comment, None, validate_only)

    async def revert(
        self, version: int, *, expected: int | None, principal: str, comment: str
    ) -> tuple[KeyChange, ...]:
        """Brings back what was set at an earlier version; returns what changed.

        Raises ServiceError: REVISION_NOT_FOUND, VERSION_CONFLICT, VALIDATION_ERROR when it no longer fits the rest;
        and StoreError.
        """
        _check_comment(comment)
        assert self._store is not None
        # What no version can be, the database may not even be asked for.
        revision = await self._store.get_config_revision(version) if 0 < version < 1 << 63 else None
        if version and revision is None:
            raise unknown_revision(version, self._latest.version)
        wanted = Overlay() if revision is None else _overlay(revision)
        return await self._change(lambda: wanted.values, expected, principal, comment, version, False)

    async def _change(
        self,
        next_overlay: Callable[[], Mapping[str, Any]],
        expected: int | None,
        principal: str,
        comment: str,
        reverted_to: int | None,
        validate_only: bool,
    ) -> tuple[KeyChange, ...]:
        assert self._store is not None
        for _ in range(_MAX_TRIES):
            async with self._lock:
                await self._catch_up()
                if expected is not None and expected != self._latest.version:
                    raise stale(expected, self._latest.version)
                # Long lists take their time to be read.
                overlay, target, after, changes = await asyncio.to_thread(self._plan, next_overlay())
                if validate_only or overlay.values == self._latest.values:
                    return changes
                cause: Cause = "call" if reverted_to is None else "revert"
                told = self.told(ConfigurationChange(overlay.version, cause, principal, changes))
                try:
                    await self._store.add_config_revision(
                        ConfigRevisionRecord(
                            version=overlay.version,
                            time=time.time_ns(),
                            principal=principal,
                            comment=comment,
                            reverted_to=reverted_to,
                            changes=entries.changes_message(changes).SerializeToString(deterministic=True),
                            overlay=json.dumps(dict(overlay.values), sort_keys=True).encode(),
                        ),
                        told,
                    )
                except StoreError as error:
                    if error.kind is not StoreErrorKind.CONFLICT:
                        raise
                    continue
                self._latest = overlay
                self._take(target, after, cause, principal, overlay)
                return changes
        raise unavailable("another server changes the configuration all the time; try again")

    def _plan(self, values: Mapping[str, Any]) -> tuple[Overlay, Loaded, ServerConfig, tuple[KeyChange, ...]]:
        version = self._latest.version + 1
        try:
            target = self.target.with_overlay(Overlay(values, version))
            after = self._after(target)
        except ConfigError as error:
            if self.revision_problem:
                raise behind(self._latest.version, self.version, error) from error
            raise not_valid(error, values) from error
        # As the models have read them: "30s" and 30.0 are the same.
        keys = {key.path: key for key in all_keys(ServerConfig)}
        normal = {name: shown(value_at(target.config, keys[name])) for name in values}
        overlay = Overlay(normal, version)
        return overlay, target, after, (*self._changes(target, after), *self._taken_back(overlay, target))

    def _after(self, target: Loaded) -> ServerConfig:
        """What would hold now. Raises ConfigError when that, or what holds from the next start, cannot be."""
        after = target.pinned(self.config)
        for config in (after, target.config):
            for check in self.checks:
                try:
                    check(config)
                except Exception as error:
                    log.exception("configuration_not_possible")
                    raise ConfigError([Problem(f"it cannot be put in force: {error}")]) from error
        return after

    def _changes(self, target: Loaded, after: ServerConfig) -> tuple[KeyChange, ...]:
        live = [each for each in differences(self.config, after) if not each.needs_restart]
        later = [each for each in differences(self.target.config, target.config) if each.needs_restart]
        return (*live, *later)

    def _taken_back(self, overlay: Overlay, target: Loaded) -> Iterable[KeyChange]:
        """What a change erases of what was left aside at the start: not in force, but it would be at the next one."""
        if not self._leaves_aside:
            return
        for key in all_keys(ServerConfig):
            if key.path in self._latest.values and key.path not in overlay.values:
                yield KeyChange(key, self._latest.values[key.path], shown(value_at(target.config, key)))

    def _take(
        self, target: Loaded, after: ServerConfig, cause: Cause, principal: str, overlay: Overlay
    ) -> tuple[KeyChange, ...]:
        """Puts a configuration in force: `after` is what holds of `target` without a restart."""
        changes = self._changes(target, after)
        self._target, self.config, self._overlay = target, after, overlay
        if overlay is self._latest:
            self.revision_problem, self._leaves_aside = "", False
        # What was said of the file may hold beside what calls had set before only.
        self._reads_again = cause != "file" and bool(self.file_problem)
        for apply in self.appliers:
            try:
                apply(after)
            except Exception:
                # The others still have to hear of what is stored and told as being in force.
                log.exception("configuration_not_applied")
        self._watches.change()
        if changes:
            log.info(
                "configuration_changed",
                cause=cause,
                version=self.version,
                changes=[str(each) for each in changes],
                **({"principal": principal} if principal else {}),
            )
            for tell in self.on_change:
                tell(ConfigurationChange(self.version, cause, principal, changes))
        return changes

    async def _catch_up(self) -> None:
        """Takes up what another server on the same database has set."""
        assert self._store is not None
        latest = await self._store.latest_config_revision()
        if latest is None or latest.version <= self._latest.version:
            return
        self._latest, self._leaves_aside = _overlay(latest), False
        overlay = self._latest
        try:
            target = await asyncio.to_thread(self.target.with_overlay, overlay)
            after = await asyncio.to_thread(self._after, target)
        except ConfigError as error:
            self.revision_problem = f"version {latest.version} does not fit this server: {error}"
            log.error("configuration_refused", version=latest.version, problems=list(error.problems))
            self._watches.change()
            return
        self._take(target, after, "call" if latest.reverted_to is None else "revert", latest.principal, overlay)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                if self._files.have_changed() or self._reads_again:
                    self._reads_again = False
                    await self.reload()
                async with self._lock:
                    await self._catch_up()
            except StoreError as error:
                log.debug("configuration_not_read", reason=error.message)
            except Exception:
                log.exception("configuration_failed")

    # -- looking

    def entries(self, wanted: Sequence[str] = ()) -> list[config_pb2.ConfigEntry]:
        """The keys, or those below the sections that are named. Raises ServiceError (VALIDATION_ERROR)."""
        return [entries.entry(key, self.config, self.target) for key in _selected(wanted)]

    def watch(self, caller: Caller, wanted: Sequence[str] = ()) -> AsyncIterator[Encoded]:
        """What is so, then at every change what has changed. Raises ServiceError: VALIDATION_ERROR, and as `follow`."""
        return self._watches.follow(caller, frozenset(key.path for key in _selected(wanted)))

    def _view(self) -> View:
        return View(self.version, self.file_problem, self.revision_problem, self.entries())

    async def revisions(self, before: int, count: int) -> Sequence[ConfigRevisionRecord]:
        """What calls have changed, newest first, below a version. Raises StoreError."""
        assert self._store is not None
        return await self._store.list_config_revisions(before, count)


def _selected(wanted: Sequence[str]) -> list[Key]:
    keys = list(all_keys(ServerConfig))
    check_keys(wanted, reads=True)
    return [
        key for key in keys if not wanted or any(key.path == name or key.path.startswith(f"{name}.") for name in wanted)
    ]


def _check_comment(comment: str) -> None:
    if len(comment) > _MAX_COMMENT or "\0" in comment:
        raise invalid("comment", f"expected at most {_MAX_COMMENT} characters, none of them NUL, got {len(comment)}")


def _overlay(revision: ConfigRevisionRecord) -> Overlay:
    return Overlay(json.loads(revision.overlay), revision.version)
