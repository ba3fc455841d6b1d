"""Classification trees as plain tensors: grown on codes, walked all rows at once, their leaves smoothed frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import Tensor

FLOOR = 0.05  # imagined rows of a node that holds one level only


@dataclass
class Forest:
    """Trees that give the distribution of one cell: p(level | predictors) is the mean over trees of their leaves' shares.

    Attributes
    ----------
    feature: (nodes,) column a node splits on, −1 at a leaf. threshold: (nodes,) a row goes left where its code is not above.
    left, right: (nodes,) where it goes, itself at a leaf. leaf: (nodes,) row of `share`, −1 inside.
    root: (trees,) first nodes. share: (leaves, levels) probabilities.
    coded: (m,) predictors of categories. codes: m tables (levels,), each level's place in the order of this target.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    leaf: Tensor
    root: Tensor
    share: Tensor
    coded: Tensor
    codes: list[Tensor]

    def recoded(self, values: Tensor) -> Tensor:
        """values (n, columns) with categories in the order of this target."""
        if not len(self.coded):
            return values
        values = values.clone()
        for column, code in zip(self.coded.tolist(), self.codes, strict=True):
            values[:, column] = code[values[:, column].long()]
        return values

    def walk(self, values: Tensor, start: Tensor) -> Tensor:
        """Leaves (n,) that rows of recoded values (n, columns) reach from the nodes `start` (n,)."""
        node, going = start.clone(), torch.arange(len(start))
        while len(going):
            at = node[going]
            feature = self.feature[at]
            inside = feature >= 0
            going, at, feature = going[inside], at[inside], feature[inside]
            below = values[going, feature].double() <= self.threshold[at]
            node[going] = torch.where(below, self.left[at], self.right[at])
        return self.leaf[node]

    def leaves(self, values: Tensor) -> Tensor:
        """The leaf of each row in each tree, (n, trees)."""
        values = self.recoded(values)
        return torch.stack([self.walk(values, root.expand(len(values))) for root in self.root], 1)

    def log_probs(self, values: Tensor) -> Tensor:
        """log p of every level, (n, levels)."""
        leaves = self.leaves(values)
        return (self.share[leaves[:, 0]] if len(self.root) == 1 else self.share[leaves].mean(1)).log()

    def log_prob(self, values: Tensor, symbol: Tensor) -> Tensor:
        """log p of one level (n,) of each row, (n,)."""
        return self.share[self.leaves(values), symbol[:, None]].mean(1).log()

    def draw(self, values: Tensor) -> Tensor:
        """A level (n,) of each row: of a tree drawn at random, by one search in the cumulative shares of all leaves."""
        start = self.root[torch.randint(len(self.root), (len(values),))] if len(self.root) > 1 else self.root.expand(len(values))
        leaf = self.walk(self.recoded(values), start)
        up = self.share.cumsum(1)
        up = up / up[:, -1:] + torch.arange(len(up))[:, None]
        found = torch.searchsorted(up.flatten(), leaf + torch.rand(len(leaf), dtype=torch.float64), right=True)
        return (found - leaf * up.shape[1]).clamp(0, up.shape[1] - 1)


class Rows:
    """Records in the making, cell by cell, for `particles.fill`.

    Parameters
    ----------
    forests: of each cell in reading order. values: (n, m + cells) columns of the condition, then the cells as read.
    """

    def __init__(self, forests: list[Forest], values: Tensor) -> None:
        self.forests, self.values, self.wide = forests, values, values.shape[1] - len(forests)
        self.x = values[:, self.wide :].long()

    def logits(self, step: int) -> Tensor:
        """log p (n, levels) of cell `step`."""
        return self.forests[step].log_probs(self.values[:, : self.wide + step])

    def put(self, step: int, symbol: Tensor) -> None:
        """Set cell `step` to symbol (n,)."""
        self.x[:, step] = symbol
        self.values[:, self.wide + step] = symbol.to(self.values.dtype)

    def keep(self, index: Tensor) -> None:
        """Go on with the rows at index."""
        self.x, self.values = self.x[index], self.values[index]

    def draw(self) -> Tensor:
        """Records (n, cells) drawn freely."""
        for step, forest in enumerate(self.forests):
            self.put(step, forest.draw(self.values[:, : self.wide + step]))
        return self.x


def grow(
    values: Tensor, target: Tensor, levels: int, *, ordered: bool, categories: dict[int, int], leaf: int = 20,
    smoothing: float = 1.0, trees: int = 1, leaves: int = 4096,
) -> Forest:  # fmt: skip
    """The forest of one cell.

    Parameters
    ----------
    values: (n, columns) predictors, float32. target: (n,) the cell. ordered: splits lower the variance of its rank; else Gini's
    impurity of its levels. categories: {column: its levels}, ordered for this target by the mean rank it has with them, or,
    a category itself, by the first principal component of its shares with them (Coppersmith, Hong & Hosking 1999,
    https://doi.org/10.1023/A:1009869804967). leaf: rows of a leaf at least. smoothing: see `shares`.
    trees: more than one are each grown on as many rows drawn with replacement. leaves: of a tree, at most.
    """
    x, t = values.numpy(), target.numpy()
    count = np.bincount(t, minlength=levels)
    rank = (np.cumsum(count) - count / 2) / len(t)
    goal = rank[t] if ordered else t
    tables = {j: _codes(x[:, j].astype(np.int64), wide, t, levels, rank if ordered else None) for j, wide in categories.items()}
    if tables:
        x = x.copy()
        for j, table in tables.items():
            x[:, j] = table[x[:, j].astype(np.int64)]
    kind = DecisionTreeRegressor if ordered else DecisionTreeClassifier
    most = leaves if len(t) // leaf > leaves else None
    parts: list[dict[str, np.ndarray]] = []
    for _ in range(trees):
        model = kind(min_samples_leaf=leaf, max_leaf_nodes=most, random_state=int(torch.randint(2**31 - 1, ())))
        rows = None if trees == 1 else torch.randint(len(t), (len(t),)).numpy()
        if x.shape[1]:
            model.fit(x if rows is None else x[rows], goal if rows is None else goal[rows])
        parts.append(_plain(model.tree_ if x.shape[1] else None, x, t, levels, smoothing))
    return _joined(parts, tables)


def shares(left: np.ndarray, right: np.ndarray, counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Probabilities (nodes, levels): (count + s · p of the parent) / (n + s) down the tree, one imagined even row above the root.

    s is FLOOR, and `smoothing` for each level that a node holds beyond one: what has shown many values has more to show
    (I. Witten and T. Bell 1991, The zero-frequency problem, https://doi.org/10.1109/18.87000).
    `counts` (nodes, levels) are needed at leaves only; left and right (nodes,) are −1 there.
    """
    counts, floors = counts.astype(np.float64), [np.zeros(1, dtype=np.int64)]
    while len(inner := floors[-1][left[floors[-1]] >= 0]):
        floors.append(np.concatenate([left[inner], right[inner]]))
    for floor in reversed(floors):
        inner = floor[left[floor] >= 0]
        counts[inner] = counts[left[inner]] + counts[right[inner]]
    total = counts.sum(1, keepdims=True)
    fresh = FLOOR + smoothing * ((counts > 0).sum(1, keepdims=True) - 1)
    chance = np.empty_like(counts)
    chance[0] = (counts[0] + 1 / counts.shape[1]) / (total[0] + 1)
    for floor in floors:
        inner = floor[left[floor] >= 0]
        for child in (left[inner], right[inner]):
            chance[child] = (counts[child] + fresh[child] * chance[inner]) / (total[child] + fresh[child])
    return chance


def _codes(column: np.ndarray, wide: int, target: np.ndarray, levels: int, rank: np.ndarray | None) -> np.ndarray:
    """The place (wide,) of each level of a category in the order best for the target."""
    table = np.bincount(column * levels + target, minlength=wide * levels).reshape(wide, levels).astype(np.float64)
    count = table.sum(1, keepdims=True)
    off = table / np.maximum(count, 1) - table.sum(0) / len(target) * (count > 0)
    along = off @ (np.linalg.svd(np.sqrt(count) * off, full_matrices=False)[2][0] if rank is None else rank)
    return along.argsort(kind="stable").argsort(kind="stable").astype(np.float32)


def _plain(tree: Any, x: np.ndarray, target: np.ndarray, levels: int, smoothing: float) -> dict[str, np.ndarray]:
    """A grown tree, or one of a root alone, as arrays."""
    if tree is None:
        left = right = feature = np.array([-1])
        threshold, at = np.zeros(1), np.zeros(len(target), dtype=np.int64)
    else:
        left, right, feature, threshold = tree.children_left, tree.children_right, tree.feature, tree.threshold
        at = tree.apply(x)
    counts = np.bincount(at * levels + target, minlength=len(left) * levels).reshape(len(left), levels)
    ends = left < 0
    return {
        "feature": np.where(ends, -1, feature), "threshold": threshold, "left": np.where(ends, np.arange(len(left)), left),
        "right": np.where(ends, np.arange(len(left)), right), "leaf": np.where(ends, np.cumsum(ends) - 1, -1),
        "share": shares(left, right, counts, smoothing)[ends],
    }  # fmt: skip


def _joined(parts: list[dict[str, np.ndarray]], tables: dict[int, np.ndarray]) -> Forest:
    """Several trees in one set of tensors."""
    nodes = np.cumsum([0, *(len(part["left"]) for part in parts)])
    ends = np.cumsum([0, *(len(part["share"]) for part in parts)])
    for part, first, end in zip(parts, nodes, ends, strict=False):
        part["left"], part["right"] = part["left"] + first, part["right"] + first
        part["leaf"] = np.where(part["leaf"] >= 0, part["leaf"] + end, -1)
    whole = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    for name in ("feature", "left", "right", "leaf"):
        whole[name] = whole[name].long()
    codes = [torch.from_numpy(table) for table in tables.values()]
    return Forest(
        **whole, root=torch.from_numpy(nodes[:-1]).long(), coded=torch.tensor(list(tables), dtype=torch.int64), codes=codes
    )
