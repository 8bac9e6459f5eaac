"""Where packets go: one file of a container, or a row of picture files."""

import re
from pathlib import Path
from typing import Any, Final, Protocol

import av

from composer.errors import MediaError
from composer.media.coders import PictureSettings
from composer.media.containers import open_output
from composer.media.file_kinds import FileKind


class FileTarget(Protocol):
    """Where packets go: a container, or a row of picture files.

    unwritten: packets that came when it was full.
    """

    unwritten: int

    def add_pictures(self, settings: PictureSettings) -> Any:
        """The encoder's context for the pictures, not open."""

    def add_sound(self, codec: str) -> Any:
        """The encoder's context for the sound, not open."""

    def add_copy(self, stream: Any) -> None:
        """A track for packets of this one."""

    def write(self, track: str, packets: list[Any]) -> None: ...

    def close(self) -> None: ...

    @property
    def full(self) -> bool:
        """Whether it takes no more pictures."""


class ContainerFile:
    """One file of any kind in CONTAINERS. It is made when the first packet is written."""

    full, unwritten = False, 0

    def __init__(self, path: str, container: FileKind) -> None:
        self._path = path
        self._tracks: dict[str, Any] = {}
        self._file: Any = open_output(path, container.format, container.options)

    def add_pictures(self, settings: PictureSettings) -> Any:
        self._tracks["image"] = self._file.add_stream(settings.coder.name)
        return self._tracks["image"].codec_context

    def add_sound(self, codec: str) -> Any:
        self._tracks["audio"] = self._file.add_stream("libopus" if codec == "opus" else codec)
        return self._tracks["audio"].codec_context

    def add_copy(self, stream: Any) -> None:
        self._tracks["audio"] = self._file.add_stream_from_template(stream)

    def write(self, track: str, packets: list[Any]) -> None:
        stream = self._tracks[track]
        try:
            for packet in packets:
                packet.stream = stream
                self._file.mux_one(packet)
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc
        except av.FFmpegError as exc:
            raise MediaError(f"{self._path}: this kind of file cannot hold the {track}") from exc

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc


class PictureFiles:
    """One file per picture; `%03d` in the path is its number from 1. Without one: the first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = self.unwritten = 0

    def add_pictures(self, settings: PictureSettings) -> Any:
        return av.CodecContext.create(settings.coder.name, "w")

    def add_sound(self, codec: str) -> Any:
        raise NotImplementedError

    def add_copy(self, stream: Any) -> None:
        raise NotImplementedError

    def write(self, track: str, packets: list[Any]) -> None:
        for packet in packets:
            if self.full:  # the encoder may hold some when the first comes
                self.unwritten += 1
                continue
            path = self._numbered(self._written + 1)
            try:
                Path(path).write_bytes(bytes(packet))
            except OSError as exc:
                raise _unwritable(path, exc) from exc
            self._written += 1

    def close(self) -> None:
        """Every file is closed already."""

    @property
    def full(self) -> bool:
        return self._written > 0 and not _NUMBER.search(self._path)

    def _numbered(self, number: int) -> str:
        return _NUMBER.sub(lambda match: match[0] % number, self._path, count=1)


_NUMBER: Final = re.compile(r"%0?\d{0,2}d")


def _unwritable(path: str, exc: OSError) -> MediaError:
    return MediaError(f"{path} cannot be written: {exc.strerror or exc}")
