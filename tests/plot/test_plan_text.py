from dataclasses import replace
from pathlib import Path

from composer import Node, Record
from composer.compiler.plan import Mode
from composer.plot import plan_text
from nodes.onnx import Onnx
from tests import networks
from tests.stubs import plan_of

PLAN = plan_of(
    """\
params: {level: a.level, on: {type: bool, default: true}}
nodes:
  s: {type: count}
  a: {type: pass, when: on, level: 3}
  p: {type: paint}
  f: {type: model, in: p}
  t: {type: tint, concurrency: 2, in: p}
  b: {type: blur, in: {image: t, regions: f}, queue: 9}
  o: {type: collect}
"""
)


def test_the_plan_as_text() -> None:
    assert plan_text.text(PLAN) == (
        "p.yaml: 7 nodes, 6 stages, 2 conversions, 1 copy\n"
        "\n"
        "stage s\n"
        "  s (count): yuv420p\n"
        "\n"
        "stage a\n"
        "  inbox image: 4 wait from s.image\n"
        "  a (pass): yuv420p -> yuv420p\n"
        "      with when: on\n"
        "  p (paint): yuv420p -> yuv420p\n"
        "      copies image before it writes\n"
        "  p:rgb24array (convert): yuv420p -> rgb24 array\n"
        "\n"
        "stage f\n"
        "  inbox image: 4 wait from p:rgb24array.out\n"
        "  f (model): rgb24 array -> detections\n"
        "\n"
        "stage t  x2\n"
        "  inbox image: 4 wait from p:rgb24array.out\n"
        "  t (tint): rgb24 array -> rgb24 array\n"
        "\n"
        "stage t:yuv420p\n"
        "  inbox in: 9 wait from t.image\n"
        "  t:yuv420p (convert): rgb24 array -> yuv420p\n"
        "\n"
        "stage b\n"
        "  inbox image: 9 wait from t:yuv420p.out\n"
        "  inbox regions: 9 wait from f.detections\n"
        "  b (blur): yuv420p, detections -> yuv420p\n"
        "  o (collect): yuv420p\n"
        "\n"
        "params\n"
        "  level = 3.0 -> a.level (live)\n"
        "  on = True -> when (live)\n"
    )


def test_boxes_and_arrows() -> None:
    boxes = {box.name: box for box in plan_text.boxes(PLAN)}
    assert {name: box.kind for name, box in boxes.items()} == {
        "s": "source",
        "a": "node",
        "p": "node",
        "p:rgb24array": "convert",
        "f": "node",
        "t": "node",
        "t:yuv420p": "convert",
        "b": "node",
        "o": "sink",
    }
    assert boxes["a"].group == boxes["p"].group == "a"
    assert boxes["s"].group == ""
    arrows = plan_text.arrows(PLAN)
    assert len(arrows) == len(PLAN.links)


class Keep(Node):
    def process(self, record: Record) -> None:
        """Nothing."""


def test_a_model_says_where_it_runs_and_how_large_it_is(tmp_path: Path) -> None:
    networks.write(tmp_path, "m.onnx", networks.brightest("N"))
    plan = plan_of(
        "nodes: {s: {type: count}, m: {type: onnx, model: m.onnx, post: classes, device: cpu,"
        " batch: {max: 4, delay_ms: 2}}, o: {type: keep}}",
        Mode.LIVE,
        tmp_path,
        onnx=Onnx,
        keep=Keep,
    )
    assert "      on cpu, up to 4 at once, 2 ms\n" in plan_text.text(plan)


def test_options_are_shown_as_a_file_has_them() -> None:
    plan = plan_of(
        "params: {on: {type: bool, default: true}}\n"
        "nodes: {s: {type: count}, a: {type: pass, every: 2, else: drop, when: on, queue: 3},"
        " b: {type: pass, every: 1, when: false}, o: {type: collect}}"
    )
    assert "  a (pass): yuv420p -> yuv420p\n      with when: on, every: 2, else: drop\n" in (
        plan_text.text(plan)
    )
    assert "  b (pass): yuv420p -> yuv420p\n      with when: false\n" in plan_text.text(plan)


def test_it_says_where_alpha_is_lost() -> None:
    lost = replace(PLAN.steps["s"], stored="rgba")
    plan = replace(PLAN, steps={**PLAN.steps, "s": lost})
    assert "      alpha is lost here\n" not in plan_text.text(PLAN)
    assert "(count): yuv420p\n      alpha is lost here\n" in plan_text.text(plan)


def test_it_says_where_sound_is_encoded() -> None:
    copied = plan_of("nodes: {s: {type: decode}, o: {type: encode}}", Mode.LIVE)
    assert "sound is encoded" not in plan_text.text(copied)
    volume = "{s: {type: decode}, v: {type: volume, in: s.audio}, a: {type: pass, in: s}, "
    changed = plan_of(f"nodes: {volume} o: {{type: encode}}}}", Mode.LIVE)
    assert "o (encode): yuv420p, samples\n      sound is encoded here" in plan_text.text(changed)
