"""`crucible compile`, and scripts that are folders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Crucible, Script

Project = Callable[[dict[str, str]], Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Writes the files of a script into a folder."""

    def write(files: dict[str, str]) -> Path:
        folder = tmp_path / "project"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return folder

    return write


FILES = {
    "main.rn": "mod shapes; pub fn main(side) { shapes::square::area(side) }",
    "shapes/mod.rn": "pub mod square;",
    "shapes/square.rn": "pub fn area(side) { side * side }",
}


class TestCompile:
    """Compiles and stores."""

    def test_prints_id_and_functions(self, crucible: Crucible, script: Script, server: str) -> None:
        source = "pub fn main(a, b) { helper(a) + b } fn helper(x) { x }"
        done = crucible("compile", script(source), "--name", "sums/first", "--server", server)
        assert (done.returncode, done.stderr) == (0, "")
        facts = dict(line.split(None, 1) for line in done.stdout.splitlines())
        assert len(facts["script"]) == 64
        assert (facts["name"], facts["functions"]) == ("sums/first", "main(a, b)")

    def test_json(self, crucible: Crucible, script: Script, server: str) -> None:
        file = script("pub fn compile_json() { 1 }")
        first, second = (json.loads(crucible("compile", file, "--server", server, "--json").stdout) for _ in range(2))
        assert first["success"]
        assert first["script_id"] == second["script_id"]
        assert (first["cached"], second["cached"]) == (False, True)
        assert [function["name"] for function in first["functions"]] == ["compile_json"]
        forced = json.loads(crucible("compile", file, "--force", "--server", server, "--json").stdout)
        assert not forced["cached"]

    def test_server_from_the_environment(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("compile", script("pub fn main() { 1 }"), settings={"CRUCIBLE_SERVER": server})
        assert done.returncode == 0, done.stderr

    def test_the_option_wins_over_the_environment(
        self, crucible: Crucible, script: Script, server: str, unused_address: str
    ) -> None:
        file = script("pub fn main() { 1 }")
        done = crucible("compile", file, "--server", server, settings={"CRUCIBLE_SERVER": unused_address})
        assert done.returncode == 0, done.stderr

    def test_does_not_compile(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("compile", script("pub fn main() {\n    missing(1)\n}"), "--server", server)
        assert (done.returncode, done.stdout) == (1, "")
        assert "script.rn:2:5" in done.stderr

    def test_no_server(self, crucible: Crucible, script: Script, unused_address: str) -> None:
        done = crucible("compile", script("pub fn main() { 1 }"), "--server", unused_address)
        assert done.returncode == 4
        assert "crucible serve" in done.stderr

    @pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "http://127.0.0.1:50051", "", "127.0.0.1:65536"])
    def test_address_without_a_port(self, crucible: Crucible, script: Script, address: str) -> None:
        done = crucible("compile", script("pub fn main() { 1 }"), "--server", address)
        assert done.returncode == 2
        assert "HOST:PORT" in done.stderr

    def test_bad_name(self, crucible: Crucible, script: Script, server: str) -> None:
        done = crucible("compile", script("pub fn main() { 1 }"), "--name", "no spaces", "--server", server)
        assert done.returncode == 3
        assert "name" in done.stderr


class TestFolders:
    """A folder with a main.rn is a script."""

    @pytest.mark.parametrize("command", ["run", "check", "compile"])
    def test_every_command_takes_one(self, crucible: Crucible, project: Project, server: str, command: str) -> None:
        words = ["--arg", "side=6"] if command == "run" else []
        done = crucible(command, project(FILES), *words, "--server", server)
        assert done.returncode == 0, done.stderr
        assert ("36" if command == "run" else "main(side)") in done.stdout

    def test_the_same_script_as_its_main_file(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project(FILES)
        ids = {
            json.loads(crucible("compile", path, "--server", server, "--json").stdout)["script_id"]
            for path in (folder, folder / "main.rn", f"{folder}/")
        }
        assert len(ids) == 1

    def test_diagnostics_name_the_file(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project(FILES | {"shapes/square.rn": "pub fn area(side) {\n    side * width\n}"})
        done = crucible("check", folder, "--server", server)
        assert done.returncode == 1
        assert "shapes/square.rn:2:12" in done.stdout

    def test_what_no_mod_can_name_stays_here(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project(FILES)
        before = json.loads(crucible("compile", folder, "--server", server, "--json").stdout)["script_id"]
        project({"notes.txt": "x", ".git/hooks.rn": "no rune", "my-draft.rn": "no rune", "target-x/y.rn": "no rune"})
        after = json.loads(crucible("compile", folder, "--server", server, "--json").stdout)["script_id"]
        assert before == after

    def test_links_may_stay_inside(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project({"main.rn": "mod twin; pub fn main() { twin::two() }", "origin.rn": "pub fn two() { 2 }"})
        (folder / "twin.rn").symlink_to("origin.rn")
        done = crucible("run", folder, "--server", server)
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr

    @pytest.mark.parametrize("name", ["leak.rn", "main.rn"])
    def test_links_may_not_lead_outside(
        self, crucible: Crucible, project: Project, tmp_path: Path, server: str, name: str
    ) -> None:
        outside = tmp_path / "secret.rn"
        outside.write_text("pub fn main() { 1 }", "utf-8")
        folder = project({"main.rn": "pub fn main() { 1 }"})
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside)
        done = crucible("run", folder, "--server", server)
        assert done.returncode == 2
        assert "outside of the folder" in done.stderr

    def test_pipes_are_not_read(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project({"main.rn": "pub fn main() { 1 }"})
        os.mkfifo(folder / "pipe.rn")
        done = crucible("run", folder, "--server", server)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr

    def test_without_main(self, crucible: Crucible, project: Project) -> None:
        done = crucible("run", project({"other.rn": "pub fn main() { 1 }"}))
        assert done.returncode == 2
        assert "without a main.rn" in done.stderr

    def test_too_many_files(self, crucible: Crucible, project: Project) -> None:
        folder = project({"main.rn": "pub fn main() { 1 }"} | {f"part{n}.rn": "" for n in range(1001)})
        done = crucible("run", folder)
        assert done.returncode == 2
        assert "more than 1000 included files" in done.stderr

    def test_as_many_files_as_may_be(self, crucible: Crucible, project: Project, server: str) -> None:
        folder = project({"main.rn": "pub fn main() { 1 }"} | {f"part{n}.rn": "" for n in range(1000)})
        done = crucible("run", folder, "--server", server)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr

    def test_too_large(self, crucible: Crucible, project: Project) -> None:
        done = crucible("run", project({"main.rn": "pub fn main() { 1 }", "big.rn": "// " + "x" * 1024 * 1024}))
        assert done.returncode == 2
        assert "more than 1.0 MiB" in done.stderr
