"""Codebooks: nearest codes, moving averages that reach the means, revival, residual levels, finite scalars, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from genus.maths.codebook import Codebook, FiniteScalar, Residual, rotated, sides_of, straight, use


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def blobs(n: int, centres: torch.Tensor, noise: float = 0.05) -> torch.Tensor:
    return centres[torch.arange(n) % len(centres)] + noise * torch.randn(n, centres.shape[1])


CENTRES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


def test_codes_find_the_centres_of_the_data():
    book = Codebook(4, 2).train()
    for _ in range(100):
        book(blobs(64, CENTRES))
    distance = torch.cdist(CENTRES, book.table).min(1).values
    assert distance.max() < 0.05
    assert torch.cdist(CENTRES, Codebook(4, 2).table).min(1).values.max() > 0.5  # an untrained book fails


def test_codes_follow_the_means_as_moving_averages():
    """One step by hand, in units of the mean use: N ← γ + (1 − γ) n k / Σn, m ← γ e + (1 − γ) Σz k / Σn."""
    book = Codebook(2, 1, decay=0.9, expire=0.0).train()
    book._put(torch.tensor([[0.0], [10.0]]))
    book.begun.fill_(True)
    book(torch.tensor([[1.0], [1.0], [1.0], [9.0]]))
    counts = torch.tensor([0.9 + 0.1 * 1.5, 0.9 + 0.1 * 0.5])
    sums = torch.tensor([0.1 * 3.0 * 0.5, 9.0 + 0.1 * 9.0 * 0.5])
    assert torch.allclose(book.table[:, 0], sums / counts, atol=1e-3)
    assert torch.allclose(book.counts, counts)


def test_a_book_out_of_training_does_not_move():
    book = Codebook(4, 2).eval()
    before = book.table.clone()
    book(blobs(64, CENTRES))
    assert torch.equal(book.table, before)


@pytest.mark.parametrize(("expire", "used"), [(0.1, 1.0), (0.0, 0.25)])
def test_dead_codes_come_back_to_the_data_unless_told_not_to(expire, used):
    book = Codebook(4, 2, decay=0.8, expire=expire).train()
    book._put(torch.tensor([[2.0, 2.0], [90.0, 0.0], [0.0, 90.0], [90.0, 90.0]]))  # three of them far away
    book.begun.fill_(True)
    for _ in range(60):
        book(blobs(64, CENTRES))
    assert use(book.eval()(blobs(64, CENTRES))[1], 4).share == used


def test_residual_levels_each_lessen_the_error():
    z, errors = torch.randn(512, 8), []
    for levels in (1, 2, 4):
        book = Residual(16, 8, levels).train()
        for _ in range(30):
            book(z)
        coded = book.eval()(z)
        errors.append(float((coded.z - z).square().mean()))
        assert torch.allclose(book.look(coded.index), coded.z, atol=1e-5)
    assert errors[0] > 1.1 * errors[1] > 1.2 * errors[2]


def test_identical_vectors_and_books_larger_than_the_data_are_borne():
    book = Residual(32, 3, 2).train()
    for _ in range(5):
        coded = book(torch.ones(10, 3))
    assert torch.isfinite(book.look(coded.index)).all()
    assert torch.allclose(coded.z, torch.ones(10, 3), atol=1e-3)


@pytest.mark.parametrize("codes", [2, 3, 8, 64, 256, 1000, 4096])
def test_finite_scalars_reach_every_code_and_only_those(codes):
    book = FiniteScalar(codes, 6, 2)
    assert codes / 2 < book.codes == math.prod(sides_of(codes)) <= codes
    index = torch.stack([torch.arange(book.codes), torch.arange(book.codes).flip(0)], 1)
    u = index[:, :, None] // book.places % book.sides
    assert torch.equal((u * book.places).sum(2), index)
    assert len(torch.unique(u[:, 0], dim=0)) == book.codes
    coded = book(4 * torch.randn(300, 6))
    assert coded.index.min() >= 0
    assert coded.index.max() < book.codes
    assert torch.allclose(book.look(coded.index), coded.z, atol=1e-5)


@pytest.mark.parametrize("through", [straight, rotated])
def test_gradients_pass_the_rounding_and_the_value_is_the_code(through):
    z, code = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    out = through(z, code)
    assert torch.allclose(out, code, atol=1e-5)
    (gradient,) = torch.autograd.grad(out.sum(), z)
    scale = 1.0 if through is straight else code.norm(dim=1) / z.norm(dim=1)
    assert torch.allclose(gradient.norm(dim=1), 2.0 * torch.as_tensor(scale).expand(5), atol=1e-4)  # a rotation keeps lengths


def test_rotated_gradients_keep_their_angle_to_the_vector():
    z, code, g = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4), torch.randn(6, 4)
    (gradient,) = torch.autograd.grad((rotated(z, code) * g).sum(), z)
    cosine = torch.nn.functional.cosine_similarity
    assert torch.allclose(cosine(gradient, z.detach()), cosine(g, code), atol=1e-4)


def test_use_counts_codes_and_their_entropy():
    assert use(torch.arange(8), 16) == (0.5, 8.0)
    assert use(torch.zeros(5, dtype=torch.int64), 4) == (0.25, 1.0)
