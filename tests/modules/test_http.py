"""`crucible::http` against a real web server: what is sent, what comes back, what is counted."""

from __future__ import annotations

import json
import threading
import time

import pytest

import crucible
from tests.modules.conftest import ConnectTo, fetch, refusal
from tests.modules.web import Answer, Rogue, Web

MIB = 1024 * 1024


def test_methods_headers_and_bodies_arrive(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    for method in ("GET", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"):
        got = fetch(client, web.url + "/a?b=c%20d#e", method, headers={"X-One": "1", "user-agent": "mine"})
        assert (got["status"], got["url"]) == (200, web.url + "/a?b=c%20d")
        echo = json.loads(got["body"])
        assert (echo["method"], echo["path"], echo["body"]) == (method, "/a?b=c%20d", "")
        assert (echo["headers"]["x-one"], echo["headers"]["user-agent"]) == ("1", "mine")
        assert echo["headers"]["host"] == f"127.0.0.1:{web.port}"
        assert echo["headers"]["accept-encoding"] == "identity"
    assert fetch(client, web.url, "HEAD")["body"] == ""
    sent = fetch(client, web.url, "PUT", body=b"\x41\x42", headers={"content-type": "a/b"})
    assert json.loads(sent["body"])["body"] == "AB"
    assert web.seen[-1].headers["content-type"] == "a/b"
    # Nothing of one request is sent with another.
    assert all("cookie" not in seen.headers for seen in web.seen)


def test_get_and_post_and_what_a_response_has(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    web.answers["/json"] = Answer(201, b'{"a":[1,1.0,18446744073709551615]}', {"X-A": "1", "Set-Cookie": "s=1"})
    source = """
    use crucible::http;
    pub async fn main(url) {
        let r = http::get(`${url}/json`).await?;
        let echoed = http::post(url, #{ n: 1, f: 1.0 }).await?.json()?;
        #{ status: r.status, json: r.json()?, text: r.text()?, header: r.header("x-A"), good: r.is_success(),
           body: echoed.body, sent: echoed.headers["content-type"] }
    }
    """
    result = client.run(source, level="production", args={"url": web.url})
    assert result.value == {
        "status": 201,
        "json": {"a": [1, 1.0, 18446744073709551615]},
        "text": '{"a":[1,1.0,18446744073709551615]}',
        "header": "1",
        "good": True,
        "body": '{"f":1.0,"n":1}',
        "sent": "application/json",
    }
    assert type(result.value["json"]["a"][0]) is int
    assert type(result.value["json"]["a"][1]) is float


def test_every_status_is_ok(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    for status in (204, 304, 400, 404, 500, 599):
        web.answers[f"/{status}"] = Answer(status, b"")
        assert fetch(client, f"{web.url}/{status}")["status"] == status
    # A redirect that leads nowhere is an answer like any other.
    web.answers["/302"] = Answer(302, b"")
    assert fetch(client, web.url + "/302")["status"] == 302


def test_bytes_and_requests_are_counted(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    web.answers["/big"] = Answer(body=b"x" * MIB)
    source = "pub async fn main(url, body) { crucible::http::post(url, body).await?.body.len() }"
    args = {"url": web.url + "/big", "body": "y" * 100_000}
    result = client.run(source, level="production", args=args)
    moved = result.message.resource_usage.network_io_bytes
    assert MIB + 100_000 < moved < MIB + 102_000
    assert result.usage.host_calls == 1
    assert client.run("pub fn main() { 1 }").message.resource_usage.network_io_bytes == 0
    # One that was refused cost nothing.
    refused = client.run(
        "pub async fn main() { crucible::http::get(`http://127.0.0.1:1/`).await.is_err() }", level="production"
    )
    assert (refused.value, refused.message.resource_usage.network_io_bytes) == (True, 0)


def test_requests_are_limited_in_number(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    source = """
    pub async fn main(url) {
        let got = [];
        for n in 0..4 { got.push(match crucible::http::get(url).await { Ok(r) => r.status, Err(e) => e }); }
        got
    }
    """
    limits = crucible.Limits(max_network_requests=2)
    got = client.run(source, level="production", args={"url": web.url}, limits=limits).value
    assert got[:2] == [200, 200]
    assert all("max_network_requests" in message for message in got[2:])
    assert len(web.seen) == 2
    web.answers["/loop"] = Answer(302, headers={"Location": "/loop"})
    assert "max_network_requests" in refusal(client, web.url + "/loop", limits=limits)


def test_several_are_under_way_at_once(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    barrier = threading.Barrier(4)
    for n in range(4):
        # None is answered before all have come.
        web.answers[f"/{n}"] = Answer(body=str(n).encode(), before=lambda: barrier.wait(20))
    source = """
    use crucible::http::get;
    pub async fn main(u) {
        let (a, b, c, d) = std::future::join((get(`${u}/0`), get(`${u}/1`), get(`${u}/2`), get(`${u}/3`))).await;
        [a?.text()?, b?.text()?, c?.text()?, d?.text()?]
    }
    """
    assert client.run(source, level="production", args={"u": web.url}).value == ["0", "1", "2", "3"]


def test_redirects_are_followed_and_their_method_changes(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    for status, method, then in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ]:
        web.answers["/from"] = Answer(status, headers={"Location": "to?x=1#y"})
        options = {"body": "b"} if method in ("POST", "PUT", "PATCH") else {}
        got = fetch(client, web.url + "/from", method, **options)
        assert (got["status"], got["url"]) == (200, web.url + "/to?x=1"), status
        last = web.seen[-1]
        assert last.method == then
        assert last.body == (b"b" if options and then == method else b"")
        assert ("content-type" in last.headers) == bool(last.body)
    assert fetch(client, web.url + "/from", redirects=0)["status"] == 308


def test_redirects_end(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    web.answers["/loop"] = Answer(302, headers={"Location": "/loop"})
    assert "at most 5 redirects" in refusal(client, web.url + "/loop")
    assert len(web.seen) == 6
    assert "at most 1 redirects" in refusal(client, web.url + "/loop", redirects=1)
    for n in range(5):
        web.answers[f"/{n}"] = Answer(302, headers={"Location": f"/{n + 1}"})
    assert fetch(client, web.url + "/0")["url"] == web.url + "/5"


def test_another_origin_learns_no_secret(web: Web, connect_to: ConnectTo) -> None:
    with Web() as other:
        client = connect_to(web.url, other.url)
        secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "X-Auth-Token": "t"}
        web.answers["/away"] = Answer(307, headers={"Location": other.url + "/there"})
        web.answers["/here"] = Answer(307, headers={"Location": "/there"})
        fetch(client, web.url + "/here", headers={**secrets, "X-Plain": "p"})
        assert {name.lower() for name in secrets} <= set(web.seen[-1].headers)
        fetch(client, web.url + "/away", headers={**secrets, "X-Plain": "p"})
        (seen,) = other.seen
        assert seen.headers["x-plain"] == "p"
        assert not {name.lower() for name in secrets} & set(seen.headers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "CONNECT"}, "methods GET"),
        ({"method": "TRACE"}, "methods GET"),
        ({"method": "GET\r\nX: y"}, "methods GET"),
        ({"headers": {"Host": "other"}}, "server's to send"),
        ({"headers": {"Connection": "keep-alive"}}, "server's to send"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "server's to send"),
        ({"headers": {"content-length": "1"}}, "server's to send"),
        ({"headers": {"Proxy-Authorization": "x"}}, "server's to send"),
        ({"headers": {"Upgrade": "h2c"}}, "server's to send"),
        ({"headers": {"a": "b\r\nHost: other"}}, "without line breaks"),
        ({"headers": {"a\r\nb": "c"}}, "name of a header"),
        ({"headers": {"a b": "c"}}, "name of a header"),
        ({"headers": {"": "c"}}, "name of a header"),
        ({"headers": {"a": "ü"}}, "printable ASCII"),
        ({"headers": {"a": "1", "A": "2"}}, "two spellings"),
        ({"headers": {f"h{n}": "" for n in range(65)}}, "at most 64 headers"),
        ({"headers": {"a": "x" * 20_000}}, "bytes of headers"),
        ({"body": "x"}, "no body with GET"),
        ({"timeout": 0}, "above zero"),
        ({"redirects": 6}, "from 0 to 5"),
        ({"redirects": -1}, "from 0 to 5"),
    ],
)
def test_what_is_not_sent(production: crucible.Client, shared_web: Web, options: dict[str, object], said: str) -> None:
    before = len(shared_web.seen)
    method = str(options.pop("method", "GET"))
    assert said in refusal(production, shared_web.url, method, **options)
    assert len(shared_web.seen) == before


def test_nothing_is_allowed_by_default(client: crucible.Client, web: Web) -> None:
    message = refusal(client, web.url)
    assert "allows no HTTP requests at all" in message
    assert f'"{web.url}" in engine.http.allow' in message
    assert not web.seen


def test_proxies_of_the_environment_are_not_used(web: Web, connect_to: ConnectTo) -> None:
    with Web() as proxy:
        variables = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy.url)
        client = connect_to(web.url, environment=variables)
        assert fetch(client, web.url)["status"] == 200
        assert (len(web.seen), proxy.seen) == (1, [])


def test_a_timeout_of_the_script_and_of_the_server(connect_to: ConnectTo) -> None:
    with Rogue(lambda connection: time.sleep(20)) as rogue:
        client = connect_to(rogue.url, timeout="1s")
        assert "no answer within 0.3 s" in refusal(client, rogue.url, timeout=0.3)
        assert "no answer within 1 s" in refusal(client, rogue.url, timeout=60)


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_it_is_cancelled_with_its_execution(connect_to: ConnectTo, how: str) -> None:
    limits: crucible.Limits = {"max_execution_time": 4.0} if how == "out of time" else {}
    asked = threading.Event()

    def wait_for_the_end(connection) -> None:  # type: ignore[no-untyped-def]
        asked.set()
        # Empty when the peer has closed.
        assert connection.recv(1) == b""

    with Rogue(wait_for_the_end) as rogue:
        client = connect_to(rogue.url)
        source = "pub async fn main(url) { crucible::http::get(url).await }"
        # The time of an execution is that of the compiler as well.
        script = client.compile(source, level="production")
        args = {"url": rogue.url}
        with client.stream(script, level="production", args=args, limits=limits, check=False) as stream:
            assert asked.wait(20)
            if how == "cancelled":
                assert client.cancel(stream.execution_id).state == "CANCELLED"
            assert rogue.gone.wait(10)


def test_requests_of_a_script_are_not_awaited_after_its_end(connect_to: ConnectTo) -> None:
    with Rogue(lambda connection: connection.recv(1)) as rogue:
        client = connect_to(rogue.url)
        source = "pub async fn main(url) { let lost = crucible::http::get(url); crucible::basic::sleep(0.5).await; 7 }"
        assert client.run(source, level="production", args={"url": rogue.url}).value == 7
        assert rogue.gone.wait(10)
