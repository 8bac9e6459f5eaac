"""Setup: a node that is set up on a thread of its own, because that may take long."""

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from composer import logs, stacks
from composer.errors import NodeFailed
from composer.node.node import Context, Node

log: Final = logging.getLogger(__name__)

NOTHING_ASKED: Final[Mapping[str, Any]] = MappingProxyType({})


class Setup:
    """One node on its way. done is set when it is there, or has failed.

    asked: what it is built anew for, by field; empty for a first one.
    """

    def __init__(
        self, name: str, node: Node, context: Context, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> None:
        self.name, self.node, self._context = name, node, context
        self.asked: Final = asked
        self._session = logs.here().session
        self.failure: NodeFailed | None = None
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._abandoned = False
        main = stacks.working_for(self._session, self._main)
        threading.Thread(target=main, name=f"setup {name}", daemon=True).start()

    def abandon(self) -> None:
        """Nobody wants the node any more: it is closed when setup() returns."""
        with self._lock:
            self._abandoned = True
            if not self.done.is_set():
                return
        if self.failure is None:
            close_quietly(self.name, self.node)

    def _main(self) -> None:
        where = logs.enter(self._session)
        where.at(self.name)
        try:
            self.node.setup(self._context)
        except BaseException as exc:  # noqa: BLE001 - a node may even call sys.exit()
            self.failure = NodeFailed(self.name, "setup()", exc, None)
            close_quietly(self.name, self.node)
        where.leave()
        with self._lock:
            self.done.set()
            unwanted = self._abandoned
        if unwanted and self.failure is None:
            close_quietly(self.name, self.node)


def close_quietly(name: str, node: Node) -> None:
    """Close a node whose failure to close would tell nobody anything."""
    try:
        node.close()
    except Exception as exc:  # noqa: BLE001 - a node is anybody's code
        log.debug("node %r while closing: %s", name, exc)
