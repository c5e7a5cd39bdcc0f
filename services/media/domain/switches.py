"""Switches that stand one way for good: what is behind them is linked directly. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.media.domain.graph import Node, link_of

_SWITCH = "ComfySwitchNode"
_ON, _OFF = "on_true", "on_false"


def without_switches(nodes: Mapping[str, Node]) -> tuple[dict[str, Node], list[str]]:
    """Return the graph without its switches, and those that were taken out.

    A switch that another node turns stays; so does one whose chosen side is not there.
    """
    found = dict(nodes)
    gone: list[str] = []
    for key, node in nodes.items():
        turned = _turned(found[key].inputs.get("switch"), nodes)
        chosen = node.class_type == _SWITCH and turned is not None
        side = found[key].inputs.get(_ON if turned else _OFF) if chosen else None
        if side is None:
            continue
        for other, consumer in list(found.items()):
            inputs = {
                name: side if _is_from(value, key) else value
                for name, value in consumer.inputs.items()
            }
            found[other] = Node(consumer.class_type, inputs)
        del found[key]
        gone.append(key)
    return found, gone


def _turned(value: object, nodes: Mapping[str, Node]) -> bool | None:
    link = link_of(value)
    if link is not None and link[0] in nodes:
        source = nodes[link[0]]
        value = source.inputs.get("value") if source.class_type == "PrimitiveBoolean" else None
    return value if isinstance(value, bool) else None


def _is_from(value: object, key: str) -> bool:
    link = link_of(value)
    return link is not None and link[0] == key
