"""Callbacks that keep nobody: whoever is called back is gone when nobody else wants it.

What two objects hold of each other stays until Python looks for it, and with it decoders, pictures
and threads of a stream that has ended.
"""

import weakref
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def weakly(method: Callable[P, T], gone: T) -> Callable[P, T]:
    """A bound method, without its object. gone: what it gives when that is no more."""
    reference = weakref.WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        found = reference()
        return gone if found is None else found(*args, **kwargs)

    return call
