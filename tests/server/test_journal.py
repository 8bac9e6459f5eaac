"""The folder in which a worker keeps its sessions."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from composer.errors import SettingsInvalid
from composer.server import journal as journals
from composer.server.journal import Journal
from composer.session.channels import Channels
from composer.session.session_record import SessionRecord
from tests import stubs
from tests.server.streams import ran

RECORD = SessionRecord("cap", "cam1", Channels(control="http://c/secret"), params={"a": 1})


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[Journal]:
    """A journal that writes."""
    journal = Journal(folder)
    journal.open()
    journal.take()
    writing = asyncio.ensure_future(journal.run())
    try:
        yield journal
    finally:
        writing.cancel()
        await journal.close()


def left(folder: Path) -> list[SessionRecord]:
    journal = Journal(folder)
    journal.open()
    return journal.left()


def test_what_is_noted_is_there_for_the_next_process_and_gone_with_its_session(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "deep" / "state"
    now: SessionRecord | None = RECORD

    async def test() -> None:
        nonlocal now
        async with kept(folder) as journal:
            journal.note(RECORD.key, lambda: now)
            now = replace(RECORD, params={"a": 2})  # what is newest is written
            await journal.settled()
            assert left(folder) == [now]
            now = replace(now, next_input=7)
            journal.note(RECORD.key, lambda: now)
            await journal.settled()
            assert left(folder) == [now]
            now = None
            journal.note(RECORD.key, lambda: now)
        assert left(folder) == []

    ran(test)


def test_what_is_being_written_is_waited_for_and_what_is_noted_meanwhile_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, allowed = threading.Event(), threading.Event()
    replaced = journals._replace

    def replacing(path: Path, text: bytes, *, durable: bool) -> None:
        reached.set()
        stubs.reach(allowed)
        replaced(path, text, durable=durable)

    monkeypatch.setattr(journals, "_replace", replacing)

    async def test() -> None:
        async with kept(tmp_path) as journal:
            journal.note(RECORD.key, lambda: RECORD)
            await asyncio.to_thread(stubs.reach, reached)
            first = asyncio.ensure_future(journal.settled())
            await asyncio.sleep(0)
            assert not first.done()  # though nothing is noted that is not being written
            other = replace(RECORD, name="cam2")
            journal.note(other.key, lambda: other)
            second = asyncio.ensure_future(journal.settled())
            allowed.set()
            await first
            await second
            assert {record.name for record in left(tmp_path)} == {"cam1", "cam2"}

    ran(test)


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    before = os.umask(0)

    async def test() -> None:
        async with kept(folder) as journal:
            journal.note(RECORD.key, lambda: RECORD)
            await journal.settled()

    try:
        ran(test)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.iterdir())
    assert len(files) == 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_folder_has_one_worker(tmp_path: Path) -> None:
    holds = (
        "import sys; from pathlib import Path; from composer.server.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.open(); journal.take()\n"
        "print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"has it\n"
        journal = Journal(tmp_path)
        journal.open()
        with pytest.raises(SettingsInvalid, match="another worker keeps its streams in"):
            journal.take()
        other.kill()
        other.wait()
        journal.take()


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(SettingsInvalid, match="is somebody else's"):
        Journal(tmp_path).open()


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match=r"--state \(BYOC_STATE\): .*File exists"):
        Journal(tmp_path / "file").open()


def test_what_cannot_be_read_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{RECORD.key}.json").write_bytes(RECORD.text())
    (tmp_path / f"{'0' * 32}.json").write_bytes(RECORD.text()[:-5])  # a power cut
    (tmp_path / f"{'1' * 32}.json").write_bytes(replace(RECORD, version=9).text())
    (tmp_path / f".{'2' * 32}.new").write_bytes(b"{")
    (tmp_path / "notes.json").write_bytes(b"{}")
    assert left(tmp_path) == [RECORD]
    assert sorted(path.name for path in tmp_path.glob("*.json")) == sorted(
        (f"{RECORD.key}.json", "notes.json")
    )
    assert not list(tmp_path.glob(".*.new"))
    assert "is no record of a session" in caplog.text
    assert "is of version 9" in caplog.text
    assert "secret" not in caplog.text


def test_a_disk_that_fails_costs_no_session_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    replaced = journals._replace

    def replacing(path: Path, text: bytes, *, durable: bool) -> None:
        if full:
            raise OSError(28, "No space left on device")
        replaced(path, text, durable=durable)

    monkeypatch.setattr(journals, "_replace", replacing)

    async def test() -> None:
        nonlocal full
        journal = Journal(tmp_path)
        journal.open()
        journal.note(RECORD.key, lambda: RECORD)
        for _ in range(3):
            await journal.write()
        assert journal.failing == "No space left on device"
        assert caplog.text.count("cannot be kept") == 1
        full = False
        await journal.write()
        assert (journal.failing, left(tmp_path)) == ("", [RECORD])
        await journal.close()

    ran(test)


def test_where_a_session_is_in_its_channels_is_not_worth_a_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    clock = 0.0
    large = replace(RECORD, params={"logo": "x" * journals.LARGE_BYTES})

    async def test() -> None:
        nonlocal clock
        journal = Journal(tmp_path, lambda: clock)
        journal.open()

        async def written(record: SessionRecord) -> list[SessionRecord]:
            journal.note(record.key, lambda: record)
            await journal.write()
            return left(tmp_path)

        await written(RECORD)
        assert len(synced) == 2  # the file, and its name
        assert await written(replace(RECORD, next_input=1)) == [replace(RECORD, next_input=1)]
        assert len(synced) == 2
        assert await written(large) == [large]
        assert len(synced) == 4
        assert await written(replace(large, next_input=2)) == [large]
        clock += journals.LARGE_SECONDS
        assert await written(replace(large, next_input=3)) == [replace(large, next_input=3)]
        await journal.close()

    ran(test)


def test_it_says_when_its_worker_lived_last(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.open()
    assert first.alive_at == 0.0
    os.utime(tmp_path / journals.LOCK, (1000.0, 1000.0))
    second = Journal(tmp_path)
    second.open()
    assert second.alive_at == 1000.0

    async def test() -> None:
        third = Journal(tmp_path)
        third.open()
        await third.write()
        await third.close()

    ran(test)
    assert (tmp_path / journals.LOCK).stat().st_mtime > 1000.0
