# expect: wrong-answer test_zero_gradient_shrinks_a_weight_by_lr_times_decay
# Decays by weight_decay alone, whatever the learning rate.
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
        decayed = p * (1 - weight_decay)
        new_params[name] = decayed - lr * m_hat / (np.sqrt(v_hat) + eps)
    return new_params, {"t": t, "m": m, "v": v}
