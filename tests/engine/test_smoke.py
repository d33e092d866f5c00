"""The thinnest path: a source in, a value and output back."""

from __future__ import annotations

import crucible


def test_runs_a_script(client: crucible.Client) -> None:
    result = client.run('pub fn main(name) { println!("hello {name}"); 41 + 1 }', args={"name": "you"})
    assert (result.value, result.stdout) == (42, "hello you\n")
