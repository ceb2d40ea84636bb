# SPDX-License-Identifier: MIT
"""The tests of minigrad.

    python -m unittest                                       all (so does pytest)
    python -m unittest test_minigrad.TestOperations          one class
    python -m unittest test_minigrad.TestBackward -f         up to the first failure

To find the tests of a feature, search for its name. The file goes through minigrad.py
from its first page to its last:

    Tools         random numbers, central differences, assertions
    Operations    tables of rows; `check` says what each row has to pass
    The engine    Tensor, backward, no_grad, costs, accuracy, gradcheck
    Networks      modules and their state, layers, optimizers
    Training      train_epoch, predict, attention
    Mistakes      a table of what is refused, and with which words
    The pages     the examples in minigrad.py, README.md and RECIPES.md; the demo

What is expected comes from NumPy, from central differences or from a calculation by
hand, never from minigrad. A subTest names the row and the step that failed, and the
rows after it run all the same.
"""

import contextlib
import contextvars
import copy
import functools
import gc
import importlib.util
import io
import itertools
import math
import multiprocessing
import operator
import os
import pickle
import re
import runpy
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

# Before NumPy is imported: on small matrices, threads cost more than they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import minigrad as mg  # noqa: E402
from minigrad import Tensor  # noqa: E402

HERE = Path(__file__).resolve().parent
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
inf = math.inf
nan = math.nan


######## Tools #########################################################################


def numbers(*shape, seed=0):
    """Random numbers of both signs; the same arguments give the same ones."""
    rng = np.random.default_rng([seed, *shape])
    return np.asarray(rng.normal(size=shape))


def positive(*shape, seed=0):
    """Random numbers between about 1/3 and 3."""
    return np.asarray(np.exp(numbers(*shape, seed=seed) / 2))


def central_differences(f, arrays, weights, eps=1e-5):
    """The gradients of (f(*arrays) * weights).sum(), one for each array."""
    arrays = [array.copy() for array in arrays]
    gradients = [np.zeros(array.shape) for array in arrays]
    for array, gradient in zip(arrays, gradients):
        for index in np.ndindex(array.shape):
            old = array[index]
            array[index] = old + eps
            above = (f(*arrays) * weights).sum()
            array[index] = old - eps
            below = (f(*arrays) * weights).sum()
            array[index] = old
            gradient[index] = (above - below) / (2 * eps)
    return gradients


# The same numbers in other places of the memory. Each takes an array and gives a view.


def in_fortran_order(array):
    return array.copy("F")


def with_negative_strides(array):
    return np.flip(np.flip(array).copy())


def with_equal_rows(array):
    """The first row again and again: read-only, and all at one place of the memory."""
    return np.broadcast_to(array[:1], array.shape) if array.ndim else array


LAYOUTS = [in_fortran_order, with_negative_strides, with_equal_rows]


class Test(unittest.TestCase):
    """The base of all tests."""

    def run(self, result=None):
        """In a context of its own: if no_grad leaks, it leaks into no other test."""
        return contextvars.copy_context().run(super().run, result)

    def setUp(self):
        # What is finite must not warn on its way.
        caught = warnings.catch_warnings()
        caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("error")

        # Graphs must be freed without the garbage collector.
        gc.disable()
        self.addCleanup(gc.enable)

    def assertClose(self, actual, expected, rtol=1e-12, atol=None):
        """Equal up to rounding, whatever the dtype; lists item by item."""
        if isinstance(expected, list):
            self.assertEqual(len(actual), len(expected))
            for one, other in zip(actual, expected):
                self.assertClose(one, other, rtol, atol)
            return
        self.assertEqual(np.shape(actual), np.shape(expected), "shapes")
        atol = rtol if atol is None else atol
        np.testing.assert_allclose(actual, expected, rtol, atol)

    def assertSame(self, actual, expected):
        """Equal to the last bit, shape and dtype included; lists item by item."""
        if isinstance(expected, list):
            self.assertEqual(len(actual), len(expected))
            for one, other in zip(actual, expected):
                self.assertSame(one, other)
            return
        np.testing.assert_array_equal(actual, expected, strict=True)

    def assertApart(self, *arrays):
        """No two of the arrays share memory."""
        for one, other in itertools.combinations(arrays, 2):
            self.assertFalse(np.shares_memory(one, other), "they share memory")

    def folder(self):
        """The path of a new folder, which goes with the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    # ---- What holds for every operation ----------------------------------------------

    def check(self, f, reference, *arrays):
        """Test all that holds for an operation.

        `f` takes Tensors, `reference` does the same with arrays in NumPy, and `arrays`
        are the inputs. Each step below is a subTest with a sentence.
        """
        tensors = [Tensor(array) for array in arrays]
        out = f(*tensors)
        with self.subTest("the value is NumPy's"):
            self.assertClose(out.data, reference(*arrays))

        # The gradient of the result, in an odd layout. No vjp may change it.
        weights = numbers(*out.shape, seed=9).copy("F")
        weights.flags.writeable = False
        out.backward(weights)
        grads = [t.grad.copy() for t in tensors]
        with self.subTest("the gradients are those of central differences"):
            expected = central_differences(reference, arrays, weights)
            self.assertClose(grads, expected, 1e-7)

        with self.subTest("a second backward adds the same again"):
            out.backward(weights)
            doubled = [2 * grad for grad in grads]
            self.assertSame([t.grad for t in tensors], doubled)

        with self.subTest("inputs are as before, and nothing shares memory with them"):
            self.assertSame([t.data for t in tensors], list(arrays))
            data = [t.data for t in tensors]
            self.assertApart(*data, *[t.grad for t in tensors], weights)
            for t in tensors:
                self.assertTrue(t.grad.flags.writeable)

        with self.subTest("constants in place of other inputs change nothing"):
            self.check_constants(f, arrays, weights, grads)
        with self.subTest("float32 stays float32, on the way back too"):
            self.check_float32(f, arrays, weights, grads)
        with self.subTest("the layout in memory does not matter"):
            self.check_layouts(f, arrays, weights)
        with self.subTest("the graph goes with its result, the collector being off"):
            self.check_freed(f, arrays, weights)

    def check_constants(self, f, arrays, weights, grads):
        """A constant is an array, or a Tensor that does not require gradients."""
        frozen = [Tensor(array, requires_grad=False) for array in arrays]
        self.assertFalse(f(*frozen).requires_grad)
        for constants in arrays, frozen:
            for i, array in enumerate(arrays):
                inputs = list(constants)
                inputs[i] = Tensor(array)
                f(*inputs).backward(weights)
                self.assertClose(inputs[i].grad, grads[i])

    def check_float32(self, f, arrays, weights, grads):
        leaves = [Tensor(array.astype(FLOAT32)) for array in arrays]
        inner = [t * 1 for t in leaves]  # a leaf would convert its gradient
        out = f(*inner)
        out.backward(weights.astype(FLOAT32))
        self.assertEqual(out.dtype, FLOAT32)
        for t in inner:
            self.assertEqual(t.grad.dtype, FLOAT32)
        self.assertClose([t.grad for t in leaves], grads, 1e-4)

    def check_layouts(self, f, arrays, weights):
        for layout in LAYOUTS:
            odd = []
            even = []
            for array in arrays:
                even.append(Tensor(layout(array).copy("C")))
                odd.append(Tensor(array))
                odd[-1].data = np.asarray(layout(array))
            odd_out = f(*odd)
            even_out = f(*even)
            odd_out.backward(weights)
            even_out.backward(weights)
            self.assertClose(odd_out.data, even_out.data)
            self.assertClose([t.grad for t in odd], [t.grad for t in even])

    def check_freed(self, f, arrays, weights):
        inner = [Tensor(array) * 1 for array in arrays]
        out = f(*inner)
        out.backward(weights)
        graph = [weakref.ref(t) for t in (out, *inner)]
        del out, inner
        for reference in graph:
            self.assertIsNone(reference())


######## Operations ####################################################################

# To add an operation, add a row to its chapter's list: Row("sin", lambda a: a.sin(),
# np.sin, ANY) has its name, what it does to Tensors, the same in NumPy, and the shapes
# of its inputs. Where NumPy needs an axis, write lambda a: np.cumsum(a, axis=0).

SAME = None  # in NumPy, it is the same line of Python


@dataclass
class Row:
    """What `check` shall test.

    `name` is the public name; that of `a + b` is "add", as in __add__. `shapes` is a
    list of runs, and each run lists the shape of every input. In `each`, there are
    settings that `f` and `reference` take by name; each of them is a run, too. `make`
    draws the inputs: `numbers`, or `positive` where they must be.
    """

    name: str
    f: Callable
    reference: Callable | None
    shapes: list
    each: list = field(default_factory=lambda: [{}])
    make: Callable = numbers

    def runs(self):
        """Yield (shapes, settings) of each run."""
        yield from itertools.product(self.shapes, self.each)

    def tensor_function(self, settings):
        return functools.partial(self.f, **settings)

    def array_function(self, settings):
        return functools.partial(self.reference or self.f, **settings)


# The shapes of one input: a number, a vector, a matrix, an odd one, an empty one.
ANY = [[()], [(3,)], [(2, 3)], [(2, 1, 2)], [(0, 2)]]

# The shapes of two inputs, which broadcasting stretches in every way.
PAIRS = [
    [(), ()],
    [(2, 3), (2, 3)],
    [(2, 3), (3,)],
    [(), (2, 3)],
    [(2, 1), (1, 3)],
    [(2, 1, 1, 2), (3, 2, 1)],
    [(0, 3), (1, 3)],
    [(1, 1), ()],
]

LISTS = [[1, 2, 3], (1.5, 2.5, 1), np.arange(1, 4), np.array([True, True, True])]
CONSTANTS = [2, True, 2.5, np.float64(2), np.int64(2), np.array(2.5), *LISTS]
EACH_CONSTANT = [{"c": c} for c in CONSTANTS]
EACH_LIST = [{"c": c} for c in LISTS]
WHOLE_NUMBERS = [0, 1, 2, 3.0, -1, -2, np.int32(3)]

ARITHMETIC = [
    Row("add", lambda a, b: a + b, SAME, PAIRS),
    Row("sub", lambda a, b: a - b, SAME, PAIRS),
    Row("mul", lambda a, b: a * b, SAME, PAIRS),
    Row("truediv", lambda a, b: a / b, SAME, PAIRS, make=positive),
    Row("pow", lambda a, b: a**b, SAME, PAIRS, make=positive),
    Row("pow", lambda a, n: a**n, SAME, [[(4,)]], [{"n": n} for n in WHOLE_NUMBERS]),
    Row("neg", lambda a: -a, SAME, ANY),
    # A Tensor and a constant, and the other way round:
    Row("add", lambda a, c: a + c, SAME, [[(3,)]], EACH_CONSTANT),
    Row("sub", lambda a, c: a - c, SAME, [[(3,)]], EACH_CONSTANT),
    Row("mul", lambda a, c: a * c, SAME, [[(3,)]], EACH_CONSTANT),
    Row("truediv", lambda a, c: a / c, SAME, [[(3,)]], EACH_CONSTANT),
    Row("pow", lambda a, c: a**c, SAME, [[(3,)]], EACH_CONSTANT, make=positive),
    Row("radd", lambda a, c: c + a, SAME, [[(3,)]], EACH_CONSTANT),
    Row("rsub", lambda a, c: c - a, SAME, [[(3,)]], EACH_CONSTANT),
    Row("rmul", lambda a, c: c * a, SAME, [[(3,)]], EACH_CONSTANT),
    Row("rtruediv", lambda a, c: c / a, SAME, [[(3,)]], EACH_CONSTANT, make=positive),
    Row("rpow", lambda a, c: c**a, SAME, [[(3,)]], EACH_CONSTANT, make=positive),
]

MATRICES = [
    # Vectors, matrices, batches of matrices, in every pair that np.matmul takes.
    [(3,), (3,)],
    [(3,), (3, 2)],
    [(2, 3), (3,)],
    [(2, 2, 3), (3,)],
    [(3,), (2, 3, 2)],
    [(2, 3), (3, 4)],
    [(2, 3), (2, 3, 2)],
    [(2, 2, 3), (2, 3, 1)],
    [(2, 2, 3), (3, 2)],
    [(2, 1, 2, 3), (3, 2)],
    [(2, 1, 2, 3), (3, 3, 2)],
    [(2, 1, 1, 3), (1, 2, 3, 1)],
    # With an axis of length 1 or 0.
    [(1, 1), (1, 1)],
    [(0, 2, 3), (3,)],
    [(3,), (0, 3, 2)],
    [(0, 3), (3, 2)],
    [(2, 0), (0, 3)],
    [(2, 0, 3), (3, 2)],
    [(2, 2, 0), (0, 3)],
    [(2, 2, 3), (3, 0)],
]

PRODUCTS = [
    Row("matmul", lambda a, b: a @ b, SAME, MATRICES),
    Row("matmul", lambda a, c: a @ c, SAME, [[(3,)], [(2, 3)]], EACH_LIST),
    Row("rmatmul", lambda a, c: c @ a, SAME, [[(3,)], [(3, 2)]], EACH_LIST),
]

AXES = [
    {"axis": None},
    {"axis": 0},
    {"axis": 1},
    {"axis": -1},
    {"axis": (0, 1)},
    {"axis": (2, 0)},
    {"axis": ()},
    {"axis": 1, "keepdims": True},
    {"axis": None, "keepdims": True},
]

SUMS = [
    Row("sum", lambda a, **over: a.sum(**over), SAME, [[(2, 3, 2)]], AXES),
    Row("sum", lambda a: a.sum(), SAME, ANY),
    Row("sum", lambda a: a.sum(1), SAME, [[(2, 3)], [(0, 3, 2)]]),
    Row("mean", lambda a, **over: a.mean(**over), SAME, [[(2, 3, 2)]], AXES),
    Row("mean", lambda a: a.mean(-1), SAME, [[(3,)], [(0, 3, 2)]]),
    Row("max", lambda a, **over: a.max(**over), SAME, [[(2, 3, 2)]], AXES),
    Row("max", lambda a: a.max(-1), SAME, [[(3,)], [(0, 3, 2)]]),
    Row("min", lambda a, **over: a.min(**over), SAME, [[(2, 3, 2)]], AXES),
    Row("min", lambda a: a.min(-1), SAME, [[(3,)], [(0, 3, 2)]]),
]

NEW_SHAPES = [[6, 1], [-1], [(3, -1)], [2, 3, 1], [[2, 3]]]
ORDERS = [[], [1, 2, 0], [(1, 2, 0)], [[0, 2, 1]], [-1, 0, -2]]

# Every kind of index that NumPy takes, for the shape (2, 3, 2).
INDICES = [
    0,
    -1,
    np.int64(1),
    (1, 2),
    (1, 2, 0),
    (),
    ...,
    None,
    slice(1, None),
    slice(None, None, -2),
    slice(0, 0),
    True,
    (0, ..., 1),
    (0, None, slice(None, None, -1), -1),
    [],
    [-1, 1],
    [1, 1, 1],
    ([0, 1, 0], [2, 2, 2]),
    (1, [2, 2]),
    np.array(1),
    [[0, 1], [1, 1]],
    (slice(None), None, [0, 2]),
    (slice(0, 2), [1], slice(0, 1)),
    [True, False],
    np.indices((2, 3, 2))[1] > 0,
    np.ix_([1, 0], [2, 0, 2]),
]
INDICES_OF_A_NUMBER = [(), ..., None, True, (None, ...)]

SHAPES = [
    Row(
        "reshape",
        lambda a, shape: a.reshape(*shape),
        SAME,
        [[(2, 3)]],
        [{"shape": shape} for shape in NEW_SHAPES],
    ),
    Row(
        "transpose",
        lambda a, order: a.transpose(*order),
        SAME,
        [[(2, 3, 4)]],
        [{"order": order} for order in ORDERS],
    ),
    Row("transpose", lambda a: a.transpose(2, 0, 3, 1), SAME, [[(2, 3, 1, 2)]]),
    Row("T", lambda a: a.T, SAME, ANY),
    Row("mT", lambda a: a.mT, SAME, [[(2, 3)], [(2, 3, 4)], [(2, 1, 3, 2)]]),
    Row(
        "getitem",
        lambda a, index: a[index],
        SAME,
        [[(2, 3, 2)]],
        [{"index": index} for index in INDICES],
    ),
    Row(
        "getitem",
        lambda a, index: a[index],
        SAME,
        [[()]],
        [{"index": index} for index in INDICES_OF_A_NUMBER],
    ),
    Row("getitem", lambda a: a[0] + a.sum() + a[1:] + a[-1], SAME, [[(3,)]]),
]

ACTIVATIONS = [
    Row("exp", lambda a: a.exp(), np.exp, ANY),
    Row("log", lambda a: a.log(), np.log, ANY, make=positive),
    Row("sqrt", lambda a: a.sqrt(), np.sqrt, ANY, make=positive),
    Row("abs", lambda a: a.abs(), np.abs, ANY),
    Row("abs", lambda a: abs(a), SAME, ANY),
    Row("relu", lambda a: a.relu(), lambda a: (a + np.abs(a)) / 2, ANY),
    Row("tanh", lambda a: a.tanh(), lambda a: 1 - 2 / (np.exp(2 * a) + 1), ANY),
    Row("sigmoid", lambda a: a.sigmoid(), lambda a: 1 / (1 + np.exp(-a)), ANY),
]


def softmax(a, axis=-1):
    return np.exp(a) / np.exp(a).sum(axis, keepdims=True)


def log_softmax(a, axis=-1):
    return np.log(softmax(a, axis))


def mean_square(a, b):
    return ((a - b) ** 2).mean()


def cross_entropy(scores, labels):
    """One label after the other; `labels` may have any shape."""
    rows = scores.reshape(-1, scores.shape[-1])
    losses = []
    for row, label in zip(rows, np.ravel(labels)):
        losses.append(np.log(np.exp(row).sum()) - row[label])
    return np.mean(losses)


def attend(q, k, v, mask=True):
    scores = np.einsum("...tc,...sc->...ts", q, k) / np.sqrt(q.shape[-1])
    weights = softmax(np.where(mask, scores, -inf))
    return np.einsum("...ts,...sd->...td", weights, v)


EACH_AXIS = [{}, {"axis": 0}, {"axis": 1}, {"axis": -1}, {"axis": -2}]
LABELS = [[0, 2, 2, 1], (1, 1, 0, 2), np.array([2, 1, 0, 0], np.uint8)]
MASKS = [
    np.tri(3, dtype=bool),  # a text
    np.array([[[True, True, False]], [[False, True, True]]]),  # padding
    [[False, True, True]],
    np.array(True),
]

LOSSES = [
    Row(
        "softmax",
        lambda a, **over: a.softmax(**over),
        softmax,
        [[(2, 3)], [(2, 3, 2)]],
        EACH_AXIS,
    ),
    Row(
        "log_softmax",
        lambda a, **over: a.log_softmax(**over),
        log_softmax,
        [[(2, 3)], [(2, 3, 2)]],
        EACH_AXIS,
    ),
    Row(
        "mse_loss",
        lambda a, b: mg.mse_loss(a, b),
        mean_square,
        [[(3,), (3,)], [(2, 2), (2, 2)], [(), ()]],
    ),
    Row(
        "mse_loss",
        lambda a, c: mg.mse_loss(a, c),
        lambda a, c: mean_square(a, np.array(c)),
        [[(3,)]],
        EACH_LIST,
    ),
    Row(
        "cross_entropy",
        lambda a, labels: mg.cross_entropy(a, labels),
        cross_entropy,
        [[(4, 3)]],
        [{"labels": labels} for labels in LABELS],
    ),
    Row(
        "cross_entropy",
        lambda a: mg.cross_entropy(a, [[1, 0]]),
        lambda a: cross_entropy(a, [[1, 0]]),
        [[(1, 2, 3)]],
    ),
    Row(
        "cross_entropy",
        lambda a: mg.cross_entropy(a, 2),
        lambda a: cross_entropy(a, 2),
        [[(3,)]],
    ),
    Row(
        "attention",
        lambda q, k, v: mg.attention(q, k, v),
        attend,
        [
            [(3, 4), (3, 4), (3, 2)],
            [(2, 4), (3, 4), (3, 2)],
            [(2, 3, 4), (3, 4), (3, 2)],
            [(2, 1, 2), (2, 2, 2), (2, 2, 1)],
        ],
    ),
    Row(
        "attention",
        lambda q, k, v, mask: mg.attention(q, k, v, mask),
        attend,
        [[(3, 4), (3, 4), (3, 2)], [(2, 3, 4), (2, 3, 4), (3, 2)]],
        [{"mask": mask} for mask in MASKS],
    ),
    Row(
        "attention",
        lambda q, k, v: mg.attention(q, k, v, mask=np.tri(2, 3, 1, bool)),
        lambda q, k, v: attend(q, k, v, np.tri(2, 3, 1, bool)),
        [[(2, 4), (3, 4), (3, 2)]],
    ),
]

JOINING = [
    Row(
        "stack",
        lambda a, b, **over: mg.stack([a, b, a], **over),
        lambda a, b, **over: np.stack([a, b, a], **over),
        [[(2, 3), (2, 3)]],
        EACH_AXIS,
    ),
    Row("stack", lambda a: mg.stack([*a]), lambda a: a, [[(3,)], [(2, 3)]]),
    Row(
        "stack",
        lambda a, c: mg.stack((a, c, a)),
        lambda a, c: np.stack((a, c, a)),
        [[(3,)]],
        EACH_LIST,
    ),
    Row(
        "concatenate",
        lambda a, b, c: mg.concatenate([a, b, c]),
        lambda a, b, c: np.concatenate([a, b, c]),
        [[(2, 3), (1, 3), (0, 3)], [(2,), (1,), (3,)]],
    ),
    Row(
        "concatenate",
        lambda a, b: mg.concatenate([a, b, a], -1),
        lambda a, b: np.concatenate([a, b, a], -1),
        [[(2, 3), (2, 1)]],
    ),
    Row(
        "concatenate",
        lambda a, c: mg.concatenate([c, a]),
        lambda a, c: np.concatenate([c, a]),
        [[(2,)]],
        EACH_LIST,
    ),
    Row(
        "where",
        lambda a, b: mg.where([[1], [0]], a, b),
        lambda a, b: np.where([[1], [0]], a, b),
        [[(3,), ()], [(3,), (2, 1)], [(2, 1), (3,)]],
    ),
    Row(
        "where",
        lambda a, b: mg.where(np.array([0, nan, 0]), a, b),
        lambda a, b: np.where([False, True, False], a, b),
        [[(), (2, 3)], [(3,), (3,)]],
    ),
    Row(
        "where",
        lambda a, c: mg.where([True, False, True], c, a),
        lambda a, c: np.where([True, False, True], c, a),
        [[()], [(3,)]],
        EACH_CONSTANT,
    ),
]

# A list of numbers and Tensors joins them, wherever an operation takes a list.
MIXED_LISTS = [
    Row(
        "add",
        lambda a, b: a * b + [b, 2.0, b * b],
        lambda a, b: a * b + np.array([b, 2.0, b * b]),
        [[(3,), ()]],
    ),
    Row(
        "rsub",
        lambda a, b: [[1, b], (b, a)] - a * b,
        lambda a, b: np.array([[1, b], [b, a]]) - a * b,
        [[(), ()]],
    ),
    Row(
        "rmatmul",
        lambda a, b: [1.0, b, 3] @ (a * b),
        lambda a, b: np.array([1.0, b, 3]) @ (a * b),
        [[(3, 2), ()]],
    ),
    Row(
        "stack",
        lambda a, b: mg.stack([[a, 2.0], [b, a]]),
        lambda a, b: np.array([[a, 2.0], [b, a]]),
        [[(), ()]],
    ),
    Row(
        "mse_loss",
        lambda a, b: mg.mse_loss([a, 2.0], [1, b]),
        lambda a, b: ((a - 1) ** 2 + (2 - b) ** 2) / 2,
        [[(), ()]],
    ),
    Row(
        "cross_entropy",
        lambda a, b: mg.cross_entropy([a, b, 0.5], 1),
        lambda a, b: cross_entropy(np.array([a, b, 0.5]), 1),
        [[(), ()]],
    ),
]

OPERATIONS = [
    *ARITHMETIC,
    *PRODUCTS,
    *SUMS,
    *SHAPES,
    *ACTIVATIONS,
    *LOSSES,
    *JOINING,
    *MIXED_LISTS,
]

# Numbers that `check` does not draw. To add one: the name, the operation, its inputs,
# the value that it should have, and its slope in each input.
EDGES = [
    ("pow", lambda a, b: a**b, [0, 0], 1, [0, 0]),
    ("pow", lambda a, b: a**b, [0, 1], 0, [1, 0]),
    ("pow", lambda a, b: a**b, [0, 2], 0, [0, 0]),
    ("pow", lambda a, b: a**b, [0, 0.5], 0, [inf, 0]),
    ("pow", lambda a, b: a**b, [0, -1], inf, [-inf, -inf]),
    ("pow", lambda a, b: a**b, [inf, 0], 1, [0, inf]),
    ("pow", lambda a, b: a**b, [-2, 0], 1, [0, nan]),
    ("pow", lambda a, b: a**b, [3, 0], 1, [0, math.log(3)]),
    ("pow", lambda a, b: a**b, [-2, 3], -8, [12, nan]),
    ("pow", lambda a, b: a**b, [-1, 0.5], nan, [nan, nan]),
    ("pow", lambda a: a**16, [1.5], 1.5**16, [16 * 1.5**15]),
    ("pow", lambda a: a**17, [1.5], 1.5**17, [17 * 1.5**16]),
    ("pow", lambda a: a**-16, [1.5], 1.5**-16, [-16 * 1.5**-17]),
    ("pow", lambda a: a**-1, [0], inf, [-inf]),
    ("exp", lambda a: a.exp(), [nan], nan, [nan]),
    ("exp", lambda a: a.exp(), [-inf], 0, [0]),
    ("log", lambda a: a.log(), [0], -inf, [inf]),
    ("log", lambda a: a.log(), [-1], nan, [-1]),
    ("log", lambda a: a.log(), [nan], nan, [nan]),
    ("sqrt", lambda a: a.sqrt(), [0], 0, [inf]),
    ("sqrt", lambda a: a.sqrt(), [-1], nan, [nan]),
    ("sqrt", lambda a: a.sqrt(), [nan], nan, [nan]),
    ("abs", lambda a: a.abs(), [0], 0, [0]),
    ("abs", lambda a: a.abs(), [-0.0], 0, [0]),
    ("abs", lambda a: a.abs(), [-1], 1, [-1]),
    ("abs", lambda a: a.abs(), [nan], nan, [nan]),
    ("relu", lambda a: a.relu(), [0], 0, [0]),
    ("relu", lambda a: a.relu(), [-0.0], 0, [0]),
    ("relu", lambda a: a.relu(), [-1], 0, [0]),
    ("relu", lambda a: a.relu(), [2], 2, [1]),
    ("relu", lambda a: a.relu(), [inf], inf, [1]),
    ("relu", lambda a: a.relu(), [nan], nan, [0]),
    ("tanh", lambda a: a.tanh(), [1000], 1, [0]),
    ("tanh", lambda a: a.tanh(), [-1000], -1, [0]),
    ("tanh", lambda a: a.tanh(), [nan], nan, [nan]),
    ("sigmoid", lambda a: a.sigmoid(), [-1000], 0, [0]),
    ("sigmoid", lambda a: a.sigmoid(), [0], 0.5, [0.25]),
    ("sigmoid", lambda a: a.sigmoid(), [1000], 1, [0]),
    ("sigmoid", lambda a: a.sigmoid(), [nan], nan, [nan]),
    ("sigmoid", lambda a: a.sigmoid(), [-40], math.exp(-40), [math.exp(-40)]),
    ("sigmoid", lambda a: a.sigmoid(), [40], 1, [math.exp(-40)]),
    ("where", lambda a, b: mg.where(True, a, b), [1, inf], 1, [1, 0]),
    ("where", lambda a, b: mg.where(False, a, b), [nan, 2], 2, [0, 1]),
]


class TestOperations(Test):
    """Every row of the tables passes all steps of `check`."""

    def check_rows(self, rows):
        for row in rows:
            for shapes, settings in row.runs():
                with self.subTest(operation=row.name, shapes=shapes, **settings):
                    f = row.tensor_function(settings)
                    reference = row.array_function(settings)
                    arrays = []
                    for seed, shape in enumerate(shapes):
                        arrays.append(row.make(*shape, seed=seed))
                    self.check(f, reference, *arrays)

    def test_arithmetic(self):
        self.check_rows(ARITHMETIC)

    def test_products(self):
        self.check_rows(PRODUCTS)

    def test_sums(self):
        self.check_rows(SUMS)

    def test_shapes(self):
        self.check_rows(SHAPES)

    def test_activations(self):
        self.check_rows(ACTIVATIONS)

    def test_losses(self):
        self.check_rows(LOSSES)

    def test_joining(self):
        self.check_rows(JOINING)

    def test_mixed_lists(self):
        self.check_rows(MIXED_LISTS)

    def test_every_list_of_operations_has_its_test(self):
        checked = []
        with mock.patch.object(self, "check_rows", checked.extend):
            for name in dir(self):
                if name.startswith("test_") and name not in (
                    "test_edges",
                    self._testMethodName,
                ):
                    getattr(self, name)()
        self.assertCountEqual(
            [id(row) for row in checked], [id(row) for row in OPERATIONS]
        )

    def test_edges(self):
        for name, f, inputs, value, slopes in EDGES:
            with self.subTest(operation=name, inputs=inputs):
                tensors = [Tensor(number) for number in inputs]
                with np.errstate(all="ignore"):
                    out = f(*tensors)
                    out.backward()
                self.assertClose(out.item(), value, atol=0)
                self.assertClose([t.grad.item() for t in tensors], slopes)


# ---- Graphs of several operations ----------------------------------------------------


@dataclass
class GraphStep:
    """An operation in a random graph.

    The graph works on a growing list of vectors with SIZE elements. Input i of this
    operation is made of the vector number sources[i]; `places` says which elements it
    takes. Its result, times the matrix `mixing`, is added to the vector number `old`.
    """

    row: Row
    settings: dict
    places: list
    sources: list
    old: int
    mixing: np.ndarray


SIZE = 12


class TestRandomGraphs(Test):
    """Chains of four operations pass `check`; each row of the tables leads one."""

    def draw(self, rng, first):
        """The steps of a graph that begins with the row `first`."""
        graph = []
        for vectors in range(2, 6):  # how many there are: two leaves at first
            row = OPERATIONS[rng.integers(len(OPERATIONS))] if graph else first
            runs = [run for run in row.runs() if self.has_elements(run)]
            shapes, settings = runs[rng.integers(len(runs))]
            places = [np.resize(rng.permutation(SIZE), shape) for shape in shapes]
            sources = rng.integers(vectors, size=len(shapes)).tolist()
            old = int(rng.integers(vectors))
            trial = [positive(*shape) for shape in shapes]
            results = np.size(row.array_function(settings)(*trial))
            mixing = rng.normal(size=(SIZE, results)) / math.sqrt(max(results, 1))
            graph.append(GraphStep(row, settings, places, sources, old, mixing))
        return graph

    def has_elements(self, run):
        shapes, _ = run
        return all(math.prod(shape) > 0 for shape in shapes)

    def follow(self, graph, vectors, tensors):
        """The sum of all vectors in the end. `vectors` are Tensors, or else arrays."""
        for step in graph:
            inputs = []
            for source, places in zip(step.sources, step.places):
                x = vectors[source][places]
                if step.row.make is positive or step.row.name == "pow":
                    x = x * x + 1
                inputs.append(x)
            if tensors:
                out = step.row.tensor_function(step.settings)(*inputs).reshape(-1)
                mixed = vectors[step.old] + step.mixing.astype(out.dtype) @ out
                vectors.append(mixed.tanh())
            else:
                out = step.row.array_function(step.settings)(*inputs).reshape(-1)
                vectors.append(np.tanh(vectors[step.old] + step.mixing @ out))
        total = vectors[0]
        for vector in vectors[1:]:
            total = total + vector
        return total

    def test_chains_of_operations(self):
        for seed, first in enumerate(OPERATIONS):
            graph = self.draw(np.random.default_rng(seed), first)

            def with_tensors(*leaves, graph=graph):
                vectors = list(mg.stack(leaves))  # rows, whose shares are parts
                return self.follow(graph, vectors, tensors=True)

            def with_arrays(*leaves, graph=graph):
                return self.follow(graph, list(leaves), tensors=False)

            names = [step.row.name for step in graph]
            with self.subTest(seed=seed, operations=names):
                leaves = numbers(SIZE, seed=0) / 2, numbers(SIZE, seed=1) / 2
                self.check(with_tensors, with_arrays, *leaves)


######## The engine ####################################################################


class Trap:
    """A vjp that must never be called."""

    def __call__(self, g):
        raise AssertionError("the vjp of a constant was called")


class TestTensor(Test):
    def test_float32_stays_and_all_else_becomes_float64(self):
        for data in [1, 2], [[True]], 3, np.int8(3), np.float16(1.5), 2**40:
            with self.subTest(data=data):
                self.assertEqual(Tensor(data).dtype, FLOAT64)
        swapped = np.array([1.5], FLOAT32.newbyteorder())
        for data in np.ones(2, FLOAT32), np.float32(1.5), swapped:
            with self.subTest(data=data):
                self.assertEqual(Tensor(data).dtype, FLOAT32)
        self.assertEqual(Tensor(swapped).item(), 1.5)

    def test_its_shape_is_that_of_its_array(self):
        for shape in (), (3,), (2, 3), (0, 2):
            t = Tensor(np.zeros(shape))
            self.assertEqual(t.shape, shape)
            self.assertEqual(t.ndim, len(shape))
            self.assertEqual(t.size, math.prod(shape))

    def test_data_are_copied(self):
        array = numbers(3, 2)
        for data in array, array[1:], array[:0], array.T:
            self.assertApart(Tensor(data).data, data)
        t = Tensor(array)
        self.assertApart(Tensor(t).data, t.data)

    def test_a_tensor_made_of_a_result_is_a_leaf(self):
        t = Tensor(Tensor(2.0) * 3)
        self.assertTrue(t.is_leaf)
        self.assertTrue(t.requires_grad)
        self.assertEqual(t.op, "")
        self.assertEqual(t.item(), 6.0)

    def test_what_requires_no_gradient(self):
        t = Tensor(2.0)
        frozen = Tensor(2.0, requires_grad=False)
        for constant in t.detach(), t.detach() * 2, frozen, frozen + 1:
            self.assertFalse(constant.requires_grad)
            self.assertTrue(constant.is_leaf)
        self.assertTrue((t * frozen).requires_grad)
        self.assertFalse((t * frozen).is_leaf)

    def test_detach_shares_the_array(self):
        t = Tensor(numbers(3))
        self.assertIs(t.detach().data, t.data)

    def test_integers_in_data_are_numbers_too(self):
        t = Tensor(0.0)
        t.data = np.array([3])
        self.assertEqual((t / 2.5).item(), 1.2)
        self.assertEqual((t**0.5).item(), math.sqrt(3))

    def test_from_op_neither_keeps_nor_calls_the_vjp_of_a_constant(self):
        t = Tensor(3.0)
        constants = [(t.detach(), Trap()), (numbers(3), Trap()), (3, Trap())]
        self.assertTrue(Tensor.from_op(2, "op", *constants).is_leaf)
        out = Tensor.from_op(2, "op", *constants, (t, lambda g: 5 * g))
        out.backward()
        self.assertEqual(t.grad, 5.0)
        self.assertEqual(out.op, "op")

    def test_an_array_of_float64_widens_float32(self):
        narrow = Tensor(np.ones(1, FLOAT32))
        signs = [
            operator.add,
            operator.sub,
            operator.mul,
            operator.truediv,
            operator.pow,
            operator.matmul,
        ]
        for sign in signs:
            with self.subTest(sign=sign.__name__):
                self.assertEqual(sign(narrow, np.ones(1)).dtype, FLOAT64)
                self.assertEqual(sign(np.ones(1), narrow).dtype, FLOAT64)
                self.assertEqual(sign(narrow, Tensor([1.0])).dtype, FLOAT64)
                self.assertEqual(sign(narrow, np.ones(1, FLOAT32)).dtype, FLOAT32)
                self.assertEqual(sign(narrow, [1.0]).dtype, FLOAT32)
        for wide in np.ones(1), Tensor([1.0]):
            with self.subTest(wide=type(wide)):
                self.assertEqual(mg.stack([narrow, wide]).dtype, FLOAT64)
                self.assertEqual(mg.concatenate([narrow, wide]).dtype, FLOAT64)
                self.assertEqual(mg.where(True, narrow, wide).dtype, FLOAT64)
                self.assertEqual(mg.where(True, wide, narrow).dtype, FLOAT64)
        self.assertEqual(mg.stack([[1.0], narrow]).dtype, FLOAT32)
        self.assertEqual(mg.where([True, False], narrow, np.float64(0)).dtype, FLOAT32)
        self.assertEqual(mg.mse_loss(narrow, [2.0]).dtype, FLOAT32)

    def test_truth_length_and_iteration(self):
        t = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        self.assertFalse(Tensor(0.0))
        self.assertFalse(Tensor([0.0]))
        self.assertTrue(Tensor([2.0]))
        self.assertEqual(len(t), 2)
        rows = list(t)
        self.assertSame([row.data for row in rows], [t.data[0], t.data[1]])
        (rows[1] * [1.0, 2.0, 3.0]).sum().backward()
        self.assertSame(t.grad, np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]))

    def test_numbers_and_text(self):
        t = Tensor(np.array([2.0], FLOAT32))
        self.assertEqual(t.item(), 2.0)
        self.assertIs(type(t.item()), float)
        self.assertEqual(float(t), 2.0)
        self.assertEqual(f"{t:.2f}", "2.00")
        self.assertEqual(f"{t}", repr(t))
        self.assertEqual(repr(Tensor([1.0, 2.5])), "Tensor([1. , 2.5])")
        for word in "[4.]", "float32", "'*'":
            self.assertIn(word, repr(t * 2))

    def test_equality_is_identity_so_tensors_can_be_keys(self):
        t = Tensor([1.0, 2.0])
        twin = Tensor([1.0, 2.0])
        self.assertTrue(t == t)
        self.assertFalse(t != t)
        self.assertFalse(t == twin)
        self.assertTrue(t != twin)
        self.assertFalse(t == None)  # noqa: E711
        self.assertTrue(t != None)  # noqa: E711
        self.assertEqual({t: 1, twin: 2}[twin], 2)
        self.assertIn(t, [twin, t])

    def test_in_place_signs_make_new_tensors_where_nothing_can_be_lost(self):
        leaf = Tensor([1.0, 2.0])
        changes = [
            operator.iadd,
            operator.isub,
            operator.imul,
            operator.itruediv,
            operator.ipow,
        ]
        for change in changes:
            with self.subTest(sign=change.__name__):
                result = leaf * 1
                for right in 2.0, np.ones(2), Tensor(2.0):
                    self.assertFalse(change(result, right).is_leaf)
                constant = leaf.detach()
                self.assertFalse(change(constant, 2.0).requires_grad)
                changed = change(leaf, Tensor(2.0))  # as in total += loss
                self.assertIsNot(changed, leaf)
                self.assertFalse(changed.is_leaf)
        self.assertSame(leaf.data, np.array([1.0, 2.0]))

    def test_numpy_takes_constants(self):
        t = Tensor([1.0, 2.0])
        self.assertTrue(np.shares_memory(np.asarray(t.detach()), t.data))
        self.assertFalse(np.shares_memory(np.array(t.detach()), t.data))
        self.assertEqual(np.asarray(t.detach(), FLOAT32).dtype, FLOAT32)

    def test_copies_and_pickles_are_leaves_that_share_nothing(self):
        x = Tensor(numbers(2, 2).astype(FLOAT32))
        y = x * 2
        y.sum().backward()
        for duplicate in copy.deepcopy, pickled:
            for t in x, y:
                with self.subTest(duplicate=duplicate.__name__, op=t.op):
                    made, twin, constant = duplicate([t, t, t.detach()])
                    self.assertSame([made.data, made.grad], [t.data, t.grad])
                    self.assertApart(made.data, made.grad, t.data, t.grad)
                    self.assertTrue(made.is_leaf)
                    self.assertEqual(made.op, t.op)
                    self.assertIs(twin, made)
                    self.assertFalse(constant.requires_grad)


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


class TestBackward(Test):
    def test_each_vjp_is_called_once_when_all_shares_have_come(self):
        calls = []

        def node(name, *inputs):
            def vjp(g):
                calls.append((name, g.item()))
                return g

            return Tensor.from_op(1.0, name, *[(t, vjp) for t in inputs])

        x = Tensor(1.0)
        a = node("a", x)
        b = node("b", a)
        c = node("c", a, b)
        node("d", c, a, b).backward()
        self.assertEqual(calls[:3], [("d", 1.0)] * 3)
        self.assertEqual(calls[3:5], [("c", 1.0)] * 2)
        self.assertEqual(calls[5:], [("b", 2.0), ("a", 4.0)])
        self.assertEqual(x.grad.item(), 4.0)

    def test_vjps_may_return_their_argument_or_an_array_of_their_own(self):
        kept = np.full(2, 10.0)
        gradient = np.ones(2)
        the_same = lambda g: g
        a_view = lambda g: g[:]
        its_own = lambda g: kept
        slopes = {the_same: 1.0, a_view: 1.0, its_own: 10.0}
        for vjps in [
            *itertools.product(slopes, repeat=1),
            *itertools.product(slopes, repeat=3),
        ]:
            x = Tensor(kept)
            y = Tensor(kept)
            inner = x * 1
            pairs = []
            for vjp in vjps:
                pairs += [(inner, vjp), (y, vjp)]
            Tensor.from_op(kept.copy(), "op", *pairs).backward(gradient)
            expected = np.full(2, sum(slopes[vjp] for vjp in vjps))
            self.assertSame([x.grad, inner.grad, y.grad], [expected] * 3)
            self.assertSame([kept, gradient], [np.full(2, 10.0), np.ones(2)])
            self.assertApart(x.grad, y.grad, kept, gradient)

    def test_a_vjp_may_return_a_part(self):
        x = Tensor(numbers(3))
        shares = {
            "a part first": [lambda g: (0, g), lambda g: np.full(3, 2.0)],
            "a part last": [lambda g: np.full(3, 2.0), lambda g: (0, g)],
        }
        for order, vjps in shares.items():
            with self.subTest(order):
                x.grad = None
                Tensor.from_op(1.0, "op", *[(x, vjp) for vjp in vjps]).backward()
                self.assertSame(x.grad, np.array([3.0, 2.0, 2.0]))

    def test_parts_leave_what_others_hold_alone(self):
        x = Tensor(numbers(3))
        y = Tensor(numbers(3))
        inner = x * 1
        total = inner + y  # hands one array to both
        (total.sum() + inner[0] + inner[1:].sum()).backward()
        self.assertSame(x.grad, np.array([2.0, 2.0, 2.0]))
        self.assertSame(y.grad, np.array([1.0, 1.0, 1.0]))

    def test_numbers_of_every_shape_need_no_gradient(self):
        for data in 3.0, [3.0], [[3.0]]:
            with self.subTest(data=data):
                t = Tensor(data)
                (t * t).backward()
                t.backward()  # a leaf, too
                self.assertSame(t.grad, t.data + 4)

    def test_the_gradient_may_be_a_list_or_an_array_or_a_tensor(self):
        for gradient in [1, 2, 4], np.array([1, 2, 4]), Tensor([1.0, 2.0, 4.0]):
            t = Tensor(numbers(3))
            t.backward(gradient)
            self.assertSame(t.grad, np.array([1.0, 2.0, 4.0]))
        for gradient in np.array([2]), np.array([2.0]):
            t = Tensor(np.ones(1, FLOAT32))
            t.backward(gradient)
            self.assertEqual(t.grad.dtype, FLOAT32)

    def test_a_leaf_adds_up_in_an_array_of_its_own(self):
        t = Tensor(numbers(3))
        t.backward([1.0, 2.0, 4.0])
        kept = t.grad
        t.backward([1.0, 1.0, 1.0])
        self.assertSame(kept, np.array([1.0, 2.0, 4.0]))
        self.assertSame(t.grad, np.array([2.0, 3.0, 5.0]))

    def test_an_inner_tensor_keeps_the_latest(self):
        x = Tensor([1.0, 2.0, 4.0])
        y = x * 3
        z = y * y
        z.backward([1.0, 1.0, 1.0])
        z.backward([1.0, 1.0, 1.0])
        self.assertSame(y.grad, np.array([6.0, 12.0, 24.0]))
        self.assertSame(z.grad, np.array([1.0, 1.0, 1.0]))
        y.backward(y.grad)  # its own
        self.assertSame(x.grad, 3 * 3 * y.grad)

    def test_grads_are_plain_arrays(self):
        x = Tensor(2.0)
        y = x * x
        y.backward()
        y.backward()
        self.assertIs(type(x.grad), np.ndarray)
        self.assertIs(type(y.grad), np.ndarray)

    def test_inner_false_leaves_a_grad_to_leaves_alone(self):
        x = Tensor(2.0)
        y = x * x
        z = y + x
        z.backward(inner=False)
        self.assertEqual(x.grad.item(), 5.0)
        self.assertIsNone(y.grad)
        self.assertIsNone(z.grad)
        x.backward(inner=False)  # of a leaf
        self.assertEqual(x.grad.item(), 6.0)

    def test_inner_false_drops_a_gradient_that_has_been_passed_on(self):
        gradients = []
        alive = []

        def vjp(g):
            gradients.append(weakref.ref(g))
            alive.append(sum(reference() is not None for reference in gradients))
            return g + 1

        x = Tensor(numbers(3))
        y = x
        for _ in range(9):
            y = Tensor.from_op(y.data, "op", (y, vjp))
        y.backward(np.zeros(3), inner=False)
        self.assertEqual(len(alive), 9)
        self.assertLessEqual(max(alive), 2)  # that of the whole is the caller's

    def test_a_new_array_in_data_does_not_change_a_gradient(self):
        x = Tensor([3.0])
        loss = x * x
        x.data = x.data - 1  # a new array
        loss.backward()
        self.assertSame(x.grad, np.array([6.0]))

    def test_ten_thousand_operations_in_a_chain(self):
        x = Tensor([1.0, 2.0, 4.0])
        y = x
        for _ in range(5000):
            y = y * 2
            y = y * 0.5
        y.backward([1.0, 2.0, 4.0])
        self.assertSame(x.grad, np.array([1.0, 2.0, 4.0]))

    def test_training_leaves_nothing_to_the_garbage_collector(self):
        gc.collect()
        train(*model_and_optimizer(seed=0))
        self.assertEqual(gc.collect(), 0)


class TestNoGrad(Test):
    def test_it_nests_and_is_undone_by_errors_and_ctrl_c(self):
        x = Tensor(2.0)
        for error in KeyError, KeyboardInterrupt:
            with contextlib.suppress(error):
                with mg.no_grad():
                    with mg.no_grad():
                        pass
                    self.assertFalse((x * x).requires_grad)
                    raise error
            self.assertTrue((x * x).requires_grad)

    def test_it_decorates_functions_that_call_themselves(self):
        x = Tensor(2.0)

        @mg.no_grad()
        def power(n):
            return x * power(n - 1) if n else x

        self.assertTrue(power(2).is_leaf)
        self.assertEqual(power(2).item(), 8.0)
        self.assertTrue((x * x).requires_grad)

    def test_it_holds_for_its_thread_alone(self):
        x = Tensor(2.0)
        results = []

        def work():
            results.append(x * x)

        thread = threading.Thread(target=work)
        with mg.no_grad():
            thread.start()
            thread.join()
        self.assertTrue(results[0].requires_grad)

    def test_leaves_made_within_still_require_gradients(self):
        with mg.no_grad():
            x = Tensor(2.0)
        self.assertTrue(x.requires_grad)


class ElementCounter:
    """Counts the elements of all arrays that NumPy fills while it is in use."""

    MAKERS = ["zeros", "zeros_like", "ones", "ones_like", "empty", "empty_like"]
    MAKERS += ["full", "full_like"]

    def __init__(self):
        self.elements = 0

    def counting(self, make):
        def make_and_count(*args, **kwargs):
            array = make(*args, **kwargs)
            self.elements += array.size
            return array

        return make_and_count

    @contextlib.contextmanager
    def use(self):
        with contextlib.ExitStack() as stack:
            for name in self.MAKERS:
                make = getattr(np, name)
                stack.enter_context(mock.patch.object(np, name, self.counting(make)))
            yield


# Loops over the columns or rows of x (n, n): they take n of n**2 elements at a time.


def loop_over_columns(x):
    total = Tensor(0.0)
    for t in range(x.shape[1]):
        total = total + (x[:, t] * x[:, t]).sum()
    return total


def loop_over_rows(x):
    total = Tensor(0.0)
    for row in x:
        total = total + (row * row).sum()
    return total


def loop_over_elements(x):
    total = Tensor(0.0)
    for i in range(x.shape[0]):
        total = total + x[i, i] * x[i, -1]
    return total


def loop_and_stack(x):
    columns = [x[:, t] * 2 for t in range(x.shape[1])]
    return mg.stack(columns, axis=1).sum()


def loop_and_concatenate(x):
    columns = [x[:, t : t + 1] * 2 for t in range(x.shape[1])]
    return mg.concatenate(columns, axis=1).sum()


class TestCosts(Test):
    """Costs grow as the work does. Elements and calls are counted, never seconds."""

    def elements(self, loop, n):
        """How many elements are filled for `loop`, there and back."""
        x = Tensor(numbers(n, n))
        counter = ElementCounter()
        with counter.use():
            loop(x).backward()
        self.assertEqual(x.grad.shape, (n, n))
        return counter.elements

    def test_loops_fill_as_many_elements_as_there_are(self):
        loops = [
            loop_over_columns,
            loop_over_rows,
            loop_over_elements,
            loop_and_stack,
            loop_and_concatenate,
        ]
        for loop in loops:
            with self.subTest(loop=loop.__name__):
                few = self.elements(loop, 10)
                many = self.elements(loop, 20)  # four times as many elements
                self.assertGreater(few, 0)
                self.assertLessEqual(many, 5 * few)  # 8 times, if each step fills all

    def test_many_uses_of_a_tensor_make_one_new_array(self):
        class Share(np.ndarray):
            """An array that notes when a sum makes a new array."""

            def __array_ufunc__(self, ufunc, method, *inputs, out=None):
                if out is None:
                    new_arrays.append(ufunc)
                plain = [np.asarray(array) for array in inputs]
                return ufunc(*plain, out=out)

        new_arrays = []
        x = Tensor(numbers(3)) * 1
        uses = [(x, lambda g: np.ones(3).view(Share)) for _ in range(10)]
        Tensor.from_op(1.0, "uses", *uses).backward()
        self.assertSame(x.grad, np.full(3, 10.0))
        self.assertEqual(len(new_arrays), 1)  # of the second share; then in place

    def test_sixty_doublings_are_sixty_visits(self):
        visits = []

        def double(t):
            def vjp(g):
                visits.append(t)
                return g

            return Tensor.from_op(2 * t.data, "double", (t, vjp), (t, lambda g: g))

        x = Tensor(1.0)
        y = x
        for _ in range(60):
            y = double(y)
        y.backward()
        self.assertEqual(len(visits), 60)
        self.assertEqual(x.grad.item(), 2.0**60)

    def test_a_product_is_one_operation_whatever_its_axes(self):
        for shapes in MATRICES:
            with self.subTest(shapes=shapes):
                a = Tensor(numbers(*shapes[0]))
                b = Tensor(numbers(*shapes[1]))
                self.assertEqual(mg.to_dot(a @ b).count("->"), 2)  # from a and b

    def test_whole_powers_are_products(self):
        a = numbers(1000)
        x = Tensor(a)
        self.assertSame((x**2).data, a * a)
        self.assertSame((x**3).data, a * a * a)
        self.assertSame((x**-1).data, 1 / a)
        self.assertSame((x**-2).data, 1 / (a * a))


class TestAccuracy(Test):
    def test_what_shows_only_at_size(self):
        x = numbers(50, 40, 3)
        g = numbers(50, 40, 2)
        W = Tensor(numbers(3, 2))
        (x @ W).backward(g)
        self.assertClose(W.grad, np.einsum("nti,nto->io", x, g))

    def test_float32_sums_are_as_good_as_numpys(self):
        x = np.random.default_rng(0).random((3, 100_000), np.float32)
        wide = x.astype(FLOAT64)
        for axis in 1, None:
            with self.subTest(axis=axis):
                self.assertClose(Tensor(x).sum(axis).data, wide.sum(axis), 1e-5)
                self.assertClose(Tensor(x).mean(axis).data, wide.mean(axis), 1e-5)

    def test_softmax_of_huge_scores_and_of_a_class_that_is_ruled_out(self):
        p = np.array([1, 0, math.e]) / (1 + math.e)
        for scores in [0, -inf, 1], [9999, -1e4, 10_000], [-10_000, -2e4, -9999]:
            for dtype in FLOAT32, FLOAT64:
                for label in 0, 2:
                    with self.subTest(scores=scores, dtype=dtype, label=label):
                        x = Tensor(np.array(scores, dtype))
                        loss = mg.cross_entropy(x, label)
                        loss.backward()
                        self.assertClose(x.grad, p - np.eye(3)[label], 1e-6)
                        self.assertClose(x.softmax().data, p, 1e-6)
                        log_p = x.log_softmax()[label].item()
                        self.assertClose(log_p, math.log(p[label]), 1e-6)
                        self.assertClose(loss.item(), -math.log(p[label]), 1e-6)

    def test_softmax_has_no_subnormal_float32_but_keeps_small_float64(self):
        x = Tensor(np.linspace(-120, 0, 1000).astype(FLOAT32))
        p = x.softmax()
        (p * numbers(1000).astype(FLOAT32)).sum().backward()
        for array in p.data, x.grad:
            smallest = np.abs(array[array != 0]).min()
            self.assertGreaterEqual(smallest, np.finfo(FLOAT32).smallest_normal)
        self.assertClose(p.data, softmax(x.data.astype(FLOAT64)), 1e-6)
        tiny = Tensor([0.0, -600.0]).softmax().data[1]
        self.assertClose(tiny, math.exp(-600), atol=0)

    def test_ties_share_equally(self):
        x = Tensor([[2.0, 2.0, 1.0], [1.0, 2.0, 1.0]])
        shares = [
            (x.max(), [[2, 2, 0], [0, 2, 0]]),
            (x.max((0, 1)), [[2, 2, 0], [0, 2, 0]]),
            (x.max(0).sum(), [[6, 3, 3], [0, 3, 3]]),
            (x.min(), [[0, 0, 2], [2, 0, 2]]),
            (x.min(1).sum(), [[0, 0, 6], [3, 0, 3]]),
        ]
        for out, sixths in shares:
            x.grad = None
            out.backward()
            self.assertClose(6 * x.grad, np.array(sixths))
        nearly = Tensor([1, 1 + 1e-15])
        (nearly.max() + 2 * nearly.min()).backward()
        self.assertSame(nearly.grad, np.array([2.0, 1.0]))

    def test_true_and_false_are_labels(self):
        scores = Tensor(numbers(4, 2))
        labels = [True, False, False, True]
        loss = mg.cross_entropy(scores, np.array(labels))
        self.assertEqual(loss.item(), mg.cross_entropy(scores, [1, 0, 0, 1]).item())


def operation(value, vjp):
    """A function of a Tensor with this value(a) and vjp(g, a), right or wrong."""

    def f(x):
        a = x.data
        return Tensor.from_op(value(a), "op", (x, lambda g: vjp(g, a)))

    return f


class TestGradcheck(Test):
    def assertBlames(self, index, value, vjp, x, **settings):
        """gradcheck finds a wrong gradient, the first at this index of the input."""
        with self.assertRaises(AssertionError) as caught, np.errstate(all="ignore"):
            mg.gradcheck(operation(value, vjp), Tensor(x), **settings)
        self.assertIn("input 0", str(caught.exception))
        self.assertIn(f"element {index}:", str(caught.exception))

    def assertContent(self, value, vjp, x, **settings):
        self.assertIs(mg.gradcheck(operation(value, vjp), Tensor(x), **settings), True)

    def test_wrong_vjps_are_found(self):
        square = np.square
        self.assertBlames((0,), square, lambda g, a: g * 2.1 * a, [1, 2])
        self.assertBlames((0,), square, lambda g, a: g * nan, [1, 2])
        self.assertBlames((0,), square, lambda g, a: g * 2 * a[::-1], [1, 2])
        self.assertBlames((0, 1), square, lambda g, a: g * 2 * a * [1, 0], [[1, 2]])
        self.assertBlames((), square, lambda g, a: 2 * a, 3)  # without g
        self.assertBlames((), square, lambda g, a: g * g * 2 * a, 3)
        self.assertBlames((), square, lambda g, a: abs(g) * 2 * a, 3)
        self.assertBlames((0,), softmax, lambda g, a: 0 * g, [1, 2])

    def test_an_infinite_difference_is_wrong(self):
        self.assertBlames((), np.log, lambda g, a: g, 1e-6)

    def test_a_vjp_may_not_change_g(self):
        f = operation(np.square, lambda g, a: operator.imul(g, 2 * a))
        with self.assertRaises(ValueError):
            mg.gradcheck(f, Tensor([1.0]))

    def test_eps_is_how_far_it_moves(self):
        slope_one = lambda g, a: g
        self.assertContent(abs, slope_one, 1, eps=0.9)
        self.assertBlames((), abs, slope_one, 1, eps=1.1)

    def test_tolerances(self):
        zero = lambda a: 0 * a
        line = lambda a: -9 * a
        for sign in 1, -1:  # weights lie between -1 and -2, here it is -1
            self.assertContent(zero, lambda g, a: g * sign * 9e-6, 1)
            self.assertBlames((), zero, lambda g, a: g * sign * 11e-6, 1)
            self.assertContent(line, lambda g, a: g * (-9 + sign * 8.9e-3), 1)
            self.assertBlames((), line, lambda g, a: g * (-9 + sign * 9.1e-3), 1)
        self.assertContent(line, lambda g, a: g * -9.8, 1, rtol=0.1)
        self.assertContent(line, lambda g, a: g * -9.8, 1, atol=1)

    def test_several_inputs_and_constants(self):
        x = Tensor(numbers(2, 3))
        y = Tensor(numbers(3))
        constant = Tensor(numbers(3), requires_grad=False)
        f = lambda a, b, c: a * b + c
        self.assertTrue(mg.gradcheck(f, x, y, constant))
        self.assertTrue(mg.gradcheck(lambda a, b: a[0], x, y, atol=0))
        self.assertTrue(mg.gradcheck(lambda a: Tensor(7.0), y, atol=0))
        self.assertTrue(
            mg.gradcheck(lambda a: a * a, y * 2)
        )  # a result is an input, too
        with self.assertRaises(AssertionError) as caught:
            mg.gradcheck(lambda a, b: a * b.detach(), x, y)
        self.assertIn("input 1", str(caught.exception))

    def test_inputs_are_as_before(self):
        def fails_at_the_third_call(x):
            calls.append(x)
            if len(calls) == 3:
                raise KeyError
            return x * 1

        array = numbers(2, 3)
        x = Tensor(array)
        mg.gradcheck(lambda x: x * x, x)
        self.assertSame(x.data, array)
        self.assertIsNone(x.grad)
        calls = []
        with self.assertRaises(KeyError):
            mg.gradcheck(fails_at_the_third_call, x)
        self.assertSame(x.data, array)


class TestToDot(Test):
    def test_it_draws_nodes_and_edges(self):
        x = Tensor([1.5, 2.0, 0.0, 1.0])
        y = Tensor(np.zeros((1, 5)))
        out = ((x * x).sum() + y + 3.0) * np.ones(5)
        out.backward(np.ones((1, 5)))
        text = mg.to_dot(out, names={"weights": x, "y": y})

        # A node is: n7 [shape=box, label="name op\n(shape)\n..."]
        names = {}
        for node, label in re.findall(r'^ *(n\d+) \[.*label=" *(.*)"\]$', text, re.M):
            self.assertNotIn(node, names, "drawn twice")
            names[node] = label.split(r"\n")[0].strip()
        edges = []
        for source, target in re.findall(r"^ *(n\d+) -> (n\d+)$", text, re.M):
            edges.append(f"{names[source]} to {names[target]}")
        expected = [
            "* to sum",
            "+ to *",
            "+ to +",
            "sum to +",
            "weights to *",
            "weights to *",
            "y to +",
        ]
        self.assertEqual(sorted(edges), expected)
        self.assertEqual(len(names), 7)  # these, and the result
        self.assertIn("[1.5 2.  0.  1. ]", text)  # the data of x
        self.assertIn("[15. 20.  0. 10.]", text)  # and its grad
        self.assertNotIn("[0. 0. 0. 0. 0.]", text)  # five numbers are too many

    def test_names_with_quotes(self):
        x = Tensor(1.0)
        self.assertIn(r"say \"x\"", mg.to_dot(x, {'say "x"': x}))


######## Networks ######################################################################

X = numbers(20, 3)
Y = np.arange(20) % 3


class Example(mg.Module):
    """As a user writes it: lists, dicts, a tied weight, no super().__init__()."""

    def __init__(self, rng=None):
        rng = np.random.default_rng(rng)
        self.sizes = [3, 4]
        self.note = "text"
        self.nothing = None
        self.hidden = [mg.Layer(3, 4, rng=rng), mg.Layer(4, 4, Tensor.tanh, rng)]
        self.extra = {
            "norm": mg.BatchNorm1d(4),
            "pair": (Tensor(0.5), Tensor(2.0, requires_grad=False)),
        }
        self.head = mg.Layer(4, 3, nonlin=False, rng=rng)
        self.tied = self.hidden[0].W  # (3, 4), used once more, transposed
        self.table = np.arange(3.0)

    def forward(self, x, scale=1.0):
        for layer in self.hidden:
            x = layer(x)
        shift, factor = self.extra["pair"]
        self.last = self.extra["norm"](x) * factor + shift
        return (self.head(self.last) + self.last @ self.tied.T + self.table) * scale


PARAMETERS_OF_EXAMPLE = [
    "hidden.0.W",
    "hidden.0.b",
    "hidden.1.W",
    "hidden.1.b",
    "extra.norm.gamma",
    "extra.norm.beta",
    "extra.pair.0",
    "head.W",
    "head.b",
]
OTHERS_OF_EXAMPLE = [
    "extra.pair.1",
    "extra.norm.running_mean",
    "extra.norm.running_var",
    "table",
]


def model_and_optimizer(seed):
    model = Example(seed)
    return model, mg.Adam(model.parameters(), lr=0.05, weight_decay=0.1)


def train(model, optimizer, steps=3):
    """The losses of a few epochs, all on the same data."""
    losses = []
    for _ in range(steps):
        losses.append(mg.train_epoch(model, optimizer, X, Y, rng=0))
    return losses


class TestModule(Test):
    def test_parameters_and_state_are_found_once_in_order_of_definition(self):
        model = Example()
        model(X)  # keeps a result, which is neither
        model.parent = [model]  # a circle
        model.more = [([Tensor(1.0)], {"a": Tensor(2.0)}), np.float64(3.0), {1, 2}]
        expected = [*PARAMETERS_OF_EXAMPLE, "more.0.0.0", "more.0.1.a"]
        names = [name for name, _ in model.named_parameters()]
        self.assertEqual(names, expected)
        for parameter, (_, named) in zip(model.parameters(), model.named_parameters()):
            self.assertIs(parameter, named)
        self.assertCountEqual(model.state_dict(), [*expected, *OTHERS_OF_EXAMPLE])

    def test_a_frozen_parameter_is_saved_but_not_trained(self):
        model = Example()
        model.head.W.requires_grad = False
        self.assertNotIn("head.W", dict(model.named_parameters()))
        self.assertIn("head.W", model.state_dict())

    def test_names_with_an_underscore_count_too(self):
        layer = mg.Layer(3, 2)
        layer._scale = Tensor(3.0)
        self.assertIs(layer.parameters()[-1], layer._scale)
        self.assertIn("_scale", layer.state_dict())

    def test_a_kept_result_is_neither_parameter_nor_state(self):
        def the_same(model):
            return model

        for recording in contextlib.nullcontext, mg.no_grad:
            model = mg.Module()
            model.layer = mg.Layer(3, 2)
            model.scale = Tensor(2.0, requires_grad=False)
            with recording():
                model.hidden = model.layer(X)
                model.seen = [model.hidden.detach(), {"loss": model.hidden.sum()}]
                model.doubled = model.scale * 2
                model.copied = mg.stack([model.scale])
            for duplicate in the_same, copy.copy, copy.deepcopy, pickled:
                with self.subTest(recording.__name__, copied_by=duplicate.__name__):
                    found = duplicate(duplicate(model))
                    names = [name for name, _ in found.named_parameters()]
                    self.assertEqual(names, ["layer.W", "layer.b"])
                    self.assertEqual(list(found.state_dict()), [*names, "scale"])

    def test_a_module_inside_itself_does_no_harm(self):
        model = mg.Sequential(mg.Layer(3, 2), mg.Dropout())
        model.me = {"again": [model]}
        model[1].parent = model
        self.assertEqual(len(model.parameters()), 2)
        self.assertEqual(list(model.state_dict()), ["layers.0.W", "layers.0.b"])
        self.assertFalse(model.eval()[1].training)
        self.assertIn("Layer", repr(model))
        self.assertIn("parent=...", repr(model))

    def test_train_and_eval_reach_every_module(self):
        model = Example()
        self.assertTrue(model.training)
        self.assertIs(model.eval(), model)
        inside = [model, *model.hidden, model.extra["norm"], model.head]
        self.assertEqual([module.training for module in inside], [False] * 5)
        self.assertIs(model.train(), model)
        self.assertEqual([module.training for module in inside], [True] * 5)
        self.assertIs(model.train(0).training, False)

    def test_zero_grad_forgets_frozen_parameters_too(self):
        model = Example()
        model(X).sum().backward()
        model.head.W.requires_grad = False
        self.assertIsNotNone(model.head.W.grad)
        model.zero_grad()
        for tensor in model.head.W, *model.parameters():
            self.assertIsNone(tensor.grad)

    def test_arguments_are_handed_to_forward(self):
        model = Example(0).eval()
        self.assertClose(model(X, scale=2.0).data, 2 * model(X).data)

    def test_every_kind_of_input(self):
        x = numbers(4, 3)
        modules = [
            mg.Neuron(3),
            mg.Layer(3, 2),
            mg.MLP(3, [2, 1]),
            mg.BatchNorm1d(3),
            mg.Dropout(0.0),
        ]
        for module in modules:
            expected = module(Tensor(x)).data
            for form in x, x.tolist(), memoryview(x), [Tensor(row) for row in x]:
                with self.subTest(module=module, form=type(form)):
                    self.assertClose(module(form).data, expected)

    def test_no_gradient_is_lost_in_a_list(self):
        for module in mg.Neuron(3), mg.Layer(3, 2), mg.MLP(3, [2, 1]):
            row = numbers(3)
            whole = Tensor(row)
            module(whole).sum().backward()
            parts = [Tensor(number) for number in row]
            mixed = [parts[0], row[1], parts[2]]
            for form in parts, tuple(parts), mixed:
                with self.subTest(module=module, form=form):
                    for part in parts:
                        part.grad = None
                    module(form).sum().backward()
                    self.assertClose(parts[0].grad, whole.grad[0])
                    self.assertClose(parts[2].grad, whole.grad[2])

    def test_float32_inputs_of_a_float32_layer_stay_float32(self):
        layer = mg.Layer(3, 2, dtype=FLOAT32)
        one = Tensor(np.float32(1.0))
        for x in np.ones(3, FLOAT32), [1, 2, 3], [one, 2, 3.0]:
            self.assertEqual(layer(x).dtype, FLOAT32)
        self.assertEqual(layer(np.ones(3)).dtype, FLOAT64)

    def test_text_shows_what_is_inside(self):
        text = repr(mg.Sequential(Tensor.tanh, [Tensor([2.0])], mg.Layer(3, 2)))
        for word in "Sequential", "tanh", "(1,)", "Layer", "W=(3, 2)", "b=(2,)", "relu":
            self.assertIn(word, text)
        layer = mg.Layer(3, 2)
        layer._hidden = 1
        self.assertNotIn("_hidden", repr(layer))
        text = repr(mg.SGD([Tensor([1.0, 2.0])], momentum=0.5))
        for word in "SGD", "params=[(2,)]", "lr=0.001", "momentum=0.5":
            self.assertIn(word, text)

    def test_sequential_is_a_list_of_layers(self):
        layers = [mg.Layer(2, 2), Tensor.relu, mg.Layer(2, 1)]
        model = mg.Sequential(*layers)
        self.assertEqual(len(model), 3)
        self.assertEqual(list(model), layers)
        self.assertIs(model[-1], layers[-1])
        self.assertEqual(model[1:], layers[1:])
        self.assertEqual(
            mg.Sequential(Tensor.sqrt, lambda x: 3 * x)(Tensor(4)).item(), 6
        )


# ---- State ---------------------------------------------------------------------------

# What 3.0.0 saved of Sequential(Layer(2, 1, Tensor.tanh), BatchNorm1d(1)) and of two
# optimizers, rounded; and where their next steps led, on the data of `next_step`.
MODEL_OF_3_0_0 = {
    "layers.0.W": np.array([[-0.104], [-0.239]]),
    "layers.0.b": np.array([-0.036]),
    "layers.1.gamma": np.array([0.803]),
    "layers.1.beta": np.array([0.2]),
    "layers.1.running_mean": np.array([-0.021]),
    "layers.1.running_var": np.array([0.82]),
}
ADAM_OF_3_0_0 = {
    "m.0": np.array([[0.961], [0.159]]),
    "m.1": np.array([-0.017]),
    "m.2": np.array([0.566]),
    "m.3": np.array([-0.36]),
    "v.0": np.array([[0.059], [0.007]]),
    "v.1": np.array([0.0]),
    "v.2": np.array([0.019]),
    "v.3": np.array([0.007]),
    "steps": np.array([2, 2, 2, 2]),
}
SGD_OF_3_0_0 = {
    "velocity.0": np.array([[3.541], [0.135]]),
    "velocity.1": np.array([0.017]),
    "velocity.2": np.array([3.072]),
    "velocity.3": np.array([-2.6]),
    "steps": np.array([2, 2, 2, 2]),
}
AFTER_ADAM_OF_3_0_0 = {
    "layers.0.W": np.array([[-0.197860635], [-0.230298251]]),
    "layers.0.b": np.array([0.255159689]),
    "layers.1.gamma": np.array([0.710294266]),
    "layers.1.beta": np.array([0.300034458]),
    "layers.1.running_mean": np.array([-0.028503012]),
    "layers.1.running_var": np.array([0.753474795]),
}
AFTER_SGD_OF_3_0_0 = {
    "layers.0.W": np.array([[-0.704087005], [-0.058513132]]),
    "layers.0.b": np.array([-0.032549615]),
    "layers.1.gamma": np.array([0.48091172]),
    "layers.1.beta": np.array([0.49]),
    "layers.1.running_mean": np.array([-0.028503012]),
    "layers.1.running_var": np.array([0.753474795]),
}


def next_step(model, optimizer):
    x = np.array([[1.0, 2.0], [0.5, -1.0], [-2.0, 0.25]])
    y = np.array([[1.0], [0.0], [2.0]])
    optimizer.zero_grad()
    mg.mse_loss(model(x), y).backward()
    optimizer.step()


def resume(folder):
    """Go on with the training that is saved in `folder`, in another process.

    Return the losses and the state of the model.
    """
    model, optimizer = model_and_optimizer(seed=1)
    with np.load(folder / "model.npz") as state:
        model.load_state_dict(state)
    with np.load(folder / "optimizer.npz") as state:
        optimizer.load_state_dict(state)
    losses = train(model, optimizer)
    return losses, model.state_dict()


class TestState(Test):
    def owners(self):
        """A model and two optimizers, which have trained it."""
        model, adam = model_and_optimizer(seed=0)
        sgd = mg.SGD(model.parameters(), momentum=0.9)
        train(model, adam)
        train(model, sgd)
        return model, adam, sgd

    def test_names(self):
        model, adam, sgd = self.owners()
        names = [*PARAMETERS_OF_EXAMPLE, *OTHERS_OF_EXAMPLE]
        self.assertCountEqual(model.state_dict(), names)
        each = range(len(PARAMETERS_OF_EXAMPLE))
        velocities = [f"velocity.{i}" for i in each]
        self.assertCountEqual(sgd.state_dict(), [*velocities, "steps"])
        averages = [f"m.{i}" for i in each] + [f"v.{i}" for i in each]
        self.assertCountEqual(adam.state_dict(), [*averages, "steps"])

    def assertState(self, owner, expected):
        """The owner's state has these names and arrays."""
        state = owner.state_dict()
        self.assertEqual(list(state), list(expected))
        self.assertSame(list(state.values()), list(expected.values()))

    def test_the_state_is_a_copy(self):
        for owner in self.owners():
            with self.subTest(owner=type(owner).__name__):
                before = copy.deepcopy(owner.state_dict())
                for array in owner.state_dict().values():
                    array += 1
                self.assertState(owner, before)

    def test_a_state_that_holds_no_numbers_changes_nothing(self):
        neuron = mg.Neuron(2, rng=0)
        before = neuron.state_dict()
        with self.assertRaises(ValueError):
            neuron.load_state_dict({"w": [1.0, 2.0], "b": "text"})
        self.assertState(neuron, before)

    def test_loading_copies(self):
        for owner in self.owners():
            state = {name: array + 1 for name, array in owner.state_dict().items()}
            expected = copy.deepcopy(state)
            lists = {name: array.tolist() for name, array in state.items()}
            for form in lists, state:
                with self.subTest(owner=type(owner).__name__, lists=form is lists):
                    owner.load_state_dict(form)
                    self.assertState(owner, expected)
            with self.subTest(owner=type(owner).__name__):
                for array in state.values():
                    array += 1  # must not reach the owner
                self.assertState(owner, expected)

    def test_a_state_that_does_not_fit_changes_nothing(self):
        for owner in self.owners():
            before = copy.deepcopy(owner.state_dict())
            good = {name: array + 1 for name, array in before.items()}
            wrong = [("extra", {**good, "extra": np.ones(1)})]
            for name, array in before.items():
                without = {other: good[other] for other in good if other != name}
                wrong.append((name, without))
                for shape in {(), (1,), (7,), (1, *array.shape)} - {array.shape}:
                    wrong.append((name, {**good, name: np.ones(shape)}))
            for name, state in wrong:
                with self.subTest(owner=type(owner).__name__, name=name):
                    with self.assertRaises(ValueError) as caught:
                        owner.load_state_dict(state)
                    self.assertIn(name, str(caught.exception))
            self.assertState(owner, before)

    def test_deep_copies_and_pickles_train_on_their_own(self):
        for duplicate in copy.deepcopy, pickled:
            with self.subTest(duplicate=duplicate.__name__):
                model, optimizer = model_and_optimizer(seed=0)
                train(model, optimizer)
                before = list(model.state_dict().values())
                twin, its_optimizer = duplicate((model, optimizer))
                self.assertIs(its_optimizer.params[0], twin.tied)
                self.assertIs(twin.tied, twin.hidden[0].W)
                losses = train(twin, its_optimizer)
                self.assertSame(list(model.state_dict().values()), before)
                self.assertEqual(train(model, optimizer), losses)

    def test_training_resumes_bit_for_bit_in_another_process(self):
        folder = self.folder()
        model, optimizer = model_and_optimizer(seed=0)
        train(model, optimizer)
        np.savez(folder / "model.npz", **model.state_dict())
        np.savez(folder / "optimizer.npz", **optimizer.state_dict())
        a_new_python = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, a_new_python) as pool:
            losses, state = pool.submit(resume, folder).result()
        self.assertEqual(losses, train(model, optimizer))
        for name, array in model.state_dict().items():
            self.assertSame(state[name], array)

    def test_what_3_0_0_saved_is_loaded_and_trained_on(self):
        def adam(params):
            return mg.Adam(params, lr=0.1)

        def sgd(params):
            return mg.SGD(params, lr=0.1, momentum=0.5)

        saved = [
            (adam, ADAM_OF_3_0_0, AFTER_ADAM_OF_3_0_0),
            (sgd, SGD_OF_3_0_0, AFTER_SGD_OF_3_0_0),
        ]
        for make, state, expected in saved:
            with self.subTest(optimizer=make.__name__):
                model = mg.Sequential(mg.Layer(2, 1, Tensor.tanh), mg.BatchNorm1d(1))
                optimizer = make(model.parameters())
                model.load_state_dict(MODEL_OF_3_0_0)
                optimizer.load_state_dict(state)
                next_step(model, optimizer)
                self.assertEqual(list(model.state_dict()), list(expected))
                for name, array in model.state_dict().items():
                    self.assertClose(array, expected[name], 1e-8)


# ---- Layers --------------------------------------------------------------------------


def no_curve(a):
    return a


def relu(a):
    return np.maximum(a, 0)


class TestLayers(Test):
    """Neuron, Layer and MLP."""

    def test_formulas(self):
        curves = {
            None: no_curve,
            False: no_curve,
            True: relu,
            Tensor.relu: relu,
            Tensor.tanh: np.tanh,
            (lambda t: t * t): np.square,
        }
        for nonlin, curve in curves.items():
            neuron = mg.Neuron(3, nonlin, rng=1)
            layer = mg.Layer(3, 4, nonlin, rng=1)
            model = mg.MLP(3, [4, 4, 2], nonlin, rng=2)
            for p in *neuron.parameters(), *layer.parameters(), *model.parameters():
                p.data = p.data + 0.1
            A, B, C = [one.W.data for one in model]
            for x in X, X[0], X.reshape(5, 4, 3):
                with self.subTest(nonlin=nonlin, shape=x.shape):
                    sums = (x * neuron.w.data).sum(-1) + 0.1
                    self.assertClose(neuron(x).data, curve(sums))
                    self.assertClose(layer(x).data, curve(x @ layer.W.data + 0.1))
                    hidden = curve(x @ A + 0.1)
                    hidden = curve(hidden @ B + 0.1)
                    self.assertClose(model(x).data, hidden @ C + 0.1)

    def test_relu_is_the_default(self):
        self.assertIs(mg.Neuron(3).nonlin, Tensor.relu)
        self.assertIs(mg.Layer(3, 2).nonlin, Tensor.relu)
        self.assertIs(mg.MLP(3, [2, 1])[0].nonlin, Tensor.relu)
        self.assertIsNone(mg.MLP(3, [2, 1])[-1].nonlin)

    def test_shapes_and_dtypes(self):
        model = mg.MLP(3, (5, 2), dtype=FLOAT32)
        shapes = [p.shape for p in model.parameters()]
        self.assertEqual(shapes, [(3, 5), (5,), (5, 2), (2,)])
        self.assertEqual({p.dtype for p in model.parameters()}, {FLOAT32})
        self.assertEqual({p.dtype for p in mg.MLP(3, [2]).parameters()}, {FLOAT64})
        self.assertEqual(mg.Neuron(3).w.shape, (3,))

    def test_biases_start_at_0(self):
        self.assertSame(mg.Neuron(3).b.data, np.array(0.0))
        self.assertSame(mg.Layer(3, 2).b.data, np.zeros(2))

    def test_first_weights_are_normal_with_the_variance_of_chapter_11(self):
        # Of weights z * sqrt(gain / nin), z has variance 1, and its fourth power has
        # the mean 3 (if they were uniform: 1.8).
        for nonlin, gain in (True, 2), (Tensor.relu, 2), (None, 1), (Tensor.tanh, 1):
            layer = mg.Layer(20_000, 2, nonlin, 0)
            neuron = mg.Neuron(20_000, nonlin, 0)
            first, last = mg.MLP(200, [200, 200], nonlin, rng=0)
            weights = [(layer.W, gain), (neuron.w, gain), (first.W, gain), (last.W, 1)]
            for w, its_gain in weights:
                z = w.data * math.sqrt(len(w) / its_gain)
                with self.subTest(nonlin=nonlin, shape=w.shape):
                    self.assertAlmostEqual(z.mean(), 0, delta=0.04)
                    self.assertAlmostEqual(z.var(), 1, delta=0.05)
                    self.assertAlmostEqual((z**4).mean(), 3, delta=0.2)

    def test_rng_is_a_seed_or_a_generator_or_none(self):
        def generator():
            return np.random.default_rng(5)

        self.assertSame(
            mg.Neuron(9, rng=generator()).w.data, mg.Neuron(9, rng=5).w.data
        )
        layer = mg.Layer(9, 2, rng=generator())
        self.assertSame(layer.W.data, mg.Layer(9, 2, rng=5).W.data)
        model = mg.MLP(9, [9, 9], rng=generator())
        twin = mg.MLP(9, [9, 9], rng=5)
        self.assertSame(
            list(model.state_dict().values()), list(twin.state_dict().values())
        )

        # Nothing is drawn twice.
        shared = generator()
        pairs = [
            (mg.Neuron(9).w, mg.Neuron(9).w),
            (mg.Layer(9, 2).W, mg.Layer(9, 2).W),
            (mg.Neuron(9, rng=shared).w, mg.Neuron(9, rng=shared).w),
            (mg.Layer(9, 9, None, shared).W, mg.Layer(9, 9, None, shared).W),
            [one.W for one in mg.MLP(9, [9, 9], None)],
            [one.W for one in mg.MLP(9, [9, 9], None, rng=5)],
        ]
        for one, other in pairs:
            self.assertTrue((one.data != other.data).all())


class TestDropout(Test):
    def test_it_drops_elements_independently_with_probability_p(self):
        for p in 0.5, 0.3, 0.75, 0.0, 1.0:
            with self.subTest(p=p):
                x = Tensor(np.full((200, 500), 3.0))
                y = mg.Dropout(p, rng=0)(x)
                y.sum().backward()
                kept = y.data != 0
                self.assertAlmostEqual(kept.mean(), 1 - p, delta=0.01)
                for axis, n in (0, 200), (1, 500):
                    shares = kept.mean(axis=axis)
                    expected = math.sqrt(p * (1 - p) / n)  # the spread of the shares
                    self.assertAlmostEqual(shares.std(), expected, delta=0.005)
                scale = 1 / (1 - p) if p < 1 else 0.0
                self.assertClose([y.data, x.grad], [kept * 3 * scale, kept * scale])

    def test_it_draws_anew_in_each_call_of_training(self):
        drop = mg.Dropout(rng=0)
        x = np.ones(99)
        self.assertFalse((drop(x).data == drop(x).data).all())
        twin = mg.Dropout(0.5, rng=np.random.default_rng(0))
        self.assertSame(twin(x).data, mg.Dropout(0.5, rng=0)(x).data)
        self.assertTrue((mg.Dropout()(x).data != mg.Dropout()(x).data).any())

    def test_evaluation_changes_nothing_and_draws_nothing(self):
        rng = np.random.default_rng(0)
        drop = mg.Dropout(0.5, rng).eval()
        self.assertSame(drop(X).data, X)
        self.assertEqual(rng.random(), np.random.default_rng(0).random())

    def test_float32_stays_float32(self):
        y = mg.Dropout()(np.ones(99, FLOAT32))
        self.assertEqual(y.dtype, FLOAT32)
        self.assertEqual(set(y.data.tolist()), {0.0, 2.0})


class TestBatchNorm1d(Test):
    def test_training_uses_the_batch(self):
        def normalise(x, gamma, beta):
            bn = mg.BatchNorm1d(3, dtype=x.dtype)
            bn.gamma = gamma
            bn.beta = beta
            return bn(x)

        def reference(x, gamma, beta):
            return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta

        for n in 6, 2:
            with self.subTest(rows=n):
                self.check(normalise, reference, numbers(n, 3), numbers(3), positive(3))

    def test_evaluation_uses_running_averages(self):
        for momentum, eps, settings in [
            (0.1, 1e-5, {}),
            (0.3, 3.0, {"momentum": 0.3, "eps": 3.0}),
        ]:
            with self.subTest(**settings):
                bn = mg.BatchNorm1d(2, **settings)
                bn.gamma.data = np.array([2.0, 3.0])
                bn.beta.data = np.array([-1.0, 1.0])
                mean = np.zeros(2)
                var = np.ones(2)
                for seed in range(3):
                    x = 2 + 3 * numbers(6, 2, seed=seed)
                    bn(x)
                    mean = (1 - momentum) * mean + momentum * x.mean(axis=0)
                    var = (1 - momentum) * var + momentum * x.var(axis=0, ddof=1)
                expected = (x - mean) / np.sqrt(var + eps) * [2, 3] + [-1, 1]
                # The variance is unbiased: ddof=1 divides by n - 1.
                self.assertClose([bn.running_mean, bn.running_var], [mean, var])
                self.assertClose(bn.eval()(x).data, expected)
                self.assertClose(bn(x[:1]).data, expected[:1])  # one row is enough
                self.assertTrue(mg.gradcheck(bn, Tensor(x)))

    def test_float32_stays_float32(self):
        bn = mg.BatchNorm1d(4, dtype=FLOAT32)
        rows = [[1, 2, 3, 4]] * 2
        for mode in True, False:
            bn.train(mode)
            for x in rows, np.array(rows, FLOAT32):
                self.assertEqual(bn(x).dtype, FLOAT32)
        for name, array in bn.state_dict().items():
            with self.subTest(name=name):
                self.assertEqual(array.dtype, FLOAT32)
        self.assertEqual(mg.BatchNorm1d(4)(np.ones((2, 4))).dtype, FLOAT64)


# ---- Optimizers ----------------------------------------------------------------------

# The papers' rules for one number p with the gradient g, at step t = 1, 2, ... They
# return the new p. `memory` is a dict in which a rule keeps its averages.


def sgd_by_hand(p, g, t, memory, lr=1e-3, momentum=0.0, weight_decay=0.0):
    g = g + weight_decay * p
    memory["v"] = momentum * memory.get("v", 0.0) + g
    return p - lr * memory["v"]


def adam_by_hand(
    p, g, t, memory, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0
):
    """Algorithm 1 of Kingma and Ba (2015)."""
    beta1, beta2 = betas
    g = g + weight_decay * p
    memory["m"] = beta1 * memory.get("m", 0.0) + (1 - beta1) * g
    memory["v"] = beta2 * memory.get("v", 0.0) + (1 - beta2) * g**2
    # The bias correction: the averages start at 0.
    m_hat = memory["m"] / (1 - beta1**t)
    v_hat = memory["v"] / (1 - beta2**t)
    return p - lr * m_hat / (math.sqrt(v_hat) + eps)


class ByHand:
    """A parameter as a list of numbers, each with a memory of its own."""

    def __init__(self, p, rule):
        self.rule = rule
        self.values = p.data.ravel().tolist()
        self.memories = [{} for _ in self.values]
        self.steps = 0

    def step(self, grad, settings):
        self.steps += 1
        slopes = grad.ravel().tolist()
        for i, slope in enumerate(slopes):
            self.values[i] = self.rule(
                self.values[i], slope, self.steps, self.memories[i], **settings
            )


# An optimizer, its rule, the settings at first, and those that change before step 7.
LATER = {"lr": np.float64(0.02), "weight_decay": 0.2}
RULES = [
    (mg.SGD, sgd_by_hand, {}, LATER),
    (mg.SGD, sgd_by_hand, {"lr": 0.1}, LATER),
    (mg.SGD, sgd_by_hand, {"weight_decay": 0.3}, LATER),
    (mg.SGD, sgd_by_hand, {"momentum": 0.5}, {"momentum": 0.9, "lr": 0.05}),
    (mg.SGD, sgd_by_hand, {"momentum": 1.0, "lr": 0.02}, {"momentum": 0.0}),
    (mg.SGD, sgd_by_hand, {"momentum": 0.9, "weight_decay": 0.1}, {"weight_decay": 0}),
    (mg.Adam, adam_by_hand, {}, LATER),
    (mg.Adam, adam_by_hand, {"lr": 0.1}, LATER),
    (mg.Adam, adam_by_hand, {"weight_decay": 0.3}, LATER),
    (mg.Adam, adam_by_hand, {"betas": (0.5, 0.9)}, {"betas": (0.8, 0.99), "eps": 0.01}),
    (mg.Adam, adam_by_hand, {"eps": 0.1, "lr": 0.05}, {"betas": (0.8, 0.99)}),
    (mg.Adam, adam_by_hand, {"betas": (0.0, 0.0)}, {"eps": 0.01, "lr": 0.05}),
]
SHAPES_OF_PARAMETERS = [(), (3,), (2, 2), (1,)]


class TestOptimizers(Test):
    def follow_rule(self, make, rule, settings, later, dtype, tolerance):
        """Compare 16 steps with the rule; some gradients are missing, and some 0."""
        params = [Tensor(numbers(*s).astype(dtype)) for s in SHAPES_OF_PARAMETERS]
        expected = [ByHand(p, rule) for p in params]
        optimizer = make(iter(params), **settings)
        for step in range(16):
            if step == 7:
                settings = {**settings, **later}
                for name, value in later.items():
                    setattr(optimizer, name, value)
            optimizer.zero_grad()
            for i, p in enumerate(params):
                self.assertIsNone(p.grad)
                if i == 0 or (step + i) % (i + 1):  # the others miss some steps
                    p.grad = numbers(*p.shape, seed=10 * step + i)
                    if step % 5 == 4:
                        p.grad = np.zeros(p.shape)
            grads = [p.grad for p in params]
            arrays = [p.data for p in params]
            before = copy.deepcopy([grads, arrays])
            optimizer.step()
            for i, p in enumerate(params):
                if grads[i] is not None:
                    expected[i].step(grads[i], settings)
                self.assertClose(
                    p.data.ravel(), np.array(expected[i].values), tolerance
                )
                self.assertIs(type(p.data), np.ndarray)
                self.assertEqual(p.dtype, dtype)
                if grads[i] is not None:
                    self.assertSame(grads[i], before[0][i])
                self.assertSame(arrays[i], before[1][i])  # p.data is a new array
        self.assertEqual(optimizer.steps.tolist(), [each.steps for each in expected])
        for name, array in optimizer.state_dict().items():
            if name != "steps":
                self.assertEqual(array.dtype, dtype, name)

    def test_rules(self):
        for make, rule, settings, later in RULES:
            for dtype, tolerance in (FLOAT64, 1e-12), (FLOAT32, 1e-5):
                with self.subTest(
                    make.__name__, dtype=dtype, first=settings, later=later
                ):
                    self.follow_rule(make, rule, settings, later, dtype, tolerance)

    def test_a_graph_kept_over_a_step_has_the_gradients_of_the_old_weights(self):
        for make in mg.SGD, mg.Adam:
            with self.subTest(optimizer=make.__name__):
                w = Tensor(3.0)
                y = w * w
                y.backward()
                make([w], lr=1.0).step()
                self.assertNotEqual(w.item(), 3.0)
                y.backward()
                self.assertEqual(w.grad.item(), 12.0)  # 2 * 3, twice

    def test_buffers_kept_over_a_step_are_as_they_were(self):
        p = Tensor(numbers(3))
        optimizer = mg.Adam([p])
        p.grad = np.ones(3)
        optimizer.step()
        m = optimizer.m[0]
        v = optimizer.v[0]
        kept = [m.copy(), v.copy()]
        optimizer.step()
        self.assertSame([m, v], kept)
        self.assertFalse((optimizer.m[0] == m).any())

    def test_settings_do_not_widen_float32(self):
        p = Tensor(np.ones(2, FLOAT32))
        p.grad = np.ones(2, FLOAT32)
        optimizer = mg.Adam([p], lr=np.float64(0.1), betas=np.array([0.5, 0.5]))
        optimizer.step()
        self.assertEqual(p.dtype, FLOAT32)
        self.assertEqual(optimizer.m[0].dtype, FLOAT32)
        p.grad = np.ones(2)  # of float64
        optimizer.step()
        self.assertEqual(p.dtype, FLOAT32)
        self.assertEqual(optimizer.v[0].dtype, FLOAT32)

    def test_a_rule_of_your_own_returns_its_change_and_its_buffers(self):
        class Running(mg.Optimizer):
            buffers = ("total", "latest")

            def update(self, g, t, total, latest):
                seen.append((t, latest.tolist()))
                return total + g, total + g, g

        class Plain(mg.Optimizer):
            def update(self, g, t):
                return self.lr * g

        seen = []
        p = Tensor([0.0, 0.0])
        optimizer = Running([p])
        for slopes in [1.0, 2.0], [10.0, 20.0]:
            p.grad = np.array(slopes)
            optimizer.step()
        self.assertSame(p.data, np.array([-12.0, -24.0]))
        self.assertSame(optimizer.total[0], np.array([11.0, 22.0]))
        self.assertSame(optimizer.latest[0], np.array([10.0, 20.0]))
        self.assertEqual(seen, [(1, [0.0, 0.0]), (2, [1.0, 2.0])])
        self.assertCountEqual(optimizer.state_dict(), ["total.0", "latest.0", "steps"])

        Plain([p], lr=0.5).step()
        self.assertSame(p.data, np.array([-17.0, -34.0]))
        self.assertEqual(list(Plain([p]).state_dict()), ["steps"])

    def test_defaults(self):
        for make in mg.Optimizer, mg.SGD, mg.Adam:
            optimizer = make([Tensor(1.0)])
            self.assertEqual(optimizer.lr, 1e-3)
            self.assertEqual(optimizer.weight_decay, 0.0)

    def test_lr_may_be_a_number_of_any_kind(self):
        for lr in 1, np.float32(1.0), np.float64(1.0), np.int64(1):
            with self.subTest(lr=lr):
                p = Tensor(3.0)
                p.grad = np.array(2.0)
                mg.SGD([p], lr=lr).step()
                self.assertEqual(p.item(), 1.0)

    def test_frozen_parameters_and_those_without_a_gradient_stay(self):
        model = mg.MLP(2, [3, 1], rng=0)
        optimizer = mg.SGD(model.parameters(), lr=1.0, weight_decay=1.0)
        model[0].W.requires_grad = False
        before = model.state_dict()
        model(numbers(4, 2)).sum().backward()
        optimizer.step()
        self.assertSame(model[0].W.data, before["layers.0.W"])
        self.assertFalse((model[1].W.data == before["layers.1.W"]).all())


######## Training ######################################################################


class Recorder(mg.Module):
    """Scores from one weight; it notes the batches and modes that it has seen."""

    def __init__(self):
        self.W = Tensor(np.zeros((1, 2)))
        self.dropout = mg.Dropout(0.5)
        self.seen = []

    def forward(self, x):
        self.seen.append((np.array(x), self.training, self.dropout.training))
        self.out = np.asarray(x, float) @ self.W
        return self.out

    def batches(self):
        return [x.ravel().tolist() for x, _, _ in self.seen]


class TestTrainEpoch(Test):
    def train(self, n, **options):
        """The model, and the mean loss, after an epoch of n rows."""
        model = Recorder()
        x = np.arange(n).reshape(n, 1)
        y = np.arange(n) % 2
        optimizer = mg.SGD(model.parameters(), lr=0.01)
        mean = mg.train_epoch(model.eval(), optimizer, x, y, **options)
        return model, mean

    def test_batches_of_even_size_hold_every_row_once(self):
        for n, size in (10, 4), (33, 32), (32, 32), (1, 5), (7, 1), (65, 32):
            with self.subTest(rows=n, batch_size=size):
                model, _ = self.train(n, batch_size=size)
                batches = model.batches()
                sizes = [len(batch) for batch in batches]
                self.assertEqual(len(batches), math.ceil(n / size))
                self.assertLessEqual(max(sizes) - min(sizes), 1)
                rows = [row for batch in batches for row in batch]
                self.assertEqual(sorted(rows), list(range(n)))

    def test_a_batch_has_32_rows_unless_you_say_otherwise(self):
        for rows, batches in (32, 1), (33, 2), (64, 2), (65, 3):
            model, _ = self.train(rows)
            self.assertEqual(len(model.seen), batches)

    def test_the_model_trains_and_stays_in_that_mode(self):
        model, _ = self.train(10)
        for _, outside, inside in model.seen:
            self.assertTrue(outside and inside)
        self.assertTrue(model.training)
        self.assertTrue(model.dropout.training)

    def test_rng_decides_the_order(self):
        def order(rng):
            return self.train(20, batch_size=8, rng=rng)[0].batches()

        self.assertEqual(order(3), order(np.random.default_rng(3)))
        self.assertNotEqual(order(3), order(4))
        self.assertNotEqual(order(None), order(None))
        rng = np.random.default_rng(3)
        self.assertNotEqual(order(rng), order(rng))

    def test_it_returns_the_mean_over_rows(self):
        losses = iter([1.0, 2.0, 3.0])  # of batches of 4, 3 and 3 rows

        def loss(scores, y):
            return (scores * 0).sum() + next(losses)

        _, mean = self.train(10, batch_size=4, loss=loss)
        self.assertEqual(mean, 1.9)
        self.assertIs(type(mean), float)

    def test_each_step_takes_the_gradient_of_its_batch_alone(self):
        for make in np.array, np.ndarray.tolist, memoryview:
            with self.subTest(form=make):
                model = mg.MLP(3, [3], rng=0)
                twin = mg.MLP(3, [3], rng=0)
                optimizer = mg.SGD(model.parameters(), lr=0.1)
                for _ in range(2):
                    model(X).sum().backward()  # shall be forgotten
                    loss = mg.train_epoch(model, optimizer, make(X), make(Y))
                    twin.zero_grad()
                    expected = mg.cross_entropy(twin(X), Y)
                    expected.backward()
                    self.assertClose(loss, expected.item())
                    for p, q in zip(model.parameters(), twin.parameters()):
                        q.data = q.data - 0.1 * q.grad
                        self.assertClose(p.data, q.data)

    def test_the_last_gradients_are_there_to_look_at(self):
        model, _ = self.train(10)
        self.assertIsNotNone(model.W.grad)

    def test_it_keeps_one_graph_at_a_time_and_leaves_gradients_alone(self):
        outputs = []

        class Layered(mg.Module):
            def __init__(self):
                self.layer = mg.Layer(3, 3, rng=0)

            def forward(self, x):
                alive = [out for out in outputs if out() is not None]
                counts.append(len(alive))
                hidden = self.layer(x)
                out = hidden * 2
                outputs.extend([weakref.ref(hidden), weakref.ref(out)])
                return out

        def loss(out, y):
            results.append(out)
            return mg.cross_entropy(out, y)

        counts = []
        model = Layered()
        optimizer = mg.SGD(model.parameters())
        mg.train_epoch(model, optimizer, X, Y, batch_size=5)
        results = []
        mg.train_epoch(model, optimizer, X, Y, loss, batch_size=5)
        self.assertEqual(counts[:4], [0, 0, 0, 0])
        self.assertEqual([out.grad for out in results], [None] * 4)  # inner=False


class TestPredict(Test):
    def test_it_evaluates_unrecorded_and_restores_the_modes(self):
        model = Recorder()
        for outside, inside in itertools.product((True, False), repeat=2):
            with self.subTest(outside=outside, inside=inside):
                model.training = outside
                model.dropout.training = inside
                answers = mg.predict(model, [[1.0], [2.0]])
                self.assertSame(answers, np.zeros((2, 2)))
                self.assertEqual(model.seen[-1][1:], (False, False))
                self.assertFalse(model.out.requires_grad)
                with self.assertRaises(ValueError):
                    mg.predict(model, "digits")
                self.assertIs(model.training, outside)
                self.assertIs(model.dropout.training, inside)
                self.assertTrue(model([[1.0]]).requires_grad)

    def test_the_answer_is_a_copy(self):
        array = numbers(3)
        model = mg.Module()
        model.table = Tensor(array)
        for forward in (lambda x: x), (lambda x: model.table), (lambda x: x.data):
            model.forward = forward
            answer = mg.predict(model, model.table)
            self.assertSame(answer, array)
            self.assertApart(answer, model.table.data)

    def test_float32_stays_float32(self):
        answer = mg.predict(mg.Layer(3, 2, dtype=FLOAT32), np.ones((1, 3), FLOAT32))
        self.assertEqual(answer.dtype, FLOAT32)


class TestAttention(Test):
    """Its formula is among the rows of LOSSES."""

    def test_a_mask_hides_what_comes_later(self):
        later = X.copy()
        later[9:] += 1
        mask = np.tri(20, dtype=bool)
        answer = mg.attention(X, X, X, mask).data
        self.assertSame(mg.attention(X, later, later, mask).data[:9], answer[:9])
        self.assertFalse((mg.attention(X, later, later).data[:9] == answer[:9]).any())

    def test_a_place_that_may_look_nowhere_harms_no_other(self):
        mask = np.array([[True, False], [False, False], [True, True]])
        q = Tensor(numbers(3, 4))
        k = numbers(2, 4, seed=1)
        v = numbers(2, 2, seed=2)
        with np.errstate(invalid="ignore"):
            out = mg.attention(q, k, v, mask)
            out.sum().backward()
        twin = Tensor(q.data[[0, 2]])
        expected = mg.attention(twin, k, v, mask[[0, 2]])
        expected.sum().backward()
        self.assertTrue(np.isnan(out.data[1]).all())
        self.assertClose(out.data[[0, 2]], expected.data)
        self.assertClose(q.grad[[0, 2]], twin.grad)


######## Mistakes ######################################################################


class Scene:
    """Things to make mistakes with. After a mistake, all of them are as before."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.t = Tensor(numbers(2, 3))
        self.v = Tensor([1.0, 2.0, 4.0])
        self.X = numbers(20, 3)
        self.Y = np.arange(20) % 2
        self.model = mg.Sequential(
            mg.Layer(3, 4, nonlin=None, rng=rng),
            mg.BatchNorm1d(4),
            Tensor.relu,
            mg.Dropout(0.5, rng),
            mg.Layer(4, 2, nonlin=None, rng=rng),
        )
        self.optimizer = mg.Adam(self.model.parameters())
        mg.train_epoch(self.model, self.optimizer, self.X, self.Y, rng=0)


@dataclass
class Mistake:
    """A mistake in words; what makes it; the exception, and what its message contains.

    `call` gets a Scene. So does `before`, which prepares it and is no mistake.
    """

    what: str
    call: Callable
    error: type
    says: list = field(default_factory=list)
    before: Callable = lambda scene: None


def with_vjp(x, share):
    """An operation on x, whose vjp returns `share`."""
    return Tensor.from_op(0.0, "flawed", (x, lambda g: share))


def backward_under_no_grad(s):
    with mg.no_grad():
        loss = s.t.sum()
    loss.backward()


# To add a mistake: write what is wrong in words, and a lambda that does it with the
# things of a Scene; name the exception, and the words that help whoever reads it.
MISTAKES_IN_BACKWARD = [
    Mistake(
        "backward() of several elements",
        lambda s: s.t.backward(),
        ValueError,
        ["(2, 3)", "gradient", ".sum()"],
    ),
    Mistake(
        "backward() of a slice",
        lambda s: s.v[:2].backward(),
        ValueError,
        ["(2,)", "gradient", ".sum()"],
    ),
    Mistake(
        "backward() of no element", lambda s: s.v[:0].backward(), ValueError, ["(0,)"]
    ),
    Mistake(
        "backward() of a constant",
        lambda s: s.t.detach().sum().backward(),
        RuntimeError,
        ["requires", "gradient"],
    ),
    Mistake(
        "backward() under no_grad",
        backward_under_no_grad,
        RuntimeError,
        ["requires", "gradient"],
    ),
    Mistake(
        "a gradient of another shape",
        lambda s: s.t.backward(np.ones(3)),
        ValueError,
        ["(3,)", "(2, 3)"],
    ),
    Mistake(
        "a gradient with an axis too many",
        lambda s: s.t.sum().backward([1.0]),
        ValueError,
        ["(1,)", "()"],
    ),
    Mistake(
        "a vjp that returns a wrong shape",
        lambda s: with_vjp(s.t, np.ones(2)).backward(),
        ValueError,
        ["flawed", "(2,)", "(2, 3)"],
    ),
    Mistake(
        "a vjp that returns an axis too many",
        lambda s: with_vjp(s.v, np.ones((3, 1))).backward(),
        ValueError,
        ["flawed", "(3, 1)", "(3,)"],
    ),
    Mistake(
        "a wrong vjp after right ones",
        lambda s: (s.t * 1 + with_vjp(s.v, np.ones(2))).sum().backward(),
        ValueError,
        ["flawed"],
    ),
]

MISTAKES_IN_OPERATIONS = [
    Mistake(
        "a matrix product that does not fit",
        lambda s: s.t @ s.t,
        ValueError,
        ["(2, 3) @ (2, 3)"],
    ),
    Mistake(
        "a matrix product with an array that does not fit",
        lambda s: s.X @ s.t,
        ValueError,
        ["(20, 3) @ (2, 3)"],
    ),
    Mistake(
        "a matrix product that does not fit in a batch",
        lambda s: s.t @ np.ones((5, 4, 2)),
        ValueError,
        ["(2, 3) @ (5, 4, 2)"],
    ),
    Mistake("a matrix product with 3", lambda s: s.t @ 3, ValueError, ["(2, 3) @ ()"]),
    Mistake("a matrix product of 3", lambda s: 3 @ s.t, ValueError, ["() @ (2, 3)"]),
    Mistake(
        "a model that is given a number",
        lambda s: s.model(3.0),
        ValueError,
        ["() @ (3, 4)"],
    ),
    Mistake(
        "a Layer that is given a wrong number of features",
        lambda s: s.model(np.ones((20, 5))),
        ValueError,
        ["(20, 5) @ (3, 4)"],
    ),
    Mistake("None as data", lambda s: Tensor(None), TypeError, ["numbers", "None"]),
    Mistake("text as data", lambda s: Tensor("1"), TypeError, ["numbers", "'1'"]),
    Mistake("complex numbers as data", lambda s: Tensor([1j]), TypeError, ["numbers"]),
    Mistake("None among data", lambda s: Tensor([None, 1]), TypeError, ["numbers"]),
    Mistake("None as an operand", lambda s: s.t + None, TypeError, ["numbers", "None"]),
    Mistake("None on the left", lambda s: None * s.t, TypeError, ["numbers", "None"]),
    Mistake("text as an operand", lambda s: s.t @ "a", TypeError, ["numbers", "'a'"]),
    Mistake("a model of text", lambda s: s.model("digits"), TypeError, ["'digits'"]),
    Mistake(
        "a Tensor of Tensors, whose gradients would be lost",
        lambda s: Tensor([s.v, s.v]),
        TypeError,
        ["t.data"],
    ),
    Mistake(
        "a Tensor of numbers and Tensors",
        lambda s: Tensor((1.0, s.v[0])),
        TypeError,
        ["t.data"],
    ),
    Mistake("stack of one Tensor", lambda s: mg.stack(s.t), ValueError, ["list"]),
    Mistake("stack of nothing", lambda s: mg.stack([]), ValueError),
    Mistake("stack of two shapes", lambda s: mg.stack([s.t, s.v]), ValueError),
    Mistake(
        "concatenate of one Tensor", lambda s: mg.concatenate(s.t), ValueError, ["list"]
    ),
    Mistake("concatenate of nothing", lambda s: mg.concatenate([]), ValueError),
    Mistake(
        "concatenate of shapes that do not fit",
        lambda s: mg.concatenate([s.t, s.v]),
        ValueError,
    ),
    Mistake("mT of a vector", lambda s: s.v.mT, ValueError),
    Mistake("item() of several elements", lambda s: s.v.item(), ValueError),
    Mistake("the length of a number", lambda s: len(s.v[0]), TypeError),
]


def changed_in_place(change, right):
    """A mistake such as v -= 1.0; it returns what would be assigned to v."""
    return lambda s: change(s.v, right)


MISTAKES_WITH_PYTHON_AND_NUMPY = [
    Mistake("t == a number", lambda s: s.v == 3, TypeError, ["t.data"]),
    Mistake("t != a number", lambda s: s.v != 3, TypeError, ["t.data"]),
    Mistake("t == a list", lambda s: s.v == [1.0, 2.0], TypeError, ["t.data"]),
    Mistake("t == an array", lambda s: s.v == s.X[0], TypeError, ["t.data"]),
    Mistake("an array == t", lambda s: s.X[0] == s.v, TypeError, ["t.data"]),
    Mistake("an array != t", lambda s: s.X[0] != s.v, TypeError, ["t.data"]),
    Mistake("t < a number", lambda s: s.v < 3, TypeError, ["t.data"]),
    Mistake("t > an array", lambda s: s.v > s.X[0], TypeError, ["t.data"]),
    Mistake("a number <= t", lambda s: 3 <= s.v, TypeError, ["t.data"]),
    Mistake("t <= a Tensor", lambda s: s.v <= s.v, TypeError, ["t.data"]),
    Mistake("t >= a Tensor", lambda s: s.v >= s.t, TypeError, ["t.data"]),
    Mistake(
        "parameter += an array",
        changed_in_place(operator.iadd, np.ones(3)),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter -= an array",
        changed_in_place(operator.isub, np.ones(3)),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter -= a number",
        changed_in_place(operator.isub, 1),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter -= a number of NumPy's",
        changed_in_place(operator.isub, np.float64(1.0)),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter *= a number",
        changed_in_place(operator.imul, 0.5),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter /= a number",
        changed_in_place(operator.itruediv, 2.0),
        TypeError,
        ["t.data -="],
    ),
    Mistake(
        "parameter **= a number",
        changed_in_place(operator.ipow, 2),
        TypeError,
        ["t.data -="],
    ),
    Mistake("np.exp of a Tensor", lambda s: np.exp(s.v), TypeError),
    Mistake("np.add.reduce of a Tensor", lambda s: np.add.reduce(s.v), TypeError),
    Mistake("np.mean of a Tensor", lambda s: np.mean(s.v), TypeError),
    Mistake("np.exp of a constant", lambda s: np.exp(s.v.detach()), TypeError),
    Mistake(
        "np.asarray of a Tensor, as in plt.plot(t)",
        lambda s: np.asarray(s.v),
        TypeError,
        ["t.data", "gradient"],
    ),
    Mistake("np.argmax of a Tensor", lambda s: np.argmax(s.v), TypeError, ["t.data"]),
    Mistake(
        "np.stack of arrays and Tensors",
        lambda s: np.stack([s.X[0], s.v]),
        TypeError,
        ["t.data"],
    ),
]

MISTAKES_WITH_LOSSES = [
    Mistake(
        "labels of floats",
        lambda s: mg.cross_entropy(s.t, [0.0, 1.0]),
        ValueError,
        ["integers", "(2,)", "float64"],
    ),
    Mistake(
        "labels (N, 1)",
        lambda s: mg.cross_entropy(s.t, [[0], [1]]),
        ValueError,
        ["(2,)", "(2, 1)"],
    ),
    Mistake(
        "probabilities as labels",
        lambda s: mg.cross_entropy(s.t, np.eye(3)[:2]),
        ValueError,
        ["integers", "float64", "(2, 3)"],
    ),
    Mistake(
        "too few labels",
        lambda s: mg.cross_entropy(s.t, [0]),
        ValueError,
        ["(2,)", "(1,)"],
    ),
    Mistake(
        "labels without the batch's axis",
        lambda s: mg.cross_entropy(s.t[None], [0, 1]),
        ValueError,
        ["(1, 2)", "(2,)"],
    ),
    Mistake(
        "a label out of range, too large",
        lambda s: mg.cross_entropy(s.t, [1, 3]),
        ValueError,
        ["1 to 3", "0 to 2"],
    ),
    Mistake(
        "a label out of range, negative as for padding",
        lambda s: mg.cross_entropy(s.t[None], [[2, -100]]),
        ValueError,
        ["-100 to 2", "0 to 2", "select"],
    ),
    Mistake(
        "mse_loss of shapes that would broadcast",
        lambda s: mg.mse_loss(s.v, s.v.reshape(3, 1)),
        ValueError,
        ["(3,)", "(3, 1)"],
    ),
    Mistake(
        "mse_loss with a number",
        lambda s: mg.mse_loss(s.v, 1.0),
        ValueError,
        ["(3,)", "()"],
    ),
    Mistake(
        "gradcheck in float32",
        lambda s: mg.gradcheck(abs, Tensor(np.float32(1))),
        ValueError,
        ["float64"],
    ),
    Mistake(
        "gradcheck of float32 beside float64",
        lambda s: mg.gradcheck(operator.add, s.v, Tensor(np.ones(3, FLOAT32))),
        ValueError,
        ["float64"],
    ),
    Mistake(
        "gradcheck of a constant",
        lambda s: mg.gradcheck(abs, s.v.detach()),
        ValueError,
        ["gradients"],
    ),
    Mistake(
        "gradcheck of nothing",
        lambda s: mg.gradcheck(lambda: s.v),
        ValueError,
        ["gradients"],
    ),
    Mistake(
        "gradcheck of a function that raises",
        lambda s: mg.gradcheck(lambda x: with_vjp(x, np.ones(2)), s.v),
        ValueError,
        ["flawed"],
    ),
]


def two_arrays_of_one_name(s):
    module = mg.Module()
    module.parts = {"1": Tensor(1.0), 1: Tensor(2.0)}
    module.state_dict()


MISTAKES_WITH_MODULES = [
    Mistake(
        "a module without forward",
        lambda s: mg.Module()(s.X),
        NotImplementedError,
        ["Module", "forward"],
    ),
    Mistake(
        "a state for another model",
        lambda s: s.model.load_state_dict(mg.Layer(3, 2).state_dict()),
        ValueError,
        ["layers.0.W", "(3, 4)", "'b'"],
    ),
    Mistake(
        "a state with one array of another shape",
        lambda s: s.model.load_state_dict(
            {**s.model.state_dict(), "layers.4.b": np.ones(7)}
        ),
        ValueError,
        ["layers.4.b", "(2,)", "(7,)"],
    ),
    Mistake(
        "two arrays of one name", two_arrays_of_one_name, ValueError, ["'parts.1'"]
    ),
    Mistake(
        "an optimizer given nothing", lambda s: mg.SGD([]), ValueError, ["[]", "params"]
    ),
    Mistake(
        "an optimizer given an iterator that is used up",
        lambda s: mg.SGD(iter([])),
        ValueError,
        ["params"],
    ),
    Mistake("an optimizer given a model", lambda s: mg.SGD(s.model), ValueError),
    Mistake("an optimizer given a Tensor", lambda s: mg.SGD(s.v), ValueError),
    Mistake("an optimizer given a result", lambda s: mg.SGD([s.v * 2]), ValueError),
    Mistake("an optimizer given an array", lambda s: mg.SGD([s.X]), ValueError),
    Mistake(
        "an optimizer given the same parameter twice",
        lambda s: mg.Adam([s.v, s.t, s.v]),
        ValueError,
        ["different"],
    ),
    Mistake(
        "one row in BatchNorm1d while training",
        lambda s: s.model(np.ones((1, 3))),
        ValueError,
        ["1 row", "eval()"],
    ),
    Mistake(
        "no row in BatchNorm1d while training",
        lambda s: s.model(np.ones((0, 3))),
        ValueError,
        ["0 row", "eval()"],
    ),
    Mistake(
        "a wrong number of features in BatchNorm1d",
        lambda s: s.model[1](np.ones((20, 3))),
        ValueError,
        ["(20, 3)", "4"],
    ),
    Mistake(
        "one feature in BatchNorm1d, which would broadcast",
        lambda s: s.model[1](np.ones((20, 1))),
        ValueError,
        ["(20, 1)", "4"],
    ),
    Mistake(
        "one feature in BatchNorm1d in evaluation",
        lambda s: s.model[1](np.ones((20, 1))),
        ValueError,
        ["(20, 1)", "4"],
        before=lambda s: s.model.eval(),
    ),
    Mistake(
        "a vector in BatchNorm1d",
        lambda s: s.model[1](np.ones(4)),
        ValueError,
        ["(4,)"],
    ),
    Mistake(
        "three axes in BatchNorm1d",
        lambda s: s.model[1](np.ones((2, 2, 4))),
        ValueError,
        ["(2, 2, 4)"],
    ),
    Mistake("MLP(2, 3)", lambda s: mg.MLP(2, 3), ValueError, ["nouts", "list", "3"]),
    Mistake(
        "Neuron with text as nonlin",
        lambda s: mg.Neuron(2, "tanh"),
        TypeError,
        ["nonlin", "function", "'tanh'"],
    ),
    Mistake(
        "Layer with a number as nonlin",
        lambda s: mg.Layer(2, 3, 4),
        TypeError,
        ["nonlin", "function", "4"],
    ),
    Mistake(
        "MLP with text as nonlin",
        lambda s: mg.MLP(2, [3, 1], "relu"),
        TypeError,
        ["nonlin", "function", "'relu'"],
    ),
    Mistake("Dropout(1.5)", lambda s: mg.Dropout(1.5), ValueError, ["p", "1.5"]),
    Mistake("Dropout(-0.1)", lambda s: mg.Dropout(-0.1), ValueError, ["p", "-0.1"]),
    Mistake("Dropout(nan)", lambda s: mg.Dropout(nan), ValueError, ["p", "nan"]),
]


# Mistakes that show at the next step: what was set before is no mistake by itself.


def set_lr_to_none(s):
    s.optimizer.lr = None


def set_lr_to_text(s):
    s.optimizer.lr = "big"


def set_grad_of_first_bias(grad):
    def before(s):
        s.model[0].b.grad = grad

    return before


def set_grad_of_last_bias(grad):
    def before(s):
        s.model[-1].b.grad = grad

    return before


class Flawed(mg.Optimizer):
    """Its update returns `result` for the last bias, and what is right for all else."""

    buffers = ("memory",)

    def __init__(self, params, result):
        super().__init__(params)
        self.result = result

    def update(self, g, t, memory):
        return self.result if g.shape == (2,) else (g, memory + 1)


def take_flawed_rule(result):
    def before(s):
        s.optimizer = Flawed(s.model.parameters(), result)

    return before


MISTAKES_WITH_OPTIMIZERS = [
    Mistake("lr is None", lambda s: s.optimizer.step(), TypeError, [], set_lr_to_none),
    Mistake(
        "lr is text", lambda s: s.optimizer.step(), TypeError, ["big"], set_lr_to_text
    ),
    Mistake(
        "a grad that is a number",
        lambda s: s.optimizer.step(),
        ValueError,
        ["()", "(4,)"],
        set_grad_of_first_bias(1.0),
    ),
    Mistake(
        "a grad of a wrong shape, which would broadcast",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(1, 4)", "(4,)"],
        set_grad_of_first_bias(np.ones((1, 4))),
    ),
    Mistake(
        "a grad of a wrong shape after right ones",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(7,)", "(2,)"],
        set_grad_of_last_bias(np.ones(7)),
    ),
    Mistake(
        "a rule without update",
        lambda s: mg.Optimizer.update(s.optimizer, np.ones(3), 1),
        NotImplementedError,
        ["Adam", "update"],
    ),
    Mistake(
        "an update that returns None",
        lambda s: s.optimizer.step(),
        ValueError,
        ["None", "(2,)", "buffers"],
        take_flawed_rule(None),
    ),
    Mistake(
        "an update that returns no buffer",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(2,)", "buffers"],
        take_flawed_rule(np.ones(2)),
    ),
    Mistake(
        "an update that returns a buffer too many",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(2,), (2,), (2,)", "buffers"],
        take_flawed_rule((np.ones(2), np.ones(2), np.ones(2))),
    ),
    Mistake(
        "an update that returns a change of another shape",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(1,), (2,)", "all (2,)"],
        take_flawed_rule((np.ones(1), np.ones(2))),
    ),
    Mistake(
        "an update that returns a buffer of another shape",
        lambda s: s.optimizer.step(),
        ValueError,
        ["(2,), ()", "all (2,)"],
        take_flawed_rule((np.ones(2), np.array(1.0))),
    ),
]

MISTAKES_IN_TRAINING = [
    Mistake(
        "a mask of numbers, as for adding",
        lambda s: mg.attention(s.X, s.X, s.X, np.triu(np.full((20, 20), -inf), 1)),
        TypeError,
        ["mask", "bool", "float64"],
    ),
    Mistake(
        "a mask of zeros and ones",
        lambda s: mg.attention(s.X, s.X, s.X, np.tri(20, dtype=int)),
        TypeError,
        ["mask", "bool", "int"],
    ),
    Mistake(
        "causal=True, of 3.0.0",
        lambda s: mg.attention(s.X, s.X, s.X, causal=True),
        TypeError,
        ["causal"],
    ),
    Mistake(
        "rows and labels of different number",
        lambda s: mg.train_epoch(s.model, s.optimizer, s.X, s.Y[:3]),
        ValueError,
        ["20 rows", "3"],
        before=lambda s: s.model.eval(),
    ),
    Mistake(
        "no rows",
        lambda s: mg.train_epoch(s.model, s.optimizer, s.X[:0], []),
        ValueError,
        ["0 rows"],
        before=lambda s: s.model.eval(),
    ),
    Mistake(
        "batch_size=0",
        lambda s: mg.train_epoch(s.model, s.optimizer, s.X, s.Y, batch_size=0),
        ValueError,
        ["batch_size", "0"],
    ),
]


class TestMistakes(Test):
    """Each is refused with a message that helps, and changes nothing."""

    def check_mistakes(self, mistakes):
        for mistake in mistakes:
            with self.subTest(mistake.what):
                scene = Scene()
                mistake.before(scene)
                before = self.contents(scene)
                with self.assertRaises(mistake.error) as caught:
                    mistake.call(scene)
                for words in mistake.says:
                    self.assertIn(words, str(caught.exception))
                self.assertEqual(self.contents(scene), before, "something has changed")

    def contents(self, scene):
        """All that is in a scene, as bytes: arrays, gradients, modes, generators."""
        things = [scene.t, scene.v, scene.X, scene.Y, scene.model]
        return pickle.dumps([things, scene.optimizer.state_dict(), scene.optimizer.lr])

    def test_in_backward(self):
        self.check_mistakes(MISTAKES_IN_BACKWARD)

    def test_in_operations(self):
        self.check_mistakes(MISTAKES_IN_OPERATIONS)

    def test_with_python_and_numpy(self):
        self.check_mistakes(MISTAKES_WITH_PYTHON_AND_NUMPY)

    def test_with_losses(self):
        self.check_mistakes(MISTAKES_WITH_LOSSES)

    def test_with_modules(self):
        self.check_mistakes(MISTAKES_WITH_MODULES)

    def test_with_optimizers(self):
        self.check_mistakes(MISTAKES_WITH_OPTIMIZERS)

    def test_in_training(self):
        self.check_mistakes(MISTAKES_IN_TRAINING)

    def test_an_older_numpy_or_python_is_refused(self):
        older = [(np, "__version__", "1.26.4"), (sys, "version_info", (3, 9, 18))]
        for owner, name, version in older:
            with self.subTest(version=version):
                with mock.patch.object(owner, name, version):
                    with self.assertRaises(ImportError) as caught:
                        runpy.run_path(mg.__file__)
                self.assertIn("NumPy 2", str(caught.exception))


######## Every public name has a test ##################################################

# Where to find the tests of what has no row in OPERATIONS. A new function or method
# needs a row, or a line here.
TESTED_BY = {
    # Tensor
    "Tensor": TestTensor,
    "data": TestTensor,
    "requires_grad": TestTensor,
    "op": TestTensor,
    "shape": TestTensor,
    "ndim": TestTensor,
    "size": TestTensor,
    "dtype": TestTensor,
    "is_leaf": TestTensor,
    "from_op": TestTensor,
    "item": TestTensor,
    "detach": TestTensor,
    "eq": TestTensor,
    "iadd": TestTensor,
    "isub": TestTensor,
    "imul": TestTensor,
    "itruediv": TestTensor,
    "ipow": TestTensor,
    "lt": TestMistakes,
    "le": TestMistakes,
    "gt": TestMistakes,
    "ge": TestMistakes,
    "grad": TestBackward,
    "backward": TestBackward,
    # Functions
    "no_grad": TestNoGrad,
    "gradcheck": TestGradcheck,
    "to_dot": TestToDot,
    "train_epoch": TestTrainEpoch,
    "predict": TestPredict,
    # Networks
    "Module": TestModule,
    "forward": TestModule,
    "parameters": TestModule,
    "named_parameters": TestModule,
    "train": TestModule,
    "eval": TestModule,
    "training": TestModule,
    "zero_grad": TestModule,
    "Sequential": TestModule,
    "state_dict": TestState,
    "load_state_dict": TestState,
    "Neuron": TestLayers,
    "Layer": TestLayers,
    "MLP": TestLayers,
    "Dropout": TestDropout,
    "BatchNorm1d": TestBatchNorm1d,
    # Optimizers
    "Optimizer": TestOptimizers,
    "SGD": TestOptimizers,
    "Adam": TestOptimizers,
    "buffers": TestOptimizers,
    "update": TestOptimizers,
    "step": TestOptimizers,
}


class TestPublicNames(Test):
    def public_names(self):
        """The names in minigrad, those in its classes, and Tensor's signs."""
        names = set(mg.__all__)
        for name in mg.__all__:
            if isinstance(getattr(mg, name), type):
                members = dir(getattr(mg, name))
                names.update(member for member in members if member[0] != "_")
        for name in vars(Tensor):
            without_r = name.replace("__r", "__")  # __radd__ is __add__ on the right
            if name in vars(operator) or without_r in vars(operator):
                names.add(name.strip("_"))
        return names - {"doc"}

    def test_each_has_a_row_or_a_test(self):
        rows = {row.name for row in OPERATIONS}
        untested = self.public_names() - rows - set(TESTED_BY)
        where = "add a row to ARITHMETIC, SUMS or another list, or a name to TESTED_BY"
        self.assertEqual(untested, set(), where)

    def test_the_tables_name_nothing_else(self):
        rows = {row.name for row in OPERATIONS} | {name for name, *_ in EDGES}
        self.assertEqual((rows | set(TESTED_BY)) - self.public_names(), set())

    def test_the_version_is_that_of_the_first_line(self):
        first_line = Path(mg.__file__).read_text("utf-8").splitlines()[0]
        self.assertIn(f"minigrad {mg.__version__}.", first_line)


######## The pages #####################################################################

with_scikit_learn = unittest.skipUnless(
    importlib.util.find_spec("sklearn"), "scikit-learn is not installed"
)


class ExamplesOfMinigrad:
    """`python minigrad.py`, which takes seconds, so it runs beside the other tests."""

    def __init__(self):
        self.process = None

    def start(self):
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "minigrad.py"],
                cwd=HERE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def output(self):
        self.start()
        return self.process.communicate()[0]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.process = None


examples_of_minigrad = ExamplesOfMinigrad()


def setUpModule():
    examples_of_minigrad.start()


def tearDownModule():
    examples_of_minigrad.stop()


class TestWrittenExamples(Test):
    def run_page(self, path, **changes):
        """Run the ```python blocks of a page, one after the other, in one namespace.

        Below each print in a block stands what it prints, after "# ". `changes` gives
        variables another value than the page does, to save time.
        """
        if not path.exists():
            self.skipTest(f"{path} is not there")
        page = path.read_text("utf-8")
        namespace = {}
        for found in re.finditer(r"^```python\n(.*?)^```", page, re.M | re.S):
            block = found[1]
            line = page[: found.start(1)].count("\n")
            printed = "".join(re.findall(r"^ *print\(.*\n((?:# .*\n)+)", block, re.M))
            expected = printed.replace("# ", "")
            for name, value in changes.items():
                block = re.sub(
                    rf"^{name} = .*$", f"{name} = {value}", block, flags=re.M
                )
            with self.subTest(f"the block on line {line}"):
                # Empty lines in front: errors then name the lines of the page.
                code = compile("\n" * line + block, path, "exec")
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(code, namespace)
                if expected:
                    self.assertEqual(out.getvalue(), expected)

    def test_examples_in_minigrad(self):
        output = examples_of_minigrad.output()
        self.assertEqual(examples_of_minigrad.process.returncode, 0, output)
        self.assertRegex(output, r"^TestResults\(failed=0, attempted=[1-9]\d*\)\n$")

    def test_blocks_of_the_readme(self):
        self.run_page(HERE / "README.md")

    @with_scikit_learn
    def test_blocks_of_the_recipes(self):
        self.run_page(HERE / ".github" / "RECIPES.md")

    def test_links_of_the_readme_lead_to_the_chapters(self):
        path = HERE / "README.md"
        if not path.exists():
            self.skipTest(f"{path} is not there")
        lines = Path(mg.__file__).read_text("utf-8").splitlines()
        right = {}
        for number, line in enumerate(lines, start=1):
            chapter = re.match(r" *# ==== (\d+)  ", line)
            if chapter:
                right[int(chapter[1])] = number
        links = {}
        page = path.read_text("utf-8")
        for chapter, line in re.findall(
            r"\[(\d+)[^\]]*\]\(minigrad\.py#L(\d+)\)", page
        ):
            links[int(chapter)] = int(line)

        wrong = []
        for chapter in sorted({*right, *links}):
            is_now = links.get(chapter, "missing")
            should_be = right.get(chapter, "no chapter")
            if is_now != should_be:
                wrong.append(f"chapter {chapter}: {is_now}, should be {should_be}")
        if wrong:
            self.fail("wrong lines in README.md:\n" + "\n".join(wrong))

    def test_links_of_the_readme_lead_to_the_public_names(self):
        path = HERE / "README.md"
        if not path.exists():
            self.skipTest(f"{path} is not there")
        lines = Path(mg.__file__).read_text("utf-8").splitlines()
        page = path.read_text("utf-8")
        wrong = []
        # A link such as [`t.sum(axis=None)`](minigrad.py#L700): its last name is `sum`.
        for name, link in re.findall(
            r"\[`([\w.]+)[^]]*`\]\(minigrad\.py#L(\d+)\)", page
        ):
            begins = rf" *(def|class) {name.split('.')[-1]}\b"
            right = [n for n, line in enumerate(lines, 1) if re.match(begins, line)]
            if int(link) not in right:
                wrong.append(f"{name}: {link}, should be one of {right}")
        if wrong:
            self.fail("wrong lines in README.md:\n" + "\n".join(wrong))


@with_scikit_learn
class TestDemo(Test):
    def demo(self, *arguments):
        """What digits_demo.py prints to stdout, and to stderr."""
        from digits_demo import main

        out = io.StringIO()
        err = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(argument) for argument in arguments])
            except SystemExit as stopped:
                self.assertEqual(stopped.code, 2)
        return out.getvalue(), err.getvalue()

    def test_it_learns_and_a_saved_network_answers_the_same(self):
        file = self.folder() / "network.npz"
        few = ["--epochs", 3, "--samples", 200, "--seed", 3]
        text, _ = self.demo(*few, "--save", file)
        losses = [float(loss) for loss in re.findall(r"TrainLoss (\d\.\d{4})", text)]
        self.assertEqual(len(losses), 3)
        self.assertEqual(losses, sorted(losses, reverse=True))
        self.assertRegex(text, r"\nAccuracy [89]\d\.\d\d%.*\n$")
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80)
        loaded, _ = self.demo("--load", file)
        self.assertTrue(loaded)
        self.assertTrue(text.endswith(loaded))

    def test_help_shows_the_defaults(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), self.assertRaises(SystemExit):
            from digits_demo import main

            main(["--help"])
        self.assertRegex(out.getvalue(), r"--epochs EPOCHS .*\(10\)")

    def test_an_interrupted_training_leaves_no_file(self):
        file = self.folder() / "network.npz"
        with mock.patch("minigrad.train_epoch", side_effect=KeyboardInterrupt):
            with self.assertRaises(SystemExit) as stopped:
                with contextlib.redirect_stdout(io.StringIO()):
                    with contextlib.redirect_stderr(io.StringIO()):
                        from digits_demo import main

                        main(["--save", str(file)])
        self.assertEqual(stopped.exception.code, 130)
        self.assertFalse(file.exists())

    def test_load_and_save_together_are_refused(self):
        file = self.folder() / "network.npz"
        _, error = self.demo("--load", file, "--save", file)
        self.assertIn("--load", error)
        self.assertIn("--save", error)
        self.assertFalse(file.exists())

    def test_a_mistake_is_one_line(self):
        folder = self.folder()
        np.savez(folder / "other.npz", W=np.ones(3))
        for option, value, message in [
            ("--samples", 5000, "--samples must be between 2 and 1000"),
            ("--epochs", 0, "--epochs must be between 1 and 9999"),
            ("--lr", "nan", "--lr must be between 0 and 10"),
            ("--load", folder / "other.npz", "is not a network"),
            ("--load", folder / "missing", "No such file"),
            ("--save", folder / "missing" / "n.npz", "No such file"),
        ]:
            with self.subTest(option=option, value=value):
                out, error = self.demo(option, value)
                self.assertEqual(out, "")
                self.assertEqual(error.count("\n"), 1)
                self.assertIn(message, error)


if __name__ == "__main__":
    unittest.main()
