# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2.0", "scikit-learn"]
# ///
"""Train a small network to read handwritten digits, then make it read a 6 as an 8."""

import argparse
import os
import sys
import time
import zipfile

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
        except (EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile):
            raise OSError(f"{load} is not a network saved by --save") from None
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
    print(f"The same {y_val[i]} twice; the second took ten steps towards an 8:")
    show(model, X_val[[i]], image.data)
    print(f"Accuracy {right.mean():.2%}: {right.sum()} of 360 new images", flush=True)


def main(argv=None):
    # Without a usage, an error is one line.
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    add = parser.add_argument
    add("--epochs", type=int, default=10, help="passes over the images")
    add("--samples", type=int, default=500, help="images to learn from")
    add("--seed", type=int, default=0, help="of all that is random")
    add("--lr", type=float, default=0.01, help="learning rate, which falls to 0")
    add("--save", metavar="FILE", help="write the network here")
    add("--load", metavar="FILE", help="use this network and its seed, train none")
    args = parser.parse_args(argv)
    limits = dict(epochs=(1, 9999), samples=(2, 1437), seed=(0, 2**32 - 1), lr=(0, 10))
    for name, (low, high) in limits.items():
        if not low <= getattr(args, name) <= high:
            parser.error(f"--{name} must be between {low} and {high}")
    try:
        demo(**vars(args))
    except ModuleNotFoundError as error:
        parser.error(f"{error}: pip install scikit-learn")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted\n")
    except BrokenPipeError:  # `| head -3`: Python must not fail again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
