"""Where requests may not lead: addresses in every spelling, names that resolve there, redirects, changing answers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest

import crucible
from crucible.v1 import value_pb2
from crucible_server.config import HttpConfig
from crucible_server.outbound.addresses import what_it_is
from crucible_server.outbound.allow import AllowList, parse_entry, read_url
from crucible_server.outbound.allowance import Allowance, RefusedError
from crucible_server.outbound.client import HttpClient
from tests.modules.conftest import ConnectTo, fetch, refusal
from tests.modules.web import Answer, Web

# Hosts that mean this machine, its network or its cloud to one resolver or another.
INSIDE = [
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "0.0.0.0",
    "0",
    "[::]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "224.0.0.1",
    "[ff02::1]",
    "255.255.255.255",
    "240.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "127.0.0.1.",
    "127.0.0.01",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "localhost%00.example.com",
    "example.com@127.0.0.1",
    "127.0.0.1#@example.com",
    "127.0.0.1\\@example.com",
    "%31%32%37.0.0.1",
]


@pytest.mark.parametrize("host", INSIDE)
def test_no_spelling_of_an_inside_host_is_requested(production: crucible.Client, shared_web: Web, host: str) -> None:
    before = len(shared_web.seen)
    # The allow-list names 127.0.0.1 with the port of the web server: what comes to the same must not have that port.
    port = "" if host in ("127.0.0.1", "127\u30020\u30020\u30021") else f":{shared_web.port}"
    assert refusal(production, f"http://{host}{port}/").startswith("http: ")
    assert len(shared_web.seen) == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///x",
        "//127.0.0.1",
        "127.0.0.1",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "unix:///run/x",
        "javascript:1",
        "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:8x/",
        "http://a b/",
        "http://a..b/",
        "http://" + "a" * 254 + "/",
        "http://x/" + "a" * 9000,
        "http://127.0.0.1/\r\nHost: x",
        "http://[::1/",
        "http://[127.0.0.1]/",
    ],
)
def test_what_is_no_url_is_refused(production: crucible.Client, shared_web: Web, url: str) -> None:
    before = len(shared_web.seen)
    assert refusal(production, url).startswith("http: ")
    assert len(shared_web.seen) == before


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://localhost:{port}/", "http://169.254.169.254/"])
def test_redirects_are_checked_again(production: crucible.Client, shared_web: Web, target: str) -> None:
    location = target.format(port=shared_web.port)
    shared_web.answers["/inside"] = Answer(302, headers={"Location": location})
    assert "does not allow" in refusal(production, shared_web.url + "/inside")
    for odd in ("http://2130706433/", "file:///etc/passwd", "//[::1]/", "http://user:pass@127.0.0.1/", "http://["):
        shared_web.answers["/odd"] = Answer(302, headers={"Location": odd})
        assert refusal(production, shared_web.url + "/odd").startswith("http: ")


def test_names_need_their_port_to_lead_inside(web: Web, connect_to: ConnectTo) -> None:
    # Without a port the entry means port 80, of a public host.
    client = connect_to("http://localhost", f"http://*.api.localhost:{web.port}")
    message = refusal(client, "http://localhost/")
    assert "a loopback address" in message
    assert "engine.http.allow" in message
    assert not web.seen
    named = connect_to(f"http://localhost:{web.port}")
    assert fetch(named, f"http://LocalHost:{web.port}/")["status"] == 200
    assert "does not allow" in refusal(named, web.url)
    assert "does not allow" in refusal(named, f"https://localhost:{web.port}/")


# -- the same parts with name servers that lie


class Names:
    """A resolver whose answers are the test's; notes each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def request(url: str, allow: list[str], names: Names) -> value_pb2.Value:
    async def run() -> value_pb2.Value:
        client = HttpClient(HttpConfig(allow=tuple(allow), timeout=10), names)
        arguments = value_pb2.ObjectValue()
        arguments.fields["method"].string_value = "GET"
        arguments.fields["url"].string_value = url
        return await client.request(arguments, Allowance(10))

    return asyncio.run(run())


def test_the_address_that_was_checked_is_the_one_that_is_dialled(web: Web) -> None:
    # Who asks twice gets another answer the second time.
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    url = f"http://api.test:{web.port}/x"
    response = request(url, [f"http://api.test:{web.port}"], names)
    assert response.object_value.fields["status"].int_value == 200
    assert names.asked == [("api.test", web.port)]
    (seen,) = web.seen
    assert seen.headers["host"] == f"api.test:{web.port}"


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["0.0.0.0"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["93.184.216.34", "127.0.0.1"],
        ["2606:2800:220:1::1", "fd00::1"],
        [],
        ["no address"],
    ],
)
def test_names_that_resolve_inside(answers: list[str]) -> None:
    for allow in ("http://api.corp.test", "http://*.corp.test", "http://*.corp.test:80"):
        names = Names(answers)
        with pytest.raises(RefusedError):
            request("http://api.corp.test/", [allow], names)
        assert len(names.asked) == 1


@pytest.mark.parametrize("answer", ["169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::a00:1", "224.0.0.1"])
def test_a_name_with_its_port_leads_to_services_only(answer: str) -> None:
    with pytest.raises(RefusedError, match="address"):
        request("http://api.test:8080/", ["http://api.test:8080"], Names([answer]))


def test_a_redirect_to_a_name_that_resolves_inside(web: Web) -> None:
    web.answers["/x"] = Answer(302, headers={"Location": f"http://evil.corp.test:{web.port}/secret"})
    allow = [f"http://api.test:{web.port}", f"http://*.corp.test:{web.port}"]
    with pytest.raises(RefusedError, match=r"evil\.corp\.test.*loopback"):
        request(f"http://api.test:{web.port}/x", allow, Names(["127.0.0.1"]))
    assert [seen.path for seen in web.seen] == ["/x"]


def test_a_name_that_does_not_resolve() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(RefusedError, match="cannot be resolved"):
        request("http://api.test/", ["http://api.test"], nobody)  # type: ignore[arg-type]


def test_every_kind_of_address_has_its_word() -> None:
    for text, kind in {
        "93.184.216.34": "public",
        "2606:4700:4700::1111": "public",
        "127.8.8.8": "loopback",
        "::1": "loopback",
        "10.0.0.1": "private",
        "172.31.255.255": "private",
        "172.32.0.1": "public",
        "100.64.0.1": "private",
        "fd12::1": "private",
        "169.254.0.1": "link-local",
        "fe80::1": "link-local",
        "fec0::1": "link-local",
        "0.0.0.0": "unspecified",
        "::": "unspecified",
        "0.1.2.3": "reserved",
        "224.0.1.1": "multicast",
        "ff0e::1": "multicast",
        "240.0.0.1": "reserved",
        "192.0.0.1": "reserved",
        "198.51.100.1": "reserved",
        "2001:db8::1": "reserved",
        "192.88.99.1": "6to4 relay",
        "::ffff:8.8.8.8": "IPv4 inside IPv6",
        "::8.8.8.8": "IPv4 inside IPv6",
        "64:ff9b::808:808": "IPv4 inside IPv6",
        "2002:808:808::1": "IPv4 inside IPv6",
        "2001::1": "IPv4 inside IPv6",
    }.items():
        assert what_it_is(ipaddress.ip_address(text)) == kind, text


def test_entries_cover_scheme_host_and_port() -> None:
    allow = AllowList(
        ["https://api.example.com", "http://10.0.0.5:8080", "https://*.example.org", "https://MÜNCHEN.de/"]
    )
    for url, is_allowed in {
        "https://api.example.com/x": True,
        "https://API.example.com:443/": True,
        "http://api.example.com/": False,
        "https://api.example.com:8443/": False,
        "https://api.example.com.evil.com/": False,
        "https://evilapi.example.com/": False,
        "https://x.api.example.com/": False,
        "http://10.0.0.5:8080/": True,
        "http://10.0.0.5/": False,
        "https://a.example.org/": True,
        "https://a.b.example.org/": True,
        "https://example.org/": False,
        "https://evilexample.org/": False,
        "https://xn--mnchen-3ya.de/": True,
        "https://münchen.de/": True,
    }.items():
        _, target = read_url(url)
        if is_allowed:
            assert allow.require(target)
        else:
            with pytest.raises(RefusedError, match="does not allow"):
                allow.require(target)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://*",
        "https://*.com",
        "https://a.*.com",
        "https://*example.com",
        "https://user@example.com",
        "https://example.com/path",
        "https://example.com?x=1",
        "https://example.com:0",
        "https://example.com:99999",
        "https://example.com:",
        "https://example..com",
        "https://exa mple.com",
        "http://2130706433",
        "http://10.0.0.5",
        "https://[::1]",
        "http://0x7f.1:80",
        "http://127.1",
        "http://[::1",
        "http://[fe80::1%eth0]:80",
        "http://*.10.0.0.1",
    ],
)
def test_an_entry_that_is_no_host(entry: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_entry(entry)
    with pytest.raises(ValueError, match=r"allow[\s\S]*expected"):
        HttpConfig(allow=(entry,))
