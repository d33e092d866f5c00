"""What hostile code asks the server for in its own words: host calls that no module made."""

from __future__ import annotations

from crucible.requests import Level
from tests.escape.attempts import Attempt, nothing
from tests.modules.web import Answer, Web

CALL = "forge-host-call"
HTTP = "crucible.http.request method=GET url="
GUARD = nothing("the server refused: http: ", "check of requests")

# To this machine, and to what a cloud tells the machines in it; without a port of its own, that of a service inside.
HOSTS = [
    "127.0.0.1",
    "127.1",
    "localhost",
    "LOCALHOST.",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "127.0.0.01",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "192.168.0.1",
]

REDIRECTS = {
    "/to-inside": "{inside}/",
    "/to-the-server": "http://127.0.0.1:{port}/",
    "/to-metadata": "http://169.254.169.254/latest/meta-data/",
    "/to-decimal": "http://2130706433:{inside_port}/",
    "/to-octal": "http://017700000001:{inside_port}/",
    "/to-the-other-loopback": "http://[::1]:{inside_port}/",
    "/to-a-name": "http://localhost:{inside_port}/",
    "/to-a-file": "file:///etc/passwd",
    "/to-itself": "/to-itself",
}
"""Where the one server that may be asked sends whoever asks it."""


def redirecting(web: Web, **places: str) -> None:
    """Has the server answer so."""
    for path, target in REDIRECTS.items():
        web.answers[path] = Answer(302, headers={"Location": target.format(**places)})


def _ask(tries: str, argument: str, level: Level = "production", name: str = CALL) -> Attempt:
    return Attempt(name, tries, GUARD, argument, level=level)


REQUESTS = [
    Attempt(
        CALL,
        "make a request at a level that has none",
        nothing("does not exist at this level", "check of host calls"),
        HTTP + "{inside}/",
    ),
    Attempt(
        CALL, "make a call of no name", nothing("does not exist", "check of host calls"), " x=1", level="production"
    ),
    *(_ask("reach the inside by an address", f"{HTTP}http://{host}:{{inside_port}}/") for host in HOSTS),
    *(_ask("have a redirect lead inside", f"{HTTP}{{web}}{path}") for path in REDIRECTS),
    _ask("ask the server itself", HTTP + "http://127.0.0.1:{port}/"),
    _ask("have a listed name lead inside", HTTP + "http://localhost/"),
    _ask("read a file by its URL", HTTP + "file:///etc/passwd"),
    _ask("hide the host behind a user", HTTP + "http://127.0.0.1:{web_port}@127.0.0.1:{inside_port}/"),
    _ask("break the line of the URL", HTTP + "{web}/%0D%0AHost:%20inside"),
    _ask("name another host than it asks", HTTP + "{web}/ headers.host=inside"),
    _ask("break the line of a header", HTTP + "{web}/ headers.x=a%0D%0Ahost:%20inside"),
    _ask("send a second request in the first", HTTP + "{web}/ headers.content-length=4"),
    _ask("make requests without end", "101 " + HTTP + "{web}/", name="forge-host-calls"),
]
"""Each is answered by the server, with a refusal."""
