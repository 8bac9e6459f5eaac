"""`byoc new`: a folder with a pipeline, a node of one's own and its test, all working."""

import re
from pathlib import Path
from typing import Final

PIPELINE: Final = """\
# {capability} - tint the picture, and let the caller say how much
version: 1
capability: {capability}

params:
  strength: {{to: tint.strength, ramp_ms: 300}}

nodes:
  source: {{type: test_source, width: 640, height: 360, duration: 3}}
  tint:   {{type: ./nodes.py:Sepia, strength: 0.8}}
  out:    {{type: encode, codec: h264}}
"""

NODES: Final = '''\
"""The nodes of this capability."""

import numpy as np

from composer import RGB, Live, Node

SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


class Sepia(Node):
    """Tint the picture towards sepia."""

    stateless = True

    strength: float = Live(0.8, ge=0, le=1, description="0 leaves the picture alone")

    def process(self, image: RGB) -> RGB:
        """image: (H, W, 3) uint8 RGB on the host. Returns the same shape."""
        toned = image @ np.array(SEPIA, np.float32).T
        mixed = image + (toned - image) * np.float32(self.strength)
        return mixed.clip(0, 255).astype(np.uint8)
'''

TEST: Final = '''\
"""Try the node without a pipeline: `pytest`."""

import numpy as np
from nodes import Sepia

from composer.testing import gradient, run_node


def test_no_strength_leaves_the_picture_alone() -> None:
    image = gradient(64, 48)
    assert np.array_equal(run_node(Sepia(strength=0), image=image), image)


def test_grey_turns_warm() -> None:
    red, _, blue = run_node(Sepia(strength=1), image=gradient(64, 48))[24, 32].tolist()
    assert red > blue
'''

README: Final = """\
# {capability}

    byoc check pipeline.yaml
    byoc run pipeline.yaml --output out.mp4
    byoc run pipeline.yaml --output out.mp4 --set strength=0.2
    pytest

To work on a clip of your own, make the first node `source: {{type: decode}}` and give the clip:
`byoc run pipeline.yaml --input clip.mp4 --output out.mp4`.
"""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def create(folder: Path) -> list[Path]:
    """Write the folder; it must not exist, or be empty. Returns the files, in reading order.

    Raises FileExistsError, and ValueError for a name that cannot name a capability.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a capability: use letters, digits, '.', '_', '-'")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "README.md": README.format(capability=name),
        "pipeline.yaml": PIPELINE.format(capability=name),
        "nodes.py": NODES,
        "test_nodes.py": TEST,
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]
