"""A net that doubles the size of a picture, for upscale.yaml."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

MARGIN = 7
"""Pixels on each side that six 3x3 convolutions and the last step use up."""


class Upconv7(nn.Module):
    """Six convolutions and one that doubles: "upconv7" of the waifu2x models."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128, 256, 256)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3) for before, after in pairwise(widths)
        )
        self.twice = nn.ConvTranspose2d(widths[-1], 3, 4, stride=2, padding=3, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """image: (n, 3, h, w) RGB in 0..1. Returns (n, 3, 2h, 2w)."""
        image = functional.pad(image, (MARGIN,) * 4, mode="replicate")
        for conv in self.convs:
            image = functional.leaky_relu(conv(image), 0.1)
        return self.twice(image)

    @staticmethod
    def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The names of the npz file: conv1/W to conv7/W, conv1/b to conv6/b."""
        named = {"twice.weight": weights["conv7/W"]}
        for at in range(6):
            named[f"convs.{at}.weight"] = weights[f"conv{at + 1}/W"]
            named[f"convs.{at}.bias"] = weights[f"conv{at + 1}/b"]
        return {name: torch.as_tensor(each) for name, each in named.items()}
