"""BIF: what is written comes back to the last bit; what is wrong is said with its line."""

from __future__ import annotations

import pytest
import torch

from genus.data.bif import bif_text, parse_bif, read_bif, write_bif
from genus.errors import DataError, RunError, UsageError
from genus.maths.network import Network

SOUND = """// a comment
network weather { property made by hand; }
variable rain { type discrete [ 2 ] { no, yes }; }
variable season { type discrete [3] { "late summer", winter, 0-5C }; property x = 1; }
variable wet { type discrete [ 2 ] { no, yes }; }
/* and
   another */
probability ( season ) { table 0.2, 0.5 0.3; }
probability ( rain | season ) {
  (winter) 0.5, 0.5;
  default 0.9, 0.1;
}
probability ( wet | rain ) { table 0.9, 0.2, 0.1, 8e-1; }
"""


def test_every_way_to_write_a_table_is_read():
    net = parse_bif(SOUND)
    assert net.names == ["rain", "season", "wet"]
    assert net.states[1] == ["late summer", "winter", "0-5C"]
    assert net.edges == [("season", "rain"), ("rain", "wet")]
    assert net.tables[0].tolist() == [[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]]
    assert net.tables[2].tolist() == [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize("ending", ["bif", "bif.gz"])
def test_a_network_comes_back_to_the_last_bit(ending, tmp_path):
    torch.manual_seed(0)
    rows = torch.rand(2, 3, 4, dtype=torch.float64)
    tables = [torch.tensor([0.1, 0.9]), torch.tensor([0.2, 0.3, 0.5]), rows / rows.sum(-1, keepdim=True)]
    net = Network(["a b", "c", "d"], [["x", "y"], ["u", "v,w", "("], list("pqrs")], [(), (), (0, 1)], tables)
    again = read_bif(write_bif(net, tmp_path / f"net.{ending}"))
    assert (again.names, again.states, again.parents) == (net.names, net.states, net.parents)
    assert all(torch.equal(a, b) for a, b in zip(again.tables, net.tables, strict=True))
    assert bif_text(again) == bif_text(net)


WRONG = {
    "line 3.*announces 3 states and lists 2": (
        "discrete [ 2 ] { no, yes }; }\nvariable season",
        "discrete [3] { no, yes }; }\nvariable season",
    ),
    "line 8.*expected a number or ';', found '}'": ("0.3; }", "0.3 }"),
    "line 8.*needs 3 numbers and has 2": ("0.2, 0.5 0.3", "0.2, 0.8"),
    "line 8.*sum to 1.1": ("0.2, 0.5 0.3", "0.2, 0.5, 0.4"),
    "line 9.*'saeson' is not declared": ("rain | season", "rain | saeson"),
    "line 10.*no state 'wintr'": ("(winter)", "(wintr)"),
    "line 10.*expected a number, found 'half'": ("0.5, 0.5;", "half, 0.5;"),
    "line 10.*the row gives 3": ("0.5, 0.5;", "0.5, 0.4, 0.1;"),
    "line 12.*lack a row": ("  default 0.9, 0.1;\n", "\n"),
    "line 13.*found 'probabilty'": ("probability ( wet", "probabilty ( wet"),
    "line 1.*begins a string": ("// a comment", '"a comment'),
    "'wet' has no probabilities": ("probability ( wet | rain ) { table 0.9, 0.2, 0.1, 8e-1; }", ""),
    "line 5.*declared twice": ("variable wet", "variable rain"),
    "the end of the file": ("0.1, 8e-1; }", "0.1, 8e-1;"),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_its_line(message):
    old, new = WRONG[message]
    assert old in SOUND
    with pytest.raises(DataError, match=message) as caught:
        parse_bif(SOUND.replace(old, new), "weather.bif")
    assert str(caught.value).startswith("weather.bif, line ")
    assert "\n" not in str(caught.value)


def test_a_cycle_and_a_file_of_another_kind_are_said(tmp_path):
    cyclic = SOUND.replace("( season ) { table 0.2, 0.5 0.3; }", "( season | wet ) { default 0.2, 0.5, 0.3; }")
    with pytest.raises(UsageError, match=r"cycle.*season → rain → wet|cycle.*rain → wet → season|cycle.*wet → season → rain"):
        parse_bif(cyclic)
    (tmp_path / "x.bif").write_bytes(b"\x1f\x8bnot really gzip")
    with pytest.raises(DataError, match=r"x\.bif is not a BIF file"):
        read_bif(tmp_path / "x.bif")
    with pytest.raises(RunError, match="does not exist"):
        read_bif(tmp_path / "y.bif")
    with pytest.raises(DataError, match="no variable"):
        parse_bif("network empty { }")
