# SPDX-License-Identifier: MIT
"""The tests of minigrad: a class for each public name, in the order of minigrad.py.

    python test_minigrad.py            all of them; so do python -m unittest and pytest
    python test_minigrad.py TestPow    one class; with -f, up to its first failure

What is expected comes from NumPy, central differences or a calculation by hand, never
from minigrad. The examples in minigrad.py are tests, too, and are not repeated here.
`check` tests what all operations have in common. For a method `sin` of your own:

    class TestSin(Test):
        def test_gradient(self):
            self.check_shapes(Tensor.sin, np.sin)
"""

import contextlib
import copy
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
from decimal import Decimal
from itertools import combinations, product
from operator import itemgetter
from pathlib import Path
from unittest import mock

# Matrices as small as these take longer where several threads share one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import minigrad as mg  # noqa: E402
from minigrad import Tensor  # noqa: E402

HERE = Path(__file__).resolve().parent
F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
LAYOUTS = [
    lambda a: a.copy("F"),  # Fortran order
    lambda a: np.flip(np.flip(a).copy()),  # the same numbers, with negative strides
    lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,  # read-only, strides 0
]


WITH_SKLEARN = unittest.skipUnless(
    importlib.util.find_spec("sklearn"), "scikit-learn is not installed"
)


def numbers(*shape, seed=0):
    """Random numbers of both signs; the same arguments give the same ones."""
    return np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape, seed=0):
    return np.asarray(np.exp(numbers(*shape, seed=seed) / 2))


def central_differences(f, arrays, weights, eps=1e-5):
    """The gradients of (f(*arrays) * weights).sum() with respect to each array."""
    gradients, arrays = [], [array.copy() for array in arrays]
    for array in arrays:
        gradients.append(np.zeros(array.shape))
        for index in np.ndindex(array.shape):
            old = array[index]
            array[index] = old + eps
            above = (f(*arrays) * weights).sum()
            array[index] = old - eps
            below = (f(*arrays) * weights).sum()
            array[index] = old
            gradients[-1][index] = (above - below) / (2 * eps)
    return gradients


class Test(unittest.TestCase):
    raises = unittest.TestCase.assertRaisesRegex

    def setUp(self):
        warned = warnings.catch_warnings()
        warned.__enter__()
        self.addCleanup(warned.__exit__, None, None, None)
        warnings.simplefilter("error")  # what is finite must not warn on its way
        gc.disable()  # graphs must be freed without the garbage collector
        self.addCleanup(gc.enable)

    def assertClose(self, actual, expected, tolerance=1e-12):
        """Equal up to rounding; lists, here and in assertSame, item by item."""
        if isinstance(expected, list) and isinstance(actual, list):
            for pair in zip(actual, expected, strict=True):
                self.assertClose(*pair, tolerance)
        else:
            self.assertEqual(np.shape(actual), np.shape(expected))
            np.testing.assert_allclose(actual, expected, tolerance, tolerance)

    def assertSame(self, actual, expected):
        """Equal to the last bit, shape and dtype included."""
        if isinstance(expected, list) and isinstance(actual, list):
            for pair in zip(actual, expected, strict=True):
                self.assertSame(*pair)
        else:
            np.testing.assert_array_equal(actual, expected, strict=True)

    def check(self, f, reference, *arrays, **about):
        """Test all that holds for an operation `f`, given its `reference` in NumPy.

        A failure names the property, the shapes of the arrays and what `about` says.
        """
        with self.subTest(shapes=[array.shape for array in arrays], **about):
            self.check_properties(f, reference, arrays)

    def check_properties(self, f, reference, arrays):
        claim = self.subTest
        tensors = [Tensor(array) for array in arrays]
        out = f(*tensors)
        weights = numbers(*out.shape, seed=9).copy("F")
        out.backward(weights)
        grads = [t.grad.copy() for t in tensors]
        with claim("value as in NumPy"):
            self.assertClose(out.data, reference(*arrays))
        slopes = central_differences(reference, arrays, weights)
        for i, (grad, slope) in enumerate(zip(grads, slopes)):
            with claim(f"gradient of input {i} as by central differences"):
                self.assertClose(grad, slope, 1e-7)
        with claim("a second backward adds the same again"):
            out.backward(weights)
            self.assertSame([t.grad for t in tensors], [2 * grad for grad in grads])
        with claim("inputs unchanged, no memory shared, grads writable"):
            self.assertSame([t.data for t in tensors], list(arrays))
            own = [a for t in tensors for a in (t.data, t.grad)] + [weights]
            shared = [np.shares_memory(*two) for two in combinations(own, 2)]
            self.assertFalse(any(shared))
            self.assertTrue(all(t.grad.flags.writeable for t in tensors))
        with claim("the same where the other inputs are constants"):
            for constant in np.asarray, lambda a: Tensor(a, requires_grad=False):
                for i, array in enumerate(arrays):
                    mixed = [*map(constant, arrays)]
                    mixed[i] = Tensor(array)
                    f(*mixed).backward(weights)
                    self.assertClose(mixed[i].grad, grads[i])
            self.assertFalse(f(*map(constant, arrays)).requires_grad)
        with claim("float32 stays float32"):
            narrow = [Tensor(array.astype(F4)) for array in arrays]
            result = f(*narrow)
            result.backward(weights)
            self.assertEqual({a.dtype for t in narrow for a in (result, t.grad)}, {F4})
            self.assertClose([t.grad for t in narrow], grads, 1e-4)
        with claim("the same for every layout in memory"):
            for layout in LAYOUTS:
                odd, even = ([Tensor(array) for array in arrays] for _ in range(2))
                for one, two in zip(odd, even):
                    one.data = np.asarray(layout(one.data))
                    two.data = one.data.copy("C")
                for some in odd, even:
                    f(*some).backward(weights)
                self.assertClose([t.grad for t in odd], [t.grad for t in even])
        with claim("the graph is freed with its result"):
            inner = [t * 1 for t in tensors]
            result = f(*inner)
            result.backward(weights)
            graph = [weakref.ref(t) for t in (result, *inner)]
            del result, inner
            self.assertEqual([ref() for ref in graph], [None] * len(graph))

    def check_shapes(self, f, reference, make=numbers):
        for shape in (), (3,), (2, 3), (2, 1, 2), (0, 2):
            self.check(f, reference, make(*shape))


# ==== Part I: the engine ==============================================================


class TestNoGrad(Test):
    def test_it_nests_and_is_undone_by_exceptions(self):
        x, recorded = Tensor(2.0), []
        with contextlib.suppress(KeyError), mg.no_grad():
            with mg.no_grad():
                pass
            recorded.append((x * x).requires_grad)
            raise KeyError
        recorded.append((x * x).requires_grad)
        self.assertEqual(recorded, [False, True])

    def test_it_holds_for_its_thread_alone(self):
        x, recorded = Tensor(2.0), []
        thread = threading.Thread(target=lambda: recorded.append((x * x).is_leaf))
        with mg.no_grad():
            thread.start()
            thread.join()
        self.assertEqual(recorded, [False])


class TestTensor(Test):
    def test_data_is_copied(self):
        for data in numbers(2, 3), Tensor([1.0, 2.0]), Tensor([1.0, 2.0]) * 2:
            t = Tensor(data)
            array = data.data if isinstance(data, Tensor) else data
            self.assertSame(t.data, array)
            self.assertFalse(np.shares_memory(t.data, array))
            self.assertEqual((t.is_leaf, t.op, t.requires_grad), (True, "", True))

    def test_dtype(self):
        for data in 3, True, [1, 2], [[True]], np.int8(3), np.arange(3, dtype="u1"):
            self.assertSame(Tensor(data).data, np.array(data, F8))
        for data in 2.5, np.float32(2.5), np.ones((2, 1), F4), np.ones((0, 2)):
            self.assertSame(Tensor(data).data, np.array(data))
        for kind in "f4", "f8":  # the other byte order
            swapped = np.array([1.5]).astype(np.dtype(kind).newbyteorder())
            self.assertSame(Tensor(swapped).data, np.array([1.5], kind))
        for kind in np.float16, np.longdouble:
            self.assertSame(Tensor(np.array([1.5], kind)).data, np.array([1.5]))

    def test_is_leaf(self):
        x, constant = Tensor(1.0), Tensor(1.0, requires_grad=False)
        with mg.no_grad():
            leaves = [x, constant, constant * 2, x.detach(), x * 2]
        self.assertTrue(all(t.is_leaf for t in leaves))
        self.assertFalse((x * 2).is_leaf)

    def test_errors(self):
        t = Tensor(1.0)
        for data in None, "1.0", {}, [1j], [{}, {}], [None, 1.0]:
            self.raises(
                TypeError, "not numbers: " + re.escape(repr(data)), Tensor, data
            )
        self.raises(ValueError, "inhomogeneous", Tensor, [[1.0], [2.0, 3.0]])
        for data in [t, t], [1.0, t], (t, [t]), [[t, t], [t, t]]:
            self.raises(TypeError, r"use t\.data, .*minigrad\.stack", Tensor, data)


class TestFromOp(Test):
    def test_the_value_is_not_copied(self):
        value = numbers(3)
        self.assertIs(Tensor.from_op(value, "op").data, value)
        self.assertSame(Tensor.from_op(np.float32(2), "op").data, np.array(2, F4))

    def test_constants_are_never_asked(self):
        x, frozen = Tensor(1.0), Tensor(2.0, requires_grad=False)
        never = lambda g: self.fail("the vjp of a constant was called")
        pairs = (x, lambda g: g), (np.ones(3), never), (frozen, never), (2.0, never)
        y = Tensor.from_op(1.0, "op", *pairs)
        y.backward()
        self.assertEqual((y.op, x.grad.item(), frozen.grad), ("op", 1.0, None))
        self.assertFalse(Tensor.from_op(1.0, "op", *pairs[1:]).requires_grad)

    def test_an_operation_of_two_inputs_of_which_either_may_be_a_number(self):
        def hypot(x, y):
            a, b = [t.data if isinstance(t, Tensor) else t for t in (x, y)]
            c = np.hypot(a, b)
            pairs = (x, lambda g: g * a / c), (y, lambda g: g * b / c)
            return Tensor.from_op(c, "hypot", *pairs)

        self.check(hypot, np.hypot, numbers(2, 3), numbers(3))
        for f in lambda x: hypot(x, 4), lambda x: hypot(4.0, x):
            self.check(f, lambda a: np.hypot(a, 4.0), numbers(3))
            self.assertTrue(mg.gradcheck(f, Tensor(numbers(3))))

    def gradient(self, shape, share, dtype=F8):
        """The gradient of a Tensor of this shape if its vjp returns `share`."""
        x = Tensor(np.zeros(shape, dtype))
        Tensor.from_op(0.0, "op", (x, lambda g: share)).backward()
        return x.grad

    def test_a_share_is_summed_to_the_shape_of_its_tensor(self):
        for shape, share, expected in [
            ((), np.ones((2, 3)), 6),
            ((3,), np.ones((2, 2, 3)), [4, 4, 4]),
            ((1, 3), np.ones((2, 3)), [[2, 2, 2]]),
            ((2, 1, 1), np.ones((4, 2, 3, 1)), [[[12]], [[12]]]),
            ((2,), np.array([1, 2]), [1, 2]),
        ]:
            for dtype in F4, F8:
                grad = self.gradient(shape, share, dtype)
                self.assertSame(grad, np.array(expected, dtype))

    def test_errors(self):
        for shape, share in [(2,), (3,)], [(2, 3), (3,)], [(2, 3), (2, 1)]:
            message = re.escape(f"vjp of op: {share}, not {shape}")
            self.raises(ValueError, message, self.gradient, shape, np.ones(share))
        self.assertRaises(ValueError, self.gradient, (1,), np.ones(()))
        self.raises(TypeError, "complex128", self.gradient, (), np.array(1j))


class TestDetach(Test):
    def test_it_shares_the_array(self):
        x = Tensor(3.0)
        self.assertIs(x.detach().data, x.data)
        self.assertFalse(x.detach().requires_grad)


class TestBackward(Test):
    def test_it_starts_from_1_if_there_is_one_element(self):
        for shape in (), (1,), (1, 1, 1):
            x = Tensor(np.full(shape, 3.0))
            (x * x).backward()
            x.backward()  # of a leaf, too
            self.assertSame(x.grad, np.full(shape, 7.0))

    def test_its_gradient_may_be_a_list_an_array_or_a_tensor(self):
        for gradient in [1, 2], np.array([1, 2]), np.array([1.0, 2.0]), Tensor([1, 2]):
            x = Tensor(np.zeros(2, F4))
            (3 * x).backward(gradient=gradient)
            self.assertSame(x.grad, np.array([3, 6], F4))

    def test_every_path_counts_in_random_graphs_of_sums(self):
        moves = [  # each with the weights of a and b in it
            (lambda a, b: a + b, 1, 1),
            (lambda a, b: a - b, 1, -1),
            (lambda a, b: 3 * a, 3, 0),
            (lambda a, b: a.reshape(2, 1).T[0] + b, 1, 1),
            (lambda a, b: mg.stack([a, b, a]).sum(0), 2, 1),
        ]
        for seed in range(20):
            draw = np.random.default_rng(seed).integers
            leaves = [Tensor([1.0, 2.0]) for _ in range(3)]
            nodes, slopes = list(leaves), list(np.eye(3))  # d node / d leaf
            for _ in range(30):
                move, of_a, of_b = moves[draw(len(moves))]
                i, j = draw(len(nodes), size=2)
                nodes.append(move(nodes[i], nodes[j]))
                slopes.append(of_a * slopes[i] + of_b * slopes[j])
            for node in nodes:
                node.backward([1.0, 5.0])
            expected = [np.array([total, 5 * total]) for total in sum(slopes)]
            self.assertSame([t.grad for t in leaves], expected)

    def test_vjps_may_return_their_argument_or_an_array_of_their_own(self):
        kept, gradient = np.full(2, 10.0), np.ones(2)
        vjps = [(lambda g: g, 1.0), (lambda g: g[:], 1.0), (lambda g: kept, 10.0)]
        for chosen in product(vjps, repeat=3):
            x, y = Tensor(kept), Tensor(kept)
            inner = x * 1
            pairs = [(t, vjp) for vjp, _ in chosen for t in (inner, y)]
            out = Tensor.from_op(kept.copy(), "op", *pairs)
            out.backward(gradient)
            expected = np.full(2, sum(slope for _, slope in chosen))
            self.assertSame([x.grad, inner.grad, y.grad], [expected] * 3)
            self.assertSame([kept, gradient], [np.full(2, 10.0), np.ones(2)])
            for one, two in combinations([x.grad, y.grad, kept, gradient], 2):
                self.assertFalse(np.shares_memory(one, two))

    def test_the_gradient_of_an_inner_tensor_may_start_another_walk(self):
        x = Tensor([1.0, 2.0])
        hidden = x * 3
        (hidden * hidden).sum().backward()
        hidden.backward(hidden.grad)  # 2 * 3 x, and times 3 for x: twice
        self.assertSame(x.grad, np.array([36.0, 72.0]))

    def test_zero_dimensional_gradients_are_arrays(self):
        x = Tensor(np.float32(2))
        y = x * x * x
        for _ in range(2):
            y.backward()
            for array in x.grad, y.grad, x.data, y.data:
                self.assertIs(type(array), np.ndarray)

    def test_a_chain_of_twenty_thousand_operations(self):
        y = x = Tensor([1.0, 2.0])
        for factor in [2.0, 0.5] * 10_000:
            y = y * factor
        y.backward([3.0, 4.0])
        self.assertSame(x.grad, np.array([3.0, 4.0]))

    def test_errors(self):
        t = Tensor(numbers(2, 3))
        self.raises(
            ValueError, r"shape \(2, 3\).*\.sum\(\)\.backward\(\)", (t * 1).backward
        )
        self.raises(ValueError, r"\(3,\) for a tensor \(2, 3\)", t.backward, [1] * 3)
        self.raises(ValueError, r"\(1,\) for a tensor \(\)", t.sum().backward, [1.0])
        self.raises(RuntimeError, "requires a gradient", t.detach().backward)
        with mg.no_grad():
            self.raises(RuntimeError, "requires a gradient", t.sum().backward)
        self.raises(TypeError, "not numbers: '1'", t.sum().backward, "1")
        self.assertIsNone(t.grad)

    def test_a_failing_vjp_changes_no_grad(self):
        x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        (x * y).sum().backward()
        inner = x * 2
        bad = Tensor.from_op(y.data, "bad", (y, lambda g: 1 / 0))
        self.assertRaises(ZeroDivisionError, (inner + bad).sum().backward)
        self.assertSame([x.grad, y.grad, inner.grad], [y.data, x.data, None])


IN_PLACE = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "**=": operator.ipow,
}


class TestInPlace(Test):
    """Python reads t -= x as t = t - x: nothing happens in place, so t is new."""

    def test_it_makes_a_new_tensor(self):
        slopes = {"+=": 1, "-=": 1, "*=": 4, "/=": 0.25, "**=": 4 * 3**3}
        for sign, change in IN_PLACE.items():
            for other in 4, 4.0, [4.0], Tensor([4.0]):
                x = Tensor([3.0])
                change(x, other).backward()
                self.assertClose([x.data, x.grad], [[3.0], [slopes[sign]]])
            for start in Tensor([3.0]) * 1, Tensor([3.0], requires_grad=False):
                self.assertIsNot(change(start, np.array([4.0])), start)
                self.assertSame(start.data, np.array([3.0]))

    def test_an_array_is_not_changed_either(self):
        X = np.ones((3, 2))
        model = mg.Sequential(mg.Dropout(0.5), lambda x: operator.iadd(x, 1.0)).eval()
        self.assertSame([model(X).data, X], [X + 1, np.ones((3, 2))])
        self.raises(TypeError, "__array_ufunc__", operator.iadd, X, Tensor(1.0))

    def test_a_lost_update_is_refused(self):
        for recording, change in product((True, False), IN_PLACE.values()):
            for update in np.ones(2), np.array(1.0), np.float64(1.0):
                w = Tensor(np.ones(np.shape(update)))
                with contextlib.nullcontext() if recording else mg.no_grad():
                    self.raises(TypeError, r"write t\.data -=", change, w, update)
                self.assertSame(w.data, np.ones(np.shape(update)))


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


class TestArithmetic(Test):
    """What + - * / ** have in common, and all of it for + - * and /."""

    def test_gradient(self):
        for f in OPERATORS:
            for one, two in [
                [(), ()],
                [(2, 3), (2, 3)],
                [(2, 3), (3,)],
                [(), (2, 3)],
                [(2, 1), (1, 3)],
                [(2, 1, 1, 2), (3, 2, 1)],
                [(0, 3), (1, 3)],
                [(1, 1), ()],
            ]:
                arrays = positive(*one), positive(*two, seed=1)
                self.check(f, f, *arrays, operator=f.__name__)

    def test_gradient_with_a_number_on_either_side(self):
        for f, n in product(OPERATORS, (2, np.float64(2), np.int32(2))):
            left, right = lambda a: f(n, a), lambda a: f(a, n)
            self.check(left, left, positive(3), operator=f.__name__, number=n)
            self.check(right, right, positive(3), operator=f.__name__, number=n)

    def check_dtype(self, left, right, dtype):
        for f, (a, b) in product(OPERATORS, [(left, right), (right, left)]):
            with self.subTest(operator=f.__name__, left=a, right=b):
                out = f(a, b)
                self.assertEqual((type(out), out.dtype), (Tensor, dtype))
                arrays = [t.data if isinstance(t, Tensor) else t for t in (a, b)]
                exact = f(*[np.asarray(array, F8) for array in arrays])
                self.assertClose(out.data, exact, 1e-6)
                out.sum().backward()
        self.assertEqual(left.grad.dtype, left.dtype)

    def test_numbers_lists_and_arrays_of_integers_adopt_the_dtype(self):
        others = [2, 2.5, True, np.float64(2), np.int64(2), np.array(2.5)]
        others += [
            np.arange(1, 3),
            np.array([True, True]),
            [1, 2],
            [1.0, 2.0],
            (1.5, 2),
        ]
        for dtype, shape, other in product((F4, F8), [(), (2,)], others):
            self.check_dtype(Tensor(np.ones(shape, dtype)), other, dtype)
        t = Tensor(1.0)
        t.data = np.array([3])  # integers by mistake
        for number in 2.5, np.float64(2.5), np.array(2.5):
            self.assertSame((t / number).data, np.array([1.2]))

    def test_arrays_of_floats_promote_as_in_numpy(self):
        narrow, wide = np.ones(2, F4), np.ones(2)
        self.check_dtype(Tensor(narrow), narrow, F4)
        self.check_dtype(Tensor(narrow), wide, F8)
        self.check_dtype(Tensor(wide), narrow, F8)
        for pair in product((narrow, np.float32(2)), (wide, 2.5)):
            self.check_dtype(*map(Tensor, pair), F8)

    def test_errors(self):
        t = Tensor(numbers(2, 3))
        for f in OPERATORS:
            self.raises(ValueError, r"\(2,3\) ?\(4,\)", f, t, np.ones(4))
            for other in None, "a", 1j:
                self.raises(TypeError, f"not numbers: {other!r}", f, t, other)
                self.raises(TypeError, "not numbers", f, other, t)
            self.raises(TypeError, r"minigrad\.stack", f, t, [t, t])


class TestPow(Test):
    def test_gradient_of_negative_numbers_to_whole_powers(self):
        for power in 0, 1, 2, 3.0, -1, -2:
            f = lambda a: a**power
            self.check(f, f, numbers(4), power=power)

    def test_edges(self):
        nan, inf = math.nan, math.inf
        for base, exponent, value, of_base, of_exponent in [
            (0, 0, 1, 0, 0),
            (0, 1, 0, 1, 0),
            (0, 2, 0, 0, 0),
            (0, 0.5, 0, inf, 0),
            (0, -1, inf, -inf, -inf),
            (inf, 0, 1, 0, inf),
            (-2, 3, -8, 12, nan),
            (-2, 0, 1, 0, nan),
            (3, 0, 1, 0, math.log(3)),
            (-1, 0.5, nan, nan, nan),
        ]:
            with self.subTest(f"{base} ** {exponent}"), np.errstate(all="ignore"):
                a, b = Tensor(base), Tensor(exponent)
                out = a**b
                out.backward()
                expected = [value, of_base, of_exponent]
                self.assertClose([out.item(), a.grad.item(), b.grad.item()], expected)

    def test_finite_slopes_at_0_need_no_warning(self):
        x = Tensor([0.0, 0.0])
        (x ** [0.0, 2.0] + 0.0 ** (x + 1)).sum().backward()
        self.assertSame(x.grad, np.zeros(2))


class TestNeg(Test):
    def test_gradient(self):
        self.check_shapes(operator.neg, operator.neg)


class TestMatmul(Test):
    def test_gradient(self):
        vectors = "3@3 3@32 23@3 223@3 3@232 023@3 3@032"  # 223 is the shape (2, 2, 3)
        matrices = "23@34 11@11 03@32 20@03"
        batches = "23@232 223@231 2123@332 2113@1231"
        many_rows = "223@32 2123@32 203@32 220@03 223@30"
        for row in f"{vectors} {matrices} {batches} {many_rows}".split():
            one, two = (tuple(map(int, shape)) for shape in row.split("@"))
            arrays = numbers(*one), numbers(*two, seed=1)
            self.check(operator.matmul, np.matmul, *arrays)

    def test_errors(self):
        t, f = Tensor(numbers(2, 3)), operator.matmul
        self.raises(ValueError, r"\(2, 3\) @ \(2, 3\)", f, t, t)
        self.raises(ValueError, r"\(3, 2\) @ \(3", f, np.ones((3, 2)), t[0])
        self.raises(TypeError, "not numbers: None", f, t, None)


class Reduction(Test):
    """The base of the next four."""

    def check_reduction(self, name):
        for shape, axes in [
            [(2, 3, 2), (None, 0, 1, -1, (0, 1), (2, 0), (-2,), ())],
            [(3,), (None, 0, -1)],
            [(), (None, ())],
        ]:
            for axis, keepdims in product(axes, (False, True)):
                f = lambda a: getattr(a, name)(axis=axis, keepdims=keepdims)
                self.check(f, f, numbers(*shape), axis=axis, keepdims=keepdims)
        f = lambda a: getattr(a, name)(1)
        self.check(f, f, numbers(0, 3, 2))
        reduce = getattr(Tensor(numbers(2, 3)), name)
        self.assertEqual(reduce().op, {"mean": "/", "min": "neg"}.get(name, name))
        self.raises(ValueError, "axis 2 is out of bounds", reduce, axis=2)
        self.raises(ValueError, "axis -3 is out of bounds", reduce, axis=-3)

    def check_ties(self, reduce, a):
        for axis, expected in [
            (None, [[1 / 3, 1 / 3, 0], [0, 1 / 3, 0]]),
            (0, [[1, 0.5, 0.5], [0, 0.5, 0.5]]),
            (1, [[0.5, 0.5, 0], [0, 1, 0]]),
            ((), [[1, 1, 1], [1, 1, 1]]),
        ]:
            x = Tensor(a)
            reduce(x, axis).sum().backward()
            self.assertClose(x.grad, np.array(expected))


class TestSum(Reduction):
    def test_gradient(self):
        self.check_reduction("sum")


class TestMean(Reduction):
    def test_gradient(self):
        self.check_reduction("mean")


class TestMax(Reduction):
    def test_gradient(self):
        self.check_reduction("max")

    def test_ties_share_the_gradient(self):
        self.check_ties(Tensor.max, [[2.0, 2.0, 1.0], [1.0, 2.0, 1.0]])


class TestMin(Reduction):
    def test_gradient(self):
        self.check_reduction("min")

    def test_ties_share_the_gradient(self):
        self.check_ties(Tensor.min, [[1.0, 1.0, 2.0], [2.0, 1.0, 2.0]])


class TestReshape(Test):
    def test_gradient(self):
        for shape in (6, 1), (-1,), ((3, -1),), (2, 3, 1), ((1, 6),), ([2, 3],):
            f = lambda a: a.reshape(*shape)
            self.check(f, f, numbers(2, 3), to=shape)


class TestTranspose(Test):
    def test_gradient(self):
        for axes in (), (1, 2, 0), ((1, 2, 0),), ([0, 2, 1],), (-1, 0, -2):
            f = lambda a: a.transpose(*axes)
            self.check(f, f, numbers(2, 3, 4), axes=axes)

    def test_gradient_of_T(self):
        self.check_shapes(lambda a: a.T, lambda a: a.T)


class TestGetitem(Test):
    def check_indices(self, *indices):
        for i in indices:
            self.check(itemgetter(i), itemgetter(i), numbers(2, 3, 2), index=i)

    def test_gradient_of_views(self):
        s = np.s_
        self.check_indices(0, -1, np.int64(1), (1, 2), (1, 2, 0), (), ..., None, s[1:])
        self.check_indices(s[::-2], s[0:0], s[0, ..., 1], s[0, None, ::-1, -1])

    def test_gradient_of_lists_arrays_and_masks(self):
        s, mask = np.s_, np.arange(12).reshape(2, 3, 2) % 5 < 2
        self.check_indices([], [-1, 1], [1, 1, 1], ([0, 1, 0], [2, 2, 2]), (1, [2, 2]))
        self.check_indices(np.array(1), np.array([[0, 1], [1, 1]]), s[:, None, [0, 2]])
        self.check_indices(mask, np.array([True, False]), s[1, :, [True, False]], True)
        self.check_indices(np.ix_([1, 0], [2, 0, 2]), s[0:2, np.array(1), 0:1])

    def test_errors(self):
        t = Tensor(numbers(2, 3))
        self.raises(TypeError, "item assignment", operator.setitem, t, 0, 1.0)
        self.raises(IndexError, "out of bounds", operator.getitem, t, 2)


def slopes(f, x):
    x = Tensor(x)
    f(x).sum().backward()
    return x.grad.tolist()


class TestExp(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.exp, np.exp)


class TestLog(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.log, np.log, positive)

    def test_at_0(self):
        with np.errstate(divide="ignore"):
            self.assertEqual(slopes(Tensor.log, [0.0, 4.0]), [math.inf, 0.25])


class TestSqrt(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.sqrt, np.sqrt, positive)

    def test_at_0(self):
        with np.errstate(divide="ignore"):
            self.assertEqual(slopes(Tensor.sqrt, [0.0, 4.0]), [math.inf, 0.25])


class TestAbs(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.abs, np.abs)
        self.check_shapes(abs, np.abs)

    def test_at_0(self):
        self.assertEqual(slopes(Tensor.abs, [-0.0, 0.0, -1, 2]), [0, 0, -1, 1])


class TestRelu(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.relu, lambda a: (a + np.abs(a)) / 2)

    def test_at_0(self):
        self.assertEqual(slopes(Tensor.relu, [-0.0, 0.0, -1, 2]), [0, 0, 0, 1])


class TestTanh(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.tanh, lambda a: 1 - 2 / (np.exp(2 * a) + 1))


class TestSigmoid(Test):
    def test_gradient(self):
        self.check_shapes(Tensor.sigmoid, lambda a: (1 + np.tanh(a / 2)) / 2)

    def test_both_tails_are_accurate(self):
        for x in -700.0, -300.0, -40.0, -1e-9, 0.0, 0.5, 15.0, 40.0, 300.0, 700.0:
            up, down = Decimal(x).exp(), Decimal(-x).exp()
            value, slope = Tensor(x).sigmoid().item(), slopes(Tensor.sigmoid, x)
            self.assertLess(abs(value * float(1 + down) - 1), 1e-15)
            self.assertLess(abs(slope * float(2 + up + down) - 1), 1e-15)


HUGE = [[1e4, -1e4, 0.0], [1e4, 1e4, 1e4]]


class TestSoftmax(Test):
    def test_gradient(self):
        for shape, axis in ((3,), -1), ((2, 3), 0), ((2, 3, 2), 1), ((2, 0), -1):
            f = lambda a: np.exp(a) / np.exp(a).sum(axis=axis, keepdims=True)
            self.check(lambda t: t.softmax(axis), f, numbers(*shape), axis=axis)
        self.assertSame(Tensor(HUGE).softmax().data, Tensor(HUGE).softmax(-1).data)

    def test_no_number_of_float32_is_subnormal(self):
        x = Tensor(np.linspace(-120, 0, 1000).astype(F4))
        p = x.softmax()
        (p * numbers(1000).astype(F4)).sum().backward()
        smallest = np.finfo(F4).smallest_normal
        for array in p.data, x.grad:
            self.assertTrue(((array == 0) | (abs(array) >= smallest)).all())
        exact = np.exp(x.data.astype(F8))
        self.assertClose(p.data, exact / exact.sum(), 1e-6)


class TestLogSoftmax(Test):
    def test_gradient(self):
        for shape, axis in ((3,), -1), ((2, 3), 0), ((2, 3, 2), 1), ((0, 3), -1):
            f = lambda a: a - np.log(np.exp(a).sum(axis=axis, keepdims=True))
            self.check(lambda t: t.log_softmax(axis), f, numbers(*shape), axis=axis)
        self.assertSame(
            Tensor(HUGE).log_softmax().data, Tensor(HUGE).log_softmax(-1).data
        )

    def test_huge_numbers(self):
        for dtype in F4, F8:
            x = Tensor(np.array(HUGE, dtype))
            logs = x.log_softmax()
            logs[0, 1].backward()
            expected = [[0, -2e4, -1e4], [-math.log(3)] * 3]
            self.assertClose(logs.data, np.array(expected), 1e-6)
            self.assertSame(x.grad, np.array([[-1, 1, 0], [0, 0, 0]], dtype))


class TestPythonProtocols(Test):
    def test_bool_len_repr_and_iteration(self):
        t = Tensor(np.ones(1, F4)) * 2
        self.assertEqual((bool(Tensor(0.0)), bool(t), len(t)), (False, True, 1))
        self.assertEqual(repr(t), "Tensor([2.], dtype=float32, op='*')")
        self.assertEqual(f"{Tensor([2.0])}", "Tensor([2.])")
        first, second = x = Tensor(numbers(2, 2))
        (first * 2 + second * 3).sum().backward()
        self.assertSame(x.grad, np.array([[2.0, 2.0], [3.0, 3.0]]))

    def test_errors(self):
        many, single = Tensor([1.0, 2.0]), Tensor(1.0)
        for get in Tensor.item, float, "{:.2f}".format:
            self.raises(ValueError, "size 1", get, many)
        self.raises(ValueError, "ambiguous", bool, many)
        for function in len, list:
            self.raises(TypeError, "unsized", function, single)

    def test_a_tensor_equals_only_itself(self):
        a, b = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
        self.assertTrue(a == a and a != b and not a == b and not a != a)
        self.assertTrue(a != None and not a == None)  # noqa: E711
        self.assertEqual({a: 1, b: 2}[b], 2)

    def test_comparing_by_value_is_refused(self):
        t, values = Tensor([1.0, 2.0]), [1, 1.0, [1.0, 2.0], np.ones(2), np.float32(1)]
        for name, value in product(["eq", "ne"], values):
            for pair in (t, value), (value, t):
                self.raises(TypeError, r"use t\.data", getattr(operator, name), *pair)
        for name, value in product(["lt", "ge", "gt", "le"], [*values, t]):
            for pair in (t, value), (value, t):
                self.raises(TypeError, "not supported", getattr(operator, name), *pair)

    def test_copies_and_pickles_are_leaves_that_share_nothing(self):
        x = Tensor(numbers(2, 2).astype(F4))
        y = x * 2
        y.sum().backward()
        for duplicate, t in product((copy.deepcopy, pickled), (x, y)):
            made = duplicate(t)
            self.assertSame([made.data, made.grad], [t.data, t.grad])
            for one, two in combinations([made.data, made.grad, t.data, t.grad], 2):
                self.assertFalse(np.shares_memory(one, two))
            self.assertTrue(made.grad.flags.writeable)
            self.assertEqual((made.is_leaf, made.op), (True, t.op))
        one, two = copy.deepcopy([t.detach()] * 2)
        self.assertTrue(one is two and not one.requires_grad)
        self.assertFalse(np.shares_memory(copy.copy(x).data, x.data))


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


class TestNumPyProtocols(Test):
    def test_the_array_of_a_constant(self):
        t = Tensor([[1.0, 2.0]], requires_grad=False)
        self.assertTrue(np.shares_memory(np.asarray(t), t.data))
        self.assertFalse(np.shares_memory(np.array(t), t.data))
        self.assertSame(np.asarray(t, F4), t.data.astype(F4))
        self.assertRaises(ValueError, np.array, t, F4, copy=False)

    def test_functions_are_refused(self):
        t, x, into = Tensor([1.0, 2.0]), np.ones(2), np.zeros(2)
        for call in [
            lambda: np.exp(t),
            lambda: np.maximum(x, t),
            lambda: np.add(x, t, out=into),
            lambda: np.add.reduce(t),
            lambda: np.multiply.outer(x, t),
            lambda: operator.iadd(into, t),
        ]:
            self.raises(TypeError, "__array_ufunc__", call)
        for call in [
            lambda: np.asarray(t),
            lambda: np.array([t, t]),
            lambda: np.stack([x, t]),
            lambda: np.where(x > 0, t, 0),
            lambda: np.dot(t, x),
            lambda: np.argmax(t),
            lambda: np.linalg.norm(t),
            lambda: np.full(2, t),
            lambda: operator.setitem(into, ..., t),
        ]:
            self.raises(
                TypeError, r"use t\.data, t\.item\(\), or minigrad\.stack", call
            )
        for call in np.sum, np.mean, np.max, np.transpose:
            self.assertRaises(TypeError, call, t)
        self.assertSame(into, np.zeros(2))

    @WITH_SKLEARN
    def test_a_sparse_matrix_on_the_left_is_refused(self):
        import scipy.sparse

        sparse, W = scipy.sparse.csr_array(np.eye(2)), Tensor(np.eye(2))
        self.raises(TypeError, r"t\.data", operator.matmul, sparse, W)


class TestStack(Test):
    def test_gradient(self):
        arrays = [numbers(2, 3, seed=i) for i in range(3)]
        for axis in 0, 1, 2, -1:
            stack = lambda *tensors: mg.stack(tensors, axis)
            self.check(stack, lambda *a: np.stack(a, axis), *arrays, axis=axis)
        self.check(lambda *t: mg.stack(t), lambda *a: np.stack(a), numbers(), numbers())

    def test_numbers_and_lists_adopt_the_dtype(self):
        x = Tensor(np.array(1, F4))
        self.assertSame(mg.stack([x, 2.5]).data, np.array([1, 2.5], F4))
        self.assertSame(mg.stack((x, x)).data, np.array([1, 1], F4))
        self.assertSame(mg.stack([[1, 2], [3, 4]]).data, np.array([[1.0, 2], [3, 4]]))
        self.assertEqual(mg.stack([x, Tensor(1.0)]).dtype, F8)

    def test_errors(self):
        t, v = Tensor(numbers(2, 3)), Tensor(numbers(3))
        self.raises(ValueError, r"not a list: Tensor\(", mg.stack, t)
        self.raises(ValueError, "at least one array", mg.stack, [])
        self.raises(ValueError, "same shape", mg.stack, [t, v])


class TestConcatenate(Test):
    def test_gradient(self):
        for axis, shapes in [
            (0, [(2, 3), (1, 3), (0, 3)]),
            (1, [(2, 3), (2, 1), (2, 2)]),
            (-1, [(2, 3), (2, 1)]),
        ]:
            arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
            join = lambda *tensors: mg.concatenate(tensors, axis)
            self.check(join, lambda *a: np.concatenate(a, axis), *arrays, axis=axis)

    def test_gradient_of_a_tensor_given_twice(self):
        twice = lambda a: mg.concatenate([a, a])
        self.check(twice, lambda a: np.concatenate([a, a]), numbers(2))

    def test_lists_adopt_the_dtype_and_arrays_promote(self):
        x = Tensor(np.ones(2, F4))
        self.assertEqual(mg.concatenate([x, [1, 2]]).dtype, F4)
        self.assertEqual(mg.concatenate([x, [1, 2], np.ones(2)]).dtype, F8)

    def test_errors(self):
        t, s, f = Tensor(numbers(2, 3)), Tensor(1.0), mg.concatenate
        self.raises(ValueError, r"not a list: Tensor\(", f, t)
        self.raises(ValueError, "at least one array", f, [])
        self.raises(ValueError, "size 3 .* size 4", f, [t, np.ones((2, 4))])
        self.assertRaises((ValueError, IndexError), f, [s, s])
        self.assertRaises((ValueError, IndexError), f, [t, t], 2)


class TestWhere(Test):
    def test_gradient(self):
        for condition, one, two in [
            ([True, False, True], (3,), (3,)),
            ([[1], [0]], (3,), ()),
            (False, (3,), (2, 1)),
            ([[0, 1, 0], [1, 1, 0]], (2, 1, 3), (2, 3)),
            (np.zeros((0, 1)), (1, 2), ()),
            (np.array([0.0, np.nan]), (), (2, 2)),
        ]:
            where = lambda a, b: mg.where(condition, a, b)
            reference = lambda a, b: np.where(condition, a, b)
            arrays = numbers(*one), numbers(*two, seed=1)
            self.check(where, reference, *arrays, condition=condition)

    def test_numbers_adopt_the_dtype_and_arrays_promote(self):
        x, others = Tensor(np.array([1, 2], F4)), [3, True, 2.5, np.float64(2.5)]
        for other in *others, np.int64(3), [3, 4], [1.0, 2.0], np.array(2.5):
            self.assertEqual(mg.where([True, False], x, other).dtype, F4)
            self.assertEqual(mg.where([True, False], other, x).dtype, F4)
        for wide in np.ones(2), Tensor(1.0):
            self.assertEqual(mg.where(True, x, wide).dtype, F8)
        self.assertSame(mg.where([True, False], 1, 2).data, np.array([1.0, 2.0]))

    def test_errors(self):
        v = Tensor(numbers(3))
        self.raises(TypeError, r"use t\.data", mg.where, v, v, 0)
        self.raises(ValueError, r"\(2,\) ?\(3,\)", mg.where, [True, False], v, 0)
        self.raises(TypeError, r"minigrad\.stack", mg.where, True, [v, v], 0)
        self.raises(TypeError, "not numbers: 'a'", mg.where, True, v, "a")


class TestMseLoss(Test):
    def test_gradient(self):
        for shape in (3,), (2, 2), ():
            arrays = numbers(*shape), numbers(*shape, seed=1)
            self.check(mg.mse_loss, lambda p, t: ((p - t) ** 2).mean(), *arrays)

    def test_targets_adopt_the_dtype(self):
        for target in [3, 2], np.array([3, 2]), np.array([3, 2], F4):
            x = Tensor(np.array([1, 2], F4))
            self.assertSame(mg.mse_loss(x, target).data, np.array(2, F4))

    def test_errors(self):
        v, f = Tensor(numbers(3)), mg.mse_loss
        self.raises(ValueError, r"\(3,\) and \(3, 1\)", f, v, v.reshape(3, 1))
        self.raises(ValueError, r"\(3,\) and \(\)", f, v, 0.0)


class TestCrossEntropy(Test):
    def check_labels(self, labels, rows):
        def reference(a):
            logs = a - np.log(np.exp(a).sum(axis=-1, keepdims=True))
            return -(logs * rows).sum() / rows[..., 0].size

        loss = lambda t: mg.cross_entropy(t, labels)
        self.check(loss, reference, numbers(*rows.shape), labels=labels)

    def test_gradient(self):
        for labels in 2, [0, 2, 2, 1], [[1, 0], [2, 2], [0, 1]], [0], [[1]]:
            self.check_labels(labels, np.eye(3)[labels])
        self.check_labels([0, 0], np.ones((2, 1)))  # a single class

    def test_labels_come_in_many_forms_and_stay_as_they_were(self):
        labels, rows = np.array([1, 0, 1]), np.eye(2)[[1, 0, 1]]
        for form in (1, 0, 1), *map(labels.astype, ("i1", "u8", "?")):
            before = copy.deepcopy(form)
            self.check_labels(form, rows)
            np.testing.assert_array_equal(form, before)

    def test_the_line_for_probabilities(self):
        p, x = positive(2, 3), Tensor(numbers(2, 3))
        logs = np.log(np.exp(x.data) / np.exp(x.data).sum(axis=1, keepdims=True))
        loss = -(p * x.log_softmax()).sum(axis=-1).mean()
        self.assertClose(loss.item(), -(p * logs).sum() / 2)

    def test_a_class_that_is_ruled_out_costs_nothing(self):
        p = 1 / (1 + math.e)  # of the first class, beside the third; the second has 0
        for dtype, label in product((F4, F8), (0, 2)):
            for logits in [0.0, -math.inf, 1.0], [9999.0, -math.inf, 10_000.0]:
                x, row = Tensor(np.array(logits, dtype)), np.eye(3)[label]
                loss = mg.cross_entropy(x, label)
                loss.backward()
                self.assertClose(loss.item(), -math.log([p, 0, 1 - p][label]), 1e-6)
                self.assertClose(x.grad, np.array([p, 0, 1 - p]) - row, 1e-6)

    def test_errors(self):
        t, f = Tensor(numbers(2, 3)), mg.cross_entropy
        for labels in [0, 3], [-1, 0]:
            self.raises(ValueError, "0 to 2; for padding, use a mask", f, t, labels)
        need = r"labels are integers \(2,\), not "
        self.raises(ValueError, need + r"float64 \(2,\)", f, t, [0.0, 1])
        self.raises(ValueError, need + "<U1", f, t, ["a", "b"])
        self.raises(ValueError, need + r"int\d+ \(1,\)", f, t, [0])
        self.raises(ValueError, need + r"int\d+ \(2, 1\)", f, t, [[0], [1]])
        self.raises(ValueError, need + r"float64 \(2, 3\)", f, t, np.eye(3)[:2])


def operation(value, vjp):
    """An operation with value(a), whose vjp is vjp(g, a)."""
    pair = lambda x: (x, lambda g: vjp(g, x.data))
    return lambda x: Tensor.from_op(value(x.data), "op", pair(x))


class TestGradcheck(Test):
    def test_right_gradients_pass(self):
        x, y = Tensor(numbers(2, 3)), Tensor(positive(3))
        for f in operator.mul, lambda x, y: x[0], lambda x, y: Tensor(1.0):
            self.assertIs(mg.gradcheck(f, x, y), True)
            self.assertIs(mg.gradcheck(f, x, y.detach()), True)
        self.assertTrue(mg.gradcheck(lambda x: Tensor(1.0), x, atol=0.0, rtol=0.0))

    def test_wrong_gradients_fail(self):
        x, hole = Tensor([[1.0, 2.0], [3.0, 0.5]]), np.array([[1, 0], [1, 1]])
        for vjp, message in [
            (lambda g, a: g * 2.01 * a, r"input 0, element \(0, 0\): backward gives"),
            (lambda g, a: -g * 2 * a, r"input 0, element \(0, 0\)"),
            (lambda g, a: g * 2 * a * hole, r"element \(0, 1\): backward gives -?0,"),
            (lambda g, a: g * np.nan, r"element \(0, 0\): backward gives nan"),
            (lambda g, a: (g * 2 * a)[::-1], r"element \(0, 0\)"),
        ]:
            square = operation(np.square, vjp)
            self.raises(AssertionError, message, mg.gradcheck, square, x)
        f, y = lambda x, y: x * y.detach(), Tensor([3.0, 4.0])
        self.raises(AssertionError, r"input 1, element \(0,\)", mg.gradcheck, f, x, y)

    def test_a_softmax_without_any_gradient_fails(self):
        softmax = lambda a: np.exp(a) / np.exp(a).sum()
        f, x = operation(softmax, lambda g, a: 0 * g), Tensor([0.5, 1.0])
        self.raises(AssertionError, "backward gives -?0, ", mg.gradcheck, f, x)

    def test_a_vjp_that_forgets_g_fails_also_on_a_single_number(self):
        for value, x in (lambda a: (a * a).sum(), [1.0, 2.0]), (np.square, [[3.0]]):
            right = operation(value, lambda g, a: g * 2 * a)
            self.assertTrue(mg.gradcheck(right, Tensor(x)))
            twice = lambda g, a: 2 * a
            for wrong in twice, lambda g, a: g * g * a, lambda g, a: abs(g) * 2 * a:
                f = operation(value, wrong)
                self.raises(AssertionError, "input 0", mg.gradcheck, f, Tensor(x))

    def test_an_infinite_difference_fails(self):
        f = operation(np.log, lambda g, a: g * 77.0)
        with np.errstate(divide="ignore"):
            self.raises(AssertionError, "give -?inf", mg.gradcheck, f, Tensor([1e-6]))

    def test_a_vjp_that_changes_its_argument_fails(self):
        f = operation(lambda a: 2 * a, lambda g, a: operator.imul(g, 2))
        self.raises(ValueError, "read-only", mg.gradcheck, f, Tensor([1.0, 2.0]))

    def test_tolerances(self):
        for slope, tolerated, settings in [
            (0, 1e-5, {}),
            (10, 1e-2, {}),
            (-10, 1e-2, {}),
            (0, 1.0, {"atol": 1.0}),
            (10, 1.0, {"atol": 0.0, "rtol": 0.1}),
        ]:
            for error in 0.9 * tolerated, -0.9 * tolerated, 1.1 * tolerated:
                f = operation(lambda a: slope * a, lambda g, a: g * (slope + error))
                if error > tolerated:
                    with self.assertRaisesRegex(AssertionError, "backward gives"):
                        mg.gradcheck(f, Tensor(1.0), **settings)
                else:
                    self.assertTrue(mg.gradcheck(f, Tensor(1.0), **settings))

    def test_eps_is_the_distance_moved(self):
        f, x = Tensor.abs, Tensor(0.5)  # a step of 1 reaches across the kink
        self.assertTrue(mg.gradcheck(f, x))
        self.raises(
            AssertionError, "gives -1, .* give -0.5", mg.gradcheck, f, x, eps=1.0
        )

    def test_nothing_changes(self):
        for f, error in [
            (operator.mul, None),
            (lambda x, y: x * y.detach(), AssertionError),
        ]:
            x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
            x.grad = grad = np.array([5.0, 6.0])
            with self.assertRaises(error) if error else contextlib.nullcontext():
                mg.gradcheck(f, x, y)
            self.assertTrue(x.grad is grad and y.grad is None)
            self.assertEqual([*x.data, *y.data, *x.grad], [1, 2, 3, 4, 5, 6])

    def test_errors(self):
        x, narrow, f = Tensor(1.0), Tensor(np.float32(1)), mg.gradcheck
        for inputs in [x.detach()], [narrow], [x, narrow], []:
            message = "float64 Tensors that require gradients"
            self.raises(ValueError, message, f, lambda *t: t[0], *inputs)


# ==== Part II: networks ===============================================================

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


def fit(model, optimizer, steps=3):
    """The losses of a few steps, all on the same data."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = mg.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fit_with_adam(model):
    return fit(model, mg.Adam(model.parameters()), 2)


class DataFrame:
    """As in pandas: its rows are not found by number, but it becomes an array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)

    def __len__(self):
        return len(self.array)

    def __getitem__(self, column):
        raise KeyError(column)


def through_a_file(state):
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file)


class StateTest(Test):
    """The base for tests of models and optimizers."""

    def assertState(self, owner, state):
        self.assertEqual(list(owner.state_dict()), list(state))
        self.assertSame(list(owner.state_dict().values()), list(state.values()))

    def check_loading(self, owner):
        """Saving and loading copy; a state that does not fit changes nothing."""
        before = owner.state_dict()
        good = {name: array + 1 for name, array in before.items()}
        last = [name for name, array in before.items() if array.ndim][-1]
        shape, load = before[last].shape, owner.load_state_dict
        short = {name: array for name, array in good.items() if name != last}
        pair = re.escape(f"does not fit: [('{last}', {shape})]")
        self.raises(ValueError, pair, load, short)
        self.raises(ValueError, r"\[\('x', \(\)\)\]", load, {**good, "x": 1})
        both = re.escape(str(sorted([(last, shape), (last, (7,))])))
        self.raises(ValueError, both, load, {**good, last: np.ones(7)})
        for wrong in None, [[1.0], [2.0, 3.0]]:
            self.assertRaises(ValueError, load, {**good, last: wrong})
        objects = through_a_file({**good, last: np.array([{}])})
        self.raises(ValueError, "allow_pickle", load, objects)
        self.assertState(owner, before)
        load(through_a_file(good))
        for array in [*good.values(), *owner.state_dict().values()]:
            array += 1  # these are copies
        self.assertState(owner, {name: array + 1 for name, array in before.items()})


class TestModule(StateTest):
    NAMES = """hidden.0.W hidden.0.b hidden.1.W hidden.1.b extra.norm.gamma
        extra.norm.beta extra.pair.0 head.W head.b""".split()

    def test_parameters_are_found_once_in_order_of_definition(self):
        model = Example()
        model(X)  # keeps a result, which is not a parameter
        model.parent = [model]  # a circle
        model.more = [([Tensor(1.0)], {"a": Tensor(2.0)}), np.float64(3.0), {1, 2}]
        names = [*self.NAMES, "more.0.0.0", "more.0.1.a"]
        self.assertEqual([name for name, _ in model.named_parameters()], names)
        self.assertEqual([*model.state_dict()][-2:], names[-2:])

    def test_the_state_also_has_constants_arrays_and_frozen_parameters(self):
        model = Example()
        model.head.W.requires_grad = False
        others = "extra.pair.1 extra.norm.running_mean extra.norm.running_var table"
        self.assertCountEqual(model.state_dict(), self.NAMES + others.split())
        self.assertNotIn("head.W", dict(model.named_parameters()))

    def test_a_kept_result_is_neither_parameter_nor_state(self):
        for record in contextlib.nullcontext, mg.no_grad:
            model = mg.Module()
            model.layer, model.scale = mg.Layer(3, 2), Tensor(2.0, requires_grad=False)
            with record():
                model.hidden = model.layer(X)
                model.seen = [model.hidden.detach(), {"loss": model.hidden.sum()}]
                model.doubled, model.copied = model.scale * 2, mg.stack([model.scale])
            for duplicate in (lambda m: m), copy.copy, copy.deepcopy, pickled:
                found = duplicate(duplicate(model))  # op survives twice
                names = [name for name, _ in found.named_parameters()]
                self.assertEqual(names, ["layer.W", "layer.b"])
                self.assertEqual([*found.state_dict()], ["layer.W", "layer.b", "scale"])

    def test_every_kind_of_input(self):
        x = numbers(4, 3)
        mlp, frame = mg.MLP(3, [2, 1], rng=0), DataFrame(x)
        layers = mg.Neuron(3), mg.Layer(3, 2), mg.BatchNorm1d(3), mg.Dropout(0.0)
        for module in *layers, mlp:
            whole = Tensor(x)
            out = module(whole)
            for form in x, x.tolist(), frame, list(map(Tensor, x)):
                self.assertClose(module(form).data, out.data)
        for module in mg.Neuron(3), mg.Layer(3, 2), mlp:
            row = [Tensor(n) for n in x[0]]  # as in micrograd
            whole = Tensor(x[0])
            for form in row, tuple(row), whole:
                module(form).sum().backward()
            self.assertClose(np.array([t.grad for t in row]), 2 * whole.grad)

    def test_rng(self):
        for make, size in (mg.Neuron, [9]), (mg.Layer, [9, 4]), (mg.MLP, [9, [4]]):
            weights = lambda rng: make(*size, rng=rng).parameters()[0].data
            generator = np.random.default_rng(5)
            self.assertSame([weights(5), weights(5)], [weights(generator)] * 2)
            for rng in generator, None:
                self.assertFalse((weights(rng) == weights(rng)).any())

    def test_zero_grad_reaches_frozen_parameters(self):
        model = Example()
        parameters = model.parameters()
        mg.cross_entropy(model(X, scale=2.0), Y).backward()
        self.assertTrue(all(p.grad is not None for p in parameters))
        model.head.W.requires_grad = False
        model.zero_grad()
        self.assertEqual([p.grad for p in parameters], [None] * 9)

    def test_train_and_eval_switch_all_modules_within(self):
        model, other = Example(), Example()
        inside = [model, *model.hidden, model.extra["norm"], model.head]
        off = lambda: model.train(False)
        for switch, on in (model.eval, False), (model.train, True), (off, False):
            self.assertIs(switch(), model)
            self.assertEqual([m.training for m in inside], [on] * 5)
        self.assertTrue(other.training)

    def test_loading(self):
        model = Example(0)
        arrays = [p.data for p in model.parameters()]
        self.check_loading(model)
        self.assertTrue(all(p.data is a for p, a in zip(model.parameters(), arrays)))

    def test_loading_converts_numbers_of_another_precision(self):
        narrow, wide = mg.Layer(2, 1, dtype=F4), mg.Layer(2, 1)
        narrow.load_state_dict(wide.state_dict())
        self.assertSame(narrow.W.data, wide.W.data.astype(F4))
        wide.load_state_dict({"W": [[1], [2]], "b": np.array([True])})
        self.assertSame(wide.W.data, np.array([[1.0], [2.0]]))

    def test_deep_copies_and_pickles_train_on_their_own(self):
        for duplicate in copy.deepcopy, pickled:
            model, optimizer = make_training(seed=0)
            fit(model, optimizer)
            before = model.state_dict()
            twin, its_optimizer = duplicate((model, optimizer))
            self.assertTrue(its_optimizer.params[0] is twin.tied is twin.hidden[0].W)
            losses = fit(twin, its_optimizer)
            self.assertState(model, before)
            self.assertEqual(fit(model, optimizer), losses)

    def test_errors(self):
        model = mg.Module()
        self.raises(NotImplementedError, "Module has no forward method", model, X)

    def test_repr(self):
        self.assertEqual(repr(mg.Layer(2, 3)), "Layer(nonlin=relu, W=(2, 3), b=(3,))")
        text = "Sequential(layers=[Layer(nonlin=None, W=(2, 1), b=(1,)), tanh])"
        layer = mg.Layer(2, 1, nonlin=None)
        self.assertEqual(repr(mg.Sequential(layer, Tensor.tanh)), text)
        optimizer = mg.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        self.assertRegex(repr(optimizer), r"^SGD\(.*lr=0\.1.*momentum=0\.9.*\)$")


NONLIN = [  # what `nonlin` may be, and the function of arrays that it stands for
    (True, lambda a: np.maximum(a, 0)),
    (False, np.array),
    (None, np.array),
    (Tensor.tanh, np.tanh),
    (lambda t: t * t, np.square),
]


class TestNeuron(Test):
    def test_formula(self):
        for nonlin, curve in NONLIN:
            neuron = mg.Neuron(3, nonlin, rng=1)
            neuron.b.data[...] = 0.5
            expected = curve((X * neuron.w.data).sum(axis=1) + 0.5)
            self.assertClose(neuron(X).data, expected)
            self.assertClose(neuron(X[0]).data, expected[0])
        self.assertGreaterEqual(mg.Neuron(3, rng=0)(X).data.min(), 0)  # ReLU by default


class TestLayer(Test):
    def test_formula(self):
        for nonlin, curve in NONLIN:
            layer = mg.Layer(3, 4, nonlin, rng=1)
            layer.b.data[:] = numbers(4)
            expected = curve(np.einsum("ni,ij->nj", X, layer.W.data) + numbers(4))
            self.assertClose(layer(X).data, expected)
            self.assertClose(layer(X[0]).data, expected[0])
            deep = layer(X.reshape(5, 4, 3)).data
            self.assertClose(deep, expected.reshape(5, 4, 4))

    def test_first_weights(self):
        for nonlin, gain in (True, 2), (Tensor.relu, 2), (None, 1), (Tensor.tanh, 1):
            layer, neuron = mg.Layer(20_000, 2, nonlin, 0), mg.Neuron(20_000, nonlin, 0)
            for w, b in (layer.W.data, layer.b.data), (neuron.w.data, neuron.b.data):
                self.assertAlmostEqual(w.var() * len(w) / gain, 1, delta=0.05)
                self.assertLess(abs(w.mean()) * math.sqrt(w.size * len(w)), 4)
                self.assertSame(b, np.zeros(w.shape[1:]))

    def test_dtype(self):
        layer, t = mg.Layer(2, 2, dtype=F4), Tensor(np.float32(1))
        self.assertEqual([p.dtype for p in layer.parameters()], [F4, F4])
        for x in [[1, 2], [3, 5]], [[True, False]] * 2, [t, 2.0], [1.0, 2.0]:
            self.assertEqual(layer(x).dtype, F4)
        self.assertEqual(layer(np.ones(2)).dtype, F8)

    def test_it_is_its_neurons_side_by_side(self):
        layer, x, outputs = mg.Layer(3, 2, nonlin=Tensor.tanh, rng=0), numbers(4, 3), []
        for i in range(2):
            neuron = mg.Neuron(3, nonlin=Tensor.tanh)
            neuron.w.data[:], neuron.b.data[...] = layer.W.data[:, i], layer.b.data[i]
            outputs.append(neuron(x))
        self.assertClose(mg.stack(outputs, axis=-1).data, layer(x).data)

    def test_errors(self):
        layer = mg.Layer(3, 4)
        self.raises(ValueError, r"\(3, 20\) @ \(3, 4\)", layer, X.T)
        self.raises(TypeError, "not numbers: 'digits'", layer, "digits")


class TestSequential(Test):
    def test_modules_and_functions_in_turn(self):
        layer = mg.Layer(3, 4, rng=1)
        model = mg.Sequential(layer, Tensor.exp, lambda t: t * 2)
        self.assertClose(model(X).data, 2 * np.exp(layer(X).data))

    def test_it_is_a_sequence(self):
        layers = mg.Layer(3, 4), Tensor.exp, mg.Layer(4, 2)
        model = mg.Sequential(*layers)
        self.assertEqual((len(model), list(model)), (3, list(layers)))
        self.assertTrue(model[0] is layers[0] and model[-1] is layers[2])
        self.assertEqual(model[1:], list(layers[1:]))
        self.assertRaises(IndexError, lambda: model[3])


class TestMLP(Test):
    def test_formula(self):
        for nonlin, curve in NONLIN:
            model = mg.MLP(3, [4, 4, 2], nonlin, rng=2)
            first, second, last = (layer.W.data for layer in model.layers)
            for layer in model.layers:
                layer.b.data += 0.1
            hidden = curve(curve(X @ first + 0.1) @ second + 0.1)
            self.assertClose(model(X).data, hidden @ last + 0.1)

    def test_first_weights_and_dtype(self):
        first, last = mg.MLP(400, [400, 400], rng=0, dtype=F4).layers
        self.assertAlmostEqual(first.W.data.var() * 400, 2, delta=0.06)
        self.assertAlmostEqual(last.W.data.var() * 400, 1, delta=0.03)
        self.assertEqual([last.W.dtype, last.b.dtype], [F4, F4])

    def test_errors(self):
        self.raises(ValueError, "nouts is a list, not 3", mg.MLP, 2, 3)


class TestDropout(Test):
    def test_elements_are_dropped_independently_with_probability_p(self):
        for p in 0.5, 0.2, 0.75:
            x = Tensor(np.full((200, 500), 3.0))
            y = mg.Dropout(p, rng=0)(x)
            y.sum().backward()
            kept = y.data != 0
            self.assertAlmostEqual(kept.mean(), 1 - p, delta=0.01)
            for axis, n in (0, 200), (1, 500):
                spread = math.sqrt(p * (1 - p) / n)  # of the share of kept elements
                self.assertAlmostEqual(kept.mean(axis=axis).std(), spread, delta=0.005)
            self.assertClose([y.data, x.grad], [kept * 3 / (1 - p), kept / (1 - p)])

    def test_p_of_0_and_1(self):
        x = Tensor(numbers(50))
        self.assertSame(mg.Dropout(0)(x).data, x.data)
        nothing = mg.Dropout(1)(x)
        nothing.sum().backward()
        self.assertSame([abs(nothing.data), abs(x.grad)], [np.zeros(50)] * 2)

    def test_evaluation_changes_nothing_and_draws_nothing(self):
        x, dropout = np.ones(50, F4), mg.Dropout(rng=0)
        self.assertSame(dropout.eval()(x).data, x)
        first, second = (dropout.train()(x).data for _ in range(2))
        self.assertSame(first, mg.Dropout(0.5, rng=0)(x).data)  # float32, too
        self.assertTrue((first != second).any())

    def test_errors(self):
        for p in 1.5, -0.1, math.nan:
            self.raises(ValueError, f"p is a probability, not {p}", mg.Dropout, p)


class TestBatchNorm1d(Test):
    def statistics(self, a, ddof=0):
        """The means and variances, feature by feature."""
        return a.mean(axis=0), a.var(axis=0, ddof=ddof)

    def test_gradient_in_training(self):
        def normalise(x, gamma, beta):
            bn = mg.BatchNorm1d(3)
            bn.gamma, bn.beta = gamma, beta
            return bn(x)

        def reference(a, gamma, beta):
            mean, var = self.statistics(a)
            return (a - mean) / np.sqrt(var + 1e-5) * gamma + beta

        for shape in (6, 3), (2, 3):
            self.check(normalise, reference, numbers(*shape), numbers(3), positive(3))

    def test_evaluation_uses_running_averages(self):
        for momentum in 0.1, 0.3:
            bn = mg.BatchNorm1d(2, momentum=momentum)
            bn.gamma.data[:], bn.beta.data[:] = [2, 3], [-1, 1]
            mean, var = np.zeros(2), np.ones(2)
            for seed in range(3):
                x = 2 + 3 * numbers(6, 2, seed=seed)
                bn(x)
                for old, new in zip((mean, var), self.statistics(x, ddof=1)):
                    old += momentum * (new - old)
            self.assertClose([bn.running_mean, bn.running_var], [mean, var])
            bn.eval()
            expected = (x - mean) / np.sqrt(var + 1e-5) * [2, 3] + [-1, 1]
            self.assertClose(bn(x).data, expected)
            self.assertClose(bn(x[:1]).data, bn(x).data[:1])
            self.assertTrue(mg.gradcheck(bn, Tensor(x)))
            self.assertClose([bn.running_mean, bn.running_var], [mean, var])

    def test_defaults_and_eps(self):
        x, bn = Tensor([[1.0], [3.0]]), mg.BatchNorm1d(1)
        self.assertEqual((bn.eps, bn.momentum), (1e-5, 0.1))
        self.assertClose(mg.BatchNorm1d(1, eps=3.0)(x).data, np.array([[-0.5], [0.5]]))
        self.assertClose(mg.BatchNorm1d(1, eps=3.0).eval()(x).data, x.data / 2)

    def test_a_constant_feature_becomes_0(self):
        x = Tensor(np.full((3, 1), 5.0))
        out = mg.BatchNorm1d(1)(x)
        out.sum().backward()
        self.assertSame([out.data, x.grad], [np.zeros((3, 1))] * 2)

    def test_float32_stays_float32(self):
        bn = mg.BatchNorm1d(2, dtype=F4)
        for mode, x in product((True, False), ([[1, 2], [3, 5]], np.ones((2, 2), F4))):
            self.assertEqual(bn.train(mode)(x).dtype, F4)
        self.assertEqual({array.dtype for array in bn.state_dict().values()}, {F4})

    def test_an_input_that_does_not_fit_changes_no_average(self):
        bn = mg.BatchNorm1d(4)
        for rows in 0, 1:
            message = r"one row.* eval\(\)"
            self.raises(ValueError, message, bn, np.ones((rows, 4)))
        for shape in (2, 3), (2, 1), (4,), (2, 4, 1), (2, 2, 4):
            for mode in True, False:
                with self.subTest(shape=shape, training=mode):
                    self.assertRaises(ValueError, bn.train(mode), np.ones(shape))
        self.assertSame([bn.running_mean, bn.running_var], [np.zeros(4), np.ones(4)])


# ==== Part III: training ==============================================================


class OptimizerTest(StateTest):
    """The base: a subclass gives `make`, the optimizer, and `by_hand`, its rule."""

    def check_rule(self, *table, shapes=((), (3,), (2, 2), (1,)), steps=30):
        """Random gradients, of which some are missing, with the settings of `table`."""
        for settings in table:
            params = [Tensor(numbers(*s, seed=i)) for i, s in enumerate(shapes)]
            starts, arrays = [p.data.copy() for p in params], [p.data for p in params]
            optimizer, gradients = self.make(params, **settings), [[] for _ in params]
            for step in range(steps):
                for i, p in enumerate(params):
                    skipped = i and (step + i) % (i + 1) == 0
                    p.grad = None if skipped else numbers(*p.shape, seed=100 * step + i)
                    gradients[i].append(copy.copy(p.grad))
                optimizer.step()
                for p, own in zip(params, gradients):  # step leaves the gradients alone
                    np.testing.assert_array_equal(p.grad, own[-1])
            with self.subTest(**settings):
                for p, array, start, own in zip(params, arrays, starts, gradients):
                    self.assertSame(array, start)  # p.data is a new one
                    self.assertIs(type(p.data), np.ndarray)
                    self.assertClose(p.data, self.by_hand(start, own, **settings))

    def check_dtypes(self):
        settings = {"lr": 0.1, "weight_decay": 0.1}
        for shape, dtype in product([(), (3,)], (F4, F8)):
            p, wide = Tensor(np.ones(shape, dtype)), [numbers(*shape)] * 2
            optimizer = self.make([p], **settings)
            for p.grad in wide:  # gradients of another precision
                optimizer.step()
            expected = self.by_hand(np.ones(shape), wide, **settings)
            self.assertClose(p.data, expected, 1e-6)
            self.assertEqual((type(p.data), p.dtype), (np.ndarray, dtype))

    def check_numpy_lr(self):
        """An lr that is NumPy's gives the same float32, bit for bit."""
        params = [Tensor(numbers(9).astype(F4)) for _ in range(2)]
        for p, number in zip(params, (float, np.float64)):
            optimizer = self.make([p])
            optimizer.lr = number(0.1)
            for seed in range(5):
                p.grad = numbers(9, seed=seed).astype(F4)
                optimizer.step()
        self.assertSame(params[0].data, params[1].data)


class TestOptimizer(OptimizerTest):
    def make(self, params, **settings):
        class Plain(mg.Optimizer):
            def update(self, g, t):
                return self.lr * g

        return Plain(params, **settings)

    def by_hand(self, p, gradients, lr=1e-3, weight_decay=0.0):
        for g in gradients:
            p = p if g is None else p - lr * (g + weight_decay * p)
        return p

    def test_a_rule_of_ones_own(self):
        self.check_rule({}, {"lr": 0.1}, {"weight_decay": 0.3})

    def test_lr_may_change_between_steps(self):
        x = Tensor(1.0)
        optimizer = self.make(p for p in [x])  # any iterable will do
        for optimizer.lr in 0.5, 0.25, 0.0:
            x.grad = np.array(1.0)
            optimizer.step()
        optimizer.zero_grad()
        optimizer.step()
        self.assertEqual((x.item(), x.grad), (0.25, None))

    def test_a_grad_that_was_computed_may_be_a_number(self):
        x = Tensor(1.0)
        x.grad = np.array(3.0) * 0.5  # NumPy makes numbers of 0-d results
        self.make([x], lr=1.0).step()
        (x * 4).backward()
        self.assertSame([x.data, x.grad], [np.array(-0.5), np.array(5.5)])

    def test_an_error_in_step_changes_nothing(self):
        for wrong, i in product((np.ones(3), np.ones((2, 1)), 1.0), range(2)):
            params = [Tensor(numbers(2)), Tensor(numbers(2, seed=1))]
            optimizer = mg.Adam(params)
            for p in params:
                p.grad = np.ones(2)
            before, params[i].grad = optimizer.state_dict(), wrong
            self.raises(
                ValueError, r"(?s)a grad .* for a parameter \(2,\)", optimizer.step
            )
            self.assertState(optimizer, before)
            self.assertSame([p.data for p in params], [numbers(2), numbers(2, seed=1)])

    def test_a_graph_kept_over_a_step_gives_the_gradients_of_the_old_weights(self):
        w, x = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        loss, kept = (w * x * x).sum(), w.data
        loss.backward()
        self.make([w, x], lr=0.5).step()
        self.assertSame(kept, np.array([1.0, 2.0]))
        w.grad = x.grad = None
        loss.backward()
        self.assertSame([w.grad, x.grad], [np.array([9.0, 16]), np.array([6.0, 16])])

    def test_a_wrong_lr_changes_nothing(self):
        x = Tensor(1.0)
        x.grad = np.array(1.0)
        optimizer = mg.Adam([x])
        for lr, error, message in [
            (None, TypeError, "'NoneType'"),
            ("large", ValueError, "'large'"),
        ]:
            optimizer.lr = lr
            self.raises(error, message, optimizer.step)
        self.assertEqual([x.item(), *optimizer.state_dict()["steps"]], [1.0, 0])

    def test_errors(self):
        t = Tensor([1.0, 2.0])
        wrong = t, mg.MLP(2, [2]), [np.ones(2)], iter([]), [t, t], [t * 2]
        for params in wrong:
            self.raises(ValueError, "different Tensors that you made", mg.SGD, params)
        self.raises(TypeError, "not iterable", mg.SGD, mg.Layer(2, 2))
        t.grad = np.ones(2)
        bare = mg.Optimizer([t])
        self.raises(NotImplementedError, "Optimizer has no update method", bare.step)
        forgetful = type("Forgetful", (mg.Optimizer,), {"update": lambda *args: None})(
            [t]
        )
        self.raises(ValueError, "update returned None", forgetful.step)
        self.assertSame(t.data, np.array([1.0, 2.0]))


class TestSGD(OptimizerTest):
    make = mg.SGD

    def by_hand(self, p, gradients, lr=1e-3, momentum=0.0, weight_decay=0.0):
        velocity = 0.0
        for g in gradients:
            if g is not None:
                velocity = momentum * velocity + (g + weight_decay * p)
                p = p - lr * velocity
        return p

    def test_rule(self):
        self.check_rule({}, {"lr": 0.1}, {"momentum": 1.0}, {"weight_decay": 0.3})
        self.check_rule({"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1})

    def test_dtypes(self):
        self.check_dtypes()

    def test_loading(self):
        model = Example()
        optimizer = mg.SGD(model.parameters(), momentum=0.9)
        fit(model, optimizer)
        self.check_loading(optimizer)

    def test_numpy_lr(self):
        self.check_numpy_lr()


class TestAdam(OptimizerTest):
    make = mg.Adam

    def by_hand(self, p, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **decay):
        """Algorithm 1 of Kingma and Ba (2015)."""
        m = v = t = 0
        for g in gradients:
            if g is not None:
                g, t = g + decay.get("weight_decay", 0.0) * p, t + 1
                m = betas[0] * m + (1 - betas[0]) * g
                v = betas[1] * v + (1 - betas[1]) * g**2
                m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
                p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
        return p

    def test_rule(self):
        self.check_rule({}, {"lr": 0.1, "betas": (0.5, 0.9)}, {"lr": 0.05, "eps": 0.1})
        self.check_rule({"weight_decay": 0.3}, {"betas": (0.0, 0.0)})

    def test_dtypes(self):
        self.check_dtypes()

    def test_numpy_lr(self):
        self.check_numpy_lr()

    def test_loading(self):
        model = Example()
        optimizer = mg.Adam(model.parameters())
        fit(model, optimizer)
        self.check_loading(optimizer)
        names = ["steps", *(f"{name}.{i}" for name in "mv" for i in range(9))]
        self.assertEqual(sorted(optimizer.state_dict()), sorted(names))
        self.assertSame(optimizer.state_dict()["m.0"], optimizer.m[0])


class Recorder(mg.Module):
    """Scores from one weight; keeps the batches and modes that it has seen."""

    def __init__(self):
        self.W, self.dropout, self.seen = Tensor(np.zeros((1, 2))), mg.Dropout(0.5), []

    def forward(self, x):
        self.seen.append((np.array(x), self.training, self.dropout.training))
        return np.asarray(x, float) @ self.W


class TestTrainEpoch(Test):
    def train(self, n, batch_size, **options):
        model, X = Recorder(), np.arange(n).reshape(n, 1)
        optimizer = mg.SGD(model.parameters(), lr=0.01)
        settings = {"batch_size": batch_size, **options}
        mean = mg.train_epoch(model.eval(), optimizer, X, np.arange(n) % 2, **settings)
        return model, mean, [x.ravel().tolist() for x, *_ in model.seen]

    def test_batches_of_even_size_hold_every_row_once(self):
        for n, batch_size in (10, 4), (33, 32), (32, 32), (1, 5), (7, 1), (65, 32):
            model, _, batches = self.train(n, batch_size)
            sizes = [len(batch) for batch in batches]
            self.assertEqual(len(batches), math.ceil(n / batch_size))
            self.assertLessEqual(max(sizes) - min(sizes), 1)
            self.assertEqual(sorted(sum(batches, [])), list(range(n)))
            self.assertTrue(all(on and inner for _, on, inner in model.seen))
            self.assertTrue(model.training and model.dropout.training)

    def test_rng_decides_the_order(self):
        run = lambda rng: self.train(20, 8, rng=rng)[2]
        self.assertEqual(run(3), run(np.random.default_rng(3)))
        self.assertNotEqual(run(3), run(4))
        self.assertNotEqual(run(None), run(None))

    def test_it_steps_and_returns_the_mean_over_rows(self):
        losses = []

        def loss(scores, y):  # 1, 2, 3 for batches of 4, 3 and 3 rows
            losses.append(len(losses) + 1.0)
            return (scores * 0).sum() + mg.cross_entropy(scores, y) * 0 + losses[-1]

        _, mean, batches = self.train(10, 4, loss=loss)
        sizes = [len(batch) for batch in batches]
        self.assertClose(mean, np.dot(sizes, losses) / 10)
        self.assertIs(type(mean), float)
        X, y = numbers(6, 3), np.arange(6) % 2
        model, twin = mg.MLP(3, [2], rng=0), mg.MLP(3, [2], rng=0)
        first = mg.train_epoch(model, mg.SGD(model.parameters(), lr=0.1), X, y)
        expected = mg.cross_entropy(twin(X), y)
        expected.backward()
        self.assertClose(first, expected.item())
        for p, q in zip(model.parameters(), twin.parameters()):
            self.assertClose(p.data, q.data - 0.1 * q.grad)

    def test_lists_and_dataframes(self):
        X, y, after = numbers(6, 3), np.arange(6) % 2, []
        for make in np.array, np.ndarray.tolist, DataFrame:
            model = mg.MLP(3, [2], rng=0)
            optimizer = mg.Adam(model.parameters(), lr=0.1)
            mg.train_epoch(model, optimizer, make(X), make(y), batch_size=2, rng=0)
            after.append(model[0].W.data)
        self.assertSame(after, after[:1] * 3)

    def test_errors(self):
        model, X = mg.MLP(3, [2]), numbers(4, 3)
        optimizer, before = mg.Adam(model.parameters()), model.state_dict()
        for rows, labels, message in [
            (X, [0, 1, 0], "X has 4 rows, and y has 3"),
            (X[:0], [], "X has 0 rows"),
            ([], [], "X has 0 rows"),
        ]:
            train = lambda: mg.train_epoch(model, optimizer, rows, labels)
            self.raises(ValueError, message, train)
        self.assertSame([*model.state_dict().values()], [*before.values()])


class TestPredict(Test):
    def test_evaluation_mode_unrecorded_and_modes_restored(self):
        model = Recorder()
        for on, inner in product((True, False), repeat=2):
            model.training, model.dropout.training = on, inner
            out = mg.predict(model, [[1.0], [2.0]])
            self.assertSame(out, np.zeros((2, 2)))
            self.assertEqual(model.seen[-1][1:], (False, False))
            self.assertEqual((model.training, model.dropout.training), (on, inner))
        recorded = []
        model.forward = lambda x: recorded.append(x @ model.W) or recorded[-1]
        mg.predict(model, np.ones((2, 1)))
        self.assertFalse(recorded[0].requires_grad)
        self.assertTrue((np.ones((2, 1)) @ model.W).requires_grad)

    def test_dataframes_and_float32(self):
        model, x = mg.MLP(3, [4, 2], rng=0, dtype=F4), numbers(5, 3).astype(F4)
        self.assertSame(mg.predict(model, x), model(x).data)
        self.assertSame(mg.predict(model, DataFrame(x)), model(x).data)


class TestAttention(Test):
    def reference(self, q, k, v, causal=True):
        scores = np.einsum("...tc,...sc->...ts", q, k) / np.sqrt(q.shape[-1])
        places = np.arange(scores.shape[-1])
        if causal:
            later = places > np.arange(scores.shape[-2])[:, None]
            scores = np.where(later, -np.inf, scores)
        e = np.exp(scores)
        return np.einsum("...ts,...sd->...td", e / e.sum(-1, keepdims=True), v)

    def test_gradient(self):
        for batch, causal in product([(), (2,), (2, 3)], (True, False)):
            sizes = [(3, 4), (3, 4), (3, 2)] if causal else [(2, 4), (3, 4), (3, 2)]
            arrays = [numbers(*batch, *s, seed=i) for i, s in enumerate(sizes)]
            f = lambda q, k, v: mg.attention(q, k, v, causal=causal)
            reference = lambda q, k, v: self.reference(q, k, v, causal)
            self.check(f, reference, *arrays, causal=causal)

    def test_no_place_looks_ahead(self):
        q, k, v = numbers(3, 5, 4)
        before = mg.attention(q, k, v).data
        k[3:], v[3:] = 9.0, -9.0
        after = mg.attention(q, k, v).data
        self.assertSame(after[:3], before[:3])
        self.assertTrue((after[3:] != before[3:]).all())


# ==== Part IV: the small print ========================================================


class TestToDot(Test):
    def test_nodes_and_edges(self):
        x, y = Tensor([1.0, 2.0]), Tensor(np.zeros((1, 5)))
        names = {"weights": x, "y": y}
        text = mg.to_dot(((x * x).sum() + y + 3.0) * np.ones(5), names=names)
        self.assertTrue(text.startswith("digraph") and text.endswith("}"))
        nodes = dict(re.findall(r'^ +(n\d+) \[.*label=" *(\S+?) *\\n', text, re.M))
        self.assertCountEqual(nodes.values(), "* + + sum * weights y".split())
        edges = re.findall(r"^ +(n\d+) -> (n\d+)$", text, re.M)
        expected = "weights>* weights>* *>sum sum>+ y>+ +>+ +>*".split()
        self.assertCountEqual([f"{nodes[a]}>{nodes[b]}" for a, b in edges], expected)

    def test_labels(self):
        x = Tensor([1.5, 2.0, 3.0, 4.0])
        self.assertIn(r"(4,)\ndata [1.5 2.  3.  4. ]", mg.to_dot(x))
        y = (x * x).sum()
        y.backward()
        self.assertIn(r'"loss sum\n', mg.to_dot(y, {"loss": y}))
        self.assertRegex(text := mg.to_dot(x, [("a", x)]), r'"a *\\n\(4,\)')
        self.assertIn("grad [3. 4. 6. 8.]", text)
        self.assertNotIn("data", mg.to_dot(Tensor(np.zeros(5))))

    def test_a_long_chain_is_drawn_without_recursion(self):
        y = Tensor(1.0)
        for _ in range(3000):
            y = -y
        self.assertEqual(mg.to_dot(y).count("->"), 3000)


def another_minigrad():
    """The engine's file, imported a second time under another name."""
    spec = importlib.util.spec_from_file_location("another_minigrad", mg.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestImport(Test):
    def test_an_older_numpy_is_refused(self):
        for version in "1.26.4", "1.9":
            with mock.patch.object(np, "__version__", version):
                self.raises(ImportError, "Python 3.10 and NumPy 2", another_minigrad)
        with mock.patch.object(sys, "version_info", (3, 9, 18)):
            self.raises(ImportError, "Python 3.10 and NumPy 2", another_minigrad)

    def test_dir_shows_the_public_names(self):
        self.assertEqual(dir(mg), sorted([*mg.__all__, "__version__"]))
        self.assertTrue(all(hasattr(mg, name) for name in mg.__all__))


# ==== What people do with it ==========================================================


def make_training(seed):
    model = Example(seed)
    return model, mg.Adam(model.parameters(), lr=0.05, weight_decay=0.1)


def resume(folder):
    """Go on with the training saved in `folder`: another process calls this."""
    model, optimizer = make_training(seed=1)
    model.load_state_dict(np.load(Path(folder, "model.npz")))
    optimizer.load_state_dict(np.load(Path(folder, "optimizer.npz")))
    losses = fit(model, optimizer)
    np.savez(Path(folder, "resumed.npz"), losses=losses, **model.state_dict())


def python(*arguments, **environment):
    """What became of `python arguments` in this folder."""
    command, env = [sys.executable, *arguments], {**os.environ, **environment}
    options = {"capture_output": True, "text": True, "timeout": 120, "env": env}
    return subprocess.run(command, cwd=HERE, encoding="utf-8", **options)


class TestPrograms(Test):
    def test_training_resumes_bit_for_bit_in_another_process(self):
        model, optimizer = make_training(seed=0)
        fit(model, optimizer)
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder, "model.npz"), **model.state_dict())
            np.savez(Path(folder, "optimizer.npz"), **optimizer.state_dict())
            run = python("-c", f"import test_minigrad as t; t.resume({folder!r})")
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            with np.load(Path(folder, "resumed.npz")) as file:
                resumed = dict(file)
        self.assertEqual(resumed.pop("losses").tolist(), fit(model, optimizer))
        self.assertSame(list(resumed.values()), list(model.state_dict().values()))

    @WITH_SKLEARN
    def test_large_arrays_go_through_joblib_to_another_process(self):
        from joblib import Parallel, delayed

        model = mg.MLP(3, [60_000, 3], rng=0)  # arrays above 1 MB are mapped to memory
        warnings.simplefilter("ignore")  # those of joblib
        jobs = Parallel(n_jobs=2, max_nbytes="1M")
        there = jobs([delayed(fit_with_adam)(model)] * 2)
        self.assertEqual(there, [fit_with_adam(model)] * 2)

    def test_two_threads_train_two_models(self):
        def train(seed, results):
            results[seed] = fit(*make_training(seed), 40)

        alone, together = {}, {}
        threads = [threading.Thread(target=train, args=(s, together)) for s in (0, 1)]
        for thread in threads:
            thread.start()
        for seed, thread in enumerate(threads):
            thread.join()
            train(seed, alone)
        self.assertEqual(together, alone)

    def test_numpys_global_random_state_is_never_touched(self):
        before = pickle.dumps(np.random.get_state())
        layers = mg.MLP(3, [4]), mg.BatchNorm1d(4), mg.Dropout(), mg.Layer(4, 3)
        model = mg.Sequential(*layers)
        fit(model, mg.Adam(model.parameters()))
        mg.gradcheck(mg.Neuron(3), Tensor(X))
        self.assertEqual(pickle.dumps(np.random.get_state()), before)

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


class TestDocumentation(unittest.TestCase):
    """The examples in the documentation."""

    def check_examples(self, run, *arguments, **options):
        output, here = io.StringIO(), os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # for examples that save a file
            try:
                with contextlib.redirect_stdout(output):
                    failed, attempted = run(*arguments, **options)
            finally:
                os.chdir(here)
        self.assertEqual(failed, 0, output.getvalue())
        self.assertGreater(attempted, 0)

    def test_minigrad_checks_itself_when_run(self):
        run = python("minigrad.py")
        self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)
        self.assertRegex(run.stdout, r"^TestResults\(failed=0, attempted=[1-9]\d*\)$")

    @WITH_SKLEARN
    def test_digits_demo(self):
        import digits_demo

        self.check_examples(doctest.testmod, digits_demo)

    @WITH_SKLEARN
    def test_readme(self):
        options = {"module_relative": False, "encoding": "utf-8"}
        self.check_examples(doctest.testfile, str(HERE / "README.md"), **options)

    def test_the_gpt_in_the_readme(self):
        text = (HERE / "README.md").read_text(encoding="utf-8")
        (program,) = re.findall(r"```python\n(import builtins.*?)```", text, re.S)
        self.assertIn("steps = 1000\n", program)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program.replace("steps = 1000\n", "steps = 2\n"), {})
        self.assertRegex(out.getvalue(), r"^loss \d\.\d\d\n([a-z]* ){8}\n$")

    def test_the_graph_in_the_readme(self):
        text = (HERE / "README.md").read_text(encoding="utf-8")
        labels = re.findall(r'[\[(]"(.*<br>.*)"[\])]', text)
        a, b = Tensor([1.0, -2.0, 4.0]), Tensor(2.0)
        y = (a * b + a).sum()
        y.backward()
        dot = mg.to_dot(y, names={"a": a, "b": b, "y": y})
        drawn = re.findall(r'label=" *(.*?)"', dot.replace(r"\n", "<br>"))
        drawn = [label.replace(" <br>", "<br>") for label in drawn]
        self.assertCountEqual(labels, drawn)


@WITH_SKLEARN
class TestDemo(Test):
    """digits_demo.py, end to end on a small setting."""

    LINE = r"(?m)^Epoch +(\d+)  TrainLoss (\d+\.\d{4})  ValAcc (\d+\.\d\d)%$"
    SHORT = "--epochs", "1", "--samples", "100"

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.network = str(self.folder / "network.npz")

    def run_demo(self, *arguments, status=None):
        """What main prints to stdout, and the last line of stderr."""
        import digits_demo

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if status is None:
                digits_demo.main(list(arguments))
            else:
                with self.assertRaises(SystemExit) as caught:
                    digits_demo.main(list(arguments))
                self.assertEqual(caught.exception.code, status)
        return out.getvalue(), "".join(err.getvalue().splitlines()[-1:])

    def test_it_learns_and_prints_a_line_for_each_epoch(self):
        for optimizer in "adam", "sgd":
            options = "--epochs", "3", "--samples", "200", "--optimizer", optimizer
            text, _ = self.run_demo(*options)
            epochs, losses, accuracies = zip(*re.findall(self.LINE, text))
            self.assertEqual(epochs, ("1", "2", "3"))
            self.assertLess(float(losses[-1]), float(losses[0]))
            self.assertGreater(float(accuracies[-1]), 80)
            self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_a_saved_network_answers_the_same(self):
        text, message = self.run_demo(
            *self.SHORT, "--seed", "3", "--save", self.network
        )
        self.assertEqual(message, f"Saved the network to {self.network}")
        self.assertEqual(os.listdir(self.folder), ["network.npz"])
        loaded, _ = self.run_demo("--load", self.network)
        self.assertTrue(text.endswith(loaded))

    def test_the_seed_decides(self):
        text, _ = self.run_demo(*self.SHORT)
        self.assertEqual(self.run_demo(*self.SHORT)[0], text)
        self.assertNotEqual(self.run_demo(*self.SHORT, "--seed", "1")[0], text)

    def test_wrong_options(self):
        for option, message in [
            ("--samples 0", "--samples: must be between 2 and 1437, got 0"),
            ("--samples 5000", "--samples: must be between 2 and 1437, got 5000"),
            ("--epochs -1", "--epochs: must be between 1 and 9999, got -1"),
            ("--lr nan", "--lr: must be between 1e-09 and 10, got nan"),
            ("--seed x", "--seed: invalid"),
            ("--optimizer rmsprop", "--optimizer: invalid choice: 'rmsprop'"),
            ("--load a.npz --seed 1", "--seed: has no effect with --load"),
            (f"--save {self.folder}", "--save: must be the name of a file, got"),
            (f"--load {os.devnull}", "--load: must be the name of a file, got"),
        ]:
            out, error = self.run_demo(*option.split(), status=2)
            self.assertEqual(out, "")
            self.assertIn(f"error: argument {message}", error)

    def test_wrong_files(self):
        text, other, away = (self.folder / name for name in ("a.npz", "b.npz", "c/d"))
        text.write_text("not a network")
        np.savez(other, W=np.ones(3))
        for option, path, message in [
            ("--load", text, f"cannot load {text}: not a network saved by"),
            ("--load", other, f"cannot load {other}: not a network saved by"),
            ("--load", away, f"cannot read {away}: No such file"),
            ("--save", away, f"cannot write {away}: No such file"),
        ]:
            out, error = self.run_demo(option, str(path), status=2)
            self.assertEqual(out, "")
            self.assertIn(f"error: {message}", error)

    def test_an_interrupted_training_leaves_no_file(self):
        with mock.patch("digits_demo.train", side_effect=KeyboardInterrupt):
            _, error = self.run_demo("--save", self.network, status=130)
        self.assertEqual(error, "digits_demo.py: interrupted")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_terminal_without_block_characters_gets_ascii(self):
        import digits_demo

        terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with contextlib.redirect_stdout(terminal):
            digits_demo.main([*self.SHORT])
        self.assertRegex(terminal.buffer.getvalue().decode("ascii"), self.LINE)


if __name__ == "__main__":
    unittest.main()
