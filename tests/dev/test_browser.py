"""The page in a real browser: pictures move, a slider changes them, nothing is too wide."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()

HTML: Final = "<img src=x onerror=document.title=1>"

TEXT: Final = f"""\
version: 1
params:
  brightness: {{to: look.brightness, help: "{HTML}"}}
  way: turn.direction
  caption: label.text
nodes:
  source: {{type: decode}}
  small:  {{type: resize, width: 320, height: 180}}
  turn:   {{type: flip}}
  look:   {{type: color}}
  label:  {{type: overlay_text, text: "on air"}}
  out:    {{type: encode, preset: ultrafast, keyframe_s: 0.5}}
"""

PIXELS: Final = """(kind) => {
  const video = document.getElementById(kind);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 36];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 36);
  return Array.from(context.getImageData(0, 0, 64, 36).data);
}"""
"""What a video shows now, small: 64 x 36 pixels of RGBA."""


@contextmanager
def developing(file: Path) -> Iterator[str]:
    """`byoc dev` of a file in a process of its own; gives the link."""
    command = [sys.executable, "-m", "composer", "dev", str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        try:
            said = [running.stdout.readline() for _ in range(2)]
            yield re.findall(r"http://\S+", said[1])[0]
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=20)


@contextmanager
def browsing() -> Iterator[Any]:
    api: Any = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install playwright"
    )
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Any, link: str, width: int, height: int) -> tuple[Any, list[str]]:
    """The page of this size, and what goes wrong in it."""
    page, wrong = browser.new_page(viewport={"width": width, "height": height}), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(link)
    return page, wrong


def until_it_moves(page: Any, kind: str) -> None:
    """Return when two looks at a video differ."""
    first = page.evaluate(PIXELS, kind)
    page.wait_for_function(
        f"([kind, first]) => {{ const now = ({PIXELS})(kind);"
        " return now.some((value, place) => Math.abs(value - first[place]) > 60); }",
        arg=[kind, first],
        timeout=20_000,
    )


def brightness(page: Any) -> float:
    shown = page.evaluate(PIXELS, "output")
    return float(sum(shown) / len(shown))


def dragged(page: Any, name: str) -> None:
    """Draw a slider from its middle to its right end."""
    box = page.locator(f"#param-{name}").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=8)
    page.mouse.up()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_pictures_move_and_a_slider_changes_them(width: int, height: int, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(TEXT)
    with browsing() as browser, developing(file) as link:
        page, wrong = opened(browser, link, width, height)
        for kind in ("input", "output"):
            until_it_moves(page, kind)
        assert page.url.endswith("/"), "the token is not in the address any more"
        page.locator("#param-brightness").scroll_into_view_if_needed()
        before = brightness(page)
        dragged(page, "brightness")
        page.wait_for_function(
            f"(before) => {{ const now = ({PIXELS})('output');"
            " return now.reduce((a, b) => a + b, 0) / now.length > before + 30; }",
            arg=before,
            timeout=20_000,
        )
        page.wait_for_function(
            "document.querySelector('.said').textContent.startsWith('from ')", timeout=10_000
        )
        page.fill("#param-caption", "x" * 1001)
        page.keyboard.press("Enter")
        page.wait_for_selector(".said.bad", timeout=10_000)
        assert "1000 characters" in page.locator(".said.bad").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#params .help").first.text_content() == HTML
        assert page.locator("#params img").count() == 0
        # What a browser says of an answer of 422 is no mistake of the page.
        assert [each for each in wrong if "422" not in each] == []


def test_a_save_is_seen_in_the_page(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(TEXT)
    with browsing() as browser, developing(file) as link:
        page, wrong = opened(browser, link, 1280, 900)
        until_it_moves(page, "output")
        file.write_text(TEXT.replace("type: color", "type: colour"))
        page.wait_for_selector("#problem-card", state="visible", timeout=10_000)
        said = page.locator("#problems").inner_text()
        assert "pipeline.yaml:10:18" in said
        assert "no node type 'colour'" in said
        assert page.locator("#problems pre b").inner_text() == "colour"
        until_it_moves(page, "output")
        file.write_text(TEXT.replace("type: color", "type: color, brightness: 0.3"))
        page.wait_for_selector("#problem-card", state="hidden", timeout=10_000)
        page.wait_for_function(
            "document.getElementById('reloads').textContent.includes('patched')", timeout=10_000
        )
        until_it_moves(page, "output")
        assert not wrong
