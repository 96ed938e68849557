"""The examples of the prompt, on little coloured squares. Run them with:  pytest test_examples.py"""

import time

import pytest
import torch
from attempt import train


def squares(n, seed):
    """Ten classes: a bright square in one of ten colours, on noise. (n, 3, 32, 32) uint8 and (n,) int64."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(10, (n,), generator=generator)
    x = torch.randint(80, (n, 3, 32, 32), generator=generator)
    colours = torch.tensor([[r, g, b] for r in (0, 80, 160) for g in (0, 160) for b in (0, 160)][1:11])
    x[:, :, 8:24, 8:24] += colours[y][:, :, None, None]
    return x.to(torch.uint8), y


def no_log(**numbers):
    pass


def fit(count, time_budget_s=8.0, log=no_log):
    torch.set_num_threads(1)
    x, y = squares(count, seed=0)
    x_val, y_val = squares(50, seed=2)
    return train(x, y, x_val=x_val, y_val=y_val, device="cpu", seed=0, time_budget_s=time_budget_s, log=log)


@pytest.fixture(scope="module")
def model():
    return fit(200)


@pytest.mark.parametrize("count", [1, 7, 64])
def test_shape_of_the_logits(model, count):
    with torch.no_grad():
        logits = model(squares(count, seed=1)[0])
    assert logits.shape == (count, 10)
    assert logits.is_floating_point()


def test_learns_ten_colours(model):
    x, y = squares(200, seed=1)
    with torch.no_grad():
        assert (model(x).argmax(1) == y).float().mean() > 0.5


def test_is_ready_to_use(model):
    x, _ = squares(20, seed=1)
    with torch.no_grad():
        logits = model(x)
        torch.testing.assert_close(model(x), logits)  # no dropout
        torch.testing.assert_close(model(x[:1]), logits[:1], rtol=1e-3, atol=1e-3)  # nor batch statistics
    assert (logits < 0).any(), "logits have both signs"


def test_size(model):
    assert 0 < sum(parameter.numel() for parameter in model.parameters()) <= 3_000_000


def test_keeps_its_budget():
    begin = time.monotonic()
    fit(2000, time_budget_s=0.5)
    assert time.monotonic() - begin < 0.5 + 2.0
