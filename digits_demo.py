# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2.0", "scikit-learn"]
# ///
"""Train a small network to read handwritten digits, then look at its answers."""

import argparse
import os
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minigrad import SGD, Adam, BatchNorm1d, Dropout, Layer, Sequential, Tensor
from minigrad import cross_entropy, no_grad


def build_model(rng):
    """8 x 8 pixels -> 512 features -> one score for each of the ten digits."""
    return Sequential(
        Layer(64, 512, nonlin=False, rng=rng),
        BatchNorm1d(512),
        Tensor.relu,
        Dropout(0.2, rng=rng),
        Layer(512, 10, nonlin=False, rng=rng),
    )


def train(model, optimizer, x, y, epochs, batch_size, rng):
    """Train the model; yield the mean loss of each epoch when it is over."""
    # Asking for 91 % certainty, not 100 % (label smoothing), keeps the network from
    # learning its few images by heart. It also means that the loss stays above 0.5.
    targets = 0.9 * np.eye(10)[y] + 0.01  # (N,) -> (N, 10)
    # BatchNorm1d compares images with each other: a last batch of only one is left out.
    starts = range(0, len(x) - 1, batch_size)
    lr = optimizer.lr
    for epoch in range(epochs):
        model.train()
        order, losses = rng.permutation(len(x)), []
        for i, start in enumerate(starts):
            # Large steps at first, ever smaller ones later, so that it comes to rest.
            optimizer.lr = lr * (1 - (epoch + i / len(starts)) / epochs)
            batch = order[start : start + batch_size]
            optimizer.zero_grad()
            loss = cross_entropy(model(x[batch]), targets[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        yield np.mean(losses)


def predict(model, x):
    """The probability of each digit for each image: (N, 64) -> (N, 10)."""
    model.eval()
    with no_grad():
        return model(x).softmax().data


def draw(numbers, levels):
    """A character for each number: the first of `levels` for 0, the last for 1.

    >>> draw([0.0, 0.5, 1.0], levels=" +#")
    ' +#'
    """
    return "".join(levels[round(n * (len(levels) - 1))] for n in numbers)


def show(images, labels, probabilities, shades):
    """Print images side by side, each above its label and the network's answer."""
    for i in range(8):
        rows = [image.reshape(8, 8)[i].repeat(2) for image in images]
        print("   ".join(draw(row, shades) for row in rows).rstrip())
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    print("   ".join(f"true {t}, answer {a}" for t, a in zip(labels, answers)))
    mark = np.where(answers == labels, "", "  WRONG")
    print("   ".join(f"{s:4.0%} sure{m:7}" for s, m in zip(sure, mark)).rstrip() + "\n")


def main(argv=None):
    """Train a network, or load one, and show what it makes of the validation images."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--epochs", type=int, default=10, help="how often to see each image (10)")
    add("--samples", type=int, default=500, help="images to learn from (500)")
    add("--batch-size", type=int, default=16, help="images for each step (16)")
    add("--lr", type=float, help="size of the first steps (0.02, for sgd 0.1)")
    add("--seed", type=int, default=0, help="of all that is random (0)")
    add("--optimizer", choices=["adam", "sgd"], default="adam", help="(adam)")
    add("--save", metavar="FILE", help="write the trained network and its seed (npz)")
    add("--load", metavar="FILE", help="evaluate a saved network, train nothing")
    args = parser.parse_args(argv)
    args.lr = {"adam": 0.02, "sgd": 0.1}[args.optimizer] if args.lr is None else args.lr
    limits = {"samples": (2, 1437), "batch_size": (2, 1437), "seed": (0, 2**32 - 1)}
    for name, (low, high) in {"epochs": (1, 9999), "lr": (1e-9, 10), **limits}.items():
        if not low <= getattr(args, name) <= high:
            parser.error(f"--{name.replace('_', '-')} must be between {low} and {high}")

    rng = np.random.default_rng(args.seed)
    model = build_model(rng)
    model.seed = np.array(args.seed, np.uint32)  # any array in a model is saved with it
    try:
        if args.load is not None:
            with np.load(args.load) as state:
                model.load_state_dict(state)
        if args.save is not None:
            open(args.save, "ab").close()  # better to fail now than after the training
    except Exception as error:  # a file can be wrong in many ways
        reason = getattr(error, "strerror", None) or "no network saved by this script"
        parser.error(f"{args.load or args.save}: {reason}")

    images, labels = load_digits(return_X_y=True)  # (1797, 64), pixels from 0 to 16
    # A loaded network brings its seed along: with another one, x_val would hold images
    # that it has learned from. Stratified: both parts have equal shares of each digit.
    x, x_val, y, y_val = train_test_split(
        images / 16,
        labels,
        test_size=360,
        stratify=labels,
        random_state=int(model.seed),
    )
    losses = []
    if args.load is None:
        optimizer = Adam(model.parameters(), lr=args.lr)
        if args.optimizer == "sgd":
            optimizer = SGD(model.parameters(), lr=args.lr, momentum=0.9)
        x, y = x[: args.samples], y[: args.samples]  # the split has shuffled them
        results = train(model, optimizer, x, y, args.epochs, args.batch_size, rng)
        for n, loss in enumerate(results, start=1):
            losses.append(loss)
            acc = np.mean(predict(model, x_val).argmax(axis=1) == y_val)
            print(f"Epoch {n:2}  TrainLoss {loss:.4f}  ValAcc {acc:.2%}", flush=True)
    if args.save is not None:
        with open(args.save, "wb") as file:
            np.savez(file, **model.state_dict())

    # Few encodings but Unicode's own know characters to draw with.
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    shades, bars = (" ░▒▓█", "▁▂▃▄▅▆▇█") if unicode else (" .+*#", "_.-=+*%#")
    if losses:
        heights = np.nan_to_num((losses - np.min(losses)) / (np.ptp(losses) or 1))
        print("\nThe loss over time:", draw(heights[:: len(losses) // 60 + 1], bars))
    probabilities = predict(model, x_val)
    right = probabilities.argmax(axis=1) == y_val
    print(f"\n{right.sum()} of {right.size} new images right, {right.mean():.2%}:\n")
    chosen = [*np.flatnonzero(~right)[:4], *np.flatnonzero(right)][:8]
    for row in chosen[:4], chosen[4:]:
        show(x_val[row], y_val[row], probabilities[row], shades)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as in `| head -3`
        os._exit(1)
