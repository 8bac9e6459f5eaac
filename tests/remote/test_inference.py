"""A client of models that another program serves, and a server that is not always as it should be.

Time: calls that should go well have ample time, for machines that are busy. Where a deadline is
tested, the server would take many times as long as the bound.
"""

import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from numpy.typing import NDArray

from composer.errors import ComposerError
from composer.remote import inference, link
from composer.remote.inference import (
    Metadata,
    RemoteFailed,
    RemoteInvalid,
    RemoteValue,
    ServedModel,
)
from tests.remote import played
from tests.remote.played import Act, Played, Script, says

AMPLE = 30.0
X = {"x": np.array([[1, 2.5], [np.nan, -4]], np.float32)}
LISTED = {"x": np.array([[1, 2.5], [0.1, -4]], np.float32)}

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES += ["float16", "float32", "float64"]


@contextlib.contextmanager
def model(
    url: str, name: str = "m", version: str = "", *, timeout: float = AMPLE, **more: Any
) -> Iterator[ServedModel]:
    with contextlib.closing(ServedModel(url, name, version, timeout=timeout, **more)) as made:
        yield made


@contextlib.contextmanager
def at(*script: Script, **more: Any) -> Iterator[tuple[Played, ServedModel]]:
    server = Played(*script)
    with server.serving() as url, model(url, **more) as remote:
        yield server, remote


def failure(remote: ServedModel, inputs: dict[str, NDArray[Any]] = X, *outputs: str) -> str:
    """What a failing inference says about the server, without the part that names it."""
    with pytest.raises(RemoteFailed) as caught:
        remote.infer(inputs, outputs)
    named, _, why = str(caught.value).partition(": ")
    assert named.startswith("model 'm' at localhost:")
    return why


def same(got: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("script", [played.echo, played.echo_lists, played.bytes_to_lists])
def test_every_dtype_goes_there_and_back(script: Script) -> None:
    sent: dict[str, NDArray[Any]] = {
        dtype: np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype) for dtype in DTYPES
    }
    sent["text"] = np.array([b"a", b"", b"\xc3\xa9\0"], dtype=object)
    with at(script) as (_, remote):
        same(remote.infer(sent), sent)


def test_closing_waits_for_nobody_and_leaves_a_call_that_runs() -> None:
    def close_first(request: played.Request) -> Act:
        remote.close()
        return played.echo(request)

    with at(close_first) as (server, remote):
        same(remote.infer(X), X)
        server.hung_up.get(timeout=AMPLE)


def test_a_request_says_what_the_protocol_wants() -> None:
    server = Played(played.echo)
    with server.serving() as url, model(f"{url}/a/b/", "n/a m", "2", token="secret") as remote:
        same(remote.infer(X, ["x"]), X)
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/a/b/v2/models/n%2Fa%20m/versions/2/infer")
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert request.headers["Host"] == url.removeprefix("http://")
    assert request.head()["outputs"] == [{"name": "x", "parameters": {"binary_data": True}}]
    assert request.body.endswith(struct.pack("<4f", 1, 2.5, float("nan"), -4))


def test_only_the_wanted_outputs_are_returned_and_all_of_them_must_be_there() -> None:
    both = X | {"y": np.zeros(1, np.int8)}
    with at(played.echo) as (server, remote):
        same(remote.infer(both, ["y"]), {"y": both["y"]})
        assert failure(remote, both, "y", "z") == "it did not return 'z', only 'x', 'y'"
        assert "outputs" not in (remote.infer(X) and server.requests[-1].head())


def test_a_connection_is_used_again() -> None:
    with at(played.echo) as (server, remote):
        for _ in range(3):
            same(remote.infer(X), X)
    assert server.connections == [0, 0, 0]


def test_threads_do_not_share_a_connection_at_the_same_time() -> None:
    together = threading.Barrier(4)

    def meet(request: played.Request) -> Act:
        together.wait(AMPLE)  # holds until every thread has asked
        return played.echo(request)

    def ask(number: int) -> None:
        for _ in range(2):
            sent = {"x": np.full(1000, number, np.int64)}
            same(remote.infer(sent), sent)

    with at(meet) as (server, remote):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(server.connections) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_closing_hangs_up_and_nothing_can_be_asked_after_it() -> None:
    with at(played.echo) as (server, remote):
        remote.infer(X)
        remote.close()
        server.hung_up.get(timeout=AMPLE)  # queue.Empty if the client kept its connection
        assert failure(remote) == "its client is closed"
        remote.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 415, 422, 500, 501])
def test_a_server_that_only_reads_json_is_asked_in_json_from_then_on(status: int) -> None:
    def refuse(request: played.Request) -> Act:
        return says(status) if request.is_binary() else played.echo_lists(request)

    with at(refuse, retries=0) as (server, remote):
        for _ in range(3):
            same(remote.infer(LISTED), LISTED)
    assert [each.is_binary() for each in server.requests] == [True, False, False, False]
    assert server.requests[1].headers["Content-Type"] == "application/json"


def test_a_request_that_is_wrong_in_both_forms_says_both_reasons() -> None:
    with at(says(422), says(400, {"error": "2 axes expected"})) as (_, remote):
        why = failure(remote, LISTED)
        assert why == "400 Said: 2 axes expected (and to tensors as bytes: 422 Said)"
    with at(says(400, {"error": "2 axes expected"})) as (_, remote):
        assert failure(remote, LISTED) == "400 Said: 2 axes expected"


def test_what_json_cannot_say_is_not_asked_in_json() -> None:
    with at(says(400, {"error": "no NaN, please"})) as (server, remote):
        assert failure(remote, X) == "400 Said: no NaN, please"
    assert len(server.requests) == 1


def test_a_server_that_knew_bytes_is_not_asked_in_json() -> None:
    with at(played.echo, says(400, {"error": "too dark"})) as (server, remote):
        remote.infer(X)
        assert failure(remote, LISTED) == "400 Said: too dark"
    assert [each.is_binary() for each in server.requests] == [True, True]


def test_an_array_without_a_datatype_is_not_sent() -> None:
    with at(played.echo) as (server, remote):
        assert failure(remote, {"x": np.zeros(1, np.complex64)}).startswith(
            "input 'x' is complex64"
        )
    assert server.requests == []


X_OUT = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(
            played.binary([X_OUT], b"1234567"),
            "output 'x' says 8 bytes, 7 are there",
            id="too few bytes",
        ),
        pytest.param(
            played.binary([X_OUT | {"shape": [3]}], b"12345678"),
            "output 'x' should have 12 bytes as float32[3], got 8",
            id="bytes of another shape",
        ),
        pytest.param(
            played.binary([X_OUT | {"datatype": "FP8\x1b"}], b"12345678"),
            "'x' has the datatype 'FP8\\x1b', not one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8,"
            " INT16, INT32, INT64, FP16, FP32, FP64, BYTES",
            id="unknown datatype",
        ),
        pytest.param(
            played.binary([X_OUT, X_OUT], bytes(16)),
            "two outputs are called 'x'",
            id="one name twice",
        ),
        pytest.param(
            says(200, b"12", Inference_Header_Content_Length="3"),
            "Inference-Header-Content-Length is '3' of 2 bytes",
            id="more JSON than there is",
        ),
        pytest.param(says(200, b"<html>"), "the answer is not JSON", id="a page"),
        pytest.param(says(204), "204 Said", id="nothing"),
        pytest.param(
            says(404, {"error": "no model m\r\n" + "!" * 500}),
            "404 Said: no model m\\r\\n" + "!" * 285 + "...",
            id="not found, with many words",
        ),
        pytest.param(says(401, b"<html>"), "401 Said", id="not allowed"),
        pytest.param(
            says(404, b'{"error": "' + b"!" * (1 << 20) + b'"}'),
            "404 Said",
            id="an error that is not read to its end",
        ),
        pytest.param(
            says(307, Location="http://me:pw@other:1/v2?key=1"),
            "it redirects (307) to http://other:1/v2, and redirects are not followed",
            id="a redirect",
        ),
        pytest.param(
            Act(b"SSH-2.0-OpenSSH\r\n", "hang up"),
            "the answer is not HTTP: SSH-2.0-OpenSSH\\r\\n",
            id="another protocol",
        ),
        pytest.param(
            Act(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200, "hang up"),
            "the answer is not HTTP: got more than 100 headers",
            id="too many headers",
        ),
        pytest.param(
            Act(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", "stall"),
            "the answer is longer than 256 MiB",
            id="too long, says its header",
        ),
    ],
)
def test_an_answer_that_cannot_be_used(answer: Act, why: str) -> None:
    with at(answer) as (server, remote):
        assert failure(remote) == why
    assert len(server.requests) == 1


def test_a_body_without_a_length_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BODY_BYTES", 3 << 20)
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with at(Act(start + chunk * 4, "stall")) as (_, remote):
        assert failure(remote).startswith("the answer is longer than")


@pytest.mark.parametrize(
    "headers",
    [b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"],
    ids=["chunked", "bare"],
)
def test_a_body_may_come_without_a_length(headers: bytes) -> None:
    body = json.dumps({"outputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [5]}]})
    sent = body.encode()
    if b"chunked" in headers:
        sent = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (sent[:5], len(sent) - 5, sent[5:])
    start = b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n"
    with at(Act(start + sent, "hang up")) as (_, remote):
        same(remote.infer(X), {"x": np.array([5], np.int8)})


def test_an_answer_may_come_before_the_request_was_read() -> None:
    server = Played(Act(says(413, {"error": "too large"}).data, "hang up"), reading="not")
    with server.serving() as url, model(url, retries=0) as remote:
        assert failure(remote, {"x": np.zeros(16 << 20, np.uint8)}) == "413 Said: too large"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_once_more(status: int) -> None:
    with at(says(status), played.echo) as (server, remote):
        same(remote.infer(X), X)
    assert len(server.requests) == 2


def test_tries_are_counted() -> None:
    with at(says(503, {"error": "starting"}), retries=2) as (server, remote):
        assert failure(remote) == "503 Said: starting"
        assert len(server.requests) == 3
    with at(says(503), retries=0) as (server, remote):
        assert failure(remote) == "503 Said"
        assert len(server.requests) == 1


def test_all_tries_share_one_deadline() -> None:
    seconds = 0.0

    def busy(request: played.Request) -> Act:
        nonlocal seconds
        seconds += 40
        return says(503)

    with at(busy, retries=10**9, timeout=100, now=lambda: seconds) as (server, remote):
        # the clock is past the deadline before or after the third answer is read
        assert failure(remote) in ("503 Said", "no answer within 100 s")
    assert len(server.requests) == 3


def test_no_pause_goes_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "PAUSE_SECONDS", 3600.0)
    with at(says(503)) as (server, remote):
        assert failure(remote) == "503 Said"
    assert len(server.requests) == 1


CUT = Act(says(200, bytes(100)).data[:-50], "hang up")


def test_an_answer_that_breaks_off_is_asked_for_once_more() -> None:
    with at(CUT, played.echo) as (server, remote):
        same(remote.infer(X), X)
    assert server.connections == [0, 1]
    with at(CUT) as (server, remote):
        assert failure(remote) == "the connection ended inside the answer"
    assert server.connections == [0, 1]


def test_a_server_that_hangs_up_without_a_word_is_asked_once_more() -> None:
    with at(Act(b"", "hang up")) as (server, remote):
        assert failure(remote) == "Remote end closed connection without response"
    assert server.connections == [0, 1]


def test_a_connection_that_was_closed_between_two_calls_costs_no_try() -> None:
    def then_hang_up(request: played.Request) -> Act:
        return Act(played.echo(request).data, "hang up")

    with at(then_hang_up, retries=0) as (server, remote):
        for _ in range(3):
            same(remote.infer(X), X)
            server.hung_up.get(timeout=AMPLE)
    assert server.connections == [0, 1, 2]


def test_a_connection_that_is_closed_under_the_next_request_costs_no_try() -> None:
    with at(played.echo, Act(b"", "hang up"), played.echo, retries=0) as (server, remote):
        same(remote.infer(X), X)
        same(remote.infer(X), X)
    assert server.connections == [0, 0, 1]


def test_a_connection_that_shall_end_is_not_used_again() -> None:
    body = {"outputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [5]}]}
    with at(says(200, body, Connection="close"), retries=0) as (server, remote):
        for _ in range(2):
            same(remote.infer(X), {"x": np.array([5], np.int8)})
    assert server.connections == [0, 1]


def test_words_that_nobody_asked_for_end_a_connection() -> None:
    def goodbye(request: played.Request) -> Act:
        return Act(played.echo(request).data + says(408, bytes(64 << 10)).data, "hang up")

    with at(goodbye, retries=0) as (server, remote):
        for _ in range(3):
            same(remote.infer(X), X)
            server.hung_up.get(timeout=AMPLE)
    assert server.connections == [0, 1, 2]


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(host: str, port: int, **more: object) -> list[Any]:
        there = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        return [(*there[:4], ("127.0.0.1", nobody)), there]

    nobody = unused_port()
    with at(played.echo, retries=0) as (_, remote):
        monkeypatch.setattr(socket, "getaddrinfo", two)
        same(remote.infer(X), X)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def test_a_server_that_is_not_there() -> None:
    with model(f"http://localhost:{unused_port()}") as remote:
        assert failure(remote) == "Connection refused"
        for ask in (remote.ready, remote.metadata):
            with pytest.raises(ComposerError, match=r"^model 'm' at localhost:.*refused$"):
                ask()


def test_a_name_that_nobody_has() -> None:
    with model("http://composer.invalid:1") as remote, pytest.raises(RemoteFailed) as caught:
        remote.ready()
    assert str(caught.value).startswith("model 'm' at composer.invalid:1: ")


def test_a_name_that_is_none() -> None:
    with model(f"http://{'a' * 64}.invalid:1") as remote, pytest.raises(RemoteFailed) as caught:
        remote.ready()
    assert str(caught.value).endswith(": the host is not a name that can be looked up")


def in_time(remote: ServedModel, inputs: dict[str, NDArray[Any]] = X) -> None:
    """The call fails at its deadline of half a second; each server here would take minutes."""
    began = time.monotonic()
    assert failure(remote, inputs) == "no answer within 0.5 s"
    assert 0.4 < time.monotonic() - began < 10


SLOW = says(200, bytes(10_000)).data


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(Act(b"", "stall"), id="says nothing"),
        pytest.param(Act(SLOW, pace=0.05), id="drips from the first byte on"),
        pytest.param(Act(SLOW[:-5000], "stall"), id="stops inside the body"),
        pytest.param(Act(b"HTTP/1.1 100 Continue\r\n\r\n" * 9999, pace=0.01), id="never begins"),
    ],
)
def test_a_call_ends_in_time_however_slow_the_server(act: Act) -> None:
    with at(act, timeout=0.5, retries=5) as (server, remote):
        in_time(remote)
    assert len(server.requests) <= 1  # 0 on a machine that is busy with something else


def test_a_drip_inside_the_body_ends_in_time() -> None:
    def drip(request: played.Request) -> Act:
        return Act(b"5\r\n12345\r\n" * 1000, pace=0.02)

    start = Act(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "go on")
    with at(start, drip, timeout=0.5) as (_, remote):
        in_time(remote)


@pytest.mark.parametrize("reading", ["not", "in sips"])
def test_a_server_that_does_not_read_is_left_in_time(reading: str) -> None:
    server = Played(Act(b"", "stall"), reading=reading)
    with server.serving() as url, model(url, timeout=0.5) as remote:
        in_time(remote, {"x": np.zeros(128 << 20, np.uint8)})


def test_a_deadline_follows_the_clock_that_was_given() -> None:
    times = iter([0.0])
    with model("http://127.0.0.1:1", timeout=1.0, now=lambda: next(times, 9.0)) as remote:
        with pytest.raises(RemoteFailed, match=r"no answer within 1 s$"):
            remote.ready()


def test_a_resolver_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    asked = []

    def hang(host: str, *args: object, **more: object) -> list[Any]:
        asked.append(host)
        over.wait()
        raise OSError("over")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with model("http://localhost:1", timeout=0.5) as remote:
            for _ in range(2):
                in_time(remote)
        assert asked == ["localhost"]  # one thread waits, however often somebody asks
    finally:
        over.set()


def test_ready() -> None:
    with at(says(200), says(200, {"name": "m", "ready": True})) as (server, remote):
        assert remote.ready()
        assert remote.ready()
    assert server.requests[0].path == "/v2/models/m/ready"
    no = [says(200, {"ready": False}), says(400), says(404), says(503)]
    with at(*no) as (server, remote):
        assert [remote.ready() for _ in no] == [False] * 4
    assert len(server.requests) == 4
    with at(says(401)) as (_, remote), pytest.raises(RemoteFailed, match=r"401 Said$"):
        remote.ready()


def test_metadata() -> None:
    said = {
        "name": "m",
        "platform": "onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "BYTES", "shape": [1]}],
    }
    with at(says(200, said), says(200, b"{}"), says(200, b"[]")) as (server, remote):
        assert remote.metadata() == Metadata(
            (RemoteValue("x", "float32", (-1, 3)),), (RemoteValue("y", "object", (1,)),), "onnx"
        )
        assert remote.metadata() == Metadata((), (), "")
        with pytest.raises(RemoteFailed, match=r"the answer is JSON, but no object$"):
            remote.metadata()
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v2/models/m")
    assert "Authorization" not in server.requests[0].headers


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    with at(played.echo) as (_, remote):
        same(remote.infer(X), X)


def test_tls_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = Played(played.echo)
    with server.serving(context) as url:
        with model(url) as remote:
            why = "its certificate is not trusted: unable to get local issuer certificate"
            assert failure(remote) == why
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with model(url) as remote:
            for _ in range(2):
                same(remote.infer(X), X)
        with model(url.replace("localhost", "127.0.0.1")) as remote:
            with pytest.raises(RemoteFailed, match="IP address mismatch"):
                remote.infer(X)
    first, second = server.connections
    assert first == second


def test_a_tls_connection_that_was_closed_costs_no_try(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = Played(played.echo, Act(b"", "hang up"), played.echo)
    with server.serving(context) as url, model(url, retries=0) as remote:
        same(remote.infer(X), X)
        same(remote.infer(X), X)
    assert server.connections[0] == server.connections[1] != server.connections[2]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("localhost:8000", "the address should start with http://, https:// or grpc://"),
        ("ftp://localhost", "the address should start with http://, https:// or grpc://"),
        ("http://", "the address has no proper host"),
        ("http://a b", "the address has characters that an address cannot have"),
        ("http://h\n", "the address has characters that an address cannot have"),
        ("http://b\u00fccher", "the address has characters that an address cannot have"),
        ("http://a_b;c", "the address has no proper host"),
        ("http://[::1%25lo]:1", "the address has no proper host"),
        ("http://[::g]:1", "the address has no proper host and port"),
        ("http://h:99999", "the address has no proper host and port"),
        ("http://h:0", "the address needs a port above 0, like grpc://localhost:8001"),
        ("http://me:pw@h", "the address holds a user or a password; give a token instead"),
        ("http://h?key=pw", "the address goes on behind its path; leave out ? and #"),
        ("http://h/#", "the address goes on behind its path; leave out ? and #"),
        ("http://h/a//b", "the address has a path that cannot be used"),
        ("grpc://h:1/a", "the address has a path that cannot be used"),
        ("grpc://h", "the address needs a port above 0, like grpc://localhost:8001"),
    ],
)
def test_an_address_that_cannot_be_used(url: str, text: str) -> None:
    with pytest.raises(RemoteInvalid) as caught:
        ServedModel(url, "m")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"model": ""}, "'' is not the name of a model"),
        ({"model": ".."}, "'..' is not the name of a model"),
        ({"model": "a\n"}, "'a\\n' is not the name of a model"),
        ({"version": "a" * 257}, f"'{'a' * 257}' is not the name of a version"),
        ({"token": "a b"}, "the token has characters that a header cannot carry"),
        ({"token": "a\r\nb"}, "the token has characters that a header cannot carry"),
        ({"timeout": 0}, "a timeout is a number of seconds above 0, got 0"),
        ({"timeout": float("nan")}, "a timeout is a number of seconds above 0, got nan"),
        ({"retries": -1}, "retries are a number from 0 on, got -1"),
    ],
)
def test_other_things_that_cannot_be_used(more: dict[str, Any], text: str) -> None:
    with pytest.raises(RemoteInvalid) as caught:
        ServedModel(**({"url": "http://h", "model": "m"} | more))
    assert str(caught.value) == text


def test_grpc_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient", None)  # as if it were not installed
    with pytest.raises(RemoteInvalid) as caught:
        ServedModel("grpc://localhost:8001", "m")
    assert str(caught.value) == "grpc:// needs tritonclient: pip install 'tritonclient[grpc]'"


def test_ipv6_is_shown_in_brackets() -> None:
    with model("http://[::1]:1", timeout=AMPLE, retries=0) as remote:
        with pytest.raises(RemoteFailed, match=r"^model 'm' at \[::1\]:1: "):
            remote.ready()
