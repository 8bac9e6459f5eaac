"""Read pictures and sound from a file or a stream."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import av

from composer import Context, Fixed, Frame, Layouts, Node, Picture, ReadFile, Role, Sound
from composer.device import lanes, tensors
from composer.errors import MediaError
from composer.media import cores, live_reader, reader
from composer.node.formats import EVERY_LAYOUT, Carrier, OrTensor
from composer.pictures import pixels

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.media.live_reader import LiveReader
    from composer.media.reader import Reader
    from composer.session.ingress import Ingress


# Not Own: the decoder may still look at the pictures it gave.
Decoded: TypeAlias = Annotated[Picture, Layouts(*EVERY_LAYOUT), OrTensor()]


class FileItem(NamedTuple):
    """One item of a file: a picture or a piece of sound."""

    image: Decoded | None = None
    audio: Sound | None = None


class Decode(Node):
    """Read the pictures and the sound of a file, an address, a row of pictures or a live stream.

    image: each picture, in the layout that the next node takes and in its own size; colour tags and
    times stay those of the source. audio: decoded samples or, where no node needs them, the packets
    as they were coded. A track that nothing takes is not decoded.

    Times begin at 0 with the first track that is used, and always go on: an item that repeats a
    time is left out, and a jump of the source's clock is taken out for all tracks. Pictures are
    turned upright as their rotation says; interlaced ones stay as they are. Damaged parts are left
    out. A row of pictures is written `frames/%03d.png`; it begins at its lowest number, runs at 25
    pictures per second, and where a number is missing the picture before it stays. Pictures in
    tiles (HEIC, AVIF) are joined, and animated WebP is read, both from files only.

    Alpha stays where the nodes after it and the file that is written can hold it (PNG, ProRes 4444,
    QuickTime Animation, VP8 and VP9 in WebM, WebP, GIF, FFV1); it is straight. Else it is left out,
    which `byoc plan` shows where the file is known, and a run says once. 16 bits a sample become 8.

    A session reads what its caller sends: times are those of the stream, and nothing comes before
    the first key picture. Sound that no node takes is copied where it is Opus of one or two
    channels; other sound is decoded, which the log and the state of the stream say. With
    `device: cuda` a session's pictures are decoded by the card and stay there for a node that works
    there. Else, and where the card cannot, they are decoded here and brought there.
    """

    role = Role.INPUT
    devices = ("cpu", "cuda")
    adapts = True

    path: str = ReadFile(
        "",
        address=True,
        description="file below the pipeline's folder; empty for the input of the run",
    )
    max_fps: float = Fixed(
        0,
        ge=0,
        le=1000,
        description="pictures per second at the most, by their time; 0 for all of them",
    )
    threads: int = Fixed(
        0,
        ge=0,
        le=64,
        description="threads of the decoder; 0 for one per core, in a session for its share",
    )

    _reader: "Reader | LiveReader | None" = None
    _ingress: "Ingress | None" = None
    _device: str = ""
    """Where tensors are wanted, "" for pictures."""

    @property
    def damaged(self) -> int:
        """Packets that could not be read or decoded so far, and pictures decoded in part."""
        return self._reader.damaged if self._reader is not None else 0

    def plays_role(self) -> bool:
        return not self.path

    def stored_layout(self, source: str, folder: Path) -> str:
        named = self._named(source, folder)
        return reader.stored_layout(named) if named else ""

    def _named(self, source: str, folder: Path) -> str:
        """What is read: its own path, or the input of the run."""
        if not self.path:
            return source
        return self.path if "://" in self.path else str(folder / self.path)

    def live_layouts(self, port: str) -> tuple[str, ...]:
        return ("samples",) if port == "audio" and self.path else ()

    def about(self) -> Mapping[str, Any]:
        recoded, refused = (getattr(self._reader, name, "") for name in ("recoded", "refused"))
        return {
            **({"refused": refused} if refused else {}),
            **({"damaged": self.damaged} if self.damaged else {}),
            **({"sound": f"{recoded} is decoded and coded anew"} if recoded else {}),
        }

    def lost(self) -> Mapping[str, int]:
        return self._reader.lost if self._reader is not None else {}

    def lost_tracks(self) -> Sequence[str]:
        return self._reader.lost_tracks if isinstance(self._reader, reader.Reader) else ()

    def setup(self, ctx: Context) -> None:
        image, audio = ctx.outputs.get("image"), ctx.outputs.get("audio")
        layout = image.layout if image is not None else ""
        if image is not None and image.carrier is Carrier.TENSOR:
            self._device, layout = image.device, "yuv420p"
        if ctx.ingress is not None and not self.path:
            self._ingress = ctx.ingress
            self._reader = live_reader.LiveReader(
                ctx.ingress,
                layout=layout,
                sound=audio.carrier if audio is not None else None,
                max_fps=self.max_fps,
                threads=self.threads
                or cores.slices(live_reader.MOST_PIXELS, ctx.sessions, cores.count()),
                device=self._device if self._device != "cpu" else "",
            )
            return
        source = self._named(ctx.source, ctx.folder)
        if not source:
            raise MediaError("there is nothing to read: give --input FILE")
        self._reader = reader.Reader(
            source,
            layout=layout,
            sound=audio.carrier if audio is not None else None,
            max_fps=self.max_fps,
            threads=self.threads,
        )

    def adapt(self, ctx: Context) -> None:
        if not isinstance(self._reader, live_reader.LiveReader):
            return
        image, audio = ctx.outputs.get("image"), ctx.outputs.get("audio")
        if image is not None and image.carrier is not Carrier.TENSOR:
            self._reader.layout = image.layout
        if audio is not None:
            self._reader.sound = audio.carrier

    def process(self) -> Iterator[FileItem]:
        assert self._reader is not None  # setup() made it
        if self._device:
            lanes.enter(self._device)
        source, device, ingress = self._reader, self._device, self._ingress
        # PyAV makes a Fraction of it each time that it is asked.
        live = live_reader.TIME_BASE if isinstance(source, live_reader.LiveReader) else None
        for item in source.read():
            if not isinstance(item, av.VideoFrame):
                yield FileItem(audio=item)  # type: ignore[arg-type]  # packets are Sound, too
                continue
            born = ingress.given_at if ingress is not None else 0.0
            base = item.time_base if live is None else live
            assert base is not None  # the readers see to it
            yield FileItem(image=_placed(item, base, device, born, source.rate))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def _placed(
    image: "av.VideoFrame", base: Fraction, device: str, born: float, rate: Fraction
) -> Any:
    """The picture where it is wanted, with the time at which its last byte came."""
    assert image.pts is not None  # the readers see to it
    frame = Frame(image, image.pts, base, pixels.tags(image), born, rate=rate)
    if not device:
        return frame
    return frame.derived(_there(image, device), None if image.format.name == "cuda" else image)


def _there(image: "av.VideoFrame", device: str) -> Any:
    if image.format.name == "cuda":
        return tensors.from_hardware(image)
    return tensors.upload(image, device, lanes.pinned(device))
