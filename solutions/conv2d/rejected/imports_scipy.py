# expect: rule-violation
# Leaves the work to SciPy.
import numpy as np
from scipy.signal import correlate


def conv2d(x, w, b=None, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if x.shape[1] != w.shape[1] or w.shape[2] > x.shape[2] or w.shape[3] > x.shape[3]:
        raise ValueError("x and w do not fit together")
    out = np.stack([[correlate(image, kernel, mode="valid")[0, ::stride, ::stride] for kernel in w] for image in x])
    return out if b is None else out + b[:, None, None]
