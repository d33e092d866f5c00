"""What each program of the corpus has to come to. Limits that are not given are the level's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crucible import UInt64
from crucible.requests import Limits


@dataclass(frozen=True)
class Value:
    """It returns this."""

    value: Any
    args: dict[str, Any] = field(default_factory=dict)
    function: str = "main"


@dataclass(frozen=True)
class Failure:
    """It ends with one of these kinds of ExecutionError; more than one only where two time limits are close."""

    kinds: tuple[str, ...]
    says: str = ""
    """What the message has to contain."""
    limits: Limits = field(default_factory=lambda: Limits())


@dataclass(frozen=True)
class Rejection:
    """It does not compile: the first diagnostic with this code says these words and is there."""

    code: str
    says: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""
    """What to write instead, in the diagnostic's hint."""


Expectation = Value | Failure | Rejection

# A processor that others use too lets the wall clock come first.
_TIME = ("TIMEOUT", "CPU_TIME_EXCEEDED")
_MEMORY = Failure(("MEMORY_EXCEEDED",), "max_memory_bytes")
_DEPTH = Failure(("DEPTH_EXCEEDED",), "max_native_depth")
_ENDLESS = Failure(_TIME, "was killed", {"max_execution_time": 0.8})
_BUDGET = Failure(("OPERATIONS_EXCEEDED",), "max_operations", {"max_operations": 1_000_000})


SOUNDNESS: dict[str, list[Expectation]] = {
    "crash": [Value(1)],
    **{f"u{number}": [Value([1])] for number in (1, 2, 3, 4, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18)},
    "u5": [Value([2])],
    "u8": [Value([2])],
    "u9": [Value([2])],
}

_BLOCKS: list[Any] = [
    *(3, 10, 5, 3, 2, 7, 8, [9], 3, 4),
    *(3, 3, 3, -2, False, True, 3, 3, 4, 1),
    *("x", [1, 2], 1, 2, 6, 5, True, 3, [1, 2], 2.0),
    *(10, UInt64(3), "2", [1, 1], 3, True, [5, 2], 4, 6, 1),
    *(6, [1, 5, 5], [1, 7], 11, 101, 1, False, [3, 4], 2),
]

MISC: dict[str, list[Expectation]] = {
    "a1": [Value([1, [2, 3, 104], 11, [10, 11, 12], [0, 1, 2], 7])],
    "a2": [Failure(("RUNTIME",), "a future is awaited")],
    "a3": [_ENDLESS, _BUDGET],
    "a4": [Value([10, 20, 30])],
    "a5": [Value([2, 3, 4])],
    "blocks_as_operands": [Value(value, {"i": number}) for number, value in enumerate(_BLOCKS, start=1)],
    "dbg_async": [Value(36)],
    "fuzzbase": [Value(48)],
    "m01": [Value([0, 1, 3, 3, 3, 3, 3, 3])],
    "m02": [Value([3])],
    "m03": [Value([3, 0, 3])],
    "m04": [Value(1)],
    "m05_drop_tail": [Value([7, 9, 3, 3, 4, 5, 4, 2, [1, 2], [1, 2], 1, 1, 3, 3, 3])],
    "m06_b": [Value(9)],
    "m07_c": [Value(1)],
    "m08_locals": [Value(35)],
    "m09_ret_type": [Rejection("compile", "not supported as a pattern", 1, 6, "leave out the type: `a`")],
    "m10_alias": [Value([[1], [1], [1], {"a": [1]}, [2], [1], [1], [2], [2], [1], [1], [1], 2])],
    "one": [Value(1)],
    "sl_async": [Value(2498500)],
}

ABUSE: dict[str, list[Expectation]] = {
    "c01_constloop": [Rejection("limit.const", "budget exceeded", 1, hint="compute it in a function")],
    "c02_constbig": [Rejection("name.missing", "", 1)],
    "c03_conststr": [Rejection("limit.memory", "allocate", hint="52428800 bytes")],
    "d01_loop": [_ENDLESS, _BUDGET],
    "d02_closure_loop": [_BUDGET],
    "d03_native_range_count": [_ENDLESS],
    "d04_rec": [_MEMORY, _BUDGET],
    "d04b_depth": [Failure(("OUTPUT_EXCEEDED", "MEMORY_EXCEEDED"), "raise max_")],
    "d05_native_rec": [_DEPTH],
    "d06_dropdeep": [Value(1)],
    "d07_cyclic_fmt": [Failure(("STACK_OVERFLOW",), "contains itself")],
    "d08_cyclic_ret": [Failure(("INVALID_RETURN_VALUE",), "contains itself")],
    "d09_bigmem": [_MEMORY],
    "d10_cap": [_MEMORY],
    "d11_resize": [_MEMORY],
    "d12_fmtwidth": [_MEMORY],
    "d13_neg": [Value(-(2**63))],
    "d14_div": [Failure(("RUNTIME",), "ivision by zero")],
    "d15_shl": [Failure(("RUNTIME",), "overflow")],
    "d16_sort_closure": [Value(0), _BUDGET],
    "d17_asyncrec": [_DEPTH],
    "d18_genrec": [_DEPTH],
    "d19_joinhuge": [_MEMORY],
    "d20_sumrange": [_ENDLESS],
    "d21_manyobj_std": [_MEMORY],
    "d22_stdmem": [_MEMORY],
    "d23_dropdeep_obj": [Value(1)],
    "d24_eqdeep": [Failure(("STACK_OVERFLOW",), "contains itself")],
    "d25_stringquad": [_MEMORY],
    "d26_print": [Failure(("OUTPUT_EXCEEDED",), "max_output_bytes")],
    "d27_panic": [Failure(("PANIC",), "boom 1")],
    "d28_unwrap": [Failure(("PANIC",), "None")],
    "d29_sleep": [Failure(("RUNTIME",), "it is in use")],
    "d30_sort": [_ENDLESS],
}

SPEC: dict[str, list[Expectation]] = {
    "s01_codify": [Rejection("name.missing", "Workflow::new", 3, 20)],
    "s02_callout": [Value(None, {"callout": {"type": "error"}}, "handle_callout")],
    "s02b_callout_fixed": [Value(2)],
    "s02c_nofallback": [Value(None)],
    "s02d_rawident": [Rejection("syntax", "")],
    "s03_statemachine": [
        Rejection("compile", "return type", 4, 25, "leave out the return type: `pub fn agent_behavior() { .. }`")
    ],
    "s04_session": [Rejection("name.missing", "session::start", 2)],
    "s04b_session_use": [Rejection("name.missing", "session::start", 3)],
    "s05_inbox_send": [Rejection("name.missing", "inbox::send", 3)],
    "s06_named": [Rejection("syntax", "`)`", 2, 30, "no named arguments: pass an object, `#{ unread_only: .. }`")],
    "s06b_named_alt": [Rejection("name.missing", "inbox::list", 2)],
    "s07_context": [Rejection("name.missing", "context::pop", 2)],
    "s08_retry_asis": [
        Rejection("syntax", "", 14, 31, "`Attempt ${attempts} failed: ${e}. Trying different approach.`")
    ],
    "s08b_retry_nomut": [
        Rejection("syntax", "", 14, 31, "`Attempt ${attempts} failed: ${e}. Trying different approach.`")
    ],
    "s08c_retry_fixed": [Rejection("name.missing", "context::checkpoint", 4)],
    "s08d_sync_await": [Rejection("name.missing", "session::start", 2)],
    "s08e_async_method": [Rejection("name.missing", "session::start", 2)],
    "s09_fstring": [Rejection("syntax", "", 1, 28, "backquotes: `hello ${x}`")],
    "s09b_format": [Value(["hello 1 9 9     1", "tpl 1 2 2"])],
    "s09c_format_expr": [Rejection("name.missing", "o.join", 1)],
    "s10_join": [Failure(("RUNTIME",), "no method `join`")],
    "s10b_join_alt": [Value("a\n---\nb")],
    "s11_aggregate": [Rejection("name.missing", "inbox::wait_for", 5)],
    "s12_err_noparens": [Rejection("name.missing", "context::checkpoint", 4)],
    "s13_mut": [Rejection("compile", "mut", 1, 21, "leave out `mut`")],
    "s14_types": [Rejection("syntax", "", 2, 25, "leave out the return type: `fn f(")],
    "s14b_types": [Rejection("compile", "return type", 2, 25, "leave out the return type: `fn f(")],
    "s15_struct_impl_self": [Value(1)],
    "s16_type_field": [Value("error")],
    "s17_sm_ok": [Value(7)],
    "s18_argtype": [Rejection("compile", "", 1, 6, "leave out the type: `a`")],
    "s19_guard": [Value(["x", 2])],
}

FOLDERS: dict[str, dict[str, list[Expectation]]] = {
    "soundness": SOUNDNESS,
    "misc": MISC,
    "abuse": ABUSE,
    "spec": SPEC,
}
