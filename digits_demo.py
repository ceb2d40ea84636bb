# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2.0", "scikit-learn"]
# ///
"""Train a small network to read handwritten digits, then see what it gets wrong."""

import argparse
import os
import sys
import zipfile

# On small matrices, threads cost more than they save. NumPy reads this on import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

import minigrad as mg

TEST = 437  # images that are looked at once, at the end
WATCHED = 360  # images that are read after each epoch, to watch it learn
# 1,797 - 437 - 360 leaves 1,000 to learn from.


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


def load_images(seed):
    """All images and their digits, in the random order that `seed` gives."""
    from sklearn.datasets import load_digits  # which takes a second

    X, y = load_digits(return_X_y=True)  # (1797, 64), pixels from 0 to 16
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order] / 16, y[order]


def train(model, X, y, X_watched, y_watched, epochs, lr, rng):
    """Learn from X and y. After each epoch, read the images that are watched."""
    optimizer = mg.Adam(model.parameters())
    for epoch in range(epochs):
        optimizer.lr = lr * (1 - epoch / epochs)  # ever smaller, to settle
        loss = mg.train_epoch(model, optimizer, X, y, batch_size=32, rng=rng)
        answers = mg.predict(model, X_watched).argmax(axis=1)
        line = f"Epoch {epoch + 1:2}  TrainLoss {loss:.4f}"
        print(f"{line}  ValAcc {np.mean(answers == y_watched):.2%}", flush=True)


def towards(model, image, digit):
    """`image`, changed by ten steps, so that it is read as `digit`.

    This is the bare loop of minigrad.py, chapter 4, with one difference: the network
    stays as it is, and the image learns.
    """
    model.eval()  # as when it answers: without Dropout, for instance
    changed = mg.Tensor(image[np.newaxis])  # (64,) -> (1, 64)
    for _ in range(10):
        loss = mg.cross_entropy(model(changed), [digit])
        changed.grad = None
        loss.backward()
        changed.data = changed.data - 0.05 * changed.grad
        changed.data = changed.data.clip(0, 1)  # the range of a pixel
    return changed.data[0]


def draw(model, titles, images):
    """Draw images side by side, each with a title above and its reading below."""
    shades = " ░▒▓█" if "utf" in (sys.stdout.encoding or "utf").lower() else " .+*#"
    scores = mg.predict(model, np.array(images))
    probabilities = mg.Tensor(scores).softmax().data  # a row for each image
    readings = [f"read as {p.argmax()}, {p.max():.0%} sure" for p in probabilities]
    lines = ["".join(f"{title:22}" for title in titles)]
    for row in range(8):
        line = ""
        for image in images:
            pixels = image[8 * row : 8 * row + 8]
            line += "".join(2 * shades[round(4 * pixel)] for pixel in pixels) + 6 * " "
        lines.append(line)
    lines.append("".join(f"{reading:22}" for reading in readings))
    for line in lines:
        print(line.rstrip())


def show_results(model, X, y):
    """Read images that no epoch looked at, and draw those that are worth a look."""
    answers = mg.predict(model, X).argmax(axis=1)
    right = answers == y
    titles = []
    images = []
    mistakes = np.flatnonzero(~right)
    if len(mistakes):
        first = mistakes[0]
        titles.append(f"misread ({y[first]} is right)")
        images.append(X[first])
    sixes = np.flatnonzero(y == 6)
    read_rightly = [i for i in sixes if right[i]]
    six = read_rightly[0] if read_rightly else sixes[0]
    titles += ["a 6", "the same 6, changed"]
    images += [X[six], towards(model, X[six], digit=8)]
    print()
    draw(model, titles, images)
    print("The last is not meant to look like an 8: the 6 took ten small steps along")
    print("the gradient of its pixels, towards what this network takes for an 8.")
    count = f"{right.sum()} of {len(y)} images that no epoch looked at"
    print(f"Accuracy {right.mean():.2%}: {count}", flush=True)


def load_network(model, file):
    """Give the model the numbers that --save wrote."""
    try:
        model.load_state_dict(np.load(file))
    except (EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile):
        raise OSError(f"{file} is not a network saved by --save") from None


def check_writable(file):
    """Fail now if the file cannot be written, and not after the training."""
    is_new = not os.path.exists(file)
    with open(file, "ab"):
        pass  # nothing is written, and an older file stays as it is
    if is_new:
        os.remove(file)


def demo(options):
    """Train a network, or load one, and see how it reads new images."""
    if options.save:
        check_writable(options.save)
    rng = np.random.default_rng(options.seed)
    model = build_model(rng)
    # An array in a module is saved. So a loaded network is tested on the images that
    # it has not learned from, too.
    model.order_seed = np.array(options.seed)
    if options.load:
        load_network(model, options.load)
    else:
        print(f"Learning from {options.samples} handwritten digits", flush=True)
    X, y = load_images(int(model.order_seed))
    test = slice(0, TEST)
    watched = slice(TEST, TEST + WATCHED)
    learn = slice(TEST + WATCHED, TEST + WATCHED + options.samples)
    if not options.load:
        settings = options.epochs, options.lr, rng
        train(model, X[learn], y[learn], X[watched], y[watched], *settings)
    if options.save:
        with open(options.save, "wb") as file:
            np.savez(file, **model.state_dict())
    show_results(model, X[test], y[test])


def main(argv=None):
    # Without a usage line, a mistake is answered by one line.
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    add = parser.add_argument
    add("--epochs", type=int, default=10, help="passes over the images (%(default)s)")
    add("--samples", type=int, default=500, help="images to learn from (%(default)s)")
    add("--seed", type=int, default=0, help="of all that is random (%(default)s)")
    add("--lr", type=float, default=0.01, help="first learning rate (%(default)s)")
    add("--save", metavar="FILE", help="write the trained network to FILE")
    add("--load", metavar="FILE", help="train none: test the network in FILE")
    options = parser.parse_args(argv)

    def check(name, low, high):
        if not low <= getattr(options, name) <= high:
            parser.error(f"--{name} must be between {low} and {high}")

    check("epochs", 1, 9999)
    check("samples", 2, 1000)
    check("seed", 0, 2**32 - 1)
    check("lr", 0, 10)
    if options.load and options.save:
        parser.error("--load trains nothing that --save could write: give one of them")
    try:
        demo(options)
    except ModuleNotFoundError as error:
        parser.error(f"{error}: pip install scikit-learn")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted\n")
    except BrokenPipeError:
        # Whoever was reading, such as `| head -3`, has gone. Python will write what is
        # left when it exits; let it write to nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except OSError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
