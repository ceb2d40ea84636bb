# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2.0", "scikit-learn"]
# ///
"""Train a small network to read handwritten digits, then look at its answers."""

import argparse
import contextlib
import os
import sys
import time
import zipfile

import numpy as np

import minigrad as mg


# ---- The network ---------------------------------------------------------------------
def build_model(rng):
    """8 x 8 pixels -> 512 features -> one score for each of the ten digits."""
    return mg.Sequential(
        mg.Layer(64, 512, nonlin=False, rng=rng),
        mg.BatchNorm1d(512),
        mg.Tensor.relu,
        mg.Dropout(0.2, rng=rng),
        mg.Layer(512, 10, nonlin=False, rng=rng),
        # Normalised scores keep it from being certain of its few images too soon. This
        # raises the accuracy from 96.8 % to 97.4 % (means over 100 seeds).
        mg.BatchNorm1d(10),
    )


def train(model, optimizer, x, y, batch_size, rng):
    """Learn from every image once, in random order; return the mean loss."""
    model.train()
    order, losses = rng.permutation(len(x)), []
    # BatchNorm1d compares images with each other: a last batch of only one is left out.
    for start in progress(range(0, len(x) - 1, batch_size)):
        batch = order[start : start + batch_size]
        optimizer.zero_grad()
        loss = mg.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.mean(losses)


def predict(model, x):
    """The probability of each digit for each image: (N, 64) -> (N, 10)."""
    model.eval()
    with mg.no_grad():
        return model(x).softmax().data


# ---- Files ---------------------------------------------------------------------------
def load_data(seed):
    """1437 images to learn from and 360 others, then the labels of both."""
    # This import takes seconds, and a mistake in the options should not wait for it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)  # pixels from 0 to 16
    # Stratified: both parts have equal shares of each digit.
    return train_test_split(x / 16, y, test_size=360, stratify=y, random_state=seed)


def load(model, path):
    """Read a network that `save` has written."""
    try:
        with open(path, "rb") as file:
            model.load_state_dict(np.load(file))
    except OSError as error:
        stop(f"error: cannot read {path}: {error.strerror or error}")
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        stop(f"error: cannot load {path}: not a network saved by this script")


def save(model, path, rehearsal=False):
    """Write the network to a file: all of it or, if that fails, nothing."""
    target = os.path.realpath(path)  # os.replace would replace a link, not its target
    unfinished = f"{target}.{os.getpid()}.tmp"
    try:
        if os.path.exists(target):
            open(target, "r+b").close()  # os.replace would not mind a read-only file
        with open(unfinished, "wb") as file:
            np.savez(file, **model.state_dict())
        if not rehearsal:
            os.replace(unfinished, target)
    except OSError as error:
        stop(f"error: cannot write {path}: {error.strerror}")
    finally:
        with contextlib.suppress(OSError):
            os.remove(unfinished)


# ---- What the user sees --------------------------------------------------------------
def progress(steps):
    """The same steps; on a terminal, with a line that counts them after a second."""
    began = time.monotonic()
    for i, step in enumerate(steps):
        if sys.stdout.isatty() and time.monotonic() > began + 1:
            # The cursor goes back to the start, so the next line overwrites this one.
            print(f"This epoch: {i / len(steps):.0%}\r", end="", flush=True)
        yield step


def draw(numbers, levels):
    """A character for each number: the first of `levels` for 0, the last for 1.

    >>> draw([0.0, 0.5, 1.0], levels=" +#")
    ' +#'
    """
    return "".join(levels[round(n * (len(levels) - 1))] for n in numbers)


def printable(levels, plain):
    """`levels` if stdout can show them, else `plain`."""
    # Few encodings but Unicode's own have characters to draw with.
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return levels if unicode else plain


def learn(model, args, rng, x, x_val, y, y_val):
    """Train for all epochs; print a line after each, then draw how the loss fell."""
    optimizer = mg.Adam(model.parameters(), lr=args.lr or 0.01)
    if args.optimizer == "sgd":
        optimizer = mg.SGD(model.parameters(), lr=args.lr or 0.2, momentum=0.9)
    first_lr, losses = optimizer.lr, []
    for epoch in range(args.epochs):
        # Large steps at first, ever smaller ones later, so that it comes to rest.
        optimizer.lr = first_lr * (1 - epoch / args.epochs)
        loss = train(model, optimizer, x, y, args.batch_size, rng)
        losses.append(loss)
        acc = f"{np.mean(predict(model, x_val).argmax(axis=1) == y_val):.2%}"
        print(f"Epoch {epoch + 1:2}  TrainLoss {loss:.4f}  ValAcc {acc}", flush=True)
    heights = np.nan_to_num((losses - np.min(losses)) / (np.ptp(losses) or 1))
    bars = printable("▁▂▃▄▅▆▇█", "_.-=+*%#")
    print("\nThe loss over time:", draw(heights[:: len(losses) // 60 + 1], bars))


def report(probabilities, x, y):
    """Print how many answers are right, and eight images with the first mistakes."""
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = answers == y
    print(f"\n{right.sum()} of {right.size} new images right, {right.mean():.2%}:\n")
    shades = printable(" ░▒▓█", " .+*#")
    chosen = [*np.flatnonzero(~right)[:4], *np.flatnonzero(right)][:8]
    for four in chosen[:4], chosen[4:]:
        for line in range(8):
            pixels = [x[i].reshape(8, 8)[line].repeat(2) for i in four]
            print("   ".join(draw(row, shades) for row in pixels).rstrip())
        print("   ".join(f"true {y[i]}, answer {answers[i]}" for i in four))
        marks = [f"{sure[i]:4.0%} sure{'' if right[i] else '  WRONG':7}" for i in four]
        print("   ".join(marks).rstrip() + "\n")


# ---- The command line ----------------------------------------------------------------
def between(kind, low, high):
    """A type for argparse: numbers of this kind and range."""

    def number(text):
        if not low <= kind(text) <= high:
            hint = f"must be between {low} and {high}, got {text}"
            raise argparse.ArgumentTypeError(hint)
        return kind(text)

    return number


def file_name(path):
    """A type for argparse: names of files, but not of folders or devices."""
    special = os.path.exists(path) and not os.path.isfile(path)
    if special or not os.path.basename(path):
        raise argparse.ArgumentTypeError(f"must be the name of a file, got {path!r}")
    return path


def parse(argv):
    """The options; a mistake in them ends the program."""
    given_only = argparse.SUPPRESS  # no defaults: some options exclude each other
    parser = argparse.ArgumentParser(description=__doc__, argument_default=given_only)
    add, size = parser.add_argument, between(int, 2, 1437)
    add("--epochs", type=between(int, 1, 9999), help="how often to see each image (10)")
    add("--samples", type=size, help="images to learn from (500)")
    add("--batch-size", type=size, help="images for each step, best 8 or more (32)")
    add("--lr", type=between(float, 1e-9, 10), help="first step size (0.01; sgd 0.2)")
    add("--seed", type=between(int, 0, 2**32 - 1), help="of all that is random (0)")
    add("--optimizer", choices=["adam", "sgd"], help="(adam)")
    add("--save", metavar="FILE", type=file_name, help="write the network here (npz)")
    add("--load", metavar="FILE", type=file_name, help="use this network, train none")
    given = vars(parser.parse_args(argv))
    useless = sorted(given.keys() - {"load", "save"})
    if "load" in given and useless:
        option = useless[0].replace("_", "-")
        parser.error(f"argument --{option}: has no effect with --load")
    defaults = dict(epochs=10, samples=500, batch_size=32, seed=0, optimizer="adam")
    defaults |= dict(lr=None, save=None, load=None)
    return argparse.Namespace(**(defaults | given))


def stop(message, status=2):
    """End the program with one line on stderr."""
    print(f"digits_demo.py: {message}", file=sys.stderr)
    raise SystemExit(status)


@contextlib.contextmanager
def ending_well():
    """No traceback where the user presses Ctrl-C or the output cannot be written."""
    try:
        try:
            yield
        finally:
            print(end="", flush=True)  # or Python would do it, too late for `except`
    except KeyboardInterrupt:
        stop("interrupted", status=130)
    except OSError as error:
        # When Python exits, what is left of the output must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # nobody reads on, as in `| head -3`
            raise SystemExit(1) from None
        stop(f"error: {error.filename or 'standard output'}: {error.strerror}")


@ending_well()
def main(argv=None):
    """Train a network, or load one, and show what it makes of new images."""
    args = parse(argv)
    if sys.stdout is None:
        stop("error: standard output is closed")
    rng = np.random.default_rng(args.seed)
    model = build_model(rng)
    model.seed = np.array(args.seed, np.uint32)  # any array in a model is saved with it
    if args.load:
        load(model, args.load)
    if args.save:
        save(model, args.save, rehearsal=True)  # better to fail now than after training
    # A loaded network brings its seed along: with another one, x_val would hold images
    # that it has learned from.
    x, x_val, y, y_val = load_data(int(model.seed))
    if not args.load:
        x, y = x[: args.samples], y[: args.samples]  # the split has shuffled them
        learn(model, args, rng, x, x_val, y, y_val)
    if args.save:
        save(model, args.save)
        print(f"Saved the network to {args.save}", file=sys.stderr)
    report(predict(model, x_val), x_val, y_val)


if __name__ == "__main__":
    main()
