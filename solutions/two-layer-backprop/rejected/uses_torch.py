# expect: rule-violation
# Lets Torch's autograd derive the gradients.
import numpy as np
import torch
from torch.nn.functional import cross_entropy


def two_layer_net(x, y, w1, b1, w2, b2):
    params = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    h = torch.relu(torch.tensor(x) @ p["w1"] + p["b1"])
    loss = cross_entropy(h @ p["w2"] + p["b2"], torch.tensor(y.astype(np.int64)))
    loss.backward()
    return loss.item(), {name: value.grad.numpy() for name, value in p.items()}
