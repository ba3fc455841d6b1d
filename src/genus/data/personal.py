"""Personal data: recognised by name and by pattern, never learnt, made anew in the same form for persons who do not exist."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import torch

FIRST = [
    "Ada", "Aiko", "Alba", "Amir", "Anouk", "Arjun", "Astrid", "Bela", "Bodil", "Bruno", "Carla", "Cem", "Chiara", "Ciro",
    "Dara", "Davor", "Edda", "Eino", "Elif", "Emil", "Enzo", "Esra", "Fadi", "Farah", "Femke", "Finn", "Freya", "Gita",
    "Greta", "Hadi", "Hana", "Hugo", "Idris", "Ines", "Ivo", "Jamila", "Jana", "Joris", "Kaito", "Kamala", "Keiko", "Kian",
    "Lars", "Leila", "Lior", "Luca", "Magda", "Malik", "Marisol", "Mateo", "Mei", "Milan", "Mira", "Nadia", "Nils", "Noor",
    "Nuno", "Oda", "Olek", "Omar", "Petra", "Pilar", "Quinn", "Rafael", "Ragna", "Rania", "Remi", "Rosa", "Runa", "Saba",
    "Samir", "Selma", "Signe", "Simo", "Sofia", "Soren", "Suri", "Tara", "Teo", "Thea", "Tomas", "Uma", "Valter", "Vera",
    "Viggo", "Wanda", "Xenia", "Yara", "Yusuf", "Zeno", "Zita",
]  # fmt: skip
LAST = [
    "Aalto", "Abara", "Adler", "Almeida", "Andrade", "Arslan", "Bakker", "Baran", "Benali", "Berger", "Bianchi", "Bielik",
    "Bjork", "Bruun", "Calder", "Cardoso", "Castell", "Chandra", "Dahlin", "Danso", "Dekker", "Delgado", "Dumont", "Eklund",
    "Falk", "Farkas", "Ferrari", "Fontana", "Fujita", "Galic", "Gallo", "Gruber", "Haddad", "Halvorsen", "Hamada", "Hasan",
    "Hedlund", "Holub", "Ibarra", "Ishii", "Ivanov", "Jansky", "Jimenez", "Kaplan", "Kaya", "Keita", "Kimura", "Kovac",
    "Krause", "Lacroix", "Lindqvist", "Lombard", "Lukic", "Madsen", "Maier", "Marchetti", "Mbeki", "Mehta", "Moreau", "Nagy",
    "Nakata", "Navarro", "Niemi", "Novotny", "Okafor", "Olsen", "Onwudiwe", "Ortega", "Ozturk", "Pavlov", "Pereira", "Petrov",
    "Quiroga", "Rahman", "Rautio", "Rinaldi", "Rossi", "Saito", "Salazar", "Santoro", "Schreiber", "Sharma", "Silva",
    "Sorensen", "Suzuki", "Svoboda", "Tanaka", "Tevez", "Torvald", "Tran", "Ueda", "Vargas", "Varga", "Vesely", "Vogel",
    "Weiss", "Winter", "Yamada", "Yilmaz", "Zanetti", "Zeman",
]  # fmt: skip
STREETS = [
    "Amber", "Aspen", "Badger", "Bay", "Beacon", "Birch", "Bramble", "Bridge", "Canal", "Cedar", "Clover", "Copper",
    "Crescent", "Dove", "Elder", "Falcon", "Fern", "Garnet", "Glen", "Hawthorn", "Hazel", "Heron", "Iris", "Juniper",
    "Kestrel", "Lantern", "Larch", "Lichen", "Linden", "Maple", "Meadow", "Mill", "Orchard", "Otter", "Pebble", "Plover",
    "Quarry", "Raven", "Reed", "Rowan", "Sable", "Sorrel", "Sparrow", "Spruce", "Swan", "Tern", "Thistle", "Willow", "Wren",
    "Yarrow",
]  # fmt: skip
HOSTS = ("example.com", "example.org", "example.net", "mail.example", "post.example", "inbox.test", "letters.invalid")

WHO = "customer|client|patient|employee|person|passenger|contact|user|student|member|owner|holder|author|teacher|parent|guest"
NAMED = {
    "email": r"e[\W_]?mail",
    "phone": r"(^|[\W_])(tele)?phone|(^|[\W_])(tel|mobile|cell|fax|handy)([\W_]|$)",
    "ip": r"(^|[\W_])ip(v4|v6)?([\W_]|$)|ip[\W_]?addr",
    "card": r"(credit|debit)?[\W_]?card([\W_]?(no|num|number|nr))?$|(^|[\W_])(ccn|pan)$",
    "iban": r"(^|[\W_])iban([\W_]|$)",
    "national_id": r"(^|[\W_])(ssn|sin|nino|passport|tax_?id|national[\W_]?id|personal[\W_]?(id|number)|social[\W_]?security)",
    "url": r"(^|[\W_])(url|website|homepage|web[\W_]?site|link)([\W_]|$)",
    "address": r"(^|[\W_])(street|address|addr)([\W_]?(line)?[\W_]?[0-9])?$",
    "first_name": r"(^|[\W_])(first|given|fore|middle)[\W_]?name$",
    "last_name": r"(^|[\W_])(last|family|sur|maiden)[\W_]?name$",
    "username": r"(^|[\W_])(user[\W_]?name|login|handle|nick[\W_]?name|screen[\W_]?name)$",
    "name": rf"^(full[\W_]?|({WHO})s?[\W_]?|({WHO})s?[\W_]?full[\W_]?)?name$",
}  # fmt: skip
LIKE = {
    "email": r"[^@\s]+@[^@\s]+\.[^@\s.]+",
    "phone": r"[+(]?[0-9][0-9 ()/.x+-]{5,22}[0-9]",
    "ip": r"([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F:]{3,39}",
    "card": r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,7}|[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4,5}",
    "iban": r"[A-Z]{2}[0-9]{2}[ 0-9A-Z]{10,36}",
    "national_id": r"(?=.*[0-9])[0-9A-Za-z ./-]{5,20}",
    "url": r"(https?://|www\.)\S+|[\w-]+(\.[\w-]+)+(/\S*)?",
    "address": r"(?=.*[0-9])(?=.*[^\W\d_]{3}).{6,}",
    "first_name": r"[^\W\d_][^\d@_]{0,30}",
    "last_name": r"[^\W\d_][^\d@_]{0,40}",
    "username": r"[\w.-]{2,30}",
    "name": r"[^\W\d_][^\d@_]*[ ,][^\d@_]+",
}
SHARE = 0.9
LEAST = 20


def personal_kind(series: pd.Series, forced: bool = False) -> str | None:
    """Which personal data a column holds, None where none: its name says so, and nine in ten of its cells look so.

    A column of few distinct values, such as twelve product names, holds none; e-mail addresses need no name.
    """
    held = series.dropna()
    text = isinstance(series.dtype, pd.StringDtype) or pd.api.types.infer_dtype(held, skipna=True) == "string"
    whole = pd.api.types.is_integer_dtype(series.dtype)
    if isinstance(series.dtype, pd.CategoricalDtype) or not (text or whole) or not len(held):
        return "name" if forced else None
    distinct = pd.Series(held.unique()).astype(str)
    few = len(held) < LEAST or len(distinct) < max(LEAST, 0.02 * len(held))
    for kind, pattern in NAMED.items():
        if not forced and (few or (whole and kind not in ("phone", "card", "national_id"))):
            continue
        if re.search(pattern, str(series.name), re.IGNORECASE) and distinct.str.fullmatch(LIKE[kind]).mean() >= SHARE:
            if kind in ("name", "username", "address", "url") and not forced and len(distinct) < 0.3 * len(held):
                continue
            return kind
    if text and (forced or not few) and distinct.str.fullmatch(LIKE["email"]).mean() >= SHARE:
        return "email"
    return "name" if forced else None


def personal_state(series: pd.Series, kind: str) -> dict[str, Any]:
    """What fakes of the column need; no value of it is kept, only forms and what does *not* occur in it."""
    held: Any = pd.Series(series.dropna().unique()).astype(str)
    state: dict[str, Any] = {"personal": kind, "missing": float(series.isna().mean())}
    words = "\n".join(held).lower()
    for key, pool in (("first", FIRST), ("last", LAST), ("streets", STREETS), ("hosts", HOSTS)):
        state[key] = [word for word in pool if word.lower() not in words]
    if kind == "ip":
        used = set(held.str.split(".").str[0])
        state["octets"] = [i for i in (*range(240, 255), *range(1, 240)) if str(i) not in used][:15] or [256]
    if kind in ("phone", "card", "national_id", "iban"):
        state["forms"] = [_form(held[shape], shape_text) for shape_text, shape in _shapes(held)]
    if kind == "address":
        state["leads"] = bool(held.str.match(r"\s*[0-9]").mean() > 0.5)
    if kind == "url":
        state["scheme"] = "https://" if held.str.startswith("http").mean() > 0.5 else "www."
    if kind == "name":
        state["comma"] = bool(held.str.contains(",").mean() > 0.5)
    state["case"] = "upper" if held.str.isupper().mean() > 0.5 else "lower" if held.str.islower().mean() > 0.5 else "title"
    return state


def _shapes(held: Any) -> list[tuple[str, Any]]:
    """The commonest shapes, digits shown as 9 and letters as A or a, with a mask of the values that have each."""
    shape = held.str.replace(r"[0-9]", "9", regex=True)
    shape = shape.where(shape.str.match(r"[A-Z]{2}99"), shape.str.replace(r"[A-Z]", "A", regex=True))
    shape = shape.str.replace(r"[a-z]", "a", regex=True)
    return [(text, (shape == text).to_numpy()) for text in shape.value_counts().index[:16]]


def _form(held: Any, shape: str) -> dict[str, Any]:
    """A shape with its count, the country code it keeps, and beginnings of its digits that no value has."""
    keep = 0
    country = re.match(r"\+(9{1,2})(?=[ (/.-])", shape)
    if country:
        keep = len(country[1])
    digits = held.str.replace(r"\D", "", regex=True)
    codes = digits.str[:keep].value_counts() if keep else pd.Series({"": len(held)})
    code = str(codes.index[0])
    free: list[str] = []
    room = shape.count("9") - keep
    for length in range(1, min(room, 6) + 1):
        used = set(digits[digits.str[:keep] == code].str[keep : keep + length])
        free = [f"{i:0{length}d}" for i in range(10**length) if f"{i:0{length}d}" not in used][:200]
        if free:
            break
    return {"shape": shape, "count": len(held), "code": code, "free": free}


# -- making -----------------------------------------------------------------------------------------------


def fresh_personal(states: dict[Any, dict[str, Any]], n: int) -> dict[Any, np.ndarray]:
    """{column: n texts, None where missing} of n persons who do not exist; what a row holds belongs to one of them."""
    if not states:
        return {}
    first = _common([state["first"] for state in states.values()], FIRST)
    last = _common([state["last"] for state in states.values()], LAST)
    people = {"first": _pick(first, n), "last": _pick(last, n), "number": torch.randint(10, 9999, (n,)).numpy()}
    out = {}
    for name, state in states.items():
        values = np.empty(n, dtype=object)
        values[:] = _MAKERS[state["personal"]](state, people, n)
        values[(torch.rand(n) < state["missing"]).numpy()] = None
        out[name] = values
    return out


def _common(pools: list[list[str]], every: list[str]) -> list[str]:
    """The words no column holds; made-up ones where hardly any is left."""
    left = [word for word in every if all(word in pool for pool in pools)]
    if len(left) >= 10:
        return left
    return [a + b + c for a in ("Zq", "Xv", "Qx", "Vj") for b in "aeiou" for c in ("rk", "lth", "mv", "nz")]


def _pick(words: list[str], n: int) -> np.ndarray:
    return np.array(words, dtype=object)[torch.randint(len(words), (n,)).numpy()]


def _cased(state: dict[str, Any], texts: list[str]) -> list[str]:
    return [text.upper() if state["case"] == "upper" else text.lower() if state["case"] == "lower" else text for text in texts]


def _names(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    order = "{1}, {0}" if state.get("comma") else "{0} {1}"
    return _cased(state, [order.format(a, b) for a, b in zip(people["first"], people["last"], strict=True)])


def _one(key: str) -> Any:
    return lambda state, people, n: _cased(state, list(people[key]))


def _accounts(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    return [f"{a}.{b}{c}".lower() for a, b, c in zip(people["first"], people["last"], people["number"], strict=True)]


def _emails(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    hosts = _pick(state["hosts"] or ["nowhere.invalid"], n)
    seen: dict[str, int] = {}
    out = []
    for a, b, host in zip(people["first"], people["last"], hosts, strict=True):
        address = f"{a}.{b}@{host}".lower()
        seen[address] = seen.get(address, 0) + 1
        out.append(address if seen[address] == 1 else address.replace("@", f"{seen[address]}@"))
    return out


def _urls(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    hosts = _pick(state["hosts"] or ["nowhere.invalid"], n)
    return [
        f"{state['scheme']}{host}/{a}-{b}".lower() for host, a, b in zip(hosts, people["last"], people["number"], strict=True)
    ]


def _addresses(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    streets, ends = _pick(_common([state["streets"]], STREETS), n), _pick(["Street", "Road", "Lane", "Avenue"], n)
    pairs = zip(streets, ends, people["number"] % 400 + 1, strict=True)
    return _cased(state, [f"{c} {a} {b}" if state["leads"] else f"{a} {b} {c}" for a, b, c in pairs])


def _digits(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    """Texts of the shapes of training whose digits begin as no value of training does."""
    forms = [form for form in state["forms"] if form["free"]]
    if not forms:
        return [f"fake-{i}" for i in torch.randint(10**9, (n,)).tolist()]
    which = torch.multinomial(torch.tensor([float(form["count"]) for form in forms]), n, replacement=True).tolist()
    draws = torch.randint(10, (n, 40)).numpy()
    letters = torch.randint(26, (n, 40)).numpy()
    out = []
    for i, form in enumerate(forms[w] for w in which):
        lead = form["code"] + form["free"][int(draws[i, :4] @ (1000, 100, 10, 1)) % len(form["free"])]
        supply = iter(lead + "".join(map(str, draws[i, 4:])))
        out.append(
            "".join(next(supply) if c == "9" else _letter(c, letters[i, j % 40], form) for j, c in enumerate(form["shape"]))
        )
    return out


def _letter(c: str, draw: int, form: dict[str, Any]) -> str:
    if c == "a" or (c == "A" and not re.match(r"[A-Z]{2}99", form["shape"])):
        return chr(ord(c) + int(draw))
    return c


def _ips(state: dict[str, Any], people: dict[str, np.ndarray], n: int) -> list[str]:
    """Addresses of the block 240.0.0.0/4, which nobody holds, or of blocks that training lacks."""
    first = _pick([str(i) for i in state["octets"]], n)
    return [f"{lead}.{a}.{b}.{c}" for lead, (a, b, c) in zip(first, torch.randint(1, 255, (n, 3)).tolist(), strict=True)]


_MAKERS = {
    "name": _names, "first_name": _one("first"), "last_name": _one("last"), "username": _accounts, "email": _emails,
    "phone": _digits, "address": _addresses, "ip": _ips, "card": _digits, "national_id": _digits, "iban": _digits, "url": _urls,
}  # fmt: skip
