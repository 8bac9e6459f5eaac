"""`byoc new`: a folder with a capability: pipeline, node, test, and how to run and ship them."""

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
  source: {{type: decode}}
  tint:   {{type: ./nodes.py:Sepia, strength: 0.8}}
  out:    {{type: encode, codec: h264}}
"""

CLIP: Final = """\
# A clip to try the pipeline with, where there is none at hand.
version: 1

nodes:
  source: {type: test_source, width: 640, height: 360, duration: 3}
  out:    {type: encode, codec: h264, bitrate: 200k}
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

from composer.testing import bench, gradient, run_node


def test_no_strength_leaves_the_picture_alone() -> None:
    image = gradient(64, 48)
    assert np.array_equal(run_node(Sepia(strength=0), image=image), image)


def test_grey_turns_warm() -> None:
    red, _, blue = run_node(Sepia(strength=1), image=gradient(64, 48))[24, 32].tolist()
    assert red > blue


def test_the_strength_changes_between_two_frames() -> None:
    image = gradient(64, 48)
    with bench(Sepia(strength=1)) as run:
        assert not np.array_equal(run(image=image), image)
        run.set(strength=0)
        assert np.array_equal(run(image=image), image)
'''

README: Final = """\
# {capability}

| file | what it is |
|---|---|
| `pipeline.yaml` | the capability: its nodes, and the params that a caller may change |
| `nodes.py` | a node of its own |
| `test_nodes.py` | the test of that node |
| `clip.yaml` | makes a clip to try it with |

It needs Python 3.11 or newer, and `curl` for the last part:

```sh
pip install byoc-composer pytest
```

## On a clip

```sh
byoc check pipeline.yaml
byoc plan pipeline.yaml
byoc run clip.yaml --output clip.mp4
byoc run pipeline.yaml --input clip.mp4 --output out.mp4
byoc run pipeline.yaml --input clip.mp4 --output pale.mp4 --set strength=0.2
pytest
```

`check` says what is wrong, and where. `plan` shows what will run. Any clip serves as `clip.mp4`.

## While you write

```sh
byoc dev pipeline.yaml --input clip.mp4
```

prints the address of a page with the picture and its params. Save `pipeline.yaml` or `nodes.py`,
and the picture follows. Ctrl-C ends it.

## As a live capability

The worker, in one terminal:

```sh
byoc serve pipeline.yaml
```

A server of channels, in another. In production that is the orchestrator's.

```sh
byoc trickle
```

In a third one, make the channels of a stream, and start it:

```sh
curl -fsS -X POST 'http://127.0.0.1:3389/one-{{in,out,control,events}}'
curl -fsS http://127.0.0.1:8000/stream/start -H 'Content-Type: application/json' -d '{{
  "gateway_request_id": "one",
  "subscribe_url": "http://127.0.0.1:3389/one-in",
  "publish_url": "http://127.0.0.1:3389/one-out",
  "control_url": "http://127.0.0.1:3389/one-control",
  "events_url": "http://127.0.0.1:3389/one-events",
  "params": {{"strength": 1}}
}}'
```

Send a clip, about as fast as it plays; change a param; read what came out; stop the stream:

```sh
byoc run clip.yaml --output clip.ts
curl -fsS --limit-rate 25k --data-binary @clip.ts http://127.0.0.1:3389/one-in/0
curl -fsS http://127.0.0.1:8000/stream/params -H 'X-Stream-Id: one' \\
  -H 'Content-Type: application/json' -d '{{"strength": 0.2}}'
curl -fsS http://127.0.0.1:8000/stream/status
curl -fsS http://127.0.0.1:3389/one-out/0 --output out.ts
curl -fsS -X POST http://127.0.0.1:8000/stream/stop -H 'X-Stream-Id: one'
```

`out.ts` is the first segment, two seconds of it. Ctrl-C ends the worker and the server.

## As an image

```sh
byoc image --dry-run pipeline.yaml --tag {image}
byoc image pipeline.yaml --tag {image}
docker run --rm --publish 8000:8000 --read-only --tmpfs /tmp {image}
```

It holds `pipeline.yaml`, the files that it names, and what they import; Docker, Podman or Buildah
builds it, and `byoc check` and ten pictures try it. What your nodes import beside NumPy belongs
into a `requirements.txt` here; `torch` and `onnxruntime` come by themselves. A file that only your
code knows is added with `--include`.

To be known to an orchestrator the worker needs `ORCH_URL`, `ORCH_SECRET` and `CAPABILITY_URL` in
its environment; `byoc serve --help` lists all settings.
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
        "README.md": README.format(capability=name, image=_image(name)),
        "pipeline.yaml": PIPELINE.format(capability=name),
        "nodes.py": NODES,
        "test_nodes.py": TEST,
        "clip.yaml": CLIP,
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]


def _image(capability: str) -> str:
    """A name that Docker takes: lower case, no separator at an end or beside another."""
    return re.sub(r"[._-]+", "-", capability.lower()).strip("-")
