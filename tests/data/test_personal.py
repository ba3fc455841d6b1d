"""Personal data are recognised, never learnt, and made anew: same form, one person a row, no value of training."""

import numpy as np
import pandas as pd
import pytest
import torch

from genus.data.personal import FIRST, LAST, personal_kind
from genus.data.table import TableCodec

pytestmark = pytest.mark.filterwarnings("ignore:Left out")
N = 400


def people(seed=0):
    """Rows of persons whose first names are partly those of the fakes."""
    rng = np.random.default_rng(seed)
    first = rng.choice([*FIRST[:40], "Mary", "John", "Li"], N)
    last = rng.choice([*LAST[:50], "Smith", "Doe"], N)
    digits = rng.integers(0, 10, (N, 20)).astype(str)
    street = rng.choice(["Main", "Oak", "Elm"], N)
    return pd.DataFrame({
        "full_name": [f"{a} {b}" for a, b in zip(first, last, strict=True)],
        "first name": first,
        "Surname": last,
        "email": [f"{a}.{b}{i}@example.com".lower() for i, (a, b) in enumerate(zip(first, last, strict=True))],
        "phone": [f"+49 {''.join(d[:3])} {''.join(d[3:9])}" for d in digits],
        "home_address": [f"{int(''.join(d[:2])) + 1} {s} Street" for d, s in zip(digits, street, strict=True)],
        "ip": [".".join(map(str, r)) for r in rng.integers(1, 255, (N, 4))],
        "credit_card": ["-".join("".join(d[i : i + 4]) for i in (0, 4, 8, 12)) for d in digits],
        "ssn": [f"{''.join(d[:3])}-{''.join(d[3:5])}-{''.join(d[5:9])}" for d in digits],
        "iban": [f"DE{''.join(d)}" for d in digits],
        "website": [f"https://site{i}.org/a" for i in range(N)],
        "username": [f"{a}{i}".lower() for i, a in enumerate(first)],
        "v": rng.normal(size=N),
    })  # fmt: skip


def test_each_kind_is_recognised():
    X = people()
    assert [personal_kind(X[name]) for name in X.columns] == [
        "name", "first_name", "last_name", "email", "phone", "address", "ip", "card", "national_id", "iban", "url",
        "username", None,
    ]  # fmt: skip


def test_what_only_sounds_personal_is_not():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({
        "product_name": rng.choice([f"Thing {c}" for c in "abcdefghijkl"], N),
        "name": rng.choice(["Red Wine", "White Wine"], N),
        "phone": rng.choice(["iPhone", "Nokia"], N),
        "card": rng.choice(["Visa", "Amex"], N),
        "address": rng.choice(["yes", "no"], N),
        "email": rng.choice(["opened", "ignored", "bounced"], N),
        "ship": rng.choice([f"SHIP{i}" for i in range(50)], N),
        "phone_calls": rng.integers(0, 90, N),
        "v": rng.normal(size=N),
    })  # fmt: skip
    codec = TableCodec().fit(X)
    assert not codec.left_out_


def test_fakes_have_the_same_form_fit_their_row_and_are_never_of_training():
    X = people()
    with pytest.warns(UserWarning, match="'full_name' holds personal data"):
        codec = TableCodec().fit(X)
    torch.manual_seed(0)
    out = codec.unpack(torch.zeros(2000, 1), codec.views()[-1])
    for name in X.columns.drop("v"):
        assert not set(out[name]) & set(X[name]), name
        assert out[name].dtype == X[name].dtype
    assert out["phone"].str.fullmatch(r"\+49 \d{3} \d{6}").all()
    assert out["credit_card"].str.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{4}").all()
    assert out["ssn"].str.fullmatch(r"\d{3}-\d{2}-\d{4}").all()
    assert out["iban"].str.fullmatch(r"DE\d{20}").all()
    assert out["ip"].str.fullmatch(r"(\d{1,3}\.){3}\d{1,3}").all()
    assert out["website"].str.startswith("https://").all()
    assert out["home_address"].str.fullmatch(r"\d+ \w+ \w+").all()
    assert (out["full_name"] == out["first name"] + " " + out["Surname"]).all()
    local = out["email"].str.split("@").str[0].str.rstrip("0123456789")
    assert (local == (out["first name"] + "." + out["Surname"]).str.lower()).all()
    assert out["email"].is_unique


def test_nothing_of_the_persons_is_kept_in_the_model():
    X = people()
    codec = TableCodec().fit(X)
    kept = str(codec.left_out_)
    for name in ("full_name", "email", "phone", "credit_card", "ssn", "iban", "website"):
        assert not any(value in kept for value in X[name])
    assert "Mary" not in kept
    assert "Smith" not in kept


def test_the_schema_names_them_and_can_say_otherwise():
    X = people()[["email", "username", "v"]]
    X.loc[::4, "email"] = None
    told = TableCodec().fit(X).schema_
    assert told.of("email") == {"kind": "personal", "role": "aside", "personal": "email"}
    out = TableCodec(schema=told).fit(X)
    assert abs(out.unpack(torch.zeros(4000, 1), out.views()[-1])["email"].isna().mean() - 0.25) < 0.05
    other = TableCodec(kinds={"username": "identifier"}).fit(X)
    assert other.kinds_ == {"email": "personal", "username": "identifier", "v": "numeric"}
