"""Where values come from, how they are written, and what is said about wrong ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from crucible_server.config import ConfigError, ServerConfig, all_keys, load_config, value_at
from crucible_server.config.isolation import FILE_LAYERS, LAYERS
from crucible_server.config.load import put


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("CRUCIBLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration file."""
    return tmp_path / "crucible.toml"


def problems(path: Path | None = None, **overrides: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return caught.value.problems


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    config = load_config(None, {})
    engine = config.engine
    assert (engine.max_cache_size, engine.default_execution_timeout) == (1000, 30.0)
    assert (engine.max_source_size, engine.enable_caching, engine.security_level) == (2**20, True, "safe")
    limits = engine.resource_limits
    assert (limits.max_memory_bytes, limits.max_cpu_percentage) == (100 * 2**20, 80.0)
    assert (limits.max_concurrent_operations, limits.operation_timeout) == (100, 60.0)
    assert (limits.max_execution_time, limits.max_network_requests) == (None, None)
    assert config.listen == "127.0.0.1:50051"
    assert config.data_dir == tmp_path / "share" / "crucible"
    assert config.max_request_bytes == 4 * 2**20
    assert config.max_concurrent_executions >= 64
    assert config.execution_retention == 7 * 24 * 3600


def test_flags_win_over_environment_over_file_over_defaults(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        'listen = "127.0.0.1:1"\nspare_children = 1\ngrace_period = "1s"\n'
        "[engine]\nmax_cache_size = 1\n[engine.resource_limits]\nmax_cpu_percentage = 1\nmax_host_calls = 1\n"
    )
    monkeypatch.setenv("CRUCIBLE_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("CRUCIBLE_SPARE_CHILDREN", "2")
    monkeypatch.setenv("CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_CPU_PERCENTAGE", "2")
    config = load_config(file, {"listen": "127.0.0.1:3"})
    assert (config.listen, config.spare_children, config.grace_period) == ("127.0.0.1:3", 2, 1.0)
    assert config.engine.max_cache_size == 1
    limits = config.engine.resource_limits
    assert (limits.max_cpu_percentage, limits.max_host_calls, limits.operation_timeout) == (2.0, 1, 60.0)


def test_files_follow_the_data_folder(tmp_path: Path) -> None:
    config = load_config(None, {"data_dir": tmp_path / "d"})
    assert config.store_url == f"sqlite:///{tmp_path}/d/crucible.db"
    assert config.unit_key_file == tmp_path / "d" / "unit.key"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("500ms", 0.5),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("1m 30s", 90),
        (2, 2),
        (0.25, 0.25),
        ("2.5", 2.5),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert load_config(None, {"grace_period": written}).grace_period == seconds


@pytest.mark.parametrize("written", ["", "s", "5 parsecs", "0s", 0, -1, "-5s", "nan", "inf", True, [1], "1s5"])
def test_no_durations(written: object) -> None:
    (problem,) = problems(grace_period=written)
    assert problem.startswith("grace_period: expected a duration above zero")
    assert problem.endswith(f"got {written!r}")


@pytest.mark.parametrize(
    ("written", "size"),
    [("8MiB", 8 * 2**20), ("1 KiB", 1024), ("2GB", 2_000_000_000), (123, 123), ("123", 123)],
)
def test_sizes(written: object, size: int) -> None:
    assert load_config(None, {"max_request_bytes": written}).max_request_bytes == size


@pytest.mark.parametrize("written", ["0", 0, -1, "-1MiB", "10 bananas", True, 1.5, None])
def test_no_sizes(written: object) -> None:
    (problem,) = problems(max_request_bytes=written)
    assert problem.startswith("max_request_bytes: ")


@pytest.mark.parametrize(
    "written",
    [1e300, "1e300", 10**400, -(10**400), "36501d", 3_153_600_001, "0.0009s", 1e-9, "9" * 400, "nan", float("nan")],
)
def test_no_durations_that_nothing_can_hold(written: object) -> None:
    (problem,) = problems(execution_retention=written)
    assert problem.startswith("execution_retention: expected a duration ")


@pytest.mark.parametrize("written", ["99999999999 TiB", 2**64, "9" * 400 + "TiB", 2**53 + 1])
def test_no_sizes_that_nothing_can_hold(written: object) -> None:
    (problem,) = problems(engine={"max_cache_bytes": written})
    assert problem.startswith("engine.max_cache_bytes: ")


def test_every_number_has_a_largest() -> None:
    """Whatever is taken fits the messages and the database: a key without a bound is found here."""
    for key in all_keys(ServerConfig):
        value = value_at(ServerConfig(), key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        raw: dict[str, Any] = {}
        put(raw, key.parts, 10**30 if isinstance(value, int) else 1e300)
        with pytest.raises(ConfigError):
            load_config(None, raw)


def test_toml_beyond_what_is_read(file: Path) -> None:
    for text in (f"spare_children = {'9' * 5000}\n", "a = " + "[" * 5000 + "]" * 5000):
        file.write_text(text)
        (problem,) = problems(file)
        assert "expected shorter numbers, and less in one another" in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h/db?password=SECRET",
        "postgresql://u@h/db?sslpassword=SECRET",
        "postgresql://u:SECRET@h/db",
        "postgresql://u:SEC/SECRET@h/db",
        "postgresql:u:SECRET@h/db",
        "host=h password=SECRET",
        "password = SECRET",
        "u:SECRET@h/db",
        "sqlite://u:SECRET@h",
        "mysql://u:SECRET@h/db",
        "",
        ":memory:",
    ],
)
def test_no_addresses_of_stores(url: str) -> None:
    (problem,) = problems(store_url=url)
    assert problem.startswith("store_url: ")
    assert "SECRET" not in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("telemetry.otlp_endpoint", "http://h:4317/?key=SECRET"),
        ("telemetry.otlp_endpoint", "http://u:a/SECRET@h:4317"),
        ("telemetry.propagate_to", ["http://h:1", "http://h/?key=a b'SECRET"]),
        ("engine.http.allow", ["https://SECRET@h"]),
        ("engine.http.allow", [["https://h/#SECRET"]]),
        ("engine.discovery.endpoints", ["grpc://u:SECRET@h:1"]),
        ("engine.health_check.allow", ["http://h:1?SECRET"]),
        ("listen", "http://u:SECRET@127.0.0.1:1"),
        ("engine.resource_limits", {"max_operations": "http://h?SECRET"}),
        ("engine.resource_limits", "http://h?SECRET"),
    ],
)
def test_what_may_be_secret_in_a_url_is_not_repeated(key: str, value: object) -> None:
    raw: dict[str, Any] = {}
    put(raw, key.split("."), value)
    assert "SECRET" not in str(problems(None, **raw))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h:5432/db?sslmode=require&passfile=/p",
        "postgres://h/db",
        "data/x.db",
        "./a@b.db",
        "/a b/c@d.db",
        "sqlite:////a/b.db",
        "sqlite:///a.db",
    ],
)
def test_addresses_of_stores(url: str) -> None:
    assert load_config(None, {"store_url": url}).store_url == url


def test_every_problem_is_told_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('log_format = "xml"\nspare_childs = 3\n[engine]\nmax_cache_sise = 1\n')
    monkeypatch.setenv("CRUCIBLE_ENGINE__ENABLE_CACHING", "perhaps")
    found = problems(file, grace_period="soon")
    assert len(found) == 5
    text = "\n".join(found)
    assert "log_format: input should be 'console' or 'json'; got 'xml'" in text
    assert "spare_childs: there is no such key; did you mean `spare_children`?" in text
    assert "engine.max_cache_sise: there is no such key; did you mean `engine.max_cache_size`?" in text
    assert "engine.enable_caching: " in text
    assert "grace_period: " in text


def test_a_key_like_no_other_gets_the_list() -> None:
    (problem,) = problems(engine={"resource_limits": {"zzz": 1}})
    assert problem.startswith("engine.resource_limits.zzz: there is no such key; expected one of max_concurrent")


def test_a_bad_value_is_not_followed_by_its_consequences() -> None:
    (problem,) = problems(data_dir=3)
    assert problem.startswith("data_dir: ")


def test_a_misspelt_variable_is_named_and_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # What an orchestrator sets for a service called crucible.
    monkeypatch.setenv("CRUCIBLE_PORT_50051_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("CRUCIBLE_SERVICE_HOST", "10.0.0.1")
    load_config(None, {})
    monkeypatch.setenv("CRUCIBLE_SPARE_CHILDRENS", "3")
    assert problems() == (
        "CRUCIBLE_SPARE_CHILDRENS: there is no such variable; did you mean `CRUCIBLE_SPARE_CHILDREN`?",
    )


def test_a_file_that_is_missing_or_not_toml(file: Path) -> None:
    (problem,) = problems(file)
    assert str(file) in problem
    assert "cannot be read" in problem
    file.write_text("listen = \n")
    (problem,) = problems(file)
    assert "expected TOML" in problem
    assert "line 1" in problem
    file.write_bytes(b'listen = "\xff"\n')
    assert "expected TOML" in problems(file)[0]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.8.9.1:50051", "[::1]:50051", "localhost:1", "::1:50051"])
def test_loopback_addresses(address: str) -> None:
    assert load_config(None, {"listen": address}).listen == address


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1", "example.org:443", "2130706433:1"])
def test_other_addresses_have_to_be_asked_for(address: str) -> None:
    (problem,) = problems(listen=address)
    assert "neither TLS nor authentication" in problem
    assert "allow_insecure_listen" in problem
    assert load_config(None, {"listen": address, "allow_insecure_listen": True}).listen == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1", ":50051", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http"]
)
def test_no_addresses(address: str) -> None:
    (problem,) = problems(listen=address)
    assert problem.startswith("listen: expected HOST:PORT")


@pytest.mark.parametrize(
    ("key", "value"),
    [("zygote_renewal_crashes", 0), ("zygote_renewal_interval", 0), ("namespaces", "some"), ("moat", True)],
)
def test_no_isolation(key: str, value: object) -> None:
    (problem,) = problems(isolation={key: value})
    assert problem.startswith(f"isolation.{key}: ")


def test_layers_are_required_by_their_names(file: Path) -> None:
    file.write_text('require_isolation = ["landlock", "pid_namespace"]\n[isolation]\ncgroup = false\n')
    config = load_config(file, {})
    assert config.require_isolation == ("landlock", "pid_namespace")
    assert not config.isolation.cgroup
    (problem,) = problems(require_isolation=["landlok"])
    assert "'landlok'" in problem
    every = (*LAYERS, *FILE_LAYERS)
    assert all(name in problem for name in every)
    assert load_config(None, {"require_isolation": every}).require_isolation == every


def test_development_is_no_default_without_its_switch() -> None:
    (problem,) = problems(engine={"security_level": "Development"})
    assert "allow_development = true" in problem
    config = load_config(None, {"allow_development": True, "engine": {"security_level": "Development"}})
    assert (config.allow_development, config.engine.security_level) == (True, "development")


@pytest.mark.parametrize("level", ["", "root", "0", "saf"])
def test_no_levels(level: str) -> None:
    (problem,) = problems(engine={"security_level": level})
    assert problem.startswith("engine.security_level: ")


def test_a_level_is_written_as_in_the_documentation() -> None:
    assert load_config(None, {"engine": {"security_level": "Production"}}).engine.security_level == "production"


def test_the_interpreter_by_flag_variable_file_and_path(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = tmp_path / "bin" / "crucible-vm"
    vm.parent.mkdir()
    vm.write_text("#!/bin/sh\n")
    vm.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(vm.parent))
    assert load_config(None, {}).vm_path == vm
    beside = tmp_path / "crucible-vm"
    beside.write_text("")
    assert load_config(None, {}).vm_path == beside
    file.write_text('vm_path = "/file/vm"\n')
    assert load_config(file, {}).vm_path == Path("/file/vm")
    monkeypatch.setenv("CRUCIBLE_VM", "/variable/vm")
    assert load_config(file, {}).vm_path == Path("/variable/vm")
    assert load_config(file, {"vm_path": "/flag/vm"}).vm_path == Path("/flag/vm")


def test_a_file_of_one_load_does_not_reach_the_next(file: Path) -> None:
    file.write_text("spare_children = 7\n")
    assert load_config(file, {}).spare_children == 7
    assert load_config(None, {}).spare_children == 2
    assert ServerConfig().spare_children == 2


@pytest.mark.parametrize(
    "limits",
    [
        {"max_cpu_percentage": 0},
        {"max_cpu_percentage": float("nan")},
        {"max_cpu_percentage": -1},
        {"max_concurrent_operations": 0},
        {"max_memory_bytes": 0},
        {"operation_timeout": 0},
        {"max_native_depth": 100_000},
        {"max_host_calls": -1},
    ],
)
def test_limits_of_zero_or_less_are_refused(limits: dict[str, object]) -> None:
    (problem,) = problems(engine={"resource_limits": limits})
    assert problem.startswith(f"engine.resource_limits.{next(iter(limits))}: ")


@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_of_no_size_is_told_how_to_do_without(size: int) -> None:
    (problem,) = problems(engine={"max_cache_size": size})
    assert problem.startswith(
        "engine.max_cache_size: expected a number of scripts above zero; `enable_caching = false`"
    )


@pytest.mark.parametrize(
    "key",
    ["max_stored_executions", "max_stored_scripts", "execution_retention", "script_retention", "max_executions_memory"],
)
@pytest.mark.parametrize("value", [0, -1, "soon"])
def test_limits_of_the_store_are_above_zero(key: str, value: object) -> None:
    (problem,) = problems(None, **{key: value})
    assert problem.startswith(f"{key}: ")


def test_a_key_is_taken_from_the_environment_only(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(f'unit_key = "{"0" * 64}"\n')
    (problem,) = problems(file)
    assert "CRUCIBLE_UNIT_KEY" in problem
    monkeypatch.setenv("CRUCIBLE_UNIT_KEY", "ab" * 32)
    config = load_config(None, {})
    assert config.unit_key is not None
    assert config.unit_key.get_secret_value() == "ab" * 32
    assert "abab" not in repr(config)
    monkeypatch.setenv("CRUCIBLE_UNIT_KEY", "abracadabra")
    (problem,) = problems()
    assert "expected 64 hexadecimal digits" in problem
    assert "abracadabra" not in problem


def test_lists_and_tables_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRUCIBLE_REQUIRE_ISOLATION", "uid")
    monkeypatch.setenv("CRUCIBLE_TELEMETRY__OTLP_HEADERS", "x-key=SECRET")
    monkeypatch.setenv("CRUCIBLE_LISTEN", "127.0.0.1:1")
    found = problems()
    assert [each.partition(": expected JSON, such as ")[0] for each in found] == [
        "require_isolation",
        "telemetry.otlp_headers",
    ]
    assert "(CRUCIBLE_TELEMETRY__OTLP_HEADERS)" in found[1]
    assert "SECRET" not in found[1]


def test_executions_may_take_most_of_the_memory_there_is() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < load_config(None, {}).max_executions_memory <= total * 3 // 4
