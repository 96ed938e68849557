"""Rewritten with a class per layer; each row travels as a (1, D) matrix. Draws w2 before w1."""

import numpy as np


class SigmoidLayer:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    @classmethod
    def initial(cls, fan_in, fan_out, rng):
        return cls(rng.normal(scale=fan_in**-0.5, size=(fan_in, fan_out)), np.zeros(fan_out))

    def forward(self, x):
        self.x = x
        z = x @ self.weight + self.bias
        self.a = 0.5 * (1 + np.tanh(z / 2))
        return self.a

    def backward(self, grad):
        delta = grad * self.a * (1 - self.a)
        self.d_weight, self.d_bias = self.x.T @ delta, delta[0]
        return delta @ self.weight.T

    def step(self, lr):
        self.weight = self.weight - lr * self.d_weight
        self.bias = self.bias - lr * self.d_bias


class Net:
    def __init__(self, first, second):
        self.first, self.second = first, second

    @classmethod
    def of(cls, params):
        return cls(SigmoidLayer(params["w1"], params["b1"]), SigmoidLayer(params["w2"], params["b2"]))

    def forward(self, x):
        hidden = self.first.forward(x[None])
        return hidden, self.second.forward(hidden)

    def backward(self, y):
        self.first.backward(self.second.backward(self.second.a - y[None]))

    def params(self):
        return {"w1": self.first.weight, "b1": self.first.bias, "w2": self.second.weight, "b2": self.second.bias}

    def grads(self):
        first, second = self.first, self.second
        return {"w1": first.d_weight, "b1": first.d_bias, "w2": second.d_weight, "b2": second.d_bias}


def forward(params, x):
    hidden, output = Net.of(params).forward(x)
    return hidden[0], output[0]


def gradients(params, x, y):
    net = Net.of(params)
    net.forward(x)
    net.backward(y)
    return net.grads()


def train(x, y, hidden, lr, epochs, seed):
    rng = np.random.default_rng(seed)
    second = SigmoidLayer.initial(hidden, y.shape[1], rng)
    net = Net(SigmoidLayer.initial(x.shape[1], hidden, rng), second)
    history = []
    for _ in range(epochs):
        total = 0.0
        for row, target in zip(x, y):
            _, output = net.forward(row)
            total += float(np.square(output - target).sum()) / 2
            net.backward(target)
            net.first.step(lr)
            net.second.step(lr)
        history.append(total / len(x))
    return net.params(), history
