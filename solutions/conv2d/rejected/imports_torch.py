# expect: rule-violation
# Leaves the work to torch.
import numpy as np
import torch


def conv2d(x, w, b=None, stride=1, padding=0):
    x, w, b = (None if a is None else torch.from_numpy(np.array(a)) for a in (x, w, b))
    return torch.nn.functional.conv2d(x, w, b, stride=stride, padding=padding).numpy()
