# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2.0", "scikit-learn"]
# ///
"""Train a small network to read handwritten digits, then make it read a 6 as an 8."""

import argparse
import os
import sys
import time

# On small matrices, BLAS threads hinder each other, most of all on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

import minigrad as mg


def build_model(rng):
    """8 x 8 pixels -> 512 features -> one score for each of the ten digits."""
    return mg.Sequential(
        mg.Layer(64, 512, nonlin=None, rng=rng),
        mg.BatchNorm1d(512),
        mg.Tensor.relu,
        mg.Dropout(0.2, rng=rng),
        mg.Layer(512, 10, nonlin=None, rng=rng),
        mg.BatchNorm1d(10),  # or it would soon be certain of its few images
    )


def train(model, X, y, X_val, y_val, epochs, lr, rng):
    """Learn from X and y; after each epoch, read images that are not among them."""
    optimizer, began = mg.Adam(model.parameters()), time.perf_counter()
    for epoch in range(1, epochs + 1):
        optimizer.lr = lr * (1 - (epoch - 1) / epochs)  # ever smaller, to settle
        loss = mg.train_epoch(model, optimizer, X, y, batch_size=32, rng=rng)
        acc = np.mean(mg.predict(model, X_val).argmax(axis=1) == y_val)
        print(f"Epoch {epoch:2}  TrainLoss {loss:.4f}  ValAcc {acc:.2%}", flush=True)
    print(f"Trained in {time.perf_counter() - began:.1f} seconds\n")


def mislead(model, image, digit):
    """minigrad.py's bare loop again, but the image learns: to be read as `digit`."""
    model.eval()  # as when it answers: without Dropout, for instance
    for _ in range(10):
        loss = mg.cross_entropy(model(image), [digit])
        image.grad = None
        loss.backward()
        image.data -= 0.05 * image.grad
        image.data.clip(0, 1, out=image.data)  # pixels stay in range


def show(model, left, right):
    """Draw two images side by side; below, what the network reads in them."""
    shades = " ░▒▓█" if "utf" in (sys.stdout.encoding or "utf").lower() else " .+*#"
    for row in np.hstack([left.reshape(8, 8), np.zeros((8, 4)), right.reshape(8, 8)]):
        print("".join(shades[round(4 * pixel)] * 2 for pixel in row).rstrip())
    p = mg.Tensor(mg.predict(model, np.vstack([left, right]))).softmax().data
    print("{:24}{}".format(*[f"read as {q.argmax()}, {q.max():.0%} sure" for q in p]))


def demo(epochs, samples, seed, lr, save, load):
    """Train a network, or load one, and see how it reads new images."""
    from sklearn import datasets, model_selection  # slow: wrong options fail first

    rng = np.random.default_rng(seed)
    model = build_model(rng)
    model.seed = np.array(seed)  # saved too: with --load, X_val is the same again
    if load is not None:
        try:
            model.load_state_dict(np.load(load))
        except Exception:  # NumPy and zipfile raise many kinds
            raise OSError(f"cannot load a network from {load}") from None
    open(os.devnull if save is None else save, "ab").close()  # fail now, not later
    X, y = datasets.load_digits(return_X_y=True)  # pixels from 0 to 16
    split = dict(test_size=360, stratify=y, random_state=int(model.seed))
    X, X_val, y, y_val = model_selection.train_test_split(X / 16, y, **split)
    if load is None:
        train(model, X[:samples], y[:samples], X_val, y_val, epochs, lr, rng)
    if save:
        with open(save, "wb") as file:
            np.savez(file, **model.state_dict())
    right = mg.predict(model, X_val).argmax(axis=1) == y_val
    i = np.argmax(right & (y_val == 6))  # the first 6 that is read rightly
    image = mg.Tensor(X_val[[i]])
    mislead(model, image, digit=8)
    print(f"You see a {y_val[i]} twice, but the second took ten steps towards an 8:")
    show(model, X_val[[i]], image.data)
    print(f"Accuracy {right.mean():.2%}: {right.sum()} of 360 new images", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=10, help="passes over the images")
    parser.add_argument("--samples", type=int, default=500, help="images to learn from")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    parser.add_argument("--lr", type=float, default=0.01, help="first learning rate")
    parser.add_argument("--save", metavar="FILE", help="write the network here")
    parser.add_argument("--load", metavar="FILE", help="use this network, train none")
    args = parser.parse_args(argv)
    good = args.epochs > 0 and 2 <= args.samples <= 1437 and 0 < args.lr <= 10
    if not (good and 0 <= args.seed < 2**32):
        parser.error("needs epochs >= 1, 2 <= samples <= 1437, seed >= 0, 0 < lr <= 10")
    try:
        demo(**vars(args))
    except ModuleNotFoundError as error:
        parser.error(f"{error}: pip install scikit-learn")
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, BrokenPipeError):  # `| head -3`: no second failure at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        parser.error(str(error) or "interrupted")


if __name__ == "__main__":
    main()
