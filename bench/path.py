"""Where each microsecond of a picture goes, from socket to socket."""

import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import clips, contenders, stream
from bench.results import Numbers
from bench.works import CAPTION, PASS

PIPELINES: Final = {"passthrough": PASS, "resize and caption": CAPTION}
SIZES: Final = ("360p", "720p")
WORKS: Final = {
    f"{name}, {size}": (size, text) for name, text in PIPELINES.items() for size in SIZES
}
"""What is measured: name -> size and pipeline."""

PARTS: Final = ("read", "demux", "decode", "graph", "encode", "mux", "write", "loop")


def measured(size: str, text: str, seconds: float) -> Numbers:
    """CPU microseconds per picture, by part. graph: inboxes, envelopes and nodes; loop: tasks,
    timers and the HTTP client around reading and writing; beside codecs: all but these.
    """
    with tempfile.TemporaryDirectory() as name:
        file, out = Path(name) / "pipeline.yaml", Path(name) / "spent.json"
        file.write_text(text)
        plain = contenders.byoc(file)
        traced = (sys.executable, "-m", "bench.traced", str(out), *plain.command[1:])
        contender = replace(plain, command=traced)
        asyncio.run(stream.run(contender, clips.make(size, seconds)))
        spent = json.loads(out.read_text())
    pictures = spent["pictures"]
    parts = {part: spent[part] for part in ("read", "demux", "decode", "encode", "mux", "write")}
    # What an encoder's thread writes itself is neither the muxer's nor the graph's.
    parts["write"] += spent.get("sent", 0.0)
    parts["mux"] -= spent.get("sent", 0.0)
    inside = ("demux", "decode", "encode", "mux", "received")
    parts["graph"] = spent["threads"] - sum(spent[part] for part in inside)
    # What a decoder's thread reads itself is no part of the graph.
    parts["read"] += spent["received"]
    parts["loop"] = spent["loop"] - spent["read"] - spent["write"]
    found = {part: parts[part] / pictures * 1e6 for part in PARTS}
    together = sum(found.values())
    beside = together - found["decode"] - found["encode"]
    return {**found, "together": together, "beside codecs": beside}
