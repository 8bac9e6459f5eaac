"""Host: where a channel is, as the HTTP client reads it, so that no spelling of it is another."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from yarl import URL

_NAME: Final = re.compile(
    r"(?=.{1,253}$)(?!.*[^.]{64})[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*"
)
"""A name as DNS has it, after IDNA: parts of 63 characters at the most (RFC 1035, 2.3.4).
Underscores: Compose and Kubernetes have services with them.
"""

_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and the port and scheme where they are named: 0 and "" stand for any.

    name: lower case, in ASCII, without the dot at its end; an IPv6 address in its shortest form,
    without brackets.
    """

    name: str
    port: int = 0
    scheme: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """A host as somebody allows it: `name`, `name:443`, `[::1]:3389`, `::1`, or an address
        without a path. Raises ValueError: what is wrong, to be put behind the text.
        """
        scheme, mark, _ = text.partition("://")
        if mark and scheme.lower() not in _SCHEMES:
            raise ValueError("should be an http or https address, or a host")
        bare = text.count(":") > 1 and not mark and "[" not in text
        try:
            url = URL(text if mark else f"//[{text}]" if bare else f"//{text}")
        except ValueError:
            raise ValueError("is no host") from None
        if url.path not in ("", "/") or url.query_string or url.fragment or url.user:
            raise ValueError("should hold a host, and perhaps a port, and nothing else")
        host = cls.of(url)
        if not host.exists:
            raise ValueError("is no host")
        if url.explicit_port == 0:
            raise ValueError("has no port that one can reach")
        return cls(host.name, url.port or 0, url.scheme)

    @classmethod
    def of(cls, url: URL) -> Self:
        """Where the client will go for an address."""
        name = (url.raw_host or "").replace("%25", "%")
        return cls(name.removesuffix("."), url.port or 0, url.scheme)

    @property
    def exists(self) -> bool:
        """Whether it can be: a number, or a name that can be looked up."""
        return self.address is not None or _NAME.fullmatch(self.name) is not None

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The number that it is, None for a name."""
        try:
            return ipaddress.ip_address(self.name)
        except ValueError:
            return None

    def holds(self, other: Self) -> bool:
        """Whether another one, of an address, is this host."""
        return (
            self.name == other.name
            and self.port in (0, other.port)
            and self.scheme in ("", other.scheme)
        )
