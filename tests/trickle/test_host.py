"""Where a channel is: two spellings of one host are one, and two hosts are two."""

import pytest
from yarl import URL

from composer.trickle.host import Host


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("[::1]:3389", "http://[::1]:3389/x"),
        ("[::1]", "http://[::1]:3389/x"),
        ("::1", "http://[0:0:0:0:0:0:0:1]:3389/x"),
        ("[2001:DB8::0:1]", "http://[2001:db8::1]/x"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]/x"),
        ("Orchestrator:8935", "https://Orchestrator:8935/x"),
        ("ORCH.example", "https://orch.example:8935/x"),
        ("orch.example", "https://ORCH.EXAMPLE/x"),
        ("orch.example", "https://orch.example.:8935/x"),
        ("orch.example.:8935", "https://orch.example:8935/x"),
        ("orch.example:443", "https://orch.example/x"),
        ("orch.example:80", "http://orch.example/x"),
        ("orch.example", "http://orch.example/x"),
        ("https://orch.example:8935", "https://orch.example:8935/x"),
        ("https://orch.example/", "https://orch.example:443/x"),
        ("HTTPS://orch.example", "https://orch.example/x"),
        ("bücher.example:80", "http://xn--bcher-kva.example/x"),
        ("xn--bcher-kva.example", "http://BÜCHER.example/x"),
        ("127.0.0.1:21999", "http://127.0.0.1:21999/x"),
        ("orch_1:8935", "https://orch_1:8935/x"),
    ],
)
@pytest.mark.fault("F-79")
def test_spellings_of_one_host(allowed: str, url: str) -> None:
    assert Host.parse(allowed).holds(Host.of(URL(url)))


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("[::1]:3389", "http://[::1]:3390/x"),
        ("[::1]", "http://[::2]/x"),
        ("orch.example:443", "http://orch.example/x"),
        ("orch.example:443", "https://orch.example:8935/x"),
        ("https://orch.example", "http://orch.example:443/x"),
        ("orch.example", "https://other.orch.example/x"),
        ("orch.example", "https://orch.example.evil/x"),
        ("127.0.0.1", "http://127.1/x"),
        ("::1", "http://127.0.0.1/x"),
    ],
)
def test_other_hosts_and_ports(allowed: str, url: str) -> None:
    assert not Host.parse(allowed).holds(Host.of(URL(url)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("orch/live", "should hold a host"),
        ("https://orch/live", "should hold a host"),
        ("orch?x", "should hold a host"),
        ("me@orch", "should hold a host"),
        ("ftp://orch", "should be an http or https address"),
        ("*.example", "is no host"),
        ("10.0.0.0:x", "is no host"),
        ("orch:99999", "is no host"),
        ("orch:0", "no port"),
        ("two words", "is no host"),
        ("[::1", "is no host"),
        ("[::g]", "is no host"),
        ("1:2:3", "is no host"),
        ("http://", "is no host"),
        ("", "is no host"),
        (":8935", "is no host"),
        ("a..b", "is no host"),
        ("-a", "is no host"),
    ],
)
def test_what_is_no_host_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Host.parse(text)
