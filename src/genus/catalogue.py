"""The catalogue: family × capability × kind of data, computed from what the families and codecs say of themselves."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from genus.errors import UsageError, nearest

if TYPE_CHECKING:
    from genus.data.codec import Codec
    from genus.model import Model

FAMILIES = {
    "resample": "genus.families.baseline:Resample",
    "marginals": "genus.families.baseline:Marginals",
    "gaussian": "genus.families.baseline:Gaussian",
    "made": "genus.families.made:MADE",
    "nade": "genus.families.nade:NADE",
    "anyorder": "genus.families.anyorder:AnyOrder",
    "tree": "genus.families.tree:Tree",
    "mixture": "genus.families.mixture:GaussianMixture",
    "categorical": "genus.families.categorical:CategoricalMixture",
    "hmm": "genus.families.hidden:HiddenMarkov",
    "kernel": "genus.families.kernel:KernelDensity",
    "network": "genus.families.bayesnet:BayesianNetwork",
    "linear": "genus.families.gaussiannet:GaussianNetwork",
    "mixed": "genus.families.mixednet:MixedNetwork",
    "mst": "genus.families.mst:MST",
    "rbm": "genus.families.boltzmann:RBM",
    "dbm": "genus.families.deepboltzmann:DBM",
    "dbn": "genus.families.beliefnet:DBN",
    "boltzmann": "genus.families.boltzmannmachine:BoltzmannMachine",
    "autoencoder": "genus.families.autoencoder:Autoencoder",
    "vae": "genus.families.vae:VAE",
    "vqvae": "genus.families.vqvae:VQVAE",
    "flow": "genus.families.flow:RealNVP",
    "nice": "genus.families.flow:NICE",
    "glow": "genus.families.flow:Glow",
    "maf": "genus.families.flow:MAF",
    "iaf": "genus.families.flow:IAF",
    "nsf": "genus.families.flow:NSF",
    "cnf": "genus.families.cnf:CNF",
    "gan": "genus.families.gan:GAN",
    "diffusion": "genus.families.diffusion:FlowMatching",
    "pixelcnn": "genus.families.pixelcnn:PixelCNN",
    "pixelrnn": "genus.families.pixelrnn:PixelRNN",
    "masked": "genus.families.masked:MaskedTransformer",
    "transformer": "genus.families.transformer:Transformer",
}


def family(name: str) -> type[Model]:
    """The class with this short name, or with this class name.

    >>> family("gaussian").__name__
    'Gaussian'
    """
    known = FAMILIES | {place.partition(":")[2]: place for place in FAMILIES.values()}
    if name not in known:
        raise UsageError(f"There is no family {name!r}.{nearest(name, known)} The families: {', '.join(FAMILIES)}.")
    module, _, cls = known[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def short_name(cls: type[Model]) -> str:
    """The command line's name of a family's class, or the class's own name in lower case."""
    return next((name for name, place in FAMILIES.items() if place.endswith(f":{cls.__name__}")), cls.__name__.lower())


def catalogue() -> list[dict[str, str]]:
    """One row a family: its class, what it can do, and how it knows the likelihood of each kind of data."""
    from genus.capability import capabilities

    rows = []
    for name in FAMILIES:
        cls = family(name)
        row = {"name": name, "class": cls.__name__}
        row |= {kind: likelihood(cls, codec) for kind, codec in _examples().items()}
        row["can"] = " ".join(word.lower() for word in capabilities(cls))
        rows.append(row | {"is": (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")})
    return rows


def likelihood(cls: type[Model], codec: Codec) -> str:
    """What the family knows of log p for data of this fitted codec.

    "exact", "bound", "estimate", "energy" (up to a constant), "samples" (nothing: it only draws), or "" where it does not
    accept the data. A density over dequantised data is a bound.
    """
    from genus import capability as can

    view = next((view for view in codec.views() if view.kind in cls.accepts), None)
    if view is None:
        return ""
    if issubclass(cls, can.Density):
        return "exact" if codec.exact(view) else "bound"
    ladder = ((can.Bound, "bound"), (can.Estimate, "estimate"), (can.Energy, "energy"))
    return next((word for claim, word in ladder if issubclass(cls, claim)), "samples")


def accepting(codec: Codec) -> list[str]:
    """The short names of the families that take data of this fitted codec."""
    return [name for name in FAMILIES if likelihood(family(name), codec)]


@functools.cache
def _examples() -> dict[str, Codec]:
    """A fitted codec of each kind, over a few items."""
    import numpy as np
    import pandas as pd

    from genus.data import codec_of

    number = np.arange(40)
    data: dict[str, Any] = {
        "table": pd.DataFrame({"age": number % 17 + 0.5, "job": [f"job {i % 3}" for i in number]}),
        "image": (np.arange(40 * 16).reshape(40, 4, 4) % 251).astype(np.uint8),
        "text": ["one", "two", "three"] * 5,
        "array": np.stack([number % 7, number % 5], 1) * 1.5,
    }
    return {kind: codec_of(X).fit(X) for kind, X in data.items()}


class Field(NamedTuple):
    """One hyper-parameter as the command line and the documents show it."""

    name: str
    type: str
    default: Any
    help: str


def fields(cls: type[Model]) -> list[Field]:
    """The family's fields in order, each with the words its docstring (or an ancestor's) gives it."""
    words = explained(cls)
    return [Field(f.name, _type_name(f.type), f.default, words.get(f.name, "")) for f in dataclasses.fields(cls)]


def explained(cls: type) -> dict[str, str]:
    """{field: meaning} from the Parameters sections of the class and its ancestors.

    A sentence begins `name:` or `name, name:`; several may share a line.
    """
    names = {f.name for f in dataclasses.fields(cls)}
    found: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        section = re.search(r"Parameters\n\s*-+\n(.*?)(?:\n\s*\n|\Z)", ancestor.__dict__.get("__doc__") or "", re.S)
        if section:
            found |= _sentences(section[1], names)
    return found


def _sentences(text: str, names: set[str]) -> dict[str, str]:
    heads = [
        match for match in re.finditer(r"(?:(?<=\. )|(?<=\n)|^)\s*((?:\w+, )*\w+): ", text) if set(match[1].split(", ")) <= names
    ]
    stops = [match.start() for match in heads[1:]] + [len(text)]
    found = {}
    for head, stop in zip(heads, stops, strict=True):
        meaning = " ".join(text[head.end() : stop].split())
        found |= dict.fromkeys(head[1].split(", "), meaning)
    return found


def _type_name(annotation: Any) -> str:
    """`Literal["a", "b"] | None` as `a|b|None`."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    choices = re.sub(r"Literal\[(.*?)\]", lambda m: re.sub("[\"']", "", m[1]).replace(", ", "|"), text)
    return choices.replace(" | ", "|")
