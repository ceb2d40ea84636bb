"""A GPT in sixty lines, which learns to spell like Python.

It learns from the names of the standard library's modules, keywords and builtins, and
prints some of its own. Run it in the folder above (chapter 17 explains attention):

    PYTHONPATH=. python .github/gpt.py
    PYTHONPATH=. python .github/gpt.py 200          # 200 steps in place of 1000
"""

import builtins
import keyword
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from minigrad import Adam, Module, Sequential, Tensor, attention, cross_entropy, no_grad

names = {*sys.stdlib_module_names, *keyword.kwlist, *dir(builtins)}
names = sorted({name.lower() for name in names if name.isalpha()})
chars = "." + "".join(sorted({c for name in names for c in name}))  # "." is the end
V, T, C, H, L = len(chars), 16, 32, 4, 2  # characters, context, channels, heads, blocks
steps = int(sys.argv[1]) if sys.argv[1:] else 1000
rng = np.random.default_rng(0)


def weight(nin, nout, scale=1.0):
    return Tensor(rng.normal(0, scale * nin**-0.5, (nin, nout)))


def normalised(x):
    return x / ((x * x).mean(axis=-1, keepdims=True) + 1e-5).sqrt()


class Block(Module):
    def __init__(self):
        self.qkv, self.out = weight(C, 3 * C), weight(C, C, 0)
        self.up, self.down = weight(C, 4 * C), weight(4 * C, C, 0)

    def forward(self, x):
        N, t, _ = x.shape
        qkv = (normalised(x) @ self.qkv).reshape(N, t, 3, H, C // H)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each (N, H, t, C / H)
        mixed = attention(q, k, v, np.tri(t, dtype=bool))  # no letter sees later ones
        mixed = mixed.transpose(0, 2, 1, 3).reshape(N, t, C)
        x = x + mixed @ self.out
        return x + (normalised(x) @ self.up).relu() @ self.down


class GPT(Module):
    def __init__(self):
        self.characters, self.positions = weight(V, C), weight(T, C)
        self.blocks = Sequential(*[Block() for _ in range(L)])
        self.head = weight(C, V)

    def forward(self, x):  # (N, t) -> (N, t, V)
        h = self.characters[x] + self.positions[: x.shape[1]]
        return normalised(self.blocks(h)) @ self.head


model = GPT()
optimizer = Adam(model.parameters(), lr=0.01)
for step in range(steps):
    x = np.zeros((32, T + 1), int)  # ".name....": each character is to predict the next
    for row, name in zip(x, rng.choice(names, 32)):
        row[1 : len(name) + 1] = [chars.index(c) for c in name[:T]]
    x, y = x[:, :-1], x[:, 1:]
    inside = (x > 0) | (np.arange(T) == 0)  # what follows a name is no lesson
    optimizer.zero_grad()
    loss = cross_entropy(model(x)[inside], y[inside])
    loss.backward(inner=False)
    optimizer.lr = 0.01 * (1 - step / steps)
    optimizer.step()
print(f"loss {loss.item():.2f}")

for _ in range(8):
    name = [0]
    while len(name) < T and (len(name) == 1 or name[-1]):
        with no_grad():
            p = model(np.array([name])).softmax().data[0, -1]
        name.append(rng.choice(V, p=p))
    print("".join(chars[i] for i in name).strip("."), end=" ")
print()
