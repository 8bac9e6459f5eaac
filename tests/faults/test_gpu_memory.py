"""A GPU that has no memory left: the session that asked for it ends, and nothing else."""

import asyncio

import pytest

from composer import YUV, Live, Node
from tests.faults.neighbour import beside
from tests.server.streams import pieces, ran

FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB"
"""As torch says it."""

TEXT = """\
params: {full: model.full}
nodes:
  source: {type: decode}
  model: {type: model, on_error: fail, queue: 300, on_full: wait}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""


class Model(Node):
    """Finds no memory once a caller wants that; a GPU is not needed to say so."""

    full: float = Live(0.0)

    def process(self, image: YUV) -> YUV:
        if self.full:
            raise RuntimeError(FULL)
        return image


@pytest.mark.fault("F-47")
def test_a_gpu_without_memory_ends_the_session_that_asks_for_it_and_no_other() -> None:
    async def test() -> None:
        async with beside(TEXT, nodes={"model": Model}) as (stage, neighbour):
            stream = await stage.start(params={"full": 1})
            session = stage.sessions[stream.name]
            # The first pictures go by a node that is not ready yet.
            sending = asyncio.ensure_future(stream.publish(pieces(50)))
            await session.over.wait()
            sending.cancel()
            assert FULL in session.failure
            assert (await stage.get("/ready"))[0] == 200
            await neighbour.sent()

    ran(test, 40)
