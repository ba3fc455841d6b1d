"""What a family can honestly do. A claim cannot be made without its hook; the verbs are final."""

from __future__ import annotations

from genus.capability.item import Conditional as Conditional
from genus.capability.item import Constrained as Constrained
from genus.capability.item import Graphical as Graphical
from genus.capability.item import Latent as Latent
from genus.capability.item import Partial as Partial
from genus.capability.item import Stepwise as Stepwise
from genus.capability.likelihood import Bound as Bound
from genus.capability.likelihood import Clusters as Clusters
from genus.capability.likelihood import Density as Density
from genus.capability.likelihood import Energy as Energy
from genus.capability.likelihood import Estimate as Estimate
from genus.capability.likelihood import Factored as Factored
from genus.capability.likelihood import Sequential as Sequential
from genus.capability.likelihood import Summable as Summable
from genus.model import Model

CAPABILITIES = (
    Density,
    Factored,
    Sequential,
    Clusters,
    Bound,
    Estimate,
    Energy,
    Latent,
    Partial,
    Summable,
    Constrained,
    Conditional,
    Stepwise,
    Graphical,
)


def capabilities(family: type[Model]) -> tuple[str, ...]:
    """The names of what the family claims, in the order of the contract."""
    return tuple(c.__name__ for c in CAPABILITIES if issubclass(family, c))
