"""The examples of the prompt, on a backbone of eight random filters. Run them with:  pytest test_examples.py"""

import time

import kit
import pytest
import torch
from attempt import fine_tune, param_groups

MEAN, STD = (0.6, 0.5, 0.4), (0.1, 0.2, 0.3)


def colours(n, seed):
    """Three classes: reddish, greenish, bluish. (n, 3, 32, 32) uint8 and (n,) int64."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator)
    x = torch.randint(100, (n, 3, 32, 32), generator=generator)
    x[torch.arange(n), y] += 130
    return x.to(torch.uint8), y


def no_log(**numbers):
    pass


def fit(backbone, num_classes=3, time_budget_s=20.0):
    torch.set_num_threads(1)
    (x, y), (x_val, y_val) = colours(60, seed=0), colours(20, seed=1)
    return fine_tune(backbone, 8, x, y, x_val=x_val, y_val=y_val, num_classes=num_classes, mean=MEAN, std=STD,
                     device="cpu", seed=0, time_budget_s=time_budget_s, log=no_log)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        self.head = torch.nn.Linear(4, 2)


def rows():
    """{name: (lr, weight_decay)} of Model's parameters."""
    model = Model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = param_groups(model, lr_head=0.1, lr_backbone=0.01, weight_decay=0.5)
    torch.optim.AdamW(groups)  # which refuses a tensor that is in two groups
    return {names[id(parameter)]: (group["lr"], group["weight_decay"]) for group in groups
            for parameter in group["params"]}


def test_example_of_the_prompt():
    assert rows() == {"backbone.0.weight": (0.01, 0.5), "backbone.0.bias": (0.01, 0), "backbone.1.weight": (0.01, 0),
                      "backbone.1.bias": (0.01, 0), "head.weight": (0.1, 0.5), "head.bias": (0.1, 0)}


def test_frozen_tensors_are_left_out():
    model = Model()
    model.backbone.requires_grad_(False)
    params = [parameter for group in param_groups(model, 0.1, 0.01, 0.5) for parameter in group["params"]]
    assert {id(parameter) for parameter in params} == {id(parameter) for parameter in model.head.parameters()}


@pytest.mark.parametrize("num_classes", [3, 7])
def test_shape_of_the_logits(num_classes):
    model = fit(kit.Spy(8), num_classes)
    with torch.no_grad():
        logits = model(colours(5, seed=2)[0])
    assert logits.shape == (5, num_classes)
    assert logits.is_floating_point()


def test_given_backbone_is_left_as_it_was():
    backbone = kit.Spy(8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    fit(backbone)
    torch.testing.assert_close(backbone.state_dict(), before, rtol=0, atol=0)


def test_backbone_gets_standardised_pixels():
    fit(kit.Spy(8))
    mean = torch.tensor([call["mean"] for call in kit.Spy.calls]).mean(0)
    x = colours(60, seed=0)[0].float() / 255
    wanted = (x.mean((0, 2, 3)) - torch.tensor(MEAN)) / torch.tensor(STD)
    assert (mean - wanted).abs().max() < 0.5, f"means of the channels: {mean}; expected about {wanted}"


def test_trained_model_is_ready_to_use():
    model = fit(kit.Spy(8))
    x, y = colours(40, seed=3)
    with torch.no_grad():
        logits = model(x)
        torch.testing.assert_close(model(x[:1]), logits[:1], rtol=1e-3, atol=1e-3)  # no batch statistics
    assert (logits < 0).any(), "logits have both signs"
    assert (logits.argmax(1) == y).float().mean() > 0.6


def test_keeps_its_budget():
    begin = time.monotonic()
    fit(kit.Spy(8), time_budget_s=0.5)
    assert time.monotonic() - begin < 0.5 + 2.0
