"""Draw attention.svg: where a network looks before it writes a letter.

It is the network of chapter 17. Run it in the folder above:

    PYTHONPATH=. python .github/picture.py
"""

import os
from html import escape
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from minigrad import MLP, Adam, Module, Tensor, attention, predict, train_epoch

TEXT = "she sells sea shells by the sea shore. "
LENGTH = 12  # letters that it sees at once
LETTERS = sorted(set(TEXT))


class Reader(Module):
    """Tables for letters and places, attention unless it is left out, and an MLP."""

    def __init__(self, looks_back, rng):
        width = 32
        shapes = [(len(LETTERS), width), (LENGTH, width)] + 3 * [(width, width)]
        tables = [Tensor(rng.normal(0, 0.25, shape)) for shape in shapes]
        self.letter, self.place, self.Wq, self.Wk, self.Wv = tables
        self.mlp = MLP(width, [2 * width, len(LETTERS)], rng=rng)
        self.looks_back = looks_back

    def forward(self, x):  # (N, T) -> (N, T, letters)
        T = x.shape[1]
        h = self.letter[x] + self.place[:T]
        if self.looks_back:
            q, k, v = h @ self.Wq, h @ self.Wk, h @ self.Wv
            mask = np.tri(T, dtype=bool)
            # With the unit matrix as values, attention returns its weights.
            self.weights = attention(q.data, k.data, np.eye(T), mask).data  # (N, T, T)
            h = h + attention(q, k, v, mask)
        return self.mlp(h)


def trained(looks_back, seed=3):
    """A network that has learned the line, in 200 steps."""
    rng = np.random.default_rng(seed)
    model = Reader(looks_back, rng)
    codes = [LETTERS.index(letter) for letter in TEXT + TEXT[:LENGTH]]
    X = np.array([codes[i : i + LENGTH] for i in range(len(TEXT))])
    y = np.array([codes[i + 1 : i + LENGTH + 1] for i in range(len(TEXT))])
    optimizer = Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        train_epoch(model, optimizer, X, y, batch_size=len(X), rng=rng)
    return model


def next_letter(model, letters):
    """What the model writes after `letters`, and how probable it finds that."""
    scores = predict(model, np.array([[LETTERS.index(letter) for letter in letters]]))
    p = Tensor(scores[0, -1]).softmax().data
    return LETTERS[p.argmax()], p.max()


# ---- Ask both networks what follows an s ---------------------------------------------

TITLE = "What follows an s? Attention looks back to find out"
CONTEXTS = [
    "shore. she s",
    " she sells s",
    " sells sea s",
    "lls by the s",
    "sea shore. s",
]
SIZE, GAP, LEFT, TOP = 34, 4, 1, 70  # of the squares, in pixels

model = trained(looks_back=True)
blind = trained(looks_back=False)
squares, letters, written = [], [], []
for row, context in enumerate(CONTEXTS):
    y = TOP + row * (SIZE + 6)
    letter, p = next_letter(model, context)
    blind_letter, blind_p = next_letter(blind, context)
    print(
        f"{context!r}: {letter} {p:.0%}, without attention {blind_letter} {blind_p:.0%}"
    )
    for place, weight in enumerate(model.weights[0, -1]):
        x = LEFT + place * (SIZE + GAP)
        at = f'x="{x}" y="{y}" width="{SIZE}" height="{SIZE}" rx="5"'
        squares.append(f'<rect {at} class="empty"/>')
        if weight > 0.02:
            squares.append(f'<rect {at} class="seen" opacity="{weight:.2f}"/>')
        if context[place] != " ":
            place_of_text = f'x="{x + SIZE / 2:.0f}" y="{y + 25}"'
            bright = ' class="on"' if weight > 0.6 else ""
            letters.append(
                f"<text {place_of_text}{bright}>{escape(context[place])}</text>"
            )
    is_right = context[-4:] + blind_letter in 2 * TEXT
    written.append(f'<text x="560" y="{y + 28}" class="right">{letter}</text>')
    kind = "right" if is_right else "wrong"
    written.append(f'<text x="690" y="{y + 28}" class="{kind}">{blind_letter}</text>')
    if not is_right:
        written.append(f'<text x="750" y="{y + 25}" class="head">wrong</text>')

# ---- Draw ----------------------------------------------------------------------------

height = TOP + len(CONTEXTS) * (SIZE + 6) - 6
newline = "\n"
svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 829 {height}">
<style>
text {{ font: 25px ui-monospace, Menlo, monospace; text-anchor: middle }}
text {{ fill: #1f2328 }}
.title, .head {{ font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif }}
.title {{ font-size: 26px; font-weight: 600; text-anchor: start }}
.head {{ font-size: 22px; fill: #59636e }}
.start {{ text-anchor: start }}
.empty {{ fill: #8080801f }}
.seen {{ fill: #0969da }}
.on {{ fill: #fff; font-weight: 700 }}
.right, .wrong {{ font-size: 34px; font-weight: 700; fill: #0969da }}
.wrong {{ fill: #bc4c00 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #f0f6fc }}
.head {{ fill: #9198a1 }}
.seen {{ fill: #1f6feb }}
.right {{ fill: #58a6ff }}
.wrong {{ fill: #f0883e }}
}}
</style>
<text x="0" y="24" class="title">{TITLE}</text>
<text x="0" y="60" class="head start">the bluer a letter, the more it looks there</text>
<text x="560" y="60" class="head">it writes</text>
<text x="718" y="60" class="head">without attention</text>
{newline.join(squares + letters + written)}
</svg>
"""
path = Path(__file__).with_name("attention.svg")
path.write_text(svg, encoding="utf-8")
print(f"{path.name}: {len(svg)} bytes")
