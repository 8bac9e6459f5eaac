"""A graph as Mermaid text."""

from composer.plot import mermaid
from composer.plot.drawing import Arrow, GraphBox
from tests.plot.graphs import PICTURE, chain


def test_mermaid_of_a_small_graph() -> None:
    boxes = [
        GraphBox("camera", "webrtc_in", ("width 1280",), "source"),
        GraphBox("to_rgb", "convert", (), "convert", "gpu 0"),
        GraphBox("end", "region_blur", (), "node", "gpu 0"),
        GraphBox("out", "out", (), "sink"),
    ]
    arrows = [
        Arrow("camera", "to_rgb", PICTURE, "image"),
        Arrow("to_rgb", "end", "rgb f16", "image"),
        Arrow("end", "out", "", "image"),
        Arrow("camera", "out", "s16 48 kHz", "sound", "audio"),
        Arrow("end", "out", "faces", "meta", "data"),
    ]
    assert mermaid.flowchart(boxes, arrows, 'Blur "faces"') == (
        "---\n"
        'title: "Blur \\"faces\\""\n'
        "---\n"
        "flowchart LR\n"
        '    n0(["<b>camera</b><br/>webrtc_in<br/>width 1280"]):::source\n'
        '    n3(["<b>out</b>"]):::sink\n'
        '    subgraph g1["gpu 0"]\n'
        '        n1["<b>to_rgb</b><br/>convert"]:::convert\n'
        '        n2("<b>end</b><br/>region_blur"):::node\n'
        "    end\n"
        '    n0 -->|"yuv420p 1280x720"| n1\n'
        '    n1 -->|"rgb f16"| n2\n'
        '    n2 -->|"image"| n3\n'
        '    n0 -.->|"s16 48 kHz<br/>sound"| n3\n'
        '    n2 -->|"faces<br/>meta"| n3\n'
        "    classDef source fill:#e9f7ef,stroke:#36a269,color:#1b2330\n"
        "    classDef node fill:#eef3fe,stroke:#5b84d7,color:#1b2330\n"
        "    classDef sink fill:#fef1e6,stroke:#dd8638,color:#1b2330\n"
        "    classDef convert fill:#f8f9fb,stroke:#98a2b3,color:#475467,stroke-dasharray:4 3\n"
        "    linkStyle 3 stroke:#0d9488\n"
        "    linkStyle 4 stroke:#b054c4\n"
    )


def test_mermaid_escapes_what_it_would_read_as_syntax() -> None:
    box = GraphBox('a"]\n%%;', "`x`", ("<b>#35;|",))
    assert '["' not in mermaid.flowchart([box], []).replace('n0("', "")
    assert (
        'n0("<b>a#34;#93; #37;#37;#59;</b><br/>#96;x#96;<br/>#60;b#62;#35;35#59;#124;"):::node'
        in mermaid.flowchart([box], [])
    )


def test_a_long_chain_runs_down_in_mermaid() -> None:
    assert mermaid.flowchart(*chain(12)).startswith("flowchart TB\n")
