"""Draw digits.svg: new digits, and what a network makes of them.
Run it in the folder above: PYTHONPATH=. python .github/picture.py"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import minigrad as mg

# ---- Learn from 500 images, read the others ------------------------------------------
rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
order = rng.permutation(len(X))
X, y = X[order] / 16, y[order]  # (1797, 64), from 0 to 1
model = mg.MLP(64, [64, 10], rng=rng)
optimizer = mg.Adam(model.parameters(), lr=0.01)
for epoch in range(20):
    optimizer.lr = 0.01 * (1 - epoch / 20)
    mg.train_epoch(model, optimizer, X[:500], y[:500], rng=rng)
X, y = X[500:], y[500:]
p = mg.Tensor(mg.predict(model, X)).softmax().data  # (1297, 10)
answers = p.argmax(axis=1)
wrong = answers != y
print(f"{wrong.sum()} of {len(X)} wrong")

# ---- Draw the first 0 to 6, and the first mistake ------------------------------------
_, first = np.unique(y, return_index=True)
dots, text = {}, ""
for place, i in enumerate([*first[:7], np.flatnonzero(wrong)[0]]):
    sizes = (4 * X[i]).round()  # the darker a pixel, the larger its dot
    for pixel in np.flatnonzero(sizes):
        at = f"M{104 * place + 11 * (pixel % 8) + 12} {11 * (pixel // 8) + 10}h0"
        dots[sizes[pixel]] = dots.get(sizes[pixel], "") + at
    middle, color = 104 * place + 50, "#e0712c" if wrong[i] else "#3d8bdb"
    text += f'<text x="{middle}" y="148" fill="{color}">{answers[i]}</text>\n'
    text += f'<text x="{middle}" y="181" class="sure">{p[i].max():.0%}</text>\n'
paths = [f'<path stroke-width="{1 + 2.5 * s}" d="{dots[s]}"/>\n' for s in sorted(dots)]
svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 829 190">
<style>path {{ stroke: #3d8bdb; stroke-linecap: round }}
text {{ font-family: system-ui, sans-serif; text-anchor: middle }}
text {{ font-size: 38px; font-weight: 700 }}
.sure {{ font-size: 22px; font-weight: 400; fill: #757d87 }}</style>
{"".join(paths)}{text}</svg>
"""
Path(__file__).with_name("digits.svg").write_text(svg, encoding="utf-8")
