"""on_error: what becomes of a frame that fails in a node, and of the run."""

import logging
from collections.abc import Callable
from typing import Any, Final

from composer.device import cuda
from composer.engine.blame import failure_of
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site
from composer.engine.notices import Happened, Notice
from composer.node.frames import Frame

log: Final = logging.getLogger(__name__)


def layer(site: Site) -> Layer | None:
    if site.instance is None:
        return None
    failed = failing(site, "process()")

    def around(call: Call) -> Call:
        def guarded(item: WorkItem) -> Out | Missed:
            try:
                return call(item)
            except BaseException as exc:  # noqa: BLE001 - a node may even call sys.exit()
                return failed(exc, item.frame)

        return guarded

    return Layer(around=around)


def failing(site: Site, doing: str) -> Callable[[BaseException, Frame[Any]], Missed]:
    """What is done about an exception of a node at a frame: it is counted and told, and says what
    becomes of the frame. Raises NodeFailed where that ends the run.
    """
    step, count = site.step, site.count
    missed = Missed(step.on_error, "error")

    def failed(exc: BaseException, frame: Frame[Any]) -> Missed:
        count.errors += 1
        failure = failure_of(step.name, doing, exc, frame.seconds)
        # Frames may go by a node that fails, but not by a device that is lost.
        if step.on_error == "fail" or cuda.lost(exc):
            raise failure from exc
        # A worker's log leaves out what comes too often; others hear of the first one alone.
        level = logging.WARNING if count.errors == 1 else logging.INFO
        log.log(level, "%s; on_error: %s", failure, step.on_error)
        site.notify(Notice(Happened.ERROR, step.name, str(failure), frame.seconds))
        return missed

    return failed
