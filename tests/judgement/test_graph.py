"""A drawn network: well-formed, one box a variable and one arrow an arc, arrows downwards, names escaped."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from genus import BayesianNetwork, evaluate
from genus.judgement.graph import draw_graph

SVG = "{http://www.w3.org/2000/svg}"


def test_a_network_is_drawn():
    long = "a very long name of a column"
    drawn = draw_graph({"a<b": [], "b": ["a<b"], "c": ["a<b"], "d": ["b", "c"], long: ["d", "a<b"]})
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


def test_the_report_of_a_network_shows_its_graph_and_that_of_another_family_none(tmp_path):
    cause = np.random.default_rng(0).integers(0, 2, 400)
    frame = pd.DataFrame({"cause": cause, "effect": (cause + (np.arange(400) % 9 == 0)) % 2}).astype(str)
    model = BayesianNetwork().fit(frame[:300])
    assert sum(map(len, model.graph().values())) == 1
    page = evaluate(model, frame[300:], train=frame[:300], quick=True).html(tmp_path / "page.html").read_text()
    assert page.count("Which column depends on which") >= 1
    assert ">cause</text>" in page
    assert ">effect</text>" in page
