"""Generates all code that is made from the .proto files.

    python proto/generate.py                      regenerate everything
    python proto/generate.py --only python,go     regenerate some of it
    python proto/generate.py --check              change nothing; fail and list the files that are stale

Run it with a Python that has the project's `dev` extra. Each target generates into a temporary folder first,
so that a failure leaves the tree as it was and files whose .proto is gone are removed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
SERVICE_CONFIG = PROTO / "service_config.json"
THIRD_PARTY = PROTO / "third_party"
BUILD_BIN = ROOT / "build" / "bin"
TYPESCRIPT = ROOT / "clients" / "typescript"

PROTOC_GEN_GO = "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12"
PROTOC_GEN_GO_GRPC = "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"

PUBLIC = "crucible/v1"
INTERNAL = "crucible/vm/v1"
# Served by reflection beside our own: what a client meets on the wire.
SERVED = [
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
]


class GenerateError(Exception):
    """Something is missing or a generator failed; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """One kind of generated code: who writes it, and which committed files it accounts for."""

    write: Callable[[Path], None]
    folder: str
    patterns: tuple[str, ...]

    def committed(self, root: Path) -> set[Path]:
        """All files of this target below `root`, relative to it."""
        folder = root / self.folder
        return {path.relative_to(root) for pattern in self.patterns for path in folder.glob(pattern)}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 done or fresh, 1 stale or failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is stale")
    parser.add_argument("--only", metavar="TARGETS", help=f"comma-separated, of: {', '.join(TARGETS)}")
    options = parser.parse_args(argv)
    names = options.only.split(",") if options.only else list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"unknown target {unknown[0]!r}: expected some of {', '.join(TARGETS)}")
    stale: list[Path] = []
    try:
        for name in names:
            with tempfile.TemporaryDirectory() as scratch:
                fresh = Path(scratch)
                TARGETS[name].write(fresh)
                changed = sorted(differences(TARGETS[name], fresh))
                print(f"{name}: {len(changed)} changed" if changed else f"{name}: fresh")
                stale += changed
                if not options.check:
                    install(changed, fresh)
    except GenerateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.check and stale:
        print("These generated files are stale; run `make gen` and commit them:", file=sys.stderr)
        for path in stale:
            print(f"  {path}", file=sys.stderr)
        return 1
    return 0


def differences(target: Target, fresh: Path) -> Iterator[Path]:
    """The files that differ between `fresh` and the repository, with those that only one of them has."""
    for path in target.committed(ROOT) | target.committed(fresh):
        old, new = ROOT / path, fresh / path
        if not (old.is_file() and new.is_file() and old.read_bytes() == new.read_bytes()):
            yield path


def install(paths: Sequence[Path], fresh: Path) -> None:
    """Brings the repository to the state of `fresh`."""
    for path in paths:
        if (fresh / path).is_file():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / path, ROOT / path)
        else:
            (ROOT / path).unlink()


def protos(*folders: str) -> list[str]:
    """The .proto files of these packages, relative to proto/."""
    return sorted(str(path.relative_to(PROTO)) for folder in folders for path in (PROTO / folder).glob("*.proto"))


def with_service(names: Sequence[str]) -> list[str]:
    """Those of the files that declare a service: gRPC plug-ins write empty modules for the others."""
    return [name for name in names if re.search(r"^service ", (PROTO / name).read_text("utf-8"), re.MULTILINE)]


def protoc(arguments: Sequence[str], files: Sequence[str]) -> None:
    """Runs the protoc of grpcio-tools, with the protos of google.rpc and gRPC in reach."""
    missing = [name for name in ("grpc_tools", "google.rpc") if not importlib.util.find_spec(name)]
    if missing:
        raise GenerateError(
            f"this Python ({sys.executable}) lacks {missing[0]}: install the project's dev extra, "
            "`pip install -e .[dev]`, and use that Python"
        )
    import google.rpc
    import grpc_tools

    includes = [PROTO, THIRD_PARTY, Path(next(iter(google.rpc.__path__))).parents[1]]
    well_known = Path(next(iter(grpc_tools.__path__))) / "_proto"
    run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            *(f"-I{path}" for path in [*includes, well_known]),
            *arguments,
            *files,
        ]
    )


def run(command: Sequence[str | Path], **environment: str) -> None:
    """Runs a command in the repository's root; its output is shown only when it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise GenerateError(f"`{words}` ended with code {done.returncode}:\n{done.stdout}{done.stderr}")


def tool(name: str, install_from: str) -> str:
    """The path of a program, or an error that says where it comes from."""
    if path := shutil.which(name):
        return path
    raise GenerateError(f"`{name}` is needed to generate this and is not on the PATH: install {install_from}")


def copy_service_config(folder: Path) -> None:
    """Puts the retry policy into a client's package, which has to hold it itself."""
    shutil.copyfile(SERVICE_CONFIG, folder / SERVICE_CONFIG.name)


def write_python(out: Path) -> None:
    """Messages and stubs for server and client, with types."""
    package = out / "clients/python"
    (package / "crucible").mkdir(parents=True)
    copy_service_config(package / "crucible")
    names = protos(PUBLIC, INTERNAL)
    plugin = Path(sys.executable).parent / "protoc-gen-mypy_grpc"
    if not plugin.exists():
        raise GenerateError(f"{plugin} is missing: install the project's dev extra, `pip install -e .[dev]`")
    protoc([f"--python_out={package}", f"--pyi_out={package}"], names)
    protoc(
        [
            f"--grpc_python_out={package}",
            f"--plugin=protoc-gen-mypy_grpc={plugin}",
            f"--mypy_grpc_out=quiet:{package}",
        ],
        with_service(names),
    )


def write_reflection(out: Path) -> None:
    """Descriptors of all that is served, with comments, in the order in which they depend on each other."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    path = out / REFLECTION
    path.parent.mkdir(parents=True)
    protoc(
        ["--include_imports", "--include_source_info", f"--descriptor_set_out={path}"],
        [*protos(PUBLIC), *SERVED],
    )
    descriptors = FileDescriptorSet.FromString(path.read_bytes())
    for file in descriptors.file:
        # Positions without a comment are of no use to a client and three quarters of the size.
        commented = [
            place
            for place in file.source_code_info.location
            if place.leading_comments or place.trailing_comments or place.leading_detached_comments
        ]
        del file.source_code_info.location[:]
        file.source_code_info.location.extend(commented)
    path.write_bytes(descriptors.SerializeToString(deterministic=True))


def write_rust(out: Path) -> None:
    """Messages for the interpreter process."""
    cargo = tool("cargo", "Rust (rustup.rs)")
    folder = out / "vm/src/gen"
    folder.mkdir(parents=True)
    run(
        [
            cargo,
            "run",
            "--quiet",
            "--locked",
            "--manifest-path",
            "vm/codegen/Cargo.toml",
            "--",
            "proto",
            folder,
        ]
    )


def go_plugin(module: str) -> Path:
    """Installs a protoc plug-in; the version is in the file's name, so that a new pin installs anew."""
    name, version = module.rsplit("/", 1)[1].split("@")
    binary = BUILD_BIN / f"{name}-{version}"
    if not binary.exists():
        with tempfile.TemporaryDirectory() as scratch:
            run([tool("go", "Go 1.26 or newer (go.dev/dl)"), "install", module], GOBIN=scratch)
            BUILD_BIN.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / name, binary)
    return binary


def write_go(out: Path) -> None:
    """Messages and stubs for the Go client."""
    folder = out / "clients/go"
    folder.mkdir(parents=True)
    copy_service_config(folder)
    arguments = []
    for plugin, module in (("go", PROTOC_GEN_GO), ("go-grpc", PROTOC_GEN_GO_GRPC)):
        arguments += [
            f"--plugin=protoc-gen-{plugin}={go_plugin(module)}",
            f"--{plugin}_out={folder}",
            f"--{plugin}_opt=module=github.com/crucible-rune/crucible/clients/go",
        ]
    protoc(arguments, protos(PUBLIC))


def write_typescript(out: Path) -> None:
    """Messages and service descriptions for the TypeScript client, those of google.rpc errors with them."""
    plugin = TYPESCRIPT / "node_modules/.bin/protoc-gen-es"
    if not plugin.exists():
        tool("node", "Node.js 20 or newer (nodejs.org)")
        run([tool("npm", "Node.js 20 or newer (nodejs.org)"), "ci", "--prefix", TYPESCRIPT])
    folder = out / "clients/typescript/src/gen"
    folder.mkdir(parents=True)
    config = json.dumps(json.loads(SERVICE_CONFIG.read_text("utf-8")), indent=2)
    note = "// Generated from proto/service_config.json. DO NOT EDIT."
    (folder / "service_config.ts").write_text(f"{note}\nexport const serviceConfig = {config} as const;\n", "utf-8")
    options = ["--es_opt=target=ts", "--es_opt=import_extension=js"]
    protoc(
        [f"--plugin=protoc-gen-es={plugin}", f"--es_out={folder}", *options],
        [*protos(PUBLIC), "google/rpc/error_details.proto"],
    )


REFLECTION = "server/crucible_server/api/reflection.binpb"
TARGETS = {
    "python": Target(
        write_python,
        "clients/python/crucible",
        ("**/*_pb2.py", "**/*_pb2.pyi", "**/*_pb2_grpc.py*", "service_config.json"),
    ),
    "reflection": Target(write_reflection, "server/crucible_server/api", ("reflection.binpb",)),
    "rust": Target(write_rust, "vm/src/gen", ("*.rs",)),
    "go": Target(write_go, "clients/go", ("cruciblev1/*.pb.go", "service_config.json")),
    "typescript": Target(write_typescript, "clients/typescript/src/gen", ("**/*.ts",)),
}

if __name__ == "__main__":
    sys.exit(main())
