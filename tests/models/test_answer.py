from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from composer.models.answer import (
    FORMATS,
    MOST_NUMBERS,
    READERS,
    Answer,
    AnswerInvalid,
    ReadContext,
    letters_of,
    made_by,
    read,
)
from composer.models.feed import Feed, Feeder, Fit, settle
from composer.testing import picture

Bytes: TypeAlias = NDArray[np.uint8]

NAN, INF = float("nan"), float("inf")


def given(post: str, output: Any, seen: ReadContext | None = None, /, **fields: Any) -> Any:
    """What becomes of an output."""
    answer = Answer.model_validate({"post": post, **fields})
    array = output if isinstance(output, np.ndarray) else np.array(output, np.float32)
    return read(answer, array, seen or ReadContext())


def refused(post: str, output: Any, seen: ReadContext | None = None, /, **fields: Any) -> str:
    with pytest.raises(AnswerInvalid) as caught:
        given(post, output, seen, **fields)
    return str(caught.value)


def seen_of(image: Bytes, **fields: Any) -> ReadContext:
    """What is known of a picture that went in."""
    feeding = settle(Feed.model_validate(fields), None)
    _, fit = Feeder(feeding)(picture(image, "rgb24"))
    return ReadContext(feeding, fit)


def blank(width: int, height: int) -> Bytes:
    return np.zeros((height, width, 3), np.uint8)


def test_every_meaning_has_a_format_and_a_reader() -> None:
    assert FORMATS.keys() == READERS.keys() | {"detections"}


# image

COLOURS = np.array([[[255, 0, 0], [0, 128, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)
"""(2, 2, 3): the corners of an image."""


def laid_out(image: NDArray[Any], layout: str) -> NDArray[Any]:
    """(height, width, channel) as the output of a model: n and t of 1."""
    inner = [axis for axis in layout if axis not in "nt"]
    array = image.transpose(["hwc".index(axis) for axis in inner])
    for place, axis in enumerate(layout):
        if axis in "nt":
            array = np.expand_dims(array, place)
    return array


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "chw", "hwc", "nwhc", "ntchw", "nctwh"])
def test_an_image_in_any_layout(layout: str) -> None:
    output = laid_out(COLOURS / np.float32(255), layout)
    assert np.array_equal(given("image", output, layout=layout), COLOURS)


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "chw", "hwc"])
def test_the_usual_layouts_of_an_image_need_not_be_said(layout: str) -> None:
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    assert np.array_equal(given("image", laid_out(image, layout)), image)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 2, 2, 1), (1, 2, 2), (2, 2)])
def test_an_image_of_one_channel_is_grey(shape: tuple[int, ...]) -> None:
    output = (COLOURS[..., 1] / np.float32(255)).reshape(shape)
    image = given("image", output)
    assert image.shape == (2, 2, 3)
    for channel in range(3):
        assert np.array_equal(image[..., channel], COLOURS[..., 1])


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("ends", [(0, 1), (0, 255), (-1, 1), (1, 0), (-2.5, 4)])
def test_an_image_in_any_range(ends: tuple[float, float], dtype: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    output = (ends[0] + levels / 255 * (ends[1] - ends[0])).astype(dtype)
    image = given("image", output, range=ends)
    wrong = np.abs(image[..., 0].astype(int) - levels[0, 0])
    assert wrong.max() <= (0 if dtype != "float16" else 1)  # which has 11 bits for 8


def test_bytes_are_an_image_as_they_are() -> None:
    assert np.array_equal(given("image", laid_out(COLOURS, "nchw")), COLOURS)


def test_levels_are_rounded_and_cut_and_what_is_no_number_is_black() -> None:
    levels = np.array([-INF, -3, -0.001, 0.4 / 255, 0.6 / 255, 254.6 / 255, 7, INF, NAN])
    image = given("image", levels.astype(np.float32).reshape(1, 1, 1, 9))
    assert image[0, :, 0].tolist() == [0, 0, 0, 0, 1, 255, 255, 255, 0]


def test_colours_come_in_the_order_that_they_went_in() -> None:
    output = laid_out(COLOURS[..., ::-1] / np.float32(255), "nchw")
    fed_bgr = seen_of(blank(2, 2), channels="bgr")
    assert np.array_equal(given("image", output, fed_bgr), COLOURS)
    assert np.array_equal(given("image", output, channels="bgr"), COLOURS)
    assert np.array_equal(given("image", output, fed_bgr, channels="rgb"), COLOURS[..., ::-1])


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_padding_is_cut_off_an_image(scale: int) -> None:
    seen = seen_of(blank(64, 32), size=64, fit="pad")
    output = np.zeros((1, 3, 64 * scale, 64 * scale), np.float32)
    output[:, :, 16 * scale : 48 * scale] = 1
    image = given("image", output, seen)
    assert image.shape == (32 * scale, 64 * scale, 3)
    assert (image == 255).all()


def test_an_image_of_a_cropped_picture_is_the_crop() -> None:
    seen = seen_of(blank(64, 32), size=32, fit="crop")
    assert given("image", np.ones((1, 3, 32, 32), np.float32), seen).shape == (32, 32, 3)


def test_a_picture_as_thin_as_a_line_keeps_one_row() -> None:
    seen = seen_of(blank(1000, 2), size=64, fit="pad")
    output = np.zeros((1, 3, 16, 16), np.float32)
    assert given("image", output, seen).shape == (1, 16, 3)


def test_a_batch_is_read_in_its_first_picture_and_a_window_in_its_last() -> None:
    output = np.zeros((2, 3, 1, 4, 4), np.float32)
    output[0, 2] = 1
    image = given("image", output, layout="ntchw")
    assert (image == 255).all()


@pytest.mark.parametrize("post", ["image", "mask"])
@pytest.mark.parametrize(
    ("shape", "fields", "said"),
    [
        (
            (10,),
            {},
            "it cannot be told which axes of the output (10) are rows and columns;"
            " say its `layout`",
        ),
        (
            (),
            {},
            "it cannot be told which axes of the output (scalar) are rows and columns;"
            " say its `layout`",
        ),
        (
            (1, 3, 4, 8, 8),
            {},
            "it cannot be told which axes of the output (1x3x4x8x8) are rows and columns;"
            " say its `layout`",
        ),
        ((3, 8, 8), {"layout": "nhwc"}, "layout nhwc does not fit the output, which is 3x8x8"),
    ],
)
def test_outputs_that_are_neither_image_nor_mask(
    post: str, shape: tuple[int, ...], fields: dict[str, Any], said: str
) -> None:
    assert refused(post, np.zeros(shape, np.float32), **fields) == said


@pytest.mark.parametrize("channels", [2, 4, 21])
def test_an_image_has_one_or_three_channels(channels: int) -> None:
    said = f"an image has 1 or 3 channels, and the output is 1x{channels}x8x8"
    assert refused("image", np.zeros((1, channels, 8, 8), np.float32)) == said


# mask


@pytest.mark.parametrize("shape", [(1, 1, 2, 3), (1, 2, 3), (2, 3), (1, 2, 3, 1)])
def test_a_mask_is_what_the_model_gave(shape: tuple[int, ...]) -> None:
    levels = np.array([[0, 0.2, 0.5], [0.6, 1, NAN]], np.float32)
    mask = given("mask", levels.reshape(shape))
    assert mask.tolist() == [[0, 51, 128], [153, 255, 0]]
    assert mask.flags.c_contiguous


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"activation": "none"}, [0, 255, 255]),
        ({"activation": "sigmoid"}, [128, 186, 255]),
        ({"range": (0, 10)}, [0, 26, 255]),
        ({"normalize": True}, [0, 26, 255]),
        ({"normalize": True, "range": (0, 255)}, [0, 26, 255]),
    ],
    ids=str,
)
def test_what_turns_numbers_into_a_mask(fields: dict[str, Any], wanted: list[int]) -> None:
    assert given("mask", [[0, 1, 10]], **fields).tolist() == [wanted]


def test_of_several_maps_all_but_the_first_are_inside() -> None:
    maps = np.zeros((1, 3, 1, 3), np.float32)
    maps[0, :, 0] = [[9, 0, 0], [0, 9, 0], [0, 0, 9]]
    assert given("mask", maps).tolist() == [[0, 255, 255]]
    assert given("mask", maps, normalize=True).tolist() == [[0, 255, 255]]


def test_one_of_several_maps() -> None:
    maps = np.array([[[0.0, 1.0]], [[0.2, 0.0]]], np.float32)[None]
    assert given("mask", maps, channel=1).tolist() == [[51, 0]]
    assert given("mask", maps, channel=0).tolist() == [[0, 255]]
    maps = np.log(np.array([[[0.2, 0.6]], [[0.8, 0.4]]], np.float32))[None]
    assert given("mask", maps, channel=1, activation="softmax").tolist() == [[204, 102]]
    assert given("mask", maps, channel=1, activation="sigmoid").tolist() == [[113, 73]]
    assert refused("mask", maps, channel=2) == "there is no map 2: the output has 2"


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (np.array([[0, 7, 255]], np.uint8), [0, 7, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 1, 20]], np.int64), [0, 255, 255]),
    ],
    ids=["bytes", "yes and no", "numbers of classes"],
)
def test_a_mask_of_other_numbers(output: NDArray[Any], wanted: list[int]) -> None:
    assert given("mask", output[None, None]).tolist() == [wanted]


def test_one_class_of_a_map_of_their_numbers_is_a_mask() -> None:
    numbers = [[[0, 1, 15]]]
    assert given("mask", np.array(numbers, np.int64), channel=15).tolist() == [[0, 0, 255]]
    assert given("mask", np.array(numbers, np.int32), channel=0).tolist() == [[255, 0, 0]]
    assert given("mask", np.array(numbers, np.uint8), channel=1).tolist() == [[0, 255, 0]]


@pytest.mark.parametrize(
    ("shape", "size", "wanted"),
    [
        pytest.param((1, 21, 32, 64), (128, 64), (32, 64), id="channels first"),
        pytest.param((1, 32, 64, 21), (128, 64), (32, 64), id="channels last"),
        pytest.param((1, 150, 8, 16), (128, 64), (8, 16), id="more classes than rows"),
        pytest.param((1, 8, 16, 150), (128, 64), (8, 16), id="more classes than rows, last"),
        pytest.param((21, 32, 64), (128, 64), (32, 64), id="no batch"),
        pytest.param((32, 64, 21), (128, 64), (32, 64), id="no batch, channels last"),
        pytest.param((1, 5, 9, 17), (128, 64), (9, 17), id="another shape"),
        pytest.param((1, 21, 32, 64), (0, 0), (32, 64), id="nothing known"),
    ],
)
def test_maps_of_classes_lie_as_the_picture_does(
    shape: tuple[int, ...], size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert given("mask", np.zeros(shape, np.float32), ReadContext(size=size)).shape == wanted


def test_maps_that_may_lie_either_way_lie_as_the_picture_went_in() -> None:
    output = np.zeros((1, 8, 8, 8), np.float32)
    output[..., 1] = 1  # the second class everywhere, if it is the last axis
    for layout, level in (("nhwc", 255), ("nchw", 0)):
        seen = ReadContext(feeding=settle(Feed(layout=layout), None), size=(8, 8))
        assert (given("mask", output, seen) == level).all()


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_a_map_is_stretched_by_what_is_finite(odd: float) -> None:
    mask = given("mask", [[odd, 2.0, 4.0, 6.0]], normalize=True)
    assert mask.tolist() == [[255 if odd == INF else 0, 0, 128, 255]]


@pytest.mark.parametrize("level", [NAN, INF, 3.0])
def test_a_map_without_any_difference_is_outside(level: float) -> None:
    expected = 255 if level == INF else 0
    assert given("mask", [[level, level]], normalize=True).tolist() == [[expected, expected]]


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_padding_is_cut_off_a_mask(stride: int) -> None:
    seen = seen_of(blank(32, 64), size=64, fit="pad")
    output = np.zeros((1, 1, 64 // stride, 64 // stride), np.float32)
    output[..., 16 // stride : 48 // stride] = 1
    mask = given("mask", output, seen)
    assert mask.shape == (64 // stride, 32 // stride)
    assert (mask == 255).all()
    assert mask.flags.c_contiguous


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_mask_of_a_crop_has_the_shape_of_the_picture(stride: int) -> None:
    seen = seen_of(blank(64, 32), size=32, fit="crop")
    mask = given("mask", np.ones((1, 1, 32 // stride, 32 // stride), np.float32), seen)
    assert mask.shape == (32 // stride, 64 // stride)
    inside = np.zeros_like(mask)
    inside[:, 16 // stride : 48 // stride] = 255
    assert np.array_equal(mask, inside)


def test_a_mask_of_a_crop_that_does_not_fit_the_pixels_stays_inside() -> None:
    seen = ReadContext(fit=Fit(0.33, 1.0, 0.66, 0.0))
    mask = given("mask", np.ones((1, 1, 5, 5), np.float32), seen)
    assert mask.shape == (5, 15)
    assert (mask[:, 10:] == 255).all()
    assert (mask[:, :10] == 0).all()


# classes

LABELS = ("cat", "dog", "eel")


def record(output: Any, labels: tuple[str, ...] = LABELS, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = given("classes", output, ReadContext(labels=labels), **fields)
    return found


def test_logits_become_chances() -> None:
    given = record([[1.0, 3.0, 2.0]])
    assert (given["label"], given["score"]) == ("dog", 0.665241)
    assert list(given["scores"].items()) == [
        ("dog", 0.665241),
        ("eel", 0.244728),
        ("cat", 0.090031),
    ]


def test_what_is_chances_already_stays() -> None:
    assert record([[0.1, 0.2, 0.7]]) == {
        "label": "eel",
        "score": 0.7,
        "scores": {"eel": 0.7, "dog": 0.2, "cat": 0.1},
    }


@pytest.mark.parametrize(
    "chances",
    [[1.0, 0.898, 0.0], [0.2, 0.1, 0.0], [0.0, 0.0, 0.0], [1.001, 0.5, -0.001], [0.633]],
    ids=["several labels", "hardly any", "none", "rounded", "one class"],
)
def test_chances_that_do_not_sum_up_to_one_stay(chances: list[float]) -> None:
    found = record(chances)["scores"]
    assert [found[label] for label in LABELS[: len(chances)]] == chances


@pytest.mark.parametrize("activation", ["auto", "softmax", "sigmoid"])
def test_one_class_alone_is_weighed_against_none(activation: str) -> None:
    assert record([[2.0]], activation=activation)["score"] == 0.880797


@pytest.mark.parametrize(
    ("op", "post", "activation"),
    [
        ("Sigmoid", "classes", "none"),
        ("Softmax", "text", "none"),
        ("Gemm", "classes", "softmax"),
        ("LogSoftmax", "classes", "softmax"),
        ("Div", "classes", "auto"),
        ("", "classes", "auto"),
        ("Conv", "mask", "auto"),
    ],
)
def test_the_op_behind_an_output_says_whether_it_gives_chances(
    op: str, post: Any, activation: str
) -> None:
    assert made_by(Answer(post=post), op).activation == activation
    assert made_by(Answer(post=post, activation="sigmoid"), op).activation == "sigmoid"


@pytest.mark.parametrize(
    ("activation", "scores"),
    [
        ("none", {"dog": 2.0, "cat": 0.0, "eel": -1.0}),
        ("sigmoid", {"dog": 0.880797, "cat": 0.5, "eel": 0.268941}),
        ("softmax", {"dog": 0.843795, "cat": 0.114195, "eel": 0.04201}),
        ("auto", {"dog": 0.843795, "cat": 0.114195, "eel": 0.04201}),
    ],
)
def test_what_turns_numbers_into_scores(activation: str, scores: dict[str, float]) -> None:
    assert record([0.0, 2.0, -1.0], activation=activation)["scores"] == scores


def test_softmax_that_was_asked_for_is_done_to_chances_too() -> None:
    assert record([0.0, 0.0, 1.0], activation="softmax")["score"] == 0.576117


def test_classes_without_a_name_are_numbers() -> None:
    assert record([0.0, 0.0, 0.0, 9.0], activation="none")["label"] == "3"
    assert record([0.0, 1.0], labels=())["scores"] == {"1": 1.0, "0": 0.0}


def test_of_two_classes_with_one_name_the_better_one_counts() -> None:
    given = record([0.1, 0.7, 0.2], labels=("crane", "crane", "eel"))
    assert given["scores"] == {"crane": 0.7, "eel": 0.2}


def test_of_many_classes_only_the_best_are_listed() -> None:
    scores = np.zeros(101, np.float32)
    scores[[50, 3, 100]] = (0.5, 0.25, 0.125)
    given = record(scores, labels=(), activation="none", top=3)
    assert given["scores"] == {"50": 0.5, "3": 0.25, "100": 0.125}
    assert len(record(scores, labels=(), activation="none")["scores"]) == 5
    assert len(record(scores[:100], labels=(), activation="none", top=3)["scores"]) == 100


@pytest.mark.parametrize("activation", ["auto", "none", "sigmoid", "softmax"])
@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_scores_that_are_no_numbers_do_not_reach_a_record(odd: float, activation: str) -> None:
    for output in ([odd, 1.0, 2.0], [odd, odd, odd]):
        scores = record(output, activation=activation)["scores"].values()
        assert np.isfinite(list(scores)).all()
    assert record([NAN, 1.0, 2.0], activation=activation)["label"] == "eel"


def test_a_model_that_chooses_the_class_itself() -> None:
    assert given("classes", np.array([[2]], np.int64), ReadContext(labels=LABELS)) == {
        "label": "eel",
        "score": 1.0,
        "scores": {"eel": 1.0},
    }


def test_no_classes_at_all() -> None:
    assert refused("classes", np.zeros((1, 0), np.float32)) == "the output is empty"


# embedding


def test_an_embedding_is_a_list_of_numbers() -> None:
    assert given("embedding", [[1.0, -2.0, 2.0]]) == {"embedding": [1.0, -2.0, 2.0]}
    assert given("embedding", [[1.0, -2.0, 2.0]], normalize=True) == {
        "embedding": [0.333333, -0.666667, 0.666667]
    }


def test_an_embedding_without_length_stays_as_it_is() -> None:
    assert given("embedding", [0.0, 0.0], normalize=True) == {"embedding": [0.0, 0.0]}


def test_an_embedding_has_no_number_that_json_could_not_hold() -> None:
    numbers = given("embedding", [NAN, INF, 1.0])["embedding"]
    assert np.isfinite(numbers).all()
    assert (numbers[0], numbers[2]) == (0.0, 1.0)


def test_an_embedding_is_no_picture() -> None:
    assert len(given("embedding", np.zeros(MOST_NUMBERS))["embedding"]) == MOST_NUMBERS
    said = "an embedding has at most 65536 numbers, got 65537"
    assert refused("embedding", np.zeros(MOST_NUMBERS + 1)) == said


# text

LETTERS = ("a", "b", "c")


def steps(path: str, *, sure: float = 0.9) -> NDArray[np.float32]:
    """(1, steps, 4): the class of each step, as a digit; the other classes share the rest."""
    output = np.full((1, len(path), 4), (1 - sure) / 3, np.float32)
    output[0, range(len(path)), [int(each) for each in path]] = sure
    return output


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("123", "abc"),
        ("0102030", "abc"),
        ("1111", "a"),
        ("11011", "aa"),
        ("1212", "abab"),
        ("0000", ""),
        ("1", "a"),
        ("0330", "c"),
    ],
)
def test_text_without_repeats_and_blanks(path: str, text: str) -> None:
    assert given("text", steps(path), ReadContext(labels=LETTERS))["text"] == text


def test_the_score_of_a_text_is_the_mean_of_its_letters() -> None:
    output = np.concatenate([steps("01", sure=1.0), steps("02", sure=0.5)], 1)
    assert given("text", output, ReadContext(labels=LETTERS)) == {"text": "ab", "score": 0.75}
    assert given("text", steps("00"), ReadContext(labels=LETTERS)) == {"text": "", "score": 0.0}


def test_the_score_of_a_text_is_a_chance_where_the_model_gives_logits() -> None:
    chances = steps("01", sure=0.7)
    assert given("text", np.log(chances), ReadContext(labels=LETTERS)) == {
        "text": "a",
        "score": 0.7,
    }


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 1, 4), (3, 4)])
def test_text_wherever_the_batch_of_one_is(shape: tuple[int, ...]) -> None:
    assert given("text", steps("120").reshape(shape), ReadContext(labels=LETTERS))["text"] == "ab"


@pytest.mark.parametrize(
    ("labels", "letters"),
    [
        (("-", "a", "b", " "), ["-", "a", "b", " "]),
        (("a", "b", " "), ["", "a", "b", " "]),
        (("a", "b"), ["", "a", "b", " "]),
    ],
    ids=["with the blank", "without the blank", "without blank and space"],
)
def test_the_labels_may_leave_out_blank_and_space(
    labels: tuple[str, ...], letters: list[str]
) -> None:
    assert list(letters_of(labels, 4)) == letters
    assert given("text", steps("1032"), ReadContext(labels=labels))["text"] == "a b"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_labels_of_another_length_are_those_of_another_model(count: int) -> None:
    said = f"the output has 4 characters, and `labels` has {count}"
    assert refused("text", steps("12"), ReadContext(labels=("a",) * count)) == said


@pytest.mark.parametrize("odd", [NAN, INF])
def test_a_text_has_a_score_that_json_can_hold(odd: float) -> None:
    output = steps("12")
    output[0, 0, 1] = odd
    assert np.isfinite(given("text", output, ReadContext(labels=LETTERS))["score"])


def test_no_steps_are_no_text() -> None:
    output = np.zeros((1, 0, 4), np.float32)
    assert given("text", output, ReadContext(labels=LETTERS)) == {"text": "", "score": 0.0}


# raw


def test_raw_is_the_output_itself() -> None:
    output = np.arange(6).reshape(1, 2, 3)
    assert given("raw", output) is output


# settings


@pytest.mark.parametrize(
    "fields",
    [
        {"post": "boxes"},
        {"port": "two words"},
        {"port": "1st"},
        {"layout": "hw"},
        {"range": (0, 0)},
        {"channel": -1},
        {"top": 0},
        {"top": 101},
        {"activation": "relu"},
        {"colour": "rgb"},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_given(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Answer.model_validate(fields)
    assert [error["loc"] for error in caught.value.errors()] == [tuple(fields)]
