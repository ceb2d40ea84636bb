# minigrad 3.0.0. Copyright 2026 The minigrad authors. SPDX-License-Identifier: MIT
"""minigrad: how a neural network learns, in one file to read from top to bottom.

Here is a machine with two dials, w and b. For an input x it answers w * x + b, and it
should answer 1, 3 and 5 for the inputs 0, 1 and 2. Which way do we turn the dials?

First we need a number, the loss, that says how wrong the machine is. We square every
error and add the squares, because then errors of 2 and -2 cannot cancel, and one large
error counts more than small ones that add up to it. Next we ask of each dial: if it
were turned up a little, how fast would the loss rise? That is the slope of the loss in
this dial. We turn every dial a little against its slope, and the loss falls. We do it
again and again, and the machine learns. A neural network is such a machine with a
million dials, called parameters. Their slopes together are the gradient.

How can a computer find the slopes? It could turn one dial a little and run the machine
again, but a million dials take a million runs for a single step. There is a better way.
A calculation is made of additions, products and exponentials, and each of them has a
derivative that you learned at school. Along a chain of operations, slopes multiply:

    y = x * x,  z = 3 * y        dz/dx = dz/dy * dy/dx = 3 * 2x

Where several chains lead from x to the loss, their products add, because a small change
of x reaches the loss along every chain, and small changes add up.

So we record every operation in a graph, walk through it and multiply slopes. In which
direction? A walk forwards finds the effect of one parameter on everything, so a million
parameters need a million walks. A walk backwards finds the effect of everything on the
one loss, so a single walk is enough. It takes about as long as two runs (a product of
two inputs needs two products on the way back), and the values of the forward run must
stay in memory. This is reverse-mode differentiation (Linnainmaa, 1970), called
backpropagation in neural networks (Rumelhart, Hinton and Williams, 1986).

The whole idea takes nine lines. A Number remembers its inputs and its slope in each:

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
and a times as fast as b. `backward` starts with 1, because the loss grows as fast as
itself, and multiplies the slopes along every path back. This is enough to fit the line:

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

We never told it the 2 and the 1. But now we double a number twenty times:

>>> y = x = Number(1.0)
>>> for _ in range(20):
...     y = y + y
>>> y.backward()
>>> x.grad
1048576.0

The answer, 2**20, is right. But each y was used twice, so `backward` followed 2**20
paths to x, and added 1 for each. Sixty doublings would take it thousands of years.

The cure is to wait. A number that was used in several places should wait for a share of
its gradient from each place, and then pass on the sum, once. When does it have all its
shares? We always take the newest of the waiting numbers. All that we take later are
older, so they cannot have used it and have no share for it.

>>> class Number(Number):                           # + and * find it by this name
...     made = 0
...     def __init__(self, data, *inputs):
...         self.data, self.inputs, self.grad = data, inputs, 0.0
...         self.age = Number.made = Number.made + 1
...     def backward(self):
...         waiting = {self: 1.0}                   # the sum of each number's shares
...         while waiting:                          # no recursion, which Python limits
...             newest = max(waiting, key=lambda number: number.age)
...             g = waiting.pop(newest)
...             newest.grad += g
...             for number, slope in newest.inputs:
...                 waiting[number] = waiting.get(number, 0.0) + g * slope
>>> y = x = Number(1.0)
>>> for _ in range(60):
...     y = y + y
>>> y.backward()                                # 61 visits
>>> x.grad == 2.0**60
True

This is the engine of every deep-learning library. Part I makes it fast: Python makes an
object for every number, so we compute with whole arrays. Part II builds networks, and
finds better steps than a multiple of the slope. Part III trains them: how large should
a step be, when should we stop, and how good is the result? It ends with a network that
writes. Part IV, the small print, holds helpers such as `_array`, whose names say what
they do. Running this file runs all its examples (>>>). Long ones have a function to
themselves, such as `_bare_loop`. Our notation:

    a, b     the arrays of an operation's inputs
    g        the gradient of the loss with respect to an operation's output
    N, C     the number of examples; the number of features or classes
    (N, C)   the shape of an array; # (N, C) -> (N,) shows how it changes

Other names follow PyTorch or NumPy where they can. GPUs, convolutions and gradients of
gradients are left out. You may copy the file; it needs only NumPy.

Try: give Number a tanh, whose slope is 1 - tanh(x)**2, and fit tanh(w * x) to data.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import math
import sys
from heapq import heappop, heappush
from typing import Any

import numpy as np

__version__ = "3.0.0"
__all__ = ["Tensor", "no_grad", "stack", "concatenate", "where", "cross_entropy",
           "mse_loss", "gradcheck", "to_dot", "Module", "Neuron", "Layer", "Sequential",
           "MLP", "Dropout", "BatchNorm1d", "Optimizer", "SGD", "Adam", "train_epoch",
           "predict", "attention"]  # fmt: skip


######## Part I  The engine ############################################################
# ==== 1  Tensors ======================================================================
# What changes if a number becomes an array? If an operation turns a million numbers
# into a million others, its slopes fill a million-by-million table, the Jacobian. We
# need not store it, because the walk only multiplies it by the arriving gradient, and
# that product has a short formula for each operation in this file. So a Tensor keeps a
# function instead of a slope, the vjp (vector-Jacobian product; gradients are vectors):
#
#     An operation is its value and, for every input, a function that turns the gradient
#     of the output into a share of the gradient of that input.
_recording = contextvars.ContextVar("recording", default=True)  # see chapter 4
_ages = itertools.count()


class Tensor:
    """A Number whose `data` is an array.
    `data`, a number, nested list or array, is copied; float32 stays, all else becomes
    float64. If `requires_grad` is True (the default, unlike in PyTorch), `backward`
    stores the gradient, of the same shape, in `grad`. A leaf has no inputs.
    >>> t = Tensor([[1, 2, 3], [4, 5, 6]])
    >>> str(t.dtype), t.grad, t.is_leaf, t.sum().is_leaf, Tensor(np.float32(3)) / 4
    ('float64', None, True, False, Tensor(0.75, dtype=float32, op='/'))"""

    __slots__ = "data grad requires_grad op _inputs _age __weakref__".split()
    data: np.ndarray
    grad: Any
    _inputs: list

    def __init__(self, data, requires_grad=True) -> None:
        self.data, self.grad, self.op = np.array(_array(data)), None, ""
        self.requires_grad, self._inputs, self._age = requires_grad, [], next(_ages)

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)
    is_leaf = property(lambda self: not self._inputs)

    @staticmethod
    def from_op(value, op, *pairs) -> Tensor:
        """The result of the operation named `op`, whose `pairs` are (tensor, vjp).
        Every operation below calls it, and so can yours. Sine has the slope cos(a):
        >>> def sin(x):
        ...     a = x.data
        ...     return Tensor.from_op(np.sin(a), "sin", (x, lambda g: g * np.cos(a)))
        >>> x = Tensor([0.0, np.pi])
        >>> sin(x).sum().backward()
        >>> x.grad.tolist()                         # cos(0) and cos(pi)
        [1.0, -1.0]

        A number or array in place of a tensor is a constant. A vjp must not change g,
        because others may hold it. It may refer to arrays such as `a`, but not to the
        result, which holds the vjp: such a cycle is not freed at once."""
        out = Tensor.__new__(Tensor)
        out.data, out.grad, out.op = np.asarray(value), None, op
        pairs = pairs if _recording.get() else ()
        kept = [p for p in pairs if isinstance(p[0], Tensor) and p[0].requires_grad]
        out._inputs, out.requires_grad = kept, bool(kept)
        out._age = next(_ages)
        return out

    # ==== 2  Arithmetic ===============================================================
    # We write an operation like a row in a table of derivatives: the value, then a vjp
    # for every input. From here on, look only for what differs from row to row.
    def __add__(self, other) -> Tensor:
        a, b = self._operands(other)
        return Tensor.from_op(a + b, "+", (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other) -> Tensor:
        a, b = self._operands(other)
        return Tensor.from_op(a - b, "-", (self, lambda g: g), (other, lambda g: -g))

    def __neg__(self) -> Tensor:
        return Tensor.from_op(-self.data, "neg", (self, lambda g: -g))

    def __mul__(self, other) -> Tensor:
        a, b = self._operands(other)
        pairs = (self, lambda g: g * b), (other, lambda g: g * a)
        return Tensor.from_op(a * b, "*", *pairs)

    def __truediv__(self, other) -> Tensor:
        a, b = self._operands(other)
        value = a / b  # its slope in b is -a / b**2, which is -value / b
        pairs = (self, lambda g: g / b), (other, lambda g: -g * value / b)
        return Tensor.from_op(value, "/", *pairs)

    def __pow__(self, other) -> Tensor:
        """x^y, with the slopes y x^(y-1) in x and x^y log(x) in y.
        >>> x, y = Tensor([0.0, 2.0]), Tensor(3.0)
        >>> (x**y + x**0).sum().backward()              # 3 x**2, and x**3 log(x)
        >>> x.grad.tolist(), y.grad.round(3).item(), (6 - y + 6 / y + 2**y).item()
        ([0.0, 12.0], 5.545, 13.0)"""
        a, b = self._operands(other)
        value = a**b
        # At a = 0, the slope b a^(b-1) is 0 * inf if b = 0, and a^b log(a) is -inf or
        # 0 * -inf if b >= 0. Here we take 0, as PyTorch does.
        vjp_a = lambda g: g * b * a ** np.where(b == 0, 0, b - 1)
        vjp_b = lambda g: g * value * np.log(np.where((a == 0) & (b >= 0), 1, a))
        return Tensor.from_op(value, "**", (self, vjp_a), (other, vjp_b))

    # For 2 - x, Python asks 2 first, then x. It calls these:
    __radd__, __rmul__ = __add__, __mul__
    __rsub__ = lambda self, other: _tensor(other, self.dtype) - self
    __rtruediv__ = lambda self, other: _tensor(other, self.dtype) / self
    __rpow__ = lambda self, other: _tensor(other, self.dtype) ** self
    __rmatmul__ = lambda self, other: _tensor(other, self.dtype) @ self
    __array_ufunc__ = None  # or an array X in X @ W would try to make W an array

    def _operands(self, other):
        """Both arrays. A number or list takes the dtype of self, so float32 stays."""
        b = other.data if isinstance(other, Tensor) else _array(other, self.data.dtype)
        return self.data, b

    # There is a catch. NumPy stretches, or broadcasts, arrays to a common shape. In a
    # column (2, 1) times a row (3,), each number of the column is used three times, and
    # each of the row twice, so the shares g * b and g * a have shape (2, 3) and do not
    # fit. But the shares of a number that was used several times add up. They lie along
    # the stretched axes, and one function sums them for all operations.
    @staticmethod
    def _unbroadcast(share, shape, op):
        """Sum a `share` over the axes on which its tensor of `shape` was stretched.
        >>> column, row = Tensor([[1.0], [2.0]]), Tensor([3.0, 4.0, 5.0])
        >>> (column * row).sum().backward()
        >>> column.grad.tolist(), row.grad.tolist()
        ([[12.0], [12.0]], [3.0, 3.0, 3.0])"""
        padded = (1,) * (share.ndim - len(shape)) + shape  # (3,) counts as (1, 3)
        stretched = tuple([axis for axis, n in enumerate(padded) if n == 1])
        total = np.add.reduce(share, axis=stretched, keepdims=True)
        _require(total.shape == padded, "vjp of {}: {}, not {}", op, share.shape, shape)
        return total.reshape(shape)

    # ==== 3  The walk backwards =======================================================
    # Now we write the first page's engine for arrays. At x = 1, take a = 2 * x and
    # c = (a + 1) * a. Under each tensor: its value; its gradient, from right to left:
    #                  .-----------------.
    #                 /                   \
    #        x ----> a ----> a + 1 ----> c           dc/da = 2 + 3, along two arrows
    #        1       2         3         6           dc/dx = 5 * 2
    #       10       5         2         1
    #
    # From c, the walk reaches a + 1 and a. If it took a first, a would pass on only the
    # 3 that comes straight from c, and x would end with 6. So a + 1, the newer, goes
    # first. Can a go too early? As long as a share for a is missing, a tensor on the
    # path of that share is waiting. It is newer than a, so it goes first.
    def _gradients(self, gradient):
        """{tensor: gradient} for self and all that it was computed from."""
        gradients, summed = {self: gradient}, set()  # summed: only we hold the sum
        waiting = [(-self._age, self)]  # a heap, which finds the newest quickly
        while waiting:
            newest = heappop(waiting)[1]
            g = gradients[newest]
            for tensor, vjp in newest._inputs:
                share = vjp(g)
                if share.shape != tensor.data.shape:
                    share = Tensor._unbroadcast(share, tensor.data.shape, newest.op)
                if tensor not in gradients:
                    gradients[tensor] = share
                    heappush(waiting, (-tensor._age, tensor))
                elif tensor in summed:
                    gradients[tensor] += share  # in place, which is faster
                else:  # not in place: the first share may be another tensor's g
                    gradients[tensor] = gradients[tensor] + share
                    summed.add(tensor)
        return gradients

    def backward(self, gradient=None) -> None:
        """Give every tensor that led to this one its gradient, in its `grad`.
        A leaf adds it to what is there, so the gradients of several calls add up; set
        `grad` to None to start afresh. Others keep the latest (PyTorch keeps neither
        these nor, after one call, the graph).
        >>> x = Tensor(1.0)
        >>> a = 2 * x
        >>> c = (a + 1) * a
        >>> for _ in range(2):
        ...     c.backward()
        ...     print(c.grad, a.grad, x.grad)
        1.0 5.0 10.0
        1.0 5.0 20.0

        ValueError if it has several elements and no `gradient` of its own shape is
        given, RuntimeError if no input requires a gradient."""
        for tensor, g in self._gradients(_first_gradient(self, gradient)).items():
            if not tensor._inputs:  # a leaf needs its own: x + y hands both the same g
                g = np.asarray(g).astype(tensor.data.dtype, casting="same_kind")
                if tensor.grad is not None:
                    g += tensor.grad
            tensor.grad = np.asarray(g)

    # Try: drop both minus signs of _age, and look at x.grad. Which number is missing?
    # ==== 4  The bare training loop ===================================================
    def _bare_loop(self):
        """We can already train. Here is the line again, with all points in one array:
        >>> x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])
        >>> w, b = Tensor(0.0), Tensor(0.0)
        >>> for step in range(200):
        ...     loss = ((w * x + b - y) ** 2).sum()             # forwards
        ...     w.grad = b.grad = None                          # forget the old slopes
        ...     loss.backward()                                 # backwards
        ...     w.data -= 0.1 * w.grad                          # downhill
        ...     b.data -= 0.1 * b.grad
        ...     if step in (0, 10, 199):
        ...         print(f"{step:4} {loss:10.6f} {w:9.6f} {b:9.6f}")
           0  35.000000  2.600000  1.800000
          10   0.002747  1.972315  1.038784
         199   0.000000  2.000000  1.000000

        Forwards, backwards, downhill: this is all of training. A slope describes a move
        of one parameter alone, but we may move all at once, because nearby the loss is
        almost a plane, on which the effects of several moves add up. The smaller the
        step, the better this holds; the 0.1 is called the learning rate.

        `w.data` is a plain array, so changing it is not recorded. Where nobody will ask
        for a gradient at all, switch recording off, which saves memory and time:
        >>> with no_grad():
        ...     answer = w * 10 + b
        >>> f"{answer:.3f}", answer.requires_grad, w.detach().requires_grad
        ('21.000', False, False)"""

    def item(self) -> float:
        """The only element as a float, without its graph; `float(t)` is the same."""
        return self.data.item()

    __float__ = item
    __bool__ = lambda self: bool(self.data)

    def detach(self) -> Tensor:
        """The same array as a constant, so that gradients stop here."""
        return Tensor.from_op(self.data, "detach")

    # Try: learning rates of 0.01, 0.13 and 0.15 in the bare loop.
    # ==== 5  Matrices, sums, shapes ===================================================
    # Which operation takes most of a large network's time? The matrix product. If Y is
    # A B, the element A[i, k] multiplies B[k, j] in each Y[i, j]. So if Y has the
    # gradient G, that of A[i, k] is the sum over j of G[i, j] B[k, j]. This too is a
    # matrix product: G B^T for A, and likewise A^T G for B.
    def __matmul__(self, other) -> Tensor:
        """The matrix product, in all cases of `np.matmul`.
        >>> A, B = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])
        >>> (A @ B).backward([[2.0]])                   # (1, 2) @ (2, 1) -> (1, 1)
        >>> (A @ B).item(), A.grad.tolist(), B.grad.tolist()
        (11.0, [[6.0, 8.0]], [[2.0], [4.0]])"""
        a, b = self._operands(other)
        if a.ndim == 2 <= b.ndim or b.ndim > 2 <= a.ndim:
            # (n, k) @ (k, m), or batches of these. mT swaps the last two axes, T all.
            pairs = (self, lambda g: g @ b.mT), (other, lambda g: a.mT @ g)
            if a.shape[-1] != b.shape[-2]:
                raise ValueError(f"shapes {a.shape} @ {b.shape} do not fit")
            return Tensor.from_op(a @ b, "@", *pairs)
        if b.ndim > 2:  # a vector on the left is a row
            return (self[np.newaxis] @ other)[..., 0, :]
        # On the right it is a column. Matrices times one b are one tall matrix times b.
        tall = self.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        columns = _tensor(other, a.dtype).reshape(len(b), math.prod(b.shape[1:]))
        return (tall @ columns).reshape(a.shape[:-1] + b.shape[1:])

    # A sum has slope 1 in each of its numbers, so each gets the gradient of its sum.
    def sum(self, axis=None, keepdims=False) -> Tensor:
        """The sum over `axis`: an int, a tuple of them, or None for all.
        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> (x.sum(axis=1) * [1.0, 5.0] + x.mean(0)).sum().backward()
        >>> x.sum(axis=1).data.tolist(), x.mean(0).data.tolist(), x.grad.tolist()
        ([3.0, 7.0], [2.0, 3.0], [[1.5, 1.5], [5.5, 5.5]])"""
        a = self.data
        kept = a.sum(axis=axis, keepdims=True)
        value = kept if keepdims else kept.squeeze(axis)
        vjp = lambda g: np.full(a.shape, g.reshape(kept.shape))
        return Tensor.from_op(value, "sum", (self, vjp))

    def mean(self, axis=None, keepdims=False) -> Tensor:
        """The mean over `axis`."""
        total = self.sum(axis, keepdims)
        return total / (self.size // max(total.size, 1))  # numbers in each sum

    # The largest number alone decides, so it gets the whole gradient; ties split it.
    def max(self, axis=None, keepdims=False) -> Tensor:
        """The largest element along `axis`.
        >>> x = Tensor([[7.0, 1.0, 3.0], [7.0, 2.0, 0.0]])
        >>> (x.max(axis=0) * [2.0, 4.0, 6.0] + x.min(axis=0)).sum().backward()
        >>> x.max(axis=0).data.tolist(), x.min(1, True).shape, x.grad.tolist()
        ([7.0, 2.0, 3.0], (2, 1), [[1.5, 1.0, 6.0], [1.5, 4.0, 1.0]])"""
        a = self.data
        kept = a.max(axis=axis, keepdims=True)
        value = kept if keepdims else kept.squeeze(axis)
        ties = (a == kept).astype(a.dtype)
        vjp = lambda g: g.reshape(kept.shape) * ties / ties.sum(axis, keepdims=True)
        return Tensor.from_op(value, "max", (self, vjp))

    def min(self, axis=None, keepdims=False) -> Tensor:
        """The smallest element along `axis`."""
        return -(-self).max(axis, keepdims)

    # The next three move numbers. Their vjps move the gradients back.
    def reshape(self, *shape) -> Tensor:
        """The same elements in another shape; -1 stands for whatever is left."""
        value = self.data.reshape(*shape)
        return Tensor.from_op(value, "reshape", (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes) -> Tensor:
        """The axes in another order, as in NumPy; reversed if none is given.
        >>> x = Tensor(np.zeros((2, 3, 4)))
        >>> x.transpose(1, 2, 0).reshape(-1).sum().backward()
        >>> x.transpose(1, 2, 0).shape, x.grad.shape, x.T.shape
        ((3, 4, 2), (2, 3, 4), (4, 3, 2))"""
        value = self.data.transpose(*axes)
        # axes[i] says where axis i came from; argsort says where each went.
        back = np.argsort(np.ravel(axes) % self.ndim) if axes else None
        return Tensor.from_op(value, "transpose", (self, lambda g: g.transpose(back)))

    T = property(transpose)

    def __getitem__(self, index) -> Tensor:
        """`t[index]`, with every index that NumPy takes. An element picked twice gets
        both gradients, so a table of rows, called an embedding, can be trained.
        >>> table = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> table[[0, 2, 0]].sum().backward()           # row 0 twice, row 1 never
        >>> table.grad.tolist()
        [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]"""
        a = self.data
        value = a[index]

        def vjp(g):
            whole = np.zeros_like(a)
            if np.may_share_memory(value, a):  # a slice is a view: nothing picked twice
                whole[index] = g
            else:  # whole[index] += g would count a repeated index once
                np.add.at(whole, index, g)
            return whole

        return Tensor.from_op(value, "[]", (self, vjp))

    __len__ = lambda self: len(self.data)
    __iter__ = lambda self: (self[i] for i in range(len(self)))

    # Try: write np.cumsum with from_op. Which outputs does each number take part in?
    # ==== 6  Activations ==============================================================
    # Are matrix products enough for a network? No: (x @ A + a) @ B + b is x @ C + c for
    # some C and c. However many we stack, they amount to one, which makes only lines
    # and planes. A nonlinear activation function between them bends these. (Some vjps
    # use the value: e^x is its own slope, and tanh has the slope 1 - tanh^2.)
    def exp(self) -> Tensor:
        """e to the power of each element. This and its neighbours in one example:
        >>> x = Tensor([4.0, 0.25])
        >>> (x.log().exp() + x.log() + x.sqrt() + (-x).abs()).sum().backward()
        >>> x.grad.tolist()                         # 1 + 1 / x + 1 / (2 sqrt(x)) + 1
        [2.5, 7.0]"""
        value = np.exp(self.data)
        return Tensor.from_op(value, "exp", (self, lambda g: g * value))

    def log(self) -> Tensor:
        """The natural logarithm of each element."""
        a = self.data
        return Tensor.from_op(np.log(a), "log", (self, lambda g: g / a))

    def sqrt(self) -> Tensor:
        """The square root of each element; its slope at 0 is infinite."""
        value = np.sqrt(self.data)
        return Tensor.from_op(value, "sqrt", (self, lambda g: g / (2 * value)))

    def abs(self) -> Tensor:
        """The absolute value of each element; its slope at 0 is taken as 0."""
        a = self.data
        return Tensor.from_op(np.abs(a), "abs", (self, lambda g: g * np.sign(a)))

    __abs__ = abs

    def relu(self) -> Tensor:
        """max(x, 0), the rectified linear unit; its slope at 0 is taken as 0."""
        value = np.maximum(self.data, 0)
        return Tensor.from_op(value, "relu", (self, lambda g: g * (value > 0)))

    def tanh(self) -> Tensor:
        """The hyperbolic tangent: an S-shaped curve from -1 to 1, with slope 1 at 0."""
        value = np.tanh(self.data)
        return Tensor.from_op(value, "tanh", (self, lambda g: g * (1 - value * value)))

    # Another S-shaped curve is 1 / (1 + e^-x). At x = -1000 it asks for e^1000, which
    # overflows. The same curve is e^x / (1 + e^x), which fails at x = 1000 instead. So
    # each half of the axis uses the form that contains only e^-|x|.
    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x): an S-shaped curve from 0 to 1, with slope 1/4 at 0.
        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> with np.errstate(over="raise"):             # overflow would be an error
        ...     (x.sigmoid() + x.tanh() + 3 * x.relu() + x.abs()).sum().backward()
        >>> x.sigmoid().data.tolist(), x.tanh().data.tolist(), x.grad.tolist()
        ([0.0, 0.5, 1.0], [-1.0, 0.0, 1.0], [-1.0, 1.25, 4.0])"""
        a = self.data
        e = np.exp(-np.abs(a))
        value = np.where(a >= 0, 1, e) / (1 + e)
        # The slope is value * (1 - value), on both halves e / (1 + e)**2.
        return Tensor.from_op(value, "sigmoid", (self, lambda g: g * e / (1 + e) ** 2))

    # Try: softplus, log(1 + e^x), with from_op: safe at 1000, with slope 1/2 at 0.
    # ==== 7  Softmax and losses =======================================================
    # How does a network choose among C classes? It gives each a score, and softmax
    # turns scores into probabilities: e^score, divided by the sum of them all. Again
    # e^1000 is too large. But a number added to all scores cancels in the fraction, so
    # we subtract the largest score first. By the quotient rule, when score j rises, p_j
    # rises at the rate p_j (1 - p_j), and every other p_i falls at the rate p_i p_j.
    # Weighted by g, these add up to score j's gradient, p_j (g_j - sum of all g_i p_i).
    def softmax(self, axis=-1) -> Tensor:
        """Probabilities, which lie between 0 and 1 and sum to 1 along `axis`.
        >>> x = Tensor([[1000.0, 1000.0], [0.0, -1000.0]])
        >>> (x.softmax()[0, 0] + x.log_softmax()[1, 1]).backward()
        >>> x.softmax().data.tolist(), x.log_softmax()[1].data.tolist(), x.grad.tolist()
        ([[0.5, 0.5], [1.0, 0.0]], [0.0, -1000.0], [[0.25, -0.25], [-1.0, 1.0]])"""
        _, e, total = Tensor._shifted_exp(self.data, axis)
        p = e / total
        vjp = lambda g: p * (g - (g * p).sum(axis=axis, keepdims=True))
        return Tensor.from_op(p, "softmax", (self, vjp))

    # The logarithm of a probability rounded to 0 is -inf. But log p_j is score j minus
    # log(sum of all e^score), safe after the shift. When score j rises, log p_j rises
    # at the rate 1 - p_j, and the others fall at the rate p_j. So score j gets the
    # gradient g_j - p_j (sum of g).
    def log_softmax(self, axis=-1) -> Tensor:
        """The logarithm of softmax, accurate even where a probability rounds to 0."""
        z, e, total = Tensor._shifted_exp(self.data, axis)
        vjp = lambda g: g - e / total * g.sum(axis=axis, keepdims=True)
        return Tensor.from_op(z - np.log(total), "log_softmax", (self, vjp))

    @staticmethod
    def _shifted_exp(x, axis):
        """z = x minus its maximum, e^z, and the sum of e^z along `axis`."""
        z = x - np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf)  # if empty
        e = np.exp(z)
        if e.itemsize == 4:  # float32 is slow below 1e-38 (subnormal), and a term below
            e *= e >= 1e-30  # 1e-30 is lost in the sum, whose largest term is 1
        return z, e, np.add.reduce(e, axis, keepdims=True)


# Why squares, and why logarithms? Both losses below ask which parameters make the data
# most probable. The probabilities of independent examples multiply; a logarithm turns
# the product into a sum, and a minus sign the maximum into a minimum. For numbers,
# suppose errors have a normal distribution of some variance s^2. Its density is a
# constant times e^(-error^2 / (2 s^2)), whose logarithm, negated, is the squared error,
# up to constants (Bishop, Pattern Recognition and Machine Learning, 2006, 3.1.1).
def mse_loss(prediction, target) -> Tensor:
    """The mean squared error, for predicting numbers (regression).
    ValueError unless the shapes are equal, because (N,) and (N, 1) broadcast to (N, N).
    >>> p = Tensor([1.0, 2.0])
    >>> mse_loss(p, [1.0, 4.0]).backward()
    >>> mse_loss(p, [1.0, 4.0]).item(), p.grad.tolist()     # 2 (p - target) / 2
    (2.0, [0.0, -2.0])"""
    p = _tensor(prediction)
    t = _tensor(target, p.dtype)
    _require(p.shape == t.shape, "mse_loss of shapes {} and {}", p.shape, t.shape)
    return ((p - t) ** 2).mean()


# For classes, the loss is minus the logarithm of the probability that the right class
# got: 4.6 for 1%, only 0.7 for 50%. By the rates above, the gradient of the scores is
# probability minus target, where the target is 1 for the right class and 0 for others.
def cross_entropy(logits, labels) -> Tensor:
    """The mean of -log(probability of the right class), for choosing (classification).
    `logits` (..., C) are scores, before softmax (in PyTorch, C is axis 1); the integers
    `labels` (...) are the right classes, 0 to C - 1. The mean is over all labels.
    >>> logits = Tensor(np.zeros((1, 2, 2)))                # the network knows nothing
    >>> loss = cross_entropy(logits, [[0, 1]])
    >>> (3 * loss).backward()
    >>> f"{loss:.3f}", logits.grad.tolist()                 # log 2; 3 (p - target) / N
    ('0.693', [[[-0.75, 0.75], [0.75, -0.75]]])

    For probabilities p as targets: -(p * logits.log_softmax()).sum(axis=-1).mean()."""
    logits, labels = _tensor(logits), np.asarray(labels)
    z, e, total = Tensor._shifted_exp(logits.data, -1)
    good = labels.dtype.kind in "biu" and labels.shape == z.shape[:-1]
    text = "labels are integers {0}, not {1.dtype} {1.shape}"
    _require(good, text, z.shape[:-1], labels)
    target = labels[..., np.newaxis] == np.arange(z.shape[-1])  # (...) -> (..., C)
    losses = (np.log(total) - z)[target]  # a label out of range loses its True
    text = "labels lie in 0 to {}; for padding, use a mask"
    _require(losses.size == labels.size, text, z.shape[-1] - 1)
    pair = logits, lambda g: (e / total - target) * (g / losses.size)  # True is 1
    return Tensor.from_op(np.add.reduce(losses) / losses.size, "cross_entropy", pair)


# ==== 8  Checking gradients ===========================================================
# How do we know that a derivative is right? By the slow method of the first page: move
# one number by eps, and see what happens. We move it both ways, so that errors of order
# eps cancel. Those of order eps^2 remain, so eps must be small, but not so small that
# the two results agree in almost every digit. Take the slope of x^3 at 1, which is 3:
def gradcheck(f, *inputs, eps=1e-6, atol=1e-5, rtol=1e-3) -> bool:
    """
    >>> cube = lambda x: x * x * x
    >>> for eps in 1e-2, 1e-6, 1e-12:
    ...     slope = (cube(1 + eps) - cube(1 - eps)) / (2 * eps)
    ...     print(f"eps {eps:.0e}: wrong by {abs(slope - 3):.0e}")
    eps 1e-02: wrong by 1e-04
    eps 1e-06: wrong by 2e-11
    eps 1e-12: wrong by 1e-04

    gradcheck returns True if |backward - difference| <= atol + rtol * |difference| for
    each element of each input, else raises AssertionError. Inputs must be float64, and
    f smooth there. The output is summed with uneven weights, because the plain sum of a
    softmax never changes. They are negative, to expose a vjp that ignores g, and
    read-only, so that the last vjp cannot change g. A mix of rules, then a wrong vjp:
    >>> mix = lambda x: (x.T.abs().log_softmax(0) / (x + 3).mean(1)).sigmoid()
    >>> gradcheck(lambda x: mix(x).softmax(0), Tensor([[5, -2, 1], [3, 0.5, 4]]))
    True
    >>> flip = lambda x: Tensor.from_op(x.data[::-1], "flip", (x, lambda g: g))
    >>> gradcheck(lambda a, b: a + flip(b), Tensor(1.0), Tensor([2.0, 3.0]))
    Traceback (most recent call last):
    ...
    AssertionError: input 1, element (0,): backward gives -1, differences give -1.618"""
    good = {str(x.dtype) for x in inputs if x.requires_grad} == {"float64"}
    _require(good, "gradcheck needs float64 Tensors that require gradients")
    out = f(*inputs)
    weights = -1 - (np.arange(out.size) * 0.618 % 1).reshape(out.shape)
    weights.setflags(write=False)
    gradients = out._gradients(weights)
    for i, x in enumerate(inputs):
        for index in np.ndindex(x.shape) if x.requires_grad else ():
            old, results = x.data[index], []
            for moved in old + eps, old - eps:
                x.data[index] = moved
                results.append((f(*inputs).data * weights).sum())
            x.data[index] = old
            slope = (results[0] - results[1]) / (2 * eps)
            exact = gradients[x][index] if x in gradients else 0.0
            if not abs(exact - slope) <= atol + rtol * abs(slope) < math.inf:
                found = f"backward gives {exact:.6g}, differences give {slope:.6g}"
                raise AssertionError(f"input {i}, element {index}: {found}")
    return True


######## Part II  Networks #############################################################
# ==== 9  Neurons, layers, networks ====================================================
# What is a network made of? A neuron weighs its inputs, adds them up and applies an
# activation function. Its weights say what it looks for, its bias how readily it
# responds. A ReLU neuron draws a line and answers 0 on one side of it. So it cannot
# compute exclusive or, which is 1 if exactly one of two inputs is 1, because no line
# has (0, 1) and (1, 0) on one side, (0, 0) and (1, 1) on the other. But let one neuron
# count the ones, and another respond only if there are two; a third can combine their
# answers. Neurons with the same inputs form a layer. If their weights are the columns
# of a matrix, one product computes them all. Layers in a row form a network. Training
# must find the weights, and nobody wants to list those of a hundred layers. So a
# network is a Module: it keeps its numbers in attributes and finds them there, even
# inside lists, dicts and other Modules.
class Module:
    """The base of every layer and network, including your own.
    Make Tensors, Modules or arrays in `__init__`, and write `forward`, which runs when
    the module is called. Tensors that require gradients are its parameters; setting
    `requires_grad` to False freezes one. A result such as `hidden` is not a parameter
    (nor would Tensor(2.0) * 0.1 be). The network for exclusive or:
    >>> class Xor(Module):
    ...     def __init__(self):
    ...         self.W, self.b = Tensor([[1.0, 1.0], [1.0, 1.0]]), Tensor([0.0, -1.0])
    ...         self.V, self.c = Tensor([1.0, -2.0]), Tensor(0.0)
    ...     def forward(self, x):
    ...         self.hidden = (x @ self.W + self.b).relu()      # (N, 2) -> (N, 2)
    ...         return self.hidden @ self.V + self.c            # (N, 2) -> (N,)
    >>> model = Xor()
    >>> model(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).data.tolist()
    [0.0, 1.0, 1.0, 0.0]
    >>> [name for name, _ in model.named_parameters()]
    ['W', 'b', 'V', 'c']"""

    training = True  # train() and eval() set it, which matters in chapter 14
    _saved: Any = (Tensor, np.ndarray)  # what state_dict finds

    def __call__(self, *args, **kwargs) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs) -> Any:
        """What the module computes: yours to write."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    # The search through the attributes is `_members`; it yields (name, member) pairs.
    def _find(self: Any, kind):
        return [p for p in _members(self, "", {}).values() if isinstance(p[1], kind)]

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """(name, Tensor) of every parameter, in the order of definition, each once."""
        return [(name, p) for name, p in self._find(Tensor) if p.requires_grad]

    def parameters(self) -> list[Tensor]:
        """The parameters without names: what an optimizer asks for."""
        return [p for _, p in self.named_parameters()]

    def zero_grad(self) -> None:
        """Set every `grad` to None."""
        for _, tensor in self._find(Tensor):
            tensor.grad = None

    def train(self, mode=True) -> Any:
        """Set `training`, here and in all modules within; return the module."""
        for _, module in self._find(Module):
            module.training = bool(mode)
        return self

    def eval(self) -> Any:
        """Switch to evaluation: `train(False)`."""
        return self.train(False)

    # What can be found can be saved: parameters, and arrays that are not trained.
    def state_dict(self: Any) -> dict[str, Any]:
        """Copies of all arrays by name, for np.savez("a.npz", **model.state_dict())."""
        return {name: array.copy() for name, array in _arrays_of(self).items()}

    def load_state_dict(self: Any, state) -> None:
        """Copy back a `state_dict()` or np.load("a.npz"); ValueError if it differs."""
        _load(_arrays_of(self), state)

    def __repr__(self: Any):
        return _describe(self)


# Try: write a polynomial as a Module; its coefficients are the parameter. Fit a sine.
# ==== 10  How large are the first weights? ============================================
# Where does training start? Not at zero, because two neurons with equal weights, coming
# in and going out, get equal gradients and stay equal. So we draw weights at random.
# But how large? Here a signal passes through thirty ReLU layers. For three sizes of
# weights, we print the mean output and the mean size of the gradient of the input:
def _first_weights(shape, nonlin, rng):
    """
    >>> rng = np.random.default_rng(0)
    >>> for scale in 0.125, 0.177, 0.25:
    ...     h = x = Tensor(rng.normal(size=(100, 64)))
    ...     for _ in range(30):
    ...         h = (h @ rng.normal(0, scale, (64, 64))).relu()
    ...     h.sum().backward()
    ...     print(f"{scale:.3f}: {h.mean():.0e} {np.abs(x.grad).mean():.0e}")
    0.125: 3e-05 1e-04
    0.177: 4e-01 3e+00
    0.250: 4e+03 4e+04

    With smaller weights it all vanishes, and with larger ones it explodes. Why is 0.177
    right? A neuron sums nin products of a weight and an input. Let weights be symmetric
    around 0, independent of each other and of the inputs, with mean square s, and let
    inputs have mean square 1. In the square of the sum, products of different terms
    average 0, so its mean is nin * s. To keep it at 1, a linear neuron needs 1 / nin
    (LeCun et al., Efficient BackProp, 1998). ReLU sets half of the sums to 0, which
    halves their mean square, so it needs 2 / nin, here 0.177**2 (He et al., 2015). On
    the way back an input sums nout gradients, so nout should replace nin; Glorot and
    Bengio (2010) use 2 / (nin + nout), for tanh."""
    mean_square = (2 if nonlin is Tensor.relu else 1) / shape[0]
    return np.random.default_rng(rng).normal(0, math.sqrt(mean_square), shape)


# `nonlin` is a function of a Tensor, or None (True: ReLU; False: None). `rng` is a seed
# or a Generator. Equal seeds give equal weights, so let layers share one Generator.
class Neuron(Module):
    """A weighted sum, then an activation: nonlin(x @ w + b), (N, nin) -> (N,)."""

    def __init__(self, nin, nonlin: Any = Tensor.relu, rng=None) -> None:
        self.nonlin = Tensor.relu if nonlin is True else nonlin or None
        self.w, self.b = Tensor(_first_weights((nin,), self.nonlin, rng)), Tensor(0.0)

    def forward(self, x) -> Tensor:
        out = _tensor(x, self.w.dtype) @ self.w + self.b
        return self.nonlin(out) if self.nonlin else out


class Layer(Module):
    """`nout` neurons with the same inputs: nonlin(x @ W + b), (N, nin) -> (N, nout).
    The weights are the columns of W (nin, nout); in PyTorch's Linear, the rows. The
    last layer of a network should have `nonlin=None`.
    >>> layer, neuron = Layer(3, 2, rng=0), Neuron(3)
    >>> neuron.w, neuron.b, layer.b = layer.W[:, 1], Tensor(2.0), Tensor([1.0, 2.0])
    >>> (layer(np.eye(3))[:, 1] - neuron(np.eye(3))).data.tolist(), layer
    ([0.0, 0.0, 0.0], Layer(nonlin=relu, W=(3, 2), b=(2,)))"""

    def __init__(self, nin, nout, nonlin: Any = Tensor.relu, rng=None, dtype=None):
        self.nonlin = Tensor.relu if nonlin is True else nonlin or None
        self.W = Tensor(_first_weights((nin, nout), self.nonlin, rng).astype(dtype))
        self.b = Tensor(np.zeros(nout, dtype))

    def forward(self, x) -> Tensor:
        out = _tensor(x, self.W.dtype) @ self.W + self.b
        return self.nonlin(out) if self.nonlin else out


class Sequential(Module):
    """Modules, or functions such as Tensor.tanh, one after the other."""

    def __init__(self, *layers) -> None:
        self.layers = list(layers)

    def forward(self, x) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    __len__ = lambda self: len(self.layers)
    __getitem__ = lambda self, index: self.layers[index]
    __iter__ = lambda self: iter(self.layers)


class MLP(Sequential):
    """A multi-layer perceptron: Layers in a row, the last one without `nonlin`.
    >>> model = MLP(64, [32, 10], rng=0)                # 64 inputs, then 32, then 10
    >>> model(np.zeros((5, 64))).shape, model[1].nonlin
    ((5, 10), None)"""

    def __init__(self, nin, nouts, nonlin: Any = Tensor.relu, rng=None, dtype=None):
        _require(isinstance(nouts, (list, tuple)), "nouts is a list, not {!r}", nouts)
        rng, nonlins = np.random.default_rng(rng), [nonlin] * (len(nouts) - 1) + [None]
        layers = zip([nin, *nouts], nouts, nonlins)
        super().__init__(*[Layer(*layer, rng, dtype) for layer in layers])


# ==== 11  Steps: SGD, momentum, Adam ==================================================
# How should a step use the slopes? There are many rules; all share this Optimizer.
class Optimizer:
    """The base of all optimizers. A subclass says in `update` what to subtract.
    `params` is a list of Tensors, such as `model.parameters()`; `lr` may be changed
    between steps. `weight_decay` adds the slope of weight_decay / 2 * p**2 to the
    gradient of each parameter p, which draws p towards 0. Your own rule:
    >>> class SignSGD(Optimizer):
    ...     def update(self, g, t):
    ...         return self.lr * np.sign(g)
    >>> x, y = Tensor([3.0, -8.0]), Tensor(5.0, requires_grad=False)
    >>> loss, before = (x * x * y).sum(), x.data
    >>> loss.backward()
    >>> SignSGD([x, y], lr=0.25).step()
    >>> x.data.tolist(), before.tolist(), y.item()      # y gets no grad, so it stays
    ([2.75, -7.75], [3.0, -8.0], 5.0)"""

    buffers: tuple = ()  # names of arrays that the rule keeps for each parameter
    _saved, _find, __repr__ = np.ndarray, Module._find, Module.__repr__
    state_dict, load_state_dict = Module.state_dict, Module.load_state_dict

    def __init__(self, params, lr=1e-3, weight_decay=0.0) -> None:
        self.params, self.lr, self.weight_decay = tuple(params), lr, weight_decay
        good = {p for p in self.params if isinstance(p, Tensor) and not p.op}
        text = "params are different Tensors that you made, not {!r:.50}"
        _require(len(good) == len(self.params) > 0, text, self.params)
        kept = [[np.zeros_like(p.data) for _ in self.buffers] for p in self.params]
        vars(self).update(zip(self.buffers, zip(*kept)))  # adam.m and so on
        self.steps, self._kept = np.zeros(len(self.params), int), kept

    def zero_grad(self) -> None:
        """Set every `grad` to None."""
        for p in self.params:
            p.grad = None

    def update(self, g, t, *buffers: Any, **_: Any) -> Any:
        """What to subtract from a parameter with gradient `g` at step `t` (1, 2, ...).
        The arrays named in `buffers` follow. They start at 0; change them in place."""
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def step(self) -> None:
        """Move each parameter that has a gradient one step downhill, into a new array.
        Graphs that hold the old one keep the right gradients. An `lr` that float()
        rejects, or a `grad` of a wrong shape, is an error before anything changes."""
        self.lr = float(self.lr)
        for p in self.params:
            if p.grad is not None and np.shape(p.grad) != p.data.shape:
                raise ValueError(f"a grad {p.grad!r:.40} for a parameter {p.shape}")
        for i, p in enumerate(self.params):
            if p.grad is not None:
                g = p.grad + self.weight_decay * p.data if self.weight_decay else p.grad
                self.steps[i] += 1
                change = self.update(g, int(self.steps[i]), *self._kept[i])
                if change is None or change.shape != p.data.shape:
                    raise ValueError(f"update returned {change!r:.50}")
                p.data = np.asarray(p.data - change, p.data.dtype)


# Where does one learning rate fail? In a valley that is steep across and flat along,
# such as x^2 / 2 + 50 y^2. A step turns y into (1 - 100 lr) y. This grows if lr is over
# 0.02, but with a smaller lr, x hardly moves. Momentum helps: a velocity keeps a part
# of itself and adds each slope. Along the valley the slopes agree, and the velocity
# grows; across, they alternate and cancel (Polyak, 1964).
class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * v, where v = momentum * v + g.
    "Stochastic" means random, like the batches of chapter 12.
    >>> x = Tensor(1.0)
    >>> optimizer = SGD([x], momentum=0.25)
    >>> for lr, slope in (0.25, 4.0), (0.5, 8.0):
    ...     optimizer.lr, x.grad = lr, np.array(slope)
    ...     optimizer.step()                            # v = 4, then 0.25 * 4 + 8 = 9
    >>> x.item()                                        # 1 - 0.25 * 4 - 0.5 * 9
    -4.5"""

    buffers = ("velocity",)

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0) -> None:
        super().__init__(params, lr, weight_decay)
        self.momentum = momentum

    def update(self, g, t, velocity) -> Any:
        velocity *= self.momentum
        velocity += g
        return self.lr * velocity


# Adam divides every slope by its usual size. `m` is an average of the slope, a kind of
# velocity, `v` is an average of its square, and the step is lr * m / sqrt(v). If slopes
# agree, a parameter moves by about lr, however small they are; if they alternate, it
# moves less. Each beta is the weight of the past. An average starts at 0, so after t
# steps its weights sum to only 1 - beta^t, and we divide by that. eps prevents 0 / 0.
class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, Adam, 2015, algorithm 1), three steps by hand:
    >>> x, m, v, p = 1.0, 0.0, 0.0, Tensor(1.0)
    >>> optimizer = Adam([p], lr=0.5, betas=(0.8, 0.99), eps=1e-3)
    >>> for t, g in (1, 4.0), (2, -2.0), (3, 1e-3):
    ...     m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
    ...     x -= 0.5 * (m / (1 - 0.8**t)) / ((v / (1 - 0.99**t)) ** 0.5 + 1e-3)
    ...     p.grad = np.array(g)
    ...     optimizer.step()
    >>> f"{x:.6f} {p:.6f}"
    '0.318042 0.318042'

    Weight decay is a part of g here, so it is divided by sqrt(v), too. Try: AdamW
    (Loshchilov and Hutter, 2019), which in PyTorch subtracts lr * weight_decay * p."""

    buffers = ("m", "v")

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.betas, self.eps = betas, eps

    def update(self, g, t, m, v) -> Any:
        beta1, beta2 = self.betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        # lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps), in fewer passes,
        # because root multiplies both above and below:
        root = math.sqrt(1 - beta2**t)
        return self.lr * root / (1 - beta1**t) * m / (np.sqrt(v) + self.eps * root)


######## Part III  Training ############################################################
# ==== 12  The training loop ===========================================================
# Must every step look at all the data? The gradient only has to say which way is down,
# and that of a small random sample, a batch, is right on average, for a fraction of the
# work. So an epoch, one pass through the data in random order, makes many steps instead
# of one. How far off is the gradient of one batch? Our example, here and in chapter 13,
# is to find a circle in a space of ten dimensions, eight of which do not matter:
def _points(n, seed):
    """n points (n, 10), and labels: do the first two coordinates lie in the circle?
    Here is the slope of one weight, times 1000: in ten batches, then their mean, then
    in all the data. The last two must agree. Three batches have the wrong sign:
    >>> (X, y), model = _points(200, seed=0), MLP(10, [64, 64, 2], rng=0)
    >>> def slope(X, y):
    ...     model.zero_grad()
    ...     cross_entropy(model(X), y).backward()
    ...     return 1000 * model[0].W.grad[1, 0]
    >>> slopes = [slope(X[i : i + 20], y[i : i + 20]) for i in range(0, 200, 20)]
    >>> print(*[f"{s:.1f}" for s in [*slopes, np.mean(slopes), slope(X, y)]])
    -0.9 8.4 10.6 3.7 3.1 -4.0 6.9 2.7 8.4 -5.6 3.3 3.3"""
    X = np.random.default_rng(seed).uniform(-1, 1, (n, 10))
    return X, (X[:, 0] ** 2 + X[:, 1] ** 2 < 0.64).astype(int)


def train_epoch(
    model, optimizer, X, y, loss=cross_entropy, batch_size=32, rng=None
) -> float:
    """Train `model` on all rows of X and y once; return their mean loss.
    `rng`, a NumPy Generator, shuffles them (a seed would repeat one order) into
    ceil(N / batch_size) batches, equal to within one row. `loss` is a mean over rows.
    The model stays in training mode. ValueError if X is empty or y has another length.

    Which learning rate? Try values far apart. The loss in epochs 1, 4, 7 and 10:
    >>> X, y = _points(200, seed=0)
    >>> for lr in 1e-5, 1e-3, 1e-2, 1.0:
    ...     model, rng = MLP(10, [64, 64, 2], rng=0), np.random.default_rng(0)
    ...     optimizer = Adam(model.parameters(), lr)
    ...     losses = [train_epoch(model, optimizer, X, y, rng=rng) for _ in range(10)]
    ...     print(f"{lr:7}", *[f"{loss:6.2f}" for loss in losses[::3]])
      1e-05   0.69   0.69   0.69   0.69
      0.001   0.69   0.63   0.58   0.54
       0.01   0.72   0.39   0.15   0.04
        1.0 309.35   6.07   1.63   0.68

    Before training, each class gets about half of the probability, so the loss is about
    0.69, which is log 2 (log C for C classes). With too small a rate, nothing happens.
    With too large a rate, the loss leaps up in the first epoch, and ends at 0.68, as if
    untrained. To let the loss settle, shrink `optimizer.lr` at the end."""
    X, y = np.asarray(X), np.asarray(y)
    _require(len(X) == len(y) > 0, "X has {} rows, and y has {}", len(X), len(y))
    order, total = np.random.default_rng(rng).permutation(len(X)), 0.0
    model.train()
    for rows in np.array_split(order, math.ceil(len(X) / batch_size)):
        optimizer.zero_grad()
        batch_loss = loss(model(X[rows]), y[rows])
        batch_loss.backward()
        optimizer.step()
        total += batch_loss.item() * len(rows)
    return total / len(X)


def predict(model, X) -> np.ndarray:
    """The outputs of `model` for X, as an array: in evaluation mode, nothing recorded.
    Afterwards, every module is in its own mode again. (For Dropout, see chapter 14.)
    >>> model = Sequential(Dropout(), Dropout().eval())
    >>> predict(model, [1.0, 3.0]).tolist(), model[0].training, model[1].training
    ([1.0, 3.0], True, False)"""
    modes = [(module, module.training) for _, module in model._find(Module)]
    try:
        with no_grad():
            return model.eval()(X).data
    finally:
        for module, mode in modes:
            module.training = mode


# Try: batches of 1, 10 and 200. Which takes the fewest epochs, which the least time?
# ==== 13  Overfitting =================================================================
def _overfitting():
    """The loss is almost 0, but is the network good? We asked only about points that it
    has learned from. We need others, the validation data, from which it never learns:
    >>> train, validation, test = _points(200, 0), _points(1000, 1), _points(1000, 2)
    >>> def judge(model, X, y):                     # its loss and its accuracy
    ...     scores = predict(model, X)
    ...     right = (scores.argmax(axis=1) == y).mean()
    ...     return f"{cross_entropy(scores, y):8.2f} {right:.2f}"
    >>> def fit(model, data=train, epochs=40, weight_decay=0.0, show=()):
    ...     rng = np.random.default_rng(0)
    ...     optimizer = Adam(model.parameters(), 0.01, weight_decay=weight_decay)
    ...     for epoch in range(1, epochs + 1):
    ...         train_epoch(model, optimizer, *data, rng=rng)
    ...         if epoch in show:
    ...             print(f"{epoch:5}", judge(model, *data), judge(model, *validation))
    ...     return model

    Epoch; loss and accuracy on the training data; the same on the validation data:
    >>> _ = fit(MLP(10, [64, 64, 2], rng=1), show=(1, 4, 7, 10, 40))
        1     0.59 0.69     0.68 0.57
        4     0.31 0.90     0.58 0.70
        7     0.10 0.99     0.48 0.78
       10     0.04 1.00     0.56 0.77
       40     0.00 1.00     0.70 0.80

    It knows its 200 points by heart, and a fifth of its answers to new ones are wrong.
    This is overfitting: it has also found rules that hold only for these points. By
    epoch 40 its answers are a little better, but it has become certain of most of them,
    and being certain of a wrong one costs so much that the validation loss rises.

    What helps? Stopping early, at epoch 7; fewer neurons, which can remember less;
    Dropout (chapter 14), which disturbs their memory; weight decay, which shrinks
    weights that the data do not need; more data. The same figures, after 40 epochs:
    >>> def dropping(rng):
    ...     hidden = [Layer(10, 64, rng=rng), Dropout(0.5, rng), Layer(64, 64, rng=rng)]
    ...     return Sequential(*hidden, Dropout(0.5, rng), Layer(64, 2, None, rng=rng))
    >>> decayed = fit(MLP(10, [64, 64, 2], rng=1), weight_decay=0.01)
    >>> more = _points(800, 3)
    >>> for cure, model, data in [
    ...     ("8 neurons", fit(MLP(10, [8, 2], rng=1)), train),
    ...     ("Dropout", fit(dropping(np.random.default_rng(1))), train),
    ...     ("weight decay", decayed, train),
    ...     ("800 points", fit(MLP(10, [64, 64, 2], rng=1), more), more),
    ... ]:
    ...     print(f"{cure:12}", judge(model, *data), judge(model, *validation))
    8 neurons        0.28 0.92     0.52 0.74
    Dropout          0.16 0.98     0.43 0.81
    weight decay     0.05 1.00     0.31 0.87
    800 points       0.00 1.00     0.30 0.91

    All lower the validation loss. Weight decay and more data make fewer mistakes; the
    others hardly do, or make more, but are less certain of them. For our 200 points, we
    choose weight decay by its validation loss, which may flatter it. An honest figure
    needs test data, used once, after the choice:
    >>> print(judge(decayed, *test))
        0.33 0.86"""


# Try: other seeds, Dropout and weight decay together, and a weight decay of 0.1.
# ==== 14  Dropout and batch normalisation =============================================
# Two layers behave differently in training and in evaluation. Dropout switches each
# neuron off with probability p, so that none can rely on another, and learning by heart
# is of little use (Srivastava et al., 2014; their p is that of keeping). It divides the
# others by 1 - p, so later sums are on average as large as in evaluation.
class Dropout(Module):
    """In training, sets each element to 0 with probability `p`, anew in every call.
    >>> drop, x = Dropout(0.75, rng=0), np.ones(1000)
    >>> sorted({*drop(x).data.tolist()}), f"{drop(x).mean():.1f}", drop.eval()(x[:2])
    ([0.0, 4.0], '1.0', Tensor([1., 1.], op='constant'))"""

    def __init__(self, p=0.5, rng=None) -> None:
        _require(0 <= p <= 1, "p is a probability, not {}", p)
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x) -> Tensor:
        x = _tensor(x)
        if not self.training:
            return x
        kept = self.rng.random(x.shape, np.float32) >= self.p
        return x * (kept / ((1 - self.p) or 1)).astype(x.dtype)  # p = 1 keeps none


# Chapter 10 set the signal's size at the start; batch normalisation keeps it: each
# feature gets mean 0 and variance 1 over the batch, and two parameters can undo that
# where it does harm. (Ioffe and Szegedy, 2015, wanted to stop inputs drifting while
# earlier layers learn; Santurkar et al., 2018, credit a smoother loss, which allows
# larger steps.) But an answer must not depend on other rows, so evaluation uses running
# averages. Values lie closer to their own mean than to the true one, so n of them show
# on average (n - 1) / n of the true variance; the running average corrects for this.
class BatchNorm1d(Module):
    """gamma * (x - mean) / sqrt(variance + eps) + beta, over the rows of x (N, C).
    `momentum` is the weight of the new batch in the running averages, as in PyTorch.
    ValueError for a single row in training.
    >>> bn = BatchNorm1d(1, momentum=0.25, eps=7.0)
    >>> bn.gamma.data[:], bn.beta.data[:] = 4.0, 1.0
    >>> bn([[1.0], [7.0]]).data.tolist()                # 4 * (x - 4) / sqrt(9 + 7) + 1
    [[-2.0], [4.0]]
    >>> bn.running_mean.item(), bn.running_var.item()   # 0.25 * 4, 0.75 + 0.25 * 9 * 2
    (1.0, 5.25)
    >>> bn.eval()([[8.0]]).item(), gradcheck(BatchNorm1d(1), Tensor([[1.0], [3], [4]]))
    (9.0, True)"""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, dtype=None) -> None:
        zeros, ones = np.zeros(num_features, dtype), np.ones(num_features, dtype)
        self.gamma, self.beta, self.eps = Tensor(ones), Tensor(zeros), eps
        self.running_mean, self.running_var, self.momentum = zeros, ones, momentum

    def forward(self, x) -> Tensor:
        x, C = _tensor(x, self.gamma.dtype), self.gamma.size
        _require(x.shape[1:] == (C,), "BatchNorm1d({}) of shape {}", C, x.shape)
        if self.training:
            _require(len(x) > 1, "BatchNorm1d cannot train on one row: call eval()?")
            n, mean = len(x), x.mean(axis=0)
            centred = x - mean
            var = (centred * centred).mean(axis=0)
            self.running_mean += self.momentum * (mean.data - self.running_mean)
            unbiased = n / (n - 1) * var.data
            self.running_var += self.momentum * (unbiased - self.running_var)
        else:
            centred, var = x - self.running_mean, _tensor(self.running_var)
        return centred * (self.gamma / (var + self.eps).sqrt()) + self.beta


# Try: forget eval(). Let a network with Dropout answer the same question twice.
# ==== 15  If the loss does not fall ===================================================
#     the first loss is far      Are inputs about as large as 1? Subtract the training
#       from log C               data's mean, divide by its deviation, in new data too.
#     it does not move at all    Is a grad None or 0 everywhere? Does the optimizer have
#                                all parameters? Does the last layer have a ReLU?
#     it leaps or becomes nan    Does each step call zero_grad? Is lr too big? Gradients
#                                of long chains explode; to clip their norm to 1:
#                                  norm = sum((p.grad**2).sum() for p in params) ** 0.5
#                                  for p in params: p.grad /= max(norm, 1.0)
#     it falls too slowly        Can it learn ten examples by heart? If not, print them
#                                with their outputs, and look for a bug. If so, try lr,
#                                then more epochs, then more neurons.
#     it falls in training only  Chapter 13.
#     the answers stay bad       Was eval() called? Are new data prepared like the old?
# ==== 16  Attention: a network that writes ============================================
# How does a machine write? It reads some letters (or words or parts of words: tokens),
# gives each possible next one a score, writes the best, and reads again. The last
# letter alone does not say whether "s" begins "she", "sea" or "sells". It must look
# back. In attention (Vaswani et al., 2017), each place in the text has a query q, a key
# k and a value v, all vectors. If a query and a key point the same way, their product,
# a score, is large. Softmax turns a query's scores into weights, and the query's place
# gets the weighted mean of the values. A sum of C products is about sqrt(C) times as
# large as one (see chapter 10), so we divide by sqrt(C), or softmax would settle on one
# place at once. No place may look ahead, because it must learn to guess what is there.
def attention(q, k, v, causal=True) -> Tensor:
    """softmax(q k^T / sqrt(C)) v, for q (..., T, C), k (..., S, C), v (..., S, D).
    If `causal`, place t sees only the places 0 to t. With q = 0, all scores are equal:
    >>> q, k, v = np.zeros((3, 4)), np.zeros((3, 4)), [[1.0], [2.0], [6.0]]
    >>> attention(q, k, v).data.ravel().tolist()        # means of 1, of 1 and 2, of all
    [1.0, 1.5, 3.0]

    Scores of log 3 = (4 * 0.5 log 3) / sqrt(4) and 0 give weights of 3/4 and 1/4:
    >>> q, k = np.full((1, 4), 0.5), np.outer([np.log(3), 0.0], np.ones(4))
    >>> attention(q, k, np.eye(2), causal=False).data.round(9).tolist()
    [[0.75, 0.25]]"""
    q, k, v = _tensor(q), _tensor(k), _tensor(v)
    scores = q @ k.transpose(*range(k.ndim - 2), -1, -2) / math.sqrt(k.shape[-1])
    if causal:
        scores = scores + np.triu(np.full(scores.shape[-2:], -np.inf, scores.dtype), 1)
    return scores.softmax() @ v


def _writer():
    """A tongue-twister to learn: a row of X has eight letters, y the next after each.
    >>> text = "she sells sea shells by the sea shore. "
    >>> letters = sorted(set(text))
    >>> codes = np.array([letters.index(letter) for letter in text * 2])
    >>> windows = np.array([codes[i : i + 9] for i in range(len(text))])
    >>> X, y = windows[:, :-1], windows[:, 1:]          # (39, 8) each

    One table turns each of the 12 letters into 16 numbers; we add 16 from another, for
    its place. Attention adds what it finds earlier; an MLP gives the scores. A GPT
    alternates dozens of attentions and MLPs, and normalises in between. (One line is so
    short that equal weights for all places would do; a book needs attention.)
    >>> class Writer(Module):
    ...     def __init__(self, looks_back, rng):
    ...         shapes = (12, 16), (8, 16), (16, 16), (16, 16), (16, 16)
    ...         self.tables = [Tensor(rng.normal(0, 0.25, shape)) for shape in shapes]
    ...         self.mlp, self.looks_back = MLP(16, [32, 12], rng=rng), looks_back
    ...     def forward(self, x):                       # (N, T) -> (N, T, 12)
    ...         letter, place, Wq, Wk, Wv = self.tables
    ...         h = letter[x] + place[: x.shape[1]]
    ...         if self.looks_back:
    ...             h = h + attention(h @ Wq, h @ Wk, h @ Wv)
    ...         return self.mlp(h)

    It is still the machine of the first page, with 2,000 dials. After 200 steps, it
    reads "e. " and writes on, without attention, then with it. No loss can be below
    0.74 if only the last letter is seen (count what follows each), or 0.19 if all are.
    >>> for looks_back in False, True:
    ...     rng = np.random.default_rng(0)
    ...     writer, written = Writer(looks_back, rng), codes[36:39].tolist()
    ...     optimizer = Adam(writer.parameters(), lr=0.02)
    ...     for _ in range(200):
    ...         loss = train_epoch(writer, optimizer, X, y, batch_size=39, rng=rng)
    ...     for _ in range(38):
    ...         scores = predict(writer, np.array([written[-8:]]))
    ...         written.append(int(scores[0, -1].argmax()))
    ...     print(f"loss {loss:.2f}:", "".join(letters[code] for code in written[3:]))
    loss 0.74: she she she she she she she she she sh
    loss 0.19: she sells sea shells by the sea shore."""


######## Part IV  The small print ######################################################
@contextlib.contextmanager
def no_grad() -> Any:
    """Record nothing within the block, in this thread; chapter 4 has an example."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def _array(x, dtype=None):
    """`x` as an array. float32 and float64 arrays with axes keep theirs; all else takes
    the dtype of the Tensor it meets, so that np.float64(0.5) cannot widen float32."""
    if isinstance(x, Tensor):
        return x.data
    array = np.asarray(x)
    _require(array.dtype.kind in "biuf", "not numbers: {!r:.60}", x, error=TypeError)
    own = array.dtype.char in "fd" and array.ndim and not isinstance(x, (list, tuple))
    if own or dtype is None or dtype.kind != "f":
        dtype = np.float32 if array.dtype.char == "f" else np.float64
    return array.astype(dtype, copy=False)


def _tensor(x, dtype=None) -> Tensor:
    """`x` as a Tensor; numbers and arrays become constants, lists of Tensors stacks."""
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], Tensor):
        return stack(x)
    return x if isinstance(x, Tensor) else Tensor.from_op(_array(x, dtype), "constant")


# ---- Joining and choosing ------------------------------------------------------------
def stack(tensors, axis=0) -> Tensor:
    """Join tensors, arrays or numbers of one shape along a new axis."""
    # i=i keeps the current i; otherwise every lambda would use the last one.
    pairs = [(t, lambda g, i=i: g.take(i, axis)) for i, t in enumerate(tensors)]
    return Tensor.from_op(np.stack(_arrays(tensors), axis), "stack", *pairs)


def concatenate(tensors, axis=0) -> Tensor:
    """Join tensors or arrays end to end along an existing axis.
    >>> join = lambda a, b: concatenate([a[:, None], stack([a, b], 1), b[:, None]], 1)
    >>> gradcheck(join, Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    True"""
    arrays = _arrays(tensors)
    at = np.cumsum([array.shape[axis] for array in arrays[:-1]])
    both = [(t, lambda g, i=i: np.split(g, at, axis)[i]) for i, t in enumerate(tensors)]
    return Tensor.from_op(np.concatenate(arrays, axis), "concatenate", *both)


def where(condition, a, b) -> Tensor:
    """Elements of a where `condition`, an array, is True, else of b. A leaky ReLU:
    >>> x = Tensor([-4.0, 2.0])
    >>> where(x.data > 0, x, 0.25 * x).sum().backward()
    >>> x.grad.tolist()
    [0.25, 1.0]"""
    value, no = np.where(condition, *_arrays([a, b])), np.logical_not(condition)
    pairs = (a, lambda g: np.where(no, 0, g)), (b, lambda g: np.where(no, g, 0))
    return Tensor.from_op(value, "where", *pairs)


def _arrays(tensors):
    _require(isinstance(tensors, (list, tuple)), "not a list: {!r:.60}", tensors)
    dtypes = [t.dtype for t in tensors if isinstance(t, Tensor)]
    return [_array(t, np.result_type(*dtypes or [np.float64])) for t in tensors]


# ---- What Python and NumPy ask of a Tensor -------------------------------------------
def _repr(t):
    text = np.array2string(t.data, separator=", ", prefix="Tensor(")
    dtype = "" if t.dtype == np.float64 else f", dtype={t.dtype}"
    return f"Tensor({text}{dtype}{f', op={t.op!r}' if t.op else ''})"


def _as_array(t, dtype=None, copy=None):
    text = "a Tensor does not become an array: use t.data, t.item(), or minigrad.stack"
    _require(not t.requires_grad, text, error=TypeError)
    return np.array(t.data, dtype, copy=copy)


def _equal(t, other):  # only itself, so that a Tensor can be the key of a dict
    good = other is None or isinstance(other, Tensor)
    _require(good, "Tensors are not compared by value: use t.data", error=TypeError)
    return t is other


def _in_place(t, other):  # t -= x means t = t - x, a new Tensor that no optimizer knows
    lost = t.is_leaf and t.requires_grad and isinstance(other, (np.ndarray, np.generic))
    _require(not lost, "to change a parameter, write t.data -= ...", error=TypeError)
    return NotImplemented


def _reduce(t):  # a copy or pickle is a leaf: it keeps the numbers, not the graph
    return Tensor, (t.data, t.requires_grad), (None, {"grad": t.grad, "op": t.op})


# Set this way, they are hidden from type checkers, which would call X @ W an array.
_methods = {"repr": _repr, "reduce": _reduce, "eq": _equal, "array": _as_array}
_methods["format"] = lambda t, spec: format(t.item() if spec else repr(t), spec)
_methods |= dict.fromkeys(["iadd", "isub", "imul", "itruediv", "ipow"], _in_place)
for _name, _method in _methods.items():
    setattr(Tensor, f"__{_name}__", _method)
__dir__ = lambda: [*__all__, "__version__"]


# ---- What is inside a module ---------------------------------------------------------
def _members(x, name, found):
    """Fill `found` with {id: (name, member)} of Tensors, arrays and Modules in x."""
    if isinstance(x, (Tensor, np.ndarray, Module)):
        if id(x) in found or (isinstance(x, Tensor) and x.op):  # a result has an op
            return found
        found[id(x)] = name, x
    inside = vars(x) if isinstance(x, Module) or not name else x  # no name: the root
    inside = dict(enumerate(x)) if isinstance(x, (list, tuple)) else inside
    for key, child in inside.items() if isinstance(inside, dict) else ():
        _members(child, f"{name}.{key}".lstrip("."), found)
    return found


def _arrays_of(x):
    return {n: y.data if isinstance(y, Tensor) else y for n, y in x._find(x._saved)}


def _load(arrays, state):
    """If you save the optimizer, too, and restore settings such as `lr` and random
    generators yourself, training goes on as if it had never stopped.
    >>> model, adam = BatchNorm1d(1), Adam([Tensor(0.0)])
    >>> saved = model.state_dict(), adam.state_dict()
    >>> model.running_mean[:], adam.steps[:] = 9, 9
    >>> _ = model.load_state_dict(saved[0]), adam.load_state_dict(saved[1])
    >>> model.running_mean.tolist(), adam.steps.tolist()
    ([0.0], [0])"""
    ours = {(name, array.shape) for name, array in arrays.items()}
    theirs = {(name, np.shape(state[name])) for name in state}
    _require(ours == theirs, "this state does not fit: {}", sorted(ours ^ theirs))
    for name, array in arrays.items():
        array[...] = state[name]


def _describe(x):
    if isinstance(x, (list, tuple)):
        return f"[{', '.join(map(_describe, x))}]"
    if isinstance(x, (Module, Optimizer)):
        inside = [f"{n}={_describe(y)}" for n, y in vars(x).items() if n[0] != "_"]
        return f"{type(x).__name__}({', '.join(inside)})"
    return str(getattr(x, "__name__", getattr(x, "shape", x)))


def to_dot(tensor, names=None) -> str:
    """The graph behind `tensor` in the DOT language, without constants or large data.
    `names` is a dict {name: tensor}. `dot -Tsvg graph.dot -o graph.svg` draws it.
    >>> to_dot(Tensor(2.0) * Tensor(3.0)).count("->")   # two inputs, two arrows
    2"""
    called, lines = {id(t): name for name, t in dict(names or {}).items()}, []
    for t in tensor._gradients(np.zeros(tensor.shape)):
        rows = [f"{called.get(id(t), '')} {t.op}".strip(), str(t.shape)]
        rows += [f"data {t.data}", f"grad {t.grad}"] if t.size <= 4 else []
        label = r"\n".join(rows)
        lines.append(f'  n{t._age} [shape=box, label="{label}"]')
        lines += [f"  n{source._age} -> n{t._age}" for source, _ in t._inputs]
    return "\n".join(["digraph {", "  rankdir=LR", *lines, "}"])


# ---- Mistakes ------------------------------------------------------------------------
def _require(good, text, *values, error: Any = ValueError):
    if not good:  # (matmul and step raise without a call, which is faster)
        raise error(text.format(*values))


def _first_gradient(t, gradient):
    _require(t.requires_grad, "nothing here requires a gradient", error=RuntimeError)
    text = "shape {}: pass a gradient, or call .sum().backward()"
    _require(gradient is not None or t.data.size <= 1, text, t.shape)
    g = np.ones_like(t.data) if gradient is None else _array(gradient, t.dtype)
    _require(g.shape == t.shape, "a gradient {} for a tensor {}", g.shape, t.shape)
    return g


if sys.version_info < (3, 10) or int(np.__version__.split(".")[0]) < 2:
    raise ImportError("minigrad needs Python 3.10 and NumPy 2.0, or newer")
# Steps use the same large arrays again. On Linux, glibc returns free memory beyond a
# threshold to the system, and getting it again costs a page fault per 4 kB. Freeing
# 33 MB at once raises that threshold to 66 MB (mallopt(3), M_MMAP_THRESHOLD).
np.empty(33_000_000, np.uint8)

# ---- License -------------------------------------------------------------------------
# MIT License. Permission is hereby granted, free of charge, to any person obtaining a
# copy of this software and associated documentation files (the "Software"), to deal in
# the Software without restriction, including without limitation the rights to use,
# copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the
# Software, and to permit persons to whom the Software is furnished to do so, subject to
# the following conditions: The above copyright notice and this permission notice shall
# be included in all copies or substantial portions of the Software. THE SOFTWARE IS
# PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
# LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
# NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
# CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
# OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER
# DEALINGS IN THE SOFTWARE.

if __name__ == "__main__":
    import doctest

    print(results := doctest.testmod())
    raise SystemExit(results.failed > 0)
