"""The faults that this program is held against, by number: what is done to it, what it promises.

Tests say with `@pytest.mark.fault("F-13")` which of them they are about. `make docs` makes
docs/reliability.md of all this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """One fault. open: what is still missing where the promise is not kept, or not tested."""

    what: str
    promise: str
    open: str = ""


CATALOGUE: Final[Mapping[str, Mapping[str, Fault]]] = {
    "What comes from an input channel": {
        "F-01": Fault("the server of the channels is started anew", "the session goes on"),
        "F-02": Fault("it never comes back", "the session ends as `lost`, its slot is free"),
        "F-03": Fault("there is no such channel", "asked for at a pace, then given up"),
        "F-04": Fault("a channel vanishes in mid-stream", "an end in order, with what came"),
        "F-05": Fault(
            "the reader is told that it is behind", "it jumps, counts the gap, at a pace"
        ),
        "F-06": Fault("it is told so without a usable number", "it asks again at a pace"),
        "F-07": Fault("a closed channel answers 200 and text", "an end; no text is decoded"),
        "F-08": Fault("some requests fail", "asked again; no session ends of it"),
        "F-09": Fault("a segment breaks off by RST", "what came is used, the next one follows"),
        "F-10": Fault("a segment stands still, half of it sent", "left when the next begins"),
        "F-11": Fault(
            "an open segment brings nothing", "waited for, without work, told as degraded"
        ),
        "F-12": Fault("a segment never ends", "read in bounded memory, at its own session's cost"),
        "F-13": Fault("bodies in chunks of one byte", "bounded work for a read, then an end"),
        "F-14": Fault("segments without a byte, one after another", "gone by at a bounded rate"),
        "F-15": Fault("segment numbers jump, repeat, go back", "followed at a pace, or given up"),
        "F-16": Fault("a redirect to another server", "not followed"),
        "F-17": Fault("a certificate that nobody vouches for", "no connection, and it is said"),
        "F-18": Fault("a name is not found, or is slow to be", "given up in time; others go on"),
        "F-19": Fault("a body without a length is cut", "not taken for whole"),
        "F-20": Fault(
            "much input at once after a pause", "older pictures give way to a key picture"
        ),
    },
    "What is in the media": {
        "F-21": Fault("bytes of a stream are wrong", "as many pictures as FFmpeg reads; no crash"),
        "F-22": Fault("packets and tables are missing", "the same; it goes on at the next table"),
        "F-23": Fault("bytes that are no stream", "nothing is decoded; the session says so"),
        "F-24": Fault("the size changes on the way", "pictures go on, fitted into the first size"),
        "F-25": Fault("layout or range of colours changes", "converted; colours stay right"),
        "F-26": Fault("the codec changes on the way", "decoded on from its first key picture"),
        "F-27": Fault(
            "pictures too large to decode", "refused before memory is taken, and counted"
        ),
        "F-28": Fault(
            "far more pictures than a second has", "as many as the limit lets in; counted"
        ),
        "F-29": Fault("sound comes late, goes, or twice", "pictures are not affected"),
        "F-30": Fault(
            "no pictures at all",
            "the session says so and ends",
        ),
        "F-31": Fault(
            "times jump, repeat, wrap", "output times only grow, sound beside its picture"
        ),
        "F-32": Fault("pictures out of order", "shown in order"),
        "F-33": Fault(
            "no key picture for long", "nothing is shown before it; what waits is bounded"
        ),
        "F-34": Fault("odd sizes, fields, turned pictures", "read, or refused with a reason"),
        "F-35": Fault("headers that claim more than there is", "refused by limits, not by memory"),
        "F-83": Fault(
            "units so small that millions fit in a segment", "work for a byte is bounded"
        ),
        "F-84": Fault("tables that differ each time", "as many are reckoned as a stream may need"),
    },
    "What becomes of an output": {
        "F-36": Fault("the output channel has ended", "the session ends as `output_closed`"),
        "F-37": Fault(
            "a segment breaks while it is sent", "closed by DELETE; the next plays alone"
        ),
        "F-38": Fault(
            "nobody takes the output", "pictures are left out from key to key; input goes on"
        ),
        "F-39": Fault("each third segment is refused", "the others come; losses are counted"),
        "F-40": Fault("an encoder cannot be opened", "the fallback that was declared, and said"),
        "F-41": Fault("events or data that nobody takes", "the oldest are dropped and counted"),
    },
    "Nodes and models": {
        "F-42": Fault("a node raises", "`on_error` holds; one line is logged"),
        "F-43": Fault("a node hangs", "its session ends; its slot comes back"),
        "F-44": Fault("a node blocks where the loop is", "nodes do not run there"),
        "F-45": Fault(
            "a node gives something of a wrong form", "an error that names node and port"
        ),
        "F-46": Fault(
            "a node takes more and more memory",
            "its session ends, the others go on",
            open="without a process of its own the newest session ends, whoever has the memory",
        ),
        "F-47": Fault(
            "no more memory on the GPU",
            "that session ends, the process goes on",
        ),
        "F-48": Fault("the GPU is lost", "all sessions end, exit 4"),
        "F-49": Fault("no GPU where one is needed", "said before a frame, exit 3"),
        "F-50": Fault(
            "a model runs elsewhere than asked", "refused, or said where that is allowed"
        ),
        "F-51": Fault("a model file is not what it should be", "refused, named; it runs nothing"),
        "F-52": Fault("params change without pause", "the newest counts; what waits is bounded"),
        "F-53": Fault(
            "params that are wrong in any way", "refused with their field; nothing changes"
        ),
        "F-54": Fault("a param needs a node built anew", "the old one works on meanwhile"),
        "F-55": Fault("one branch of a join is slow", "joined by time, or let go; no standstill"),
    },
    "Files and reload": {
        "F-56": Fault("a broken file is saved", "what runs goes on; the mistake has its line"),
        "F-57": Fault("files are saved in pieces", "only what is whole is applied"),
        "F-58": Fault("a node's file is broken, and mended", "old code goes on; no memory is left"),
        "F-59": Fault("YAML made to cost much", "refused at once, in little memory"),
        "F-60": Fault("a setting, a port, a folder is wrong", "exit 2 with its name"),
    },
    "The process and its machine": {
        "F-61": Fault(
            "SIGTERM in mid-stream, and twice", "streams end in order; the second is at once"
        ),
        "F-62": Fault(
            "SIGKILL in mid-stream",
            "a new process serves; nothing of the old one is in its way",
        ),
        "F-63": Fault("SIGTERM during the start", "an end without waiting"),
        "F-64": Fault("a full disk", "said; what was written stays playable"),
        "F-65": Fault(
            "no descriptors are left",
            "running sessions go on; new ones are refused, and it is said once",
        ),
        "F-66": Fault("the clock is set", "no timer goes by it"),
        "F-67": Fault(
            "memory is short",
            "new starts are refused before a session suffers",
        ),
        "F-68": Fault("all cores are busy", "pictures are left out by rule; events go on"),
        "F-69": Fault("a slow and lossy network", "the session goes on within its limits"),
    },
    "Requests": {
        "F-70": Fault("more starts than room", "exactly as many as fit; 503 with a time"),
        "F-71": Fault("the same start twice", "one session, one slot"),
        "F-72": Fault("stops that are odd, early, repeated", "answered; the slot is free once"),
        "F-73": Fault("starts and stops without end", "threads and memory are as before"),
        "F-74": Fault("the orchestrator is not there", "tried later and later; the worker serves"),
        "F-75": Fault("a registration is lost", "made again; the room stays the worker's to tell"),
        "F-76": Fault("tokens that are wrong", "401, and nothing else is told"),
        "F-77": Fault("bodies and answers that are no HTTP or JSON", "refused, in bounded memory"),
        "F-78": Fault("requests that come by drips", "cut in time; others are answered"),
        "F-79": Fault("addresses that lead inside", "refused where hosts are named"),
        "F-80": Fault("forged and huge messages of control", "checked as any change, bounded"),
        "F-81": Fault("other sites talk to `byoc dev`", "refused"),
        "F-82": Fault(
            "native code ends the process",
            "only its session ends, where each has a process",
        ),
    },
}
"""Part of the page -> number -> fault."""

FAULTS: Final[Mapping[str, Fault]] = {
    number: fault for part in CATALOGUE.values() for number, fault in part.items()
}
