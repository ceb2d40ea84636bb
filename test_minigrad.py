# SPDX-License-Identifier: MIT
"""The tests of minigrad. Run `python test_minigrad.py`, `python -m unittest` or pytest.

Every expected number comes from a source that knows nothing of minigrad's formulas:
central differences of the same calculation written in NumPy, a rule worked out by hand,
or a few lines of plain Python. The order is that of the chapters of minigrad.py; the
programs that use it and the examples in the documentation come last.
"""
import contextlib
import copy
import decimal
import doctest
import gc
import importlib.util
import io
import math
import operator
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings
import weakref
from collections import UserList, deque
from itertools import combinations, product
from operator import attrgetter, itemgetter, methodcaller
from pathlib import Path
from unittest import mock

# Matrices as small as these take longer where several threads share one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import minigrad  # noqa: E402
from minigrad import (  # noqa: E402
    MLP, SGD, Adam, BatchNorm1d, Dropout, Layer, Module, Neuron, Optimizer, Sequential,
    Tensor, concatenate, cross_entropy, gradcheck, mse_loss, no_grad, stack, to_dot,
    where,
)  # fmt: skip

HERE = Path(__file__).resolve().parent
F4 = np.dtype(np.float32)


def numbers(*shape, seed=0):
    """Reproducible normal numbers: the same arguments give the same ones."""
    return np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape, seed=0):
    return np.exp(numbers(*shape, seed=seed) / 2)


def slopes(f, arrays, weights, eps=1e-5):
    """The gradients of (f(*arrays) * weights).sum() by central differences."""
    gradients = [np.zeros(array.shape) for array in arrays]
    for array, gradient in zip(arrays, gradients):
        for i in np.ndindex(array.shape):
            at, ends = array[i], []
            for array[i] in at + eps, at - eps:
                ends.append(np.sum(f(*arrays) * weights))
            array[i] = at
            gradient[i] = (ends[0] - ends[1]) / (2 * eps)
    return gradients


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


def another_minigrad():
    """The engine's file, imported a second time under another name."""
    spec = importlib.util.spec_from_file_location("another_minigrad", minigrad.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Case(unittest.TestCase):
    """Warnings are errors: what is finite must not warn on its way."""

    def setUp(self):
        quiet = warnings.catch_warnings()
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)
        warnings.simplefilter("error")

    def assertClose(self, actual, expected, tolerance=1e-12):
        self.assertEqual(np.shape(actual), np.shape(expected))
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)

    def assertSame(self, actual, expected):
        """Equal to the last bit, shape and dtype included."""
        actual, expected = np.asarray(actual), np.asarray(expected)
        self.assertEqual((actual.shape, actual.dtype), (expected.shape, expected.dtype))
        np.testing.assert_array_equal(actual, expected)

    def assertStates(self, owner, state):
        """Each array of a model or an optimizer is the same as in `state`."""
        self.assertEqual(list(owner.state_dict()), list(state))
        for name, array in owner.state_dict().items():
            self.assertSame(array, state[name])

    def assertGradients(self, f, reference, *arrays):
        """f of Tensors has the values of reference of arrays, and its slopes."""
        tensors = [Tensor(array) for array in arrays]
        out = f(*tensors)
        self.assertClose(out.data, reference(*arrays))
        weights = numbers(*out.shape, seed=9)
        out.backward(weights)
        for tensor, expected in zip(tensors, slopes(reference, arrays, weights)):
            self.assertClose(tensor.grad, expected, 1e-7)


# ======================================================================================
# Every operation, in a table: (name, of Tensors, of arrays, input arrays)

PAIRS = [  # shapes that broadcast: neither, one or both of them, to more axes or not
    ((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (2, 3)), ((2, 3), (3,)),
    ((1,), (2, 2)),
    ((2, 1), (1, 3)), ((2, 1, 3), (4, 1)), ((2, 1, 1, 2), (3, 2, 1)), ((0, 3), (3,)),
    ((0, 1), (1, 2)), ((1, 1), ()),
]  # fmt: skip
PRODUCTS = [
    ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)),
    ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 1)), ((2, 1, 2, 3), (3, 3, 2)),
    ((3,), (2, 3, 2)), ((2, 2, 3), (3,)), ((2, 1, 1, 3), (1, 2, 3, 1)),
    ((1, 1), (1, 1)),
    ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0, 2, 3), (3,)), ((3,), (0, 3, 2)),
    ((2, 1, 2, 3), (3, 2)), ((0, 2, 3), (3, 2)), ((2, 0, 3), (3, 2)),  # many rows
    ((2, 2, 0), (0, 3)), ((2, 2, 3), (3, 0)), ((2, 0, 0), (0, 2)),
]  # fmt: skip
AXES = {
    (2, 3, 2): [None, 0, 1, -1, -3, (0, 1), (2, 0), (-2,), (), (0, 1, 2)],
    (3,): [None, 0, -1, ()], (1, 1): [None, 0, (0, 1)], (): [None, ()],
}  # fmt: skip
INDICES = [
    0, -1, np.int64(1), slice(1, None), slice(None, None, -2), ..., None, (1, 2), (),
    [],
    (0, ..., 1), (slice(None), None, [0, 2, 0]), [1, 1, 1], [-1, 1],
    ([0, 1, 0], [2, 2, 2]),
    np.array([[0, 1], [1, 1]]), np.array([True, False]),
    (1, slice(None), [True, False]),
    np.arange(12).reshape(2, 3, 2) % 5 < 2, slice(0, 0), np.ix_([1, 0], [2, 0, 2]),
    (0, None, slice(None, None, -1), -1), (..., np.uint8(1)), (1, [2, 2]), True,
    np.True_, np.array(1), (slice(0, 2), np.array(1), slice(0, 1)),
]  # fmt: skip
CHOICES = [  # a condition, and shapes to choose from
    ([True, False, True], (3,), (3,)), ([[1], [0]], (3,), ()), (False, (3,), (2, 1)),
    ([[0, 1, 0], [1, 1, 0]], (2, 1, 3), (2, 3)), (True, (), ()), ([1, 0], (1,), (2,)),
    (np.zeros((0, 1)), (1, 2), ()), (np.array([0.0, np.nan]), (), (2, 2)),
]  # fmt: skip
CURVES = [  # name, of arrays, a maker of numbers that it takes
    ("exp", np.exp, numbers), ("log", np.log, positive), ("sqrt", np.sqrt, positive),
    ("abs", np.abs, numbers), ("relu", lambda a: (a + np.abs(a)) / 2, numbers),
    ("tanh", lambda a: 1 - 2 / (np.exp(2 * a) + 1), numbers),
    ("sigmoid", lambda a: (1 + np.tanh(a / 2)) / 2, numbers),
    ("__neg__", lambda a: 0 - a, numbers), ("__abs__", np.abs, numbers),
]  # fmt: skip


def logsumexp(a, axis=-1):
    return np.log(np.exp(a).sum(axis=axis, keepdims=True))


def operations():
    for f, pair in product((operator.add, operator.sub, operator.mul), PAIRS):
        yield f, f, (numbers(*pair[0]), numbers(*pair[1], seed=1))
    for f, pair in product((operator.truediv, operator.pow), PAIRS):
        yield f, f, (positive(*pair[0]), positive(*pair[1], seed=1))
    for one, two in PRODUCTS:
        yield operator.matmul, np.matmul, (numbers(*one), numbers(*two, seed=1))
    for (name, f, make), shape in product(CURVES, [(), (4,), (2, 1, 2, 2), (0, 2)]):
        yield methodcaller(name), f, (make(*shape),)
    for power in 0, 1, 2, 3.0, -1, -2:
        f = lambda a, power=power: a**power
        yield f, f, (positive(3) * [1, -1, 1],)

    same = []  # these are written alike for Tensors and for arrays
    for name, shape in product(("sum", "mean", "max", "min"), AXES):
        for axis, keep in product(AXES[shape], (False, True)):
            same.append((methodcaller(name, axis=axis, keepdims=keep), shape))
        same.append((methodcaller(name), shape))
    for name, axis in product(("sum", "mean"), (1, (1, 2), -1)):
        same.append((methodcaller(name, axis), (0, 3, 2)))
    for shape in (6, 1), (-1,), ((3, -1),), (2, 3, 1), ((1, 6),), ([2, 3],):
        same.append((methodcaller("reshape", *shape), (2, 3)))
    for axes in (), (1, 2, 0), ((1, 2, 0),), ([0, 2, 1],), (-1, 0, -2), (None,):
        same.append((methodcaller("transpose", *axes), (2, 3, 2)))
    same += [(attrgetter("T"), shape) for shape in [(), (3,), (2, 3), (2, 1, 3)]]
    same += [(itemgetter(index), (2, 3, 2)) for index in INDICES]
    for f, shape in same:
        yield f, f, (numbers(*shape),)

    for shape, axis in ((3,), -1), ((2, 3), 0), ((2, 3, 2), 1), ((2, 1), 1), ((0, 3),
                                                                              -1):
        logs = lambda a, axis=axis: a - logsumexp(a, axis)
        shares = lambda a, axis=axis: np.exp(a) / np.exp(a).sum(axis=axis,
                                                                keepdims=True)
        yield methodcaller("log_softmax", axis), logs, (numbers(*shape),)
        yield methodcaller("softmax", axis=axis), shares, (numbers(*shape),)
    yield Tensor.softmax, lambda a: np.exp(a - logsumexp(a)), (numbers(2, 3),)
    yield Tensor.log_softmax, lambda a: a - logsumexp(a), (numbers(2, 3),)

    joins = [(stack, np.stack), (concatenate, np.concatenate)]
    for (join, reference), axis in product(joins, (0, 1, -1)):
        shapes = [(2, 3), (1, 3), (0, 3)] if axis == 0 else [(2, 3), (2, 1), (2, 2)]
        arrays = [numbers(*s, seed=i) for i, s in enumerate(shapes)]
        arrays = arrays if join is concatenate else [numbers(2, 3,
                                                             seed=i) for i in range(3)]
        f, g = (lambda *a, j=j, axis=axis: j(a, axis) for j in (join, reference))
        yield f, g, arrays
    yield lambda *a: stack(a), lambda *a: np.stack(a), (numbers(), numbers(seed=1))
    yield lambda a: concatenate([a, a]), lambda a: np.concatenate([a, a]), (numbers(2),)
    for condition, one, two in CHOICES:
        f, g = (lambda a, b, c=condition, w=w: w(c, a, b) for w in (where, np.where))
        yield f, g, (numbers(*one), numbers(*two, seed=1))

    for shape in (3,), (2, 2), ():
        f, g = mse_loss, lambda p, t: ((p - t) ** 2).mean()
        yield f, g, (numbers(*shape), numbers(*shape, seed=1))
    targets = [2, [0, 2, 2, 1], [[1, 0], [2, 2], [0, 1]], [0], [[1]]]
    targets += [positive(*s) / 6 for s in [(3,), (2, 3), (2, 2, 3)]]  # of any sum
    for y in targets:
        t = y if isinstance(y, np.ndarray) else np.eye(3)[y]
        right = lambda a, t=t: ((logsumexp(a) - a) * t).sum() / t[..., 0].size
        yield lambda a, y=y: cross_entropy(a, y), right, (numbers(*t.shape),)


def for_each(check):
    """A test that checks every row of the table, with arrays of its own."""

    def test(self):
        for f, reference, arrays in operations():
            arrays = [np.array(array) for array in arrays]
            with self.subTest(operation=f, shapes=[array.shape for array in arrays]):
                check(self, f, reference, arrays)

    return test


class TestEveryOperation(Case):
    """What is true of each operation in each shape."""

    @for_each
    def test_value_and_slopes(self, f, reference, arrays):
        self.assertGradients(f, reference, *arrays)
        self.assertIs(gradcheck(f, *map(Tensor, arrays)), True)

    @for_each
    def test_gradients_add_up_and_share_no_memory(self, f, _, arrays):
        tensors = [Tensor(a) for a in arrays]
        out = f(*tensors)
        seed = np.ones(out.shape)
        out.backward(seed)
        once = [t.grad.copy() for t in tensors]
        out.backward(seed)
        own = [t.grad for t in tensors] + [t.data for t in tensors] + [out.grad, seed]
        for one, two in combinations(own, 2):
            self.assertFalse(np.shares_memory(one, two))
        self.assertTrue(all(a.flags.writeable for a in [seed,
                                                        *(t.grad for t in tensors)]))
        for tensor, grad, array in zip(tensors, once, arrays):
            self.assertSame(tensor.grad, 2 * grad)
            self.assertSame(tensor.data, array)

    @for_each
    def test_constants_on_either_side_and_float32(self, f, reference, arrays):
        tensors = [Tensor(a) for a in arrays]
        f(*tensors).sum().backward()
        for constant in np.asarray, lambda a: Tensor(a, requires_grad=False):
            for i, array in enumerate(arrays):
                mixed = [constant(a) for a in arrays]
                mixed[i] = Tensor(array)
                out = f(*mixed)
                out.sum().backward()
                self.assertClose(out.data, reference(*arrays))
                self.assertClose(mixed.pop(i).grad, tensors[i].grad)
                self.assertTrue(all(getattr(m, "grad", None) is None for m in mixed))
        self.assertFalse(f(*map(constant, arrays)).requires_grad)
        coarse = [Tensor(a.astype(np.float32)) for a in arrays]
        out = f(*coarse)
        out.sum().backward()
        self.assertEqual({a.dtype for a in (out, *(t.grad for t in coarse))}, {F4})
        for one, two in zip(coarse, tensors):
            self.assertClose(one.grad, two.grad, 1e-4)

    @for_each
    def test_a_graph_is_freed_at_once_without_the_garbage_collector(self, f, _, arrays):
        self.addCleanup(gc.enable if gc.isenabled() else gc.disable)
        gc.disable()
        inner = [Tensor(a) * 1 for a in arrays]
        out = f(*inner)
        out.backward(np.ones(out.shape))
        graph = [weakref.ref(t) for t in (out, *inner)]
        del out, inner
        self.assertEqual([ref() for ref in graph], [None] * len(graph))



# ======================================================================================
# 2  Tensor and backward


class TestTensor(Case):
    def test_data_is_copied_and_becomes_float64_unless_it_is_float32(self):
        for data in 3, True, [1, 2], [[True]], np.int8(3), np.arange(3,
                                                                     dtype="u1"), 2.5:
            self.assertSame(Tensor(data).data, np.array(data, np.float64))
        for data in np.float32(2.5), np.ones((2, 1), "f4"), numbers(2,
                                                                    2), np.ones((0, 2)):
            self.assertSame(Tensor(data).data, data)
            self.assertFalse(np.shares_memory(Tensor(data).data, data))
        for kind in "f4", "f8":  # the other byte order is the same type
            self.assertSame(Tensor(np.array([1.5], ">" + kind)).data,
                            np.array([1.5], kind))
        inner = Tensor([1.0, 2.0]) * 2
        leaf = Tensor(inner)
        leaf.sum().backward()
        self.assertFalse(np.shares_memory(leaf.data, inner.data))
        self.assertEqual((leaf.requires_grad, leaf.op, inner.grad), (True, "", None))

    def test_attributes_and_conversions(self):
        t = Tensor([[1, 2, 3], [4, 5, 6]], requires_grad=False)
        self.assertEqual((t.shape, t.ndim, t.size, len(t)), ((2, 3), 2, 6, 2))
        self.assertEqual((t.dtype, t.grad, t.op), (np.float64, None, ""))
        self.assertEqual([t.requires_grad, Tensor(1).requires_grad], [False, True])
        self.assertEqual((float(Tensor([2])), Tensor([[3]]).item()), (2.0, 3.0))
        self.assertIs(type(Tensor(np.float32(1)).item()), float)
        self.assertEqual((bool(Tensor(0.0)), bool(Tensor([0.5]))), (False, True))
        self.assertTrue(np.shares_memory(np.asarray(t), t.data))
        self.assertFalse(np.shares_memory(np.array(t), t.data))
        self.assertTrue(np.shares_memory(t.detach().data, t.data))
        self.assertSame(np.asarray(t, np.float32), t.data.astype(np.float32))
        two, into = Tensor(2.0, requires_grad=False), np.zeros((2, 3))
        into[...], into[0] = t, two
        self.assertSame(into, np.array([[2.0, 2, 2], [4, 5, 6]]))
        self.assertSame(np.full(3, two), np.array([2.0, 2, 2]))
        self.assertSame(np.array([t, t.detach()]), np.stack([t.data, t.data]))
        self.assertEqual(((Tensor(1) * 2).op, (t * 2).requires_grad), ("*", False))
        self.assertEqual(((t * 2).op, t.detach().op), ("*", "detach"))
        x = Tensor(1.0)
        with no_grad():
            unrecorded = x * 2
        self.assertEqual((unrecorded.op, unrecorded.requires_grad), ("*", False))
        leaves = x, t, unrecorded, t * 2, x.detach(), x * 2, -(x * 2)
        self.assertEqual([y.is_leaf for y in leaves], [True] * 5 + [False] * 2)
        self.assertEqual(repr(Tensor([1.0, 2.0])), "Tensor([1., 2.])")
        text = repr(Tensor(np.ones(1, np.float32)).exp())
        self.assertRegex(text, r"^Tensor\(\[2\.71828\d*\], dtype=float32, op='exp'\)$")
        first, second = x = Tensor(numbers(2, 2))  # unpacking is differentiable
        (first * 2 + second * 3).sum().backward()
        self.assertSame(x.grad, np.array([[2.0, 2.0], [3.0, 3.0]]))

    def test_tensors_hash_and_compare_by_identity(self):
        a, b = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
        self.assertTrue(a == a and a != b and not a == b and not a != a)
        self.assertTrue(a != None and not a == None)  # noqa: E711
        self.assertEqual(([{a: 1, b: 2}[t] for t in (a, b)], a in [b]), ([1, 2], False))
        order = [operator.lt, operator.le, operator.gt, operator.ge]
        others = [1, 1.0, [1.0, 2.0], (1.0, 2.0), np.ones(2), np.float32(1)]
        mistakes = [*product([operator.eq, operator.ne, *order], others),
                    *product(order, [b])]
        for compare, other in mistakes:
            for pair in (a, other), (other, a):
                with self.assertRaisesRegex(TypeError, r"\.data"):
                    compare(*pair)

    def test_copies_and_pickles_are_leaves_that_share_nothing(self):
        x = Tensor(numbers(2, 2).astype(np.float32))
        y, constant = x * 2, Tensor(3.0, requires_grad=False)
        y.sum().backward()
        for duplicate in copy.copy, copy.deepcopy, pickled:
            made = duplicate(constant)
            self.assertEqual((made.requires_grad, made.grad, made.item()),
                             (False, None, 3))
            for original in x, y:
                made, before = duplicate(original), original.grad.copy()
                self.assertSame(made.data, original.data)
                self.assertSame(made.grad, original.grad)
                self.assertFalse(np.shares_memory(made.data, original.data))
                self.assertEqual((made.requires_grad, made.is_leaf), (True, True))
                self.assertEqual(made.op, original.op)  # says where it comes from
                made.grad *= 0
                made.sum().backward()
                self.assertSame(made.grad, np.ones((2, 2), np.float32))
                self.assertSame(original.grad, before)
        one, two = copy.deepcopy([x, x])
        self.assertIs(one, two)

    def test_a_tensor_of_another_minigrad_is_refused(self):
        t, layer, other = Tensor([1.0, 2.0]), Layer(2, 2), another_minigrad()
        f = other.Tensor([3.0, 4.0])
        for mix in [
            lambda: t + f, lambda: f - t, lambda: t * f, lambda: f / t, lambda: t**f,
            lambda: t @ f, lambda: Tensor(f), lambda: stack([t, f]), lambda: layer(f),
            lambda: concatenate([f, t]), lambda: where([True, False], t, f),
            lambda: mse_loss(t, f), lambda: mse_loss(f, t), lambda: layer([t, f]),
            lambda: cross_entropy(f, 0), lambda: Tensor.from_op(1.0, "op", (f, abs)),
            lambda: (t * 1).backward(f), lambda: operator.iadd(t, f),
        ]:  # fmt: skip
            with self.assertRaisesRegex(TypeError, "minigrad"):
                mix()
        for mix in lambda: Tensor([f, f]), lambda: layer([f, f]), lambda: t[f]:
            with self.assertRaises(TypeError):
                mix()
        self.assertSame((t + f.detach()).data, np.array([4.0, 6.0]))
        self.assertSame([t.data, f.data], np.array([[1.0, 2.0], [3.0, 4.0]]))

    def test_an_older_numpy_is_refused_on_import(self):
        for version in "1.26.4", "1.9":
            with mock.patch.object(np, "__version__", version):
                with self.assertRaisesRegex(ImportError, "NumPy 2.*" + version):
                    another_minigrad()
        with mock.patch.object(np, "__version__", "10.0.0.dev0"):
            self.assertEqual(another_minigrad().Tensor(2.0).item(), 2.0)


class TestBackward(Case):
    def test_where_it_starts(self):
        for shape in (), (1,), (1, 1, 1):  # one element: from 1
            x = Tensor(np.full(shape, 3.0))
            (x * x).backward()
            x.backward()  # a leaf, too
            self.assertSame(x.grad, np.full(shape, 7.0))
        for gradient in [1,
                         2], np.array([1, 2]), np.array([1.0, 2.0]), Tensor([1.0, 2.0]):
            for dtype in np.float32, np.float64:
                x = Tensor(np.zeros(2, dtype))
                (3 * x).backward(gradient)
                x.backward(gradient=gradient)
                self.assertSame(x.grad, np.array([4, 8], dtype))

    def test_inner_gradients_are_set_and_read_only(self):
        x = Tensor([1.0, 2.0])
        y = x * x
        z = y.sum()
        for times in 1, 2:
            z.backward()
            self.assertSame(y.grad, np.ones(2))
            self.assertSame(z.grad, np.ones(()))
            self.assertSame(x.grad, times * np.array([2.0, 4.0]))
        self.assertEqual([t.grad.flags.writeable for t in (x, y, z)],
                         [True, False, False])

    def test_graphs_that_share_a_part_do_not_disturb_each_other(self):
        def run(first, second):
            x = Tensor(numbers(3))
            h = (x * x).tanh()
            if first:
                (h * 2).sum().backward()
            if second:  # an extension of what has been walked already
                (h.exp() * x).sum().backward()
            return x.grad

        self.assertClose(run(1, 1), run(1, 0) + run(0, 1), 1e-15)

    def test_any_graph_of_sums_however_it_grows(self):
        moves = [
            lambda a, b: a + b, lambda a, b: a - b, lambda a, b: 3 * a, lambda a, b: -b,
            lambda a, b: a.reshape(2, 1).T[0] + b, lambda a, b: stack([a, b, a]).sum(0),
        ]  # fmt: skip
        for seed in range(20):
            draw = np.random.default_rng(seed).integers
            leaves = [Tensor([1.0, 2.0]) for _ in range(3)]
            nodes, totals = list(leaves), np.zeros((3, 2))
            ways = list(np.eye(3))  # how much of each leaf is in each node
            for _ in range(4):  # of the latest node and then of an older one
                for _ in range(8):
                    move, i, j = draw(len(moves)), *draw(len(nodes), size=2)
                    a, b = ways[i], ways[j]
                    nodes.append(moves[move](nodes[i], nodes[j]))
                    ways.append([a + b, a - b, 3 * a, -b, a + b, a + b + a][move])
                for root in -1, draw(3, len(nodes)):
                    nodes[root].backward([1.0, 5.0])
                    totals += np.outer(ways[root], [1.0, 5.0])
            for leaf, total in zip(leaves, totals):
                if leaf.grad is not None or total.any():
                    self.assertSame(leaf.grad, total)

    def test_shares_of_every_kind_add_up_and_nobody_elses_array_changes(self):
        for shape, is_leaf in product([(), (2,)], (True, False)):
            captured = np.full(shape, 100.0)
            kinds = [  # the function of an input, and what it makes of a gradient of 1
                (lambda g: g, 1), (lambda g: g[...], 1), (lambda g: 10 * g, 10),
                (lambda g: captured, 100), (lambda g: np.broadcast_to(g, g.shape), 1),
            ]  # fmt: skip
            for count in range(1, 4):
                for chosen in product(kinds, repeat=count):
                    x, y, seed = Tensor(captured), Tensor(captured), np.ones(shape)
                    h = x if is_leaf else x * 1
                    pairs = [pair for f, _ in chosen for pair in ((h, f), (y, f))]
                    out = Tensor.from_op(captured.copy(), "op", *pairs)
                    out = out + h  # whose own gradient is the seed itself
                    out.backward(seed)
                    expected = np.full(shape, sum(n for _, n in chosen) + 1.0)
                    self.assertSame(x.grad, expected)
                    self.assertSame(y.grad, expected - 1)
                    self.assertSame(out.grad, np.ones(shape))
                    self.assertSame(seed, np.ones(shape))
                    self.assertSame(captured, np.full(shape, 100.0))
                    others = captured, seed, out.grad, x.data, y.data
                    for grad, other in product((x.grad, y.grad), others):
                        self.assertFalse(np.shares_memory(grad, other))
                    self.assertFalse(np.shares_memory(x.grad, y.grad))
                    self.assertTrue(x.grad.flags.writeable and y.grad.flags.writeable)

    def test_an_array_of_ones_own_stays_writable(self):
        mine = np.array([3.0, 4.0])
        h = Tensor([1.0, 2.0]) * 1
        Tensor.from_op(0.0, "op", (h, lambda g: mine)).backward()
        self.assertSame(h.grad, mine)
        mine += 1

    def test_a_tensor_used_five_times(self):
        for dtype, shape in product(("f4", "f8"), [(), (2,), (2, 3)]):
            x = Tensor(np.ones(shape, dtype))
            h = x * 2
            for used, factor in (x, 1), (h, 2):
                x.grad = None
                (used + used + used + used + used).sum().backward()
                self.assertSame(x.grad, np.full(shape, 5 * factor, dtype))

    def test_a_graph_is_freed_with_its_loss(self):
        self.addCleanup(gc.enable if gc.isenabled() else gc.disable)
        gc.disable()
        graph = []
        remember = lambda t: graph.append(weakref.ref(t)) or t
        layers = [Layer(3, 4), BatchNorm1d(4), Dropout(), lambda t: t.T @ t[:, :1]]
        model = Sequential(*[f for layer in layers for f in (remember, layer)])
        loss = model(Tensor(numbers(4, 3)) * 1).sum()
        loss.backward()
        self.assertTrue(all(ref() is not None for ref in graph))
        del loss
        self.assertEqual([ref() for ref in graph], [None] * 4)

    def test_a_wrong_grad_of_a_leaf_stops_it_before_anything_changes(self):
        for wrong, error in (np.ones(2), ValueError), (np.array(1j), TypeError):
            for i in range(3):
                leaves = [Tensor(1.0), Tensor(2.0), Tensor(3.0)]
                a, b, c = leaves
                (a * b * c).backward()
                before, leaves[i].grad = [t.grad for t in leaves], wrong
                h = a * b
                with self.assertRaises(error):
                    (h * c).backward()
                leaves[i].grad = before[i]
                self.assertEqual([t.grad.item() for t in leaves], [6, 3, 2])
                self.assertIsNone(h.grad)

    def test_zero_dimensional_gradients_are_arrays(self):
        x = Tensor(np.float32(2))
        y = x * x * x
        for array in (y.backward(), x.grad, y.grad, y.backward(), x.grad, x.data,
                      y.data):
            self.assertIn(type(array), (np.ndarray, type(None)))
        x.grad[...] = 5  # and may be written to
        self.assertSame(x.grad, np.float32(5))

    def test_a_chain_of_twenty_thousand_operations(self):
        y = x = Tensor([1.0, 2.0])
        for factor in [2.0, 0.5] * 10_000:
            y = y * factor
        y.backward([3.0, 4.0])
        self.assertSame(y.data, np.array([1.0, 2.0]))
        self.assertSame(x.grad, np.array([3.0, 4.0]))

    def test_a_tensor_used_ten_thousand_times(self):
        x = Tensor(1.5)
        y = x * 2
        sum(y * i for i in range(10_000)).backward()
        self.assertEqual((y.grad.item(), x.grad.item()), (49_995_000, 99_990_000))

    def test_no_grad_nests_and_is_undone_by_exceptions(self):
        x, seen = Tensor(2.0), []
        with contextlib.suppress(KeyError), no_grad():
            with no_grad():
                seen.append((x * x).requires_grad)
            seen += [(x * x).requires_grad, Tensor(1.0).requires_grad]
            raise KeyError
        self.assertEqual([*seen, (x * x).requires_grad], [False, False, True, True])

    def test_no_grad_holds_for_its_thread_alone(self):
        x, seen, inside, leave = Tensor(2.0), [], threading.Event(), threading.Event()

        def work():
            seen.append((x * x).requires_grad)
            with no_grad():
                inside.set()
                leave.wait(10)

        thread = threading.Thread(target=work)
        with no_grad():
            thread.start()
            self.assertTrue(inside.wait(10))
        seen.append((x * x).requires_grad)  # while the other thread records nothing
        leave.set()
        thread.join()
        self.assertEqual(seen, [True, True])


class TestFromOp(Case):
    """Operations of one's own."""

    def test_gradients_are_reduced_to_the_shape_and_dtype_of_their_tensor(self):
        for shape, given, expected in [
            ((), np.ones((2, 3)), 6), ((1, 3), np.ones((2, 3)), [[2, 2, 2]]),
            ((), 5, 5),
            ((3,), np.ones((2, 2, 3)), [4, 4, 4]), ((2,), [1, 2], [1, 2]),
            ((1,), 5, None),
            ((2, 1, 1), np.ones((4, 2, 3, 1)), [[[12]], [[12]]]),
            ((2,), np.ones(3), None),
            ((2, 3), np.ones(3), None), ((2, 3), np.ones((2, 1)), None),
        ]:  # fmt: skip
            for dtype in np.float32, np.float64:
                with self.subTest(shape=shape, given=given, dtype=dtype):
                    x, seen = Tensor(np.zeros(shape, dtype)), []
                    y = Tensor.from_op(0.0, "op",
                                       (x, lambda g: seen.append(g) or given))
                    if expected is None:  # numbers are missing that nobody can restore
                        message = rf"'op'.*{re.escape(str(shape))}"
                        with self.assertRaisesRegex(ValueError, message):
                            y.backward()
                        self.assertIsNone(x.grad)
                        continue
                    y.backward()
                    self.assertSame(x.grad, np.array(expected, dtype))
                    self.assertTrue(x.grad.flags.writeable)
                    self.assertEqual((seen[0].shape, seen[0].flags.writeable),
                                     ((), False))

    def test_constants_are_never_asked(self):
        never = lambda g: self.fail("called")
        x, frozen = Tensor(1.0), Tensor(2.0, requires_grad=False)
        pairs = (x, lambda g: g), (np.ones(3), never), (frozen, never)
        y = Tensor.from_op(1.0, "op", *pairs)
        y.backward()
        self.assertEqual((y.op, x.grad.item(), frozen.grad), ("op", 1.0, None))
        self.assertFalse(Tensor.from_op(1.0, "op", *pairs[1:]).requires_grad)

    def test_the_value_is_not_copied_and_becomes_an_array(self):
        value = numbers(3)
        self.assertTrue(np.shares_memory(Tensor.from_op(value, "op").data, value))
        self.assertSame(Tensor.from_op(np.float32(2), "op").data, np.float32(2))

    def test_an_error_on_the_way_changes_no_gradient(self):
        for function in (lambda g: 1 / 0), (lambda g: np.ones(4)):
            x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
            (x * y).sum().backward()
            h = x * 2
            with self.assertRaises((ZeroDivisionError, ValueError)):
                (h + Tensor.from_op(y.data, "bad", (y, function))).sum().backward()
            self.assertSame([x.grad, y.grad], np.array([[3.0, 4.0], [1.0, 2.0]]))
            self.assertIsNone(h.grad)


# ======================================================================================
# 3  Arithmetic


class TestArithmetic(Case):
    OPERATIONS = [getattr(operator, n) for n in ("add", "sub", "mul", "truediv", "pow")]

    def test_results_have_the_dtype_that_numpy_2_promotes_to(self):
        f4, f8 = np.float32, np.float64
        narrow, wide = np.ones(2, f4), np.ones(2, f8)
        adopted = [2, 2.5, True, f8(2), np.int64(2), np.array(2.5), np.arange(1, 3),
                   wide > 0]
        table = [(left, right, f4) for left in (narrow, f4(1)) for right in adopted]
        table += [(narrow, narrow, f4), (narrow, [1, 2], f4), (narrow, [1.0, 2.0], f8)]
        table += [(narrow, wide, f8), (f4(1), wide, f8), (wide, f4(2), f8),
                  (wide, 2, f8)]
        table += [(f8(1), narrow, f8), (narrow, Tensor(f8(2)), f8),
                  (wide, Tensor(2.0), f8)]
        for (left, right, dtype), operation in product(table, self.OPERATIONS):
            for pair in (Tensor(left), right), (right, Tensor(left)):
                with self.subTest(pair=pair, operation=operation):
                    out = operation(*pair)
                    arrays = [x.data if isinstance(x, Tensor) else x for x in pair]
                    arrays = [np.asarray(array, f8) for array in arrays]
                    self.assertEqual((type(out), out.dtype), (Tensor, dtype))
                    self.assertClose(out.data, operation(*arrays), 1e-6)
                    out.sum().backward()
        for shapes in product([(), (2,), (3, 2)], repeat=2):
            for operation in self.OPERATIONS:
                a, b = (Tensor(positive(*shape)) for shape in shapes)
                a = Tensor(a.data.astype(f4))
                (operation(a, b) + operation(b, a)).sum().backward()
                self.assertEqual((a.grad.dtype, b.grad.dtype), (f4, f8))

    def test_numbers_on_the_left(self):
        for number, operation in product((2, np.float64(2), np.int32(2)),
                                         self.OPERATIONS):
            f = lambda a: operation(number, a)
            self.assertGradients(f, f, np.array([1.0, 3.0]))

    def test_powers_where_the_formula_alone_would_fail(self):
        nan, inf = math.nan, math.inf
        for base, exponent, value, d_base, d_exponent in [
            (0, 0, 1, 0, 0), (0, 1, 0, 1, 0), (0, 2, 0, 0, 0), (0, 0.5, 0, inf, 0),
            (0, -1, inf, -inf, -inf), (-2, 3, -8, 12, nan), (-2, -1, -0.5, -0.25, nan),
            (-2, 0, 1, 0, nan), (3, 0, 1, 0, math.log(3)), (-1, 0.5, nan, nan, nan),
        ]:  # fmt: skip
            with self.subTest(f"{base} ** {exponent}"), np.errstate(all="ignore"):
                a, b = Tensor([base, 2.0]), Tensor([exponent, 3.0])
                out = a**b
                out.sum().backward()
                self.assertClose(out.data, np.array([value, 8.0]))
                self.assertClose(a.grad, np.array([d_base, 12.0]))
                self.assertClose(b.grad, np.array([d_exponent, 8 * math.log(2)]))
        for exponent, slope in (0, [0, 0]), (1, [1, 1]), (2, [0, -4]), (3.0, [0, 12]):
            x = Tensor([0.0, -2.0])
            (x**exponent).sum().backward()  # finite, so without a warning
            self.assertSame(x.grad, np.array(slope, float))
        x = Tensor([0.0, 1.0, 2.0])
        (0.0**x).sum().backward()
        self.assertSame(x.grad, np.zeros(3))

    def test_numpy_functions_are_type_errors_that_name_the_way_out(self):
        t, x, into = Tensor([1.0, 2.0]), np.ones(2), np.zeros(2)
        for call, hint in [
            (lambda: np.exp(t), r"np\.exp .*exp.*t\.data"),
            (lambda: np.mean(t), r"np\.mean .*mean"),
            (lambda: np.sum(t, axis=0), r"np\.sum .*sum"),
            (lambda: np.concatenate([t, t]), r"minigrad.*concatenate"),
            (lambda: np.stack([x, t]), r"minigrad.*stack"),
            (lambda: np.dot(t, x), r"np\.dot .*from_op.*t\.data"),
            (lambda: np.sin(t), r"np\.sin .*from_op"),
            (lambda: np.where(x > 0, t, 0), r"np\.where .*minigrad\.where"),
            (lambda: np.maximum(x, t), r"np\.maximum .*minigrad\.where"),
            (lambda: np.minimum(t, 0), r"np\.minimum .*minigrad\.where"),
            (lambda: np.clip(t, 0, 1), r"np\.clip .*minigrad\.where"),
            (lambda: np.asarray(t), r"t\.data"),
            (lambda: np.array(t), r"t\.data"),
            (lambda: np.array([t, t]), r"\.data"),
            (lambda: np.full(2, t), r"\.data"),
            (lambda: np.full(2, t.sum()), r"\.data"),
            (lambda: operator.setitem(into, ..., t), r"\.data"),
            (lambda: operator.setitem(into, ..., t.sum()), r"\.data"),
            (lambda: np.ma.masked_array(t), r"\.data"),
            (lambda: np.add(t, x), r"np\.add"),
            (lambda: np.add(x, t, out=into), r"np\.add"),
            (lambda: np.multiply.outer(x, t), r"np\.multiply"),
            (lambda: np.add.reduce(t), r"np\.add"),
            (lambda: np.add.at(into, [0, 1], t), r"np\.add"),
            (lambda: np.linalg.norm(t), r"np\..*norm"),
            (lambda: operator.iadd(into, t), r"np\.add"),
        ]:
            with self.subTest(hint), self.assertRaisesRegex(TypeError, hint):
                call()
        self.assertSame(into, np.zeros(2))


class TestInPlace(Case):
    """t += x and the like."""

    SIGNS = {"+=": operator.iadd, "-=": operator.isub, "*=": operator.imul,
             "/=": operator.itruediv}  # fmt: skip

    def test_under_no_grad_the_array_itself_changes(self):
        rules = zip(self.SIGNS.values(), TestArithmetic.OPERATIONS)
        for (change, rule), kind, shape in product(rules, ("f4", "f8"), [(), (2, 3)]):
            one, row = positive(*shape, seed=1), positive(*shape[1:], seed=2)
            for other in 2, 2.5, np.float64(1.5), row, one, one.tolist(), Tensor(one):
                t = Tensor(positive(*shape).astype(kind))
                t.grad = np.ones_like(t.data)
                array, before, same = t.data, t.data.astype("f8"), t
                with no_grad():
                    t = change(t, other)
                self.assertTrue(t is same and t.data is array and array.dtype == kind)
                number = other.data if isinstance(other, Tensor) else other
                expected = rule(before, number)
                self.assertClose(array, expected, 1e-6 if kind == "f4" else 1e-15)
                self.assertEqual((t.requires_grad, t.is_leaf, t.op), (True, True, ""))
                self.assertSame(t.grad, np.ones(shape, kind))
        t = Tensor([1.0, 2.0])
        with no_grad():
            inner, t.grad = t * 3, np.ones(2)
            t *= t
            inner += 1
        self.assertSame([t.data, inner.data], np.array([[1.0, 4.0], [4.0, 7.0]]))

    def test_an_error_changes_nothing(self):
        for change, shape in product(self.SIGNS.values(), [(), (3,)]):
            t = Tensor(numbers(*shape))
            array, before = t.data, t.data.copy()
            for wrong in np.ones(2), np.ones((2, 3)), 1j, None, np.ones(shape, "D"):
                with self.assertRaises((TypeError, ValueError)), no_grad():
                    change(t, wrong)
                self.assertIs(t.data, array)
                self.assertSame(array, before)
            array.flags.writeable = False
            with self.assertRaises(ValueError), no_grad():
                change(t, 2.0)

    def test_while_recording_it_makes_a_new_tensor(self):
        for change, slope in zip(self.SIGNS.values(), (1, 1, 4, 0.25)):
            for other in 4, 4.0, [4.0], Tensor([4.0]):
                t = x = Tensor([3.0])
                t = change(t, other)
                t.backward()
                self.assertSame([x.data, x.grad], np.array([[3.0], [slope]]))
            for start in Tensor([3.0]) * 1, Tensor([3.0], requires_grad=False):
                t = change(start, np.array([4.0]))  # neither is a leaf to be trained
                self.assertIsNot(t, start)
                self.assertSame(start.data, np.array([3.0]))
                self.assertEqual(t.requires_grad, start.requires_grad)

    def test_a_lost_update_is_refused(self):
        for sign, change in self.SIGNS.items():
            for shape in (), (2,):
                w = Tensor(np.ones(shape))
                (w * w).sum().backward()
                hint = re.escape(sign) + r".*no_grad.*\.data"
                for update in 0.1 * w.grad, w.grad:  # 0.1 * a 0-d array is a number
                    with self.assertRaisesRegex(TypeError, hint):
                        change(w, update)
                self.assertSame(w.data, np.ones(shape))

    def test_the_bare_training_loop(self):
        xs, ys, lr = [-1.0, 0.0, 1.0, 3.0], [-2.0, 1.0, 3.0, 8.0], 0.05
        w, b = Tensor(0.0), Tensor(0.0)
        w_data, slope, shift = w.data, 0.0, 0.0
        for _ in range(100):
            loss = ((w * xs + b - ys) ** 2).mean()
            loss.backward()
            with no_grad():
                w -= lr * w.grad
                b -= lr * b.grad
            w.grad = b.grad = None
            errors = [slope * x + shift - y for x, y in zip(xs, ys)]
            slope -= lr * sum(2 * e * x for e, x in zip(errors, xs)) / 4
            shift -= lr * sum(2 * e for e in errors) / 4
        self.assertClose([w.data, b.data], [slope, shift])
        self.assertClose([w.data, b.data], np.polyfit(xs, ys, 1), 0.02)
        self.assertIs(w.data, w_data)


# ======================================================================================
# 4, 5  Shapes and curves where they have an edge


class TestEdges(Case):
    def slope(self, f, x):
        x = Tensor(x)
        f(x).sum().backward()
        return x.grad.tolist()

    def test_choices_of_a_derivative(self):
        self.assertEqual(self.slope(Tensor.relu, [-0.0, 0.0, -1, 2]), [0, 0, 0, 1])
        self.assertEqual(self.slope(Tensor.abs, [-0.0, 0.0, -1, 2]), [0, 0, -1, 1])
        with np.errstate(divide="ignore"):
            self.assertEqual(self.slope(Tensor.sqrt, [0.0, 4.0]), [math.inf, 0.25])
            self.assertEqual(self.slope(Tensor.log, [0.0, 4.0]), [math.inf, 0.25])

    def test_ties_share_the_gradient(self):
        a = [[2.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
        for sign, name in (1, "max"), (-1, "min"):
            for axis, expected in [
                (None, [[1 / 3, 1 / 3, 0], [0, 1 / 3, 0]]),
                (0, [[1, 0.5, 0.5], [0, 0.5, 0.5]]),
                (1, [[0.5, 0.5, 0], [0, 1, 0]]), ((), [[1, 1, 1], [1, 1, 1]]),
            ]:  # fmt: skip
                f = lambda x: getattr(x * sign, name)(axis=axis) * sign
                self.assertClose(self.slope(f, a), expected)

    def test_an_element_that_is_taken_again_gets_the_sum(self):
        for f, expected in [
            (lambda x: x[[0, 0, 2]], [2, 0, 1]), (lambda x: x[[-1, 2, 2]], [0, 0, 3]),
            (lambda x: x[np.array([[0, 1], [1, 1]])], [1, 3, 0]),
            (lambda x: x[1] + x[1:] + x[-2], [0, 5, 1]), (lambda x: x[::-2], [1, 0, 1]),
            (lambda x: x[None, [2, 2], ...] * x[2], [0, 0, 12]),
        ]:  # fmt: skip
            self.assertEqual(self.slope(f, [1.0, 2.0, 3.0]), expected)

    def test_what_is_built_from_where(self):
        x, y = np.array([-2.0, -0.5, 0.5, 3.0]), np.array([-1.0, -1.5, 2.0, 0.5])
        for f, values, expected in [
            (lambda t: where(t.data > 0, t, 0.1 * t),  # leaky ReLU
             [-0.2, -0.05, 0.5, 3], [0.1, 0.1, 1, 1]),
            (lambda t: where(t.data > y, t, y), [-1, -0.5, 2, 3], [0, 1, 0, 1]),
            (lambda t: where(t.data < 1, where(t.data > -1, t, -1), 1),
             [-1, -0.5, 0.5, 1], [0, 1, 1, 0]),
            (lambda t: where(np.abs(t.data) < 1, t * t / 2, t.abs() - 0.5),  # Huber
             [1.5, 0.125, 0.125, 2.5], [-1, -0.5, 0.5, 1]),
            (lambda t: where(t.data > 0, -math.inf, t),  # a mask
             [-2, -0.5, -math.inf, -math.inf], [1, 1, 0, 0]),
        ]:  # fmt: skip
            self.assertClose(f(Tensor(x)).data, values)
            self.assertClose(self.slope(f, x), expected)

    def test_sigmoid_keeps_its_relative_accuracy_in_both_tails(self):
        for x in -700.0, -300.0, -40.0, -1.0, -1e-9, 0.0, 0.5, 15.0, 40.0, 300.0, 700.0:
            up, down = decimal.Decimal(x).exp(), decimal.Decimal(-x).exp()
            t = Tensor(x)
            t.sigmoid().backward()
            for got, exact in (t.sigmoid(), 1 / (1 + down)), (t.grad,
                                                              1 / (2 + up + down)):
                self.assertLess(abs(float(got) / float(exact) - 1), 1e-15)

    def test_huge_logits_give_finite_values_and_gradients(self):
        logits = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]])
        third, third3 = 1 / 3, [1 / 3] * 3
        p = np.array([[1, 0, 0], third3, third3])
        for dtype, tolerance in (np.float64, 1e-15), (np.float32, 1e-7):
            x = Tensor(logits.astype(dtype))
            self.assertClose(x.softmax().data, p, tolerance)
            logs = [[0, -2e4, -1e4], np.log(third3), np.log(third3)]
            self.assertClose(x.log_softmax().data, np.array(logs), tolerance)
            self.assertClose(x.sigmoid().data, (np.sign(logits) + 1) / 2, 0)
            for f, expected in [
                (lambda x: x.softmax()[1, 0],
                 [[0] * 3, [third * (1 - third), -1 / 9, -1 / 9], [0] * 3]),
                (lambda x: x.log_softmax()[0, 1], [[-1, 1, 0], [0] * 3, [0] * 3]),
                (lambda x: x.sigmoid().sum(), [[0, 0, 0.25], [0] * 3, [0] * 3]),
            ]:  # fmt: skip
                self.assertClose(self.slope(f, x), expected, tolerance)
            for y, loss in ([1, 0, 0], 2e4), ([0, 1, 2], 0.0):
                for targets in y, np.eye(3)[y]:
                    out = cross_entropy(x, targets)
                    self.assertClose(out.data, (loss + 2 * math.log(3)) / 3, 1e-7)
                    f = lambda x: cross_entropy(x, targets)
                    self.assertClose(self.slope(f, x), (p - np.eye(3)[y]) / 3,
                                     tolerance)



# ======================================================================================
# 6  Joining and losses


class TestLosses(Case):
    def test_labels_and_probabilities_come_in_many_forms(self):
        logits, labels, expected = numbers(3, 2), np.array([1, 0, 1]), 0.0
        for row, label in zip(logits.tolist(), labels):
            expected -= math.log(math.exp(row[label]) / math.fsum(map(math.exp,
                                                                      row))) / 3
        hot = np.eye(2)[labels]
        forms = [labels.tolist(), (1, 0, 1),
                 *(labels.astype(k) for k in ("i1", "u8", "?"))]
        forms += [hot, hot.tolist(), hot.astype(int), hot.astype("f4"), Tensor(hot)]
        for dtype, targets in product((np.float64, np.float32), forms):
            values = targets.data if isinstance(targets, Tensor) else targets
            x, before = Tensor(logits.astype(dtype)), np.array(values)
            loss = cross_entropy(x, targets)
            loss.backward()
            self.assertClose(loss.data, expected,
                             1e-14 if dtype is np.float64 else 1e-6)
            self.assertEqual((loss.dtype, x.grad.dtype), (dtype, dtype))
            self.assertSame(np.array(values), before)
        self.assertIsNone(forms[-1].grad)  # targets are constants
        for constant in logits, logits.tolist():
            self.assertFalse(cross_entropy(constant, labels).requires_grad)
        x = Tensor(numbers(4, 1))  # the only class is certain
        loss = cross_entropy(x, [0] * 4)
        loss.backward()
        self.assertEqual((loss.item(), x.grad.tolist()), (0.0, [[0.0]] * 4))

    def test_a_class_that_is_ruled_out_costs_nothing(self):
        p = 1 / (1 + math.e)  # of the first class, beside the third; the second has 0
        for dtype, label in product(("f4", "f8"), (0, 2)):
            hot = np.eye(3, dtype=int)[label]
            loss = -math.log([p, 0, 1 - p][label])
            for targets in label, hot, hot * 1.0, hot.astype("f4"), hot > 0:
                for logits in [0.0, -math.inf, 1.0], [700.0, -math.inf, 701.0]:
                    x = Tensor(np.array(logits, dtype))
                    out = cross_entropy(x, targets)
                    out.backward()
                    self.assertClose(out.data, loss, 1e-6)
                    self.assertClose(x.grad, np.array([p, 0, 1 - p]) - hot, 1e-6)
                    self.assertEqual((out.dtype, x.grad.dtype), (dtype, dtype))

    def test_mse_loss_and_joining_keep_float32(self):
        self.assertEqual(mse_loss([1, 2], np.array([3, 2])).item(), 2.0)
        for target in [3, 2], np.array([3, 2], np.float32), Tensor(np.float32([3, 2])):
            x = Tensor(np.array([1, 2], np.float32))
            loss = mse_loss(x, target)
            loss.backward()
            self.assertSame(loss.data, np.float32(2))
            self.assertSame(x.grad, np.array([-2, 0], np.float32))
        for join in stack, concatenate:
            for parts, dtype in [
                ([x, x], "f4"), ([x, [1, 2]], "f4"), ([[1, 2], x, np.ones(2)], "f8"),
                ([[1, 2], [3, 4]], "f8"), (iter([x, x]), "f4"),
                ([Tensor([1, 2]), x], "f8"),
            ]:  # fmt: skip
                self.assertEqual(join(parts).dtype, dtype)
        self.assertSame(stack([x[0], 2.5]).data, np.float32([1, 2.5]))
        for number in 3, True, 2.5, np.float64(2.5), np.int64(3), [3, 4], np.array(2.5):
            x, (_, last) = Tensor(np.float32([1, 2])), np.broadcast_to(number, 2)
            for condition, order in ([1, 0], (x, number)), ([False, True], (number, x)):
                out = where(condition, *order)
                out.backward([5, 7])
                self.assertSame(out.data, np.float32([1, last]))
            self.assertSame(x.grad, np.float32([10, 0]))
        for wide in np.ones(2), [1.0, 2.0], Tensor(1.0):
            self.assertEqual(where(True, x, wide).dtype, np.float64)
        self.assertSame(where([True, False], 1, 2).data, np.array([1.0, 2.0]))


# ======================================================================================
# 7  Checking and seeing


def altered(value, gradient):
    """An operation with value(a) whose gradient function is gradient(g, a)."""
    return lambda x: Tensor.from_op(value(x.data), "op",
                                    (x, lambda g: gradient(g, x.data)))


class TestGradcheck(Case):
    def test_wrong_gradients_are_rejected(self):
        hole = np.array([[1, 0], [1, 1]])
        for name, gradient, message in [
            ("factor", lambda g, a: g * 2.01 * a, r"input 0, element \(0, 0\)"),
            ("sign", lambda g, a: -g * 2 * a, r"input 0, element \(0, 0\)"),
            ("missing", lambda g, a: g * 2 * a * hole,
             r"input 0, element \(0, 1\).* -?0,"),
            ("mixed up", lambda g, a: np.full(a.shape, (g * 2 * a).mean()), "input 0"),
            ("nan", lambda g, a: g * np.nan, r"element \(0, 0\).*nan"),
        ]:
            with self.subTest(name), self.assertRaisesRegex(AssertionError, message):
                gradcheck(altered(np.square, gradient),
                          Tensor([[1.0, 2.0], [3.0, 0.5]]))
        for wrong in (lambda g, a: 2 * a), (lambda g, a: g * g * 2 * a):
            for value, x in (lambda a: (a * a).sum(), [1.0, 2.0]), (np.square, [[3.0]]):
                right = altered(value, lambda g, a: g * 2 * a)
                self.assertTrue(gradcheck(right, Tensor(x)))
                with self.assertRaisesRegex(AssertionError, "input 0"):
                    gradcheck(altered(value, wrong), Tensor(x))  # g is forgotten
        x, y = Tensor([1.0, 2.0]), Tensor([[3.0], [4.0]])
        with self.assertRaisesRegex(AssertionError, r"input 1, element \(0, 0\)"):
            gradcheck(lambda x, y: x * y.detach(), x, y)
        with self.assertRaisesRegex(AssertionError,
                                    r"input 0, element \(\).* 0\b.* 2\b"):
            gradcheck(lambda x: x.detach() * 2, Tensor(1.0))

    def test_tolerances_are_absolute_plus_relative_and_eps_is_the_step(self):
        def accepts(slope, error, **tolerances):
            f = altered(lambda a: slope * a, lambda g, a: g * (slope + error))
            try:
                return gradcheck(f, Tensor(1.0), **tolerances)
            except AssertionError:
                return False

        small = {"atol": 0.0, "rtol": 1e-9}, {"atol": 1e-9, "rtol": 0.0}
        good = (0, 9e-6), (10, 9.9e-3), (-10, 9.9e-3)
        bad = (0, 1.1e-5), (10, 1.1e-2), (-10, -1.1e-2)
        self.assertEqual([accepts(*pair) for pair in good + bad],
                         [True] * 3 + [False] * 3)
        self.assertTrue(accepts(0, 0.9, atol=1.0) and accepts(1, 0.9, rtol=1.0))
        self.assertFalse(any(accepts(10, 1e-6, **tolerances) for tolerances in small))
        self.assertTrue(gradcheck(Tensor.abs, Tensor(0.5)))
        with self.assertRaises(AssertionError):  # this step reaches across the kink
            gradcheck(Tensor.abs, Tensor(0.5), eps=1.0)

    def test_inputs_that_need_no_gradient_or_are_not_used(self):
        x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=False)
        for f in [lambda x, y: x * y, lambda x, y: x, lambda *_: Tensor(3.0)]:
            self.assertTrue(gradcheck(f, x, y) and gradcheck(f, x, Tensor([1.0, 2.0])))

    def test_nothing_changes_whatever_happens(self):
        def failing(x, y):
            calls.append(1)
            return x * y if len(calls) < 4 else 1 / 0

        functions = lambda x, y: x * y, lambda x, y: x * y.detach(), failing
        for f, error in zip(functions, (None, AssertionError, ZeroDivisionError)):
            calls, x, y = [], Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
            x.grad, data = np.array([5.0, 6.0]), x.data
            with self.assertRaises(error) if error else contextlib.nullcontext():
                gradcheck(f, x, y)
            self.assertIs(x.data, data)
            self.assertSame([x.data, y.data, x.grad], [[1.0, 2], [3, 4], [5, 6]])
            self.assertIsNone(y.grad)


class TestToDot(Case):
    def test_nodes_and_edges(self):
        x, y = Tensor([1.0, 2.0]), Tensor(np.zeros((1, 5)))
        text = to_dot(((x * x).sum() + y + 3.0) * np.ones(5), names={"weights": x})
        nodes = dict(re.findall(r'^ +(n\d+) \[label="(\S+?)\\n', text, re.M))
        edges = re.findall(r"^ +(n\d+) -> (n\d+)$", text, re.M)
        self.assertTrue(text.startswith("digraph") and text.endswith("}"))
        self.assertCountEqual(nodes.values(),
                              ["*", "+", "+", "sum", "*", "weights", "leaf"])
        edges = [nodes[a] + " to " + nodes[b] for a, b in edges]
        drawn = "weights to *,weights to *,* to sum,sum to +,leaf to +,+ to +,+ to *"
        self.assertCountEqual(edges, drawn.split(","))
        self.assertEqual(text.count("lightblue"), 2)  # the leaves

    def test_labels(self):
        x = Tensor([1.5, 2.0, 3.0, 4.0])
        self.assertRegex(to_dot(x), r'"leaf\\n\(4,\)\\ndata 1\.5, 2, 3, 4"')
        y = (x * x).sum()
        y.backward()
        self.assertIn("grad 3, 4, 6, 8", to_dot(x))
        self.assertIn('"loss = sum\\n', to_dot(y, {"loss": y}))
        self.assertNotIn("data", to_dot(Tensor(np.zeros(5))))
        odd = Tensor(1.0)
        self.assertIn(r'label="say \"a\"\n()', to_dot(odd, {'say "a"': odd}))
        for _ in range(3000):  # drawn without recursion
            y = -y
        self.assertEqual(to_dot(y).count("->"), 3003)


# ======================================================================================
# 8  Modules


def relu(a):
    return np.where(a > 0, a, 0.0)


class Tied(Module):
    """As a user writes it: a list of layers, a tied weight, no super().__init__()."""

    def __init__(self, rng=None):
        rng = np.random.default_rng(rng)
        self.sizes, self.note, self.nothing = [3, 4], "text", None
        self.hidden = [Layer(3, 4, rng=rng), Layer(4, 4, nonlin=Tensor.tanh, rng=rng)]
        self.extra = {"norm": BatchNorm1d(4), "pair": (Tensor(0.5), Tensor(2.0, False))}
        self.head = Layer(4, 3, nonlin=False, rng=rng)
        self.tied = self.hidden[0].W  # (3, 4), used once more, transposed
        self.table = np.arange(3.0)

    def forward(self, x, scale=1.0):
        for layer in self.hidden:
            x = layer(x)
        shift, factor = self.extra["pair"]
        self.last = self.extra["norm"](x) * factor + shift
        return (self.head(self.last) + self.last @ self.tied.T + self.table) * scale


X, Y = numbers(20, 3), np.arange(20) % 3


def fit(model, optimizer, steps=3):
    """The losses of a few steps on the same data."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class TestModules(Case):
    def test_neurons_layers_and_networks_compute_their_formula(self):
        x = numbers(5, 3)
        for nonlin, curve in [
            (True, relu), (False, np.array), (None, np.array), (Tensor.tanh, np.tanh),
            (Tensor.relu, relu), (lambda t: t * t, np.square),
        ]:  # fmt: skip
            neuron, layer = Neuron(3, nonlin, rng=1), Layer(3, 4, nonlin, rng=1)
            neuron.b.data[...], layer.b.data[:] = 0.5, numbers(4)
            w, W, b = neuron.w.data, layer.W.data, layer.b.data
            self.assertClose(neuron(x).data, curve(np.einsum("ni,i->n", x, w) + 0.5))
            self.assertClose(layer(x).data, curve(np.einsum("ni,ij->nj", x, W) + b))
            self.assertClose(layer(x[0]).data, layer(x).data[0])
            deep = layer(x.reshape(5, 1, 3)).data
            self.assertClose(deep, layer(x).data.reshape(5, 1, 4))
            h, model = x, MLP(3, [4, 4, 2], nonlin, rng=2)
            for i, one in enumerate(model.layers):
                one.b.data += 0.1
                h = np.einsum("ni,ij->nj", h, one.W.data) + 0.1
                h = curve(h) if i < 2 else h
            self.assertClose(model(x).data, h)
            self.assertClose(Sequential(layer, Tensor.exp)(x).data,
                             np.exp(layer(x).data))
        for module in Neuron(3), Layer(3, 2), MLP(3, [2, 2]).layers[0]:
            self.assertTrue((module(x).data >= 0).all())  # ReLU by default
        self.assertEqual(Sequential()(x).shape, (5, 3))

    def test_every_kind_of_input_gives_the_same(self):
        x = numbers(4, 3)
        for module in (Layer(3, 2, rng=0), Neuron(3, rng=0), MLP(3, [2, 1], rng=0),
                       Sequential(Tensor.tanh), BatchNorm1d(3),
                       Dropout(0.0)):  # fmt: skip
            scalars, inputs = [[Tensor(n) for n in row] for row in x], Tensor(x)
            module(inputs).sum().backward()
            mixed = [tuple(scalars[0]), x[1], Tensor(x[2]), list(x[3])]
            queue, rows = deque(map(Tensor, x)), UserList(map(UserList, scalars))
            for form in x, x.tolist(), scalars, mixed, [*queue], queue, rows:
                self.assertClose(module(form).data, module(inputs).data)
            module(scalars).sum().backward()
            got = np.array([[scalar.grad for scalar in row] for row in scalars])
            self.assertClose(got, inputs.grad)

    def test_first_weights(self):
        n = 400
        for nonlin, gain in (True, 2), (Tensor.relu, 2), (False, 1), (None, 1), (abs,
                                                                                 1):
            layer, neuron = Layer(n, 100, nonlin, rng=0), Neuron(n * 50, nonlin, rng=0)
            for w, b in (layer.W.data, layer.b.data), (neuron.w.data, neuron.b.data):
                self.assertAlmostEqual(w.var() * len(w) / gain, 1, delta=0.03)
                self.assertAlmostEqual(w.mean() * math.sqrt(w.size * len(w)), 0,
                                       delta=4)
                self.assertSame(b, np.zeros(w.shape[1:]))
        first, last = (layer.W.data for layer in MLP(n, [n, n], rng=0).layers)
        np.testing.assert_allclose([first.var() * n, last.var() * n], [2, 1], rtol=0.03)
        self.assertNotAlmostEqual(first[0, 0] / last[0, 0], math.sqrt(2))
        rng, kinds = np.random.default_rng(5), [Neuron, lambda n,
                                                rng: Layer(n, n, rng=rng)]
        for make in *kinds, lambda n, rng: MLP(n, [n], rng=rng):
            weights = lambda rng: make(9, rng=rng).parameters()[0].data
            self.assertSame(weights(5), weights(5))
            for one, two in (weights(rng), weights(rng)), (weights(None),
                                                           weights(None)):
                self.assertFalse((one == two).any())

    def test_dtype(self):
        self.assertEqual(Layer(2, 2).W.dtype, np.float64)
        model = Sequential(MLP(2, [2, 2], dtype=np.float32), BatchNorm1d(2, dtype="f4"))
        self.assertEqual({a.dtype for a in model.state_dict().values()}, {F4})
        for x in [[1, 2],
                  [3, 5]], [[True, False]] * 2, [[Tensor(np.float32(1)), 2.0]] * 2:
            for training in True, False:
                self.assertEqual(model.train(training)(x).dtype, np.float32)
                self.assertEqual(model.layers[1](x).dtype, np.float32)
        self.assertEqual({a.dtype for a in model.state_dict().values()}, {F4})
        for x in [1.0, 2.0], np.ones(2):  # a list counts as an array, here of float64
            self.assertEqual(model.layers[0](x).dtype, np.float64)

    def test_parameters_are_found_once_in_order_of_definition(self):
        model = Tied(0)
        model(X)
        model.parent = [model]  # a circle; and model.last is no leaf
        names = ["hidden.0.W", "hidden.0.b", "hidden.1.W", "hidden.1.b",
                 "extra.norm.gamma",
                 "extra.norm.beta", "extra.pair.0", "head.W", "head.b"]  # fmt: skip
        found = model.named_parameters()
        self.assertEqual([name for name, _ in found], names)
        self.assertEqual([p for _, p in found], model.parameters())
        names += ["extra.pair.1", "extra.norm.running_mean", "extra.norm.running_var",
                  "table"]
        self.assertCountEqual(model.state_dict(), names)
        model.head.W.requires_grad = False
        self.assertNotIn("head.W", dict(model.named_parameters()))
        self.assertCountEqual(model.state_dict(), names)

    def test_a_result_that_was_kept_is_neither_parameter_nor_state(self):
        for record in contextlib.nullcontext, no_grad:
            model = Module()
            model.layer, model.scale = Layer(3, 2), Tensor(2.0, requires_grad=False)
            with record():
                model.hidden = model.layer(X)
                model.seen = [model.hidden.detach(), {"loss": model.hidden.sum()}]
                model.doubled, model.copied = model.scale * 2, stack([model.scale])
            for duplicate in (lambda m: m), copy.copy, copy.deepcopy, pickled:
                found = duplicate(duplicate(model))
                names = [name for name, _ in found.named_parameters()]
                self.assertEqual(names, ["layer.W", "layer.b"])
                self.assertEqual([*found.state_dict()], ["layer.W", "layer.b", "scale"])
                found.load_state_dict(model.state_dict())

    def test_a_module_prints_its_parameters(self):
        self.assertEqual(repr(Layer(2, 1)), "Layer(W (2, 1), b (1,))")

    def test_train_eval_zero_grad_and_arguments(self):
        model, other = Tied(0), Tied(0)
        inside = [model, *model.hidden, model.extra["norm"], model.head]
        cross_entropy(model(X), Y).backward()
        self.assertTrue(all(p.grad is not None for p in model.parameters()))
        model.zero_grad()
        self.assertEqual([p.grad for p in model.parameters()], [None] * 9)
        for switch, training in [
            (Module.eval, False), (Module.train, True),
            (lambda m: m.train(False), False),
        ]:  # fmt: skip
            self.assertIs(switch(model), model)
            self.assertEqual([m.training for m in inside], [training] * 5)
            self.assertTrue(other.training)
        self.assertClose(model(X, scale=2.0).data, 2 * model(X).data)
        self.assertClose(model(X, 2.0).data, 2 * model(x=X).data)

    def test_neurons_share_the_layers_memory_for_good(self):
        layer, x = Layer(3, 2, nonlin=Tensor.tanh, rng=0), numbers(4, 3)
        kept = layer.neurons

        def step(parameters, module):
            (module(x) ** 2).sum().backward()
            SGD(parameters, lr=0.1).step()

        for change in [
            lambda: None, lambda: step(layer.parameters(), layer),
            lambda: step(kept[0].parameters(), kept[0]),
            lambda: layer.load_state_dict(Layer(3, 2, rng=7).state_dict()),
        ]:  # fmt: skip
            before = layer.W.data.copy(), layer.b.data.copy()
            change()
            for neurons in kept, layer.neurons:
                together = stack([neuron(x) for neuron in neurons], axis=-1)
                self.assertClose(together.data, layer(x).data)
                self.assertEqual([len(n.parameters()) for n in neurons], [2, 2])
            if layer.W.grad is not None and kept[0].w.grad is not None:
                changed = layer.W.data != before[0]
                self.assertTrue(changed[:, 0].all())


# ======================================================================================
# 9  Training differs from evaluation


class TestTraining(Case):
    def test_dropout(self):
        for p in 0.5, 0.2, 0.75:
            x = Tensor(np.full((200, 500), 3.0))
            y = Dropout(p, rng=0)(x)
            y.sum().backward()
            kept = y.data != 0
            self.assertAlmostEqual(kept.mean(), 1 - p, delta=0.01)
            spread = math.sqrt(p * (1 - p) / 200)  # of independent elements' shares
            self.assertAlmostEqual(kept.mean(axis=0).std(), spread, delta=0.005)
            self.assertClose(y.data, np.where(kept, 3 / (1 - p), 0))
            self.assertClose(x.grad, np.where(kept, 1 / (1 - p), 0))
        x = Tensor(numbers(50))
        self.assertSame(Dropout(0)(x).data, x.data)
        nothing = Dropout(1)(x)
        nothing.sum().backward()
        self.assertEqual((np.abs(nothing.data).max(), np.abs(x.grad).max()), (0, 0))
        dropout = Dropout(rng=0)
        self.assertSame(dropout.eval()(x).data, x.data)
        masks = [dropout.train()(np.ones(50)).data for _ in range(2)]
        self.assertTrue((masks[0] != masks[1]).any())
        self.assertEqual(set(masks[0]), {0.0, 2.0})  # p is 0.5 by default
        self.assertSame(Dropout(rng=0)(np.ones(50)).data, masks[0])  # eval drew nothing
        self.assertEqual(dropout(Tensor(np.ones(3, np.float32))).dtype, np.float32)

    def test_batchnorm_normalises_over_all_axes_but_the_features(self):
        def normal(a, gamma, beta):
            axes, wide = (0, 2)[: a.ndim - 1], (1, 3, 1)[: a.ndim]
            mean, var = a.mean(axis=axes, keepdims=True), a.var(axis=axes,
                                                                keepdims=True)
            value = (a - mean) / np.sqrt(var + 1e-5)
            return value * gamma.reshape(wide) + beta.reshape(wide)

        def run(x, gamma, beta):
            bn = BatchNorm1d(3)
            bn.gamma, bn.beta = gamma, beta
            return bn(x)

        for shape in (6, 3), (4, 3, 5), (2, 3), (1, 3, 2):
            self.assertGradients(run, normal, numbers(*shape), numbers(3), positive(3))

    def test_batchnorm_evaluates_with_running_statistics(self):
        shapes, settings = [(6, 2), (4, 2, 5)], [(0.1, {}), (0.3, {"momentum": 0.3})]
        for shape, (momentum, arguments) in product(shapes, settings):
            bn = BatchNorm1d(2, **arguments)
            axes, wide = (0, 2)[: len(shape) - 1], (1, 2, 1)
            mean, var = np.zeros(2), np.ones(2)
            for seed in range(3):
                x = 2 + 3 * numbers(*shape, seed=seed)
                bn(x)
                mean = (1 - momentum) * mean + momentum * x.mean(axis=axes)
                var = (1 - momentum) * var + momentum * x.var(axis=axes, ddof=1)
            bn.gamma.data[:], bn.beta.data[:] = [2, 3], [-1, 1]
            vectors = mean, var, bn.gamma.data, bn.beta.data
            m, v, g, b = (a.reshape(wide[: x.ndim]) for a in vectors)
            self.assertGradients(bn.eval(),
                                 lambda a: (a - m) / np.sqrt(v + 1e-5) * g + b, x)
            self.assertClose(bn(x[:1]).data, bn(x).data[:1])
            self.assertClose([bn.running_mean, bn.running_var], [mean, var])

    def test_batchnorm_adds_eps_to_the_variance(self):
        bn, x = BatchNorm1d(1, eps=3.0), Tensor([[1.0], [3.0]])
        self.assertClose(bn(x).data, [[-0.5], [0.5]])
        self.assertClose(BatchNorm1d(1, eps=3.0).eval()(x).data, x.data / 2)
        constant = Tensor(np.full((3, 1), 5.0))
        out = BatchNorm1d(1)(constant)
        out.sum().backward()
        self.assertEqual((out.data.tolist(), constant.grad.tolist()),
                         ([[0.0]] * 3,) * 2)


# ======================================================================================
# 10  Optimizers


def sgd_by_hand(p, gradients, lr=1e-3, momentum=0.0, weight_decay=0.0):
    """Where a parameter goes; a gradient of None is a step without it."""
    velocity = 0.0
    for g in gradients:
        if g is not None:
            velocity = momentum * velocity + (g + weight_decay * p)
            p = p - lr * velocity
    return p


def adam_by_hand(p, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """Algorithm 1 of Kingma and Ba (2015)."""
    m = v = t = 0
    for g in gradients:
        if g is not None:
            g, t = g + weight_decay * p, t + 1
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g**2
            m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
            p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
    return p


RULES = [
    (SGD, sgd_by_hand, [
        {}, {"lr": 0.1}, {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.05, "weight_decay": 0.3},
        {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1}, {"momentum": 1.0},
    ]),
    (Adam, adam_by_hand, [
        {}, {"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9)}, {"lr": 0.05, "eps": 0.1},
        {"lr": 0.02, "weight_decay": 0.3}, {"betas": (0.0, 0.0)}, {"betas": [0.3, 0.4]},
    ]),
]  # fmt: skip


class TestOptimizers(Case):
    def follow(self, shapes, make, by_hand, settings, steps=30):
        params = [Tensor(numbers(*s, seed=i)) for i, s in enumerate(shapes)]
        first, arrays = [p.data.copy() for p in params], [p.data for p in params]
        optimizer, history = make(params, **settings), [[] for _ in params]
        for step in range(steps):
            for i, p in enumerate(params):  # each is absent in a rhythm of its own
                p.grad = numbers(*p.shape, seed=100 * step + i)
                if i and (step + i) % (min(i, 3) + 2) == 0:
                    p.grad = None
                history[i].append(copy.deepcopy(p.grad))
            optimizer.step()
            for p, gradients in zip(params, history):
                np.testing.assert_array_equal(p.grad, gradients[-1])  # left as it was
        for p, array, start, gradients in zip(params, arrays, first, history):
            self.assertIs(p.data, array)  # updated in place
            self.assertClose(p.data, by_hand(start, gradients, **settings))

    def test_a_rule_of_ones_own_with_the_usual_settings(self):
        class Plain(Optimizer):
            def update(self, g, t):
                return self.lr * g

        x = Tensor(1.0)
        x.grad = np.array(2.0)
        Plain([x]).step()
        self.assertClose(x.data, 1 - 0.001 * 2)  # no decay

    def test_rules_with_parameters_that_skip_steps(self):
        for make, by_hand, table in RULES:
            for settings in table:
                with self.subTest(make=make, **settings):
                    self.follow([(), (3,), (2, 2), (1,), (2,)], make, by_hand, settings)

    def test_large_parameters(self):
        shapes = [(70_001,), (3, 50_000), (40_000, 2), (1, 1, 33_000)]
        for make, by_hand, table in RULES:
            self.follow(shapes, make, by_hand, {**table[2], "weight_decay": 0.1},
                        steps=2)

    def test_a_grad_that_was_computed(self):
        for make, by_hand, table in RULES:
            x = Tensor(1.0)
            optimizer, array = make([x], **table[1]), x.data
            x.grad = np.array(3.0)
            x.grad = x.grad * 0.5  # of a 0-d array NumPy makes a number
            optimizer.step()
            self.assertClose(x.data, by_hand(1.0, [1.5], **table[1]))
            (x * 4).backward()
            self.assertTrue(x.data is array and type(x.grad) is np.ndarray)
            self.assertSame(x.grad, np.array(5.5))
            for shape in (), (3,):  # a gradient of another precision
                x, g = Tensor(np.ones(shape, "f4")), [numbers(*shape), numbers(*shape)]
                optimizer, array = make([x], **table[1]), x.data
                for x.grad in g:
                    optimizer.step()
                self.assertClose(x.data, by_hand(np.ones(shape), g, **table[1]), 1e-6)
                self.assertTrue(x.data is array and array.dtype == F4)

    def test_rates_dtypes_and_whatever_is_iterable(self):
        x = Tensor(1.0)
        optimizer = SGD((p for p in [x]), lr=0.5)
        for optimizer.lr in 0.5, 0.25, 0.0:  # it may change between steps
            x.grad = np.array(1.0)
            optimizer.step()
        self.assertEqual(x.item(), 0.25)
        optimizer.zero_grad()
        optimizer.step()
        self.assertEqual((x.item(), x.grad), (0.25, None))
        for make, kinds in product((SGD, Adam), [("f4", "f4"), ("f4", "f8")]):
            params = [Tensor(np.ones((), kinds[0])), Tensor(np.ones(2, kinds[1]))]
            optimizer = make(params, lr=0.1, weight_decay=0.1)
            for _ in range(2):
                (params[0] * params[1]).sum().backward()
                optimizer.step()
            self.assertEqual([p.dtype for p in params], [*map(np.dtype, kinds)])


# ======================================================================================
# Saving, loading, copying; and nothing else is touched


def saved(state):
    """`state` after a way through a file in NumPy's own format, without pickle."""
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file)


class TestState(Case):
    MAKE = [
        lambda p: SGD(p, lr=0.1), lambda p: SGD(p, lr=0.1, momentum=0.9),
        lambda p: Adam(p, lr=0.05, weight_decay=0.1),
    ]  # fmt: skip

    def test_a_users_module_trains(self):
        model = Tied(0)
        losses = fit(model, Adam(model.parameters(), lr=0.05), 60)
        self.assertLess(losses[-1], 0.25 * losses[0])
        self.assertIs(model.tied, model.hidden[0].W)

    def test_a_training_resumes_bit_for_bit(self):
        for make, steps in product(self.MAKE, (0, 3)):  # before the first step, too
            model, other = Tied(0), Tied(1)
            optimizer, resumed = make(model.parameters()), make(other.parameters())
            fit(model, optimizer, steps)
            fit(other, resumed, 1)
            files = saved(model.state_dict()), saved(optimizer.state_dict())
            arrays = [p.data for p in other.parameters()]
            other.load_state_dict(files[0])
            resumed.load_state_dict(files[1])
            self.assertEqual(fit(other, resumed), fit(model, optimizer))
            self.assertStates(other, model.state_dict())
            for p, array in zip(other.parameters(), arrays):
                self.assertIs(p.data, array)  # loading writes in place

    def test_an_optimizers_state_by_its_names(self):
        g, start = [numbers(2, seed=i) for i in range(3)], numbers(2, seed=3)
        m, v = 0.09 * g[0] + 0.1 * g[1], 0.000999 * g[0] ** 2 + 0.001 * g[1] ** 2
        for make, by_hand, buffers, settings in [
            (SGD, sgd_by_hand, {"velocity": 0.5 * g[0] + g[1]}, {"momentum": 0.5}),
            (Adam, adam_by_hand, {"m": m, "v": v}, {}),
        ]:
            unused, p = Tensor(1.0), Tensor(by_hand(start, g[:2], **settings))
            state = {"steps": np.array([0, 2])}
            for name, array in buffers.items():
                state |= {f"{name}.0": np.array(0.0), f"{name}.1": array}
            optimizer = make([unused, p], **settings)
            self.assertCountEqual(optimizer.state_dict(), state)
            optimizer.load_state_dict(saved(state))
            p.grad = g[2]
            optimizer.step()
            self.assertClose(p.data, by_hand(start, g, **settings))
            self.assertEqual(optimizer.state_dict()["steps"].tolist(), [0, 3])

    def test_copies_and_pickles_of_a_model_with_its_optimizer(self):
        for make, duplicate in product(self.MAKE, (copy.deepcopy, pickled)):
            model = Tied(0)
            optimizer = make(model.parameters())
            fit(model, optimizer)
            twin, its_optimizer = duplicate((model, optimizer))
            before = model.state_dict()
            later = fit(twin, its_optimizer)
            self.assertTrue(its_optimizer.params[0] is twin.tied is twin.hidden[0].W)
            self.assertStates(model, before)  # the original stood still
            self.assertEqual(fit(model, optimizer), later)

    def test_states_are_copies(self):
        model = Tied(0)
        for owner in model, Adam(model.parameters()):
            state, before = owner.state_dict(), owner.state_dict()
            for array in state.values():
                array += 1
            self.assertStates(owner, before)
            owner.load_state_dict(state)
            loaded = copy.deepcopy(state)
            for array in state.values():
                array += 1
            self.assertStates(owner, loaded)

    def test_numbers_of_another_precision_are_converted(self):
        narrow, wide = Layer(2, 1, dtype=np.float32), Layer(2, 1)
        narrow.load_state_dict(wide.state_dict())
        self.assertSame(narrow.W.data, wide.W.data.astype(np.float32))
        wide.load_state_dict({"W": [[1], [2]], "b": np.array([True])})
        self.assertSame(wide.W.data, np.array([[1.0], [2.0]]))

    def test_loading_is_all_or_nothing(self):
        model = Tied(0)
        optimizer = SGD(model.parameters(), momentum=0.9)
        fit(model, optimizer)
        for owner in model, optimizer:
            before = owner.state_dict()
            good = {name: array + 1 for name, array in before.items()}
            last = [name for name, array in before.items() if array.ndim][-1]
            short = {name: array for name, array in good.items() if name != last}
            shape = good[last].shape
            count = [name for name in good if good[name].dtype.kind == "i"]
            for state, error, message in [
                (short, KeyError, last), ({**good, "surplus": 1}, KeyError, "surplus"),
                ({**good, last: np.ones(7)}, ValueError,
                 rf"{last}.*\(7,\).*\({shape[0]},"),
                ({**good, last: np.ones(shape, complex)}, TypeError,
                 f"{last}.*complex"),
                ({**good, last: np.full(shape, "a")}, TypeError, last),
                ({**good, last: None}, (TypeError, ValueError), last),
                ({**good, last: [[1.0], [2.0, 3.0]]}, ValueError, "inhomogeneous"),
                (saved({**good, last: np.array([{}] * 3)}), ValueError, "pickle"),
                (list(good), TypeError, "dict.*list"),
                (None, TypeError, "dict.*NoneType"),
                *[({**good, n: good[n] * 1.0}, TypeError,
                   f"{n}.*float64") for n in count],
            ]:
                with self.subTest(message), self.assertRaisesRegex(error, message):
                    owner.load_state_dict(state)
                self.assertStates(owner, before)

    def test_numpys_global_random_state_is_never_touched(self):
        before = pickle.dumps(np.random.get_state())
        model = Sequential(MLP(3, [4]), BatchNorm1d(4), Dropout(), Layer(4, 3),
                           Neuron(3))
        fit(Sequential(model, lambda t: t.reshape(-1, 1) * [1, 2, 3]),
            Adam(model.parameters()))
        gradcheck(lambda x: x * x, Tensor([1.0, 2.0]))
        self.assertEqual(pickle.dumps(np.random.get_state()), before)

    def test_two_threads_train_two_models_at_once(self):
        def train(seed):
            model = MLP(3, [8, 3], rng=seed)
            results[seed] = fit(model, Adam(model.parameters(), lr=0.01), 40)

        results = {}
        train(0), train(1)
        alone, results = results, {}
        threads = [threading.Thread(target=train, args=(seed,)) for seed in (0, 1)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual(results, alone)


# ======================================================================================
# Mistakes: each ends in an error that tells what to do, and changes nothing


class World:
    """Everything that a mistake might damage."""

    def __init__(self):
        self.t, self.v, self.s = Tensor(numbers(2, 3)), Tensor(numbers(3)), Tensor(2.0)
        self.array = numbers(2, 3)
        self.model = Sequential(Layer(3, 4, rng=0), BatchNorm1d(4), Layer(4, 3, rng=0))
        self.adam = Adam(self.model.parameters(), lr=0.1)
        self.sgd = SGD([self.t, self.v, self.s], momentum=0.9)
        self.bare = Optimizer([Tensor(1.0), self.s])
        self.coded, self.doubled, self.fixed = Module(), Module(), Module()
        self.coded.codes = np.zeros(1, np.int8)
        self.doubled.parts = {1: {"a": np.ones(2)}, "1": {"a": np.ones(2)}}
        self.fixed.mask = np.broadcast_to(1.0, 3)
        fit(self.model, self.adam)
        (self.t * self.v * self.s).sum().backward()
        self.sgd.step()

    def snapshot(self):
        tensors = [self.t, self.v, self.s, *self.model.parameters(), *self.bare.params]
        arrays = [t.data for t in tensors] + [t.grad for t in tensors] + [self.array]
        for owner in self.model, self.adam, self.sgd, self.bare, self.coded, self.fixed:
            arrays += owner.state_dict().values()
        return [None if array is None else array.tobytes() for array in arrays]

    def swapped(self, action, owner, name, value):
        before = getattr(owner, name)
        setattr(owner, name, value)
        try:
            action()
        finally:
            setattr(owner, name, before)


def used_up(parameters):
    generator = (p for p in parameters)
    return generator if list(generator) else None


def settings(make, names):
    for name, value in product(names.split(), (-0.1, np.nan)):
        mistake = lambda w, s={name: value}: make([w.t], **s)
        yield f"{make.__name__} {name}={value}", mistake, ValueError, name


MISTAKES = [
    # What a Tensor is made of
    ("None", lambda w: Tensor(None), TypeError, "numbers, got None.*return"),
    ("text", lambda w: Tensor("1.0"), TypeError, "str"),
    ("dict", lambda w: Tensor({}), TypeError, "dict"),
    ("complex", lambda w: Tensor([1j]), TypeError, "complex128"),
    ("half", lambda w: Tensor(np.float16(1)), TypeError, "float16, not float32 or float64"),
    ("long double", lambda w: Tensor(np.ones(1, "g")), TypeError, "float32 or float64"),
    ("objects", lambda w: Tensor([{}, {}]), TypeError, "numbers, got list.*object"),
    ("complex value", lambda w: Tensor.from_op(1j, "op"), TypeError, "complex"),
    ("ragged", lambda w: Tensor([[1.0], [2.0, 3.0]]), ValueError, "inhomogeneous"),
    ("Tensors", lambda w: Tensor([w.s, w.s]), TypeError, "stack"),
    ("nested Tensors", lambda w: Tensor([[1.0, (w.s, 2)]]), TypeError, "stack"),
    ("deque", lambda w: Tensor(deque([w.s, w.s])), TypeError, "stack"),
    ("UserList", lambda w: Tensor([UserList([w.s])]), TypeError, "stack"),
    ("Tensors as operand", lambda w: w.v + [w.s, w.s, w.s], TypeError, "stack"),
    # Using one
    ("assigning", lambda w: operator.setitem(w.t, 0, 1.0), TypeError,
     "item assignment"),
    ("len of 0-d", lambda w: len(w.s), TypeError, "len|unsized"),
    ("loop over 0-d", lambda w: iter(w.s), TypeError, "0-d|unsized|iter"),
    ("float of many", lambda w: float(w.t), ValueError, "size 1|one element"),
    ("item of many", lambda w: w.t.item(), ValueError, "size 1|one element"),
    ("truth of many", lambda w: bool(w.t), ValueError, "ambiguous"),
    ("index too large", lambda w: w.t[2], IndexError, "2"),
    ("t -= wider", lambda w: no_grad()(operator.isub)(w.v, w.array), ValueError,
     r"\(3,\).*\(2,3\)"),
    ("t -= array", lambda w: operator.isub(w.t, w.t.grad), TypeError, r"-=.*no_grad"),
    ("int data", lambda w: w.swapped(lambda: w.v + 1, w.v, "data", np.arange(3)),
     TypeError, r"'\+' computed int64.*\.data"),
    ("format many", lambda w: f"{w.t:.2f}", ValueError, "size 1|one element"),
    # backward
    ("vector", lambda w: (w.t * 1).backward(), ValueError,
     r"\(2, 3\).*sum\(\).*mean\(\)"),
    ("constant", lambda w: w.s.detach().backward(), RuntimeError, "grad"),
    ("gradient", lambda w: (w.t * 1).backward([1] * 3), ValueError,
     r"\(3,\).*\(2, 3\)"),
    ("gradient of 1", lambda w: (w.s * 1).backward([1.0]), ValueError, r"\(1,\).*\(\)"),
    ("gradient of text", lambda w: (w.s * 1).backward("1"), TypeError, "str"),
    *[(f"grad {g} before", lambda w, g=g: w.swapped((w.t * w.v * w.s).sum().backward,
                                                    w.s, "grad", g), error, message)
      for g, error, message in [(np.ones(2), ValueError, r"\(\).*\(2,\)"),
                                (np.array(1j), TypeError, "complex")]],
    # Arithmetic and shapes
    ("shapes", lambda w: w.t * np.ones(4), ValueError, r"\(2, ?3\).*\(4,\)"),
    ("None as operand", lambda w: w.t + None, TypeError, "got None"),
    ("text as operand", lambda w: "a" * w.t, TypeError, "str"),
    ("complex operand", lambda w: w.t * 1j, TypeError, "complex"),
    ("matmul", lambda w: w.t @ w.array, ValueError, r"\(2, 3\).*\(2, 3\)"),
    ("matmul on the right", lambda w: w.array.T @ w.v, ValueError, r"\(3, 2\).*\(3,\)"),
    ("matmul by a number", lambda w: w.t @ 2.0, ValueError, r"\(2, 3\).*\(\)"),
    ("axis", lambda w: w.t.sum(axis=2), ValueError, "axis 2"),
    ("axis of max", lambda w: w.t.max(axis=-3), ValueError, "axis -3"),
    ("axis of softmax", lambda w: w.t.softmax(axis=2), ValueError, "axis 2"),
    ("max of nothing", lambda w: Tensor(np.ones((0, 2))).max(), ValueError,
     "zero-size"),
    ("reshape", lambda w: w.t.reshape(4, 2), ValueError, r"6.*\(4, ?2\)"),
    ("transpose", lambda w: w.t.transpose(0, 0), ValueError, "repeated"),
    # Joining and losses
    ("no list", lambda w: concatenate(w.t, w.t), TypeError, r"concatenate\(\[a, b\]\)"),
    ("no list to stack", lambda w: stack(w.t), TypeError, "list"),
    ("condition", lambda w: where(w.v, w.v, 0.0), TypeError, r"\.data"),
    ("choices", lambda w: where([True, False], w.v, 0.0), ValueError,
     r"\(2,\).*\(3,\)"),
    ("list of choices", lambda w: where(True, [w.s, w.s], 0.0), TypeError, "stack"),
    ("choice", lambda w: where(True, w.v, "a"), TypeError, "str"),
    ("stack of nothing", lambda w: stack([]), ValueError, "."),
    ("stack", lambda w: stack([w.t, w.v]), ValueError,
     r"\(2, 3\).*\(3,\)|\(3,\).*\(2, 3\)"),
    ("concatenate of nothing", lambda w: concatenate([]), ValueError, "."),
    ("concatenate", lambda w: concatenate([w.t, np.ones((2, 4))]), ValueError, "3.*4"),
    ("concatenate scalars", lambda w: concatenate([w.s, w.s]), ValueError, "zero-dim"),
    ("mse", lambda w: mse_loss(w.v, w.v.reshape(3, 1)), ValueError,
     r"\(3,\).*\(3, 1\)"),
    ("mse broadcast", lambda w: mse_loss(w.t, 0.0), ValueError, r"\(2, 3\).*\(\)"),
    ("mse of nothing", lambda w: mse_loss(Tensor([]), []), ValueError, r"\(0,\)"),
    ("label too large", lambda w: cross_entropy(w.t, [0, 3]), ValueError, "0.*2.*3"),
    ("negative label", lambda w: cross_entropy(w.t, [-1, 0]), ValueError,
     r"0.*2.*-1.*logits\[mask\]"),
    ("float labels", lambda w: cross_entropy(w.t, [0.0, 1]), TypeError,
     "integer.*float64"),
    ("text labels", lambda w: cross_entropy(w.t, ["a", "b"]), TypeError, "integer"),
    ("one label", lambda w: cross_entropy(w.t, [0]), ValueError, r"\(2, 3\).*\(1,\)"),
    ("column", lambda w: cross_entropy(w.t, [[0], [1]]), ValueError,
     r"labels \(2,\) or probabilities \(2, 3\), got \(2, 1\)"),
    *[(f"scalar logits, {y}", lambda w, y=y: cross_entropy(w.s, y), ValueError,
       r"\(\)") for y in (0, 1, 1.0)],
    ("no images", lambda w: cross_entropy(np.ones((0, 3)), []), ValueError,
     r"\(0, 3\)"),
    ("no classes", lambda w: cross_entropy(np.ones((1, 0)), [0]), ValueError,
     r"\(1, 0\)"),
    *[(f"probability {p}", lambda w, p=p: cross_entropy(w.v, [p, 0, 0]), ValueError,
       "probabilit")
      for p in (1.5, -0.5, np.nan)],
    ("labels of all", lambda w: cross_entropy(w.v, [0, 1, 1]), ValueError, "one 1"),
    ("array", lambda w: gradcheck(abs, w.array), (TypeError, ValueError), "input 0"),
    ("float32", lambda w: gradcheck(lambda x, y: x, w.s, Tensor(np.float32(1))),
     ValueError, "float64.*float32|float32.*float64"),
    ("no Tensor returned", lambda w: gradcheck(lambda x: 1.0, w.s), TypeError, r"Tensor, not 1\.0"),
    # Modules
    ("no forward", lambda w: type("Mine", (Module,), {})()(w.t), NotImplementedError,
     "Mine"),
    ("features", lambda w: w.model(w.array.T), ValueError, r"\(3, 2\).*\(3, 4\)"),
    ("text as input", lambda w: w.model("digits"), TypeError, "str"),
    ("no inputs", lambda w: Neuron(0), ValueError, "0"),
    ("no neurons", lambda w: Layer(2, 0), ValueError, "0"),
    ("no layers", lambda w: MLP(2, []), ValueError, "nouts"),
    ("one number", lambda w: MLP(2, 3), TypeError, r"nouts.*\[16, 1\]"),
    ("no features", lambda w: BatchNorm1d(0), ValueError, "num_features"),
    ("integers", lambda w: BatchNorm1d(2, dtype=int), TypeError, "float32.*int"),
    *[(f"momentum {m}", lambda w, m=m: BatchNorm1d(2, momentum=m), ValueError,
       "momentum") for m in (-0.1, 1.1, np.nan)],
    ("eps", lambda w: BatchNorm1d(2, eps=-1e-5), ValueError, "eps"),
    ("nonlin", lambda w: Layer(2, 2, nonlin="relu"), TypeError, "nonlin.*'relu'"),
    ("dtype", lambda w: MLP(2, [2], dtype=np.float16), TypeError, "float32.*float16"),
    ("a list", lambda w: Sequential([Layer(2, 2)]), TypeError, "Sequential"),
    *[(f"p={p}", lambda w, p=p: Dropout(p), ValueError, str(p)) for p in (1.5, -0.1,
                                                                          np.nan)],
    ("features", lambda w: BatchNorm1d(4)(w.array), ValueError, r"\(N, 4\).*\(2, 3\)"),
    ("1-d", lambda w: w.model.layers[1](np.ones(4)), ValueError, r"\(N, 4\).*\(4,\)"),
    ("4-d", lambda w: BatchNorm1d(4)(np.ones((2, 4, 1, 1))), ValueError,
     r"\(2, 4, 1, 1\)"),
    ("one sample", lambda w: w.model(w.array[:1]), ValueError, r"\(1, 4\).*eval\(\)"),
    ("no sample", lambda w: w.model(w.array[:0]), ValueError, r"\(0, 4\)"),
    ("model", lambda w: w.model.load_state_dict(MLP(3, [2]).state_dict()), KeyError,
     "another model.*missing.*2.W"),
    ("state", lambda w: w.model.load_state_dict(w.adam.state_dict()), KeyError,
     "missing.*layers.0.*unknown.*m.0"),
    ("narrower", lambda w: w.coded.load_state_dict({"codes": np.array([300])}),
     TypeError, "codes.*int64.*int8"),
    ("same name", lambda w: w.doubled.state_dict(), ValueError, "1.a"),
    ("read-only", lambda w: w.fixed.load_state_dict(w.fixed.state_dict()), ValueError,
     "mask.*read-only"),
    # Optimizers
    ("one Tensor", lambda w: SGD(w.t), TypeError, "list"),
    ("a model", lambda w: Adam(w.model), TypeError, "iterable|param"),
    ("arrays", lambda w: SGD([w.array]), TypeError, "ndarray"),
    ("no parameters", lambda w: SGD([]), ValueError, "param"),
    ("used up", lambda w: Adam(used_up(w.model.parameters())), ValueError, "generator"),
    ("twice", lambda w: SGD([w.t, w.v, w.t]), ValueError, "twice|same|duplicate"),
    ("not a leaf", lambda w: Adam([w.t * 2]), ValueError, "lea[fv]"),
    *settings(SGD, "lr momentum weight_decay"),
    *settings(Adam, "lr eps weight_decay"),
    *[(f"betas {b}", lambda w, b=b: Adam([w.t], betas=b), ValueError, "betas")
      for b in [(0.9, 1.0), (1.0, 0.9), (-0.1, 0.9), (0.9, -0.1), (0.9,),
                (0.9, 0.9, 0.9)]],
    ("no rule", lambda w: w.bare.step(), NotImplementedError, "Optimizer.*update"),
    ("grad", lambda w: w.swapped(w.sgd.step, w.s, "grad", np.ones(2)),
     ValueError, r"\(\).*\(2,\)"),
    ("complex grad", lambda w: w.swapped(w.sgd.step, w.s, "grad", np.array(1j)),
     TypeError, "complex"),
    ("frozen array", lambda w: w.swapped(w.sgd.step, w.s, "data",
                                         np.broadcast_to(2.0, ())),
     ValueError, "read-only"),
    *[(f"grad of {p.shape}", lambda w, p=p: w.swapped(
        w.adam.step, w.model.parameters()[-1], "grad", p), ValueError, r"\(3,\).*\(4,")
      for p in (np.ones(4), np.ones((4, 3)))],
    ("grad zero", lambda w: w.swapped(w.sgd.step, w.s, "grad", [0.0]),
     ValueError, r"\(\).*\(1,\)"),
    *[(f"step at {lr}", lambda w, lr=lr: w.swapped(w.adam.step, w.adam, "lr", lr),
       ValueError, "lr")
      for lr in (-0.1, np.nan)],
    *[(f"step at {lr}", lambda w, lr=lr: w.swapped(w.adam.step, w.adam, "lr", lr),
       TypeError, ".")
      for lr in (None, "0.1")],
]  # fmt: skip


class TestMistakes(Case):
    def test_each_gets_a_clear_error_and_changes_nothing(self):
        world = World()
        for name, mistake, error, message in MISTAKES:
            with self.subTest(name):
                before = world.snapshot()
                with self.assertRaisesRegex(error, message):
                    mistake(world)
                self.assertEqual(world.snapshot(), before)


# ======================================================================================
# Programs that use it


class TestPrograms(Case):
    def test_freezing_and_formatting(self):
        model = MLP(2, [3, 1], rng=0)
        before = model.layers[0].W.data.copy()
        optimizer = SGD(model.parameters(), lr=0.1)
        model(np.ones((4, 2))).sum().backward()
        for p in model.layers[0].parameters():
            p.requires_grad = False
        model.zero_grad()  # the frozen ones too, or the next step would move them
        loss = model(np.ones((4, 2))).sum()
        loss.backward()
        optimizer.step()
        self.assertSame(model.layers[0].W.data, before)
        self.assertEqual([n for n, p in model.named_parameters()],
                         ["layers.1.W", "layers.1.b"])
        self.assertEqual(f"{Tensor(0.125):.2f} {Tensor([2.0])}", "0.12 Tensor([2.])")

    def test_the_expression_in_micrograds_readme(self):
        Value = Tensor
        a, b = Value(-4.0), Value(2.0)
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        g.backward()
        values = [f"{x:.4f}" for x in (g.data, a.grad, b.grad)]
        self.assertEqual(values, ["24.7041", "138.8338", "645.5773"])

    def test_micrograds_classifier_of_two_moons(self):
        from sklearn.datasets import make_moons

        X, y = make_moons(n_samples=20, noise=0.1, random_state=1)
        inputs = [list(map(Tensor, row)) for row in X]
        model = MLP(2, [16, 16, 1], rng=0)
        optimizer = Adam(model.parameters(), lr=0.1)
        for _ in range(60):
            scores = list(map(model, inputs))
            if all((score.data > 0) == (yi > 0) for yi, score in zip(y, scores)):
                break
            losses = [(1 + -yi * score).relu() for yi, score in zip(y * 2 - 1, scores)]
            loss = sum(losses) * (1.0 / len(losses))
            loss += 1e-4 * sum((p * p).sum() for p in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            self.fail("some moons are on the wrong side")
        self.assertEqual(inputs[0][1].grad.shape, ())

    def test_a_transformer_block(self):
        """Attention with a causal mask, against loops over heads and tokens."""
        tokens = np.array([[0, 2, 1], [2, 2, 3]])  # (N, T), of a vocabulary of 4
        N, T, D, H = *tokens.shape, 4, 2
        mask = np.triu(np.full((T, T), -1e9), 1)
        split = lambda x: x.reshape(N, T, H, D // H).transpose(0, 2, 1,
                                                               3)  # (N, H, T, D/H)

        def block(E, gain, Wq, Wk, Wv, Wo, W1, W2):
            x = E[tokens]
            n = x / ((x * x).mean(axis=-1, keepdims=True) + 1e-5).sqrt() * gain
            q, k, v = split(n @ Wq), split(n @ Wk), split(n @ Wv)
            scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(D // H) + mask
            mixed = (scores.softmax() @ v).transpose(0, 2, 1, 3).reshape(N, T, D)
            x = x + mixed @ Wo
            return (x + (x @ W1).relu() @ W2) @ E.T

        def by_loops(E, gain, Wq, Wk, Wv, Wo, W1, W2):
            out = np.zeros((N, T, 4))
            for i, row in enumerate(tokens):
                x = E[row]
                n = np.array([r / math.sqrt(sum(r * r) / D + 1e-5) for r in x]) * gain
                q, k, v, mixed = n @ Wq, n @ Wk, n @ Wv, np.zeros((T, D))
                for h, t in product((slice(0, 2), slice(2, 4)), range(T)):
                    weights = np.exp(k[: t + 1, h] @ q[t, h] / math.sqrt(2))
                    mixed[t, h] = weights @ v[: t + 1, h] / weights.sum()
                x = x + mixed @ Wo
                out[i] = (x + relu(x @ W1) @ W2) @ E.T
            return out

        shapes = [(4, D), (D,), (D, D), (D, D), (D, D), (D, D), (D, 6), (6, D)]
        arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
        self.assertGradients(block, by_loops, *arrays)


class TestDocumentation(unittest.TestCase):
    """The examples in docstrings and in the README are tests, too."""

    def check(self, run, *arguments, **options):
        text, here = io.StringIO(), os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # for examples that save a file
            try:
                with contextlib.redirect_stdout(text):
                    failed, attempted = run(*arguments, **options)
            finally:
                os.chdir(here)
        self.assertEqual(failed, 0, text.getvalue())
        self.assertGreater(attempted, 0)

    def test_digits_demo(self):
        import digits_demo

        self.check(doctest.testmod, digits_demo)

    def test_readme(self):
        path = str(HERE / "README.md")
        self.check(doctest.testfile, path, module_relative=False, encoding="utf-8")

    def test_minigrad_checks_itself_when_run(self):
        command = [sys.executable, str(HERE / "minigrad.py")]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex(run.stdout, r"^([1-9]\d*) of \1 examples passed$")

    def test_public_names(self):
        self.assertCountEqual(minigrad.__all__, """Tensor no_grad stack concatenate
            where cross_entropy mse_loss gradcheck to_dot Module Neuron Layer Sequential
            MLP Dropout BatchNorm1d Optimizer SGD Adam""".split())  # fmt: skip
        self.assertEqual(minigrad.__version__, "2.0.0")


class TestDemo(unittest.TestCase):
    """digits_demo.py, end to end on a small setting."""

    LINE = r"(?m)^Epoch +(\d+)  TrainLoss (\d+\.\d{4})  ValAcc (\d+\.\d\d)%$"

    def run_demo(self, *arguments):
        import digits_demo

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            digits_demo.main(list(arguments))
        return out.getvalue()

    def test_it_learns_and_prints_a_line_for_each_epoch(self):
        for kind in "adam", "sgd":
            text = self.run_demo("--epochs", "3", "--samples", "200", "--optimizer",
                                 kind)
            epochs, losses, accuracies = zip(*re.findall(self.LINE, text))
            self.assertEqual(epochs, ("1", "2", "3"))
            self.assertLess(float(losses[-1]), float(losses[0]))
            self.assertGreater(float(accuracies[-1]), 80)
            self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_the_seed_decides_and_a_saved_network_answers_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            short, path = ["--epochs", "1", "--samples",
                           "100"], str(Path(folder, "a.npz"))
            text = self.run_demo(*short, "--save", path)
            loaded = self.run_demo("--load", path)
        self.assertEqual(self.run_demo(*short), text)
        lines = [re.findall(self.LINE,
                            t) for t in (text, self.run_demo(*short, "--seed", "1"))]
        self.assertNotEqual(*lines)
        self.assertIn(lines[0][-1][-1], loaded)  # the accuracy
        self.assertNotIn("Epoch", loaded)

    def test_mistakes_end_with_status_2_before_any_training(self):
        with tempfile.TemporaryDirectory() as folder:
            text, other, no = (str(Path(folder, name)) for name in ("a.npz", "b.npz",
                                                                    "c/d"))
            Path(text).write_text("no network")
            np.savez(other, W=np.ones(3))
            for option in """samples 0, samples 5000, epochs -1, lr -1, lr nan, seed x,
                batch-size 0, optimizer rmsprop""".split(","):
                name, value = option.split()
                self.refuses("--" + name, value)
            for arguments in [("--load", text), ("--load", other), ("--load", no),
                              ("--load", folder), ("--save", no)]:  # fmt: skip
                self.refuses(*arguments)

    def refuses(self, *arguments):
        with self.subTest(arguments=arguments):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
                with self.assertRaises(SystemExit) as caught:
                    self.run_demo(*arguments)
            self.assertEqual((caught.exception.code, out.getvalue()), (2, ""))
            self.assertIn("error: ", err.getvalue().splitlines()[-1])

    def test_a_terminal_without_block_characters_gets_ascii(self):
        command = [sys.executable, str(HERE / "digits_demo.py"), "--epochs", "1",
                   "--samples", "100"]  # fmt: skip
        env = dict(os.environ, PYTHONIOENCODING="ascii")
        run = subprocess.run(command, env=env, capture_output=True, timeout=120)
        self.assertEqual((run.returncode, run.stderr), (0, b""))
        self.assertRegex(run.stdout.decode("ascii").replace("\r", ""), self.LINE)


if __name__ == "__main__":
    unittest.main()
