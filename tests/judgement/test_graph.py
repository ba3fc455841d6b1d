"""A drawn network: well-formed, one box a variable and one arrow an arc, arrows downwards, names escaped."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from genus.judgement.graph import draw_graph

SVG = "{http://www.w3.org/2000/svg}"


def test_a_network_is_drawn():
    parents = [(), (0,), (0,), (1, 2), (3, 0)]
    drawn = draw_graph(["a<b", "b", "c", "d", "a very long name of a column"], parents)
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter(SVG + "text")]
    assert texts[:4] == ["a<b", "b", "c", "d"]
    assert texts[4].endswith("…")
    lines = re.findall(r'<path d="M([\d.]+),([\d.]+)C.*? ([\d.]+),([\d.]+)" fill="none"', drawn)
    assert len(lines) == 6
    assert all(float(line[1]) < float(line[3]) for line in lines)
    boxes = [(float(r.get("x", 0)), float(r.get("y", 0)), float(r.get("width", 0))) for r in root.iter(SVG + "rect")]
    for a in boxes:
        assert not any(a is not b and a[1] == b[1] and a[0] < b[0] + b[2] and b[0] < a[0] + a[2] for b in boxes)
