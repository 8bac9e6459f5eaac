"""What lies between two plans."""

from pathlib import Path

import pytest

from composer.compiler import change
from composer.compiler.change import Change
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode, Plan
from composer.node.registry import Registry
from tests.compiler.plans import nodes

FILE = """\
version: 1
params: {{level: tint.brightness}}
nodes:
  source: {{type: decode}}
  tint: {{type: color, brightness: {level}}}
  small: {{type: resize, width: {width}, height: 90}}
{more}  out: {{type: encode, preset: {preset}}}
"""


def plan(
    folder: Path,
    level: float = 0,
    width: int = 160,
    preset: str = "",
    more: str = "",
    head: str = "",
) -> Plan:
    file = folder / "pipeline.yaml"
    preset = preset or "ultrafast"
    file.write_text(head + FILE.format(level=level, width=width, preset=preset, more=more))
    return plan_of(compile_file(file, Registry.installed()), Mode.LIVE)


def test_nothing(tmp_path: Path) -> None:
    found = change.between(plan(tmp_path), plan(tmp_path))
    assert found.nothing
    assert found == Change()


def test_a_live_value_alone(tmp_path: Path) -> None:
    found = change.between(plan(tmp_path), plan(tmp_path, level=0.5))
    assert found.only_live
    assert found.values == {"tint": {"brightness": 0.5}}


@pytest.mark.parametrize(
    ("options", "built"),
    [
        pytest.param({"width": 320}, ("small",), id="what setup() reads, and the size behind it"),
        pytest.param({"preset": "superfast"}, ("out",), id="a fixed field"),
        pytest.param({"more": "  turn: {type: flip}\n"}, ("turn",), id="a node more"),
    ],
)
def test_nodes_that_are_built_anew(
    tmp_path: Path, options: dict[str, object], built: tuple[str, ...]
) -> None:
    found = change.between(plan(tmp_path), plan(tmp_path, **options))  # type: ignore[arg-type]
    assert found.built == built
    assert not found.only_live


def test_a_node_less(tmp_path: Path) -> None:
    found = change.between(plan(tmp_path, more="  turn: {type: flip}\n"), plan(tmp_path))
    assert (found.built, found.gone) == ((), ("turn",))


def test_a_decoder_goes_on_where_only_its_layout_changes(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text(
        "from composer import RGB, Node\n\n\nclass Same(Node):\n"
        "    def process(self, image: RGB) -> RGB:\n        return image\n"
    )
    head = "version: 1\nnodes:\n  source: {type: decode}\n"
    file = tmp_path / "pipeline.yaml"

    def made(more: str) -> Plan:
        file.write_text(f"{head}{more}  out: {{type: encode}}\n")
        return plan_of(compile_file(file, Registry.installed()), Mode.LIVE)

    found = change.between(made(""), made("  same: {type: ./nodes.py:Same}\n"))
    assert found.built == ("same",)


def test_both_ends_go_on_where_a_node_comes_that_takes_sound(tmp_path: Path) -> None:
    same = "  turn: {type: flip, in: small}\n"
    before = plan(tmp_path, more=same)
    assert str(before.steps["source"].outputs["audio"]) == "coded packet"
    after = plan(tmp_path, more="  loud: {type: gain, in: source.audio}\n" + same)
    assert str(after.steps["source"].outputs["audio"]) == "samples"
    assert change.between(before, after).built == ("loud",)
    assert change.between(after, before).built == ()


def test_a_file_that_was_written_builds_the_nodes_that_read_it(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"")
    text = "  logo: {type: overlay_image, path: logo.png}\n"
    both = plan(tmp_path, more=text), plan(tmp_path, more=text)
    assert change.between(*both).nothing
    assert change.between(*both, touched={logo.resolve()}).built == ("logo",)
    assert logo.resolve() in change.files_of(both[0].steps["logo"])


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        pytest.param("every: 2", "every: 3", True, id="another value"),
        pytest.param("", "every: 1, on_error: fail, in: s", False, id="written as it is anyway"),
        pytest.param("queue: 4", "queue: 5", True, id="another inbox"),
        pytest.param("", "when: true", False, id="a condition that always holds"),
    ],
)
def test_options_move_a_plan_where_they_come_to_something_else(
    before: str, after: str, *, moved: bool
) -> None:
    old, new = (
        nodes(f"s: {{type: count}}, a: {{type: pass, {text}}}, o: {{type: collect}}")
        for text in (before, after)
    )
    assert change.between(old, new).moved is moved


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_where_sessions_run_is_a_change_of_its_own(tmp_path: Path, isolation: str) -> None:
    found = change.between(plan(tmp_path), plan(tmp_path, head=f"isolation: {isolation}\n"))
    assert found == Change(moved=True)
