# SPDX-License-Identifier: MIT
# minigrad 2.0.0. Copyright 2026 The minigrad authors.
"""minigrad: automatic differentiation and neural networks, in one file to read.

A neural network is a function with many adjustable numbers, its parameters. Training it
means asking, again and again: if this parameter grew a little, how much would the error
(the loss) grow? The answers, one slope for each parameter, are called the gradient.
Move every parameter a small step against its slope, and the loss shrinks.

How can a computer find the slopes? It could change one parameter and run the network
again, but a million parameters take a million runs for one step. A calculation, though,
is a chain of additions, products and exponentials, and each has a derivative that you
learned at school. The chain rule multiplies these along a chain, and adds the products
where several chains lead from a parameter to the error:

    y = x * x,  z = 3 * y        dz/dx = dz/dy * dy/dx = 3 * 2x

So we record every operation, then walk back through the record and multiply slopes. Why
back? A forward walk finds the effect of one parameter on everything, so a million
parameters need a million walks. A backward walk finds the effect of everything on the
one error, so one walk is enough. It takes about as long as two runs, but intermediate
values must stay in memory. This is reverse-mode differentiation
(Linnainmaa, 1970), in neural networks called backpropagation (Rumelhart et al., 1986).

The whole idea takes nine lines. A Number remembers its inputs, each with its slope:

>>> class Number:
...     def __init__(self, data, *inputs):
...         self.data, self.inputs, self.grad = data, inputs, 0.0
...     def __add__(a, b): return Number(a.data + b.data, (a, 1.0), (b, 1.0))
...     def __mul__(a, b): return Number(a.data * b.data, (a, b.data), (b, a.data))
...     def backward(self, g=1.0):
...         self.grad += g
...         for number, slope in self.inputs:
...             number.backward(g * slope)

In a sum, each input has slope 1. In a product, the result grows b times as fast as a,
and a times as fast as b. `backward` starts with 1, because a result grows as fast as
itself, and multiplies the slopes along every path back. This is enough to learn: here,
w and b are adjusted until w * x + b fits three points of the line 2 * x + 1:

>>> w, b = Number(0.0), Number(0.0)
>>> for step in range(200):
...     w.grad = b.grad = 0.0
...     for x, y in [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]:
...         error = w * Number(x) + b + Number(-y)
...         (error * error).backward()          # adds its slopes to those so far
...     w.data -= 0.1 * w.grad
...     b.data -= 0.1 * b.grad
>>> round(w.data, 3), round(b.data, 3)
(2.0, 1.0)

The rest of this file supplies what these lines lack:

  - They follow every path, and sixty doublings, y = y + y, have 2**60 paths. They also
    recurse, and a chain of a thousand operations exceeds Python's recursion limit.
    Chapter 2 visits each tensor once, in a loop.
  - They make a Python object for each number, which is slow. The Tensors of chapter 1
    hold whole arrays, and chapters 4 to 8 add their operations.
  - They have no neurons, layers or networks (Part II), and they do not say how large a
    step should be, when to stop or how good the result is (Part III).

Each chapter builds on the ones before it, though an example may look ahead. Helpers
such as `_float_array` have names that say what they do, and are in Part IV.

Notation:

    a, b     the arrays of an operation's inputs
    g        the gradient of the final result with respect to an operation's output
    N        examples in a batch, computed together
    C        features (numbers per example), channels or classes
    (N, C)   the shape of an array; a comment  # (N, C) -> (N,)  shows how it changes

Most names come from PyTorch or NumPy. GPUs, convolutions and gradients of gradients are
not supported, and the speed is NumPy's. You may copy this file into a project. It needs
Python 3.10 and NumPy 2.0 or newer. Running it checks every example in it.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import math
import os
import threading
from collections.abc import Mapping, MutableSequence, Sequence
from functools import partial, partialmethod
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

__version__ = "2.0.0"
__all__ = ["Tensor", "no_grad", "stack", "concatenate", "where", "cross_entropy",
           "mse_loss", "gradcheck", "to_dot", "Module", "Neuron", "Layer", "Sequential",
           "MLP", "Dropout", "BatchNorm1d", "Optimizer", "SGD", "Adam"]  # fmt: skip


######## Part I  The engine ############################################################
# ==== 1  Tensors and operations =======================================================
# What should a tensor remember so that the walk can find the slopes? For arrays of a
# million elements, the slopes of all outputs with respect to all inputs would fill a
# million-by-million table, the Jacobian. But the walk only ever multiplies this table
# by the gradient that arrives. So we keep a function that computes the product:
#
#     An operation is its value and, for every input, a function that turns the gradient
#     of the output into a share of the gradient of that input.
#
# Such a function is called a vector-Jacobian product, or vjp: it multiplies a vector,
# the gradient, by the Jacobian. It never builds the Jacobian, because the product has a
# short formula for every operation in this file. Results and the inputs that they
# remember form a graph. A tensor without inputs, such as one that you make, is a leaf.
_recording = contextvars.ContextVar("recording", default=True)  # one for each thread
_creation_numbers = itertools.count()


@contextlib.contextmanager
def no_grad():
    """Stop recording in this block and this thread, for evaluation or updates.

    Do not yield inside it: generators that take turns would leave recording off.
    >>> x = Tensor(2.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad, (x * x).requires_grad
    (False, True)
    """
    before = _recording.get()
    try:
        _recording.set(False)
        yield
    finally:
        _recording.set(before)


class Tensor:
    """An array of numbers that remembers how it was computed.

    `data`, a number, nested list, array or Tensor, is copied. Integers and booleans
    become float64; float32 and float64 are kept; any other type is an error. Unlike in
    PyTorch, `requires_grad` is True by default. `grad` is None until `backward` stores
    an array of data's shape and dtype there.
    >>> t = Tensor([[1, 2, 3], [4, 5, 6]])
    >>> t.shape, t.ndim, t.size, str(t.dtype), t.is_leaf, t.grad
    ((2, 3), 2, 6, 'float64', True, None)
    >>> t.sum(), t.sum().is_leaf            # made by an operation, so not a leaf
    (Tensor(21., op='sum'), False)
    """

    __slots__ = "data grad requires_grad op _inputs _number __weakref__".split()
    grad: Any

    def __init__(self, data, requires_grad=True):
        self.data = np.array(_float_array(data))
        self.grad = None
        self.requires_grad = _flag("requires_grad", requires_grad)
        self.op = ""
        self._inputs = []  # (tensor, vjp) pairs
        self._number = next(_creation_numbers)  # newer tensors have higher numbers

    is_leaf = property(lambda self: not self._inputs)
    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)

    @staticmethod
    def from_op(value, op, *inputs) -> Tensor:
        """A Tensor for the `value` of the operation `op`. Every operation calls this.

        Each of `inputs` is a pair `(tensor, vjp)`. The vjp takes the gradient of the
        output, a read-only array of value's shape, and returns a share of tensor's
        shape, or of the shape that tensor was broadcast to. It is not called for a
        constant: an input that is not a Tensor or requires no gradient. An example:
        >>> def sin(x):
        ...     a = x.data
        ...     return Tensor.from_op(np.sin(a), "sin", (x, lambda g: g * np.cos(a)))
        >>> x = Tensor([0.0, np.pi])
        >>> sin(x).sum().backward()
        >>> np.allclose(x.grad, [1.0, -1.0])    # cos(0) and cos(pi)
        True

        A vjp may hold arrays such as `a`, but not the output Tensor: that holds the
        vjp, and the cycle would stay in memory until Python's garbage collector finds
        it. Other graphs are freed with their result.

        Here either input may also be a number or an array, which is a constant:
        >>> def hypot(x, y):
        ...     a, b = [t.data if isinstance(t, Tensor) else t for t in (x, y)]
        ...     c = np.hypot(a, b)
        ...     pairs = (x, lambda g: g * a / c), (y, lambda g: g * b / c)
        ...     return Tensor.from_op(c, "hypot", *pairs)
        >>> x = Tensor(3.0)
        >>> hypot(x, 4.0).backward()
        >>> float(x.grad)
        0.6
        """
        out = Tensor.__new__(Tensor)
        out.data = np.asarray(value)  # not copied
        if out.data.dtype.char not in "fd":  # float32, float64
            hint = "was t.data set to an array of integers?"
            raise TypeError(f"{op!r} computed {out.data.dtype}; {hint}")
        out.op, out.grad = op, None
        out._inputs = []
        for pair in inputs if _recording.get() else ():
            if not isinstance(pair[0], Tensor):
                _require_constant(pair[0])
            elif pair[0].requires_grad:
                out._inputs.append(pair)
        out.requires_grad = bool(out._inputs)
        out._number = next(_creation_numbers)
        return out

    def detach(self) -> Tensor:
        """The same array as a constant, so that gradients stop here.
        >>> x = Tensor(3.0)
        >>> (x * x.detach()).backward()
        >>> float(x.grad)                   # d(x * 3)/dx, not d(x * x)/dx
        3.0
        """
        return Tensor.from_op(self.data, "detach")

    # ==== 2  The walk backwards =======================================================
    # How can the walk visit each tensor only once, although many paths lead through it?
    # A tensor waits until every tensor that used it has delivered its share, and then
    # passes on the sum, which is the sum over all paths. At x = 1, take a = 2 * x,
    # b = a + 1 and c = a * b. The walk reaches a from c at once, but a must wait for
    # the share that comes through b, or x would get 6 instead of 10. So the walk always
    # takes the newest tensor that it has reached. A tensor is newer than everything it
    # was computed from, so all that still owe it a share are newer and come first.
    #
    # NumPy stretches, or broadcasts, arrays to a common shape. In (32, 10) + (10,), it
    # uses each of the ten numbers in 32 rows, so the gradient of each is a sum over 32
    # uses. `_unbroadcast` sums such a share over the stretched axes for all operations.

    @staticmethod
    def _unbroadcast(share, shape, op):
        """Sum a `share` of the output's shape down to its tensor's `shape`."""
        in_front = share.ndim - len(shape)  # axes that NumPy has added
        total = _sum(share, tuple(range(in_front)))
        if total.shape != shape and total.ndim == len(shape):
            ones = tuple([axis for axis, n in enumerate(shape) if n == 1])
            total = _sum(total, ones, keepdims=True)
        if total.shape != shape:
            shapes = f"returned shape {share.shape}, but its input has {shape}"
            raise ValueError(f"the vjp of {op!r} {shapes}")
        return np.asarray(total)  # NumPy returns 0-d results as scalars

    def _gradients(self, gradient):
        """{tensor: gradient} for self and all that led to it, given its `gradient`."""
        gradients = {self: gradient}
        sums = set()  # tensors whose gradient array was made here, by adding
        reached = [(-self._number, self)]  # a heap that yields the newest first
        while reached:
            _, node = heappop(reached)
            # Some vjps return g itself (both of x + y do), so tensors may share it. A
            # read-only view keeps a vjp from changing another tensor's gradient.
            g = gradients[node] = gradients[node].view()
            g.setflags(False)  # not writeable
            for tensor, vjp in node._inputs:
                share = np.asarray(vjp(g))
                if share.shape != tensor.data.shape:
                    share = Tensor._unbroadcast(share, tensor.data.shape, node.op)
                if share.dtype != tensor.data.dtype:  # float32 that met float64
                    share = share.astype(tensor.data.dtype, casting="same_kind")
                if tensor not in gradients:
                    gradients[tensor] = share
                    if not tensor.is_leaf:
                        heappush(reached, (-tensor._number, tensor))
                elif tensor in sums:  # the third share, or a later one
                    gradients[tensor] += share
                else:
                    gradients[tensor] = np.asarray(gradients[tensor] + share)
                    sums.add(tensor)
        return gradients

    _adding = threading.RLock()  # threads that share a leaf add to its grad in turn

    @staticmethod
    def _store(gradients):
        """Add the gradient of every leaf to its `grad`; set the grad of the others."""
        for tensor, g in gradients.items():
            if tensor.is_leaf:  # a leaf gets its own copy, because g may be shared
                gradients[tensor] = g = g.copy()
                old = _checked_grad(tensor)
                if old is not None:
                    g += old
        for tensor, g in gradients.items():  # only now: an error changes nothing
            tensor.grad = g

    def backward(self, gradient=None) -> None:
        """Differentiate this tensor with respect to every tensor it was computed from.

        It stores the results in `grad`. A leaf's grad accumulates until you set it to
        None, so the gradients of several losses add up; you may scale or clip it in
        place. The grad of any other tensor is overwritten; it is there to inspect.
        >>> x = Tensor(1.0)
        >>> a = 2 * x
        >>> c = a * (a + 1)
        >>> for _ in range(2):
        ...     c.backward()
        ...     print(a.grad, x.grad)       # dc/da = 2a + 1, dc/dx = 2 (2a + 1)
        5.0 10.0
        5.0 20.0

        Neither 2**60 paths nor a chain beyond Python's recursion limit is a problem:
        >>> y = x = Tensor(1.0)
        >>> for i in range(5000):
        ...     y = y + y if i < 60 else y + 1.0
        >>> y.backward()
        >>> float(x.grad) == 2.0 ** 60
        True

        `gradient`, that of a later result with respect to this tensor, is 1 by default
        if the tensor has one element. A wrong shape raises ValueError, and a constant
        RuntimeError. An error leaves every grad as it was.
        """
        gradients = self._gradients(_first_gradient(self, gradient))
        with Tensor._adding:
            Tensor._store(gradients)

    # ==== 3  The bare training loop ===================================================
    # We can already train. Here is the line w * x + b again, with all points at once.

    def _in_place(self, ufunc, sign, other):
        """`w -= lr * w.grad`, the simplest step; lr is called the learning rate.
        >>> x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])
        >>> w, b = Tensor(0.0), Tensor(0.0)
        >>> for step in range(200):
        ...     loss = ((w * x + b - y) ** 2).sum()         # forwards
        ...     w.grad = b.grad = None                      # forget the old gradients
        ...     loss.backward()                             # backwards
        ...     with no_grad():
        ...         w -= 0.1 * w.grad                       # downhill
        ...         b -= 0.1 * b.grad
        >>> round(w.item(), 3), round(b.item(), 3)
        (2.0, 1.0)

        Each slope describes a move of one parameter alone. We may move all at once,
        because nearby the loss is almost a plane, on which the effects of several moves
        add up. The smaller the step, the better this holds.

        Under `no_grad`, `t -= x`, +=, *=, /= and **= change the array of a t that you
        made. Otherwise they bind t to a new tensor: a result may share its array, and
        while recording, `loss += penalty` should be recorded. A parameter would then
        stay as it was, so there an array on the right raises TypeError. (A Python
        number, list or Tensor does not, because it may be a penalty.)
        """
        if self.op or _recording.get():
            _refuse_lost_update(self, sign, other)
            return NotImplemented  # so Python computes t = t - x
        a, b = self._operands(other)
        ufunc(a, b, out=a, casting="same_kind")
        return self

    __iadd__ = partialmethod(_in_place, np.add, "+=")
    __isub__ = partialmethod(_in_place, np.subtract, "-=")
    __imul__ = partialmethod(_in_place, np.multiply, "*=")
    __itruediv__ = partialmethod(_in_place, np.divide, "/=")
    __ipow__ = partialmethod(_in_place, np.power, "**=")

    # ==== 4  Arithmetic ===============================================================
    # How do we write an operation? As a row in a table of derivatives: the value, then
    # one vjp for each input. In a product, the output grows b times as fast as a, so
    # the gradient of a is g * b. An operand that is a number or an array is a constant.
    # An array is not copied, so do not change it before `backward` is done. (The same
    # holds for an index, a condition and targets.)

    def _operands(self, other):
        """The arrays of self and other; numbers adopt the dtype of self."""
        if isinstance(other, Tensor):
            return self.data, other.data
        return self.data, _float_array(other, self.data.dtype)

    def __add__(self, other) -> Tensor:
        """
        >>> x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        >>> [z.data.tolist() for z in (x + y, 0.5 + x, x - y, 1 - x, -x)]
        [[4.0, 6.0], [1.5, 2.5], [-2.0, -2.0], [0.0, -1.0], [-1.0, -2.0]]
        """
        a, b = self._operands(other)
        return Tensor.from_op(a + b, "+", (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other) -> Tensor:
        a, b = self._operands(other)
        return Tensor.from_op(a - b, "-", (self, lambda g: g), (other, lambda g: -g))

    def __mul__(self, other) -> Tensor:
        """
        >>> column, row = Tensor([[1.0], [2.0]]), Tensor([3.0, 4.0, 5.0])
        >>> (column * row).data.tolist()    # (2, 1) * (3,) -> (2, 3)
        [[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]]
        >>> (column * row).sum().backward()
        >>> column.grad.tolist(), row.grad.tolist()
        ([[12.0], [12.0]], [3.0, 3.0, 3.0])
        """
        a, b = self._operands(other)
        pairs = (self, lambda g: g * b), (other, lambda g: g * a)
        return Tensor.from_op(a * b, "*", *pairs)

    def __truediv__(self, other) -> Tensor:
        """
        >>> x, y = Tensor(3.0), Tensor(2.0)
        >>> (x / y).backward()              # slopes 1 / y and -x / y**2
        >>> (x / y).item(), (1 / y).item(), float(x.grad), float(y.grad)
        (1.5, 0.5, 0.5, -0.75)
        """
        a, b = self._operands(other)
        value = a / b
        pairs = (self, lambda g: g / b), (other, lambda g: -g * value / b)
        return Tensor.from_op(value, "/", *pairs)

    def __pow__(self, other) -> Tensor:
        """a ** b; both may be Tensors. The slopes are b a^(b-1) and a^b log a.

        x**0 is constant, so its slope is 0, even at 0, where the formula is 0 * inf.
        (An infinite gradient still becomes nan, as in `relu`.)
        >>> x = Tensor([0.0, 2.0])
        >>> (x**0 + x**3 + 2**x).sum().backward()
        >>> np.allclose(x.grad, [np.log(2), 12 + 4 * np.log(2)])
        True
        """
        a, b = self._operands(other)
        value = a**b if a.dtype == b.dtype else np.power(a, b)  # f4 ** f8 may be f4
        one = value.dtype.type(1)
        vjp_a = lambda g: g * b * a ** np.where(b == 0, 0, b - one)
        # For b > 0, 0**b stays 0, but the formula has 0 * -inf. At b = 0 we take 0 too.
        vjp_b = lambda g: g * value * np.log(np.where((a == 0) & (b >= 0), one, a))
        return Tensor.from_op(value, "**", (self, vjp_a), (other, vjp_b))

    def __neg__(self) -> Tensor:
        return Tensor.from_op(-self.data, "neg", (self, lambda g: -g))

    # Python calls these for `2 - t`, after the number has returned NotImplemented.
    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other) -> Tensor:
        return _as_tensor(other, self.dtype) - self

    def __rtruediv__(self, other) -> Tensor:
        return _as_tensor(other, self.dtype) / self

    def __rpow__(self, other) -> Tensor:
        return _as_tensor(other, self.dtype) ** self

    def __rmatmul__(self, other) -> Tensor:
        return _as_tensor(other, self.dtype) @ self

    # ==== 5  Matrices, sums, shapes ===================================================
    # Which operation takes most of a large network's time? The matrix product. In
    # Y = A B, the element A[i, k] multiplies B[k, j] in each Y[i, j]. So if G is the
    # gradient of Y, the gradient of A[i, k] is the sum over j of G[i, j] B[k, j]. This
    # is a matrix product again: G B^T for A, and likewise A^T G for B. The other
    # operations here add, pick or move numbers, and their vjps move the gradients back.

    def __matmul__(self, other) -> Tensor:
        """The matrix product; 1-D, 2-D, batched and broadcast as in `np.matmul`.
        >>> A, B = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])
        >>> (A @ B).data.tolist()                   # (1, 2) @ (2, 1) -> (1, 1)
        [[11.0]]
        >>> (A @ B).backward()
        >>> A.grad.tolist(), B.grad.tolist()
        ([[3.0, 4.0]], [[1.0], [2.0]])

        A batch of two matrices times one, whose gradient is the sum over both:
        >>> one = Tensor(np.ones((3, 4)))   # (2, 2, 3) @ (3, 4) -> (2, 2, 4)
        >>> (np.arange(12.0).reshape(2, 2, 3) @ one).sum().backward()
        >>> one.grad[:, 0].tolist()
        [18.0, 22.0, 26.0]
        """
        a, b = self._operands(other)
        if b.ndim == 1 and a.shape[-1:] == b.shape:  # a vector as one column
            return (self @ _as_tensor(other, a.dtype)[:, np.newaxis])[..., 0]
        if a.ndim == 1 and b.shape[-2:-1] == a.shape:  # or as one row
            return (self[np.newaxis] @ other)[..., 0, :]
        if a.ndim > 2 and b.ndim == 2 and a.shape[-1] == len(b):
            # One large product is fastest, so treat the leading axes as rows.
            rows = self.reshape(math.prod(a.shape[:-1]), len(b)) @ other
            return rows.reshape(*a.shape[:-1], b.shape[1])
        # mT swaps the last two axes; T would reverse all, which is wrong in a batch.
        pairs = (self, lambda g: g @ b.mT), (other, lambda g: a.mT @ g)
        return Tensor.from_op(_matmul(a, b), "@", *pairs)

    def sum(self, axis=None, keepdims=False) -> Tensor:
        """The sum over `axis`, an int or a tuple of ints; over all axes if it is None.

        Every summand has slope 1, so it gets the gradient of its sum:
        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.sum().item(), x.sum(axis=0).data.tolist(), x.sum(1, keepdims=True).shape
        (10.0, [4.0, 6.0], (2, 1))
        >>> (x.sum(axis=0) * [1.0, 5.0]).sum().backward()
        >>> x.grad.tolist()
        [[1.0, 5.0], [1.0, 5.0]]
        """
        kept = _sum(self.data, axis, keepdims=True)
        value = kept if keepdims else kept.squeeze(axis)
        kept_shape, shape = kept.shape, self.shape
        vjp = lambda g: np.broadcast_to(g.reshape(kept_shape), shape)
        return Tensor.from_op(value, "sum", (self, vjp))

    def mean(self, axis=None, keepdims=False) -> Tensor:
        """The mean over `axis`, as for `sum`.
        >>> x = Tensor([1.0, 2.0, 3.0, 6.0])
        >>> x.mean().backward()
        >>> x.mean().item(), x.grad.tolist()
        (3.0, [0.25, 0.25, 0.25, 0.25])
        """
        total = self.sum(axis, keepdims)
        return total / (self.size // max(total.size, 1))  # total may be empty

    def max(self, axis=None, keepdims=False) -> Tensor:
        """The largest element along `axis`. It alone gets the gradient; ties share it.
        >>> x = Tensor([1.0, 7.0, 7.0])
        >>> x.max().backward()
        >>> x.grad.tolist()
        [0.0, 0.5, 0.5]
        """
        return self._extreme(np.max, "max", axis, keepdims)

    def min(self, axis=None, keepdims=False) -> Tensor:
        """The smallest element along `axis`; otherwise like `max`.
        >>> Tensor([[4.0, 2.0], [1.0, 3.0]]).min(axis=1).data.tolist()
        [2.0, 1.0]
        """
        return self._extreme(np.min, "min", axis, keepdims)

    def _extreme(self, find, op, axis, keepdims):
        a = self.data
        kept = find(a, axis=axis, keepdims=True)
        value = kept if keepdims else kept.squeeze(axis)

        def share_among_ties(g):
            ties = a == kept
            return g.reshape(kept.shape) * ties / ties.sum(axis=axis, keepdims=True)

        return Tensor.from_op(value, op, (self, share_among_ties))

    def reshape(self, *shape) -> Tensor:
        """The same elements in another shape, as in NumPy: -1 stands for "the rest".
        >>> Tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, -1).data.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        old = self.shape
        value = self.data.reshape(*shape)
        return Tensor.from_op(value, "reshape", (self, lambda g: g.reshape(old)))

    def transpose(self, *axes) -> Tensor:
        """The axes in another order, as in NumPy; reversed if no order is given.
        >>> t = Tensor([[[1.0, 2.0, 3.0]]])         # (1, 1, 3)
        >>> t.transpose(0, 2, 1).shape, t.transpose().shape, t.T.shape
        ((1, 3, 1), (3, 1, 1), (3, 1, 1))
        """
        value = self.data.transpose(*axes)
        back = None  # without an order, reversing the axes again restores them
        if axes and axes[0] is not None:  # several ints, or one tuple of them
            # axes[i] says where axis i came from; argsort inverts the order.
            back = np.argsort(np.ravel(axes) % self.ndim)
        return Tensor.from_op(value, "transpose", (self, lambda g: g.transpose(back)))

    T = property(transpose)

    def __getitem__(self, index) -> Tensor:
        """`t[index]`, with every index that NumPy takes.

        An element picked several times gets the sum of its gradients. So a table whose
        rows are looked up by number (an embedding) can be trained:
        >>> table = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> table[[0, 2, 0]].sum().backward()       # row 0 twice, row 1 never
        >>> table.grad.tolist()
        [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
        """
        a = self.data
        value = a[index]

        def scatter(g):
            d = np.zeros_like(a)
            if np.may_share_memory(value, a):  # a view holds no element twice
                d[index] = g
            else:  # d[index] += g would count a repeated index once
                np.add.at(d, index, g)
            return d

        return Tensor.from_op(value, "[]", (self, scatter))

    def __setitem__(self, index, value):
        hint = "t[index] = x works only under no_grad(); or write t.data[index] = x"
        _require(not _recording.get(), hint, TypeError)
        self.data[index] = _float_array(value, self.dtype)

    # ==== 6  Activations and softmax ==================================================
    # Are matrix products enough for a network? No, because (x @ A) @ B is x @ (A @ B).
    # However many we stack, they amount to one product, which draws only lines and
    # planes. A nonlinear activation function between them, such as ReLU or tanh, allows
    # curves. Some vjps use the value: e^x has the slope e^x, and tanh has 1 - tanh^2.

    def exp(self) -> Tensor:
        """e to the power of each element.
        >>> Tensor([0.0, -1000.0]).exp().data.tolist()
        [1.0, 0.0]
        """
        value = np.exp(self.data)
        return Tensor.from_op(value, "exp", (self, lambda g: g * value))

    def log(self) -> Tensor:
        """The natural logarithm of each element.
        >>> Tensor([1.0, 1.0]).log().data.tolist()
        [0.0, 0.0]
        """
        a = self.data
        return Tensor.from_op(np.log(a), "log", (self, lambda g: g / a))

    def sqrt(self) -> Tensor:
        """The square root of each element. The slope at 0 is infinite.
        >>> Tensor([0.25, 4.0]).sqrt().data.tolist()
        [0.5, 2.0]
        """
        value = np.sqrt(self.data)
        return Tensor.from_op(value, "sqrt", (self, lambda g: g / (2 * value)))

    def abs(self) -> Tensor:
        """The absolute value of each element. The slope at 0 is taken as 0.
        >>> Tensor([-2.0, 0.0, 3.0]).abs().data.tolist()
        [2.0, 0.0, 3.0]
        """
        a = self.data
        return Tensor.from_op(np.abs(a), "abs", (self, lambda g: g * np.sign(a)))

    def relu(self) -> Tensor:
        """max(x, 0), the rectified linear unit. The slope at 0 is taken as 0.
        (A slope of 0 passes an infinite gradient on as 0 * inf, which is nan.)
        >>> x = Tensor([-1.0, 0.0, 2.0])
        >>> x.relu().sum().backward()
        >>> x.relu().data.tolist(), x.grad.tolist()
        ([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])
        """
        value = np.maximum(self.data, 0)
        return Tensor.from_op(value, "relu", (self, lambda g: g * (value > 0)))

    def tanh(self) -> Tensor:
        """The hyperbolic tangent: an S-shaped curve from -1 to 1 with slope 1 at 0.
        >>> Tensor([-100.0, 0.0, 100.0]).tanh().data.tolist()
        [-1.0, 0.0, 1.0]
        """
        value = np.tanh(self.data)  # at large |x|, 1 - value**2 is inexact: harmless
        return Tensor.from_op(value, "tanh", (self, lambda g: g * (1 - value * value)))

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x): an S-shaped curve from 0 to 1 with slope 1/4 at 0.

        This form overflows at x = -1000, and the equal form e^x / (1 + e^x) at
        x = 1000. So each half of the axis uses the form that contains only e^-|x|:
        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> x.sigmoid().sum().backward()
        >>> x.sigmoid().data.tolist(), x.grad.tolist()
        ([0.0, 0.5, 1.0], [0.0, 0.25, 0.0])
        """
        a = self.data
        e = np.exp(-np.abs(a))
        value = np.where(a >= 0, 1, e) / (1 + e)
        # The slope is value * (1 - value), which is e / (1 + e)**2 on both halves.
        return Tensor.from_op(value, "sigmoid", (self, lambda g: g * e / (1 + e) ** 2))

    # A network that chooses among C classes gives each a score. Softmax turns scores
    # into probabilities: it divides each e^score by the sum of all e^scores. A number
    # added to every score cancels. We first subtract the largest, so that e^score <= 1.
    def softmax(self, axis=-1) -> Tensor:
        """Probabilities, which lie between 0 and 1 and sum to 1 along `axis`.

        When score j rises, p_j rises at the rate p_j (1 - p_j), and every other p_i
        falls at the rate p_i p_j. So the gradient of score j is g_j p_j minus the sum
        of all g_i p_i p_j, which is p_j * (g_j - sum of all g_i p_i).
        >>> x = Tensor([[1000.0, 1000.0], [0.0, -1000.0]])
        >>> x.softmax()[0, 0].backward()
        >>> x.softmax().data.tolist(), x.grad.tolist()
        ([[0.5, 0.5], [1.0, 0.0]], [[0.25, -0.25], [0.0, 0.0]])
        """
        _, e, total = _shifted_exponentials(self.data, axis)
        p = e / total
        vjp = lambda g: p * (g - (g * p).sum(axis=axis, keepdims=True))
        return Tensor.from_op(p, "softmax", (self, vjp))

    def log_softmax(self, axis=-1) -> Tensor:
        """The logarithm of softmax, accurate even where a probability rounds to 0.
        >>> x = Tensor([0.0, -1000.0])
        >>> x.log_softmax().data.tolist()           # x.softmax().log() has -inf
        [0.0, -1000.0]

        When score j rises, its log-probability rises at rate 1 - p_j, and the others
        fall at rate p_j. So the gradient of score j is g_j - p_j * (sum of all g_i).
        """
        z, e, total = _shifted_exponentials(self.data, axis)
        vjp = lambda g: g - e / total * g.sum(axis=axis, keepdims=True)
        return Tensor.from_op(z - np.log(total), "log_softmax", (self, vjp))

    # ==== 7  Python and NumPy protocols ===============================================
    # How does a Tensor behave like a number or an array? Through the methods that
    # Python and NumPy call. You may skip to chapter 8.

    def item(self):
        """The only element as a Python float; any other size raises ValueError.

        A float has no gradient. So `math.sqrt(t)` and `array[0] = t`, which call
        float(t), lose it without notice.
        >>> Tensor([[0.5]]).item(), float(Tensor(0.5)), f"{Tensor(0.125):.2f}"
        (0.5, 0.5, '0.12')
        """
        return self.data.item()

    __float__ = item

    __abs__ = abs
    __bool__ = lambda self: bool(self.data)
    __len__ = lambda self: len(self.data)
    __iter__ = lambda self: (self[i] for i in range(len(self)))

    def __format__(self, spec):
        return format(self.item() if spec else str(self), spec)

    def __repr__(self):
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"Tensor({text}{dtype}{f', op={self.op!r}' if self.op else ''})"

    def __reduce__(self):
        # A copy or pickle is a leaf, because it keeps the numbers but not the graph.
        grad = None if self.grad is None else np.array(self.grad)
        state = None, {"grad": grad, "op": self.op}  # pickle sets slots from a pair
        return Tensor, (self.data, self.requires_grad), state

    # A Tensor equals only itself, so it can be a dict key, as in chapter 2. `t == 3`
    # raises an error, because it would otherwise be False without notice.
    __hash__ = object.__hash__

    def __eq__(self, other):
        if np.isscalar(other) or isinstance(other, (list, tuple, np.ndarray)):
            self._compare(other)
        return self is other

    def _compare(self, other):
        raise TypeError("Tensors are not compared by value: compare their .data")

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    # NumPy calls these methods when a Tensor is among its arguments. They compute
    # operators with an array on the left, such as `X @ W`, and refuse all else,
    # because results would be arrays without a gradient. (A constant may be converted.)
    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            _refuse_numpy(np.asarray)
        return np.array(self.data, dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        names = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.power: "pow"}
        names.update({np.divide: "truediv", np.matmul: "matmul"})
        name = names.get(ufunc) if method == "__call__" else None
        if name is None or kwargs or isinstance(inputs[0], Tensor):
            _refuse_numpy(ufunc)
        return getattr(self, f"__r{name}__")(inputs[0])

    def __array_function__(self, function, types, args, kwargs):
        _refuse_numpy(function)


# ==== 8  Joining, choosing and losses =================================================
# How do several tensors become one? We join them, and hand each its own part of g.
def stack(tensors, axis=0) -> Tensor:
    """Join tensors, arrays or numbers of one shape along a new axis.
    >>> a, b = Tensor(1.0), Tensor(2.0)
    >>> s = stack([a, b, 5.0])                  # three of shape () -> (3,)
    >>> (s * [10.0, 20.0, 30.0]).sum().backward()
    >>> s.data.tolist(), float(a.grad), float(b.grad)
    ([1.0, 2.0, 5.0], 10.0, 20.0)
    """
    tensors, arrays = _tensors_and_arrays(tensors, axis)
    shapes = sorted({np.shape(array) for array in arrays})
    _require(len(shapes) < 2, f"stack needs equal shapes, got {shapes}")
    value = np.stack(arrays, axis)
    before = (slice(None),) * (axis % value.ndim)
    # i=i stores the current i; otherwise every lambda would use the last one.
    pairs = [(t, lambda g, i=i: g[(*before, i)]) for i, t in enumerate(tensors)]
    return Tensor.from_op(value, "stack", *pairs)


def concatenate(tensors, axis=0) -> Tensor:
    """Join tensors or arrays end to end along an existing axis.
    >>> a, b = Tensor([[1.0], [2.0]]), Tensor([[3.0, 4.0], [5.0, 6.0]])
    >>> concatenate([a, b], axis=1).data.tolist()       # (2, 1) and (2, 2) -> (2, 3)
    [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]
    """
    tensors, arrays = _tensors_and_arrays(tensors, axis)
    value = np.concatenate(arrays, axis)
    before = (slice(None),) * (axis % value.ndim)
    edges = itertools.accumulate([0] + [array.shape[axis] for array in arrays])
    parts = [slice(*pair) for pair in itertools.pairwise(edges)]
    pairs = [(t, lambda g, i=i: g[(*before, i)]) for t, i in zip(tensors, parts)]
    return Tensor.from_op(value, "concatenate", *pairs)


def where(condition, a, b) -> Tensor:
    """Elements of a where `condition`, an array of booleans, is True; of b elsewhere.

    Each element hands its gradient to the input it came from. The other input gets 0,
    which becomes nan if an infinite slope multiplies it, as in sqrt at 0. A leaky ReLU:
    >>> x = Tensor([-4.0, 2.0])
    >>> y = where(x.data > 0, x, 0.25 * x)
    >>> y.sum().backward()
    >>> y.data.tolist(), x.grad.tolist()
    ([-1.0, 2.0], [0.25, 1.0])
    """
    condition = np.asarray(condition)
    _, (x, y) = _tensors_and_arrays([a, b])
    pair_a = a, lambda g: np.where(condition, g, 0)
    pair_b = b, lambda g: np.where(condition, 0, g)
    return Tensor.from_op(np.where(condition, x, y), "where", pair_a, pair_b)


# A loss is one number that says how wrong a network is. `backward` starts from it, so
# it must measure all that the network should learn. The losses below follow from
# maximum likelihood: find parameters that make the data most probable. The logarithm
# turns a product of probabilities into a sum, and a minus sign turns the maximum into a
# minimum.
def mse_loss(prediction, target) -> Tensor:
    """The mean squared error: the loss for predicting numbers (regression).

    If errors have a normal distribution, its log-density is a constant minus a multiple
    of the square, so the data are most probable where the sum of squares is least
    (Bishop, Pattern Recognition and Machine Learning, 2006, sec. 3.1.1). The shapes
    must be equal, because (N,) and (N, 1) would silently broadcast to (N, N).
    >>> p = Tensor([1.0, 2.0])
    >>> loss = mse_loss(p, [1.0, 4.0])
    >>> loss.backward()
    >>> loss.item(), p.grad.tolist()            # 2 (p - target) / N
    (2.0, [0.0, -2.0])
    """
    prediction = _as_tensor(prediction)
    target = _as_tensor(target, prediction.dtype)
    hint = f"mse_loss: {prediction.shape} and {target.shape} differ or are empty"
    _require(prediction.shape == target.shape and prediction.size, hint)
    error = prediction - target
    return (error * error).mean()


def cross_entropy(logits, targets) -> Tensor:
    """The mean of -log(probability of the right class): the loss for classification.

    `logits` are scores of shape (..., C), before softmax. `targets` are constants:
    either labels, integers of shape (...) that give the right classes, or probabilities
    of shape (..., C). The mean is over all leading axes.
    >>> logits = Tensor([[0.0, 0.0], [0.0, 0.0]])       # the network knows nothing
    >>> loss = cross_entropy(logits, [0, 1])
    >>> loss.backward()
    >>> bool(np.isclose(loss.data, np.log(2))), logits.grad.tolist()
    (True, [[-0.25, 0.25], [0.25, -0.25]])

    This loss follows from maximum likelihood (Bishop, eq. 4.108). A right class of
    probability 1% costs 4.6, of 50% only 0.7. Softmax and logarithm are one operation,
    because the logarithm of a probability rounded to 0 would be infinite:
    >>> cross_entropy([[1000.0, 0.0]], [1]).item()
    1000.0

    The gradient is simple: (probability - target) / N, where the target is 1 for the
    right class and 0 for all others. (Targets that do not sum to 1 multiply the
    probability by their sum.) Integers of shape (..., C) must be one-hot, with a single
    1 in each row. Targets of a wrong shape or value raise ValueError, and labels of a
    wrong type TypeError.
    """
    logits = _as_tensor(logits)
    x = logits.data
    t, row_sums = _targets_as_rows(targets, x)  # labels become rows with a single 1
    z, e, total = _shifted_exponentials(x, -1)
    N = x.size // x.shape[-1]
    # -log softmax is log(total) - z. It may be inf, and 0 * inf would be nan.
    losses = t * np.where(t, np.log(total) - z, 0)
    vjp = lambda g: (e * (row_sums / total) - t) * (g / N)
    return Tensor.from_op(losses.sum() / N, "cross_entropy", (logits, vjp))


# ==== 9  Checking gradients ===========================================================
# How do we know that a derivative is right? We use the slow method of the introduction:
# move one number by eps and measure the result. We move it both ways (central
# differences), so that errors of order eps cancel; those of eps^2 and rounding remain.
def _slope(f, inputs, x, index, weights, eps):
    """How fast (f(*inputs) * weights).sum() grows with the one element x[index]."""
    old, places, results = x.data[index], [], []
    try:
        for moved in (old + eps, old - eps):
            x.data[index] = moved
            places.append(x.data[index])  # rounded, as x holds it
            results.append((f(*inputs).data * weights).sum())
    finally:
        x.data[index] = old
    distance = places[0] - places[1]
    _require(distance, f"eps={eps} is too small to move {old}; pass a larger one")
    return (results[0] - results[1]) / distance


def gradcheck(f, *inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    """Does `backward` through `f(*inputs)` agree with central differences?

    It returns True if |backward - numeric| <= atol + rtol * |numeric| for each element;
    otherwise it raises AssertionError. `inputs` are float64 Tensors, because float32 is
    too coarse; those without requires_grad are skipped. f must be smooth at the inputs
    and give the same result in each call. Every `grad` and `data` is left as it was,
    but the many calls of f move the running averages of a BatchNorm1d.
    >>> x, y = Tensor([0.5, 1.0]), Tensor([[2.0], [3.0]])
    >>> gradcheck(lambda x, y: (x * y).tanh(), x, y)
    True

    A wrong vjp fails:
    >>> def double(x):
    ...     return Tensor.from_op(2 * x.data, "double", (x, lambda g: g * 3))
    >>> gradcheck(double, Tensor(1.0))
    Traceback (most recent call last):
    ...
    AssertionError: input 0, element (): backward gives 3, central differences give 2

    Output elements are summed with random weights, because the plain sum of a softmax
    is always 1. The weights are negative, to expose a vjp that ignores g or its sign.
    """
    _require_float64_tensors(inputs)
    out = f(*inputs)
    _require_tensor(out, f"f must return a Tensor, not {out!r}")
    weights = -1 - np.random.default_rng(0).random(out.shape)
    scale = weights.item() if out.size == 1 else 1.0
    gradients = out._gradients(weights) if out.requires_grad else {}
    for i, x in enumerate(inputs):
        exact = gradients.get(x, np.zeros(x.shape))
        for index in np.ndindex(x.shape) if x.requires_grad else ():
            a = exact[index] / scale
            b = _slope(f, inputs, x, index, weights, eps) / scale
            if not abs(a - b) <= atol + rtol * abs(b) < math.inf:
                both = f"backward gives {a:.6g}, central differences give {b:.6g}"
                raise AssertionError(f"input {i}, element {index}: {both}")
    return True


######## Part II  Networks #############################################################
# ==== 10  Modules =====================================================================
# How do we find all parameters of a network, to train, save or count them? A module is
# a function that holds parameters and other modules; `_members` lists them all.
class Module:
    """The base of every layer and network, including your own.

    Assign Tensors, Modules, arrays, or lists and dicts of them to attributes, and write
    `forward`, which runs when the module is called. `super().__init__()` is not needed.
    (Sets, `__slots__`, arrays of objects and other classes are not searched.)
    >>> class Affine(Module):
    ...     def __init__(self):
    ...         self.scale, self.shift = Tensor([1.0, 2.0]), Tensor(0.5)
    ...     def forward(self, x):
    ...         self.output = x * self.scale + self.shift   # for inspection
    ...         return self.output
    >>> model = Affine()
    >>> model(np.ones(2)).data.tolist(), model
    ([1.5, 2.5], Affine(scale (2,), shift ()))

    Tensors that you made and that require gradients are parameters. Arrays, and Tensors
    that require none, are saved but not trained. The result of an operation, like
    `output`, is neither saved nor trained. So change parameters and constants under
    `no_grad` or through `data`; otherwise, `self.scale *= 2` replaces scale by a
    result. And keep an input x as x.detach(): a Tensor that you made would be saved.

    `p.requires_grad = False` freezes a parameter. Set its grad to None, too, or an
    optimizer still moves it. To unfreeze it later, keep a reference: `parameters()` no
    longer finds it.
    """

    training = True

    def __call__(self, *args, **kwargs) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        """What the module computes: yours to write.
        >>> Module()(1.0)
        Traceback (most recent call last):
        ...
        NotImplementedError: Module has no forward method
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __repr__(self):
        names = [f"{name} {p.shape}" for name, p in self.named_parameters()]
        return f"{type(self).__name__}({', '.join(names)})"

    @staticmethod
    def _members(value, name="", seen=None):
        """(name, member) for each Tensor, array and Module in `value`, each once."""
        seen = set() if seen is None else seen
        computed = isinstance(value, Tensor) and value.op  # the result of an operation
        if id(value) in seen or computed:
            return
        seen.add(id(value))
        _refuse_foreign(value)
        if isinstance(value, (Tensor, np.ndarray, np.generic, Module)):
            yield name, value
        children = {}
        if isinstance(value, Module):
            children.update(vars(value))
        if isinstance(value, (MutableSequence, tuple)):
            children.update(enumerate(value))
        elif isinstance(value, Mapping):
            children.update(value)
        for key, child in children.items():
            path = f"{name}.{key}" if name else str(key)
            yield from Module._members(child, path, seen)

    def named_parameters(self):
        """[(name, Tensor)] of all parameters, in the order of definition, each once.
        >>> [name for name, p in MLP(2, [3, 1]).named_parameters()]
        ['layers.0.W', 'layers.0.b', 'layers.1.W', 'layers.1.b']
        """
        tensors = [(n, t) for n, t in Module._members(self) if isinstance(t, Tensor)]
        return [(name, tensor) for name, tensor in tensors if tensor.requires_grad]

    def parameters(self):
        """The parameters as a list: what an optimizer asks for.
        >>> sum(p.size for p in MLP(2, [3, 1]).parameters())    # (2*3 + 3) + (3*1 + 1)
        13
        """
        return [p for _, p in self.named_parameters()]

    def zero_grad(self):
        """Forget the gradients: set every `grad` to None, even that of a frozen one.
        >>> model = Layer(1, 1)
        >>> model([1.0]).sum().backward()
        >>> model.zero_grad(), model.W.grad
        (None, None)
        """
        for _, member in Module._members(self):
            if isinstance(member, Tensor):
                member.grad = None

    def train(self, mode=True):
        """Set `training` to mode here and in all modules within; return this module.
        >>> model = Sequential(Dropout(0.5), Dropout(0.25))
        >>> model.eval().training, model.layers[0].training, model.train().training
        (False, False, True)
        """
        modules = [m for _, m in Module._members(self) if isinstance(m, Module)]
        for module in modules:
            module.training = bool(mode)
        for module in reversed(modules[1:]):  # a module may have a train of its own
            if type(module).train is not Module.train:
                module.train(mode)
        return self

    def eval(self):
        """Switch to evaluation: `train(False)`. Chapter 12 says what differs.
        >>> MLP(2, [1]).eval().training
        False
        """
        return self.train(False)

    def state_dict(self):
        """{name: array} with copies of the parameters and of all other arrays.

        np.savez stores it and np.load reads it, without pickles, so no code can run.
        >>> import io
        >>> file = io.BytesIO()                         # or a path such as "model.npz"
        >>> trained, fresh = Layer(2, 1, rng=1), Layer(2, 1, rng=2)
        >>> np.savez(file, **trained.state_dict())
        >>> _ = file.seek(0)                            # a path needs no rewinding
        >>> fresh.load_state_dict(np.load(file))
        >>> bool(np.all(fresh.W.data == trained.W.data))
        True
        """
        return {name: array.copy() for name, array in _state_arrays(self).items()}

    def load_state_dict(self, state):
        """Copy `state`, a dict or `np.load(path)`, into this model, all or nothing.
        >>> Layer(2, 1).load_state_dict({"W": np.zeros((3, 1)), "b": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: W is float64 (3, 1), expected float64 (2, 1)
        """
        _load_arrays(_state_arrays(self), state)


# ==== 11  From a neuron to a network ==================================================
# What is a network made of? A neuron weights its inputs, adds them up and applies an
# activation function. Neurons with the same input form a layer; layers form a network.
class Neuron(Module):
    """A weighted sum of its inputs, then an activation function: nonlin(x @ w + b).

    The weights `w` (nin,) say what it looks for in the input, the bias `b` () how
    readily it responds. `nonlin` is True for ReLU, False or None for nothing (linear),
    or a function such as Tensor.tanh. `rng` is None, an int seed or a NumPy Generator.
    (Layers with equal seeds start equal, so pass them one Generator.)
    >>> neuron = Neuron(2, nonlin=False)
    >>> neuron.w.data[:] = [2.0, -1.0]
    >>> neuron([3.0, 4.0]).item(), neuron(np.ones((5, 2))).shape    # (5, 2) -> (5,)
    (2.0, (5,))
    """

    def __init__(self, nin, nonlin: Any = True, rng=None):
        self.nonlin, scale = _activation_and_scale(nonlin, nin)
        self.w = Tensor(np.random.default_rng(rng).normal(0, scale, nin))
        self.b = Tensor(0.0)

    def forward(self, x) -> Tensor:
        out = _as_tensor(x, self.w.dtype) @ self.w + self.b
        return self.nonlin(out) if self.nonlin else out


# How large should the initial random weights be? A neuron sums nin products of input
# and weight. If weights are independent with mean 0 and mean square s, and inputs have
# mean square 1, the sum has mean square nin * s. At s = 1, the signal explodes within a
# few layers; at a tiny s, it vanishes; at s = 1 / nin, it keeps its size (LeCun et al.,
# Efficient BackProp, 1998), in linear neurons and in tanh near 0. ReLU sets half of the
# sums to zero, which halves their mean square, so it needs s = 2 / nin (He et al.,
# Delving Deep into Rectifiers, 2015, eq. 10). On the way back, each input collects
# gradients from nout neurons, so nout replaces nin; 2 / (nin + nout) is a compromise
# (Glorot and Bengio, 2010). Why random? Neurons whose incoming and outgoing weights are
# equal get equal gradients, and stay equal.
class Layer(Module):
    """`nout` neurons with the same input: nonlin(x @ W + b), (N, nin) -> (N, nout).

    The neurons' weights are the columns of `W` (nin, nout), their biases form `b`
    (nout,). (PyTorch's `Linear.weight` is W transposed.) `dtype` is np.float64 or
    np.float32; results are float64 if the inputs are, as lists of floats are.

    The default ReLU outputs no negative numbers, so write nonlin=False for the last
    layer, whose scores may have any sign. A layer agrees with its neurons one by one:
    >>> layer = Layer(3, 2, rng=0)
    >>> x = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    >>> one_by_one = stack([neuron(x) for neuron in layer.neurons], axis=1)
    >>> layer(x).shape, np.allclose(one_by_one.data, layer(x).data)
    ((2, 2), True)

    Thirty layers with He's weights keep the signal's order of magnitude, forwards and
    backwards. Weights half as large leave a billionth of it:
    >>> model = Sequential(*[Layer(64, 64, rng=seed) for seed in range(30)])
    >>> def sizes():                                # of the output and of x's gradient
    ...     x = Tensor(np.random.default_rng(0).normal(size=(100, 64)))
    ...     out = model(x)
    ...     out.sum().backward()
    ...     return np.abs(out.data).mean(), np.abs(x.grad).mean()
    >>> old = sizes()
    >>> for layer in model.layers:
    ...     layer.W.data /= 2
    >>> all(0.1 < n < 10 for n in old), np.allclose(np.divide(old, sizes()), 2**30)
    (True, True)
    """

    def __init__(self, nin, nout, nonlin: Any = True, rng=None, dtype=np.float64):
        _setting("nout", nout, low=1)
        self.nonlin, scale = _activation_and_scale(nonlin, nin)  # sqrt(1 or 2 / nin)
        W = np.random.default_rng(rng).normal(0, scale, (nin, nout))
        self.W = Tensor(W.astype(_float_dtype(dtype)))
        self.b = Tensor(np.zeros(nout, dtype))

    def forward(self, x) -> Tensor:
        out = _as_tensor(x, self.W.dtype) @ self.W + self.b
        return self.nonlin(out) if self.nonlin else out

    @property
    def neurons(self):
        """The layer's Neurons. They share its weights and biases, not its gradients."""
        neurons = [Neuron(len(self.W), self.nonlin) for _ in range(self.b.size)]
        for i, neuron in enumerate(neurons):
            neuron.w.data = self.W.data[:, i]  # views, not copies
            neuron.b.data = self.b.data[i : i + 1].reshape(())
        return neurons


class Sequential(Module):
    """Modules, or functions of a Tensor, one after the other.

    If the first one has no dtype (a function, Dropout), a list becomes float64.
    >>> model = Sequential(Layer(2, 3, nonlin=None, rng=0), Tensor.tanh)
    >>> model([[1.0, 2.0]]).shape
    (1, 3)
    """

    def __init__(self, *layers):
        ok = all(map(callable, layers))
        _require(ok, "Sequential takes modules or functions", TypeError)
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x if isinstance(layer, Module) else _as_tensor(x))
        return x


class MLP(Sequential):
    """A multi-layer perceptron: Layers in a stack, the last one linear.
    >>> model = MLP(64, [32, 10], rng=0)            # 64 inputs, then 32 and 10 neurons
    >>> model(np.zeros((5, 64))).shape
    (5, 10)
    """

    def __init__(self, nin, nouts, nonlin: Any = True, rng=None, dtype=np.float64):
        hint = f"nouts is a list of layer sizes, such as [16, 1], not {nouts!r}"
        _require(hasattr(nouts, "__len__"), hint, TypeError)
        _require(len(nouts), hint)
        rng, nonlins = np.random.default_rng(rng), [nonlin] * (len(nouts) - 1) + [False]
        settings = zip([nin, *nouts], nouts, nonlins)
        super().__init__(*[Layer(*three, rng, dtype) for three in settings])


# ==== 12  Training differs from evaluation ============================================
# Should a module behave the same in training and in evaluation? These two should not.
# `model.train()` and `model.eval()` switch all modules within a model.
class Dropout(Module):
    """In training, sets each element to 0 with probability `p`, anew in every call.

    Because any neuron may be absent, a network cannot rely on a single one (Srivastava
    et al., Dropout, 2014; their p is the probability of keeping). Elements that stay
    are divided by 1 - p, so that later sums are on average as large as in evaluation:
    >>> x, dropout = np.ones(10_000), Dropout(0.75, rng=0)
    >>> sorted(set(dropout(x).data.tolist()))
    [0.0, 4.0]
    >>> abs(dropout(x).mean().item() - 1) < 0.1, dropout.eval()(x).mean().item()
    (True, 1.0)
    """

    def __init__(self, p=0.5, rng=None):
        self.p = _setting("p", p, high=1)
        self.rng = np.random.default_rng(rng)

    def forward(self, x) -> Tensor:
        x = _as_tensor(x)
        if not self.training or self.p == 0:
            return x
        kept = self.rng.random(x.shape, dtype=np.float32) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * (kept * x.dtype.type(scale))


class BatchNorm1d(Module):
    """Brings every feature to mean 0 and variance 1, then rescales: gamma * x + beta.

    Normalising each feature over the batch was meant to reduce the shift of a layer's
    inputs as earlier layers learn (Ioffe and Szegedy, Batch Normalization, 2015,
    algorithm 1). Santurkar et al. (2018) credit a smoother loss instead, which allows
    larger steps. `gamma` and `beta` (C,) can undo the normalising.

    Mean and variance depend on the whole batch, so each output depends on every
    example. `forward` computes with Tensors, so the engine takes this into account:
    >>> gradcheck(BatchNorm1d(1), Tensor([[1.0], [3.0], [4.0]]))
    True

    In evaluation, an output must not depend on the batch, and an example alone would
    become 0 before rescaling. So evaluation uses running averages of mean and variance,
    kept in training. `momentum` is the weight of the new batch, as in PyTorch. The
    variance of n values around their own mean is on average (n - 1) / n of the true
    variance; the running variance corrects this:
    >>> bn = BatchNorm1d(1, momentum=0.25, eps=0.0)
    >>> bn(np.array([[1.0], [3.0]])).data.tolist()  # mean 2, variance 1
    [[-1.0], [1.0]]
    >>> bn.running_mean.item(), bn.running_var.item()   # 0.25 * 2 and 0.75 + 0.25 * 2/1
    (0.5, 1.25)
    >>> bn.eval()(np.array([[0.5]])).item()
    0.0

    It takes (N, C), or (N, C, L), normalised over N and L; training needs at least two
    values per feature. `eps`, added to the variance, avoids division by zero.
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, dtype=np.float64):
        _setting("num_features", num_features, low=1)
        self.eps = _setting("eps", eps)
        self.momentum = _setting("momentum", momentum, high=1)
        zeros = np.zeros(num_features, _float_dtype(dtype))
        self.gamma, self.beta = Tensor(zeros + 1), Tensor(zeros)
        self.running_mean, self.running_var = zeros, zeros + 1

    def forward(self, x) -> Tensor:
        x = _as_tensor(x, self.gamma.dtype)
        _check_features(x.shape, self.gamma.size, self.training)
        if x.ndim == 3:  # each place of each example becomes a row
            N, C, L = x.shape
            rows = BatchNorm1d.forward(self, x.transpose(0, 2, 1).reshape(N * L, C))
            return rows.reshape(N, L, C).transpose(0, 2, 1)
        if self.training:
            n, mean = len(x), x.mean(axis=0)
            centred = x - mean
            # A large mean is inexact in float32: subtract what is left of it, too.
            rest = _sum(centred.data, 0) / n
            centred.data -= rest
            var = (centred * centred).mean(axis=0)
            averages = self.running_mean, self.running_var
            for old, new in zip(averages, (mean.data + rest, var.data * (n / (n - 1)))):
                old += float(self.momentum) * (new - old)
        else:
            centred, var = x - self.running_mean, _as_tensor(self.running_var)
        # gamma / sqrt is one number for each feature: fewer operations touch all of x.
        return centred * (self.gamma / (var + self.eps).sqrt()) + self.beta


######## Part III  Training ############################################################
# ==== 13  Optimizers ==================================================================
# How should we step against the gradient, the direction in which the loss grows
# fastest? The bare loop subtracts lr * w.grad. An optimizer applies this rule, or a
# better one, to a list of parameters.
class Optimizer:
    """The base of all optimizers. A subclass defines its rule in `update`.

    `params` is a list of Tensors, such as `model.parameters()`. `lr`, the learning
    rate, scales the step; you may assign to it between steps. A parameter whose `grad`
    is None is skipped. Here is a rule of your own:
    >>> class SignSGD(Optimizer):
    ...     def update(self, g, t):
    ...         return self.lr * np.sign(g)
    >>> x = Tensor([3.0, -8.0])
    >>> optimizer = SignSGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.data.tolist()
    [2.75, -7.75]

    `weight_decay` adds weight_decay * p, the slope of weight_decay / 2 * p**2, to p's
    gradient. It pulls unneeded weights towards 0 (L2 regularisation).
    """

    buffers: tuple = ()  # names of the arrays that the rule keeps for each parameter

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        self.params = _checked_params(params)
        self.lr = _setting("lr", lr)
        self.weight_decay = _setting("weight_decay", weight_decay)
        self._steps = np.zeros(len(self.params), np.int64)
        self._own = [[np.zeros_like(p.data) for _ in self.buffers] for p in self.params]

    def zero_grad(self):
        """Set every `grad` to None, so that `backward` does not add to the old ones.
        >>> x = Tensor(1.0)
        >>> (x * x).backward()
        >>> SGD([x]).zero_grad(), x.grad
        (None, None)
        """
        for p in self.params:
            p.grad = None

    def update(self, g, t, *buffers):
        """The rule: what to subtract from a parameter, given its gradient `g`.

        `t` counts the parameter's steps from 1. The arrays named in `buffers` follow.
        Each has the parameter's shape and starts at 0; `update` changes it in place.
        >>> SGD([Tensor(0.0)], lr=0.5).update(np.array([2.0]), 1, np.zeros(1)).tolist()
        [1.0]
        """
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def step(self):
        """Change every parameter that has a gradient, in place.

        The graph of the old loss holds the changed arrays, so compute the loss anew. An
        invalid `lr` or `grad` raises an error, and nothing changes. (Ctrl-C or an error
        in `update` may leave part of a step done.)
        >>> x = Tensor(4.0)
        >>> (x * x).backward()                          # the slope is 8
        >>> SGD([x], lr=0.25).step()
        >>> x.item()
        2.0
        """
        self.lr = _setting("lr", self.lr)
        gradients = [_checked_grad(p) for p in self.params]  # before anything changes
        counts = (self._steps + 1).tolist()
        for i, (p, g, t) in enumerate(zip(self.params, gradients, counts)):
            if g is not None:
                if self.weight_decay:  # a NumPy number would make float32 float64
                    g = g + float(self.weight_decay) * p.data
                p.data -= self.update(g, t, *self._own[i])
                self._steps[i] = t

    def state_dict(self):
        """{name: array}, copies of all that the optimizer remembers from step to step.

        If you save it with the model's, training can resume bit for bit. You must
        restore settings such as `lr` and the states of random generators yourself.
        >>> sorted(Adam([Tensor([1.0, 2.0])]).state_dict())
        ['m.0', 'steps', 'v.0']
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state):
        """Continue from a `state_dict()`; errors as in Module.load_state_dict.
        >>> x = Tensor([1.0])
        >>> SGD([x], momentum=0.9).load_state_dict(SGD([x], momentum=0.9).state_dict())
        """
        _load_arrays(self._arrays(), state)

    def _arrays(self):  # by name: m.0 belongs to the first parameter
        buffers = zip(self.buffers, zip(*self._own))
        return _state_arrays({"steps": self._steps, **dict(buffers)})

    def __setstate__(self, state):  # joblib makes large arrays read-only: copy them
        own = [[np.array(array) for array in arrays] for arrays in state["_own"]]
        vars(self).update(state, _own=own, _steps=np.array(state["_steps"]))


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g, with momentum if you like.

    It is stochastic because a batch's gradient is a noisy estimate of the full
    gradient. With momentum, a velocity v = momentum * v + g replaces g, as in PyTorch.
    v grows where slopes agree and averages out where they alternate (Polyak, 1964):
    >>> x = Tensor(1.0)
    >>> optimizer = SGD([x], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (4 * x).backward()
    ...     optimizer.step()                        # v = 4, then v = 0.5 * 4 + 4 = 6
    >>> x.item()                                    # 1 - 0.25 * 4 - 0.25 * 6
    -1.5
    """

    buffers = ("velocity",)

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.momentum = _setting("momentum", momentum)

    def update(self, g, t, velocity):
        velocity *= float(self.momentum)
        velocity += g
        return self.lr * velocity


class Adam(Optimizer):
    """Adaptive moments: every number gets its own step size.

    One slope may be a million times another, but both share one lr. Adam divides each
    by its usual size: `m` averages the gradient (a momentum), `v` its square, and the
    step is lr * m / sqrt(v) (Kingma and Ba, Adam, 2015, algorithm 1). If a number's
    slopes agree, it moves by about lr, whatever their size. If they alternate or are
    mostly noise, m is small relative to sqrt(v), and it moves less.

    `betas` are the weights of the old averages. The averages start at 0, so after t
    steps the weights of the gradients sum to only 1 - beta**t. Dividing by that
    corrects the bias. `eps` avoids division by zero. In the first step, m = 0.1 g and
    v = 0.001 g^2 become g and g^2, so x moves by lr, whatever the slope:
    >>> x = Tensor([1.0, 1.0])
    >>> optimizer = Adam([x], lr=0.5)
    >>> (x * [3.0, -1000.0]).sum().backward()
    >>> optimizer.step()
    >>> np.allclose(x.data, [0.5, 1.5])
    True

    Weight decay is part of the gradient here, so it is also divided by sqrt(v). Where
    the loss has slope 0, even a small decay becomes a full step. AdamW (Loshchilov and
    Hutter, 2019; in PyTorch's form) instead subtracts lr * weight_decay * p separately.
    """

    buffers = ("m", "v")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.betas = tuple(map(float, betas))
        fits = len(betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require(fits, f"betas must be two numbers, 0 <= beta < 1, got {betas}")
        self.eps = _setting("eps", eps)

    def update(self, g, t, m, v):
        beta1, beta2 = map(float, self.betas)
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        # lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps), in fewer passes:
        root = math.sqrt(1 - beta2**t)
        step = self.lr * root / (1 - beta1**t)
        return step * m / (np.sqrt(v) + float(self.eps) * root)


# ==== 14  How to train ================================================================
# How do you train a network, test it and find mistakes? This chapter is one long
# example, in the docstring of a function so that running the file checks it.
def _how_to_train():
    """
    **How large a step?** The loss w * w has slope 2 w and its minimum at 0. From w = 1,
    small steps make little progress, larger ones arrive fast, still larger ones
    overshoot the minimum in every step, and even larger ones diverge:
    >>> def descend(lr, w=1.0):
    ...     return [round(w := w - lr * 2 * w, 2) for _ in range(5)]
    >>> descend(0.01), descend(0.4)
    ([0.98, 0.96, 0.94, 0.92, 0.9], [0.2, 0.04, 0.01, 0.0, 0.0])
    >>> descend(0.9), descend(1.1)
    ([-0.8, 0.64, -0.51, 0.41, -0.33], [-1.2, 1.44, -1.73, 2.07, -2.49])

    **The data** are 400 points in a square. Those inside a circle belong to class 1,
    but one label in ten is wrong. Half of the points are held out: the network does not
    learn from them, so they show how well it does on points that it has not seen.
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(400, 2))
    >>> y = ((X * X).sum(axis=1) < 0.64) ^ (rng.random(400) < 0.1)
    >>> X, X_new, y, y_new = X[:200], X[200:], y[:200], y[200:]

    **The loop.** An epoch is one pass through all data, in a new order:
    >>> def train(model, optimizer, X, y, epochs, batch=20):
    ...     for _ in range(epochs):
    ...         order = rng.permutation(len(X))
    ...         for i in range(0, len(X), batch):
    ...             rows = order[i : i + batch]
    ...             optimizer.zero_grad()
    ...             cross_entropy(model.train()(X[rows]), y[rows]).backward()
    ...             optimizer.step()
    >>> def evaluate(model, X, y):                  # -> loss, accuracy
    ...     with no_grad():
    ...         scores = model.eval()(X)
    ...     return cross_entropy(scores, y).item(), (scores.data.argmax(1) == y).mean()

    **Why batches?** A step needs only an estimate of the gradient, at a fraction of the
    work. Batch gradients scatter around their mean, the gradient of all the data:
    >>> model = MLP(2, [16, 2], rng=0)
    >>> def gradient(X, y):
    ...     model.zero_grad()
    ...     cross_entropy(model(X), y).backward()
    ...     return model.layers[0].W.grad
    >>> gradients = [gradient(X[i : i + 20], y[i : i + 20]) for i in range(0, 200, 20)]
    >>> np.allclose(np.mean(gradients, axis=0), gradient(X, y))
    True

    **Is it learning?** A network that gives both classes probability 1/2 has a loss of
    log 2 = 0.69 (log C for C classes; for `mse_loss`, always answering the mean gives
    the variance of the targets). A single layer does hardly better, because a straight
    line cannot separate a disc from the rest. In a hidden layer before the last, each
    neuron draws a line, and the last layer combines them. The wrong labels limit the
    expected accuracy to about 0.9.
    >>> line = MLP(2, [2], rng=0)
    >>> train(line, Adam(line.parameters(), lr=0.01), X, y, epochs=40)
    >>> train(model, Adam(model.parameters(), lr=0.01), X, y, epochs=40)
    >>> evaluate(line, X, y)[0] > 0.65, evaluate(model, X, y)[0] < 0.45
    (True, True)
    >>> bool(evaluate(model, X_new, y_new)[1] > 0.75)
    True

    **Which learning rate?** Try values far apart, and take the largest that works well:
    >>> for lr in 1e-5, 1e-2, 10:
    ...     candidate = MLP(2, [16, 2], rng=0)
    ...     train(candidate, Adam(candidate.parameters(), lr), X, y, epochs=20)
    ...     print(lr, evaluate(candidate, X_new, y_new)[0] < 0.6)
    1e-05 False
    0.01 True
    10 False

    **Vanishing gradients.** A sigmoid's slope is at most 1/4, so ten of them pass on
    less than a millionth of the gradient, and the first layers learn next to nothing.
    Hidden layers use ReLU because its slope is 1 wherever it is active:
    >>> def slope(activation):
    ...     x = Tensor(1.0)
    ...     Sequential(*[activation] * 10)(x).backward()
    ...     return float(x.grad)
    >>> slope(Tensor.sigmoid) < 1e-6, slope(Tensor.relu)
    (True, 1.0)

    **Overfitting.** A large network can memorise a few points, including wrong labels.
    It is then certain about new points, and often wrong. So the training loss falls,
    and the loss on held-out points rises, here far above 0.69:
    >>> few = X[:30], y[:30]
    >>> large, decayed, early = [MLP(2, [100, 100, 2], rng=0) for _ in range(3)]
    >>> train(large, Adam(large.parameters(), lr=0.01), *few, epochs=150)
    >>> overfitted, _ = evaluate(large, X_new, y_new)
    >>> evaluate(large, *few)[0] < 0.1, overfitted > 1
    (True, True)

    The best cure is more data. Others are a smaller network, Dropout, weight decay
    (small weights give small scores, and so less certainty) and early stopping (keep
    the state that did best on held-out data):
    >>> decay = Adam(decayed.parameters(), lr=0.01, weight_decay=0.02)
    >>> train(decayed, decay, *few, epochs=150)
    >>> best, optimizer = math.inf, Adam(early.parameters(), lr=0.01)
    >>> for _ in range(20):
    ...     train(early, optimizer, *few, epochs=1)
    ...     loss, _ = evaluate(early, X_new, y_new)
    ...     if loss < best:
    ...         best, state = loss, early.state_dict()
    >>> early.load_state_dict(state)
    >>> evaluate(decayed, X_new, y_new)[0] < overfitted, best < overfitted
    (True, True)

    What you choose by looking at held-out data, including lr, is fitted to them a
    little. For an unbiased result, set aside a test set, and use it once.

    **A forgotten `eval()`.** Dropout then makes outputs random. BatchNorm1d makes them
    depend on the rest of the batch, and updates its averages from the test data.
    >>> model = Sequential(Layer(2, 64, rng=0), Dropout(), Layer(64, 2, None, rng=1))
    >>> train(model, Adam(model.parameters(), lr=0.01), X, y, epochs=20)
    >>> [np.allclose(model.train(on)(X).data, model(X).data) for on in (True, False)]
    [False, True]

    **Look at single outputs**, not only at averages, here at the centre and a corner:
    >>> with no_grad():
    ...     p = model([[0.0, 0.0], [0.95, 0.95]]).softmax().data
    >>> p.argmax(axis=1).tolist(), bool(p.max(axis=1).min() > 0.6)
    ([1, 0], True)

    **Your own data** must have shape (N, features), even for one feature. Targets of
    `mse_loss` have the shape of the output, (N, 1) for one number. Inputs should be
    about as large as 1: subtract the training data's mean, divide by their standard
    deviation, and do the same to all other data.

    **If the loss does not fall**, ask in this order. Are the data what you think? Print
    a few. Is the first loss of the order of log C, or of the targets' mean square? Does
    any parameter have a `grad` of None or all zeros? Does each step call `zero_grad`?
    Does the last layer have a ReLU? Can the network memorise ten examples? If not, look
    for a bug; if so, try other learning rates, then more epochs, then a larger network.
    When it works, save model and optimizer with `state_dict`.
    """


# ==== 15  Attention ===================================================================
# How does a GPT predict the next word from those before it? Its core is attention: each
# word has a query (q), a key (k) and a value (v), and collects the values of the words
# whose keys match its query. This needs only operations from this file.
def _attention():
    """
    >>> def attention(x, Wq, Wk, Wv):               # x: (N, T, C), T words of C numbers
    ...     q, k, v = x @ Wq, x @ Wk, x @ Wv
    ...     scores = q @ k.transpose(0, 2, 1) / math.sqrt(k.shape[-1])  # (N, T, T)
    ...     future = np.triu(np.full(scores.shape[1:], -np.inf), 1)     # words to come
    ...     return (scores + future).softmax() @ v  # weighted means of the values
    >>> rng = np.random.default_rng(0)
    >>> shapes = [(2, 4, 3), (3, 3), (3, 3), (3, 3)]
    >>> gradcheck(attention, *[Tensor(rng.normal(size=shape)) for shape in shapes])
    True

    The product of a query and a key is large where they point the same way; dividing by
    the root keeps their spread near 1. A GPT block adds attention(normalised x) to x,
    with several attentions side by side, and then mlp(normalised x). In a GPT, tables
    turn words and positions into vectors, a stack of blocks follows, and a linear layer
    gives each possible next word a score.
    """


######## Part IV  The small print ######################################################
# These functions convert and check data, and report errors. Read them when needed.
# ---- Numbers -------------------------------------------------------------------------
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def _require(condition, message, error: Any = ValueError):
    if not condition:
        raise error(message)


def _float_array(data, dtype=None):
    """`data` as an array of float32 or float64, copied only if it must be.

    `dtype` is that of the Tensor that data meets in an operation. Single numbers and
    integer arrays adopt it, because a 2 should not turn a float32 network into float64.
    """
    if isinstance(data, Tensor):
        return data.data
    if type(data) is np.ndarray and data.dtype in _FLOATS and data.ndim:
        return data
    if dtype is not None and dtype.kind != "f":  # t.data was set to integers
        dtype = None
    if isinstance(data, (int, float)):
        return np.asarray(data, dtype or np.float64)
    _require(not _holds_tensor(data), "join a list of Tensors with stack", TypeError)
    array = _plain_array(data)
    kind = array.dtype.kind  # b, i, u and f: bool, int, unsigned and float
    if kind in "biu" or (dtype is not None and kind == "f" and not array.ndim):
        return array.astype(dtype or np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # native byte order
    hint = ", not float32 or float64; use x.astype(np.float32)" if kind == "f" else ""
    got = f"{type(data).__name__} of {array.dtype}{hint}"
    if data is None:
        got = "None; did a function forget to return?"
    _require(array.dtype in _FLOATS, f"expected numbers, got {got}", TypeError)
    return array


def _plain_array(data):
    special = isinstance(data, (np.ma.MaskedArray, np.matrix))  # has rules of its own
    hint = f"make the {type(data).__name__} a plain array first"
    _require(not special, hint, TypeError)
    return np.asarray(data)


def _float_dtype(dtype):
    hint = f"dtype must be np.float32 or np.float64, got {dtype}"
    _require(np.dtype(dtype) in _FLOATS, hint, TypeError)
    return np.dtype(dtype)


def _refuse_foreign(x):
    # As constants, these would lose their gradients, or not be trained.
    foreign = getattr(x, "requires_grad", False) or hasattr(x, "named_parameters")
    if foreign and not isinstance(x, (Tensor, Module, type)):
        raise TypeError(f"got {type(x)} of another library or another copy of minigrad")


def _require_constant(x):
    if not isinstance(x, (np.ndarray, float, int)):
        hides_tensor = _holds_tensor(x) or callable(x)
        _require(not hides_tensor, "inputs are pairs (tensor, vjp)", TypeError)


def _require_tensor(x, hint):
    _refuse_foreign(x)
    _require(isinstance(x, Tensor), hint, TypeError)


def _holds_tensor(x):
    if isinstance(x, Sequence) and not isinstance(x, (str, bytes)):
        return any(map(_holds_tensor, x))
    return isinstance(x, Tensor) or _refuse_foreign(x)


def _as_tensor(x, dtype=None):
    """`x` as a Tensor. A list that holds Tensors is stacked."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray) or not _holds_tensor(x):
        return Tensor.from_op(_float_array(x, dtype), "constant")
    return stack([_as_tensor(item, dtype) for item in x])


def _tensors_and_arrays(tensors, axis=None):
    mistaken = isinstance(tensors, Tensor) or isinstance(axis, Tensor)
    _require(not mistaken, "pass the tensors as a list: concatenate([a, b])", TypeError)
    tensors = list(tensors)
    dtypes = {t.dtype for t in tensors if isinstance(t, Tensor)}
    dtype = np.result_type(*dtypes or {np.float64})
    return tensors, [_float_array(t, dtype) for t in tensors]


def _sum(a, axis, keepdims=False):
    """The sum of `a` over `axis`, in float64 if there are many rows.

    NumPy adds rows one after the other, and in float32, 2**24 + 1 is 2**24.
    """
    if a.ndim > 1 and a.size > 2**14 * a.shape[-1]:
        return np.add.reduce(a, axis, np.float64, keepdims=keepdims).astype(a.dtype)
    return np.add.reduce(a, axis, keepdims=keepdims)


def _shifted_exponentials(a, axis):
    """a - max(a), its exponentials, and their sum along `axis` (dimension kept)."""
    z = a - np.maximum.reduce(a, axis=axis, keepdims=True, initial=-np.inf)  # if empty
    e = np.exp(z)
    return z, e, np.add.reduce(e, axis=axis, keepdims=True)


def _targets_as_rows(targets, x):
    """Labels or probabilities as rows of shape (..., C), and the sum of each row."""
    _refuse_foreign(targets)
    t = targets.data if isinstance(targets, Tensor) else _plain_array(targets)
    integers, labels = t.dtype.kind in "iub", t.ndim < x.ndim
    if not x.size or not x.ndim or t.shape not in (x.shape, x.shape[:-1]):
        need = f"labels {x.shape[:-1]} or probabilities {x.shape}"
        raise ValueError(f"logits {x.shape} need {need}, got {t.shape}")
    if labels and not integers:
        raise TypeError(f"labels are an array of integers, not {t.dtype}")
    if labels:
        rows = t[..., np.newaxis] == np.arange(x.shape[-1])
        if np.count_nonzero(rows) < t.size:  # a label out of range has no 1 in its row
            limits = f"0...{x.shape[-1] - 1}, got {t.min()}...{t.max()}"
            hint = "leave out padding with logits[mask], labels[mask]"
            raise ValueError(f"labels must lie in {limits}; {hint}")
        return rows, 1.0
    rows = _float_array(t).astype(x.dtype)
    sums, low, high = rows.sum(axis=-1, keepdims=True), rows.min(), rows.max()
    _require(low >= 0 and high <= 1, f"probabilities lie in 0...1, got {low}...{high}")
    one_hot = not integers or (sums == 1).all()
    _require(one_hot, f"integer targets of shape {x.shape} need one 1 in each row")
    return rows, sums


# ---- Gradients -----------------------------------------------------------------------
def _first_gradient(tensor, gradient):
    why = "nothing to differentiate: no input has requires_grad, or no_grad was on"
    _require(tensor.requires_grad, why, RuntimeError)
    if gradient is None and tensor.size == 1:
        return np.ones(tensor.shape, tensor.dtype)  # a result grows as fast as itself
    hint = "needs a gradient; did you mean .sum().backward() or .mean().backward()?"
    _require(gradient is not None, f"backward() on shape {tensor.shape} {hint}")
    g = np.array(_float_array(gradient), dtype=tensor.dtype)
    _require(g.shape == tensor.shape, f"gradient {g.shape} for a tensor {tensor.shape}")
    return g


def _checked_grad(t) -> Any:
    """t.grad as an array that fits t, or None. A user may have assigned anything."""
    grad, data = t.grad, t.data
    if grad is None:
        return None
    if not data.flags.writeable:
        hint = "read-only or a scalar: set p.data = np.array(p.data)"
        raise ValueError(f"a parameter {t.shape} is {hint}")
    if type(grad) is np.ndarray and grad.dtype == data.dtype and grad.shape == t.shape:
        return grad
    array = _float_array(grad).astype(data.dtype)
    hint = f"a parameter of shape {data.shape} has a grad of shape {array.shape}"
    _require(array.shape == data.shape, hint)
    return array


def _refuse_lost_update(t, sign, other):
    if t.requires_grad and t.is_leaf and isinstance(other, (np.ndarray, np.generic)):
        ways = f"put it under no_grad(), or write t.data {sign} array"
        raise TypeError(f"t {sign} array would leave t as it was: {ways}")


# Names from PyTorch, and what stands for them here.
_OWN_NAMES = {"view": "reshape", "permute": "transpose", "numpy": "data"}
_OWN_NAMES |= {"cat": "concatenate", "tensor": "Tensor", "Linear": "Layer"}
_OWN_NAMES |= {"unsqueeze": "t[:, None]", "clamp": "where", "argmax": "data.argmax"}


def _refuse_numpy(function):
    name = function.__name__
    own = "t's operators and methods, minigrad.where (maximum, clip) or Tensor.from_op"
    method = hasattr(Tensor, name) and name not in _OWN_NAMES
    if method or name in __all__:
        own = f"t.{name}" if method else f"minigrad.{name}"
    hint = f"its result would have no gradient: use {own}, or t.data"
    raise TypeError(f"np.{name} takes no Tensor t, because {hint}")


# ---- Checks --------------------------------------------------------------------------
def _setting(name, value, low=0, high=math.inf):
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {low}...{high}, got {value}")
    return float(value)  # so that a NumPy number does not change the dtype of an update


def _flag(name, value):
    _require(value in (True, False), f"{name} is True or False, not {value}", TypeError)
    return bool(value)


def _matmul(a, b):
    try:
        return a @ b
    except ValueError:
        shapes = f"shapes {a.shape} and {b.shape}"
        raise ValueError(f"matmul: {shapes} do not match") from None


def _check_features(shape, C, training):
    if len(shape) not in (2, 3) or shape[1] != C:
        raise ValueError(f"BatchNorm1d takes (N, {C}) or (N, {C}, L), not {shape}")
    if training and math.prod(shape) < 2 * C:
        hint = f"training, got {shape}; call model.eval() to use the model"
        raise ValueError(f"BatchNorm1d needs two values per feature in {hint}")


def _require_float64_tensors(inputs):
    for i, x in enumerate(inputs):
        hint = f"gradcheck takes Tensors of float64; input {i} is {x!r}"
        _require_tensor(x, hint)
        _require(x.dtype == np.float64, hint)
        x.data = np.asarray(x.data)  # after t.data = 2 * t.data, it may be a scalar
    ok = any(x.requires_grad for x in inputs)
    _require(ok, "nothing to check: no input has requires_grad")


def _activation_and_scale(nonlin, nin) -> Any:
    """The function that `nonlin` stands for, and the weights' standard deviation."""
    _setting("nin", nin, low=1)
    nonlin = Tensor.relu if nonlin is True else None if nonlin is False else nonlin
    hint = f"nonlin is True, False, None or a function, not {nonlin!r}"
    _require(nonlin is None or callable(nonlin), hint, TypeError)
    return nonlin, math.sqrt((2 if nonlin is Tensor.relu else 1) / nin)


def _checked_params(params):
    hint = "params is a list of Tensors: model.parameters(), or [tensor] for one"
    _require(not isinstance(params, (Tensor, Module)), hint, TypeError)
    params = list(params)
    _require(params, "no parameters; was a generator used up before?")
    for p in params:
        _require_tensor(p, f"{hint}, not {type(p).__name__}")
        _require(p.is_leaf, f"params must be leaves, not the result of {p.op!r}")
    _require(len(set(params)) == len(params), "the same parameter was given twice")
    return tuple(params)  # one that is added later would have no buffers


# ---- State ---------------------------------------------------------------------------
def _state_arrays(owner):
    """{name: array} of all that is saved: the arrays themselves, not copies."""
    arrays = {}
    for name, member in Module._members(owner):
        taken = name in arrays or name in ("file", "allow_pickle")
        taken = taken or name.endswith(".npy")  # np.load drops this ending
        _require(not taken, f"np.savez cannot save a member with the name {name}")
        if not isinstance(member, Module):
            arrays[name] = array = member.data if isinstance(member, Tensor) else member
            saves = isinstance(array, np.ndarray) and not array.dtype.hasobject
            hint = f"{name} is {type(array).__name__}, not an array of numbers"
            _require(saves, f"{hint}: make it an np.array, or a float", TypeError)
    return arrays


def _load_arrays(arrays, state):
    """Copy `state` into `arrays`, which have the same names; on an error, copy none."""
    hint = f"a state is a dict of arrays, not {type(state).__name__}"
    _require(isinstance(state, Mapping), hint, TypeError)
    missing, unknown = sorted(arrays.keys() - state), sorted(state.keys() - arrays)
    hint = f"this state is for another model: missing {missing}, unknown {unknown}"
    _require(not missing + unknown, hint, KeyError)
    new = {name: np.array(state[name]) for name in arrays}
    for name, array in arrays.items():
        shape, dtype = new[name].shape, new[name].dtype
        hint = f"{name} is {dtype} {shape}, expected {array.dtype} {array.shape}"
        _require(shape == array.shape, hint)
        casting = "same_kind" if array.dtype.kind == "f" else "safe"
        _require(np.can_cast(dtype, array.dtype, casting), hint, TypeError)
        _require(array.flags.writeable, f"{name} is read-only, so it cannot be loaded")
        new[name] = new[name].astype(array.dtype)
    for name, array in arrays.items():
        array[...] = new[name]


# ---- Pictures ------------------------------------------------------------------------
def to_dot(tensor, names=None):
    """The graph behind `tensor` as text in the DOT language of Graphviz.

    Leaves are blue, operations yellow. Each shows its shape and, if it has at most four
    elements, its data and gradient. Constants are left out. `names` is a dict {name:
    tensor}, or a list of such pairs, as from `model.named_parameters()`. The command
    `dot -Tsvg graph.dot -o graph.svg` or an online Graphviz viewer draws the graph.
    >>> dot = to_dot(Tensor(2.0) * Tensor(3.0))
    >>> dot.count("label"), dot.count("->")         # three nodes, two arrows
    (3, 2)
    """
    _require_tensor(tensor, "to_dot takes a Tensor")
    called = {id(t): name for name, t in dict(names or {}).items()}
    style = 'shape=box, style="rounded,filled", fillcolor=lightyellow'
    lines, nodes, ids = ["  rankdir=LR", f"  node [{style}]"], [tensor], {tensor: 0}
    for t in nodes:  # the loop appends to this list
        title = " = ".join(filter(None, [called.get(id(t)), t.op])) or "leaf"
        rows = [title, str(t.shape)]
        for kind, array in ("data", t.data), ("grad", t.grad):
            if array is not None and array.size <= 4:
                rows.append(f"{kind} " + ", ".join(f"{x:.4g}" for x in array.ravel()))
        label = "\\n".join(row.replace('"', r"\"") for row in rows)
        look = ", style=filled, fillcolor=lightblue" if t.is_leaf else ""
        lines.append(f'  n{ids[t]} [label="{label}"{look}]')
        for source, _ in t._inputs:
            if source not in ids:
                ids[source] = len(ids)
                nodes.append(source)
            lines.append(f"  n{ids[source]} -> n{ids[t]}")
    return "\n".join(["digraph {", *lines, "}"])


# ---- Names from PyTorch --------------------------------------------------------------
def _missing(name, tensor=None):
    hint = f": here it is {_OWN_NAMES[name]}" if name in _OWN_NAMES else ""
    raise AttributeError(f"no attribute {name!r}{hint}")


if not TYPE_CHECKING:  # type checkers would believe that every name exists
    __getattr__ = _missing  # Python calls it for names that this module lacks
# Tensor.__getattr__ would slow down all other names.
for _name in "view", "permute", "numpy", "unsqueeze", "clamp", "argmax":
    setattr(Tensor, _name, property(partial(_missing, _name)))


# For type checkers: rules name their buffers, which Optimizer.update calls *buffers.
# pyright: reportIncompatibleMethodOverride=false


# ---- On import -----------------------------------------------------------------------
if int(np.__version__.split(".")[0]) < 2:  # NumPy 1 has other rules for dtypes
    raise ImportError(f"minigrad needs NumPy 2.0 or newer, found {np.__version__}")
if hasattr(os, "register_at_fork"):  # or a child might wait for another thread's lock
    _lock = Tensor._adding
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_lock.release,
    )
# Training asks for the same large arrays in every step. On Linux, glibc returns freed
# blocks above 128 kB to the system, and using them again costs a page fault per 4 kB.
# Freeing a larger block once raises this limit to its size, up to 32 MB (mallopt(3)).
np.empty(33_000_000, np.uint8)


if __name__ == "__main__":
    import doctest

    failed, attempted = doctest.testmod()
    print(f"{attempted - failed} of {attempted} examples passed")
    raise SystemExit(failed > 0 or not attempted)  # python -OO has no docstrings
