"""Profiles: from what a child counted to what `go tool pprof` reads."""

from __future__ import annotations

import gzip

from crucible.vm.v1 import child_pb2, pprof_pb2

MAX_FRAME_BYTES = 512 * 1024
"""Of what a child says: its names and samples are bounded well below."""
_MAX_SAMPLES = 2000
_MAX_STACK = 33
_MAX_FIGURE = 2**48
_MAX_LINE = 2**31


class InvalidProfileError(Exception):
    """A profile that a child must not send."""


def check(profile: child_pb2.Profile, operations: int) -> None:
    """Raises InvalidProfileError, with what is wrong, unless the profile fits together and to the run."""
    size = profile.ByteSize()
    if size > MAX_FRAME_BYTES or len(profile.samples) > _MAX_SAMPLES:
        raise InvalidProfileError(f"a profile of {size} bytes and {len(profile.samples)} samples")
    names, places = len(profile.names), len(profile.places)
    for place in profile.places:
        if place.function >= names or place.file >= names or place.line > _MAX_LINE:
            raise InvalidProfileError(f"a place {place.function}, {place.file} among {names} names")
    total = 0
    for sample in profile.samples:
        if not 1 <= len(sample.places) <= _MAX_STACK or max(sample.places) >= places:
            raise InvalidProfileError(f"a sample of {len(sample.places)} places among {places}")
        if max(sample.instructions, sample.time_ns) > _MAX_FIGURE:
            raise InvalidProfileError(f"{sample.instructions} instructions and {sample.time_ns} ns in a sample")
        total += sample.instructions
    if total != operations:
        raise InvalidProfileError(f"a profile of {total} instructions for a run of {operations}")


def encode(profile: child_pb2.Profile, start_time_ns: int, duration_ns: int) -> bytes:
    """The same as pprof's profile.proto, compressed: instructions first, then time."""
    texts: dict[str, int] = {"": 0}

    def text(value: str) -> int:
        return texts.setdefault(value, len(texts))

    message = pprof_pb2.PprofProfile(time_nanos=start_time_ns, duration_nanos=duration_ns, period=1)
    instructions = pprof_pb2.PprofValueType(type=text("instructions"), unit=text("count"))
    message.sample_type.append(instructions)
    message.sample_type.add(type=text("time"), unit=text("nanoseconds"))
    message.period_type.CopyFrom(instructions)
    message.default_sample_type = instructions.type
    functions: dict[tuple[int, int], int] = {}
    for place in profile.places:
        key = (place.function, place.file)
        if key not in functions:
            functions[key] = len(functions) + 1
            name, file = profile.names[place.function], profile.names[place.file]
            message.function.add(id=functions[key], name=text(name), filename=text(file))
        location = message.location.add(id=len(message.location) + 1)
        location.line.add(function_id=functions[key], line=place.line)
    for sample in profile.samples:
        message.sample.add(
            location_id=[place + 1 for place in sample.places], value=[sample.instructions, sample.time_ns]
        )
    message.string_table.extend(texts)
    # Without a time of its own, so that one profile is always the same bytes.
    return gzip.compress(message.SerializeToString(), mtime=0)
