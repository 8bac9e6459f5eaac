"""Setup: a node that is set up on a thread of its own, because that may take long."""

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from composer import logs, stacks
from composer.engine.blame import blamed
from composer.errors import NodeFailed
from composer.node.node import Context, Node
from composer.threads import LEFT_BEHIND

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
        self._thread = threading.Thread(target=main, name=f"setup {name}", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """Nobody wants the node any more: it is closed when setup() returns."""
        with self._lock:
            self._abandoned = True
            if not self.done.is_set():
                LEFT_BEHIND.add([self._thread])
                return
        if self.failure is None:
            close_quietly(self.name, self.node)

    def _main(self) -> None:
        where = logs.enter(self._session)
        where.at(self.name)
        try:
            with blamed(self.name, "setup()"):
                self.node.setup(self._context)
        except NodeFailed as exc:
            self.failure = exc
            close_quietly(self.name, self.node)
        where.leave()
        with self._lock:
            self.done.set()
            unwanted = self._abandoned
        if unwanted and self.failure is None:
            close_quietly(self.name, self.node)


def close_quietly(name: str, node: Node) -> None:
    """Close a node that nobody waits for; the log has what keeps it from that."""
    try:
        with blamed(name, "close()"):
            node.close()
    except NodeFailed as exc:
        log.warning("%s", exc)
