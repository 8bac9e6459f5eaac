"""Pictures and sound into one file, as they come."""

import dataclasses
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from composer.errors import MediaError
from composer.media.coders import PictureSettings, coder_options
from composer.media.file_kinds import CONTAINERS, STILLS, ending_of
from composer.media.file_sound import CodedSound, CopiedSound, FileSound
from composer.media.picture_encoder import PictureEncoder
from composer.media.sound_encoder import SoundEncoder, SoundSettings
from composer.media.targets import ContainerFile, FileTarget, PictureFiles
from composer.node.frames import Moment

log = logging.getLogger(__name__)


class Writer:
    """Pictures and sound into one file. Raises MediaError for what the file cannot hold.

    image, audio: whether this track is to be expected. The header names every track, so packets
    wait until both are there; one that is PATIENCE_SECONDS late is left out.
    """

    def __init__(
        self,
        path: str,
        pictures: PictureSettings,
        sound: SoundSettings,
        *,
        image: bool = True,
        audio: bool = True,
        live: bool = False,
    ) -> None:
        self._path, self._live = path, live
        self._ending = ending_of(path)
        self._container = CONTAINERS.get(self._ending)
        self._settings = self._resolved(pictures)
        self._sound_settings = self._checked(sound)
        audio = audio and sound.codec != "none" and self._container is not None
        self._expected = {name for name, wanted in (("image", image), ("audio", audio)) if wanted}
        self._audio = audio
        self._target = self._opened()
        self._pictures: PictureEncoder | None = None
        self._sound: FileSound | None = None
        self._early: list[tuple[Any, Moment]] = []  # sound that came before the first picture
        self._waiting: list[tuple[str, list[Any]]] = []  # packets before the header
        self._since: float | None = None
        self._started = self._closed = False
        self._told: set[str] = set()
        self._full = self._late = 0
        self.lost_tracks: list[str] = []
        """Tracks that came and of which nothing was written, in words: known in the end."""

    @property
    def lost(self) -> dict[str, int]:
        """Pictures and pieces of sound that were given and not written, by reason.

        full: the file holds a picture already. late: the header was written without the track.
        time: they repeat one, or go back. damaged: sound that could not be decoded.
        """
        counts = {
            "full": self._full + self._target.unwritten,
            "late": self._late,
            "time": sum(track.repeated for track in (self._pictures, self._sound) if track),
            "damaged": self._sound.damaged if self._sound is not None else 0,
        }
        return {reason: count for reason, count in counts.items() if count}

    def picture(self, image: av.VideoFrame, at: Moment) -> None:
        if self._target.full:
            self._full += 1
            if "full" not in self._told:
                self._told.add("full")
                log.warning("%s holds one picture; put %%03d in its name for all", self._path)
            return
        if self._pictures is None:
            if self._left_out("image"):
                return
            context = self._target.add_pictures(self._settings)
            self._pictures = PictureEncoder(context, self._settings, live=self._live)
        packets = self._pictures.encode(image, at)
        self._warn_of_shape(self._pictures.context.sample_aspect_ratio)
        early, self._early = self._early, []
        for item, moment in early:
            self._hear(item, moment)
        self._give("image", packets, at)

    def sound(self, item: Any, at: Moment) -> None:
        """item: an av.AudioFrame, or an av.Packet whose stream has the track's parameters."""
        if not self._audio or (self._sound is None and self._left_out("audio")):
            return
        if self._pictures is None and "image" in self._expected and not self._patience_over(at):
            self._early.append((item, at))
            return
        early, self._early = self._early, []
        for one, moment in (*early, (item, at)):
            self._hear(one, moment)

    def finish(self) -> None:
        """Write what is still held, and the end of the file."""
        if self._closed:
            return
        self._closed = True
        try:
            for item, moment in self._early:
                self._hear(item, moment)
            if self._pictures is not None:
                self._give("image", self._pictures.finish())
            if self._sound is not None:
                self._give("audio", self._sound.finish())
                self._check_sound(self._sound)
            self._start()
        finally:
            self._target.close()
        if self._pictures is None and self._sound is None:
            raise MediaError(f"no picture or sound reached {self._path}; nothing was written")

    def close(self) -> None:
        """The same after something went wrong: what was given is written as far as it can be."""
        try:
            self.finish()
        except MediaError as exc:
            log.debug("%s", exc)

    def _resolved(self, settings: PictureSettings) -> PictureSettings:
        """The settings with a codec that the file can hold."""
        codec = settings.codec
        if self._container is None and self._ending not in STILLS:
            known = ", ".join((*CONTAINERS, *STILLS))
            raise MediaError(f"{self._path}: no kind of file is known by this ending; use {known}")
        held = self._container.pictures if self._container else (STILLS[self._ending],)
        if codec != "auto" and codec not in held:
            other = next((name for name, one in CONTAINERS.items() if codec in one.pictures), "mkv")
            raise MediaError(
                f".{self._ending} files cannot hold {codec} pictures;"
                f" use codec: {held[0]}, or a name that ends in .{other}"
            )
        codec = held[0] if codec == "auto" else codec
        clear = self._container is None or codec in self._container.alpha
        settings = dataclasses.replace(settings, codec=codec, alpha=clear)
        coder_options(settings)
        return settings

    def _checked(self, settings: SoundSettings) -> SoundSettings:
        held = self._container.sound if self._container else ()
        if held and settings.codec in ("aac", "opus") and settings.codec not in held:
            raise MediaError(
                f".{self._ending} files cannot hold {settings.codec} sound; use audio: {held[0]}"
            )
        return settings

    def _opened(self) -> FileTarget:
        folder = Path(self._path).parent
        if not folder.is_dir():
            raise MediaError(f"{self._path} cannot be written: there is no folder {str(folder)!r}")
        if Path(self._path).is_dir():
            raise MediaError(f"{self._path} is a folder; name a file")
        if self._container is None:
            return PictureFiles(self._path)
        return ContainerFile(self._path, self._container)

    def _hear(self, item: Any, at: Moment) -> None:
        if self._sound is None:
            self._sound = self._sound_for(item)
        self._give("audio", self._sound.encode(item, at), at)

    def _sound_for(self, item: Any) -> FileSound:
        assert self._container is not None  # `audio` is false otherwise
        held, asked = self._container.sound, self._sound_settings.codec
        if isinstance(item, av.Packet):
            codec = item.stream.codec_context.codec.canonical_name
            if codec in held and asked in ("auto", "copy"):
                self._target.add_copy(item.stream)
                return CopiedSound(repeats=self._container.format == "matroska")
            if asked == "copy":
                raise MediaError(
                    f".{self._ending} files cannot hold {codec} sound; use audio: {held[0]}"
                )
        elif asked == "copy":
            raise MediaError(
                "the sound cannot be copied: a node works on it, or no kind of file takes it as"
                " it is; use audio: auto"
            )
        codec = asked if asked in ("aac", "opus") else held[0]
        return CodedSound(SoundEncoder(self._target.add_sound(codec), self._sound_settings.bitrate))

    def _warn_of_shape(self, aspect: Fraction) -> None:
        """PyAV cannot say the shape of pixels to Matroska, and these codecs cannot say it."""
        coded = self._settings.codec in ("vp9", "av1")
        if aspect == 1 or not coded or self._ending not in ("mkv", "webm") or "shape" in self._told:
            return
        self._told.add("shape")
        log.warning(
            "%s cannot say with %s that pixels are %d:%d, and they are shown as squares;"
            " write an mp4, or resize with `fit: stretch` to the shape that is shown",
            self._path,
            self._settings.codec,
            *(aspect.numerator, aspect.denominator),
        )

    def _check_sound(self, sound: FileSound) -> None:
        if not sound.heard:
            self.lost_tracks.append("sound")
            log.warning("%s: the sound came to nothing", self._path)

    def _left_out(self, track: str) -> bool:
        """Whether a track comes too late for the header."""
        self._late += self._started
        if self._started and track not in self._told:
            self._told.add(track)
            what = "pictures" if track == "image" else "sound"
            self.lost_tracks.append(what)
            log.warning("%s: the %s came too late and is left out", self._path, what)
        return self._started

    def _patience_over(self, at: Moment) -> bool:
        """Whether a missing track has been waited for long enough, by the time of the media."""
        if self._since is None:
            self._since = at.seconds
        held = len(self._waiting) + len(self._early)
        return abs(at.seconds - self._since) > PATIENCE_SECONDS or held > PATIENCE_ITEMS

    def _give(self, track: str, packets: list[Any], at: Moment | None = None) -> None:
        if self._started:
            self._target.write(track, packets)
            return
        self._waiting.append((track, packets))
        encoder = self._pictures
        ready = encoder is None or encoder.context.is_open
        complete = not self._missing()
        if ready and (complete or (at is not None and self._patience_over(at))):
            self._start()

    def _missing(self) -> set[str]:
        here = {"image": self._pictures, "audio": self._sound}
        return {track for track in self._expected if here[track] is None}

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        waiting, self._waiting = self._waiting, []
        for track, packets in waiting:
            self._target.write(track, packets)


PATIENCE_SECONDS: Final = 10
"""How much media may wait for a track that was announced."""

PATIENCE_ITEMS: Final = 2048
"""How many pictures and blocks of sound may wait for it."""
