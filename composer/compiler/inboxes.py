"""How inputs wait where a stage begins: how much they hold, and what a full one does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from composer.compiler.graph import Graph, GraphNode
from composer.compiler.plan import InboxSpec, Link, Mode, Stage
from composer.compiler.stages import may_share
from composer.compiler.steps import Wiring
from composer.node.formats import Kind

FILE_QUEUE: Final = 4
"""Pictures an inbox holds on files: enough to ride out an uneven frame."""

LIVE_QUEUE: Final = 2
"""Pictures an inbox holds in a session: a late frame is worth less than the next one."""

STARTING_QUEUE: Final = 32
"""Pictures it holds while an encoder opens or a model meets its first picture."""

PATIENCE_SECONDS: Final = 0.5
"""How long pictures may come late in a session before a full inbox drops some: what was held up for
a moment catches up, and loses nothing. Who is too slow for good is seen after it."""

SOUND_QUEUE: Final = 64
"""Packets, sound blocks and records an inbox holds: they are small, and none may be lost."""


def asked(
    graph: Graph, wiring: Wiring, threads: Mapping[str, int], mode: Mode
) -> dict[str, InboxSpec]:
    """Step -> the inbox that the file asks for. threads: step -> how many work for it.

    A converter that works for the node alone has it in its place: what is dropped is not converted.
    """
    inboxes: dict[str, InboxSpec] = {}
    for name, node in graph.nodes.items():
        inbox = _asked(node, mode)
        if inbox is None:
            continue
        sources = [link.start for link in wiring.into(name)]
        ahead = [source for source in sources if _converts_for_one(wiring, source)]
        ahead = ahead if threads[name] == 1 else []
        inboxes |= dict.fromkeys(ahead, inbox)
        # Where they do not share a thread, there is an inbox between them, too.
        one = len(sources) == 1 and ahead == sources
        if not one or not may_share(wiring.steps[ahead[0]], wiring.steps[name]):
            inboxes[name] = inbox
    return inboxes


def _converts_for_one(wiring: Wiring, step: str) -> bool:
    return wiring.feeds_one(step) and wiring.steps[step].convert is not None


def _asked(node: GraphNode, mode: Mode) -> InboxSpec | None:
    options = node.options
    if options.queue is None and options.on_full is None and options.max_age_ms is None:
        return None
    usual = _usual(Kind.PICTURE, mode)
    return InboxSpec(
        options.queue or usual.size, options.on_full or usual.on_full, options.max_age_ms
    )


def _usual(kind: Kind, mode: Mode) -> InboxSpec:
    if kind is not Kind.PICTURE and kind is not Kind.MASK:
        return InboxSpec(SOUND_QUEUE, "wait")
    if mode is Mode.LIVE:
        return InboxSpec(LIVE_QUEUE, "drop_oldest", starting=STARTING_QUEUE)
    return InboxSpec(FILE_QUEUE, "wait")


def placed(
    wiring: Wiring, stages: Sequence[Stage], asked: Mapping[str, InboxSpec], mode: Mode
) -> tuple[Link, ...]:
    """The links, with an inbox on each that leads from one stage to another."""
    home = {name: stage.name for stage in stages for name in stage.steps}
    links = [
        link
        if home[link.start] == home[link.end]
        else replace(link, inbox=asked.get(link.end) or _usual(link.format.kind, mode))
        for link in wiring.links
    ]
    return tuple(_patient(link, links, home) for link in links)


def _patient(link: Link, links: Sequence[Link], home: Mapping[str, str]) -> Link:
    """The same with an inbox that waits for a while, where that holds nobody else up: its feeder
    feeds no other, and its stage waits for no other.
    """
    if link.inbox is None or link.inbox != _usual(Kind.PICTURE, Mode.LIVE):
        return link
    pictures = [other for other in links if other.inbox is not None and other.inbox.starting]
    fed = sum(home[other.start] == home[link.start] for other in pictures)
    awaited = sum(other.end == link.end for other in pictures)
    if fed > 1 or awaited > 1:
        return link
    return replace(link, inbox=replace(link.inbox, patience_s=PATIENCE_SECONDS))
