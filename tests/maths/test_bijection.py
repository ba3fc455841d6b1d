"""Bijections invert, their log-determinants are autograd's, and splines stay finite where they end."""

import pytest
import torch

from genus.maths.bijection import ActNorm, Autoregressive, Chain, Coupling, Flatten, Inverse, Logit, Mix, Permute
from genus.maths.multiscale import Multiscale, Squeeze
from genus.maths.spline import Affine, Shift, Spline
from genus.nets.autoregressive import masked_teller
from genus.nets.coupling import ImageTeller, VectorTeller
from genus.nets.perceptron import Perceptron


def stirred(bijection):
    """The same with every weight moved, so that nothing is at the identity."""
    with torch.no_grad():
        for p in bijection.parameters():
            p.add_(0.2 * torch.randn_like(p))
        for module in bijection.modules():
            if isinstance(module, Perceptron):
                module.forbid()
    return bijection.double()


def vectors(transform, condition=0):
    stay, move = torch.tensor([0, 2]), torch.tensor([1, 3])
    return Coupling(stay, move, VectorTeller(2, 2 * transform.parameters, width=16, depth=1, condition=condition), transform)


def channels(transform):
    net = ImageTeller(2, 2 * transform.parameters, width=8, depth=1)
    return Coupling(torch.tensor([0, 3]), torch.tensor([1, 2]), net, transform)


def halves(transform, first):
    order = torch.arange(5)
    stay, move = (order[:2], order[2:]) if first else (order[2:], order[:2])
    return Coupling(stay, move, Perceptron(len(stay), len(move) * transform.parameters, width=16, depth=2), transform)


def masked(transform, rank, condition=0):
    rank = torch.tensor(rank)
    net = masked_teller(rank, transform.parameters, width=16, depth=1, condition=condition)
    return Autoregressive(rank, net, transform)


CASES = {
    "coupling by its first half": (lambda: halves(Affine(), True), (5,)),
    "coupling by its last half": (lambda: halves(Spline(), False), (5,)),
    "additive coupling": (lambda: vectors(Shift()), (4,)),
    "affine autoregressive": (lambda: masked(Affine(), [2, 0, 3, 1]), (4,)),
    "spline autoregressive": (lambda: masked(Spline(), [3, 2, 1, 0]), (4,)),
    "autoregressive inverse": (lambda: Inverse(masked(Affine(), [0, 1, 2, 3])), (4,)),
    "autoregressive of one entry": (lambda: masked(Spline(), [0]), (1,)),
    "actnorm": (lambda: ActNorm(4), (4,)),
    "actnorm of images": (lambda: ActNorm(2), (2, 3, 3)),
    "permute": (lambda: Permute(torch.tensor([2, 0, 3, 1])), (4,)),
    "mix": (lambda: Mix(4), (4,)),
    "mix of images": (lambda: Mix(4), (4, 2, 2)),
    "affine coupling": (lambda: vectors(Affine()), (4,)),
    "spline coupling": (lambda: vectors(Spline()), (4,)),
    "inverse": (lambda: Inverse(vectors(Affine())), (4,)),
    "coupling without company": (
        lambda: Coupling(torch.arange(0), torch.arange(1), VectorTeller(0, 23, width=8, depth=0), Spline()),
        (1,),
    ),
    "checkerboard": (lambda: Chain([Squeeze(), channels(Affine()), Flatten((4, 2, 2))]), (1, 4, 4)),
    "multiscale": (
        lambda: Multiscale(Chain([Squeeze(), channels(Spline())]), Chain([ActNorm(2), Flatten((2, 2, 2))]), (4, 2, 2)),
        (1, 4, 4),
    ),
}


def jacobian_error(bijection, x):
    """The largest difference between the log-determinant given and autograd's."""
    worst = 0.0
    for item in x:
        matrix = torch.autograd.functional.jacobian(lambda v, b=bijection: b(v[None])[0][0].flatten(), item)
        truth = torch.linalg.slogdet(matrix.reshape(item.numel(), item.numel())).logabsdet
        worst = max(worst, (bijection(item[None])[1][0] - truth).abs().item())
    return worst


@pytest.mark.parametrize("name", CASES)
def test_log_determinant_is_autograds_and_the_inverse_inverts(name):
    torch.manual_seed(0)
    make, shape = CASES[name]
    bijection = stirred(make())
    x = torch.randn(5, *shape, dtype=torch.float64)
    z, log_det = bijection(x)
    back, minus = bijection.inverse(z)
    assert log_det.shape == (5,)
    assert (back - x).abs().max() < 1e-8
    assert (log_det + minus).abs().max() < 1e-8
    assert jacobian_error(bijection, x) < 1e-8


def test_a_flipped_sign_of_the_log_determinant_would_be_caught(monkeypatch):
    torch.manual_seed(0)
    bijection, x = stirred(vectors(Affine())), torch.randn(3, 4, dtype=torch.float64)
    assert jacobian_error(bijection, x) < 1e-8
    honest = Coupling.forward
    monkeypatch.setattr(Coupling, "forward", lambda self, x, y=None: (honest(self, x, y)[0], -honest(self, x, y)[1]))
    assert jacobian_error(bijection, x) > 1e-2


def test_logit_has_the_slope_of_its_interval():
    torch.manual_seed(0)
    x = torch.rand(50, 3, dtype=torch.float64) * 2 - 1
    logit = Logit(-1, 1)
    assert jacobian_error(logit, x[:5]) < 1e-10
    assert (logit.inverse(logit(x)[0])[0] - x).abs().max() < 1e-10
    assert logit(torch.tensor([[-1.0, 1.0, 5.0]]))[0].isfinite().all()


def test_splines_begin_as_the_identity_and_join_it_smoothly():
    x = torch.linspace(-7, 7, 141)
    z, slope = Spline()(x, torch.zeros(Spline().parameters, 141))
    assert (z - x).abs().max() < 1e-5
    assert slope.abs().max() < 1e-5
    parameters = torch.randn(Spline().parameters, 1).expand(-1, 2)
    edge = Spline().bound
    z, _ = Spline()(torch.tensor([edge - 1e-4, edge + 1e-4]), parameters)
    assert z[0] == pytest.approx(edge, abs=1e-3)
    assert z[1] == pytest.approx(edge, abs=1e-3)


def test_splines_have_finite_gradients_far_in_the_tails():
    """The branch not taken must not send infinities back (a fault of several public implementations)."""
    x = torch.tensor([-1e6, -5.0, 0.0, 5.0, 1e6], requires_grad=True)
    parameters = (30 * torch.randn(Spline().parameters, 5)).requires_grad_()
    for run in (Spline().__call__, Spline().inverse):
        value, log_slope = run(x, parameters)
        grads = torch.autograd.grad((value + log_slope).sum(), [x, parameters], allow_unused=True)
        assert all(g.isfinite().all() for g in grads)


def test_actnorm_settles_to_unit_variance():
    torch.manual_seed(0)
    x = 5 + 3 * torch.randn(4000, 2, 4, 4)
    layer = ActNorm(2)
    layer.settle(x)
    z = layer(x)[0]
    assert z.mean((0, 2, 3)).abs().max() < 1e-4
    assert (z.std((0, 2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("make", [lambda: vectors(Affine(), condition=2), lambda: masked(Spline(), [1, 0, 3, 2], condition=2)])
def test_a_condition_changes_the_map(make):
    bijection = stirred(make())
    x = torch.randn(3, 4, dtype=torch.float64)
    one, other = (bijection(x, torch.full((3, 2), v, dtype=torch.float64))[0] for v in (0.0, 1.0))
    assert (one - other).abs().max() > 1e-3


def test_the_gradient_of_a_spline_is_its_finite_difference():
    torch.manual_seed(0)
    spline = Spline(5)
    x = (2 * torch.randn(2, 6, dtype=torch.float64)).requires_grad_()
    parameters = (2 * torch.randn(spline.parameters, 2, 6, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, p: spline(x, p), (x, parameters))


def test_what_an_entry_is_told_depends_on_the_entries_before_it_alone():
    torch.manual_seed(0)
    rank = torch.tensor([2, 0, 1])
    net = stirred(masked(Affine(), rank.tolist(), condition=1)).net
    jacobian = torch.autograd.functional.jacobian(
        lambda x: net(x[None], torch.ones(1, 1, dtype=torch.float64))[0], torch.randn(3, dtype=torch.float64)
    )
    heard = jacobian.unflatten(0, (2, 3)).abs().sum(0) > 0
    assert torch.equal(heard, rank[:, None] > rank)


def test_the_gradient_of_a_perceptron_is_its_finite_difference():
    torch.manual_seed(0)
    net = stirred(Perceptron(3, 4, width=6, depth=2, condition=2))
    x, y = (torch.randn(5, k, dtype=torch.float64, requires_grad=True) for k in (3, 2))

    def run(x, y, *weights):
        return torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (x, y))

    names, weights = zip(*net.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(run, (x, y, *weights))


def test_what_a_mask_forbids_stays_forbidden_in_training():
    torch.manual_seed(0)
    net = masked_teller(torch.arange(4), 2, width=12, depth=1)
    optimiser = torch.optim.AdamW(net.parameters(), 0.05)
    for _ in range(5):
        (net(torch.randn(20, 4)) - 1).square().mean().backward()
        optimiser.step()
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], torch.randn(4)).unflatten(0, (2, 4))
    assert jacobian.abs().max() > 1e-4
    assert jacobian.triu().abs().max() == 0


def test_the_gradient_of_a_mixing_is_its_finite_difference():
    torch.manual_seed(0)
    for shape in ((3, 4), (3, 4, 2, 2)):
        layer = stirred(Mix(4))
        names, weights = zip(*layer.named_parameters(), strict=True)

        def run(x, *weights, names=names, layer=layer):
            return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

        x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(run, (x, *weights))


@pytest.mark.parametrize("make", [lambda: halves(Affine(), True), lambda: halves(Spline(), False),
                                  lambda: masked(Spline(), [1, 0, 2, 4, 3])])  # fmt: skip
def test_the_gradient_of_a_layer_is_its_finite_difference(make):
    torch.manual_seed(0)
    layer = stirred(make())
    allowed = [p.detach().ne(0).double() for p in layer.parameters()]
    names, weights = zip(*layer.named_parameters(), strict=True)

    def run(x, *weights):
        kept = [w * mask for w, mask in zip(weights, allowed, strict=True)]
        return torch.func.functional_call(layer, dict(zip(names, kept, strict=True)), (x,))

    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, *weights))
