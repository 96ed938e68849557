"""The examples of the prompt, on little pictures of bars. Run them with:  pytest test_examples.py"""

import math
import time

import pytest
import torch
import torch.nn.functional as F
from attempt import build_model, train


def bars(n, seed):
    """Ten classes: a bright bar at one of ten heights, on noise. (n, 1, 28, 28) uint8 and (n,) int64."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(10, (n,), generator=generator)
    x = torch.randint(60, (n, 1, 28, 28), generator=generator)
    for image, label in zip(x[:, 0], y.tolist()):
        image[4 + 2 * label: 6 + 2 * label, 6:22] += 180
    return x.to(torch.uint8), y


def no_log(**numbers):
    pass


def fit(x, y, time_budget_s=20.0, log=no_log):
    torch.set_num_threads(1)
    x_val, y_val = bars(50, seed=2)
    return train(x, y, x_val=x_val, y_val=y_val, device="cpu", seed=0, time_budget_s=time_budget_s, log=log)


@pytest.mark.parametrize("count", [1, 7, 64])
def test_shape_of_the_logits(count):
    model = build_model()
    model.eval()
    logits = model(torch.randint(256, (count, 1, 28, 28)).to(torch.uint8))
    assert logits.shape == (count, 10)
    assert logits.is_floating_point()


def test_loss_before_training_is_about_ln_10():
    x, y = bars(256, seed=0)
    assert F.cross_entropy(build_model()(x), y).item() == pytest.approx(math.log(10), abs=1.0)


def test_size():
    model = build_model()
    model(bars(2, seed=0)[0])
    shapes = [parameter.shape for parameter in model.parameters()]
    assert any(len(shape) == 4 and 1 < shape[2] * shape[3] < 28 * 28 for shape in shapes), "no convolution"
    assert sum(shape.numel() for shape in shapes) <= 300_000


def test_trained_model_is_ready_to_use():
    model = fit(*bars(200, seed=0))
    x, _ = bars(20, seed=1)
    with torch.no_grad():
        logits = model(x)
        torch.testing.assert_close(model(x), logits)  # no dropout
        torch.testing.assert_close(model(x[:1]), logits[:1], rtol=1e-3, atol=1e-3)  # nor batch statistics
    assert (logits < 0).any(), "logits have both signs"


def test_keeps_its_budget():
    begin = time.monotonic()
    fit(*bars(200, seed=0), time_budget_s=0.5)
    assert time.monotonic() - begin < 0.5 + 2.0
