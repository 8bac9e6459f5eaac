"""A net that sees where one shot ends and the next begins, for shot_cuts.yaml."""

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 50
"""Pictures on each side that each one is compared with."""


class _Dilated(nn.Module):
    """One layer of a cell: 3x3 in space, then 3 pictures in time that lie `gap` apart."""

    def __init__(self, before: int, after: int, gap: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(before, 2 * after, (1, 3, 3), padding=(0, 1, 1), bias=False),
            nn.Conv3d(
                2 * after, after, (3, 1, 1), dilation=(gap, 1, 1), padding=(gap, 0, 0), bias=False
            ),
        )

    def forward(self, video: Tensor) -> Tensor:
        return self.layers(video)


class _Cell(nn.Module):
    """Four layers side by side that look 1, 2, 4 and 8 pictures far."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.Conv3D_1 = _Dilated(before, after, 1)
        self.Conv3D_2 = _Dilated(before, after, 2)
        self.Conv3D_4 = _Dilated(before, after, 4)
        self.Conv3D_8 = _Dilated(before, after, 8)
        self.bn = nn.BatchNorm3d(4 * after, eps=1e-3)

    def forward(self, video: Tensor) -> Tensor:
        layers = (self.Conv3D_1, self.Conv3D_2, self.Conv3D_4, self.Conv3D_8)
        return self.bn(torch.cat([layer(video) for layer in layers], 1))


class _Block(nn.Module):
    """Two cells, the first one also led past the second; then half the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Cell(before, after), _Cell(4 * after, after)])

    def forward(self, video: Tensor) -> Tensor:
        first = functional.relu(self.DDCNN[0](video))
        both = functional.relu(self.DDCNN[1](first)) + first
        return functional.avg_pool3d(both, (1, 2, 2))


class _Alike(nn.Module):
    """How much each picture resembles those around it, from a vector for each."""

    def __init__(self, width: int = 0) -> None:
        super().__init__()
        if width:
            self.projection = nn.Linear(width, 128)
        self.fc = nn.Linear(2 * REACH + 1, 128)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors: (n, t, width). Returns (n, t, 128)."""
        if hasattr(self, "projection"):
            vectors = self.projection(vectors)
        vectors = functional.normalize(vectors, dim=2)
        alike = functional.pad(vectors @ vectors.transpose(1, 2), (REACH, REACH))
        count = vectors.shape[1]
        at = torch.arange(count, device=vectors.device)[:, None]
        near = at + torch.arange(2 * REACH + 1, device=vectors.device)
        return functional.relu(self.fc(alike[:, at, near]))


class Shots(nn.Module):
    """TransNet V2 (Souček and Lokoč, 2020): how likely each picture is the last of its shot."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList([_Block(3, 16), _Block(64, 32), _Block(128, 64)])
        self.frame_sim_layer = _Alike(64 + 128 + 256)
        self.color_hist_layer = _Alike()
        self.fc1 = nn.Linear(4864, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, video: Tensor) -> Tensor:
        """video: (n, t, 27, 48, 3) RGB in 0..255. Returns (n, t) in 0..1."""
        found = video.permute(0, 4, 1, 2, 3) / 255
        means = []
        for block in self.SDDCNN:
            found = block(found)
            means.append(found.mean((3, 4)))
        found = found.permute(0, 2, 3, 4, 1).flatten(2)
        alike = self.frame_sim_layer(torch.cat(means, 1).transpose(1, 2))
        found = torch.cat([self.color_hist_layer(histograms(video)), alike, found], 2)
        return torch.sigmoid(self.cls_layer1(functional.relu(self.fc1(found))))[..., 0]


def histograms(video: Tensor) -> Tensor:
    """(n, t, 512): how many pixels of each picture have which of 8 x 8 x 8 colours."""
    count, times = video.shape[:2]
    levels = video.flatten(2, 3).long() // 32
    colours = levels[..., 0] * 64 + levels[..., 1] * 8 + levels[..., 2]
    bins = torch.zeros(count, times, 512, device=video.device)
    return bins.scatter_add_(2, colours, torch.ones_like(colours, dtype=bins.dtype))
