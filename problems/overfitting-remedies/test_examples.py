"""The examples of the prompt, and a run on little pictures of bars. Run them with:  pytest test_examples.py"""

import time

import pytest
import torch
import torch.nn.functional as F
from attempt import best_epoch, dropout, l2_penalty, train_regularised


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


def fit(time_budget_s):
    torch.set_num_threads(1)
    (x, y), (x_val, y_val) = bars(100, seed=0), bars(50, seed=1)
    y[:15] = torch.arange(15) % 10  # most of these are wrong
    return train_regularised(x, y, x_val=x_val, y_val=y_val, device="cpu", seed=0, time_budget_s=time_budget_s,
                             log=no_log)


def test_l2_penalty():
    params = {"weight": torch.tensor([[1.0, -2.0], [0.0, 4.0]], requires_grad=True),
              "bias": torch.tensor([3.0], requires_grad=True)}
    penalty = l2_penalty(params, 0.25)
    assert penalty.item() == 5.25
    penalty.backward()
    assert params["weight"].grad.tolist() == [[0.5, -1.0], [0.0, 2.0]]


def test_dropout():
    x = torch.ones(100, 100)
    assert torch.equal(dropout(x, 0.75, training=False), x)
    dropped = dropout(x, 0.75, training=True)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert (dropped == 0).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_dropout_refuses_percentages():
    with pytest.raises(ValueError):
        dropout(torch.ones(2), 50, training=True)


def test_best_epoch():
    assert tuple(best_epoch([4.0, 2.0, 3.0, 3.0, 1.0], patience=2)) == (1, 3)
    assert tuple(best_epoch([5.0, 4.0, 3.0], patience=1)) == (2, 2)


def test_returns_the_best_epoch():
    model, found = fit(time_budget_s=10.0)
    losses = [entry["val_loss"] for entry in found["history"]]
    assert [entry["epoch"] for entry in found["history"]] == list(range(len(losses)))
    assert found["best_epoch"] == losses.index(min(losses))
    x_val, y_val = bars(50, seed=1)
    with torch.no_grad():
        logits = model(x_val)
        torch.testing.assert_close(model(x_val), logits)  # no dropout
    assert logits.shape == (50, 10)
    assert F.cross_entropy(logits, y_val).item() == pytest.approx(min(losses), rel=1e-3)


def test_keeps_its_budget():
    begin = time.monotonic()
    fit(time_budget_s=0.5)
    assert time.monotonic() - begin < 0.5 + 2.0
