from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from numpy.typing import NDArray

from composer.pictures import text
from composer.pictures.text import Face, Look

DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def face(size: int = 40) -> Face:
    return text.open_face(None).sized(size)


def drawn(block: text.Block, at: Face, look: Look) -> NDArray[np.uint8]:
    left, top, right, bottom = text.bounds(block, look)
    return text.draw(block, at, look, (0, 0, right - left, bottom - top))


def inked(rgba: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The box around everything that is not clear."""
    rows, columns = np.nonzero(rgba[..., 3].any(1))[0], np.nonzero(rgba[..., 3].any(0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("words", ["LIVE", "goodbye", "0:00", "É à", "two\nlines", "a\n\nb"])
def test_a_block_is_as_large_as_its_ink(words: str) -> None:
    block = text.lay(words, face())
    rgba = drawn(block, face(), Look())
    assert (block.width, block.height) == (rgba.shape[1], rgba.shape[0])
    assert np.abs(np.subtract(inked(rgba), (0, 0, block.width, block.height))).max() <= 1


@pytest.mark.parametrize("size", [7, 36, 200])
@pytest.mark.parametrize("outline", [1, 3, 11])
def test_an_outline_stays_inside_of_the_bounds(size: int, outline: int) -> None:
    at = face(size)
    for words in ("WAVE", "jgy!", "8", "MW"):
        block = text.lay(words, at)
        (piece,) = block.pieces
        canvas = PIL.Image.new("L", (2000, 600))
        PIL.ImageDraw.Draw(canvas).text(
            (200, 300),
            words,
            fill=255,
            font=at.font,
            anchor="ls",
            stroke_width=outline,
            stroke_fill=255,
        )
        free = np.asarray(canvas)
        left, top, right, bottom = text.grown(at.measure(piece.text)[1], outline)
        inside = free[300 + top : 300 + bottom, 200 + left : 200 + right]
        assert inside.sum(dtype=int) == free.sum(dtype=int)
        reached = np.count_nonzero(drawn(block, at, Look(outline=outline))[..., 3])
        if words.isdigit():
            # A digit stands in the middle of a 0's room, between pixels, and so touches more.
            assert reached >= np.count_nonzero(free)
        else:
            assert reached == np.count_nonzero(free)


def test_letters_of_a_line_are_drawn_as_pillow_draws_them() -> None:
    block = text.lay("Wavy AV", face())
    (piece,) = block.pieces
    canvas = PIL.Image.new("L", (block.width, block.height))
    PIL.ImageDraw.Draw(canvas).text(
        (piece.x, piece.y), "Wavy AV", fill=255, font=face().font, anchor="ls"
    )
    assert (drawn(block, face(), Look())[..., 3] == np.asarray(canvas)).all()


def test_digits_stand_where_they_stand_in_a_whole_line() -> None:
    block = text.lay("9 to 17", face())
    assert [piece.text for piece in block.pieces] == ["9", " to ", "1", "7"]
    for piece, before in zip(block.pieces, ("", "9", "9 to ", "9 to 1"), strict=True):
        assert abs(piece.x - block.pieces[0].x - face().font.getlength(before)) <= 1


def test_a_running_clock_stands_still() -> None:
    blocks = [text.lay(f"0:00:{second:02}", face(), "right") for second in range(60)]
    assert len({(block.width, block.height) for block in blocks}) == 1
    assert len({block.pieces[0].x for block in blocks}) == 1


@pytest.mark.parametrize(("align", "share"), [("left", 0), ("center", 0.5), ("right", 1)])
def test_short_lines_are_aligned_to_the_longest(align: text.Align, share: float) -> None:
    long, short = text.lay("HHHHHHHH\nH", face(), align).pieces
    free = (long.ink[2] - long.ink[0]) - (short.ink[2] - short.ink[0])
    assert abs((short.ink[0] - long.ink[0]) - free * share) <= 1


def test_spacing_moves_lines_apart() -> None:
    near, far = text.lay("H\nH", face()), text.lay("H\nH", face(), spacing=15)
    assert far.height == near.height + 15


def test_font_edges_do_not_depend_on_the_letters() -> None:
    heights = {text.lay(words, face(), edges="font").height for words in ("ace", "Ågp", "...")}
    baselines = {text.lay(words, face(), edges="font").pieces[0].y for words in ("ace", "Ågp")}
    assert heights == {sum(face().font.getmetrics())}
    assert baselines == {face().font.getmetrics()[0]}


@pytest.mark.parametrize("words", ["", "  ", "\n\n", "\r\x00"])
def test_text_without_ink_gives_nothing(words: str) -> None:
    block = text.lay(words, face())
    assert block == text.Block()
    assert text.bounds(block, Look(padding=5)) == (0, 0, 0, 0)


def test_control_characters_are_left_out_and_tabs_are_spaces() -> None:
    assert text.lay("a\tb\r\x07", face()) == text.lay("a    b", face())


def test_layers_lie_on_each_other() -> None:
    look = Look(
        color=(255, 255, 255, 255),
        outline=3,
        outline_color=(0, 0, 0, 255),
        padding=10,
        box_color=(10, 200, 30, 128),
    )
    rgba = drawn(text.lay("I", face(80)), face(80), look)
    height, width = rgba.shape[:2]
    assert rgba[0, 0].tolist() == rgba[-1, -1].tolist() == [10, 200, 30, 128]
    assert rgba[height // 2, width // 2].tolist() == [255, 255, 255, 255]
    assert rgba[height // 2, 11].tolist() == [0, 0, 0, 255]


def test_colours_have_alpha() -> None:
    rgba = drawn(text.lay("I", face(80)), face(80), Look(color=(255, 0, 0, 100)))
    assert rgba[rgba.shape[0] // 2, rgba.shape[1] // 2].tolist() == [255, 0, 0, 100]


def test_a_part_is_what_the_whole_shows_there() -> None:
    look = Look(outline=2, padding=6)
    block = text.lay("Part 12\nof it", face())
    whole = drawn(block, face(), look)
    part = text.draw(block, face(), look, (13, 9, 57, 41))
    assert (part == whole[9:41, 13:57]).all()


def test_a_very_long_line_is_cut() -> None:
    block = text.lay("W" * 1000, face(1000))
    assert 15_000 < block.width <= text.LONGEST


def test_masks_of_large_letters_are_not_kept() -> None:
    large = face(1000)
    large.mask("8", 0)
    small = face(40)
    small.mask("8", 0)
    assert large.kept == 0
    assert small.kept == 1


@pytest.mark.skipif(not DEJAVU.exists(), reason="needs a font file")
def test_a_font_file_is_used_at_any_size(tmp_path: Path) -> None:
    copy = tmp_path / "font.ttf"
    copy.write_bytes(DEJAVU.read_bytes())
    opened = text.open_face(copy)
    copy.unlink()
    assert opened.sized(50).font.getname()[0] == "DejaVu Sans"
    assert text.lay("H", opened.sized(80)).height == pytest.approx(58, abs=2)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_bytes(b"not a font")
    with pytest.raises(ValueError, match=r"a\.ttf is not a TTF or OTF font"):
        text.open_face(tmp_path / "a.ttf")
