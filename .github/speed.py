"""A training step in minigrad and in PyTorch: forward, loss, backward, Adam.

Run it in the folder above. It needs PyTorch, and takes about a minute:

    PYTHONPATH=. OMP_NUM_THREADS=1 python .github/speed.py

It prints PyTorch's time divided by minigrad's, with PyTorch's default Adam and with its
fused one: above 1, minigrad is faster. The two take turns, and medians are compared.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from statistics import median
from timeit import timeit

import numpy as np
import torch

import minigrad as mg

torch.set_num_threads(1)
rng = np.random.default_rng(0)


# ---- The networks, written once for both ---------------------------------------------
# p is a list of parameters, x the batch; each returns scores, a row for each label.


def mlp(p, x, constant):
    *hidden, last = zip(p[::2], p[1::2])  # weights and biases
    for W, b in hidden:
        x = (x @ W + b).relu()
    return x @ last[0] + last[1]


def gpt(p, x, future, heads=4):
    """Two blocks of attention and a ReLU layer, each after an RMS normalisation."""
    is_torch = isinstance(p[0], torch.Tensor)
    permute = torch.permute if is_torch else mg.Tensor.transpose

    def normalised(x):
        return x / ((x * x).mean(-1, True) + 1e-5) ** 0.5

    characters, positions, head, *blocks = p
    N, T = x.shape
    C = positions.shape[1]
    h = characters[x] + positions
    for i in range(0, len(blocks), 4):
        qkv, out, up, down = blocks[i : i + 4]
        split = (normalised(h) @ qkv).reshape(N, T, 3, heads, C // heads)
        q, k, v = permute(split, (2, 0, 3, 1, 4))
        scores = q @ k.mT * (C // heads) ** -0.5 + future
        mixed = permute(scores.softmax(-1) @ v, (0, 2, 1, 3)).reshape(N, T, C)
        h = h + mixed @ out
        h = h + (normalised(h) @ up).relu() @ down
    return (normalised(h) @ head).reshape(N * T, -1)


def gru(p, x, h):
    """A gated recurrent unit in a plain loop over time, then a linear layer."""
    stack = torch.stack if isinstance(p[0], torch.Tensor) else mg.stack
    Wx, bx, Wh, bh, Wo, bo = p
    C = h.shape[1]
    inputs = x @ Wx + bx
    states = []
    for t in range(x.shape[1]):
        now = inputs[:, t]
        old = h @ Wh + bh
        gates = (now[:, : 2 * C] + old[:, : 2 * C]).sigmoid()
        new = (now[:, 2 * C :] + gates[:, :C] * old[:, 2 * C :]).tanh()
        h = new + gates[:, C:] * (h - new)
        states.append(h)
    return (stack(states, 1) @ Wo + bo).reshape(len(x) * x.shape[1], -1)


# ---- The race ------------------------------------------------------------------------


def step_in_minigrad(model, arrays, X, y, constant):
    params = [mg.Tensor(array) for array in arrays]
    optimizer = mg.Adam(params)

    def step():
        loss = mg.cross_entropy(model(params, X, constant), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def step_in_torch(model, arrays, X, y, constant, fused):
    params = [torch.tensor(array, requires_grad=True) for array in arrays]
    X, y, constant = [torch.tensor(array) for array in (X, y, constant)]
    optimizer = torch.optim.Adam(params, fused=fused)

    def step():
        loss = torch.nn.functional.cross_entropy(model(params, X, constant), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def race(name, model, shapes, X, y, dtype, steps, constant=0.0):
    arrays = [(rng.normal(size=shape) * 0.1).astype(dtype) for shape in shapes]
    ours = step_in_minigrad(model, arrays, X, y, constant)
    default = step_in_torch(model, arrays, X, y, constant, fused=False)
    fused = step_in_torch(model, arrays, X, y, constant, fused=True)
    np.testing.assert_allclose([default(), fused()], ours(), 1e-4)  # equal losses
    times = []
    for _ in range(11):
        times.append([timeit(step, number=steps) for step in (ours, default, fused)])
    ratios = [median(t[i] / t[0] for t in times) for i in (1, 2)]
    milliseconds = median(t[0] for t in times) / steps * 1000
    print(
        f"{name:24}{ratios[0]:8.2f}{ratios[1]:8.2f}{milliseconds:10.2f} ms", flush=True
    )


def race_of_mlps(sizes, batch, dtype, steps):
    shapes = []
    for nin, nout in zip(sizes, sizes[1:]):
        shapes += [(nin, nout), (nout,)]
    X = rng.normal(size=(batch, sizes[0])).astype(dtype)
    y = rng.integers(0, sizes[-1], batch)
    race("-".join(map(str, sizes)), mlp, shapes, X, y, dtype, steps)


print(f"{'network':24}{'default':>8}{'fused':>8}{'minigrad':>13}")
race_of_mlps([64, 32, 10], 32, np.float64, 300)
race_of_mlps([64, 128, 64, 10], 32, np.float32, 200)
race_of_mlps([784, 1024, 1024, 10], 512, np.float32, 2)

V, T, C = 30, 16, 32  # characters, context, channels
shapes = [(V, C), (T, C), (C, V)] + 2 * [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)]
future = np.triu(np.full((T, T), -np.inf, np.float32), 1)
X = rng.integers(0, V, (32, T))
y = rng.integers(0, V, 32 * T)
race("GPT", gpt, shapes, X, y, np.float32, 10, future)

C = 16
shapes = [(1, 3 * C), (3 * C,), (C, 3 * C), (3 * C,), (C, 2), (2,)]
for T, steps in (20, 10), (500, 1):
    X = rng.normal(size=(64, T, 1))
    y = rng.integers(0, 2, 64 * T)
    race(f"GRU, {T} steps", gru, shapes, X, y, np.float64, steps, np.zeros((64, C)))
