# SPDX-License-Identifier: MIT
# minigrad 2.0.0, copyright 2026 The minigrad authors: one file to read, run and copy.
"""minigrad: automatic differentiation and neural networks, in one file to read.

A neural network is a function with many adjustable numbers, its parameters. Training it
means asking, again and again: if this parameter grew a little, how much would the error
grow? The answers, one slope for each parameter, are called the gradient. Move every
parameter a small step against its slope, and the error shrinks.

How could a computer find the slopes? It could try: change one parameter, run the
network again, look at the error. A million parameters take a million runs for one step.
But a program that calculates is a chain of additions, products and exponentials, and
each of these has a derivative you learned at school. The chain rule multiplies them
along the chain, and adds where two chains lead from a parameter to the error:

    y = x * x,  z = 3 * y        dz/dx = dz/dy * dy/dx = 3 * 2x

So we record every operation while the program runs, and then go back through the
record, multiplying slopes. Why back? Going forwards from one parameter finds its effect
on everything, but a million parameters need a million walks. Going backwards from the
error finds the effect of everything on the error, and there is only one error: one
walk, in about the time of two more runs, though it keeps every intermediate value in
memory. This is reverse-mode differentiation (Linnainmaa, 1970); in neural networks it
is called backpropagation (Rumelhart, Hinton and Williams, 1986).

The whole idea takes nine lines. Every Number remembers the numbers it was computed
from, each with its slope:

>>> class Number:
...     def __init__(self, data, *inputs):
...         self.data, self.inputs, self.grad = data, inputs, 0.0
...     def __add__(a, b): return Number(a.data + b.data, (a, 1.0), (b, 1.0))
...     def __mul__(a, b): return Number(a.data * b.data, (a, b.data), (b, a.data))
...     def backward(self, g=1.0):
...         self.grad += g
...         for number, slope in self.inputs:
...             number.backward(g * slope)

In a sum, each input has slope 1. In a product, the result grows b times as fast as a
does, and a times as fast as b. `backward` starts with 1, because a result grows as fast
as itself, and multiplies the slopes on every path that leads back. This is enough to
learn. Here w * x + b finds its way to three points, which lie on 2 * x + 1:

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

If you can write these lines from memory, you know how `loss.backward()` works. The rest
of this file mends what they lack:

  - They follow every path. Sixty doublings, y = y + y, have 2**60 paths, and the walk
    would take thousands of years. Chapter 2 passes each number once.
  - They recurse, so a chain of a thousand operations exceeds Python's recursion limit.
    Chapter 2 does not recurse.
  - They make a Python object for each number, which is slow. The objects of chapter 1
    hold whole arrays, and chapters 4 to 9 give them operations.
  - They know no neurons, layers or networks. Part II (chapters 10 to 12) builds them.
  - They do not say how large a step should be, when to stop, or whether what was
    learned is worth anything. Part III (chapters 13 to 15) is about training.

Each chapter needs only those before it, though an example may look ahead. The
exceptions are functions such as `_float_array`, whose names say what they convert or
check. They stand in Part IV, the small print; take them at their word.

Notation:

    a, b     the arrays that an operation takes in
    g        the gradient at an operation's output: how fast the final result grows
             with each element of that output
    N        examples in a batch      C   features, channels or classes
    (N, C)   the shape of an array; a comment like  # (N, C) -> (N,)  tracks it

Most names are PyTorch's or NumPy's, so you can use there what you learn here. Left out
are GPUs, convolutions, gradients of gradients, and speed beyond NumPy's. You may copy
the file into a project. It needs Python 3.10 and NumPy 2.0 or newer, and running it
checks every example in it.
"""
from __future__ import annotations

import contextlib
import contextvars
import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partialmethod
from heapq import heappop, heappush
from typing import Any

import numpy as np

__version__ = "2.0.0"
__all__ = [
    "Tensor", "no_grad", "stack", "concatenate", "where", "cross_entropy", "mse_loss",
    "gradcheck", "to_dot", "Module", "Neuron", "Layer", "Sequential", "MLP", "Dropout",
    "BatchNorm1d", "Optimizer", "SGD", "Adam",
]  # fmt: skip


# ======================================================================================
# Part I  The engine
# ======================================================================================
# 1  Tensors and operations
#
# What should an object remember so that the walk can find the slopes? For arrays of a
# million elements, the slopes of each output by each input would fill a table of a
# million times a million, the Jacobian. But the walk only ever multiplies them by the
# gradient that arrives. So we keep a function that does that:
#
#     An operation is its value and, for every input, a function that turns the
#     gradient of the output into what it contributes to the gradient of that input.
#
# The field calls such a function a vector-Jacobian product, or vjp, because it
# multiplies a vector, the gradient, by the Jacobian. It never builds the Jacobian,
# because for every operation in this file the product has a short formula of its own.

_recording = contextvars.ContextVar("recording", default=True)  # one for each thread
_creation_numbers = itertools.count()


@contextlib.contextmanager
def no_grad():
    """Record nothing in this block, in this thread: for evaluating and for updating.

    >>> x = Tensor(2.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad, (x * x).requires_grad
    (False, True)
    """
    before = _recording.get()
    _recording.set(False)
    try:
        yield
    finally:
        _recording.set(before)


class Tensor:
    """An array of numbers that remembers how it was computed.

    `data`, a number, nested list, array or Tensor, is copied. Integers and booleans
    become float64, float32 and float64 stay, and all else is a TypeError or ValueError.
    Unlike PyTorch's, a Tensor wants its gradient unless you say `requires_grad=False`.
    `grad` is None until `backward` puts an array of data's shape and dtype there.

    >>> t = Tensor([[1, 2, 3], [4, 5, 6]])
    >>> t.shape, t.ndim, t.size, str(t.dtype), t.is_leaf, t.grad
    ((2, 3), 2, 6, 'float64', True, None)
    >>> t.sum(), t.sum().is_leaf            # an operation made it: it is no leaf
    (Tensor(21., op='sum'), False)
    """

    __slots__ = "data grad requires_grad op _inputs _number __weakref__".split()
    grad: Any

    def __init__(self, data, requires_grad=True):
        self.data = np.array(_float_array(data))
        self.grad = None
        self.requires_grad = bool(requires_grad)
        self.op = ""
        self._inputs = []  # (tensor, vjp) pairs
        self._number = next(_creation_numbers)  # the newer, the higher

    is_leaf = property(lambda self: not self._inputs)
    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)

    @staticmethod
    def from_op(value, op, *inputs) -> Tensor:
        """A Tensor for the `value` of the operation named `op`: how every node is made.

        Each of `inputs` is a pair `(tensor, vjp)`. The vjp takes the gradient of the
        output, an array of value's shape that it must not change, and returns one in
        tensor's shape, or in the shape that tensor was broadcast to. Inputs that are
        not Tensors, or need no gradient, are constants: their vjps are neither kept nor
        called. This is how you add an operation of your own, too:

        >>> def sin(x):
        ...     a = x.data
        ...     return Tensor.from_op(np.sin(a), "sin", (x, lambda g: g * np.cos(a)))
        >>> x = Tensor([0.0, np.pi])
        >>> sin(x).sum().backward()
        >>> x.grad.tolist()                 # cos(0) and cos(pi)
        [1.0, -1.0]

        A vjp may hold arrays such as `a`, but not the Tensor that holds the vjp. Such a
        circle would stay in memory until Python's garbage collector finds it; without
        circles, a graph is freed as soon as its result is. Where inputs may be numbers,
        as in hypot(x, 4.0), build on arithmetic, (x * x + y * y).sqrt(), which takes
        care of them.
        """
        out = Tensor.__new__(Tensor)
        out.data = _float_result(value, op)  # not copied
        out.grad = None
        out.op = op
        out._inputs = []
        for pair in inputs if _recording.get() else ():
            if _is_tensor(pair[0]) and pair[0].requires_grad:
                out._inputs.append(pair)
        out.requires_grad = bool(out._inputs)
        out._number = next(_creation_numbers)
        return out

    def detach(self) -> Tensor:
        """The same array as a constant: gradients stop here.

        >>> x = Tensor(3.0)
        >>> (x * x.detach()).backward()
        >>> float(x.grad)                   # d(x * 3)/dx, not d(x * x)/dx
        3.0
        """
        return Tensor.from_op(self.data, "detach")

    # ==================================================================================
    # 2  The walk backwards
    #
    # How can the walk pass each tensor only once, although many paths lead through it?
    # By waiting: a tensor passes its gradient on only when every tensor that used it
    # has delivered its share. The sum of the shares is the sum over all paths. Take a =
    # 2 * x, b = a + 1, c = a * b at x = 1. From c, the walk reaches a at once, but a
    # must wait for the share that comes through b, or x would get 6 instead of 10.
    #
    # In which order does everybody wait long enough? A tensor is newer than everything
    # it was computed from. So if the walk always takes the newest tensor that it has
    # reached, whoever can still send a share to that tensor has been taken before.
    #
    # NumPy stretches, or broadcasts, arrays to a common shape: in (32, 10) + (10,),
    # each of the ten numbers is used in 32 rows, and its gradient is the sum over 32
    # uses. So a share that is larger than its tensor is summed over the stretched axes,
    # here and nowhere else. The operations need not think of it.

    @staticmethod
    def _unbroadcast(share, shape, op):
        """The share for a tensor of `shape`, from one in the shape of the output."""
        in_front = share.ndim - len(shape)  # axes that NumPy has added
        total = np.add.reduce(share, axis=tuple(range(in_front)))
        if total.shape != shape and total.ndim == len(shape):
            ones = tuple([axis for axis, n in enumerate(shape) if n == 1])
            total = np.add.reduce(total, axis=ones, keepdims=True)
        if total.shape != shape:
            shapes = f"returned shape {share.shape}, its input has {shape}"
            raise ValueError(f"the vjp of {op!r} {shapes}")
        return np.asarray(total)  # NumPy hands out 0-d arrays as scalars

    def _gradients(self, gradient):
        """{tensor: gradient} for self, whose own is given, and all that led to it."""
        gradients = {self: gradient}
        sums = set()  # tensors whose entry is an array that was made here, by adding
        reached = [(-self._number, self)]  # a heap: the smallest, so the newest, first
        while reached:
            _, node = heappop(reached)
            # Some vjps return g itself, as both of x + y do, so several tensors share
            # this array. One that wrote into it would spoil the others' gradients.
            # Hence a read-only view.
            g = gradients[node] = gradients[node].view()
            g.setflags(False)
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

    def backward(self, gradient=None) -> None:
        """Differentiate this tensor with respect to every tensor it was computed from.

        The results go to `grad`. A leaf's grad accumulates, so that the gradients of
        several losses add up, until you set it to None; you may scale or clip it in
        place. An inner node's grad is overwritten, and is there to be looked at.

        >>> x = Tensor(1.0)
        >>> a = 2 * x
        >>> c = a * (a + 1)
        >>> for _ in range(2):
        ...     c.backward()
        ...     print(a.grad, x.grad)       # dc/da = 2a + 1, dc/dx = 2 (2a + 1)
        5.0 10.0
        5.0 20.0

        (An engine that keeps its running sums in the nodes, as micrograd does, goes on
        from a's old 5 in the second call, and ends at 34.)

        Sixty doublings have 2**60 paths and sixty-one tensors; and a chain may be
        longer than Python's recursion limit:

        >>> x = Tensor(1.0)
        >>> y = x
        >>> for _ in range(60):
        ...     y = y + y
        >>> for _ in range(5000):
        ...     y = y + 1.0
        >>> y.backward()
        >>> float(x.grad) == 2.0 ** 60
        True

        `gradient`, of this tensor's shape, is the gradient of a further result with
        respect to it. It may be left out for one element, and is then 1. A ValueError
        for another shape, a RuntimeError if there is nothing to differentiate. An error
        changes no grad.
        """
        gradients = self._gradients(_first_gradient(self, gradient))
        for tensor, g in gradients.items():
            if tensor.is_leaf:  # g may be shared with others: a leaf gets its own
                old = _checked_grad(tensor)
                gradients[tensor] = g.copy() if old is None else np.asarray(old + g)
        for tensor, g in gradients.items():
            tensor.grad = g

    # ==================================================================================
    # 3  The bare training loop
    #
    # What can we do now? Train. Here is the line w * x + b again, all points at once.

    def _in_place(self, ufunc, other):
        """`w -= lr * w.grad`: the step that all training consists of.

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

        Each slope says what moving one parameter alone would do. Why may we move all at
        once? Because the loss close by is nearly a tilted plane, where the effects of
        several moves add up. The smaller the step, the better this holds.

        Under `no_grad`, `t -= x` and the like change t's array. While recording they
        give the name t to a new tensor, which is right for `loss += penalty`. But it
        would leave a parameter as it was, so there an array on the right is a
        TypeError.
        """
        if _recording.get():
            _refuse_lost_update(self, ufunc, other)
            return NotImplemented  # Python goes on to t = t - x
        a, b = self._operands(other)
        ufunc(a, b, out=a, casting="same_kind")
        return self

    __iadd__ = partialmethod(_in_place, np.add)
    __isub__ = partialmethod(_in_place, np.subtract)
    __imul__ = partialmethod(_in_place, np.multiply)
    __itruediv__ = partialmethod(_in_place, np.divide)
    __ipow__ = partialmethod(_in_place, np.power)

    # ==================================================================================
    # 4  Arithmetic
    #
    # Which operations does an engine need? Each is a row in a table of derivatives: its
    # value, then one vjp for each input. In a product, the output grows b times as fast
    # as a, so the gradient of a is g * b. Numbers and arrays are constants, and are not
    # copied: leave them as they are until `backward` is done.

    def _operands(self, other):
        """The arrays of self and other; numbers adopt the dtype of self."""
        if isinstance(other, Tensor):
            return self.data, other.data
        return self.data, _float_array(other, self.data.dtype)

    def __add__(self, other) -> Tensor:
        """
        >>> x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        >>> (x + y).data.tolist(), (0.5 + x).data.tolist()
        ([4.0, 6.0], [1.5, 2.5])
        """
        a, b = self._operands(other)
        return Tensor.from_op(a + b, "+", (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other) -> Tensor:
        """
        >>> x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
        >>> (x - y).data.tolist(), (1 - x).data.tolist(), (-x).data.tolist()
        ([-2.0, -2.0], [0.0, -1.0], [-1.0, -2.0])
        """
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
        return Tensor.from_op(
            a * b, "*", (self, lambda g: g * b), (other, lambda g: g * a)
        )

    def __truediv__(self, other) -> Tensor:
        """
        >>> x, y = Tensor(3.0), Tensor(2.0)
        >>> (x / y).backward()              # slopes 1 / y and -x / y**2
        >>> (x / y).item(), float(x.grad), float(y.grad), (1 / y).item()
        (1.5, 0.5, -0.75, 0.5)
        """
        a, b = self._operands(other)
        value = a / b
        return Tensor.from_op(
            value, "/", (self, lambda g: g / b), (other, lambda g: -g * value / b)
        )

    def __pow__(self, other) -> Tensor:
        """a ** b, of which both may be Tensors. The slopes are b a^(b-1) and a^b log a.

        x**0 is constant, so its slope is 0, at x = 0 too, where the formula has 0 *
        inf.

        >>> x = Tensor([0.0, 2.0])
        >>> (x**0 + x**3 + 2**x).sum().backward()
        >>> np.allclose(x.grad, [np.log(2), 12 + 4 * np.log(2)])
        True
        """
        a, b = self._operands(other)
        value = a**b
        one = value.dtype.type(1)
        grad_base = lambda g: g * b * a ** np.where(b == 0, 0, b - one)
        # 0**b is 0 for every b > 0, so its slope by b is 0, not 0 * -inf: log 1 is 0.
        safe = np.where((a == 0) & (b >= 0), one, a)
        grad_exponent = lambda g: g * value * np.log(safe)
        return Tensor.from_op(value, "**", (self, grad_base), (other, grad_exponent))

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

    # ==================================================================================
    # 5  Matrices, sums, shapes
    #
    # The matrix product is where a large network spends its time. What is its vjp? In Y
    # = A B, the element A[i, k] meets B[k, j] in each Y[i, j]. So the gradient of A[i,
    # k] is the sum over j of G[i, j] B[k, j], where G is the gradient of Y. That is a
    # matrix product again: G B^T for A, and likewise A^T G for B. The other operations
    # of this chapter only add, pick or move numbers; their gradients retrace the same
    # paths.

    def __matmul__(self, other) -> Tensor:
        """The matrix product; 1-D, 2-D, batched and broadcast as in `np.matmul`.

        >>> A, B = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])
        >>> (A @ B).data.tolist()                   # (1, 2) @ (2, 1) -> (1, 1)
        [[11.0]]
        >>> (A @ B).backward()
        >>> A.grad.tolist(), B.grad.tolist()
        ([[3.0, 4.0]], [[1.0], [2.0]])

        A batch of two matrices times one, whose gradient is the sum over both:

        >>> batch = np.arange(12.0).reshape(2, 2, 3)
        >>> one = Tensor(np.ones((3, 4)))
        >>> (batch @ one).sum().backward()
        >>> (batch @ one).shape, one.grad[:, 0].tolist()
        ((2, 2, 4), [18.0, 22.0, 26.0])
        """
        a, b = self._operands(other)
        _check_matmul(a.shape, b.shape)
        if b.ndim == 1:  # a vector on the right is a matrix of one column
            return (self @ _as_tensor(other, a.dtype)[:, np.newaxis])[..., 0]
        if a.ndim == 1:  # and on the left, of one row
            return (self[np.newaxis] @ other)[..., 0, :]
        if a.ndim > 2 and b.ndim == 2 and a.size:
            # The leading axes only count rows, and one large product is fastest.
            rows = self.reshape(-1, len(b)) @ other
            return rows.reshape(*a.shape[:-1], b.shape[1])
        # mT swaps the last two axes; T would reverse all, which is wrong in a batch.
        return Tensor.from_op(
            a @ b, "@", (self, lambda g: g @ b.mT), (other, lambda g: a.mT @ g)
        )

    def sum(self, axis=None, keepdims=False) -> Tensor:
        """The sum over `axis`, an int or a tuple of ints; over all axes if it is None.

        Every summand has slope 1, so each of them gets the gradient of its sum.

        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.sum().item(), x.sum(axis=0).data.tolist(), x.sum(1, keepdims=True).shape
        (10.0, [4.0, 6.0], (2, 1))
        >>> (x.sum(axis=0) * [1.0, 5.0]).sum().backward()
        >>> x.grad.tolist()
        [[1.0, 5.0], [1.0, 5.0]]
        """
        kept = self.data.sum(axis=axis, keepdims=True)
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
        """The largest element along `axis`; it alone gets the gradient. Ties share it.

        >>> x = Tensor([1.0, 7.0, 7.0])
        >>> x.max().backward()
        >>> x.grad.tolist()
        [0.0, 0.5, 0.5]
        """
        return self._extreme(np.max, "max", axis, keepdims)

    def min(self, axis=None, keepdims=False) -> Tensor:
        """The smallest element along `axis`; like `max` in everything else.

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
        order = axes[0] if len(axes) == 1 else axes  # (1, 0) may come as a tuple
        back = None  # without an order, reversing the axes again restores them
        if axes and order is not None:
            # order[i] says where axis i came from; argsort says where each axis has
            # gone.
            back = np.argsort(np.ravel(order) % self.ndim)
        return Tensor.from_op(value, "transpose", (self, lambda g: g.transpose(back)))

    T = property(transpose)

    def __getitem__(self, index) -> Tensor:
        """`t[index]`, with every index that NumPy takes.

        An element that is picked several times gets the sum of its gradients. So
        looking up rows of a table by number (an embedding) can be trained.

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

    # ==================================================================================
    # 6  Activations and softmax
    #
    # Are matrix products enough for a network? No: (x @ A) @ B is x @ (A @ B), so
    # however many we stack, they amount to one, and the answer stays a straight line
    # (or plane). A curve between them, the activation function, lets a network bend it.
    # ReLU, tanh and sigmoid are such curves. Some derivatives are written with the
    # value, because it is at hand: that of e^x is e^x, and that of tanh is 1 - tanh^2.

    def exp(self) -> Tensor:
        """e to the power of each element.

        >>> Tensor([0.0, 1.0]).exp().data.tolist() == [1.0, float(np.exp(1.0))]
        True
        """
        value = np.exp(self.data)
        return Tensor.from_op(value, "exp", (self, lambda g: g * value))

    def log(self) -> Tensor:
        """The natural logarithm of each element.

        >>> Tensor([1.0, float(np.exp(2.0))]).log().data.tolist()
        [0.0, 2.0]
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
        value = np.tanh(self.data)  # far from 0, 1 - value**2 is wrong by 1e-16
        return Tensor.from_op(value, "tanh", (self, lambda g: g * (1 - value * value)))

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x): an S-shaped curve from 0 to 1 with slope 1/4 at 0.

        This form overflows for x = -1000, and e^x / (1 + e^x), which is the same, for x
        = 1000. So each half of the axis gets the form that only ever meets e^-|x|.

        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> x.sigmoid().sum().backward()
        >>> x.sigmoid().data.tolist(), x.grad.tolist()
        ([0.0, 0.5, 1.0], [0.0, 0.25, 0.0])
        """
        a = self.data
        e = np.exp(-np.abs(a))
        value = np.where(a >= 0, 1, e) / (1 + e)
        # The slope is value * (1 - value), which is the same on both halves.
        return Tensor.from_op(value, "sigmoid", (self, lambda g: g * e / (1 + e) ** 2))

    # A network that chooses among C classes gives each of them a score. Softmax turns
    # the scores into probabilities: e to each score, divided by the sum of these.
    # Adding the same number to every score changes nothing, because it cancels. So we
    # subtract the largest score first; then no exponential exceeds 1, and none can
    # overflow.

    def softmax(self, axis=-1) -> Tensor:
        """Probabilities: between 0 and 1, and summing to 1 along `axis`.

        >>> x = Tensor([[1000.0, 1000.0], [0.0, -1000.0]])
        >>> x.softmax().data.tolist()
        [[0.5, 0.5], [1.0, 0.0]]

        When score j rises, its own probability rises at the rate p_j (1 - p_j), and
        every other falls at the rate p_i p_j. So the gradient of score j is g_j p_j
        minus the sum of all g_i p_i p_j, which is p_j * (g_j - sum of all g_i p_i).

        >>> x.softmax()[0, 0].backward()
        >>> x.grad.tolist()
        [[0.25, -0.25], [0.0, 0.0]]
        """
        _, e, total = _shifted_exponentials(self.data, axis)
        p = e / total
        vjp = lambda g: p * (g - (g * p).sum(axis=axis, keepdims=True))
        return Tensor.from_op(p, "softmax", (self, vjp))

    def log_softmax(self, axis=-1) -> Tensor:
        """The logarithm of softmax, accurate where a probability itself rounds to 0.

        >>> x = Tensor([0.0, -1000.0])
        >>> x.log_softmax().data.tolist()           # x.softmax().log() has -inf
        [0.0, -1000.0]

        When score j rises, every log-probability falls at the rate p_j, and its own
        gains 1. So the gradient of score j is g_j - p_j * (sum of all g_i).
        """
        z, e, total = _shifted_exponentials(self.data, axis)
        vjp = lambda g: g - e / total * g.sum(axis=axis, keepdims=True)
        return Tensor.from_op(z - np.log(total), "log_softmax", (self, vjp))

    # ==================================================================================
    # 7  A well-behaved object
    #
    # What is left of the class is what Python and NumPy expect of an object that looks
    # like a number or an array. You may skip to chapter 8.

    def item(self):
        """The one element as a Python float; a ValueError if there are more.

        >>> Tensor([[0.5]]).item(), float(Tensor(0.5)), f"{Tensor(0.125):.2f}"
        (0.5, 0.5, '0.12')
        """
        return self.data.item()

    __float__ = item

    def __format__(self, spec):
        return format(self.item() if spec else str(self), spec)

    def __bool__(self):
        return bool(self.data)

    __abs__ = abs

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        """
        >>> [row.shape for row in Tensor([[1, 2, 3], [4, 5, 6]])]
        [(3,), (3,)]
        """
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"Tensor({text}{dtype}{f', op={self.op!r}' if self.op else ''})"

    def __reduce__(self):
        # Copies and pickles take the numbers along, not the graph: they are leaves.
        grad = None if self.grad is None else np.array(self.grad)
        state = None, {"grad": grad, "op": self.op}  # how slots are set
        return Tensor, (self.data, self.requires_grad), state

    # A Tensor equals only itself, so that it can be a key of a dict, as in chapter 2.
    # The error saves you from `t == 3` being False silently.

    __hash__ = object.__hash__

    def __eq__(self, other):
        if np.isscalar(other) or isinstance(other, (list, tuple, np.ndarray)):
            self._compare(other)
        return self is other

    def _compare(self, other):
        raise TypeError("Tensors are not compared by value: compare their .data")

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    # NumPy asks these methods what to do with a Tensor among its arguments. An operator
    # with an array on the left, as in `X @ W`, is ours to answer. Everything else would
    # return an array and so lose the gradient silently.

    def __array__(self, dtype=None, copy=None):
        """
        >>> np.asarray(Tensor([1.0, 2.0], requires_grad=False)).tolist()
        [1.0, 2.0]
        >>> np.asarray(Tensor(1.0))         # and likewise np.sin, np.maximum, ...
        Traceback (most recent call last):
        ...
        TypeError: np.asarray would lose the gradient of a Tensor t: use \
minigrad.where (for maximum, minimum, clip) or Tensor.from_op, or t.data if you want \
no gradient
        """
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


# ======================================================================================
# 8  Joining, choosing, and losses
#
# How do several tensors become one? Each gets the part of g that belongs to it.


def stack(tensors, axis=0) -> Tensor:
    """Tensors, arrays or numbers of one shape, side by side along a new axis.

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
    before = (slice(None),) * (axis % value.ndim)  # all of the axes before `axis`
    # i=i, or each lambda would look i up when it is called, and find the last one.
    pairs = [(t, lambda g, i=i: g[(*before, i)]) for i, t in enumerate(tensors)]
    return Tensor.from_op(value, "stack", *pairs)


def concatenate(tensors, axis=0) -> Tensor:
    """Tensors or arrays, end to end along an existing axis.

    >>> a, b = Tensor([[1.0], [2.0]]), Tensor([[3.0, 4.0], [5.0, 6.0]])
    >>> concatenate([a, b], axis=1).data.tolist()       # (2, 1) and (2, 2) -> (2, 3)
    [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]
    """
    tensors, arrays = _tensors_and_arrays(tensors, axis)
    value = np.concatenate(arrays, axis)
    before = (slice(None),) * (axis % value.ndim)
    ends = itertools.accumulate([0] + [array.shape[axis] for array in arrays])
    parts = [slice(*ends) for ends in itertools.pairwise(ends)]
    pairs = [(t, lambda g, i=i: g[(*before, i)]) for t, i in zip(tensors, parts)]
    return Tensor.from_op(value, "concatenate", *pairs)


def where(condition, a, b) -> Tensor:
    """a where the condition, an array of booleans, holds, and b elsewhere.

    The one that an element came from gets its gradient. Here is a leaky ReLU:

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


# A loss is one number that says how wrong a network is. It is what `backward` starts
# from, so whatever the network is to learn must be said in it. How do we choose it? By
# maximum likelihood: we look for the parameters under which the data are likeliest. The
# logarithm turns a product of probabilities into a sum, and a minus sign turns the
# largest into the smallest. Both losses come from this.


def mse_loss(prediction, target) -> Tensor:
    """The mean squared error: the loss for predicting numbers (regression).

    If errors have a normal distribution, the logarithm of its density is a negative
    square, so the data are likeliest where the sum of squares is least (Bishop, Pattern
    Recognition and Machine Learning, 2006, sec. 3.1.1). The shapes must be the same,
    because (N,) and (N, 1) would broadcast to (N, N) and give a wrong number silently.

    >>> p = Tensor([1.0, 2.0])
    >>> loss = mse_loss(p, [1.0, 4.0])
    >>> loss.backward()
    >>> loss.item(), p.grad.tolist()            # 2 (p - target) / N
    (2.0, [0.0, -2.0])
    """
    prediction = _as_tensor(prediction)
    target = _as_tensor(target, prediction.dtype)
    hint = f"equal shapes, not empty; got {prediction.shape} and {target.shape}"
    equal = prediction.shape == target.shape and prediction.size
    _require(equal, f"mse_loss takes {hint}")
    error = prediction - target
    return (error * error).mean()


def cross_entropy(logits, targets) -> Tensor:
    """The mean of -log(probability of the right class): the loss for classification.

    `logits` are scores of shape (..., C), before any softmax. `targets` are constants:
    the right classes (labels), integers of shape (...), or probabilities of shape (...,
    C). The mean is over all leading axes.

    >>> logits = Tensor([[0.0, 0.0], [0.0, 0.0]])       # the network knows nothing
    >>> loss = cross_entropy(logits, [0, 1])
    >>> loss.backward()
    >>> bool(np.isclose(loss.data, np.log(2))), logits.grad.tolist()
    (True, [[-0.25, 0.25], [0.25, -0.25]])

    The logarithm is that of maximum likelihood (Bishop, eq. 4.108). To give the truth 1
    % costs 4.6, to give it 50 % only 0.7. Why one operation for softmax, logarithm and
    mean? Because it never takes the logarithm of a probability that has rounded to 0:

    >>> cross_entropy([[1000.0, 0.0]], [1]).item()      # softmax first: -log(0) is inf
    1000.0

    And its gradient is simple: (probability - target) / N, where the target is 1 for
    the right class and 0 for all others. (Targets that do not sum to 1 multiply the
    probability by their sum.) A ValueError for a shape that does not fit, a label
    outside 0...C-1, or a probability outside 0...1; a TypeError for labels that are not
    integers.
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


# ======================================================================================
# 9  Is it right?
#
# How do we know that a derivative is right? By trying, the slow way of the
# introduction: move one number by eps and watch the result. We move it both ways
# (central differences), because then the leading errors cancel. The answer is
# approximate, but it knows nothing of our formulas.


def _slope(f, inputs, x, index, weights, eps):
    """How fast (f(*inputs) * weights).sum() grows with the one element x[index]."""
    old, places, results = x.data[index], [], []
    try:
        for moved in (old + eps, old - eps):
            x.data[index] = moved
            places.append(x.data[index])  # rounded, as x holds it
            with no_grad():
                results.append((f(*inputs).data * weights).sum())
    finally:
        x.data[index] = old
    return (results[0] - results[1]) / (places[0] - places[1])


def gradcheck(f, *inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    """Does `backward` through `f(*inputs)` agree with central differences?

    `inputs` are float64 Tensors, because float32 is too coarse; those that need no
    gradient are left out. True if |backward - numeric| <= atol + rtol * |numeric| for
    each element, otherwise an AssertionError. Every `grad` and `data` stays as it was.

    >>> x, y = Tensor([0.5, 1.0]), Tensor([[2.0], [3.0]])
    >>> gradcheck(lambda x, y: (x * y).tanh(), x, y)
    True

    Break a rule and see whether it notices:

    >>> def double(x):
    ...     return Tensor.from_op(2 * x.data, "double", (x, lambda g: g * 3))
    >>> gradcheck(double, Tensor(1.0))
    Traceback (most recent call last):
    ...
    AssertionError: input 0, element (): backward gives 3, central differences give 2

    Several elements are summed with random weights, because the plain sum of a softmax
    is always 1. A single one has weight 2, and both numbers are halved, so a vjp that
    forgets to multiply by g is found out.
    """
    for i, x in enumerate(inputs):
        fits = isinstance(x, Tensor) and x.dtype == np.float64
        _require(fits, f"gradcheck takes Tensors of float64; input {i} is {x!r}")
    out = f(*inputs)
    hint = f"gradcheck: f must return a Tensor, got {type(out).__name__}"
    _require(_is_tensor(out), hint, TypeError)
    weights, scale = np.random.default_rng(0).normal(size=out.shape), 1.0
    if out.size == 1:
        weights, scale = np.full(out.shape, 2.0), 2.0
    gradients = out._gradients(weights) if out.requires_grad else {}
    for i, x in enumerate(inputs):
        exact = gradients.get(x, np.zeros(x.shape))
        for index in np.ndindex(x.shape) if x.requires_grad else ():
            a = exact[index] / scale
            b = _slope(f, inputs, x, index, weights, eps) / scale
            if not abs(a - b) <= atol + rtol * abs(b):
                both = f"backward gives {a:.6g}, central differences give {b:.6g}"
                raise AssertionError(f"input {i}, element {index}: {both}")
    return True


# ======================================================================================
# Part II  Networks
# ======================================================================================
# 10  Modules
#
# A module is a function with parameters inside. How does everything that trains, saves
# or counts find them, in modules that hold modules? There is one way to walk through a
# module, `_members`, and all else is built on it.


class Module:
    """The base of every layer and network, including your own.

    Assign Tensors, Modules, arrays, or lists and dicts of them to attributes and write
    `forward`; calling the module calls it. There is no need for `super().__init__()`.

    >>> class Affine(Module):
    ...     def __init__(self):
    ...         self.scale, self.shift = Tensor([1.0, 2.0]), Tensor(0.5)
    ...     def forward(self, x):
    ...         self.output = x * self.scale + self.shift   # kept to look at
    ...         return self.output
    >>> model = Affine()
    >>> model(np.ones(2)).data.tolist(), model
    ([1.5, 2.5], Affine(scale (2,), shift ()))

    Tensors that you made and that require gradients are its parameters. Arrays, and
    Tensors that you made or set to require none, are state: saved, but not trained.
    What an operation computed, like `output`, is neither. To freeze parameters and thaw
    them later, keep their list, because `parameters()` no longer finds them:

    >>> frozen = model.parameters()
    >>> for p in frozen:
    ...     p.requires_grad = False             # and True to thaw
    >>> model.parameters(), sorted(model.state_dict())
    ([], ['scale', 'shift'])
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
        if id(value) in seen or getattr(value, "op", ""):  # op: an operation made it
            return
        seen.add(id(value))
        if isinstance(value, (Tensor, np.ndarray, np.generic, Module)):
            yield name, value
        children = vars(value) if isinstance(value, Module) else value
        if isinstance(value, (list, tuple)):
            children = dict(enumerate(value))
        for key, child in children.items() if isinstance(children, dict) else ():
            path = f"{name}.{key}" if name else str(key)
            yield from Module._members(child, path, seen)

    def named_parameters(self):
        """[(name, Tensor)] of all parameters, in order of definition, each once.

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
        """Forget the gradients: set `grad` to None, of frozen parameters as well.

        >>> model = Layer(1, 1)
        >>> model([1.0]).sum().backward()
        >>> model.zero_grad(), model.W.grad
        (None, None)
        """
        for _, member in Module._members(self):
            if isinstance(member, Tensor):
                member.grad = None

    def train(self, mode=True):
        """Switch this module and those within to training (or not); returns it.

        >>> model = Sequential(Dropout(0.5), Dropout(0.25))
        >>> model.eval().training, model.layers[0].training, model.train().training
        (False, False, True)
        """
        for _, member in Module._members(self):
            if isinstance(member, Module):
                member.training = bool(mode)
        return self

    def eval(self):
        """Switch to evaluation: `train(False)`. Chapter 12 says what differs.

        >>> MLP(2, [1]).eval().training
        False
        """
        return self.train(False)

    def state_dict(self):
        """{name: array}, copies of all that a trained model consists of.

        NumPy's own format saves and loads it. It involves no pickle, so a model file
        from a stranger cannot run code on your machine.

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
        """Copy `state`, a dict of arrays or `np.load(path)`, into this model, or fail.

        >>> Layer(2, 1).load_state_dict({"W": np.zeros((3, 1)), "b": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: W is float64 (3, 1), expected float64 (2, 1)
        """
        _load_arrays(_state_arrays(self), state)


# ======================================================================================
# 11  From a neuron to a network
#
# What is a network made of? Neurons: each weighs its inputs, adds them up and bends the
# sum. Neurons that look at the same input form a layer, and layers in a row a network.


class Neuron(Module):
    """A weighted sum of its inputs, bent by a curve: x @ w + b, then `nonlin`.

    The weights `w` (nin,) say what it looks for in the input, the bias `b` () how
    readily it responds. `nonlin`: True is ReLU; False or None is nothing (linear); or
    any function of a Tensor, such as Tensor.tanh. `rng` is None, an int seed or a
    np.random.Generator.

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


# How large should the first, random weights be? A neuron sums nin inputs times weights.
# If the weights are independent with mean 0 and mean square s, and the inputs have mean
# square 1, the sum has mean square nin * s. At s = 1, a few layers blow the signal up
# to absurd sizes; at a tiny s, they extinguish it. At s = 1 / nin it keeps its size
# (LeCun et al., Efficient BackProp, 1998). That holds for linear neurons, and for tanh
# near 0. ReLU sets half of the sums to zero, which halves their mean square, so it
# needs s = 2 / nin (He et al., Delving Deep into Rectifiers, 2015, eq. 10). On the way
# back, each input collects gradients from nout neurons, and nout takes the place of
# nin; where layers have similar widths, one choice serves both ways. (Glorot and
# Bengio, 2010, propose 2 / (nin + nout).)
#
# And why random? If two neurons start with equal weights, and the weights that lead
# away from them are equal too, they get equal gradients and stay equal for ever.


class Layer(Module):
    """`nout` neurons that look at the same input: x @ W + b, then `nonlin`.

    Their weight vectors are the columns of one matrix `W` (nin, nout), their biases
    stand in `b` (nout,). So the whole layer is one matrix product: (N, nin) -> (N,
    nout). (PyTorch's `Linear.weight` is W transposed.) Arrays are constants, and no
    gradient is computed for them. `dtype` is np.float64 or np.float32; results are
    float64 if the inputs are.

    The default ReLU cannot answer with a negative number. For a last layer, whose
    scores may have any sign, write nonlin=False. What the neurons answer one by one,
    stacked, is what the layer answers:

    >>> layer = Layer(3, 2, rng=0)
    >>> x = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    >>> one_by_one = stack([neuron(x) for neuron in layer.neurons], axis=1)
    >>> layer(x).shape, np.allclose(one_by_one.data, layer(x).data)
    ((2, 2), True)

    Thirty layers with He's weights keep the order of magnitude of the signal, forwards
    and backwards. Weights half as large leave a billionth of it:

    >>> model = Sequential(*[Layer(64, 64, rng=seed) for seed in range(30)])
    >>> def sizes():                                # of the output and of x's gradient
    ...     x = Tensor(np.random.default_rng(0).normal(size=(100, 64)))
    ...     out = model(x)
    ...     out.sum().backward()
    ...     return np.abs(out.data).mean(), np.abs(x.grad).mean()
    >>> before = sizes()
    >>> for layer in model.layers:
    ...     layer.W.data /= 2
    >>> all(0.1 < n < 10 for n in before), [n * 2**30 for n in sizes()] == list(before)
    (True, True)
    """

    def __init__(self, nin, nout, nonlin: Any = True, rng=None, dtype=np.float64):
        _setting("nout", nout, low=1)
        self.nonlin, scale = _activation_and_scale(nonlin, nin)
        W = np.random.default_rng(rng).normal(0, scale, (nin, nout))
        self.W = Tensor(W.astype(_float_dtype(dtype)))
        self.b = Tensor(np.zeros(nout, dtype))

    def forward(self, x) -> Tensor:
        out = _as_tensor(x, self.W.dtype) @ self.W + self.b
        return self.nonlin(out) if self.nonlin else out

    @property
    def neurons(self):
        """The layer as a list of Neurons that share its numbers, not its gradients."""
        neurons = [Neuron(len(self.W), self.nonlin) for _ in range(self.b.size)]
        for i, neuron in enumerate(neurons):
            neuron.w.data = self.W.data[:, i]  # views, not copies
            neuron.b.data = self.b.data[i : i + 1].reshape(())
        return neurons


class Sequential(Module):
    """Modules, or functions of a Tensor, one after the other.

    >>> model = Sequential(Layer(2, 3, nonlin=None, rng=0), Tensor.tanh)
    >>> model([[1.0, 2.0]]).shape
    (1, 3)
    """

    def __init__(self, *layers):
        hint = "Sequential takes modules or functions, such as Tensor.relu"
        _require(all(map(callable, layers)), hint, TypeError)
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
    >>> str(MLP(2, [3, 1], dtype=np.float32)(np.ones(2, np.float32)).dtype)
    'float32'
    """

    def __init__(self, nin, nouts, nonlin: Any = True, rng=None, dtype=np.float64):
        hint = f"nouts is a list of layer sizes, such as [16, 1], not {nouts!r}"
        _require(isinstance(nouts, Sequence), hint, TypeError)
        _require(nouts, hint)
        rng, nonlins = np.random.default_rng(rng), [nonlin] * (len(nouts) - 1) + [False]
        settings = zip([nin, *nouts], nouts, nonlins)
        super().__init__(*[Layer(*three, rng, dtype) for three in settings])


# ======================================================================================
# 12  Training differs from evaluation
#
# Should a network behave the same while it learns and when it is used? Two modules do
# not. `model.train()` and `model.eval()` switch all modules within a model.


class Dropout(Module):
    """Sets each element to 0 with probability `p`, anew in every call in training.

    A network could learn to trust one neuron for everything. If any neuron may be
    absent, it has to spread what it knows (Srivastava et al., Dropout, 2014; their p is
    the probability of keeping). The elements that stay are divided by 1 - p. Otherwise
    the sums in later layers would be smaller in training than in evaluation.

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

    Each layer learns on what the layers before it produce, and that keeps moving as
    they learn. Normalising every feature over the batch was meant to hold it still
    (Ioffe and Szegedy, Batch Normalization, 2015, algorithm 1). It helps, but not for
    that reason: Santurkar et al. (2018) found that what comes in moves no less, while
    the loss becomes smoother and allows larger steps. `gamma` and `beta` (C,) can undo
    the normalising.

    Mean and variance depend on all examples of the batch, so each one's gradient flows
    through all others. The formula below is written in Tensors, and the engine finds
    it:

    >>> gradcheck(BatchNorm1d(1), Tensor([[1.0], [3.0], [4.0]]))
    True

    In evaluation one example must not depend on its neighbours, and alone it would be
    its own mean, always 0. So training keeps running averages of mean and variance, and
    evaluation uses those. `momentum` is the weight of the new batch in them, as in
    PyTorch. The variance of n values around their own mean is too small by (n - 1) / n
    on average; the running one makes up for that (it is unbiased).

    >>> bn = BatchNorm1d(1, momentum=0.5, eps=0.0)
    >>> bn(np.array([[1.0], [3.0]])).data.tolist()  # mean 2, variance 1
    [[-1.0], [1.0]]
    >>> bn.running_mean.item(), bn.running_var.item()   # halfway from 0 and 1 to 2
    (1.0, 1.5)

    Takes (N, C), or (N, C, L) and then normalises over N and L; in training, at least
    two values per feature. `eps` is added to the variance, so that a constant feature
    does not divide by zero.
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
        _check_features(x.shape, len(self.gamma), self.training)
        axes, per_feature = ((0,), (-1,)) if x.ndim == 2 else ((0, 2), (-1, 1))
        if self.training:
            mean = x.mean(axis=axes, keepdims=True)
            centred = x - mean
            var = (centred * centred).mean(axis=axes, keepdims=True)
            n = x.size // var.size
            averages = self.running_mean, self.running_var
            for old, new in zip(averages, (mean.data, var.data * (n / (n - 1)))):
                old += self.momentum * (new.reshape(-1) - old)
        else:
            centred = x - self.running_mean.reshape(per_feature)
            var = _as_tensor(self.running_var.reshape(per_feature))
        # One number for each feature, so that only two operations touch all of x.
        scale = self.gamma.reshape(per_feature) / (var + self.eps).sqrt()
        return centred * scale + self.beta.reshape(per_feature)


# ======================================================================================
# Part III  Training
# ======================================================================================
# 13  Optimizers
#
# The gradient says in which direction the loss grows fastest. How should we step
# against it? The bare loop subtracted lr * w.grad. An optimizer does so for a whole
# list of parameters, and may know better rules.


class Optimizer:
    """What all optimizers share. A subclass writes `update`, its rule.

    `params` is a list of Tensors, such as `model.parameters()`. `lr`, the learning
    rate, scales the step; you may assign to it between steps. A parameter whose `grad`
    is None is skipped. This is how you write a rule of your own:

    >>> class SignSGD(Optimizer):
    ...     def update(self, g, t):
    ...         return self.lr * np.sign(g)
    >>> x = Tensor([3.0, -8.0])
    >>> optimizer = SignSGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.data.tolist()
    [2.75, -7.75]

    `weight_decay` adds weight_decay * p to the gradient of p. That is the slope of
    weight_decay / 2 * p**2, so it pulls weights that the data do not need towards 0 (L2
    regularisation). Here the data say nothing about w:

    >>> w = Tensor(1.0)
    >>> (0 * w).backward()
    >>> SGD([w], lr=0.5, weight_decay=0.5).step()
    >>> w.item()                                    # 1 - 0.5 * (0 + 0.5 * 1)
    0.75
    """

    buffers: tuple = ()  # names of the arrays that the rule keeps for each parameter

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        self.params = _checked_params(params)
        self.lr = _setting("lr", lr)
        self.weight_decay = _setting("weight_decay", weight_decay)
        self._state = {"steps": np.zeros(len(self.params), np.int64)}
        for name in self.buffers:
            self._state[name] = [np.zeros_like(p.data) for p in self.params]

    def zero_grad(self):
        """Set every `grad` to None, or the next `backward` would add to the old ones.

        >>> x = Tensor(1.0)
        >>> (x * x).backward()
        >>> SGD([x]).zero_grad(), x.grad
        (None, None)
        """
        for p in self.params:
            p.grad = None

    def update(self, g, t, *buffers):
        """The rule: what to subtract from a parameter, given its gradient `g`.

        `t` counts the parameter's steps from 1. The arrays named in `buffers` follow,
        of the parameter's shape and 0 at first, to be changed in place.

        >>> SGD([Tensor(0.0)], lr=0.5).update(np.array([2.0]), 1, np.zeros(1)).tolist()
        [1.0]
        """
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def step(self):
        """Change every parameter that has a gradient, in place; on an error, none.

        The graph of the old loss holds these arrays: compute it anew before `backward`.

        >>> x = Tensor(4.0)
        >>> (x * x).backward()                          # the slope is 8
        >>> SGD([x], lr=0.25).step()
        >>> x.item()
        2.0
        """
        self.lr = _setting("lr", self.lr)
        gradients = [_checked_grad(p) for p in self.params]  # before anything changes
        steps, *buffers = self._state.values()
        counts = (steps + 1).tolist()
        for i, (p, g, *own) in enumerate(zip(self.params, gradients, *buffers)):
            if g is not None:
                if self.weight_decay:
                    g = g + self.weight_decay * p.data
                p.data -= self.update(g, counts[i], *own)
                steps[i] = counts[i]

    def state_dict(self):
        """{name: array}, copies of all that the optimizer remembers from step to step.

        Save it beside the model's, and training can resume later, bit for bit (`lr` and
        the state of a random generator are yours to restore).

        >>> sorted(Adam([Tensor([1.0, 2.0])]).state_dict())
        ['m.0', 'steps', 'v.0']
        """
        return {name: a.copy() for name, a in _state_arrays(self._state).items()}

    def load_state_dict(self, state):
        """Go on from a `state_dict()`; errors as in Module.load_state_dict.

        >>> x = Tensor([1.0])
        >>> SGD([x], momentum=0.9).load_state_dict(SGD([x], momentum=0.9).state_dict())
        """
        _load_arrays(_state_arrays(self._state), state)


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g, with momentum if you like.

    "Stochastic", because the gradient of a batch is a noisy estimate of the gradient of
    all data. With momentum, a velocity v = momentum * v + g takes the place of g. Like
    a ball rolling downhill, it speeds up where the slopes agree and calms down where
    they alternate (Polyak, 1964; here in PyTorch's form, where lr multiplies the
    velocity).

    >>> x = Tensor(1.0)
    >>> optimizer = SGD([x], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (4 * x).backward()                          # the slope is 4 everywhere
    ...     optimizer.step()                        # v = 4, then v = 0.5 * 4 + 4 = 6
    >>> x.item()                                    # 1 - 0.25 * 4 - 0.25 * 6
    -1.5
    """

    buffers = ("velocity",)

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.momentum = _setting("momentum", momentum)

    def update(self, g, t, velocity):
        velocity *= self.momentum
        velocity += g
        return self.lr * velocity


class Adam(Optimizer):
    """Adaptive moments: every number gets a step size of its own.

    One slope may be a million times another, but a single lr has to serve both. Adam
    divides each slope by its usual size: `m` averages the gradient (a momentum), `v`
    its square, and the step is lr * m / sqrt(v) (Kingma and Ba, Adam, 2015, algorithm
    1). A number whose slopes agree moves by about lr, whatever their size; one whose
    slopes alternate, or are mostly noise, has a small m beside its sqrt(v) and moves
    less.

    `betas` are the weights of the old averages. Both averages start at 0 and are too
    small at first: after t steps, the weights of the gradients sum to only 1 - beta**t.
    Dividing by that corrects the bias. `eps` is added to the root, in the units of a
    gradient, so that a slope of 0 does not divide by zero. In the first step, m = 0.1 g
    and v = 0.001 g^2 become g and g^2, so x moves by lr, whatever the slope:

    >>> x = Tensor([1.0, 1.0])
    >>> optimizer = Adam([x], lr=0.5)
    >>> (x * [3.0, -1000.0]).sum().backward()
    >>> optimizer.step()
    >>> np.allclose(x.data, [0.5, 1.5])
    True

    Weight decay is part of the gradient here, and so is divided by sqrt(v), too: where
    the data are silent, even a tiny one becomes a full step. AdamW (Loshchilov and
    Hutter, 2019) subtracts lr * weight_decay * p beside the step instead.
    """

    buffers = ("m", "v")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.betas = tuple(map(float, betas))
        fits = len(betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require(fits, f"betas must be two numbers, 0 <= beta < 1, got {betas}")
        self.eps = _setting("eps", eps)

    def update(self, g, t, m, v):
        beta1, beta2 = self.betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        root = math.sqrt(1 - beta2**t)  # multiplies both halves of m / (sqrt(v) + eps)
        step = self.lr * root / (1 - beta1**t)
        return step * m / (np.sqrt(v) + self.eps * root)


# ======================================================================================
# 14  How to train
#
# This chapter is one long example. It stands in the docstring of a function that does
# nothing, so that every claim in it is run with all others.


def _how_to_train():
    """From the bare loop to a network that answers.

    **How large a step?** The loss w * w has slope 2 w and its minimum at 0. From w = 1,
    small steps hardly get anywhere; larger ones arrive; still larger ones zigzag across
    the minimum; and beyond that they explode.

    >>> def descend(lr, w=1.0):
    ...     return [round(w := w - lr * 2 * w, 2) for _ in range(5)]
    >>> descend(0.01), descend(0.4)
    ([0.98, 0.96, 0.94, 0.92, 0.9], [0.2, 0.04, 0.01, 0.0, 0.0])
    >>> descend(0.9), descend(1.1)
    ([-0.8, 0.64, -0.51, 0.41, -0.33], [-1.2, 1.44, -1.73, 2.07, -2.49])

    **The data.** 400 points in a square. Those inside a circle are of class 1, but one
    label in ten is wrong, as in life. Half of the points are held out: the network
    never learns from them, so they show how it does on points that it has not seen.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(400, 2))
    >>> y = ((X * X).sum(axis=1) < 0.64) ^ (rng.random(400) < 0.1)
    >>> X, X_new, y, y_new = X[:200], X[200:], y[:200], y[200:]
    >>> def train(model, X, y, steps=300, lr=0.01, weight_decay=0.0):
    ...     optimizer = Adam(model.parameters(), lr, weight_decay=weight_decay)
    ...     for _ in range(steps):
    ...         optimizer.zero_grad()
    ...         loss = cross_entropy(model(X), y)
    ...         loss.backward()
    ...         optimizer.step()
    ...     return loss.item()
    >>> def test(model, X, y):                      # -> (loss, accuracy)
    ...     with no_grad():
    ...         scores = model(X)
    ...     return cross_entropy(scores, y).item(), (scores.data.argmax(1) == y).mean()

    **Is it learning?** Whoever knows nothing gives both classes 1/2 and has a loss of
    log 2 = 0.69 (of log C among C classes). A single layer gets no further, because a
    straight line cannot separate a disc from the rest. With a hidden layer, each neuron
    draws one line, and the last layer combines them. Because of the wrong labels, the
    best accuracy to hope for is 0.9.

    >>> line, model = MLP(2, [2], rng=0), MLP(2, [16, 2], rng=0)
    >>> train(line, X, y) > 0.68, train(model, X, y) < 0.5
    (True, True)
    >>> loss, accuracy = test(model, X_new, y_new)
    >>> bool(accuracy > 0.75)
    True

    The learning rate decides, as above. Try a few, each ten times the last, and take
    the largest with which the loss still falls smoothly:

    >>> [train(MLP(2, [16, 2], rng=0), X, y, lr=lr) < 0.6 for lr in (1e-4, 1e-2, 10)]
    [False, True, False]

    **Why mini-batches?** The gradients of batches scatter around their mean, the
    gradient of all data. A step needs no better estimate, and here eight cost as much
    as one full gradient. So an epoch, once through all data, makes eight steps instead
    of one. (Shuffle the data anew before each.)

    >>> def gradient(X, y):
    ...     model.zero_grad()
    ...     cross_entropy(model(X), y).backward()
    ...     return model.layers[0].W.grad
    >>> batches = [slice(i, i + 25) for i in range(0, 200, 25)]
    >>> gradients = [gradient(X[batch], y[batch]) for batch in batches]
    >>> np.allclose(np.mean(gradients, axis=0), gradient(X, y))
    True

    **Vanishing gradients.** A sigmoid's slope is at most 1/4. Behind ten of them less
    than a millionth of the gradient arrives, and the first layers learn nothing. ReLU's
    slope is 1 or 0, which is why hidden layers use it.

    >>> def slope(activation):
    ...     x = Tensor(1.0)
    ...     Sequential(*[activation] * 10)(x).backward()
    ...     return float(x.grad)
    >>> slope(Tensor.sigmoid) < 1e-6, slope(Tensor.relu)
    (True, 1.0)

    **Overfitting.** A large network can learn a few points by heart, wrong labels and
    all. About new points it then is certain, and often wrong. So the loss falls on what
    it trains on and rises on what is held out, here far above the 0.69 of knowing
    nothing:

    >>> large, early, decayed = [MLP(2, [100, 100, 2], rng=0) for _ in range(3)]
    >>> train(large, X[:30], y[:30]) < 0.05, test(large, X_new, y_new)[0] > 1
    (True, True)

    The best cure is more data. Others are a smaller network; stopping early, when the
    held-out loss is lowest; weight decay, which makes certainty expensive; and Dropout.

    >>> _ = train(early, X[:30], y[:30], steps=20)
    >>> _ = train(decayed, X[:30], y[:30], weight_decay=0.01)
    >>> test(early, X_new, y_new)[0] < 0.9, test(decayed, X_new, y_new)[0] < 0.9
    (True, True)

    What you choose by looking at held-out data, lr too, is fitted to them a little. For
    an honest last number, keep a third part, the test set, and look at it once.

    **A forgotten `eval()`.** Until you call it, Dropout makes answers depend on chance
    (and BatchNorm1d makes them depend on the rest of the batch):

    >>> dropping = Sequential(MLP(2, [64], rng=0), Dropout(rng=0), MLP(64, [2], rng=1))
    >>> test(dropping, X, y) == test(dropping, X, y)
    False
    >>> test(dropping.eval(), X, y) == test(dropping, X, y)
    True

    **Look at the answers**, not only at their average. What does the network say of the
    centre and of a corner, and how sure is it?

    >>> with no_grad():
    ...     p = model([[0.0, 0.0], [0.95, 0.95]]).softmax().data
    >>> p.argmax(axis=1).tolist(), bool(p.max(axis=1).min() > 0.7)
    ([1, 0], True)

    Then save it, and its optimizer if you want to go on training: `state_dict`,
    chapters 10 and 13.

    **If the loss does not fall**, ask in this order. Are the data what you think? Print
    a few. Are inputs about as large as 1? Subtract their mean and divide by their
    standard deviation. Is the first loss near log C? Does any parameter have a `grad`
    of None or all zeros? Is `zero_grad` called in each step? Does the last layer have a
    ReLU? Can the network learn ten examples by heart? If not, look for a bug; if so,
    try other learning rates, then more steps, then a larger network.
    """


# ======================================================================================
# 15  Where to go from here
#
# A GPT predicts the next word from those before it. Its heart is attention: each word
# asks a question (q), holds up a key (k) for the questions of others, and hands over a
# value (v) where question and key agree. You have read every operation that it needs.


def _attention():
    """
    >>> def attention(x, Wq, Wk, Wv):               # x: (N, T, C), T words of C numbers
    ...     q, k, v = x @ Wq, x @ Wk, x @ Wv
    ...     scores = q @ k.transpose(0, 2, 1) / math.sqrt(k.shape[-1])  # (N, T, T)
    ...     future = np.triu(np.full(scores.shape[1:], -np.inf), 1)     # words to come
    ...     return (scores + future).softmax() @ v  # for each word, a mean of values
    >>> rng = np.random.default_rng(0)
    >>> shapes = [(2, 4, 3), (3, 3), (3, 3), (3, 3)]
    >>> gradcheck(attention, *[Tensor(rng.normal(size=shape)) for shape in shapes])
    True

    From here to a GPT it is one page of code: several of these side by side and a small
    MLP, both added to x instead of replacing it; a few such blocks in a row; tables of
    vectors for words and places in front; and cross-entropy with the next word at the
    end.
    """


# ======================================================================================
# Part IV  The small print
# ======================================================================================
# What follows converts, checks and explains mistakes. Read it when you need it.
#
# ---- Numbers -------------------------------------------------------------------------


def _require(condition, message, error: Any = ValueError):
    if not condition:
        raise error(message)


def _float_array(data, dtype=None):
    """`data` as an array of float32 or float64, copied only if it must be.

    `dtype` is that of the Tensor that data meets in an operation. Plain numbers and
    integers adopt it, because a 2 should not turn a float32 network into float64.
    """
    if isinstance(data, Tensor):
        return data.data
    if type(data) is np.ndarray and data.dtype in _FLOATS and data.ndim:
        return data  # the common case, and quick
    if isinstance(data, (int, float)):
        return np.asarray(data, dtype or np.float64)
    hint = "Tensors in a list: join them with minigrad.stack(list)"
    _require(not _holds_tensor(data), hint, TypeError)
    array = np.asarray(data)
    kind = array.dtype.kind  # b, i, u and f: bool, int, unsigned and float
    if kind in "biu" or (dtype is not None and kind == "f" and not array.ndim):
        return array.astype(dtype or np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # of other machines
    got = f"{type(data).__name__} of {array.dtype}, not float32 or float64"
    if data is None:
        got = "None; did a function forget to return?"
    _require(array.dtype in _FLOATS, f"expected numbers, got {got}", TypeError)
    return array


def _float_result(value, op):
    value = np.asarray(value)
    if value.dtype.char not in "fd":
        hint = "was t.data set to an array of integers?"
        raise TypeError(f"{op!r} computed {value.dtype}; {hint}")
    return value


def _float_dtype(dtype):
    hint = f"dtype must be np.float32 or np.float64, got {dtype}"
    _require(np.dtype(dtype) in _FLOATS, hint, TypeError)
    return np.dtype(dtype)


def _is_tensor(x):
    if not isinstance(x, Tensor) and getattr(x, "requires_grad", False):
        # Taken for a constant, it would lose its gradient.
        raise TypeError("a Tensor of another library or of another copy of minigrad")
    return isinstance(x, Tensor)


def _holds_tensor(x):
    if isinstance(x, Sequence) and not isinstance(x, (str, bytes)):
        return any(map(_holds_tensor, x))
    return _is_tensor(x)


def _as_tensor(x, dtype=None):
    """What a module was called with, as a Tensor. Lists of Tensors are stacked."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray) or not _holds_tensor(x):
        return Tensor.from_op(_float_array(x, dtype), "constant")
    return stack([_as_tensor(item, dtype) for item in x])


def _tensors_and_arrays(tensors, axis=0):
    mistaken = isinstance(tensors, Tensor) or isinstance(axis, Tensor)
    _require(not mistaken, "the tensors go into a list: concatenate([a, b])", TypeError)
    tensors = list(tensors)
    dtypes = {t.dtype for t in tensors if isinstance(t, Tensor)}
    dtype = np.result_type(*dtypes or {np.float64})
    return tensors, [_float_array(t, dtype) for t in tensors]


def _shifted_exponentials(a, axis):
    """a - max(a), its exponentials, and their sum along `axis` (dimension kept)."""
    z = a - np.maximum.reduce(a, axis=axis, keepdims=True, initial=-np.inf)  # if empty
    e = np.exp(z)
    return z, e, np.add.reduce(e, axis=axis, keepdims=True)


def _targets_as_rows(targets, x):
    """Labels or probabilities as rows of shape (..., C), and the sum of each row."""
    t = targets.data if isinstance(targets, Tensor) else np.asarray(targets)
    integers, labels = t.dtype.kind in "iub", t.ndim < x.ndim
    if not x.size or not x.ndim or t.shape not in (x.shape, x.shape[:-1]):
        need = f"labels {x.shape[:-1]} or probabilities {x.shape}"
        raise ValueError(f"logits {x.shape} need {need}, got {t.shape}")
    if labels and not integers:
        raise TypeError(f"labels must be integers, not {t.dtype}")
    if labels:
        rows = t[..., np.newaxis] == np.arange(x.shape[-1])
        if np.count_nonzero(rows) < t.size:  # a label out of range has no 1 in its row
            limits = f"0...{x.shape[-1] - 1}, got {t.min()}...{t.max()}"
            hint = "leave out padding with logits[mask], labels[mask]"
            raise ValueError(f"labels must lie in {limits}; {hint}")
        return rows, 1.0
    rows = _float_array(t).astype(x.dtype, copy=False)
    sums, low, high = rows.sum(axis=-1, keepdims=True), rows.min(), rows.max()
    _require(low >= 0 and high <= 1, f"probabilities lie in 0...1, got {low}...{high}")
    one_hot = not integers or (sums == 1).all()
    _require(one_hot, f"integers of shape {x.shape} must have one 1 in each row")
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


def _checked_grad(t):
    """t.grad as an array that fits t, or None. A user may have assigned anything."""
    grad, data = t.grad, t.data
    if grad is None:
        return None
    if not data.flags.writeable:
        raise ValueError(f"a parameter {t.shape} is read-only: set p.data to a copy")
    if type(grad) is np.ndarray and (grad.dtype, grad.shape) == (data.dtype, data.shape):
        return grad
    shapes = f"of shape {data.shape} has a grad of shape {np.shape(grad)}"
    _require(np.shape(grad) == data.shape, f"a parameter {shapes}")
    return _float_array(grad).astype(data.dtype)


def _refuse_lost_update(t, ufunc, other):
    if t.requires_grad and t.is_leaf and isinstance(other, (np.ndarray, np.generic)):
        signs = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/"}
        update = f"{signs.get(ufunc, '**')}= array"
        ways = f"put it under no_grad(), or write t.data {update}"
        raise TypeError(f"t {update} would leave t as it was: {ways}")


def _refuse_numpy(function):
    name = function.__name__
    own = "minigrad.where (for maximum, minimum, clip) or Tensor.from_op"
    if hasattr(Tensor, name) or name in __all__:
        own = f"t.{name}" if hasattr(Tensor, name) else f"minigrad.{name}"
    hint = f"use {own}, or t.data if you want no gradient"
    raise TypeError(f"np.{name} would lose the gradient of a Tensor t: {hint}")


# ---- Checks --------------------------------------------------------------------------


def _setting(name, value, low=0, high=math.inf):
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {low}...{high}, got {value}")
    return float(value)  # so that a NumPy number does not change the dtype of an update


def _check_matmul(a, b):
    if not a or not b or a[-1] != b[-2:][0]:
        raise ValueError(f"matmul: shapes {a} and {b} do not fit")


def _check_features(shape, C, training):
    fits = len(shape) in (2, 3) and shape[1] == C
    _require(fits, f"BatchNorm1d: (N, {C}) or (N, {C}, L), not {shape}")
    hint = f"training, got {shape}; call model.eval() to use the model"
    enough = math.prod(shape) >= 2 * C or not training
    _require(enough, f"BatchNorm1d needs two values per feature in {hint}")


def _activation_and_scale(nonlin, nin) -> Any:
    """The function that `nonlin` stands for, and the weights' standard deviation."""
    _setting("nin", nin, low=1)
    nonlin = Tensor.relu if nonlin is True else nonlin or None
    hint = f"nonlin is True, False, None or a function, not {nonlin!r}"
    _require(nonlin is None or callable(nonlin), hint, TypeError)
    return nonlin, math.sqrt((2 if nonlin is Tensor.relu else 1) / nin)


def _checked_params(params):
    hint = "params is a list of Tensors: model.parameters(), or [tensor] for one"
    _require(not isinstance(params, (Tensor, Module)), hint, TypeError)
    params = list(params)
    _require(params, "no parameters; was a generator used up before?")
    for p in params:
        _require(_is_tensor(p), f"{hint}, not {type(p).__name__}", TypeError)
        _require(p.is_leaf, f"params must be leaves, not the result of {p.op!r}")
    _require(len(set(params)) == len(params), "the same parameter was given twice")
    return params


# ---- State ---------------------------------------------------------------------------


def _state_arrays(owner):
    """{name: array} of all that is saved: the arrays themselves, not copies."""
    arrays = {}
    for name, member in Module._members(owner):
        _require(name not in arrays, f"two members of the model have the name {name}")
        if not isinstance(member, Module):
            arrays[name] = array = member.data if isinstance(member, Tensor) else member
            saves = isinstance(array, np.ndarray) and array.dtype != object
            hint = f"{name} is {type(array).__name__}, not an array of numbers"
            _require(saves, f"{hint}; was it changed not in place?", TypeError)
    return arrays


def _load_arrays(arrays, state):
    """Copy the arrays of `state` into `arrays`, of the same names: all, or none."""
    what = f"a state is a dict of arrays, not {type(state).__name__}"
    _require(isinstance(state, Mapping), what, TypeError)
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
        _require(array.flags.writeable, f"{name} is read-only here, so it cannot load")
        new[name] = new[name].astype(array.dtype)
    for name, array in arrays.items():
        array[...] = new[name]


# ---- Pictures ------------------------------------------------------------------------


def to_dot(tensor, names=None):
    """The graph behind `tensor` as text in the DOT language of Graphviz.

    Blue boxes are leaves, yellow rounded ones are operations, each with its shape and,
    if it has at most four elements, its data and gradient. Constants are not part of
    the graph. `names` is a dict {name: tensor}, or a list of such pairs, as
    `model.named_parameters()` gives. `dot -Tsvg graph.dot -o graph.svg` draws it, or an
    online Graphviz viewer.

    >>> a, b = Tensor(2.0), Tensor(3.0)
    >>> c = a * b
    >>> c.backward()
    >>> print(to_dot(c, names={"a": a, "b": b}))
    digraph {
      rankdir=LR
      node [shape=box, style="rounded,filled", fillcolor=lightyellow]
      n0 [label="*\\n()\\ndata 6\\ngrad 1"]
      n1 -> n0
      n2 -> n0
      n1 [label="a\\n()\\ndata 2\\ngrad 3", style=filled, fillcolor=lightblue]
      n2 [label="b\\n()\\ndata 3\\ngrad 2", style=filled, fillcolor=lightblue]
    }
    """
    hint = f"to_dot takes a Tensor, not {type(tensor).__name__}"
    _require(_is_tensor(tensor), hint, TypeError)
    called = {id(t): name for name, t in dict(names or {}).items()}
    style = 'shape=box, style="rounded,filled", fillcolor=lightyellow'
    lines, nodes, ids = ["  rankdir=LR", f"  node [{style}]"], [tensor], {tensor: 0}
    for t in nodes:  # a list that grows meanwhile
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


_FLOATS = np.dtype(np.float32), np.dtype(np.float64)

# ---- On import -----------------------------------------------------------------------

if int(np.__version__.split(".")[0]) < 2:  # NumPy 1 has other rules for dtypes
    raise ImportError(f"minigrad needs NumPy 2.0 or newer, found {np.__version__}")

# Training frees and asks for the same large arrays in every step. The C library of
# Linux (glibc) hands freed blocks above 128 kB back to the system, which costs a page
# fault for every 4 kB when they are needed again. But it learns: a larger block, once
# freed, raises that limit to its size, up to 32 MB (mallopt(3), M_MMAP_THRESHOLD). No
# page is touched.
np.empty(2**25 - 2**16, np.uint8)


if __name__ == "__main__":
    import doctest

    failed, attempted = doctest.testmod()
    print(f"{attempted - failed} of {attempted} examples passed")
    raise SystemExit(failed > 0)
