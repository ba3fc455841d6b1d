"""Keys: found where names and values agree, checked where declared, one sentence for each that is wrong."""

import warnings

import numpy as np
import pandas as pd
import pytest

from genus.data.keys import NULL, ORPHAN, Keys, find, link
from genus.errors import DataError, UsageError

CUSTOMERS = pd.DataFrame({"id": np.arange(10, 60), "age": np.arange(50) % 40 + 20})
ORDERS = pd.DataFrame(
    {"order_id": [f"A{i:03d}" for i in range(120)], "customer_id": np.arange(120) % 50 + 10, "lines": np.arange(120) % 7 + 10}
)
TABLES = {"customers": CUSTOMERS, "orders": ORDERS}
DECLARED = {"tables": {"customers": {"key": "id"}, "orders": {"key": "order_id", "parents": {"customer_id": "customers"}}}}


def changed(name, **columns):
    return TABLES | {name: TABLES[name].assign(**columns)}


def test_keys_are_found_by_name_and_values_and_small_numbers_are_not_taken_for_keys():
    keys = find(TABLES)
    assert keys.to_json() == DECLARED
    assert len(keys.found) == 3
    assert all(sentence.endswith(".") for sentence in keys.found)


def test_text_keys_need_no_telling_name():
    text = {"people": pd.DataFrame({"id": [f"u{i}" for i in range(30)], "x": range(30)}),
            "calls": pd.DataFrame({"caller": [f"u{i % 30}" for i in range(90)], "minutes": np.arange(90) % 11})}  # fmt: skip
    assert find(text).of("calls").parents == {("caller",): "people"}


def test_json_and_back():
    data = {"tables": {"a": {"key": ["x", "y"]}, "b": {"parents": {"x,y": "a"}, "time": "t"}}}
    assert Keys.from_json(data).to_json() == data


def test_a_foreign_key_is_read_across_types_and_gaps():
    child = pd.DataFrame({"customer_id": [10.0, np.nan, 999.0]})
    assert link(child, ("customer_id",), CUSTOMERS, ("id",)).tolist() == [0, NULL, ORPHAN]


def test_foreign_keys_without_parent_are_said_once_with_an_example():
    with pytest.warns(UserWarning, match=r"1 of 120 rows of orders name no row of customers\s*\(customer_id = 999 at row 3\)"):
        Keys.from_json(DECLARED).check(changed("orders", customer_id=ORDERS["customer_id"].where(ORDERS.index != 3, 999)))


@pytest.mark.parametrize(
    ("tables", "keys", "error", "words"),
    [
        (TABLES, {"tables": {"customer": {"key": "id"}}}, UsageError, "Did you mean 'customers'"),
        (TABLES, {"tables": {"customers": {"key": "idd"}}}, UsageError, "Did you mean 'id'"),
        (TABLES, {"tables": {"customers": {"key": "age"}}}, DataError, "occur more than once"),
        (TABLES, {"tables": {"orders": {"parents": {"customer_id": "customers"}}}}, UsageError, "has no key"),
        (TABLES, {"tables": {"orders": {"parent": {}}}}, UsageError, "none of key, parents, time"),
        (TABLES, {"customers": "id"}, UsageError, "is no object such as"),
        (changed("customers", id=CUSTOMERS["id"].where(CUSTOMERS.index > 1)), DECLARED, DataError, "is empty in 2"),
        (changed("orders", customer_id=ORDERS["customer_id"] + 1000), DECLARED, DataError, "is it another column"),
        (changed("customers", boss=CUSTOMERS["id"]),
         {"tables": {"customers": {"key": "id", "parents": {"boss": "customers"}}}}, DataError, "go in a circle"),
    ],
)  # fmt: skip
def test_wrong_keys_get_one_sentence(tables, keys, error, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=words) as caught:
            Keys.from_json(keys).check(tables)
    assert "\n" not in str(caught.value)
