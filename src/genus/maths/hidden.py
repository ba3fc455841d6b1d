"""Hidden Markov chains: filtering, smoothing, the best path and draws of paths, batched over sequences.

Everything works on likelihoods b (T, n, k) of the k states at each of T steps of n sequences, scaled so that the largest of a
step is 1; a step that is not observed has b = 1. One loop over time, one small matrix product a step for all sequences at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EVERY = 4  # steps between two divisions
TINY, SMALL = 1e-300, 1e-200


@dataclass
class Chain:
    """Parameters in double precision: start (k,) and transition (k, k) probabilities, a row for each state come from."""

    start: Tensor
    transition: Tensor


@dataclass
class Filtered:
    """What a forward pass leaves: alpha (T, n, k), p(state | steps so far); log_prob (n,), nats."""

    alpha: Tensor
    log_prob: Tensor


class Desk:
    """Room for the passes over sequences of one shape (T, n, k), to be used again at each iteration.

    Attributes
    ----------
    b, alpha, beta, ahead: (T, n, k) each; steps: their views of each step, which cost more than the sums on them.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.b, self.alpha, self.beta, self.ahead = torch.empty(4, *shape, dtype=torch.float64).unbind(0)
        self.steps = [part.unbind(0) for part in (self.b, self.alpha, self.beta, self.ahead)]


def scaled(log_b: Tensor, desk: Desk | None = None) -> tuple[Tensor, Tensor]:
    """(b, logs taken out (n,)) of log-likelihoods (T, n, k); b lies on the desk if there is one."""
    top = log_b.amax(-1, keepdim=True).clamp_min(-1e30)
    b = torch.sub(log_b, top, out=None if desk is None else desk.b)
    return b.exp_(), top.sum(0)[:, 0]


def forward(chain: Chain, b: Tensor, desk: Desk | None = None, every: int = EVERY) -> Filtered:
    """Filter: p(state | steps so far) at each step, and the likelihood of b without what scaling took out.

    Probabilities are divided by their sum only every few steps, and at each step where that would underflow.

    Reference: L. Rabiner 1989, A tutorial on hidden Markov models, https://doi.org/10.1109/5.18626
    """
    desk, log_prob = desk or _desk(b), b.new_zeros(b.shape[1])
    seen, steps, _, _ = desk.steps
    torch.mul(chain.start, seen[0], out=steps[0])
    for t in range(1, len(b)):
        torch.mm(steps[t - 1], chain.transition, out=steps[t])
        steps[t].mul_(seen[t])
        if t % every == 0:
            total = steps[t].sum(1)
            steps[t].div_(total.clamp_min(TINY)[:, None])
            log_prob += total.clamp_min(TINY).log()
    total = desk.alpha.sum(-1)
    if every > 1 and bool((total < SMALL).any()):
        return forward(chain, b, desk, 1)
    return Filtered(desk.alpha.div_(total.clamp_min(TINY)[..., None]), log_prob + total[-1].clamp_min(TINY).log())


def smooth(
    chain: Chain, b: Tensor, found: Filtered, counted: Tensor | None = None, desk: Desk | None = None, every: int = EVERY
) -> tuple[Tensor, Tensor]:
    """(gamma (T, n, k), p(state | all steps); transitions (k, k), how often each is expected).

    counted: (T, n) 1 where a step belongs to its sequence, 0 on padding; every step when None.
    """
    desk, back = desk or _desk(b), chain.transition.T.contiguous()
    seen, _, behind, front = desk.steps
    behind[-1].fill_(1.0)
    for t in range(len(b) - 2, -1, -1):
        torch.mul(seen[t + 1], behind[t + 1], out=front[t])
        torch.mm(front[t], back, out=behind[t])
        if t % every == 0:
            total = behind[t].amax(1, keepdim=True).clamp_min(TINY)
            behind[t].div_(total)
            front[t].div_(total)
    gamma = found.alpha * desk.beta
    total = gamma.sum(-1, keepdim=True)
    if every > 1 and bool((total < SMALL).any()):
        return smooth(chain, b, found, counted, desk, 1)
    share = found.alpha[:-1] / total[:-1].clamp_min(TINY)
    if counted is not None:
        share = share * counted[1:, :, None]
    pairs = share.flatten(0, 1).T @ desk.ahead[:-1].flatten(0, 1)
    gamma.div_(total.clamp_min(TINY))
    return gamma if counted is None else gamma * counted[..., None], chain.transition * pairs


def _desk(b: Tensor) -> Desk:
    desk = Desk(b.shape)
    desk.b.copy_(b)
    return desk


def best_path(chain: Chain, log_b: Tensor) -> Tensor:
    """The likeliest states (n, T) given log-likelihoods (T, n, k).

    Reference: A. Viterbi 1967, Error bounds for convolutional codes, https://doi.org/10.1109/TIT.1967.1054010
    """
    step = chain.transition.clamp_min(1e-300).log()
    value = chain.start.clamp_min(1e-300).log() + log_b[0]
    came = torch.empty(log_b.shape, dtype=torch.long)
    for t in range(1, len(log_b)):
        value, came[t] = (value[:, :, None] + step).max(1)
        value = value + log_b[t]
    path = torch.empty(log_b.shape[1], len(log_b), dtype=torch.long)
    path[:, -1] = value.argmax(1)
    for t in range(len(log_b) - 1, 0, -1):
        path[:, t - 1] = came[t].gather(1, path[:, t, None])[:, 0]
    return path


def draw_path(chain: Chain, found: Filtered) -> Tensor:
    """States (n, T) drawn from p(path | all steps): filter forward, draw backward.

    Reference: S. Chib 1996, Calculating posterior distributions and modal estimates in Markov mixture models,
    https://doi.org/10.1016/0304-4076(95)01770-4
    """
    steps, n, _ = found.alpha.shape
    path = torch.empty(n, steps, dtype=torch.long)
    path[:, -1] = torch.multinomial(found.alpha[-1], 1)[:, 0]
    for t in range(steps - 2, -1, -1):
        chance = found.alpha[t] * chain.transition[:, path[:, t + 1]].T
        path[:, t] = torch.multinomial(chance, 1)[:, 0]
    return path


def wander(chain: Chain, state: Tensor, steps: int) -> Tensor:
    """States (n, steps) of chains that go on from `state` (n,), the first one move after it."""
    path = torch.empty(len(state), steps, dtype=torch.long)
    end = chain.transition.cumsum(1)
    for t in range(steps):
        point = torch.rand(len(state), 1, dtype=end.dtype) * end[state, -1:]
        state = (end[state] <= point).sum(1).clamp(max=len(end) - 1)
        path[:, t] = state
    return path
