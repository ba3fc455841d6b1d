"""pythae's VAE, IWAE and VQ-VAE on images; benchmarks/autoencoders.py runs this in their environment.

PYTHON autoencoders_peers.py vae|iwae|vqvae EPOCHS LATENT CODES DRAWS ARRAYS.npz: trains on `train` (n, 784), prints one line of
JSON: processor seconds of training, steps, parameters and, where DRAWS is above 0, the importance-sampled nats of `test`, or of
the VQ-VAE the mean squared error of its reconstructions.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from pythae.data.datasets import BaseDataset  # pyright: ignore[reportMissingImports]
from pythae.models import IWAE, VAE, VQVAE, IWAEConfig, VAEConfig, VQVAEConfig  # pyright: ignore[reportMissingImports]
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # pyright: ignore[reportMissingImports]

BATCH = 100


def main() -> None:
    kind, epochs, latent, codes, draws, file = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arrays = np.load(file)
    train = torch.from_numpy(arrays["train"]).float()
    shape = {"input_dim": (784,), "latent_dim": int(latent), "reconstruction_loss": "bce"}
    if kind == "vqvae":
        shape = {"input_dim": (784,), "latent_dim": int(latent), "num_embeddings": int(codes), "use_ema": True}
        model = VQVAE(VQVAEConfig(**shape))
    else:
        model = VAE(VAEConfig(**shape)) if kind == "vae" else IWAE(IWAEConfig(number_samples=int(codes), **shape))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=int(epochs), learning_rate=1e-3, per_device_train_batch_size=BATCH,
            optimizer_cls="Adam", no_cuda=True, steps_saving=None, seed=0,
        )  # fmt: skip
        trainer = BaseTrainer(model, BaseDataset(train, torch.zeros(len(train))), training_config=config)
        begin = time.process_time()
        trainer.train()
        seconds = time.process_time() - begin
    model.eval()
    nats = None
    if int(draws):
        with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
            test = torch.from_numpy(arrays["test"]).float()
            if kind == "vqvae":
                nats = float((model.reconstruct(test) - test).square().mean())
            else:
                nats = -float(model.get_nll(test, n_samples=int(draws), batch_size=int(draws)))
    steps = int(epochs) * -(-len(train) // BATCH)
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"seconds": seconds, "steps": steps, "parameters": parameters, "nats": nats}))


if __name__ == "__main__":
    main()
