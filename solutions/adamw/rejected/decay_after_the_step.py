# expect: wrong-answer test_decay_takes_the_weight_from_before_the_step
# Steps first and decays the result, so the step shrinks too.
import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    b1, b2 = betas
    t = state.get("t", 0) + 1
    new_params, m, v = {}, {}, {}
    for name, p in params.items():
        g = grads[name]
        old_m, old_v = (state["m"][name], state["v"][name]) if state else (np.zeros_like(p), np.zeros_like(p))
        m[name] = b1 * old_m + (1 - b1) * g
        v[name] = b2 * old_v + (1 - b2) * g**2

        m_hat = m[name] / (1 - b1**t)
        v_hat = v[name] / (1 - b2**t)
        new_params[name] = (p - lr * m_hat / (np.sqrt(v_hat) + eps)) * (1 - lr * weight_decay)
    return new_params, {"t": t, "m": m, "v": v}
