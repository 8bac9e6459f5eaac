"""LiveFeed: what a pipeline under development is fed with, coded at the pace of the clock."""

import logging
import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

from composer.compiler.compile import compile_file, plan_of
from composer.engine.run import Media, Run
from composer.errors import ChannelEnded, ComposerError, SegmentLost
from composer.media import endless
from composer.media.coders import PictureSettings
from composer.media.endless import Endless
from composer.media.live_encoder import LiveWriter
from composer.media.sound_encoder import SoundSettings
from composer.node.frames import Moment
from composer.node.registry import Registry
from composer.session.egress import Cut, Egress
from composer.trickle.publisher import Publisher, SegmentWriter

log: Final = logging.getLogger(__name__)

KEYFRAME_SECONDS: Final = 1.0
"""How long a session that begins waits for its first picture at the most."""

LATEST_SECONDS: Final = 0.5
"""A feed that is later than this (the machine slept, say) does not hurry: its clock begins anew."""

PICTURES: Final = PictureSettings(codec="h264", preset="superfast", keyframe_s=KEYFRAME_SECONDS)


class LiveFeed:
    """Codes what `opened` gives, in a thread of its own, until stop(). The times go on over pauses.

    failed: told once, in that thread, why no more comes.
    """

    def __init__(
        self,
        opened: Callable[[], Endless],
        failed: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.egress: Final = Egress()
        self._opened, self._failed, self._now = opened, failed, now
        self._stopping, self._running = threading.Event(), threading.Event()
        self._running.set()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._main, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pause(self) -> None:
        """Nothing more comes until resume()."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def stop(self) -> None:
        """End it; the thread is gone when this returns, unless a camera keeps it."""
        self._stopping.set()
        self._running.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    async def publish(self, channel: Publisher) -> None:
        """Write what was coded into a channel, a segment for each keyframe, until the end."""
        segment: SegmentWriter | None = None
        try:
            while (item := await self.egress.read()) is not None:
                try:
                    if isinstance(item, Cut):
                        if segment is not None:
                            await segment.end()
                        segment = channel.begin()
                    elif segment is not None:
                        await segment.write(item)
                except SegmentLost:
                    segment = None
        except ChannelEnded:
            log.debug("the channel of the input has ended")
        finally:
            await channel.close(1.0)

    def _main(self) -> None:
        try:
            self._code(self._opened())
        except ComposerError as exc:
            self._failed(str(exc))
        finally:
            self.egress.end()

    def _code(self, source: Endless) -> None:
        writer = LiveWriter(
            self.egress,
            PICTURES,
            SoundSettings(),
            expected=lambda kind: kind == "video" or source.has_sound,
            sessions=2,  # the pipeline has the other half of the cores
        )
        try:
            for item in source.read():
                if not self._waited(0 if source.paced else item.pts or 0):
                    return
                assert item.time_base is not None  # Endless says so
                moment = Moment(item.pts or 0, item.time_base)
                give: Any = writer.sound if hasattr(item, "samples") else writer.picture
                give(item, moment)
        finally:
            writer.close()
            source.close()

    def _waited(self, ticks: int) -> bool:
        """Wait until an item is due; False when it is over."""
        if not self._running.is_set():
            self._running.wait()
            self._began = None
        seconds = ticks / endless.CLOCK
        if self._began is None or self._now() - self._began - seconds > LATEST_SECONDS:
            self._began = self._now() - seconds
        return not self._stopping.wait(max(0.0, self._began + seconds - self._now()))


def source(clip: str, camera: str, registry: Registry, folder: Path) -> Callable[[], Endless]:
    """Gives what opens the input: a clip, a camera, or bars where neither is named.

    folder: where the bars may lie while they are used.
    """

    def opened() -> Endless:
        if camera:
            return endless.Camera(camera)
        return endless.Clip(clip or str(bars(registry, folder)))

    return opened


def bars(registry: Registry, folder: Path) -> Path:
    """A clip of moving bars in `folder` that can be looped without a seam."""
    made = folder / "bars.mp4"
    with resources.as_file(resources.files("composer.dev") / "assets" / "bars.yaml") as file:
        plan = plan_of(compile_file(file, registry))
    run = Run(plan, Media(sinks={"": str(made)}))
    run.start()
    run.wait()
    return made
