"""The engine under the loops: budget, schedule, averaging, validation, health and checkpoints around any kind of step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from genus import dice, store
from genus.maths.quantise import Packed
from genus.train.average import Average
from genus.train.batches import Batches
from genus.train.budget import Budget
from genus.train.checkpoint import Checkpoints, claimed
from genus.train.device import autocast, device_of, to_device
from genus.train.health import Health
from genus.train.identity import compare, identity
from genus.train.interrupt import Interrupted, Request, listening
from genus.train.optimiser import clip, make_optimiser
from genus.train.progress import Progress
from genus.train.recipe import Recipe
from genus.train.run import Run
from genus.train.schedule import factor
from genus.train.validation import Validation

Loss = Callable[[Tensor, Tensor | None], Tensor]


@dataclass
class State:
    """What a training knows besides tensors.

    Attributes
    ----------
    step: done. total: None until known. first, elapsed: seconds of the first step and of all. best: validation loss.
    stale: validations since then. final: whether the nets hold their final weights. history: of the logged steps.
    """

    step: int = 0
    total: int | None = None
    first: float = 0.0
    elapsed: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    final: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


class Engine:
    """Trains nets by steps that a loop defines out of `update`.

    Parameters
    ----------
    nets: by name, each with an optimiser of its own. x, y: the data. averaged: the net whose average is kept, validated
    and left behind. labels: of the losses of a step. rates: learning rates of nets that differ from the recipe's.
    """

    def __init__(
        self,
        nets: dict[str, nn.Module],
        x: Packed,
        y: Tensor | None,
        *,
        recipe: Recipe,
        run: Run,
        averaged: str,
        labels: tuple[str, ...] = ("loss",),
        rates: dict[str, float] | None = None,
    ) -> None:
        self.recipe, self.run, self.nets, self.net = recipe, run, nets, nets[averaged]
        self.identity = identity(recipe, nets, x, y, run.devices)
        self.device = device_of(recipe.device)
        for net in nets.values():
            net.to(self.device).train()
        self.optimisers = {name: make_optimiser(net, recipe, (rates or {}).get(name)) for name, net in nets.items()}
        self.parameters = {name: [p for g in o.param_groups for p in g["params"]] for name, o in self.optimisers.items()}
        self.peaks = [(group, group["lr"]) for o in self.optimisers.values() for group in o.param_groups]
        self.average = Average(self.net, recipe.ema)
        self.batches = Batches(x, recipe.batch, int(torch.randint(2**62, ())))
        self.x, self.y = to_device(x, self.device), None if y is None else y.to(self.device)
        self.budget = Budget(recipe, len(x), self.batches.size)
        self.state = State(total=self.budget.total)
        length = 50 if self.state.total is None else max(1, min(250, self.state.total // 100))
        self.health = Health(nets, self.average.values if recipe.ema else [], labels, length)
        self.precision = autocast(recipe.precision, self.device)
        self.best: dict[str, Tensor] | None = None
        self.checkpoints = Checkpoints(run.folder, run.next_stage())

    def update(self, name: str, loss: Loss, slot: int = 0) -> None:
        """One step of one net's optimiser on a fresh batch; `loss` gives a scalar or one value an item."""
        i = self.batches.next()
        x, y = self.x[i], None if self.y is None else self.y[i]
        with self.precision():
            value = loss(x, y).mean()
        parameters = self.parameters[name]
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        norm = clip(gradients, self.recipe.clip) if self.recipe.clip else None
        self.health.put(slot, value.detach(), norm)
        self.optimisers[name].step()

    def loop(self, step: Callable[[], None], evaluate: Loss | None = None) -> list[dict[str, Any]]:
        """Repeat `step` until the budget ends, leave the best (or averaged) weights in the nets; returns the history."""
        folder = self.run.folder
        place = self.device if self.device.type != "cpu" else nullcontext()
        with claimed(folder), listening(folder is not None) as request, place:
            self._resume()
            if not self.state.final:
                held_out = self.run.validation if evaluate else None
                chunk = max(256, self.batches.size)
                validation = Validation(evaluate, held_out, chunk, self.device) if evaluate and held_out else None
                self._steps(step, validation, request)
                self._finish()
        for net in self.nets.values():
            net.to("cpu").eval()
        return self.state.history

    def _steps(self, step: Callable[[], None], validation: Validation | None, request: Request) -> None:
        state, run = self.state, self.run
        progress = Progress(run.progress, run.json)
        began = time.perf_counter() - state.elapsed
        saved = time.perf_counter()
        while not self.budget.over(state.step, state.total, state.elapsed):
            self._set_rate()
            self.health.begin()
            step()
            self.average.update(state.step)
            state.step += 1
            now = time.perf_counter()
            state.elapsed = now - began
            self._calibrate()
            if state.step % self.health.length == 0:
                self._log(self.health.look(state.step))
            if validation and self._due(validation) and self._validate(validation):
                break
            if now >= progress.due:
                progress.show(state.step, state.total, self._facts())
            asked = run.every_steps and state.step % run.every_steps == 0
            if run.folder and (request.number or asked or now - saved >= run.every):
                self.save()
                saved = time.perf_counter()
                self._heed(request, progress)
        self.health.look(state.step)
        progress.close(state.step, state.total, self._facts())

    def _set_rate(self) -> None:
        state, recipe = self.state, self.recipe
        rate = factor(recipe.schedule, state.step, state.total, recipe.warmup)
        for group, peak in self.peaks:
            group["lr"] = peak * rate

    def _calibrate(self) -> None:
        state = self.state
        if state.step == 1:
            state.first = state.elapsed
        if state.total is None:
            state.total = self.budget.calibrate(state.step, state.elapsed, state.first)

    def _heed(self, request: Request, progress: Progress) -> None:
        if request.number:
            progress.close(self.state.step, self.state.total, self._facts())
            raise Interrupted(
                f"Stopped at step {self.state.step} of {self.state.total or '?'}; everything is kept in {self.run.folder}: "
                "give the same command again to go on.",
                request.number,
            )

    # -- validation and history ---------------------------------------------------------------------------

    def _due(self, validation: Validation) -> bool:
        state = self.state
        if state.total is None:
            return False
        gap = max(1, state.total // self.budget.checks(state.total, len(validation)))
        return state.step % gap == 0 or state.step == state.total

    def _validate(self, validation: Validation) -> bool:
        """Check the averaged weights; keep them if they are the best so far; True when patience has ended."""
        state = self.state
        self.health.look(state.step)
        self.net.eval()
        with self.average.lent():
            value = validation()
            if state.best is None or value < state.best:
                state.best, state.best_step, state.stale = value, state.step, 0
                self.best = {name: t.detach().clone() for name, t in self.net.state_dict().items()}
            else:
                state.stale += 1
        self.net.train()
        self._log({"validation": value})
        return 0 < self.recipe.patience <= state.stale

    def _log(self, facts: dict[str, float]) -> None:
        history, state = self.state.history, self.state
        if history and history[-1]["step"] == state.step:
            history[-1] |= facts
        else:
            history.append({"step": state.step, "seconds": round(state.elapsed, 3), **facts})

    def _facts(self) -> dict[str, float]:
        """The latest value of everything logged."""
        facts: dict[str, float] = {}
        for row in self.state.history[-30:]:
            facts |= {name: value for name, value in row.items() if name not in ("step", "seconds")}
        return facts

    # -- the end and the checkpoints ----------------------------------------------------------------------

    def _finish(self) -> None:
        if self.best is not None:
            self.net.load_state_dict(self.best)
        else:
            self.average.adopt()
        self.state.final = True
        self.save()

    def save(self) -> None:
        """Write a checkpoint, if the weights are sound."""
        if self.run.folder is None:
            return
        self.health.look(self.state.step)
        content: dict[str, Any] = {
            "identity": self.identity,
            "state": vars(self.state),
            "nets": {name: dict(net.state_dict()) for name, net in self.nets.items()},
            "dice": dice.state(),
        }
        if not self.state.final:
            content |= {
                "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
                "average": self.average.values if self.recipe.ema else [],
                "best": self.best,
                "batches": self.batches.state(),
                "window": self.health.window,
            }
        self.checkpoints.save(self.state.step, content)
        self._tell()

    def _resume(self) -> None:
        content = self.checkpoints.load()
        if content is None:
            return
        compare(content["identity"], self.identity, self.run.folder)
        self.state = State(**content["state"])
        for name, net in self.nets.items():
            net.load_state_dict(content["nets"][name])
        if not self.state.final:
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(content["optimisers"][name])
            self.peaks = [(g, peak) for (_, peak), g in zip(self.peaks, self._groups(), strict=True)]
            self.average.load(content["average"])
            self.best = content["best"]
            self.batches.restore(content["batches"])
            self.health.window = content["window"]
            self.health.keep(self.state.step)
        dice.restore(content["dice"])

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers.values() for group in optimiser.param_groups]

    def _tell(self) -> None:
        """Put the history beside the checkpoints, one JSON object a line."""
        assert self.run.folder is not None
        lines = b"".join(store.to_json_line(row) for row in self.state.history)
        store.write(self.run.folder / "history.jsonl", lines)
