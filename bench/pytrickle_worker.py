"""A worker of pytrickle as its examples write one. Runs in an environment of its own.

python pytrickle_worker.py PORT pass|tint
"""

import logging
import sys
from typing import Any

import torch
from pytrickle import StreamProcessor
from pytrickle.decorators import audio_handler, video_handler

logging.disable(logging.WARNING)


class Pass:
    @video_handler
    async def picture(self, frame: Any) -> Any:
        return frame

    @audio_handler
    async def sound(self, frame: Any) -> Any:
        return [frame]


class Tint(Pass):
    @video_handler
    async def picture(self, frame: Any) -> Any:
        tensor = frame.tensor.clone()
        tensor[..., 1] = torch.clamp(tensor[..., 1] * 1.3, 0, 1)
        return frame.replace_tensor(tensor)


if __name__ == "__main__":
    handlers = {"pass": Pass, "tint": Tint}[sys.argv[2]]()
    StreamProcessor.from_handlers(handlers, name="bench", port=int(sys.argv[1])).run()
