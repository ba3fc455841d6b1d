"""emcee, NumPyro, BlackJAX, PyMC, nutpie and Pyro on the targets of mcmc.py; the benchmark runs this in their environment.

PYTHON mcmc_peers.py LIBRARY TARGET SEED DRAWS.npy FILE.npz: draws (draws, chains, d) into DRAWS.npy, processor seconds as JSON.
The file holds `precision`, for a normal, or `signed`, (31, 569), for a logistic regression.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np

WARMUP, DRAWS, CHAINS = 1000, 1000, 4


def density(held: dict[str, np.ndarray], name: str, np: Any, logaddexp: Callable[..., Any]) -> tuple[Callable[[Any], Any], int]:
    """The log density of one point (d,) or of many (n, d), in the arrays of a library."""
    if name == "normal":
        precision = np.asarray(held["precision"])
        return lambda x: -0.5 * ((x @ precision) * x).sum(-1), len(held["precision"])
    signed = np.asarray(held["signed"])
    return lambda x: -logaddexp(0.0, -(x @ signed)).sum(-1) - 0.5 * ((x / 2.5) ** 2).sum(-1), len(held["signed"])


def emcee(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """The stretch move, every walker at once; a thousand steps thrown away, four thousand kept."""
    from emcee import EnsembleSampler  # pyright: ignore[reportMissingImports]

    log_density, d = density(held, name, np, np.logaddexp)
    np.random.seed(seed)
    walkers = max(64, 4 * d)
    begin = time.process_time()
    sampler = EnsembleSampler(walkers, d, log_density, vectorize=True)
    state = sampler.run_mcmc(np.random.uniform(-1, 1, (walkers, d)), WARMUP)
    sampler.reset()
    warm = time.process_time()
    sampler.run_mcmc(state, 4 * DRAWS)
    return sampler.get_chain(), warm - begin, time.process_time() - warm


def numpyro(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """NUTS with a dense metric, four chains side by side."""
    import jax
    from jax import numpy as jnp
    from numpyro.infer import MCMC, NUTS  # pyright: ignore[reportMissingImports]

    log_density, d = density(held, name, jnp, jnp.logaddexp)
    begin = time.process_time()
    kernel = NUTS(potential_fn=lambda x: -log_density(x), dense_mass=True)
    chains = MCMC(
        kernel, num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS, chain_method="vectorized", progress_bar=False
    )  # fmt: skip
    start = jax.random.uniform(jax.random.PRNGKey(seed), (CHAINS, d), minval=-1.0, maxval=1.0)
    chains.warmup(jax.random.PRNGKey(seed + 1), init_params=start)
    warm = time.process_time()
    chains.run(jax.random.PRNGKey(seed + 2))
    draws = np.asarray(chains.get_samples(group_by_chain=True))
    return draws.swapaxes(0, 1), warm - begin, time.process_time() - warm


def blackjax(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """NUTS after window adaptation (diagonal metric), four chains by vmap."""
    import blackjax  # pyright: ignore[reportMissingImports]
    import jax
    from jax import numpy as jnp

    log_density, d = density(held, name, jnp, jnp.logaddexp)
    begin = time.process_time()
    keys = jax.random.split(jax.random.PRNGKey(seed), CHAINS)
    start = jax.random.uniform(jax.random.PRNGKey(seed + 1), (CHAINS, d), minval=-1.0, maxval=1.0)
    adapt = blackjax.window_adaptation(blackjax.nuts, log_density)

    def warm_up(key: Any, x: Any) -> Any:
        (state, parameters), _ = adapt.run(key, x, num_steps=WARMUP)
        return state, parameters

    states, parameters = jax.block_until_ready(jax.jit(jax.vmap(warm_up))(keys, start))
    warm = time.process_time()

    def draw(key: Any, state: Any, parameters: Any) -> Any:
        step = blackjax.nuts(log_density, **parameters).step

        def one(state: Any, key: Any) -> Any:
            state, _ = step(key, state)
            return state, state.position

        return jax.lax.scan(one, state, jax.random.split(key, DRAWS))[1]

    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(keys[0], CHAINS), states, parameters))
    return draws.swapaxes(0, 1), warm - begin, time.process_time() - warm


def flat(held: dict[str, np.ndarray], name: str) -> Any:
    """The target as a PyMC model of one flat vector."""
    import pymc  # pyright: ignore[reportMissingImports]
    from pytensor import tensor  # pyright: ignore[reportMissingImports]

    with pymc.Model() as model:
        if name == "normal":
            x = pymc.Flat("x", shape=len(held["precision"]))
            pymc.Potential("p", -0.5 * tensor.dot(tensor.dot(x, held["precision"]), x))
        else:
            x = pymc.Flat("x", shape=len(held["signed"]))
            pymc.Potential("p", -tensor.softplus(-tensor.dot(x, held["signed"])).sum() - 0.5 * ((x / 2.5) ** 2).sum())
    return model


def pymc(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """Its own NUTS (diagonal metric), one chain after the other; compilation is warm-up."""
    import pymc  # pyright: ignore[reportMissingImports]

    begin = time.process_time()
    model = flat(held, name)
    warm, last = 0.0, begin

    def told(trace: Any, draw: Any) -> None:
        """Called after each step; what has passed since the one before is that step's."""
        nonlocal warm, last
        now = time.process_time()
        warm += (now - last) * draw.tuning
        last = now

    with model:
        quiet: dict[str, Any] = {"progressbar": False, "compute_convergence_checks": False, "callback": told}
        found = pymc.sample(DRAWS, tune=WARMUP, chains=CHAINS, cores=1, random_seed=seed, nuts_sampler="pymc", **quiet)
    return found.posterior["x"].values.swapaxes(0, 1), warm, time.process_time() - begin - warm


def nutpie(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """NUTS in Rust (diagonal metric from gradients), one chain after the other; warm-up is timed as a run of one draw."""
    import nutpie  # pyright: ignore[reportMissingImports]

    begin = time.process_time()
    compiled = nutpie.compile_pymc_model(flat(held, name))
    made = time.process_time()
    options: dict[str, Any] = {"tune": WARMUP, "chains": CHAINS, "cores": 1, "seed": seed, "progress_bar": False}
    found = nutpie.sample(compiled, draws=DRAWS, **options)
    spent = time.process_time() - made
    again = time.process_time()
    nutpie.sample(compiled, draws=1, **options)
    warm = min(spent, time.process_time() - again)
    return found.posterior["x"].values.swapaxes(0, 1), made - begin + warm, spent - warm


def pyro(held: dict[str, np.ndarray], name: str, seed: int) -> tuple[np.ndarray, float, float]:
    """NUTS with a dense metric, one chain after the other."""
    import torch
    from pyro.infer import MCMC, NUTS  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    tensors = {key: torch.from_numpy(np.asarray(value, np.float64)) for key, value in held.items()}

    def normal(z: dict[str, Any]) -> Any:
        return 0.5 * (z["x"] @ tensors["precision"]) @ z["x"]

    def logistic(z: dict[str, Any]) -> Any:
        loss = torch.nn.functional.softplus(-(z["x"] @ tensors["signed"])).sum()
        return loss + 0.5 / 2.5**2 * z["x"].square().sum()

    potential, d = (normal, len(tensors["precision"])) if name == "normal" else (logistic, len(tensors["signed"]))
    torch.manual_seed(seed)
    begin, chains, warm = time.process_time(), [], 0.0
    last = begin

    def told(kernel: Any, samples: Any, stage: str, i: int) -> None:
        """Called after each step; what has passed since the one before is that step's."""
        nonlocal warm, last
        now = time.process_time()
        warm += (now - last) * stage.lower().startswith("warmup")
        last = now

    for _ in range(CHAINS):
        start = {"x": torch.rand(d, dtype=torch.float64) * 2 - 1}
        kernel = NUTS(potential_fn=potential, full_mass=True)
        run = MCMC(kernel, num_samples=DRAWS, warmup_steps=WARMUP, initial_params=start, disable_progbar=True, hook_fn=told)
        run.run()
        chains.append(run.get_samples()["x"].numpy())
    return np.stack(chains, 1), warm, time.process_time() - begin - warm


LIBRARIES = {"emcee": emcee, "numpyro": numpyro, "blackjax": blackjax, "pymc": pymc, "nutpie": nutpie, "pyro": pyro}


def main() -> None:
    warnings.simplefilter("ignore")
    library, name, seed, out, file = sys.argv[1:]
    begin = time.process_time()
    draws, warm, spent = LIBRARIES[library](dict(np.load(file)), name, int(seed))
    np.save(out, np.asarray(draws, np.float64))
    print(json.dumps({"warm": warm, "draws": spent, "all": time.process_time() - begin}))


if __name__ == "__main__":
    main()
