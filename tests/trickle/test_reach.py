"""Where channels may be, as far as their addresses tell."""

import pytest

from composer.trickle.host import Host
from composer.trickle.reach import Reach, Unwritable, is_public

ANYWHERE = Reach()


@pytest.mark.parametrize(
    "address",
    [
        "http://" + "a" * 64 + ".test/x",
        "http://" + ".".join(["a" * 60] * 5) + "/x",
        "http://a..b/x",
        "http://.a/x",
        "http://exa mple/x",
        "http://a%2fb/x",
        "http://*.example/x",
        "http://h\x00/x",
        "http://h/x\ny",
        "http://h/\x7f",
        "http://[::1",
        "http://h:99999/x",
        "http://h:-1/x",
        "http://h:0/x",
    ],
)
def test_addresses_that_no_request_can_be_made_to(address: str) -> None:
    with pytest.raises(Unwritable):
        ANYWHERE.wrong_with(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://" + "a" * 63 + ".test/x",
        "http://bücher.example/x",
        "http://orch_1:8935/ai/trickle/x",
        "http://h.example./x y",
        "https://[fe80::1%25eth0]:9/x?token=1",
        "http://127.0.0.1/x",
    ],
)
def test_addresses_that_are_fine(address: str) -> None:
    assert ANYWHERE.wrong_with(address) == ""


def test_what_an_operator_has_named_is_known_by_its_name_at_any_port() -> None:
    reach = Reach.of(["media.example:443"], ["https://Orch.example:8935/x", "http://10.0.0.5"])
    known = [Host(name) for name in ("media.example", "orch.example", "10.0.0.5")]
    assert [reach.owns(host) for host in (*known, Host("example"))] == [True, True, True, False]
    assert reach.public
    assert "trickle_hosts" in reach.wrong_with("https://orch.example:8935/x")
    assert reach.wrong_with("https://media.example/x") == ""
    assert not Reach.of(["media.example"], []).public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert is_public(address) is public
