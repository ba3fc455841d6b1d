"""The engine under the loops: budget, schedule, averaging, validation, health and checkpoints around any kind of step."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
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
from genus.train.optimiser import clip, laid_like, make_optimiser, restore_optimiser
from genus.train.pace import Pace
from genus.train.private import Private
from genus.train.progress import Progress
from genus.train.recipe import Recipe
from genus.train.run import Run
from genus.train.team import Team, fork, join, launched
from genus.train.validation import Validation

Loss = Callable[[Tensor, Tensor | None], Tensor]
Watch = Callable[[], dict[str, float]]


@dataclass
class State:
    """What a training knows besides tensors.

    Attributes
    ----------
    pace: how long it lasts. step, elapsed: steps and seconds done. best: the least validation loss. best_step: where.
    stale: validations since then. final: whether the nets hold their final weights. history: of the logged steps.
    """

    pace: Pace
    step: int = 0
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
        self.processes = launched() or run.devices
        self.team = join(launched())
        self.identity = identity(recipe, nets, x, y, self.processes)
        self.device = device_of(recipe.device)
        for net in nets.values():
            net.to(self.device).train()
        self.optimisers = {name: make_optimiser(net, recipe, (rates or {}).get(name)) for name, net in nets.items()}
        self.parameters = {name: [p for g in o.param_groups for p in g["params"]] for name, o in self.optimisers.items()}
        self.peaks = [(group, group["lr"]) for o in self.optimisers.values() for group in o.param_groups]
        self.average = Average(self.net, recipe.ema)
        self.seed = int(torch.randint(2**62, ()))
        self.batches = Batches(x, recipe.batch * self.processes, self.seed)
        self.x, self.y = to_device(x, self.device), None if y is None else y.to(self.device)
        self.budget = Budget(recipe, len(x), self.batches.size)
        self.state = State(self.budget.pace())
        length = 50 if self.budget.seconds else max(1, min(250, (self.state.pace.total or 0) // 100))
        self.health = Health(nets, self.average.values if recipe.ema else [], labels, length)
        self.precision = autocast(recipe.precision, self.device)
        self.best: dict[str, Tensor] | None = None
        self.watch: Watch | None = None
        self.private: Private | None = None
        if recipe.epsilon is not None:
            self.private = Private(recipe, nets, len(x), self.batches.size, self.budget.limit, self.processes)
        self.checkpoints = Checkpoints(run.folder, run.next_stage())
        self.request, self.stop, self.clock, self.shared = Request(), False, 0.0, 0.0

    def update(self, name: str, loss: Loss, slot: int = 0) -> None:
        """One step of one net's optimiser on a fresh batch; `loss` gives a scalar or one value an item."""
        if self.private is not None:
            for p, g in zip(
                self.parameters[name], self.private.gradients(self.x, self.y, loss, self.parameters[name]), strict=True
            ):
                p.grad = laid_like(g, p)
            self.optimisers[name].step()
            return
        i = self.batches.next()
        x, y = self.x[i], None if self.y is None else self.y[i]
        with self.precision():
            value = loss(x, y).mean()
        parameters = self.parameters[name]
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        gradients = [None if g is None else laid_like(g, p) for p, g in zip(parameters, found, strict=True)]
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        value = value.detach()
        if self.team.size > 1:
            facts = self.team.mean(gradients, [value, float(self.request.number > 0 or self.team.orphaned), self.clock])
            value, self.stop, self.shared = facts[0], bool(facts[1] > 0), float(facts[2])
        norm = clip(gradients, self.recipe.clip) if self.recipe.clip else None
        self.health.put(slot, value, norm)
        self.optimisers[name].step()

    def loop(self, step: Callable[[], None], evaluate: Loss | None = None, watch: Watch | None = None) -> list[dict[str, Any]]:
        """Repeat `step` until the budget ends, leave the best (or averaged) weights in the nets; returns the history.

        At each validation `watch` tells more facts to log; it draws nothing at random.
        """
        self.watch = watch
        with self._home() as folder, claimed(folder if self.team.rank == 0 else None):
            self._resume()
            if not self.state.final and self.processes > max(1, self.team.size):
                fork(self.processes, lambda team: self._train(step, evaluate, team))
                self._resume()
            elif not self.state.final:
                self._train(step, evaluate, self.team)
        for net in self.nets.values():
            net.to("cpu").eval()
        if self.private is not None:
            self.recipe.privacy_ = self.private.promise(self.state.step, self.run)  # pyright: ignore[reportAttributeAccessIssue]
        return self.state.history

    @contextmanager
    def _home(self) -> Iterator[Path | None]:
        """The run's folder; a temporary one for forked processes that have none, since files are what comes back of them."""
        if self.run.folder or self.processes == self.team.size:
            yield self.run.folder
            return
        with TemporaryDirectory() as folder:
            self.checkpoints.place(Path(folder))
            yield Path(folder)

    def _train(self, step: Callable[[], None], evaluate: Loss | None, team: Team) -> None:
        """All the steps and the end, as one of the team."""
        self.team, self.batches.part = team, (team.rank, team.size)
        team.align(self.nets)
        held_out = self.run.validation if evaluate and self.private is None else None
        chunk = max(256, self.batches.size)
        validation = Validation(evaluate, held_out, chunk, self.device) if evaluate and held_out else None
        place = self.device if self.device.type != "cpu" else nullcontext()
        with listening(self.checkpoints.folder is not None) as self.request, place:
            self._steps(step, validation)
            self._finish()

    def _steps(self, step: Callable[[], None], validation: Validation | None) -> None:
        state, run = self.state, self.run
        progress = Progress(run.progress if self.team.rank == 0 else False, run.json and self.team.rank == 0)
        began = time.perf_counter() - state.elapsed
        saved = time.perf_counter()
        while not self.budget.over(state.pace, state.step, state.elapsed):
            self._prepare()
            step()
            self.average.update(state.step)
            state.step += 1
            now = time.perf_counter()
            self.clock = now - began
            self._confer()
            self.budget.adjust(state.pace, state.step, state.elapsed, run.every)
            if state.step % self.health.length == 0:
                self._log(self.health.look(state.step))
            if validation and self._due(validation) and self._validate(validation):
                break
            if now >= progress.due:
                progress.show(state.step, state.pace.total, self._facts())
            if self._save_due(now - saved):
                with self._aside("keep"):
                    self.save()
                saved = time.perf_counter()
            if self.stop:
                progress.close(state.step, state.pace.total, self._facts())
                self._interrupt()
        facts = self.health.look(state.step)
        if not state.history or state.history[-1]["step"] < state.step:
            self._log(facts)
        progress.close(state.step, state.pace.total, self._facts())

    def _prepare(self) -> None:
        """The learning rate and the window of this step; in a team also its own noise, which a resumed run draws again."""
        state, recipe = self.state, self.recipe
        rate = state.pace.rate(recipe.schedule, state.step)
        for group, peak in self.peaks:
            group["lr"] = peak * rate
        self.health.begin()
        if self.team.size > 1:
            torch.manual_seed(dice.derive(self.seed, state.step, self.team.rank))

    def _confer(self) -> None:
        """Whether to stop, and what time it is, by all clocks and signals of the team."""
        if self.team.size > 1:
            self.state.elapsed = self.shared
        else:
            self.state.elapsed, self.stop = self.clock, self.request.number > 0

    def _save_due(self, since: float) -> bool:
        asked = bool(self.run.every_steps) and self.state.step % (self.run.every_steps or 1) == 0
        return self.stop or asked or since >= self.run.every

    @contextmanager
    def _aside(self, name: str) -> Iterator[None]:
        """Time what is not a step: a validation (`check`) or a checkpoint (`keep`), by all clocks of the team."""
        began = time.perf_counter()
        yield
        if self.budget.seconds and (self.team.size == 1 or name == "check"):
            seconds = self.team.agree(time.perf_counter() - began)
            setattr(self.state.pace, name, seconds)
            self.state.pace.aside += seconds

    def _interrupt(self) -> None:
        kept = (
            f"everything is kept in {self.run.folder}: give the same command again to go on"
            if self.run.folder
            else "nothing is kept"
        )
        message = f"Stopped at step {self.state.step} of {self.state.pace.total or '?'}; {kept}."
        raise Interrupted(message, self.request.number or signal.SIGTERM)

    # -- validation and history ---------------------------------------------------------------------------

    def _due(self, validation: Validation) -> bool:
        pace = self.state.pace
        if pace.total is None:
            return False
        pace.checks = pace.checks or self.budget.checks(pace.total, len(validation))
        before, pace.checked = pace.checked, int(pace.share(self.state.step) * pace.checks)
        return pace.checked > before

    def _validate(self, validation: Validation) -> bool:
        """Check the averaged weights; keep them if they are the best so far; True when patience has ended."""
        state = self.state
        self.health.look(state.step)
        self.net.eval()
        with self._aside("check"), self.average.lent():
            value = self.team.agree(validation())
            seen = self.watch() if self.watch else {}
            if state.best is None or value < state.best:
                state.best, state.best_step, state.stale = value, state.step, 0
                self.best = {name: t.detach().clone() for name, t in self.net.state_dict().items()}
            else:
                state.stale += 1
        self.net.train()
        self._log({"validation": value, **seen})
        return 0 < self.recipe.patience <= state.stale

    def _log(self, facts: dict[str, float]) -> None:
        history, state = self.state.history, self.state
        facts = facts if self.private is None else {"epsilon": self.private.spent(state.step)}
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
        if self.checkpoints.folder is None or self.team.rank:
            return
        self.health.look(self.state.step)
        content: dict[str, Any] = {
            "identity": self.identity,
            "state": asdict(self.state),
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
        self.state = State(**content["state"] | {"pace": Pace(**content["state"]["pace"])})
        for name, net in self.nets.items():
            net.load_state_dict(content["nets"][name])
        if not self.state.final:
            for name, optimiser in self.optimisers.items():
                restore_optimiser(optimiser, content["optimisers"][name])
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
        if self.run.folder is None:
            return
        lines = b"".join(store.to_json_line(row) for row in self.state.history)
        store.write(self.run.folder / "history.jsonl", lines)
