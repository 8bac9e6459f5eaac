"""Params as others are told of them."""

import json
from typing import Any

import pytest

from composer import YUV, Live, Node, strictjson
from composer.session.told import Told
from tests.server.streams import ran, serving

TEXT = (
    "params: {words: label.text}\n"
    "nodes: {source: {type: decode}, label: {type: note}, out: {type: encode}}"
)

LONG = "0123456789" * 200_000


class Note(Node):
    text: str = Live("")

    def process(self, image: YUV) -> YUV:
        return image


def test_what_is_long_is_cut_once_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Any] = []
    brief = strictjson.brief

    def counted(value: Any) -> Any:
        cut.append(value)
        return brief(value)

    monkeypatch.setattr(strictjson, "brief", counted)
    told, logo = Told(), "x" * 100_000
    for _ in range(3):
        assert told.of({"logo": logo, "size": 3}) == {"logo": brief(logo), "size": 3}
    assert [value for value in cut if value is logo] == [logo]
    assert told.of({"logo": "y" + logo}) == {"logo": brief("y" + logo)}
    assert told.of({"logo": "short"}) == {"logo": "short"}
    assert told.of({"logo": logo}) == {"logo": brief(logo)}


def test_a_long_param_holds_and_is_told_in_brief_everywhere() -> None:
    """Else each event of its state would cost what the change did."""
    brief = strictjson.brief(LONG)

    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage:
            stream = await stage.start(params={"words": LONG})
            assert stream.answer["current_state"]["params"] == {"words": brief}
            assert stage.sessions[stream.name].changes.params() == {"words": LONG}
            _, answer = await stream.params({"words": LONG + "1"})
            assert answer["params"] == {"words": strictjson.brief(LONG + "1")}
            await stream.until(lambda: "params_updated" in stream.kinds())
            _, state = await stage.get("/stream/status")
            assert state["current_params"]["words"].startswith("0123456789")
            assert len(json.dumps(state)) < 5000
            assert max(len(json.dumps(event)) for event in stream.events) < 5000

    ran(test)
