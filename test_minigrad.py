# SPDX-License-Identifier: MIT
"""The tests of minigrad.

    python test_minigrad.py                           all; so do -m unittest and pytest
    python test_minigrad.py TestOperations.test_exp   one; -f stops at the first failure

To find the tests of a feature, search for its name. Operations are rows of OPERATIONS
and EDGES, what one line can say is in FACTS or MISTAKES (run by TestLines), the rest is
in classes. A new operation `sin` needs one row, which says what NumPy does:

    sin | a.sin() | np.sin(a)

What is expected comes from NumPy, central differences or a calculation by hand, never
from minigrad. The examples in minigrad.py are tests, too, and are not repeated here.
"""

import builtins
import contextlib
import contextvars
import copy
import functools
import gc
import importlib.util
import io
import math
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
from itertools import combinations, product
from pathlib import Path
from unittest import mock

# Before NumPy is imported: on small matrices, threads cost more than they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import minigrad as mg  # noqa: E402
from minigrad import Tensor  # noqa: E402

HERE = Path(__file__).resolve().parent
TRI = np.tri(3, dtype=bool)
F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
LAYOUTS = [
    lambda a: a.copy("F"),  # Fortran order
    lambda a: np.flip(np.flip(a).copy()),  # the same numbers, with negative strides
    lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,  # read-only, strides 0
]
WITH_SKLEARN = unittest.skipUnless(
    importlib.util.find_spec("sklearn"), "scikit-learn is not installed"
)


def load_tests(loader, *_):
    """The tests in the order of this file; unittest would sort them by name."""
    tests = []
    for case in Test.__subclasses__():
        order = [*vars(case)].index
        tests += map(case, sorted(loader.getTestCaseNames(case), key=order))
    if TestDocumentation("test_examples_of_minigrad") in tests:
        examples_of_minigrad()
    return unittest.TestSuite(tests)


@functools.cache
def examples_of_minigrad():
    """They take three seconds, so they run beside the other tests, which come first."""
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "minigrad.py"], cwd=HERE, **pipe)


def numbers(*shape, seed=0):
    """Random numbers of both signs; the same arguments give the same ones."""
    return np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape, seed=0):
    return np.asarray(np.exp(numbers(*shape, seed=seed) / 2))


def central_differences(f, arrays, weights, eps=1e-5):
    """The gradients of (f(*arrays) * weights).sum() with respect to each array."""
    gradients, arrays = [np.zeros(a.shape) for a in arrays], copy.deepcopy(arrays)
    for array, gradient in zip(arrays, gradients):
        for index in np.ndindex(array.shape):
            old, results = array[index], []
            for moved in old + eps, old - eps:
                array[index] = moved
                results.append((f(*arrays) * weights).sum())
            array[index] = old
            gradient[index] = (results[0] - results[1]) / (2 * eps)
    return gradients


class Test(unittest.TestCase):
    raises = unittest.TestCase.assertRaisesRegex

    def run(self, result=None):
        """In a context of its own: if no_grad leaks, it leaks into no other test."""
        return contextvars.copy_context().run(super().run, result)

    def setUp(self):
        warned = warnings.catch_warnings()
        warned.__enter__()
        self.addCleanup(warned.__exit__, None, None, None)
        warnings.simplefilter("error")  # what is finite must not warn on its way
        gc.disable()  # graphs must be freed without the garbage collector
        self.addCleanup(gc.enable)

    @contextlib.contextmanager
    def about(self, *what):
        """Say in the message of a failure what it is about."""
        try:
            yield
        except Exception as error:
            label = ", ".join(map(str, what))
            failure = self.failureException(f"{label}:\n{error}")
            raise failure.with_traceback(error.__traceback__) from None

    def assertClose(self, actual, expected, rtol=1e-12, atol=None):
        """Equal up to rounding, whatever the dtype; lists item by item."""
        if isinstance(expected, list) and isinstance(actual, list):
            for i, pair in enumerate(zip(actual, expected, strict=True)):
                with self.about(f"item {i}"):
                    self.assertClose(*pair, rtol, atol)
        else:
            self.assertEqual(np.shape(actual), np.shape(expected))
            atol = rtol if atol is None else atol
            np.testing.assert_allclose(actual, expected, rtol, atol)

    def assertSame(self, actual, expected):
        """Equal to the last bit, shape and dtype included; lists item by item."""
        if isinstance(expected, list) and isinstance(actual, list):
            for i, pair in enumerate(zip(actual, expected, strict=True)):
                with self.about(f"item {i}"):
                    self.assertSame(*pair)
        else:
            np.testing.assert_array_equal(actual, expected, strict=True)

    def folder(self):
        """A new folder, which goes with the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def assertApart(self, *arrays):
        for one, two in combinations(arrays, 2):
            self.assertFalse(np.shares_memory(one, two), "they share memory")

    def check(self, f, reference, *arrays):
        """Test all that holds for an operation `f`, given its `reference` in NumPy."""
        tensors = [Tensor(array) for array in arrays]
        out = f(*tensors)
        weights = numbers(*out.shape, seed=9).copy("F")  # in an odd layout, too
        weights.flags.writeable = False  # no vjp may change its g
        out.backward(weights)
        grads = [t.grad.copy() for t in tensors]
        with self.about("value as in NumPy"):
            self.assertClose(out.data, reference(*arrays))
        with self.about("gradients of the inputs as by central differences"):
            slopes = central_differences(reference, arrays, weights)
            self.assertClose(grads, slopes, 1e-7)
        with self.about("a second backward adds the same again"):
            out.backward(weights)
            self.assertSame([t.grad for t in tensors], [2 * grad for grad in grads])
        with self.about("inputs unchanged, no memory shared, grads writable"):
            self.assertSame([t.data for t in tensors], list(arrays))
            self.assertApart(*[a for t in tensors for a in (t.data, t.grad)], weights)
            self.assertTrue(all(t.grad.flags.writeable for t in tensors))
        with self.about("the same where the other inputs are constants"):
            frozen = [Tensor(array, requires_grad=False) for array in arrays]
            self.assertFalse(f(*frozen).requires_grad)
            for constants, i in product((arrays, frozen), range(len(arrays))):
                mixed = [*constants]
                mixed[i] = Tensor(arrays[i])
                f(*mixed).backward(weights)
                self.assertClose(mixed[i].grad, grads[i])
        with self.about("float32 stays float32"):
            narrow = [Tensor(array.astype(F4)) for array in arrays]
            inner = [t * 1 for t in narrow]  # leaves would convert their gradients
            result = f(*inner)
            result.backward(weights.astype(F4))
            dtypes = [result.dtype, *[t.grad.dtype for t in inner]]
            self.assertEqual(dtypes, [F4] * len(dtypes))
            self.assertClose([t.grad for t in narrow], grads, 1e-4)
        with self.about("the same for every layout in memory"):
            for layout in LAYOUTS:
                odd, even = (
                    [Tensor(layout(a).copy("C")) for a in arrays] for _ in "12"
                )
                for t, array in zip(odd, arrays):
                    t.data = np.asarray(layout(array))
                results = [f(*some) for some in (odd, even)]
                for result in results:
                    result.backward(weights)
                self.assertClose(*[result.data for result in results])
                self.assertClose([t.grad for t in odd], [t.grad for t in even])
        with self.about("the graph is freed with its result"):
            inner = [t * 1 for t in tensors]
            result = f(*inner)
            result.backward(weights)
            graph = [weakref.ref(t) for t in (result, *inner)]
            del result, inner
            self.assertEqual([ref() for ref in graph], [None] * len(graph))


# ==== Operations: one row each ========================================================
# Name | in Python, of Tensors a, b, c | in NumPy, if it reads differently | shapes |
# "positive", if numbers must be. "23,3 .,." are two runs: shapes (2, 3) and (3,) for a
# and b, then () and (). Without shapes, they are those of ANY. A name in {} stands for
# each of its VARIANTS (between semicolons), the same one in both languages.
OPERATIONS = """
add           | a + b                       |                     | {PAIRS}
sub           | a - b                       |                     | {PAIRS}
mul           | a * b                       |                     | {PAIRS}
truediv       | a / b                       |                     | {PAIRS}   | positive
pow           | a ** b                      |                     | {PAIRS}   | positive
pow           | a ** {WHOLE}                |                     | 4
matmul        | a @ b                       |                     | {PRODUCTS}
constants     | a {SIGN} {NUMBER}           |                     | 3         | positive
constants     | {NUMBER} {SIGN} a           |                     | 3         | positive
constants     | a * {NUMBER}                |                     | 3
constants     | a @ {LIST}                  |                     | 3 23
constants     | {LIST} @ a                  |                     | 3 32
neg           | -a
sum           | a.sum(axis={AXIS})          |                     | 232
sum           | a.sum()                     |                     | {ANY}
sum           | a.sum(1)                    |                     | 032
mean          | a.mean(axis={AXIS})         |                     | 232
mean          | a.mean(-1)                  |                     | 3 032
max           | a.max(axis={AXIS})          |                     | 232
max           | a.max(-1)                   |                     | 3 032
min           | a.min(axis={AXIS})          |                     | 232
min           | a.min(-1)                   |                     | 3 032
reshape       | a.reshape({SHAPE})          |                     | 23
transpose     | a.transpose({ORDER})        |                     | 234
transpose     | a.transpose(2, 0, 3, 1)     |                     | 2312
T             | a.T
mT            | a.mT                        |                     | 23 234
getitem       | a[{INDEX}]                  |                     | 232
exp           | a.exp()                     | np.exp(a)
log           | a.log()                     | np.log(a)           | {ANY}     | positive
sqrt          | a.sqrt()                    | np.sqrt(a)          | {ANY}     | positive
abs           | a.abs()                     | np.abs(a)
abs           | abs(a)
relu          | a.relu()                    | (a + np.abs(a)) / 2
tanh          | a.tanh()                    | 1 - 2 / (np.exp(2 * a) + 1)
sigmoid       | a.sigmoid()                 | 1 / (1 + np.exp(-a))
softmax       | a.softmax({ONE})            | softmax(a, {ONE})   | 23 232
log_softmax   | a.log_softmax({ONE})        | np.log(softmax(a, {ONE})) | 23 232
mse_loss      | mg.mse_loss(a, b)           | ((a - b) ** 2).mean() | 3,3 22,22 .,.
mse_loss      | mg.mse_loss(a, {LIST})      | ((a - {LIST}) ** 2).mean() | 3
cross_entropy | mg.cross_entropy(a, {LABELS}) | cross_entropy(a, {LABELS}) | 43
cross_entropy | mg.cross_entropy(a, [[1, 0]]) | cross_entropy(a, [[1, 0]]) | 123
cross_entropy | mg.cross_entropy(a, 2)      | cross_entropy(a, 2) | 3
attention     | mg.attention(a, b, c, TRI) | attend(a, b, c) | 34,34,32 233,233,231
attention     | mg.attention(a, b, c) | attend(a, b, c, 0) | 24,34,32 212,222,221
stack         | mg.stack([a, b, a], {ONE})  |                     | 23,23
stack         | mg.stack([*a])              |                     | 3 23
stack         | mg.stack((a, {LIST}, a))    |                     | 3
concatenate   | mg.concatenate([a, b, c])   |                     | 23,13,03 2,1,3
concatenate   | mg.concatenate([a, b, a], -1) |                   | 23,21
concatenate   | mg.concatenate([{LIST}, a]) |                     | 2
where         | mg.where([[1], [0]], a, b)  |                     | 3,. 3,21 21,3
where         | mg.where(np.array([0, np.nan, 0]), a, b) |        | .,23 3,3
where         | mg.where([True, False, True], {NUMBER}, a) |      | . 3
"""
VARIANTS = {
    "ANY": ". 3 23 212 02",
    # broadcasting
    "PAIRS": ".,. 23,23 23,3 .,23 21,13 2112,321 03,13 11,.",
    "PRODUCTS": """3,3 3,32 23,3 223,3 3,232 023,3 3,032 23,34 11,11 03,32 20,03 23,232
        223,231 2123,332 2113,1231 223,32 2123,32 203,32 220,03 223,30""",
    "SIGN": "+; -; *; /; **",
    "NUMBER": "2; True; 2.5; np.float64(2); np.int64(2); np.array(2.5); {LIST}",
    "LIST": "[1, 2, 3]; (1.5, 2.5, 1); np.arange(1, 4); np.array([True, True, True])",
    "AXIS": "None; 0; 1; -1; (0, 1); (2, 0); (); 1, keepdims=True; None, keepdims=True",
    "WHOLE": "0; 1; 2; 3.0; -1; -2; np.int32(3)",
    "ONE": "; 0; 1; -1; -2",  # an axis, or none
    "SHAPE": "6, 1; -1; (3, -1); 2, 3, 1; [2, 3]",
    "ORDER": "; 1, 2, 0; (1, 2, 0); [0, 2, 1]; -1, 0, -2",
    "INDEX": """0; -1; np.int64(1); 1, 2; 1, 2, 0; (); ...; None; 1:; ::-2; 0:0; True;
        0, ..., 1; 0, None, ::-1, -1; []; [-1, 1]; [1, 1, 1]; [0, 1, 0], [2, 2, 2];
        1, [2, 2]; np.array(1); [[0, 1], [1, 1]]; :, None, [0, 2]; 0:2, [1], 0:1;
        [True, False]; np.indices((2, 3, 2))[1] > 0; np.ix_([1, 0], [2, 0, 2])""",
    "LABELS": "[0, 2, 2, 1]; (1, 1, 0, 2); np.array([2, 1, 0, 0], np.uint8)",
}
# Numbers that `check` does not draw: name | in Python | inputs, value, slopes | ...
EDGES = """
pow     | a ** b      | 0 0 1 0 0 | 0 1 0 1 0 | 0 2 0 0 0 | 0 .5 0 inf 0
pow     | a ** b      | 0 -1 inf -inf -inf | inf 0 1 0 inf | -2 0 1 0 nan
pow     | a ** b      | 3 0 1 0 1.0986122886681098 | -2 3 -8 12 nan | -1 .5 nan nan nan
exp     | a.exp()     | nan nan nan | -inf 0 0
log     | a.log()     | 0 -inf inf | -1 nan -1 | nan nan nan
sqrt    | a.sqrt()    | 0 0 inf | -1 nan nan | nan nan nan
abs     | a.abs()     | 0 0 0 | -0. 0 0 | -1 1 -1 | nan nan nan
relu    | a.relu()    | 0 0 0 | -0. 0 0 | -1 0 0 | 2 2 1 | inf inf 1 | nan nan 0
tanh    | a.tanh()    | 1000 1 0 | -1000 -1 0 | nan nan nan
sigmoid | a.sigmoid() | -1000 0 0 | 0 .5 .25 | 1000 1 0 | nan nan nan
sigmoid | a.sigmoid() | -40 4.248354255291589e-18 4.248354255291589e-18
sigmoid | a.sigmoid() | 40 1 4.248354255291589e-18
"""


def softmax(a, axis=-1):
    return np.exp(a) / np.exp(a).sum(axis, keepdims=True)


def cross_entropy(a, labels):
    return -(np.eye(3)[labels,] * np.log(softmax(a, -1))).sum() / np.size(labels)


def attend(q, k, v, causal=True):
    scores = np.einsum("...tc,...sc->...ts", q, k) / np.sqrt(q.shape[-1])
    t, s = np.indices(scores.shape[-2:])
    scores = np.where(causal and s > t, -np.inf, scores)
    return np.einsum("...ts,...sd->...td", softmax(scores, -1), v)


def variants(text):
    """`text` with each of the VARIANTS of every name in {}."""
    name = re.search(r"\{([A-Z]+)\}", text)
    if not name:
        return [text]
    choices = re.split(r";\s*", VARIANTS[name[1]])
    return [x for choice in choices for x in variants(text.replace(name[0], choice))]


def rows(table):
    return [[cell.strip() for cell in x.split("|")] for x in table.split("\n") if x]


def function(text, n):
    """The function of `n` inputs that `text`, an expression of a, b, c, describes."""
    return eval(f"lambda {', '.join('abc'[:n])}: {text}", globals())


CASES = {}  # for each name: (in Python, in NumPy, shapes, numbers or positive)
for name, text, *rest in rows(OPERATIONS):
    reference, words, sign = [*rest, "", "", ""][:3]
    pairs = zip(variants(text), variants(reference or text.replace("mg.", "np.")))
    for pair, word in product(pairs, variants(words or "{ANY}")[0].split()):
        shapes = [tuple(map(int, x.strip("."))) for x in word.split(",")]
        case = *pair, shapes, positive if sign else numbers
        CASES.setdefault(name, []).append(case)


class TestOperations(Test):
    """All that `check` says, and the edges: a test for each name in OPERATIONS."""

    def test_every_operation_has_a_row(self):
        others = "shape ndim size dtype is_leaf data grad requires_grad op item detach"
        others += " backward from_op doc eq lt le gt ge iadd isub imul itruediv ipow"
        others += " no_grad gradcheck to_dot train_epoch predict"
        signs = {n.strip("_") for n in vars(operator).keys() & vars(Tensor).keys()}
        methods = {name for name in vars(Tensor) if name[0] != "_"}
        functions = {name for name in mg.__all__ if name.islower()}
        without = (signs | methods | functions) - {*others.split(), *CASES}
        self.assertEqual(without, set(), "add rows to OPERATIONS")
        self.assertEqual({name for name, *_ in rows(EDGES)} - {*CASES}, set())

    def check_operation(self, operation):
        for text, like, shapes, make in CASES[operation]:
            f, reference = function(text, len(shapes)), function(like, len(shapes))
            arrays = [make(*shape, seed=i) for i, shape in enumerate(shapes)]
            with self.about(text, *shapes):
                self.check(f, reference, *arrays)
        for name, text, *edges in rows(EDGES):
            for edge in edges if name == operation else ():
                points = [*map(float, edge.split())]
                n = len(points) // 2  # inputs
                tensors = [Tensor(point) for point in points[:n]]
                with self.about(text, edge), np.errstate(all="ignore"):
                    out = function(text, n)(*tensors)
                    out.backward()
                    self.assertClose(out.item(), points[n], atol=0)
                    self.assertClose([t.grad.item() for t in tensors], points[n + 1 :])


for name in CASES:
    method = lambda self, name=name: self.check_operation(name)
    setattr(TestOperations, f"test_{name}", method)


class TestRandomGraphs(Test):
    """Operations drawn at random, whose inputs are drawn from two or more vectors."""

    def draw(self, rng, first):
        """What a graph does: for each operation, all that `follow` needs."""
        for operation in range(4):
            cases = CASES[rng.choice([*CASES]) if operation else first]
            full = [case for case in cases if all(np.prod(shape) for shape in case[2])]
            *texts, shapes, make = full[rng.integers(len(full))]
            functions = [function(text, len(shapes)) for text in texts]
            orders = [np.resize(rng.permutation(12), shape) for shape in shapes]
            sources = rng.integers(operation + 2, size=len(shapes) + 1)
            results = np.size(functions[1](*[positive(*shape) for shape in shapes]))
            mixing = rng.normal(size=(12, results)) / math.sqrt(results or 1)
            yield texts[0], functions, make, orders, sources, mixing

    def follow(self, kind, graph, *leaves):
        """The result of the graph: of Tensors if `kind` is 0, of arrays if it is 1."""
        tanh, stack = [(Tensor.tanh, mg.stack), (np.tanh, np.stack)][kind]
        vectors = list(stack(leaves))
        for text, functions, make, orders, (*sources, old), mixing in graph:
            inputs = [vectors[i][order] for i, order in zip(sources, orders)]
            if make is positive or "**" in text:
                inputs = [x * x + 1 for x in inputs]
            out = functions[kind](*inputs).reshape(-1)
            vectors.append(tanh(vectors[old] + mixing.astype(out.dtype) @ out))
        return sum(vectors[1:], vectors[0])

    def test_chains_of_operations(self):
        for seed, first in enumerate(CASES):
            graph = list(self.draw(np.random.default_rng(seed), first))
            f, like = (functools.partial(self.follow, kind, graph) for kind in (0, 1))
            with self.about(f"seed {seed}", *[text for text, *_ in graph]):
                self.check(f, like, *[numbers(12, seed=i) / 2 for i in (0, 1)])


class TestBackward(Test):
    def test_each_vjp_is_called_once_when_all_shares_have_come(self):
        calls, x = [], Tensor(1.0)

        def node(name, *inputs):
            vjp = lambda g: calls.append((name, g.item())) or g
            return Tensor.from_op(1.0, name, *[(t, vjp) for t in inputs])

        a = node("a", x)
        b = node("b", a)
        c = node("c", a, b)
        node("d", c, a, b).backward()
        expected = [("d", 1.0)] * 3 + [("c", 1.0)] * 2 + [("b", 2.0), ("a", 4.0)]
        self.assertEqual((calls, x.grad.item()), (expected, 4.0))

    def test_vjps_may_return_their_argument_or_an_array_of_their_own(self):
        kept, gradient = np.full(2, 10.0), np.ones(2)
        vjps = [(lambda g: g, 1.0), (lambda g: g[:], 1.0), (lambda g: kept, 10.0)]
        for chosen in [*product(vjps, repeat=1), *product(vjps, repeat=3)]:
            x, y = Tensor(kept), Tensor(kept)
            inner = x * 1
            pairs = [(t, vjp) for vjp, _ in chosen for t in (inner, y)]
            Tensor.from_op(kept.copy(), "op", *pairs).backward(gradient)
            expected = np.full(2, sum(slope for _, slope in chosen))
            self.assertSame([x.grad, inner.grad, y.grad], [expected] * 3)
            self.assertSame([kept, gradient], [np.full(2, 10.0), np.ones(2)])
            self.assertApart(x.grad, y.grad, kept, gradient)

    def test_training_leaves_nothing_to_the_garbage_collector(self):
        gc.collect()
        fit(*training(seed=0))
        self.assertEqual(gc.collect(), 0)


class TestNoGrad(Test):
    def test_it_nests_and_is_undone_by_errors_and_ctrl_c(self):
        x = Tensor(2.0)
        for error in KeyError, KeyboardInterrupt:
            with contextlib.suppress(error), mg.no_grad():
                with mg.no_grad():
                    pass
                self.assertFalse((x * x).requires_grad)
                raise error
            self.assertTrue((x * x).requires_grad)

    def test_it_holds_for_its_thread_alone(self):
        x, results = Tensor(2.0), []
        thread = threading.Thread(target=lambda: results.append(x * x))
        with mg.no_grad():
            thread.start()
            thread.join()
        self.assertTrue(results[0].requires_grad)


class TestAccuracy(Test):
    def test_what_shows_only_at_size(self):
        x, W, g = numbers(50, 40, 3), Tensor(numbers(3, 2)), numbers(50, 40, 2)
        (x @ W).backward(g)
        self.assertClose(W.grad, np.einsum("nti,nto->io", x, g))
        x = np.random.default_rng(0).random((3, 100_000), F4)
        for axis, name in product([1, None], ["sum", "mean"]):
            exact = getattr(x.astype(F8), name)(axis)
            self.assertClose(getattr(Tensor(x), name)(axis).data, exact, 1e-5)

    def test_softmax_of_huge_scores_and_of_a_class_that_is_ruled_out(self):
        p = np.array([1, 0, math.e]) / (1 + math.e)
        logits = [0, -math.inf, 1], [9999, -1e4, 10_000], [-10_000, -2e4, -9999]
        for dtype, label, scores in product((F4, F8), (0, 2), logits):
            x = Tensor(np.array(scores, dtype))
            loss = mg.cross_entropy(x, label)
            loss.backward()
            self.assertClose(x.grad, p - np.eye(3)[label], 1e-6)
            self.assertClose(x.softmax().data, p, 1e-6)
            for found in loss, -x.log_softmax()[label]:
                self.assertClose(found.item(), -math.log(p[label]), 1e-6)

    def test_softmax_has_no_subnormal_float32_but_keeps_small_float64(self):
        x = Tensor(np.linspace(-120, 0, 1000).astype(F4))
        p = x.softmax()
        (p * numbers(1000).astype(F4)).sum().backward()
        for array in p.data, x.grad:
            smallest = abs(array[array != 0]).min()
            self.assertGreaterEqual(smallest, np.finfo(F4).smallest_normal)
        self.assertClose(p.data, softmax(x.data.astype(F8)), 1e-6)
        tiny = Tensor([0.0, -600.0]).softmax().data[1]
        self.assertClose(tiny, math.exp(-600), atol=0)


X, Y = numbers(20, 3), np.arange(20) % 3


class Example(mg.Module):
    """As a user writes it: lists, dicts, a tied weight, no super().__init__()."""

    def __init__(self, rng=None):
        rng = np.random.default_rng(rng)
        self.sizes, self.note, self.nothing = [3, 4], "text", None
        self.hidden = [mg.Layer(3, 4, rng=rng), mg.Layer(4, 4, Tensor.tanh, rng)]
        pair = Tensor(0.5), Tensor(2.0, requires_grad=False)
        self.extra = {"norm": mg.BatchNorm1d(4), "pair": pair}
        self.head = mg.Layer(4, 3, nonlin=False, rng=rng)
        self.tied = self.hidden[0].W  # (3, 4), used once more, transposed
        self.table = np.arange(3.0)

    def forward(self, x, scale=1.0):
        for layer in self.hidden:
            x = layer(x)
        shift, factor = self.extra["pair"]
        self.last = self.extra["norm"](x) * factor + shift
        return (self.head(self.last) + self.last @ self.tied.T + self.table) * scale


def training(seed):
    model = Example(seed)
    return model, mg.Adam(model.parameters(), lr=0.05, weight_decay=0.1)


def fit(model, optimizer, steps=3):
    """The losses of a few steps, all on the same data."""
    return [mg.train_epoch(model, optimizer, X, Y, rng=0) for _ in range(steps)]


COPIES = copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))


class TestModule(Test):
    def test_parameters_and_state_are_found_once_in_order_of_definition(self):
        model = Example()
        model(X)  # keeps a result, which is neither
        model.parent = [model]  # a circle
        model.more = [([Tensor(1.0)], {"a": Tensor(2.0)}), np.float64(3.0), {1, 2}]
        names = """hidden.0.W hidden.0.b hidden.1.W hidden.1.b extra.norm.gamma
            extra.norm.beta extra.pair.0 head.W head.b more.0.0.0 more.0.1.a""".split()
        self.assertEqual([name for name, _ in model.named_parameters()], names)
        model.head.W.requires_grad = False
        others = "extra.pair.1 extra.norm.running_mean extra.norm.running_var table"
        self.assertCountEqual(model.state_dict(), names + others.split())
        self.assertNotIn("head.W", dict(model.named_parameters()))

    def test_a_kept_result_is_neither_parameter_nor_state(self):
        for record in contextlib.nullcontext, mg.no_grad:
            model = mg.Module()
            model.layer, model.scale = mg.Layer(3, 2), Tensor(2.0, requires_grad=False)
            with record():
                model.hidden = model.layer(X)
                model.seen = [model.hidden.detach(), {"loss": model.hidden.sum()}]
                model.doubled, model.copied = model.scale * 2, mg.stack([model.scale])
            for duplicate in (lambda m: m), copy.copy, *COPIES:
                found = duplicate(duplicate(model))  # also in the copy of a copy
                names = [name for name, _ in found.named_parameters()]
                self.assertEqual(names, ["layer.W", "layer.b"])
                self.assertEqual([*found.state_dict()], [*names, "scale"])

    def test_every_kind_of_input(self):
        x = numbers(4, 3)
        modules = mg.Neuron(3), mg.Layer(3, 2), mg.MLP(3, [2, 1]), mg.BatchNorm1d(3)
        for module in *modules, mg.Dropout(0.0):
            for form in x, x.tolist(), memoryview(x), list(map(Tensor, x)):
                with self.about(module, type(form)):
                    self.assertClose(module(form).data, module(Tensor(x)).data)
        for module in modules[:3]:
            row, whole = [Tensor(n) for n in x[0]], Tensor(x[0])  # as in micrograd
            for form in row, tuple(row), whole:
                module(form).sum().backward()
            self.assertClose(np.array([t.grad for t in row]), 2 * whole.grad)

    def test_deep_copies_and_pickles_train_on_their_own(self):
        for duplicate in COPIES:
            model, optimizer = training(seed=0)
            fit(model, optimizer)
            before = [*model.state_dict().values()]
            twin, its_optimizer = duplicate((model, optimizer))
            self.assertTrue(its_optimizer.params[0] is twin.tied is twin.hidden[0].W)
            losses = fit(twin, its_optimizer)
            self.assertSame([*model.state_dict().values()], before)
            self.assertEqual(fit(model, optimizer), losses)

    def owners(self):
        """(owner, its state, another that fits) for a model and two optimizers."""
        model, adam = training(seed=0)
        sgd = mg.SGD(model.parameters(), momentum=0.9)
        fit(model, adam)
        fit(model, sgd)
        for owner in model, adam, sgd:
            good = {name: array + 1 for name, array in owner.state_dict().items()}
            yield owner, owner.state_dict(), good

    def test_loading_copies_what_fits_and_else_changes_nothing(self):
        for owner, before, good in self.owners():
            wrong = [("extra", {**good, "extra": 1})]
            for name, array in before.items():
                wrong += [(name, {x: good[x] for x in good if x != name})]
                for shape in {(), (1,), (7,), (1, *array.shape)} - {array.shape}:
                    wrong += [(name, {**good, name: np.ones(shape)})]
            for name, state in wrong:
                with self.about(type(owner).__name__, name):
                    self.raises(ValueError, name, owner.load_state_dict, state)
            self.assertSame([*owner.state_dict().values()], [*before.values()])
            owner.load_state_dict({name: a.tolist() for name, a in good.items()})
            owner.load_state_dict(good)
            for array in [*good.values(), *owner.state_dict().values()]:
                array += 1  # these are copies
            for name, array in owner.state_dict().items():
                with self.about(type(owner).__name__, name):
                    self.assertSame(array, before[name] + 1)

    def test_training_resumes_bit_for_bit_in_another_process(self):
        (model, optimizer), folder = training(seed=0), self.folder()
        fit(model, optimizer)
        np.savez(folder / "model.npz", **model.state_dict())
        np.savez(folder / "optimizer.npz", **optimizer.state_dict())
        program = f"import test_minigrad as t; t.resume({str(folder)!r})"
        subprocess.run([sys.executable, "-c", program], cwd=HERE, check=True)
        with np.load(folder / "resumed.npz") as file:
            losses, *arrays = file.values()
        self.assertEqual(losses.tolist(), fit(model, optimizer))
        self.assertSame(arrays, [*model.state_dict().values()])


def resume(folder):
    """Go on with the training saved in `folder`: another process calls this."""
    model, optimizer = training(seed=1)
    model.load_state_dict(np.load(Path(folder, "model.npz")))
    optimizer.load_state_dict(np.load(Path(folder, "optimizer.npz")))
    losses = fit(model, optimizer)
    np.savez(Path(folder, "resumed.npz"), losses=losses, **model.state_dict())


class TestLayers(Test):
    """Neuron, Layer and MLP."""

    def test_formulas(self):
        forms = {True: lambda a: np.maximum(a, 0), False: np.array, None: np.array}
        forms |= {Tensor.tanh: np.tanh, (lambda t: t * t): np.square}
        for nonlin, curve in forms.items():
            neuron, layer = mg.Neuron(3, nonlin, rng=1), mg.Layer(3, 4, nonlin, rng=1)
            model = mg.MLP(3, [4, 4, 2], nonlin, rng=2)
            for p in *neuron.parameters(), *layer.parameters(), *model.parameters():
                p.data = p.data + 0.1
            w, W, (A, B, C) = neuron.w.data, layer.W.data, [one.W.data for one in model]
            for x in X, X[0], X.reshape(5, 4, 3):
                hidden = curve(curve(x @ A + 0.1) @ B + 0.1)
                with self.about(nonlin, x.shape):
                    self.assertClose(neuron(x).data, curve((x * w).sum(-1) + 0.1))
                    self.assertClose(layer(x).data, curve(x @ W + 0.1))
                    self.assertClose(model(x).data, hidden @ C + 0.1)

    def test_first_weights_are_normal_with_the_variance_of_chapter_10(self):
        for nonlin, gain in (True, 2), (Tensor.relu, 2), (None, 1), (Tensor.tanh, 1):
            layer, neuron = mg.Layer(20_000, 2, nonlin, 0), mg.Neuron(20_000, nonlin, 0)
            first, last = mg.MLP(200, [200, 200], nonlin, rng=0)
            for w, g in (layer.W, gain), (neuron.w, gain), (first.W, gain), (last.W, 1):
                z = w.data * math.sqrt(len(w) / g)
                with self.about(nonlin, w.shape):
                    self.assertAlmostEqual(z.mean(), 0, delta=0.04)
                    self.assertAlmostEqual(z.var(), 1, delta=0.05)
                    self.assertAlmostEqual((z**4).mean(), 3, delta=0.2)  # uniform: 1.8


# Each rule for one number p with gradient g at step t. It remembers things in `kept`.
def sgd(p, g, t, kept, lr=1e-3, momentum=0.0, weight_decay=0.0):
    kept["v"] = momentum * kept.get("v", 0.0) + (g + weight_decay * p)
    return p - lr * kept["v"]


def adam(p, g, t, kept, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p  # algorithm 1 of Kingma and Ba (2015)
    kept["m"] = betas[0] * kept.get("m", 0.0) + (1 - betas[0]) * g
    kept["v"] = betas[1] * kept.get("v", 0.0) + (1 - betas[1]) * g**2
    m_hat, v_hat = kept["m"] / (1 - betas[0] ** t), kept["v"] / (1 - betas[1] ** t)
    return p - lr * m_hat / (math.sqrt(v_hat) + eps)


class TestOptimizers(Test):
    RULES = {mg.SGD: sgd, mg.Adam: adam}

    def check_rule(self, make, settings, later, dtype=F8, tolerance=1e-12):
        """16 steps, some gradients missing, some 0; the settings change to `later`."""
        params = [Tensor(numbers(*s).astype(dtype)) for s in [(), (3,), (2, 2), (1,)]]
        optimizer, times = make(iter(params), **settings), [0] * len(params)
        values = [p.data.ravel().tolist() for p in params]
        kept = [[{} for _ in own] for own in values]
        for step in range(16):
            if step == 7:
                settings = {**settings, **later}
                vars(optimizer).update(later)
            optimizer.zero_grad()
            for i, p in enumerate(params):
                if i == 0 or (step + i) % (i + 1):  # the others miss some steps
                    p.grad = numbers(*p.shape, seed=10 * step + i) * (step % 5 != 4)
            before = [[p.grad, p.data] for p in params]
            same = copy.deepcopy(before)
            optimizer.step()
            for i, (p, (g, old)) in enumerate(zip(params, before)):
                times[i] += g is not None
                for j, slope in enumerate(() if g is None else g.ravel().tolist()):
                    own = values[i][j], slope, times[i], kept[i][j]
                    values[i][j] = self.RULES[make](*own, **settings)
                with self.about(make.__name__, f"step {step}, parameter {i}", settings):
                    self.assertSame([g, old], same[i])  # p.data is a new array
                    self.assertClose(p.data.ravel(), np.array(values[i]), tolerance)
                    self.assertEqual((type(p.data), p.dtype), (np.ndarray, dtype))
        for name, array in optimizer.state_dict().items():
            with self.about(make.__name__, name):
                self.assertEqual(array.dtype, int if name == "steps" else dtype)
        self.assertEqual(optimizer.steps.tolist(), times)

    def test_rules(self):
        later = {"lr": np.float64(0.02), "weight_decay": 0.2}
        for make in self.RULES:
            for settings in {}, {"lr": 0.1}, {"weight_decay": 0.3}:
                self.check_rule(make, settings, later)
            self.check_rule(make, {"lr": 0.1}, later, F4, 1e-5)
        for momentum, later in (0.5, 0.9), (1.0, 0.0):
            later = {"momentum": later, "lr": 0.05}
            self.check_rule(mg.SGD, {"lr": 0.02, "momentum": momentum}, later)
        later = {"betas": (0.8, 0.99), "eps": 0.01}
        for settings in {"betas": (0.5, 0.9)}, {"eps": 0.1}, {"betas": (0.0, 0.0)}:
            self.check_rule(mg.Adam, {"lr": 0.05, **settings}, later)


class Recorder(mg.Module):
    """Scores from one weight; keeps the batches and modes that it has seen."""

    def __init__(self):
        self.W, self.dropout, self.seen = Tensor(np.zeros((1, 2))), mg.Dropout(0.5), []

    def forward(self, x):
        self.out = np.asarray(x, float) @ self.W
        self.seen.append((np.array(x), self.training, self.dropout.training))
        return self.out


class TestTraining(Test):
    """train_epoch and predict."""

    def train(self, n, **options):
        model, x = Recorder(), np.arange(n).reshape(n, 1)
        optimizer = mg.SGD(model.parameters(), lr=0.01)
        mean = mg.train_epoch(model.eval(), optimizer, x, np.arange(n) % 2, **options)
        return model, mean, [x.ravel().tolist() for x, *_ in model.seen]

    def test_batches_of_even_size_hold_every_row_once(self):
        for n, size in (10, 4), (33, 32), (32, 32), (1, 5), (7, 1), (65, 32):
            with self.about(f"{n} rows", f"batch_size={size}"):
                model, _, batches = self.train(n, batch_size=size)
                sizes = [len(batch) for batch in batches]
                self.assertEqual(len(batches), math.ceil(n / size))
                self.assertLessEqual(max(sizes) - min(sizes), 1)
                self.assertEqual(sorted(sum(batches, [])), list(range(n)))
                self.assertTrue(all(on and inner for _, on, inner in model.seen))
                self.assertTrue(model.training and model.dropout.training)
        self.assertEqual(len(self.train(65)[2]), 3)  # batch_size is 32

    def test_rng_decides_the_order(self):
        run = lambda rng: self.train(20, batch_size=8, rng=rng)[2]
        self.assertEqual(run(3), run(np.random.default_rng(3)))
        self.assertNotEqual(run(3), run(4))
        self.assertNotEqual(run(None), run(None))

    def test_it_returns_the_mean_over_rows(self):
        losses = iter([1.0, 2.0, 3.0])  # of batches of 4, 3 and 3 rows
        loss = lambda scores, y: (scores * 0).sum() + next(losses)
        mean = self.train(10, batch_size=4, loss=loss)[1]
        self.assertEqual((mean, type(mean)), (1.9, float))

    def test_each_step_takes_the_gradient_of_its_batch_alone(self):
        for make in np.array, np.ndarray.tolist, memoryview:
            model, twin = mg.MLP(3, [3], rng=0), mg.MLP(3, [3], rng=0)
            optimizer = mg.SGD(model.parameters(), lr=0.1)
            for _ in range(2):
                model(X).sum().backward()  # is forgotten
                loss = mg.train_epoch(model, optimizer, make(X), make(Y))
                twin.zero_grad()
                expected = mg.cross_entropy(twin(X), Y)
                expected.backward()
                self.assertClose(loss, expected.item())
                for p, q in zip(model.parameters(), twin.parameters()):
                    q.data = q.data - 0.1 * q.grad
                    self.assertClose(p.data, q.data)

    def test_predict_evaluates_unrecorded_and_restores_the_modes(self):
        model = Recorder()
        for on, inner in product((True, False), repeat=2):
            model.training, model.dropout.training = on, inner
            self.assertSame(mg.predict(model, [[1.0], [2.0]]), np.zeros((2, 2)))
            self.assertEqual(model.seen[-1][1:], (False, False))
            self.assertFalse(model.out.requires_grad)
            self.assertRaises(ValueError, mg.predict, model, "digits")
            self.assertEqual((model.training, model.dropout.training), (on, inner))
            self.assertTrue(model([[1.0]]).requires_grad)


class TestDropoutAndBatchNorm1d(Test):
    def test_dropout_drops_elements_independently_with_probability_p(self):
        for p in 0.5, 0.3, 0.75, 0.0, 1.0:
            x = Tensor(np.full((200, 500), 3.0))
            y = mg.Dropout(p, rng=0)(x)
            y.sum().backward()
            kept = y.data != 0
            self.assertAlmostEqual(kept.mean(), 1 - p, delta=0.01)
            for axis, n in (0, 200), (1, 500):
                spread = math.sqrt(p * (1 - p) / n)  # of the share of kept elements
                self.assertAlmostEqual(kept.mean(axis=axis).std(), spread, delta=0.005)
            scale = 1 / (1 - p) if p < 1 else 0.0
            self.assertClose([y.data, x.grad], [kept * 3 * scale, kept * scale])

    def test_batchnorm1d_in_training(self):
        def normalise(x, gamma, beta):
            bn = mg.BatchNorm1d(3, dtype=x.dtype)
            bn.gamma, bn.beta = gamma, beta
            return bn(x)

        reference = lambda a, g, b: (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5) * g + b
        for n in 6, 2:
            with self.about(f"{n} rows"):
                self.check(normalise, reference, numbers(n, 3), numbers(3), positive(3))

    def test_batchnorm1d_in_evaluation_uses_running_averages(self):
        other = {"momentum": 0.3, "eps": 3.0}
        for momentum, eps, settings in (0.1, 1e-5, {}), (0.3, 3.0, other):
            bn, mean, var = mg.BatchNorm1d(2, **settings), np.zeros(2), np.ones(2)
            bn.gamma.data[:], bn.beta.data[:] = [2, 3], [-1, 1]
            for seed in range(3):
                x = 2 + 3 * numbers(6, 2, seed=seed)
                bn(x)
                mean += momentum * (x.mean(axis=0) - mean)
                var += momentum * (x.var(axis=0, ddof=1) - var)
            expected = (x - mean) / np.sqrt(var + eps) * [2, 3] + [-1, 1]
            self.assertClose(bn.eval()(x).data, expected)
            self.assertClose(bn(x[:1]).data, expected[:1])
            self.assertTrue(mg.gradcheck(bn, Tensor(x)))
            self.assertClose([bn.running_mean, bn.running_var], [mean, var])


class TestSmallPrint(Test):
    def test_copies_and_pickles_are_leaves_that_share_nothing(self):
        x = Tensor(numbers(2, 2).astype(F4))
        y = x * 2
        y.sum().backward()
        for duplicate, t in product(COPIES, (x, y)):
            made, twin, constant = duplicate([t, t, t.detach()])
            self.assertSame([made.data, made.grad], [t.data, t.grad])
            self.assertApart(made.data, made.grad, t.data, t.grad)
            self.assertEqual((made.is_leaf, made.op, twin is made), (True, t.op, True))
            self.assertFalse(constant.requires_grad)

    def test_an_older_numpy_or_python_is_refused(self):
        for old in (np, "__version__", "1.26.4"), (sys, "version_info", (3, 9, 18)):
            with mock.patch.object(*old):
                self.raises(ImportError, "NumPy 2", runpy.run_path, mg.__file__)

    def test_to_dot_draws_nodes_and_edges(self):
        x, y = Tensor([1.5, 2.0, 0.0, 1.0]), Tensor(np.zeros((1, 5)))
        out = ((x * x).sum() + y + 3.0) * np.ones(5)
        out.backward(np.ones((1, 5)))
        text = mg.to_dot(out, names={"weights": x, "y": y})
        names = dict(re.findall(r'^ +(n\d+) \[.*label=" *(\S+?) *\\n', text, re.M))
        edges = re.findall(r"^ +(n\d+) -> (n\d+)$", text, re.M)
        found = " ".join(sorted(f"{names[a]}>{names[b]}" for a, b in edges))
        self.assertEqual(found, "*>sum +>* +>+ sum>+ weights>* weights>* y>+")
        self.assertIn(r"weights\n(4,)\ndata [1.5 2.  0.  1. ]\ngrad [15. 20.", text)
        self.assertRegex(text, r'label=" *y *\\n\(1, 5\)"')  # five numbers are too many


# ==== Facts: one line each ============================================================
# Statements => the value of the last. "; " ends a line of Python; {x | y} makes two of
# one line. The names are minigrad's, those of `scene` and those of this file.
FACTS = """
# Tensor
Tensor({[1, 2] | [[True]] | 3 | np.int8(3) | np.float16(1.5)}).dtype => F8
Tensor(np.array([1.5], F4.newbyteorder())).dtype => F4
np.shares_memory(Tensor({t | X | X[:0]}).data, {t.data | X}) => False
[(w.is_leaf, w.op, w.requires_grad) for w in [Tensor(t * 2), t]] => [(1, "", 1)] * 2
{t.detach() | (t.detach() * 2) | no_grad()(Tensor.exp)(t)}.requires_grad => False
f = no_grad()(lambda n: f(0) if n else 2 * t); f(2).is_leaf, (2 * t).is_leaf => (1, 0)
{t.detach() | (t.detach() * 2) | t}.is_leaf => True
t.detach().data is t.data => True
t.data = np.array([3]); (t / 2.5).item() => 1.2
# from_op; float32 meets float64
Tensor.from_op(2, "", (t.detach(), never), (X, never), (3, never)).is_leaf => True
Tensor.from_op(2, "", (w0, abs), (t.detach(), never)).backward(); w0.grad.item() => 1
(n32 {+ | - | * | / | ** | @} {np.ones(1) | Tensor([1])}).dtype => F8
(np.ones(1) {+ | - | * | / | ** | @} n32).dtype => F8
(n32 {+ | - | * | / | ** | @} np.ones(1, F4)).dtype => F4
{stack | concatenate}([n32, {np.ones(1) | Tensor([1])}]).dtype => F8
where(True, {n32 | np.ones(1)}, np.ones(1)).dtype => F8
# backward
w = Tensor({3 | [3] | [[3]]}); (w * w).backward(); w.backward(); w.grad - w.data => 4
v.backward({[1, 2, 4] | np.array([1, 2, 4]) | v}); [*v.grad] => [1, 2, 4]
n32.backward(np.array([{2 | 2.0}])); n32.grad.dtype => F4
v.backward([1, 2, 4]); kept = v.grad; v.backward([1, 1, 1]); [*kept] => [1, 2, 4]
y = w0 * w0; y.backward(); y.backward(); {type(w0.grad) | type(y.grad)} => np.ndarray
y = v * 3; z = y * y; z.backward(v); z.backward(v); [*y.grad] => [6, 24, 96]
y = v * 3; (y * y).sum().backward(); y.backward(y.grad); [*v.grad] => [36, 72, 144]
y = v; for n in [2, 0.5] * 5000: y = y * n; y.backward(v); [*v.grad] => [1, 2, 4]
# losses, max and min
cross_entropy(t, Y[:2] > 0).item() - cross_entropy(t, [0, 1]).item() => 0
ties.max({None | (0, 1)}).backward(); sixths(ties) => [[2, 2, 0], [0, 2, 0]]
ties.max(0).sum().backward(); sixths(ties) => [[6, 3, 3], [0, 3, 3]]
(-ties).min(1).sum().backward(); sixths(ties) => [[-3, -3, 0], [0, -6, 0]]
w = Tensor([1, 1 + 1e-15]); (w.max() + 2 * w.min()).backward(); [*w.grad] => [2, 1]
# gradcheck
blame(np.square, lambda g, a: g * {2.1 * a | np.nan | a[::-1] * 2}, [1, 2]) => "0, (0,)"
blame(np.square, lambda g, a: g * 2 * a * [1, 0], [[1, 2]]) => "0, (0, 1)"
blame(np.square, lambda g, a: {1 | g * g | abs(g)} * 2 * a, 3) => "0, ()"
blame(softmax, lambda g, a: 0 * g, [1, 2]) => "0, (0,)"
with np.errstate(all="ignore"): y = blame(np.log, lambda g, a: g, 1e-6); y => "0, ()"
blame(abs, lambda g, a: g, 1, eps=0.9) => ""
blame(abs, lambda g, a: g, 1, eps=1.1) => "0, ()"
blame(lambda a: 0 * a, lambda g, a: g * {9e-6 | -9e-6}, 1) => ""
blame(lambda a: 0 * a, lambda g, a: g * {11e-6 | -11e-6}, 1) => "0, ()"
blame(lambda a: -9 * a, lambda g, a: g * (-9 + {8.9e-3 | -8.9e-3}), 1) => ""
blame(lambda a: -9 * a, lambda g, a: g * (-9 + {9.1e-3 | -9.1e-3}), 1) => "0, ()"
blame(lambda a: 9 * a, lambda g, a: g * 9.8, 1, {rtol=0.1 | atol=1}) => ""
gradcheck({lambda x: x[0] | lambda x: Tensor(7)}, v, atol=0) => True
# Module, Neuron, Layer, Sequential, MLP
first.W.requires_grad = False; model.zero_grad(); {first.W | last.b}.grad is None => 1
small._a = w0; {small.parameters()[-1] is w0 | "_a" in small.state_dict()} => True
model.eval() is model, model.training, drop.training => (True, False, False)
model.eval().train() is model, model.training, drop.training => (True, True, True)
Neuron(3).nonlin, Layer(3, 2).nonlin, MLP(3, [2, 1])[0].nonlin => (relu,) * 3
[Neuron(3).b.item(), *Layer(3, 2).b.data] => [0, 0, 0]
[*Neuron(9, rng={5 | default_rng(5)}).w.data] => [*Neuron(9, rng=5).w.data]
[*Layer(9, 1, rng={5 | default_rng(5)}).W.data] => [*Layer(9, 1, rng=5).W.data]
(Neuron(9, rng={None | rng}).w.data == Neuron(9, rng=rng).w.data).any() => False
a, b = MLP(9, [9, 9], None, rng={5 | None}); (a.W.data == b.W.data).any() => False
small({np.ones(3, F4) | [1, 2, 3] | [n32[0], 2, 3.0]}).dtype => F4
small(np.ones(3)).dtype => F8
[p.dtype for p in MLP(3, [2, 1], dtype=F4).parameters()] => [F4] * 4
Sequential(Tensor.sqrt, lambda x: 3 * x)(Tensor(4)).item() => 6.0
len(model), [*model], model[-1], model[3:] => (5, model.layers, last, [drop, last])
repr(small) => "Layer(nonlin=relu, W=(3, 2), b=(2,))"
repr(Sequential(Tensor.tanh, [n32])) => "Sequential(layers=[tanh, [(1,)]])"
# optimizers; a graph kept over a step has the gradients of the old weights
y = w0 * w0; y.backward(); {SGD | Adam}([w0], 1).step(); y.backward(); w0.grad => 12
n32.backward([1]); Adam([n32], betas=np.array([0.5, 0.5])).step(); n32.dtype => F4
sorted(Adam([v]).state_dict()) => ["m.0", "steps", "v.0"]
repr(Optimizer([v]))[:53] => "Optimizer(params=[(3,)], lr=0.001, weight_decay=0.0, "
# train_epoch, predict, Dropout, BatchNorm1d, attention
{first.W | last.b}.grad is None => False
predict(small, np.ones((1, 3), F4)).dtype => F4
{*drop(np.ones(99, F4)).data}, drop(np.ones(9, F4)).dtype => ({0, 2}, F4)
[*drop(np.ones(99)).data] == [*drop(np.ones(99)).data] => False
(drop.eval()(X).data == X).all() => True
drop.rng = default_rng(0); drop.eval()(X); drop.rng.random() => default_rng(0).random()
norm32.train({True | False})({[[1, 2, 3, 4]] * 2 | np.ones((2, 4), F4)}).dtype => F4
[a.dtype for a in norm32.state_dict().values()] => [F4] * 4
attended(X, later, later)[:9] == attended(X, X, X)[:9] => True
# what Python and NumPy ask of a Tensor
bool(Tensor({0.0 | [0.0]})), bool(n32), len(t) => (False, True, 2)
n32.item(), float(n32), type(n32.item()) => (2.0, 2.0, float)
repr(n32 * 2) => "Tensor([4.], dtype=float32, op='*')"
f"{n32} {n32:.2f}" => "Tensor([2.], dtype=float32) 2.00"
v == v, v != v, v == t, v != t, v == None, v != None => (1, 0, 0, 1, 0, 1)
dict([(t, 1), (v, 2)])[v] => 2
w = v; w {- | * | **}= {[2, 2, 2] | Tensor(2)}; w is v, w.is_leaf => (False, False)
w = v * 1; w {+ | - | * | / | **}= np.ones(3); w.is_leaf => False
[np.shares_memory(f(t.detach()), t.data) for f in [np.asarray, np.array]] => [1, 0]
"""

# ==== Mistakes: one line each =========================================================
# Statements => the exception of the last, and a pattern for its message, if that is our
# own. Afterwards t, v, X, model and optimizer of `scene` are as before.
MISTAKES = r"""
{t | v[:2]}.backward()               => ValueError: shape \(2,.*sum\(\)\.backward\(\)
t.detach().sum().backward()          => RuntimeError: requires a gradient
with no_grad(): t.sum().backward()   => RuntimeError: requires a gradient
t.backward(np.ones(3))               => ValueError: \(3,\) for a tensor \(2, 3\)
t.sum().backward([1.0])              => ValueError: \(1,\) for a tensor \(\)
own(t, np.ones(2)).backward()        => ValueError: vjp of own made \(2,\)
own(v, np.ones((3, 1))).backward()   => ValueError: vjp of own made \(3, 1\)
(t * 1 + own(v, np.ones(2))).sum().backward() => ValueError: vjp of own
t @ t                                => ValueError: \(2, 3\) @ \(2, 3\)
Tensor({None | "1" | [1j] | [None, 1]}) => TypeError: not numbers
t {+ | @} {None | "a"}               => TypeError: not numbers
None * t                             => TypeError: not numbers: None
model("digits")                      => TypeError: not numbers: 'digits'
Tensor({[v, v] | (1.0, w0)})         => TypeError: stack.* t\.data
{stack | concatenate}(t)             => ValueError: not a list: Tensor\(
{stack | concatenate}([])            => ValueError
# comparisons, changes in place, NumPy's functions
v {== | !=} {3 | [1.0, 2.0] | X[0]}  => TypeError: use t\.data
np.ones(3) {== | !=} v               => TypeError: use t\.data
v {< | >=} {3 | X[0] | v}            => TypeError
v {+ | - | * | / | **}= np.ones(3)   => TypeError: write t\.data -=
v -= np.{array | float64}(1.0)       => TypeError: write t\.data -=
np.{exp | add.reduce | mean}(v)      => TypeError
np.{asarray | argmax}(v)             => TypeError: t\.data and t\.item\(\)
np.{stack | array}([X[0], v])        => TypeError: t\.data
# losses and gradcheck
cross_entropy(t, [0.0, 1.0])         => ValueError: \(2,\), not float64 \(2,\)
cross_entropy(t, [[0], [1]])         => ValueError: \(2,\), not int\d+ \(2, 1\)
cross_entropy(t, np.eye(3)[:2])      => ValueError: \(2,\), not float64 \(2, 3\)
cross_entropy(t[None], [{[0, 3] | [-1, 0]}]) => ValueError: labels -?\d to \d for 3
cross_entropy(t[None], [0, 1])       => ValueError: \(1, 2\), not int\d+ \(2,\)
mse_loss(v, v.reshape(3, 1))         => ValueError: \(3,\) and \(3, 1\)
gradcheck(abs, Tensor(F4.type(1)))   => ValueError: float64 Tensors
gradcheck(abs, {v.detach() | *[]})   => ValueError: float64 Tensors
gradcheck(lambda x, y: x * y.detach(), t, v) => AssertionError: input 1, .*\(0,\)
blame(np.exp, lambda g, a: operator.imul(g, 2), [1]) => ValueError
# modules
Module()(X)                          => NotImplementedError: Module has no forward
MLP(2, 3)                            => ValueError: nouts is a list, not 3
Dropout({1.5 | -0.1 | np.nan})       => ValueError: p is a probability, not
norm(np.ones(({1 | 0}, 4)))          => ValueError: row.* eval\(\)
norm(np.ones({(2, 3) | (2, 1) | (4,) | (2, 2, 4)})) => ValueError: \(.*\)
model.eval(); norm(np.ones((2, 1)))  => ValueError: \(2, 1\)
Layer(3, 4).load_state_dict({"W": 0}) => ValueError: 'b', \(4,\)
model.load_state_dict(small.state_dict()) => ValueError: layers\.0\.W
# optimizers and training
SGD({[] | iter([]) | model | t | [t * 2] | [t, t] | [X]}) => ValueError: Tensors that
optimizer.lr = None; optimizer.step() => TypeError
optimizer.lr = "big"; optimizer.step() => ValueError: big
first.b.grad = {1.0 | X | X[:4, :1].T}; optimizer.step() => ValueError: parameter \(4,\)
last.b.grad = np.ones(7); optimizer.step() => ValueError: parameter \(2,\)
v.backward([1, 1, 1]); Optimizer([v]).step() => NotImplementedError: no update
v.backward([1, 1, 1]); forgetful.step() => ValueError: update returned
model.eval(); train_epoch(model, optimizer, X, Y[:3]) => ValueError: 20 rows, .* 3
train_epoch(model, optimizer, {X[:0] | []}, []) => ValueError: X has 0 rows
"""


def blame(value, vjp, x, **settings):
    """Where gradcheck finds fault with an operation's value(a) and vjp(g, a), or ""."""
    f = lambda x: Tensor.from_op(value(x.data), "op", (x, lambda g: vjp(g, x.data)))
    try:
        return "" if mg.gradcheck(f, Tensor(x), **settings) else "not True"
    except AssertionError as error:
        return re.sub(r"input (\d), element (.*): .*", r"\1, \2", str(error))


def alternatives(text):
    """`text` with each of the alternatives in its braces."""
    found = re.search(r"\{([^{}]+ \| [^{}]+)\}", text)
    choices = found[1].split(" | ") if found else ()
    texts = [text.replace(found[0], choice, 1) for choice in choices]
    return [y for x in texts for y in alternatives(x)] or [text]


class TestLines(Test):
    def scene(self):
        """A trained model with its optimizer, and other things."""
        t, v, n32 = Tensor(numbers(2, 3)), Tensor([1, 2, 4]), Tensor(np.array([2], F4))
        w0, ties = Tensor(3.0), Tensor([[2, 2, 1], [1, 2, 1]])
        relu, default_rng = Tensor.relu, np.random.default_rng
        rng = default_rng(0)
        small, norm32 = mg.Layer(3, 2, dtype=F4), mg.BatchNorm1d(4, dtype=F4)
        first, last = mg.Layer(3, 4, None, rng), mg.Layer(4, 2, None, rng)
        norm, drop = mg.BatchNorm1d(4), mg.Dropout(0.5, rng)
        model = mg.Sequential(first, norm, relu, drop, last)
        optimizer = mg.Adam(model.parameters())
        mg.train_epoch(model, optimizer, X, Y % 2)
        later = np.vstack([X[:9], X[9:] + 1])
        never, sixths = lambda g: 1 / 0, lambda w: (6 * w.grad).round(9).tolist()
        attended = lambda *x: mg.attention(*x, np.tri(20, dtype=bool)).data.tolist()
        own = lambda x, share: Tensor.from_op(0.0, "own", (x, lambda g: share))
        forgetful = type("Forgetful", (mg.Optimizer,), {"update": lambda *_: None})([v])
        public = {name: getattr(mg, name) for name in mg.__all__}
        return globals() | public | locals() | {"X": X.copy()}

    def check_lines(self, table, check):
        for line in filter(None, table.split("\n")):
            left, arrow, right = line.partition("=>")
            self.assertTrue(arrow or line[0] == "#", line)
            for text in alternatives(left.strip()) if arrow else ():
                with self.about(text):
                    scene = self.scene()
                    *before, statement = text.split("; ")
                    exec("\n".join(before), scene)
                    check(scene, statement, right.strip())

    def test_facts(self):
        equal = lambda scene, *both: self.assertEqual(*[eval(x, scene) for x in both])
        self.check_lines(FACTS, equal)

    def test_mistakes_are_refused_and_change_nothing(self):
        def refused(scene, mistake, right):
            things = [scene[name] for name in "t v X model optimizer".split()]
            error, _, pattern = right.partition(": ")
            before = pickle.dumps(things)
            with self.raises(getattr(builtins, error), f"(?s){pattern}"):
                exec(mistake, scene)
            self.assertTrue(pickle.dumps(things) == before, "something has changed")

        self.check_lines(MISTAKES, refused)


# ==== The documentation ===============================================================


class TestDocumentation(Test):
    def run_page(self, path, **changes):
        """Run the ```python blocks of a page in one namespace. What a block prints
        stands in it, below each print, after "# "."""
        if not path.exists():
            self.skipTest(f"{path} is not there")
        names, text = {}, path.read_text("utf-8")
        for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
            for name, value in changes.items():
                block = block.replace(f"{name} = ", f"{name} = {value} # ")
            expected = re.findall(r"^ *print\(.*\n((?:# .*\n)+)", block, re.M)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(block, names)
            expected = "".join(expected).replace("# ", "")
            self.assertEqual(out.getvalue() if expected else "", expected, block)

    def test_examples_of_minigrad(self):
        output = examples_of_minigrad().communicate()[0]
        self.assertEqual(examples_of_minigrad().returncode, 0, output)
        self.assertRegex(output, r"^TestResults\(failed=0, attempted=[1-9]\d*\)\n$")

    def test_readme(self):
        self.run_page(HERE / "README.md", steps=2)

    @WITH_SKLEARN
    def test_recipes(self):
        self.run_page(HERE / ".github" / "RECIPES.md")

    def test_links_to_chapters_lead_to_their_lines(self):
        text = (HERE / "README.md").read_text("utf-8")
        lines = Path(mg.__file__).read_text("utf-8").splitlines()
        links = re.findall(r"\[(\d+)[^\]]*\]\(minigrad\.py#L(\d+)\)", text)
        self.assertEqual([int(chapter) for chapter, _ in links], [*range(1, 18)])
        for chapter, line in links:
            there = f" ==== {chapter}  " in lines[int(line) - 1]
            self.assertTrue(there, f"chapter {chapter} is not on line {line}")


@WITH_SKLEARN
class TestDemo(Test):
    def demo(self, *arguments):
        """What digits_demo.py prints to stdout, and to stderr."""
        from digits_demo import main

        with contextlib.redirect_stdout(io.StringIO()) as out:
            with contextlib.redirect_stderr(io.StringIO()) as err:
                try:
                    main([str(argument) for argument in arguments])
                except SystemExit as error:
                    self.assertEqual(error.code, 2)
        return out.getvalue(), err.getvalue()

    def test_it_learns_and_a_saved_network_answers_the_same(self):
        file, options = self.folder() / "n.npz", ["--epochs", 3, "--samples", 200]
        text, _ = self.demo(*options, "--seed", 3, "--save", file)
        losses = re.findall(r"TrainLoss (\d\.\d{4})", text)
        self.assertEqual([losses[2], losses[0]], [min(losses), max(losses)])
        self.assertRegex(text, r"\nAccuracy [89]\d\.\d\d%.*\n$")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        loaded, _ = self.demo("--load", file)
        self.assertTrue(text.endswith(loaded) and loaded)

    def test_a_mistake_is_one_line(self):
        folder = self.folder()
        np.savez(folder / "other.npz", W=np.ones(3))
        for option, value, message in [
            ("--samples", 5000, "--samples must be between 2 and 1437"),
            ("--epochs", 0, "--epochs must be between 1 and 9999"),
            ("--lr", "nan", "--lr must be between 0 and 10"),
            ("--load", folder / "other.npz", "is not a network"),
            ("--load", folder / "missing", "No such file"),
            ("--save", folder / "missing" / "n.npz", "No such file"),
        ]:
            out, error = self.demo(option, value)
            self.assertEqual((out, error.count("\n")), ("", 1))
            self.assertIn(message, error)


if __name__ == "__main__":
    unittest.main()
