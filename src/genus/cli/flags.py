"""Flags: a family's fields from the command line, checked by name and type."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from genus.errors import UsageError, nearest


def parse_fields(family: type, words: list[str]) -> dict[str, Any]:
    """{field: value} from words such as ["--latent", "16", "--loss=wasserstein", "--no-scale"].

    A word that names no field of the family is an error with the nearest name, never ignored.
    """
    hints = typing.get_type_hints(family)
    names = {field.name for field in dataclasses.fields(family)}
    fields: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"{word!r} is not understood here: fields are given as --name value.")
        name, equals, text = word[2:].partition("=")
        name = name.replace("-", "_")
        if name not in names and name.removeprefix("no_") in names:
            fields[name.removeprefix("no_")] = False
            continue
        if name == "epsilon" and name not in names:
            raise UsageError(f"{family.__name__} cannot be learnt under differential privacy: take --family made, mst or vae.")
        if name not in names:
            raise UsageError(f"{family.__name__} has no field {name!r}.{nearest(name, names)} List them with --fields.")
        if not equals:
            flag = hints[name] is bool and (not rest or rest[0].startswith("--"))
            if not flag and not rest:
                raise UsageError(f"--{name} needs a value.")
            text = "true" if flag else rest.pop(0)
        fields[name] = convert(text, hints[name], name)
    return fields


def convert(text: str, hint: Any, name: str) -> Any:
    """`text` as the field's type; raises UsageError saying what the field takes."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        by_text = {str(choice): choice for choice in args}
        if text not in by_text:
            raise UsageError(f"--{name} takes {', '.join(by_text)}; not {text!r}.{nearest(text, by_text)}")
        return by_text[text]
    if origin in (Union, types.UnionType):
        return _first(text, args, name)
    if hint is bool:
        return convert(text.lower(), Literal["true", "false"], name) == "true"
    if origin in (tuple, list):
        inner = args[0] if args else str
        return (origin)(convert(part, inner, name) for part in text.split(","))
    if hint in (int, float, str):
        try:
            return hint(text)
        except ValueError:
            word = {int: "a whole number", float: "a number"}[hint]
            raise UsageError(f"--{name} takes {word}, not {text!r}.") from None
    if isinstance(hint, type) and hint.__name__ == "Model":
        return _model(text, name)
    raise UsageError(f"--{name} cannot be given on the command line; use Python.")


def _model(text: str, name: str) -> Any:
    """A family inside a family: "flow", or "transformer:width=64,steps=500"."""
    from genus.catalogue import family

    short, _, fields = text.partition(":")
    words = [f"--{field}" for field in fields.split(",") if field]
    if any("=" not in word for word in words):
        raise UsageError(f"--{name} takes a family and its fields, such as flow or transformer:width=64,steps=500; not {text!r}.")
    cls = family(short)
    return cls(**parse_fields(cls, words))


def _first(text: str, choices: tuple[Any, ...], name: str) -> Any:
    if type(None) in choices and text.lower() == "none":
        return None
    errors = []
    for choice in (c for c in choices if c is not type(None)):
        try:
            return convert(text, choice, name)
        except UsageError as error:
            errors.append(error)
    raise errors[0]


def parse_given(words: list[str]) -> dict[str, Any]:
    """{column: what is asked of it} from words such as "income=>50K", "age=30..40", "education=HS-grad|Bachelors", "job=".

    A range is a tuple (low, high), either end None; several values are a list; nothing after the = is a missing cell (None).
    A value that itself holds .. or | stands in double quotes.
    """
    given: dict[str, Any] = {}
    for word in words:
        column, equals, value = word.partition("=")
        column, value = column.strip(), value.strip()
        if not equals or not column:
            raise UsageError(f"--given takes column=value, not {word!r}, e.g. --given 'income=>50K' or --given age=30..40.")
        if column in given:
            raise UsageError(
                f"--given names {column!r} twice: join the values as {column}=A|B, or give a range {column}=LOW..HIGH."
            )
        given[column] = _meant(value, word)
    return given


def _meant(text: str, word: str) -> Any:
    """A value, a list of values, a range, or None for a missing cell."""
    if not text:
        return None
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    low, dots, high = (part.strip() for part in text.partition(".."))
    if dots:
        if not low and not high:
            raise UsageError(f"--given {word!r} has a range without ends: write LOW..HIGH, LOW.. or ..HIGH.")
        return low or None, high or None
    values = [part.strip() for part in text.split("|")]
    if not all(values):
        raise UsageError(f"--given {word!r} has an empty value between bars: write A|B.")
    return values if len(values) > 1 else text
