"""genus learns the distribution of a dataset, then generates, scores, completes, explores and judges."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve small nets; must precede torch

__version__ = "0.1.0"

_PLACES = {
    "Model": "genus.model",
    "Run": "genus.train.run",
    "Resample": "genus.families.baseline",
    "Marginals": "genus.families.baseline",
    "Gaussian": "genus.families.baseline",
    "MADE": "genus.families.made",
    "NADE": "genus.families.nade",
    "AnyOrder": "genus.families.anyorder",
    "Tree": "genus.families.tree",
    "GaussianMixture": "genus.families.mixture",
    "CategoricalMixture": "genus.families.categorical",
    "HiddenMarkov": "genus.families.hidden",
    "KernelDensity": "genus.families.kernel",
    "BayesianNetwork": "genus.families.bayesnet",
    "GaussianNetwork": "genus.families.gaussiannet",
    "MixedNetwork": "genus.families.mixednet",
    "MST": "genus.families.mst",
    "RBM": "genus.families.boltzmann",
    "DBM": "genus.families.deepboltzmann",
    "DBN": "genus.families.beliefnet",
    "BoltzmannMachine": "genus.families.boltzmannmachine",
    "Autoencoder": "genus.families.autoencoder",
    "VAE": "genus.families.vae",
    "VQVAE": "genus.families.vqvae",
    "RealNVP": "genus.families.flow",
    "NICE": "genus.families.flow",
    "Glow": "genus.families.flow",
    "MAF": "genus.families.flow",
    "IAF": "genus.families.flow",
    "NSF": "genus.families.flow",
    "CNF": "genus.families.cnf",
    "GAN": "genus.families.gan",
    "FlowMatching": "genus.families.diffusion",
    "PixelCNN": "genus.families.pixelcnn",
    "PixelRNN": "genus.families.pixelrnn",
    "MaskedTransformer": "genus.families.masked",
    "Transformer": "genus.families.transformer",
    "Posterior": "genus.posterior",
    "Tables": "genus.relational",
    "load": "genus.data.load",
    "evaluate": "genus.judgement.evaluate",
    "compare": "genus.judgement.compare",
    "explore": "genus.tasks.explore",
    "predict": "genus.tasks.predict",
    "balance": "genus.tasks.balance",
    "recommend": "genus.tasks.recommend",
}

__all__ = list(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from genus.data.load import load as load
    from genus.families.anyorder import AnyOrder as AnyOrder
    from genus.families.autoencoder import Autoencoder as Autoencoder
    from genus.families.baseline import Gaussian as Gaussian
    from genus.families.baseline import Marginals as Marginals
    from genus.families.baseline import Resample as Resample
    from genus.families.bayesnet import BayesianNetwork as BayesianNetwork
    from genus.families.beliefnet import DBN as DBN
    from genus.families.boltzmann import RBM as RBM
    from genus.families.boltzmannmachine import BoltzmannMachine as BoltzmannMachine
    from genus.families.categorical import CategoricalMixture as CategoricalMixture
    from genus.families.cnf import CNF as CNF
    from genus.families.deepboltzmann import DBM as DBM
    from genus.families.diffusion import FlowMatching as FlowMatching
    from genus.families.flow import IAF as IAF
    from genus.families.flow import MAF as MAF
    from genus.families.flow import NICE as NICE
    from genus.families.flow import NSF as NSF
    from genus.families.flow import Glow as Glow
    from genus.families.flow import RealNVP as RealNVP
    from genus.families.gan import GAN as GAN
    from genus.families.gaussiannet import GaussianNetwork as GaussianNetwork
    from genus.families.hidden import HiddenMarkov as HiddenMarkov
    from genus.families.kernel import KernelDensity as KernelDensity
    from genus.families.made import MADE as MADE
    from genus.families.masked import MaskedTransformer as MaskedTransformer
    from genus.families.mixednet import MixedNetwork as MixedNetwork
    from genus.families.mixture import GaussianMixture as GaussianMixture
    from genus.families.mst import MST as MST
    from genus.families.nade import NADE as NADE
    from genus.families.pixelcnn import PixelCNN as PixelCNN
    from genus.families.pixelrnn import PixelRNN as PixelRNN
    from genus.families.transformer import Transformer as Transformer
    from genus.families.tree import Tree as Tree
    from genus.families.vae import VAE as VAE
    from genus.families.vqvae import VQVAE as VQVAE
    from genus.judgement.compare import compare as compare
    from genus.judgement.evaluate import evaluate as evaluate
    from genus.model import Model as Model
    from genus.posterior import Posterior as Posterior
    from genus.relational import Tables as Tables
    from genus.tasks.balance import balance as balance
    from genus.tasks.explore import explore as explore
    from genus.tasks.predict import predict as predict
    from genus.tasks.recommend import recommend as recommend
    from genus.train.run import Run as Run


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import genus` and `genus --help` need no torch."""
    if name not in _PLACES:
        raise AttributeError(f"module 'genus' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
