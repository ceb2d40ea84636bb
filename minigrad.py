# minigrad 4.0.0. Copyright 2026 The minigrad authors. SPDX-License-Identifier: MIT
"""minigrad: how a neural network learns, in one file to read from top to bottom.

Here is a machine with two dials, w and b. For an input x it answers w * x + b, and it
should answer 1, 3 and 5 for the inputs 0, 1 and 2. Which way do we turn the dials?

First we need a number, the loss, that says how wrong the machine is. We square every
error and add the squares, so that errors of 2 and -2 cannot cancel, and one error of 4
counts more than four errors of 1.

Next we ask of each dial: if it were turned up a little, how fast would the loss rise?
That is the slope of the loss with respect to this dial. We turn every dial a little
against its slope, and the loss falls. We do it again and again, and the machine learns.
A neural network is such a machine with a million dials, called parameters. Their slopes
together are the gradient.

How can a computer find the slopes? It could turn one dial a little and run the machine
again, but a million dials take a million runs for a single step. There is a better way.
A calculation is made up of additions, products and exponentials, and each of them has a
derivative that you learned at school. Along a chain of operations, slopes multiply:

    y = x * x,  z = 3 * y        dz/dx = dz/dy * dy/dx = 3 * 2x

Where several chains lead from x to the loss, their products add, because a small change
of x reaches the loss along every chain, and small changes add up.

So we record every operation. Numbers and the operations between them form a graph, and
we walk through it and multiply slopes. In which direction? A walk forwards finds the
effect of one parameter on everything, so a million parameters need a million walks. A
walk backwards finds the effect of everything on the one loss, so a single walk is
enough. It takes about as long as two runs (a product of two inputs needs two products
on the way back), and the values of the forward run must stay in memory.

This is reverse-mode differentiation (Linnainmaa, 1970), called backpropagation in
neural networks (Rumelhart, Hinton and Williams, 1986).

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
shares? We always take the newest of the waiting numbers. Whatever comes later in the
walk is waiting, too, or was used to make one that waits. So it is older: it cannot have
used our number, and it has no share for it.

Only `backward` changes, and every number notes its age:

>>> class Number:
...     made = 0                                    # how many there are
...     def __init__(self, data, *inputs):
...         self.data, self.inputs, self.grad = data, inputs, 0.0
...         Number.made += 1
...         self.age = Number.made
...     def __add__(a, b): return Number(a.data + b.data, (a, 1.0), (b, 1.0))
...     def __mul__(a, b): return Number(a.data * b.data, (a, b.data), (b, a.data))
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

This is the idea at the heart of every deep-learning library. The rest of the file makes
it fast, puts networks together with it, and trains them:

    Part I    The engine: 1 Tensors, 2 arithmetic, 3 the walk backwards, 4 the bare
              training loop, 5 matrices, sums and shapes, 6 activations, 7 a first
              network, 8 softmax and losses, 9 checking gradients
    Part II   Networks: 10 neurons, layers, networks, 11 the first weights,
              12 layers that know whether they train, 13 SGD, momentum and Adam
    Part III  Training: 14 the training loop, 15 overfitting, 16 a checklist,
              17 attention, and a network that writes
    Part IV   The small print: what Parts I to III use and need not explain

Small helpers, such as `_tensor` and `_require`, stand in Part IV. On a first reading,
skip whatever is marked as small print, and chapter 9. Chapters 5 and 8 are the
steepest. If you run out of breath, go on, and come back later.

Examples begin with >>>. To type them yourself, start Python in this file's folder:

    import numpy as np
    from minigrad import *
    from minigrad import _points    # needed from chapter 12 on

Running this file checks them all. A long example is the docstring of a function of its
own, such as `_bare_loop`, which has no other code. Our notation:

    a, b     the arrays of an operation's inputs
    g        the gradient of the loss with respect to an operation's output
    N, C     the number of examples; the number of features or classes
    (N, C)   the shape of an array; # (N, C) -> (N,) shows how it changes

Other names follow PyTorch or NumPy where they can. GPUs, convolutions and gradients of
gradients are left out. You may copy the file; it needs only NumPy.

Try: give Number a tanh, whose slope is 1 - tanh(x)**2. Let tanh(w * x) learn the points
x = 1 and 2, y = tanh(1) and tanh(2), from w = 0.5 with steps of 0.1. You are done when
w is 0.9999 after 200 steps.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import math
import sys
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

__version__ = "4.0.0"
__all__ = ["Tensor", "no_grad", "stack", "concatenate", "where", "cross_entropy",
           "mse_loss", "gradcheck", "to_dot", "Module", "Neuron", "Layer", "Sequential",
           "MLP", "Dropout", "BatchNorm1d", "Optimizer", "SGD", "Adam", "train_epoch",
           "predict", "attention"]  # fmt: skip


######## Part I  The engine ############################################################

# ==== 1  Tensors ======================================================================

# What changes if a number becomes an array? Take y = x * x for x = [1, 2, 3]. Each of
# three results might depend on each of three inputs, so there are nine slopes:
#
#     2 0 0
#     0 4 0
#     0 0 6
#
# For a million numbers, this table (the Jacobian) would have a million rows and
# columns. But the walk only multiplies it by the arriving gradient g, and here the
# product is g * [2, 4, 6], or g * 2 * x, as short as the derivative at school. Each
# operation in this file has such a formula, so nobody needs the table.
#
# So where a Number kept a slope, a Tensor keeps a function, called the vjp (for
# vector-Jacobian product: the gradient is the vector). One sentence carries the whole
# file:
#
#     An operation is its value and, for every input, a function that turns the gradient
#     of the output into a share of the gradient of that input.
#
# Two things differ from Number: `data` is an array, and `_inputs` holds functions
# instead of slopes. `_age` is as it was.

_recording = contextvars.ContextVar("recording", default=True)  # no_grad() sets it
_ages = itertools.count()


class Tensor:
    """An array that remembers how it was computed, so that it can be differentiated.

    `data` is a number, a nested list or an array of any shape. It is copied. float32
    stays float32, and everything else becomes float64. TypeError if it holds no
    numbers.

    `requires_grad` says whether `backward` should compute its gradient. It is True
    unless you say otherwise (in PyTorch it is False): plain arrays serve as constants.

    >>> t = Tensor([[1, 2, 3], [4, 5, 6]])
    >>> t.shape
    (2, 3)
    >>> str(t.dtype)
    'float64'
    >>> Tensor(np.float32(0.5)) / 2
    Tensor(0.25, dtype=float32, op='/')

    A Tensor that you make is a leaf, because it has no inputs. A result has inputs:

    >>> t.is_leaf
    True
    >>> t.sum().is_leaf
    False

    `grad` is None at first. `backward` sets it to an array of the same shape. It is a
    plain array, so a loss made of it learns nothing: there are no second derivatives.
    """

    __slots__ = ("data", "grad", "requires_grad", "op", "_inputs", "_age",
                 "__weakref__")  # fmt: skip

    def __init__(self, data, requires_grad=True) -> None:
        self.data: np.ndarray = np.array(_array(data))
        self.grad: Any = None
        self.requires_grad = requires_grad
        self.op = ""
        self._inputs: list = []
        self._age = next(_ages)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.data.dtype

    @property
    def is_leaf(self) -> bool:
        """True if it has no inputs, because you made it or it is a constant."""
        return not self._inputs

    @staticmethod
    def from_op(value, op, *pairs) -> Tensor:
        """Make the result of an operation from its value and its vjps.

        Every operation below ends with it, and so can yours. `value` is the array that
        was computed, `op` a name for it. Then come the pairs (tensor, vjp), one
        argument for each input. An input that is a number or an array is a constant:
        its vjp is neither kept nor called.

        The sine has the slope cos(a), so the share is g * cos(a):

        >>> def sin(x):
        ...     a = x.data
        ...     return Tensor.from_op(np.sin(a), "sin", (x, lambda g: g * np.cos(a)))
        >>> x = Tensor([0.0, np.pi])
        >>> sin(x).sum().backward()
        >>> x.grad.tolist()                         # cos(0) and cos(pi)
        [1.0, -1.0]

        The lambda is not called now. It keeps `a` until the walk comes back with g.

        Two rules hold for a vjp. It must not change g, because others may hold it. And
        it may keep arrays, such as `a` or the value, but never the resulting Tensor:
        each would hold the other, and Python does not free such a circle at once.
        """
        out = Tensor.__new__(Tensor)  # without __init__, which copies the data
        out.data = np.asarray(value)
        out.grad = None
        out.op = op
        out._inputs = []
        if _recording.get():
            for tensor, vjp in pairs:
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    out._inputs.append((tensor, vjp))
        out.requires_grad = bool(out._inputs)
        out._age = next(_ages)
        return out

    # Try: the cube with `from_op`. Its slope is 3 a^2, so at 2 the grad should be 12.

    # ==== 2  Arithmetic ===============================================================

    # We write an operation like a row in a table of derivatives: the value, then a vjp
    # for every input. From here on, look only for what differs from row to row.

    def __add__(self, other) -> Tensor:
        a, b, other = self._operands(other)
        return Tensor.from_op(a + b, "+", (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other) -> Tensor:
        a, b, other = self._operands(other)
        return Tensor.from_op(a - b, "-", (self, lambda g: g), (other, lambda g: -g))

    def __neg__(self) -> Tensor:
        return Tensor.from_op(-self.data, "neg", (self, lambda g: -g))

    def __mul__(self, other) -> Tensor:
        a, b, other = self._operands(other)
        pairs = (self, lambda g: g * b), (other, lambda g: g * a)
        return Tensor.from_op(a * b, "*", *pairs)

    def __truediv__(self, other) -> Tensor:
        a, b, other = self._operands(other)
        value = a / b  # the slope in b is -a / b**2, which is -value / b
        pairs = (self, lambda g: g / b), (other, lambda g: -g * value / b)
        return Tensor.from_op(value, "/", *pairs)

    def __pow__(self, other) -> Tensor:
        """x^y, with the slopes y x^(y-1) in x and x^y log(x) in y.

        >>> x = Tensor(2.0)
        >>> y = Tensor(3.0)
        >>> (x**y).backward()
        >>> x.grad.item()                           # 3 * 2**2
        12.0
        >>> round(y.grad.item(), 3)                 # 2**3 * log(2)
        5.545

        Where the formulas meet an infinity, at x**0 and 0**y, the slope is taken as 0:

        >>> x = Tensor(0.0)
        >>> (x**0 + x**3).backward()
        >>> x.grad.item()
        0.0
        """
        a, b, other = self._operands(other)
        value = _power(a, b)
        vjp_a = lambda g: g * b * _power(a, np.where(b == 0, 0, b - 1))
        vjp_b = lambda g: g * value * np.log(np.where((a == 0) & (b >= 0), 1, a))
        return Tensor.from_op(value, "**", (self, vjp_a), (other, vjp_b))

    # For 2 - x, Python first asks 2, which knows nothing of Tensors. Then it asks x, by
    # calling x.__rsub__(2):

    def __rsub__(self, other) -> Tensor:
        return _tensor(other, self.dtype) - self

    def __rtruediv__(self, other) -> Tensor:
        return _tensor(other, self.dtype) / self

    def __rpow__(self, other) -> Tensor:
        return _tensor(other, self.dtype) ** self

    def __rmatmul__(self, other) -> Tensor:
        return _tensor(other, self.dtype) @ self

    __radd__ = __add__
    __rmul__ = __mul__
    __array_ufunc__ = None  # so that NumPy leaves X - x and X @ W to us

    def _operands(self, other):
        """The arrays of self and other, and other as a Tensor.

        A number or a list takes the dtype of self, so that float32 stays float32. A
        list may hold Tensors.
        """
        if not isinstance(other, Tensor):
            other = _tensor(other, self.data.dtype)
        return self.data, other.data, other

    # There is a catch. NumPy stretches, or broadcasts, arrays to a common shape. In a
    # column (2, 1) times a row (3,), each number of the column is used three times, and
    # each of the row twice, so the shares g * b and g * a have shape (2, 3) and do not
    # fit.
    #
    # But the shares of a number that was used several times add up. All shares of one
    # number lie along the stretched axes. So one function sums over these, for all
    # operations. The walk will call it. (`np.add.reduce` is what `sum` calls; it is
    # faster on small arrays.)

    @staticmethod
    def _unbroadcast(share, shape, op):
        """Sum `share` down to `shape`, its tensor's, which undoes broadcasting.

        ValueError if it does not fit even then, because `op` has a wrong vjp.

        >>> column = Tensor([[1.0], [2.0]])
        >>> row = Tensor([3.0, 4.0, 5.0])
        >>> (column * row).sum().backward()
        >>> column.grad.tolist()                    # 3 + 4 + 5, twice
        [[12.0], [12.0]]
        >>> row.grad.tolist()                       # 1 + 2, three times
        [3.0, 3.0, 3.0]
        """
        total = share
        while total.ndim > len(shape):
            total = np.add.reduce(total)  # over the first axis, which the tensor lacks
        for axis in range(total.ndim):
            if shape[axis] == 1:
                total = np.add.reduce(total, axis, keepdims=True)
        if total.shape != shape:
            raise ValueError(f"the vjp of {op} made {share.shape} for an input {shape}")
        return total

    # Try: which shape has Tensor([[1.0], [2.0]]) + Tensor([3.0, 4.0, 5.0]), and how
    # often is each number used? Call .sum().backward(). You are right if the grads say
    # 3 and 2.

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
    # 3 that comes straight from c. When the 2 arrived by way of a + 1, a would have to
    # go again, and x after it: two visits in place of one. In a chain of such detours,
    # the visits double at each. So a + 1, the newer, goes first.
    #
    # Can a go too early? As long as a share for a is missing, a tensor on the path of
    # that share is waiting. It is newer than a, so it goes first. "Newest first" is
    # what books call a reverse topological order: each tensor comes after everything
    # computed from it.
    #
    # The code is the first page's, with three differences. A heap finds the newest
    # without scanning them all; heapq finds the smallest, so ages are negative.
    # Shares are arrays, which a helper adds up. And gradients are gathered in
    # `finished`, so that an error on the way changes nothing.

    def _gradients(self, gradient, inner=True):
        """Walk back from self; return {tensor: gradient}, of all or of leaves only."""
        waiting = {self: gradient}  # the sum of each tensor's shares
        heap = [(-self._age, self)]  # the same tensors, the newest first
        owned = set()  # for the helper, below
        finished = {}
        while heap:
            newest = heappop(heap)[1]
            g = waiting.pop(newest)
            if inner or not newest._inputs:
                finished[newest] = g
            for tensor, vjp in newest._inputs:
                if tensor not in waiting:
                    heappush(heap, (-tensor._age, tensor))
                Tensor._add_share(waiting, owned, tensor, vjp(g), newest.op)
        return finished

    def backward(self, gradient=None, inner=True) -> None:
        """Compute the gradients of this Tensor and store them in `grad`.

        `gradient` is where the walk starts, an array of this Tensor's shape. It may be
        left out if there is a single element, as in a loss; then it is 1. If `inner` is
        False, only leaves get a `grad`, which saves memory, and training needs no more.

        A leaf adds its gradient to what is there, so those of several calls add up. Set
        `grad` to None to start afresh. Inner tensors keep the latest, to look at:

        >>> x = Tensor(1.0)
        >>> a = 2 * x
        >>> c = (a + 1) * a
        >>> for _ in range(2):
        ...     c.backward()
        ...     print(c.grad, a.grad, x.grad)
        1.0 5.0 10.0
        1.0 5.0 20.0

        A leaf's `grad` is an array of its own, although x + y hands both the same g:

        >>> x = Tensor(0.0)
        >>> y = Tensor(0.0)
        >>> (x + y).backward()
        >>> x.grad += 7
        >>> y.grad.item()
        1.0

        ValueError if there are several elements and no `gradient`, or one of another
        shape. RuntimeError if nothing that led here requires a gradient.
        """
        gradients = self._gradients(_first_gradient(self, gradient), inner)
        for tensor, g in gradients.items():
            if tensor.grad is not None and not tensor._inputs:
                g = g + tensor.grad
            tensor.grad = np.asarray(g)

    # Try: in the first page's second Number, write min for max. The gradients stay
    # right, but count the visits. From y = Number(0.5), after ten times
    # y = (y + y) * y, there should be 3070 of them, not 21.

    # ---- Small print: how shares are added up (skip to chapter 4) --------------------

    # The first share is kept as it came, which costs nothing. But x + y hands the same
    # g to both inputs, so we must not add to it in place. The second share makes a new
    # array, which only the walk holds: it owns the sum. Later shares are added to that
    # in place. A leaf keeps its gradient, so it gets an array of its own at once.

    @staticmethod
    def _add_share(waiting, owned, tensor, share, op):
        """Add `share` to waiting[tensor]; `owned` holds the tensors whose sum is ours.

        A Tensor that is used three times gets all three shares:

        >>> x = Tensor(1.0)
        >>> (x + x + x).backward()
        >>> x.grad.item()
        3.0

        Here the last sum hands one array to s and to `shared`, and s hands it on, to
        `shared` and to y. If the share from s were added to it in place, y would get
        the sum as well:

        >>> x = Tensor(1.0)
        >>> y = Tensor(1.0)
        >>> shared = x * 1
        >>> s = shared + y * 1
        >>> (s + shared).backward()
        >>> x.grad.item()
        2.0
        >>> y.grad.item()
        1.0
        """
        if isinstance(share, tuple):
            Tensor._add_part(waiting, owned, tensor, *share)
            return
        if share.shape != tensor.data.shape:
            share = Tensor._unbroadcast(share, tensor.data.shape, op)
        if tensor in owned:
            waiting[tensor] += share
        elif tensor in waiting:
            waiting[tensor] = np.asarray(waiting[tensor] + share)
            owned.add(tensor)
        elif tensor._inputs:
            waiting[tensor] = share
        else:
            waiting[tensor] = np.array(share, tensor.data.dtype)
            owned.add(tensor)

    # A slice such as x[3] has a share for a part of x alone. If it came as a whole
    # array, with zeros elsewhere, a loop over a thousand rows would fill a million rows
    # with zeros. So its vjp returns a part (where, what), which we add in its place.

    @staticmethod
    def _add_part(waiting, owned, tensor, where, part):
        """Add a part of a share where it belongs.

        `where` is an index, as a tuple, or an array of places in the flattened array.

        >>> x = Tensor([1.0, 2.0, 3.0])
        >>> (x.sum() + x[0] + x[1:].sum() + x[[2, 2]].sum()).backward()
        >>> x.grad.tolist()
        [2.0, 2.0, 4.0]
        """
        if tensor not in owned:
            whole = np.zeros(tensor.data.shape, tensor.data.dtype)
            if tensor in waiting:
                whole += waiting[tensor]
            waiting[tensor] = whole
            owned.add(tensor)
        if not isinstance(where, np.ndarray):
            waiting[tensor][where] += part
            return
        # += would add to a repeated place once. reshape(-1) must not make a copy.
        waiting[tensor] = np.asarray(waiting[tensor], order="C")
        np.add.at(waiting[tensor].reshape(-1), where.ravel(), part.ravel())

    # ==== 4  The bare training loop ===================================================

    def _bare_loop(self):
        """We can already fit the line of the first page, with all points in one array.

        >>> x = np.array([0.0, 1.0, 2.0])
        >>> y = np.array([1.0, 3.0, 5.0])
        >>> w = Tensor(0.0)
        >>> b = Tensor(0.0)
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

        Forwards, backwards, downhill: this is all of training. The 0.1 is called the
        learning rate.

        A slope speaks of one parameter, moved alone. May we move all at once? Yes, if
        the step is small: from close by, the loss looks like a plane, and on a plane
        the effects of several moves add up.

        `w.data` is a plain array, and nobody notices when it changes. That is what a
        step needs. But between forwards and backwards it gives wrong gradients:

        >>> x = Tensor([1.0, 2.0])
        >>> loss = (x * x).sum()
        >>> x.data -= 1
        >>> loss.backward()
        >>> x.grad.tolist()                         # of the new x; 2 and 4 are right
        [0.0, 2.0]

        So change it in place only after `backward`, and likewise an array that served
        as a constant. Writing `x.data = x.data - 1` is safe at any time, because the
        graph keeps the old array.

        To collect losses, write `losses.append(loss.item())`. The loss itself would
        keep its whole graph alive, with all its arrays.
        """

    def item(self) -> float:
        """The only element as a float, without its graph; `float(t)` is the same.

        ValueError if there are several elements.

        >>> (Tensor(2.0) * 3).item()
        6.0
        """
        return self.data.item()

    def detach(self) -> Tensor:
        """The same array as a constant, so that gradients stop here.

        >>> x = Tensor(3.0)
        >>> (x * x.detach()).backward()             # the second x counts as a 3
        >>> x.grad.item()
        3.0

        Where nobody will ask for gradients, `no_grad` records nothing at all, which
        saves memory and time:

        >>> with no_grad():
        ...     y = x * x
        >>> y.requires_grad
        False
        """
        return Tensor.from_op(self.data, "detach")

    # Try: learning rates of 0.01, 0.13 and 0.15 in the bare loop. The last loss should
    # be 1e-04, 8e-25 and 3e+25.

    # ==== 5  Matrices, sums, shapes ===================================================

    # Which operation takes most of a large network's time? The matrix product. A B is A
    # applied to each column of B: row i of A and column j of B meet in one number,
    #
    #     Y[i, j] = A[i, 0] B[0, j] + A[i, 1] B[1, j] + ...
    #
    # This is the steepest climb of Part I, and it is short. Begin with numbers. In
    #
    #     [1 2] [3]  =  1 * 3 + 2 * 4  =  11
    #           [4]
    #
    # the 1 is multiplied by 3, so that is its slope, and if the 11 has the gradient 2,
    # the 1 gets 2 * 3. Now take one entry of any matrix, A[i, k]. It affects only row i
    # of Y. In Y[i, j] it is multiplied by B[k, j], and if Y has the gradient G,
    #
    #     the gradient of A[i, k] is G[i, 0] B[k, 0] + G[i, 1] B[k, 1] + ...
    #
    # Row i of G meets row k of B, which is column k of B transposed. So this, too, is a
    # matrix product. The other input goes the same way:
    #
    #     A is (n, p), B is (p, m)            Y and G are (n, m)
    #     the gradient of A is G B^T          (n, m) (m, p) -> (n, p)
    #     the gradient of B is A^T G          (p, n) (n, m) -> (p, m)
    #
    # If you ever forget where the transpose goes, take A and B that are not square:
    # only one order fits.

    def __matmul__(self, other) -> Tensor:
        """The matrix product, in all cases of `np.matmul`.

        >>> A = Tensor([[1.0, 2.0]])
        >>> B = Tensor([[3.0], [4.0]])
        >>> Y = A @ B                               # (1, 2) @ (2, 1) -> (1, 1)
        >>> Y.item()                                # 1 * 3 + 2 * 4
        11.0
        >>> Y.backward([[2.0]])
        >>> A.grad.tolist()                         # 2 * B^T
        [[6.0, 8.0]]
        >>> B.grad.tolist()                         # A^T * 2
        [[2.0], [4.0]]

        ValueError if the shapes do not fit.
        """
        a, b, other = self._operands(other)
        if a.ndim == 2 and b.ndim == 2 and a.shape[1] == b.shape[0]:
            value = a @ b
            vjp_a = lambda g: g @ b.T
            vjp_b = lambda g: a.T @ g
        else:  # vectors, and batches of matrices: small print
            value, vjp_a, vjp_b = _product(a, b)
        return Tensor.from_op(value, "@", (self, vjp_a), (other, vjp_b))

    # After the climb, easy ground. A sum has slope 1 in each of its numbers, so each
    # gets the gradient of the sum that it went into.

    def sum(self, axis=None, keepdims=False) -> Tensor:
        """The sum over `axis`: an int, a tuple of ints, or None for all axes.

        With `keepdims`, the axes that were summed stay, with length 1.

        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.sum(axis=1).data.tolist()
        [3.0, 7.0]
        >>> (x.sum(axis=1) * [1.0, 5.0]).sum().backward()
        >>> x.grad.tolist()
        [[1.0, 1.0], [5.0, 5.0]]
        """
        a = self.data
        kept = a.sum(axis=axis, keepdims=True)
        vjp = lambda g: np.full(a.shape, g.reshape(kept.shape))
        value = kept if keepdims else kept.squeeze(axis)
        return Tensor.from_op(value, "sum", (self, vjp))

    def mean(self, axis=None, keepdims=False) -> Tensor:
        """The mean over `axis`; arguments are as for `sum`.

        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.mean(axis=0).data.tolist()
        [2.0, 3.0]
        >>> x.mean().backward()
        >>> x.grad.tolist()
        [[0.25, 0.25], [0.25, 0.25]]
        """
        total = self.sum(axis, keepdims)
        count = self.size // max(total.size, 1)  # the numbers in each sum
        return total / count

    # The largest number alone decides, so it gets the whole gradient; ties split it.

    def max(self, axis=None, keepdims=False) -> Tensor:
        """The largest element along `axis`; arguments are as for `sum`.

        >>> x = Tensor([[7.0, 1.0], [7.0, 2.0]])
        >>> x.max(axis=0).data.tolist()
        [7.0, 2.0]
        >>> (x.max(axis=0) * [4.0, 6.0]).sum().backward()
        >>> x.grad.tolist()                         # 4 is split, 6 is not
        [[2.0, 0.0], [2.0, 6.0]]
        """
        a = self.data
        kept = a.max(axis=axis, keepdims=True)
        value = kept if keepdims else kept.squeeze(axis)
        largest = (a == kept).astype(a.dtype)  # 1 at each of the largest, else 0
        shares = largest / largest.sum(axis, keepdims=True)
        vjp = lambda g: g.reshape(kept.shape) * shares
        return Tensor.from_op(value, "max", (self, vjp))

    def min(self, axis=None, keepdims=False) -> Tensor:
        """The smallest element along `axis`; arguments are as for `sum`.

        >>> Tensor([[7.0, 1.0], [5.0, 2.0]]).min(axis=1).data.tolist()
        [1.0, 2.0]
        """
        return -(-self).max(axis, keepdims)

    # The next ones only move numbers. Their vjps move the gradients back. (From here to
    # chapter 6, it is enough to read the examples.)

    def reshape(self, *shape) -> Tensor:
        """The same elements in another shape; -1 stands for whatever is left.

        >>> x = Tensor([1.0, 2.0, 3.0, 4.0])
        >>> y = x.reshape(2, -1)
        >>> y.data.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        >>> y.backward([[5.0, 6.0], [7.0, 8.0]])
        >>> x.grad.tolist()
        [5.0, 6.0, 7.0, 8.0]
        """
        a = self.data
        value = a.reshape(*shape)
        return Tensor.from_op(value, "reshape", (self, lambda g: g.reshape(a.shape)))

    def transpose(self, *axes) -> Tensor:
        """The axes in another order, as in NumPy; reversed if none is given.

        >>> x = Tensor(np.zeros((2, 3, 4)))
        >>> y = x.transpose(1, 2, 0)
        >>> y.shape
        (3, 4, 2)
        >>> y.sum().backward()
        >>> x.grad.shape
        (2, 3, 4)
        """
        value = self.data.transpose(*axes)
        back = None  # reversed twice, the axes are as before
        if axes:
            # axes[i] says where axis i came from, argsort where each went: (1, 2, 0) is
            # undone by (2, 0, 1).
            back = np.argsort(np.ravel(axes) % self.ndim)
        return Tensor.from_op(value, "transpose", (self, lambda g: g.transpose(back)))

    @property
    def T(self) -> Tensor:
        """The transpose, with all axes reversed.

        >>> Tensor(np.zeros((2, 3, 4))).T.shape
        (4, 3, 2)
        """
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """Each matrix transposed: the last two axes swapped, as in NumPy.

        ValueError if there are fewer than two axes.

        >>> Tensor(np.zeros((2, 3, 4))).mT.shape
        (2, 4, 3)
        """
        return self.transpose(*range(self.ndim - 2), -1, -2)

    def __getitem__(self, index) -> Tensor:
        """`t[index]`, with every index that NumPy takes.

        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> x[1:, 0].data.tolist()
        [3.0, 5.0]
        >>> x[1:, 0].backward([10.0, 20.0])
        >>> x.grad.tolist()
        [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]

        An element that is picked twice gets both gradients. So a table of rows, called
        an embedding, can be trained:

        >>> table = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> table[[0, 2, 0]].sum().backward()       # row 0 twice, row 1 never
        >>> table.grad.tolist()
        [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
        """
        a = self.data
        value = a[index]
        # Not to fill arrays with zeros, these vjps return a part of a share: where, and
        # what. The walk adds it there.
        if isinstance(value, np.ndarray) and not np.may_share_memory(value, a):
            # Picked by a list or an array, an element may come twice.
            vjp = lambda g: (_places(a.shape, index), g)
        else:  # an element or a slice; index_exp makes the index a tuple
            vjp = lambda g: (np.index_exp[index], g)
        return Tensor.from_op(value, "[]", (self, vjp))

    # Try: write np.cumsum with `from_op`, for a vector. Which outputs does each number
    # take part in? You are done when gradcheck (chapter 9) passes:
    # gradcheck(lambda x: cumsum(x) * [1.0, 2.0, 4.0], Tensor([3.0, 1.0, 5.0])).

    # ==== 6  Activations ==============================================================

    # Are matrix products enough for a network? No: (x @ A + a) @ B + b is x @ C + c for
    # some C and c. However many we stack, they can do no more than one, and one draws
    # only straight lines and flat planes. To bend them, we put a nonlinear function in
    # between, the activation.
    #
    # The first four are school mathematics. Some vjps use the value, which is at hand:
    # e^x is its own slope, and sqrt(x) has the slope 1 / (2 sqrt(x)).

    def exp(self) -> Tensor:
        """e to the power of each element.

        >>> x = Tensor(0.0)
        >>> x.exp().backward()
        >>> x.grad.item()
        1.0
        """
        value = np.exp(self.data)
        return Tensor.from_op(value, "exp", (self, lambda g: g * value))

    def log(self) -> Tensor:
        """The natural logarithm of each element.

        >>> x = Tensor(4.0)
        >>> x.log().backward()
        >>> x.grad.item()
        0.25
        """
        a = self.data
        return Tensor.from_op(np.log(a), "log", (self, lambda g: g / a))

    def sqrt(self) -> Tensor:
        """The square root of each element; its slope at 0 is infinite.

        >>> x = Tensor(4.0)
        >>> x.sqrt().backward()
        >>> x.grad.item()
        0.25
        """
        value = np.sqrt(self.data)
        return Tensor.from_op(value, "sqrt", (self, lambda g: g / (2 * value)))

    def abs(self) -> Tensor:
        """The absolute value of each element; its slope at 0 is taken as 0.

        >>> x = Tensor([-3.0, 0.0, 3.0])
        >>> x.abs().sum().backward()
        >>> x.grad.tolist()
        [-1.0, 0.0, 1.0]
        """
        a = self.data
        return Tensor.from_op(np.abs(a), "abs", (self, lambda g: g * np.sign(a)))

    def relu(self) -> Tensor:
        """max(x, 0), the rectified linear unit; its slope at 0 is taken as 0.

        >>> x = Tensor([-3.0, 0.0, 3.0])
        >>> x.relu().data.tolist()
        [0.0, 0.0, 3.0]
        >>> x.relu().sum().backward()
        >>> x.grad.tolist()
        [0.0, 0.0, 1.0]
        """
        value = np.maximum(self.data, 0)
        return Tensor.from_op(value, "relu", (self, lambda g: g * (value > 0)))

    def tanh(self) -> Tensor:
        """The hyperbolic tangent: an S-shaped curve from -1 to 1, with slope 1 at 0.

        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> x.tanh().data.tolist()
        [-1.0, 0.0, 1.0]
        >>> x.tanh().sum().backward()
        >>> x.grad.tolist()                         # 1 - tanh**2
        [0.0, 1.0, 0.0]
        """
        value = np.tanh(self.data)
        return Tensor.from_op(value, "tanh", (self, lambda g: g * (1 - value * value)))

    # Another S-shaped curve is 1 / (1 + e^-x). At x = -1000 it asks for e^1000, which
    # overflows. The same curve is e^x / (1 + e^x), which fails at x = 1000 instead. So
    # each half of the axis uses the form that contains only e^-|x|:
    #
    #     x >= 0:  1 / (1 + e^-|x|)          x < 0:  e^-|x| / (1 + e^-|x|)
    #
    # In the code, e is e^-|x|, and (a >= 0) counts as 1 or 0. The larger of the two is
    # the numerator: 1 on the right, e on the left. The slope is e / (1 + e)^2 on either
    # side.

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x): an S-shaped curve from 0 to 1, with slope 1/4 at 0.

        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> with np.errstate(over="raise"):         # an overflow would be an error
        ...     x.sigmoid().data.tolist()
        [0.0, 0.5, 1.0]
        >>> x.sigmoid().sum().backward()
        >>> x.grad.tolist()
        [0.0, 0.25, 0.0]
        """
        a = self.data
        e = np.exp(-np.abs(a))
        value = np.maximum(e, a >= 0) / (1 + e)
        return Tensor.from_op(value, "sigmoid", (self, lambda g: g * e / (1 + e) ** 2))

    # Try: softplus, log(1 + e^x), with `from_op`. You are done when it is 1000 at 1000,
    # 0 at -1000, and has the slope 1/2 at 0. (np.logaddexp helps.)

    # ==== 7  A first network ==========================================================

    def _by_hand(self):
        """We have all that a network needs: two matrices with a ReLU between them.

        Exclusive or is 1 if exactly one of two inputs is 1. No line has (0, 1) and
        (1, 0) on one side and (0, 0) and (1, 1) on the other, so no single matrix can
        do it:

        >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> y = np.array([0.0, 1.0, 1.0, 0.0])

        Nothing below is new. It is the bare loop with four parameters, which begin at
        random. The four points are the rows of X, and each of eight columns of A looks
        at them in its own way:

        >>> rng = np.random.default_rng(0)
        >>> A = Tensor(rng.normal(size=(2, 8)))
        >>> a = Tensor(np.zeros(8))
        >>> B = Tensor(rng.normal(size=8))
        >>> b = Tensor(0.0)
        >>> for step in range(301):
        ...     hidden = (X @ A + a).relu()                     # (4, 2) -> (4, 8)
        ...     answer = hidden @ B + b                         # (4, 8) -> (4,)
        ...     loss = ((answer - y) ** 2).mean()
        ...     for t in A, a, B, b:
        ...         t.grad = None
        ...     loss.backward()
        ...     for t in A, a, B, b:
        ...         t.data -= 0.1 * t.grad
        ...     if step in (0, 10, 30, 300):
        ...         print(f"{step:4} {loss:.3f}", answer.data.round(2).tolist())
           0 0.403 [0.0, 0.04, 0.26, 0.39]
          10 0.128 [0.26, 0.47, 0.78, 0.34]
          30 0.045 [0.21, 0.7, 0.93, 0.19]
         300 0.000 [0.0, 1.0, 1.0, 0.0]

        The answers begin anywhere and end at 0, 1, 1, 0.
        """

    # Well done: this is a neural network, and you have seen every line that trains it.
    # Why does a ReLU help? Each column of A draws a line through the plane, and the
    # ReLU makes a bend there. With two bends, the answer can rise and fall again.
    #
    # Of the seeds 0 to 99, 91 end below a loss of 0.01; from the other starts, it gets
    # stuck. Part II asks where training should start. First, two things are missing: a
    # loss for choosing among classes, and a way to be sure of our derivatives.

    # Try: 2 columns instead of 8. Two are enough (chapter 10 shows the weights), but
    # only about one seed in six finds them. With 16 columns and a learning rate of
    # 0.05, nearly all do.

    # ---- Small print: what Python and NumPy ask of a Tensor (skip to chapter 8) ------

    __float__ = item
    __abs__ = abs

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        numbers = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        op = f", op={self.op!r}" if self.op else ""
        return f"Tensor({numbers}{dtype}{op})"

    def __format__(self, spec) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __reduce__(self):
        # A copy or a pickle is a leaf. It keeps the numbers, but not the graph.
        more = None, {"grad": self.grad, "op": self.op}
        return Tensor, (self.data, self.requires_grad), more

    # A Tensor equals only itself, so that it can be the key of a dict.

    __hash__ = object.__hash__

    def __eq__(self, other) -> bool:
        if other is None or isinstance(other, Tensor):
            return self is other
        return self < other  # which raises

    def __lt__(self, other) -> bool:
        raise TypeError("Tensors are not compared by value: use t.data")

    __le__ = __gt__ = __ge__ = __lt__

    # t -= x would mean t = t - x, a new Tensor, which no optimizer knows.

    def _in_place(self, other) -> Tensor:
        if self.is_leaf and self.requires_grad and not isinstance(other, Tensor):
            raise TypeError("to change a parameter, write t.data -= ...")
        return NotImplemented  # total += loss makes a new Tensor, as it should

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = _in_place

    if not TYPE_CHECKING:  # type checkers would take X @ W for an array

        def __array__(self, dtype=None, copy=None):
            if self.requires_grad:
                self.__array_function__()  # which raises
            return np.array(self.data, dtype, copy=copy)

        def __array_function__(self, *_):  # np.sum(t), np.stack([t, t]) and so on
            text = "use Tensor methods or stack; t.data and t.item() stop the gradient"
            raise TypeError(text)

    # ==== 8  Softmax and losses =======================================================

    # How does a network choose among classes? It gives each a score, say 2 for a cat
    # and 0 for a dog. We want probabilities: numbers that are positive and sum to 1.
    # Powers of e are positive, and if we divide them by their sum, they sum to 1:
    #
    #     e^2 = 7.39,  e^0 = 1         cat: 7.39 / 8.39 = 0.88,  dog: 1 / 8.39 = 0.12
    #
    # This is softmax. What happens if the cat's score rises to 2.01? Its probability
    # rises from 0.8808 to 0.8818, at a rate of 0.105, which is 0.88 * 0.12. The dog's
    # falls at the same rate, because both sum to 1. With more classes, the quotient
    # rule gives the same picture. When score j rises,
    #
    #     p_j rises at the rate            p_j (1 - p_j)
    #     every other p_i falls at         p_j p_i
    #
    # The vjp weights these rates by g and adds them up. For score j,
    #
    #     g_j p_j (1 - p_j)  less all other g_i p_j p_i
    #     is p_j (g_j - s),  where s is the sum of all g_i p_i, with g_j p_j among them
    #
    # One thing can go wrong: e^1000 is too large for a computer. But a number added to
    # all scores cancels in the fraction, so we subtract the largest score first.

    def softmax(self, axis=-1) -> Tensor:
        """Probabilities from scores: between 0 and 1, with the sum 1 along `axis`.

        >>> x = Tensor([[1000.0, 1000.0], [0.0, -1000.0]])
        >>> p = x.softmax()
        >>> p.data.tolist()
        [[0.5, 0.5], [1.0, 0.0]]
        >>> p[0, 0].backward()
        >>> x.grad.tolist()                         # 0.5 * (1 - 0.5), and -0.5 * 0.5
        [[0.25, -0.25], [0.0, 0.0]]
        """
        z = _shifted(self.data, axis)
        p = _exp(z, out=z)
        p /= p.sum(axis=axis, keepdims=True)
        vjp = lambda g: p * (g - (g * p).sum(axis=axis, keepdims=True))
        return Tensor.from_op(p, "softmax", (self, vjp))

    # The loss will need the logarithm of a probability, which is -inf where the
    # probability was rounded to 0. But the logarithm of the fraction is
    #
    #     log p_j = score j - log(the sum of all e^score)
    #
    # and after the shift, that sum lies between 1 and C. When score j rises,
    #
    #     log p_j rises at the rate        1 - p_j
    #     every other log p_i falls at     p_j
    #     score j gets the gradient        g_j - p_j (the sum of all g_i)

    def log_softmax(self, axis=-1) -> Tensor:
        """The logarithm of softmax along `axis`, accurate even where p rounds to 0.

        >>> x = Tensor([0.0, -1000.0])
        >>> log_p = x.log_softmax()
        >>> log_p.data.tolist()
        [0.0, -1000.0]
        >>> log_p[1].backward()
        >>> x.grad.tolist()
        [-1.0, 1.0]
        """
        z = _shifted(self.data, axis)
        e = _exp(z)
        total = e.sum(axis=axis, keepdims=True)
        vjp = lambda g: g - e / total * g.sum(axis=axis, keepdims=True)
        return Tensor.from_op(z - np.log(total), "log_softmax", (self, vjp))


# Why squares, and why logarithms? Both losses below ask one question: which parameters
# make the data most probable?
#
# Independent examples have probabilities that multiply. A logarithm turns the product
# into a sum, and a minus sign turns the search for a maximum into one for a minimum. So
# for classes, the loss is -log p, where p is what the right class got.
#
# For numbers, suppose that errors are spread like a bell, the normal distribution. Then
# the probability density of an error is proportional to e^(-error^2 / (2 s^2)), where s
# is the usual size of an error. Its logarithm, negated, is error^2 / (2 s^2): a square,
# times a constant (Bishop, Pattern Recognition and Machine Learning, 2006, 3.1.1).


def mse_loss(prediction, target) -> Tensor:
    """The loss for regression, for predicting numbers: the mean squared error.

    `prediction` and `target` are Tensors or arrays of one shape. ValueError if their
    shapes differ: (N,) and (N, 1) would broadcast to (N, N).

    >>> p = Tensor([1.0, 2.0])
    >>> loss = mse_loss(p, [1.0, 4.0])
    >>> loss.item()
    2.0
    >>> loss.backward()
    >>> p.grad.tolist()                             # 2 (p - target) / 2
    [0.0, -2.0]
    """
    p = _tensor(prediction)
    t = _tensor(target, p.dtype)
    _require(p.shape == t.shape, "mse_loss of shapes {} and {}", p.shape, t.shape)
    return ((p - t) ** 2).mean()


# For classes, the loss is minus the logarithm of the probability that the right class
# got. This is 4.6 for 1%, and 0.7 for 50%. In the last formula, g is -1 for the right
# class and 0 for the others, so the gradient of the scores could not be simpler:
#
#     p - target           target: 1 for the right class, 0 for the others


def cross_entropy(logits, labels) -> Tensor:
    """The loss for classification: the mean of -log(probability of the right class).

    `logits` (..., C) are the scores, before softmax. `labels` (...) are integers, the
    right classes, from 0 to C - 1. The mean is over all labels. In PyTorch, the classes
    are on axis 1; here they are on the last.

    ValueError if labels are not integers, have another shape, or are out of range. To
    leave rows out, select the others: cross_entropy(logits[keep], labels[keep]).

    >>> logits = Tensor(np.zeros((2, 2)))           # the network knows nothing
    >>> loss = cross_entropy(logits, [0, 1])
    >>> f"{loss:.3f}"                               # log 2
    '0.693'
    >>> loss.backward()
    >>> logits.grad.tolist()                        # (p - target) / 2
    [[-0.25, 0.25], [0.25, -0.25]]

    A yes/no question with one score z is a choice between the scores 0 and z. (The
    formula relu(z) - label * z + log(1 + e^-abs(z)) has a wrong slope at 0, where
    networks often start.)

    >>> z = Tensor([0.0, 1000.0])
    >>> cross_entropy(stack([0 * z, z], -1), [1, 0]).backward()
    >>> z.grad.tolist()                             # (sigmoid(z) - label) / 2
    [-0.25, 0.5]

    With probabilities p in place of labels: -(p * logits.log_softmax()).sum(-1).mean().
    """
    logits = _tensor(logits)
    z = _shifted(logits.data, -1)
    e = _exp(z)
    total = np.add.reduce(e, -1, keepdims=True)
    target = _one_hot(labels, z.shape)  # (..., C), True at the right class
    n = total.size
    losses = np.log(total).reshape(n) - z[target]
    vjp = lambda g: (e / total - target) * (g / n)  # True counts as 1
    return Tensor.from_op(np.add.reduce(losses) / n, "cross_entropy", (logits, vjp))


# Try: cross_entropy in one line, from log_softmax and an index. You are right if both
# give the same gradients.

# ==== 9  Checking gradients ===========================================================

# (First reading? Part II does not need this chapter.) Is a derivative right? Ask the
# slow method of the first page: move one number by eps, and see what happens.
#
# We move it both ways. A bend in the curve lifts both results equally, and this cancels
# in their difference. What remains is an error of the order eps^2, so eps must be
# small. But if it is too small, the two results agree in almost every digit, and their
# difference is mostly rounding. Take the slope of x^3 at 1, which is 3:


def _which_eps():
    """Differences are wrong if eps is large, and again if it is tiny.

    >>> cube = lambda x: x * x * x
    >>> for eps in 1e-2, 1e-6, 1e-12:
    ...     slope = (cube(1 + eps) - cube(1 - eps)) / (2 * eps)
    ...     print(f"eps {eps:.0e}: wrong by {abs(slope - 3):.0e}")
    eps 1e-02: wrong by 1e-04
    eps 1e-06: wrong by 2e-11
    eps 1e-12: wrong by 1e-04
    """


# A function may return an array. Which number's slope shall we check? We sum the array,
# but with uneven weights, because the plain sum of a softmax is always 1. The weights
# are negative, to expose a vjp that ignores g, and read-only, to stop one that changes
# it.


def gradcheck(f, *inputs, eps=1e-6, atol=1e-5, rtol=1e-3) -> bool:
    """True if the gradients of f(*inputs) agree with differences, else AssertionError.

    `f` takes Tensors and returns one; it must be smooth at the inputs. `inputs` are
    float64 Tensors. Each element is moved by `eps` both ways, and backward must agree
    within `atol` + `rtol` * |difference|. Afterwards the inputs are as before.

    ValueError if no input requires gradients, or one is float32, which is too coarse.

    >>> gradcheck(lambda x: x.tanh().softmax(), Tensor([1.0, 2.0, 4.0]))
    True

    Here the value is reversed, and the gradient is not:

    >>> flip = lambda x: Tensor.from_op(x.data[::-1], "flip", (x, lambda g: g))
    >>> gradcheck(flip, Tensor([2.0, 3.0]))
    Traceback (most recent call last):
    ...
    AssertionError: input 0, element (0,): backward gives -1, differences give -1.618
    """
    dtypes = {str(x.dtype) for x in inputs if x.requires_grad}
    _require(dtypes == {"float64"}, "gradcheck needs float64 Tensors with gradients")
    out = f(*inputs)
    uneven = np.arange(out.size) * 0.618 % 1  # from 0 to 1
    weights = -1 - uneven.reshape(out.shape)
    weights.setflags(write=False)
    gradients = out._gradients(weights)
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            continue
        for index in np.ndindex(x.shape):
            slope = _slope(lambda: (f(*inputs).data * weights).sum(), x, index, eps)
            exact = gradients[x][index] if x in gradients else 0.0
            error = abs(exact - slope)
            if not (error <= atol + rtol * abs(slope) and math.isfinite(error)):
                found = f"backward gives {exact:.6g}, differences give {slope:.6g}"
                raise AssertionError(f"input {i}, element {index}: {found}")
    return True


# Try: forward mode. A Dual has a value and the slope of that value in one input; in a
# sum the slopes add up, and in a product they are a' b + a b'. Write + and * (six
# lines), and find the gradient of a function of a thousand inputs with a thousand runs.
# You are done when the second Number's `backward` gives the same, far faster.


######## Part II  Networks #############################################################

# ==== 10  Neurons, layers, networks ===================================================

# What is a network made of? A neuron weighs its inputs, adds them up and applies an
# activation function. Its weights say what it looks for, its bias how readily it
# responds.
#
# A ReLU neuron draws a line. It answers 0 on one side of it, and on the other side more
# and more. So it cannot compute exclusive or (chapter 7). But let one neuron count the
# ones, and another respond only if there are two; a third can combine their answers.
#
# Neurons with the same inputs form a layer. If their weights are the columns of a
# matrix, one product computes them all. Layers in a row form a network.
#
# Training must find the weights, and nobody wants to list those of a hundred layers. So
# a network is a Module: it keeps its numbers in attributes and finds them there, even
# inside lists, dicts and other Modules.
#
# What is found can also be saved. Optimizers (chapter 13) are saved in the same way, so
# saving has a class to itself.

# ---- Small print: finding, saving and loading (skip to Module) -----------------------


class _Saveable:
    """Base of Module and Optimizer: finding, saving and loading their arrays."""

    _kinds: Any = np.ndarray  # of members that are saved

    def _find(self, kind) -> Any:
        """[(name, member)] of a kind of members, each once, in order of definition."""
        found = {id(self): ("", self)}
        _search(vars(self), "", found)
        return [(name, x) for name, x in found.values() if isinstance(x, kind)]

    def _arrays(self):
        """{name: array} of all that is saved: the arrays themselves, not copies."""
        arrays = {}
        for name, member in self._find(self._kinds):
            _require(name not in arrays, "two arrays have the name {!r}", name)
            arrays[name] = member.data if isinstance(member, Tensor) else member
        return arrays

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all arrays by name, ready to be saved.

        np.savez("model.npz", **model.state_dict()) saves them. ValueError if two arrays
        have one name.

        >>> Neuron(2, rng=0).state_dict().keys()
        dict_keys(['w', 'b'])
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state) -> None:
        """Copy back a `state_dict()`, or what np.load("model.npz") returns.

        ValueError if a name or a shape differs; then nothing is changed. The generator
        of a Dropout and settings such as `lr` are not in the state.

        >>> neuron = Neuron(2)
        >>> neuron.load_state_dict({"w": [1.0, 2.0], "b": 3.0})
        >>> neuron.w.data.tolist()
        [1.0, 2.0]
        """
        arrays = self._arrays()
        ours = {(name, array.shape) for name, array in arrays.items()}
        theirs = {(name, np.shape(state[name])) for name in state}
        _require(ours == theirs, "this state does not fit: {}", sorted(ours ^ theirs))
        new = {name: np.asarray(state[name], arrays[name].dtype) for name in arrays}
        for name, array in arrays.items():
            array[...] = new[name]

    def __repr__(self) -> str:
        return _describe(self)


class Module(_Saveable):
    """The base of every layer and network, including your own.

    Make Tensors, Modules or arrays in `__init__`, and write `forward`, which runs when
    the module is called. Tensors are its parameters, which training changes (unless
    they do not require gradients). Arrays are constants. All are saved.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.w = Tensor(2.0)
    ...         self.b = Tensor(1.0)
    ...         self.unit = np.array(100.0)                     # a constant
    ...     def forward(self, x):
    ...         self.last = self.w * x + self.b
    ...         return self.last
    >>> model = Line()
    >>> model(10.0).item()
    21.0
    >>> [name for name, _ in model.named_parameters()]
    ['w', 'b']

    A result such as `last` is not a parameter, and neither is 0.1 * Tensor(w), which is
    a result, too. Write Tensor(0.1 * w). And keep constants as arrays: a Tensor would
    be trained.
    """

    training = True  # train() and eval() set it, which matters in chapter 12
    _kinds = (Tensor, np.ndarray)

    def __call__(self, *args, **kwargs) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs) -> Any:
        """What the module computes: yours to write, or else NotImplementedError."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """A list of (name, Tensor) for every parameter, in the order of definition.

        >>> [name for name, _ in MLP(2, [3, 1]).named_parameters()]
        ['layers.0.W', 'layers.0.b', 'layers.1.W', 'layers.1.b']
        """
        return [(name, p) for name, p in self._find(Tensor) if p.requires_grad]

    def parameters(self) -> list[Tensor]:
        """A list of the parameters, which is what an optimizer asks for.

        To freeze a parameter, set `requires_grad` to False. Set its `grad` to None as
        well, or an old one would still move it:

        >>> neuron = Neuron(2)
        >>> neuron.w.requires_grad = False
        >>> neuron.parameters()
        [Tensor(0.)]
        """
        return [p for _, p in self.named_parameters()]

    def zero_grad(self) -> None:
        """Set every `grad` to None, including those of frozen parameters.

        >>> neuron = Neuron(2)
        >>> neuron([1.0, 2.0]).backward()
        >>> neuron.zero_grad()
        >>> print(neuron.b.grad)
        None
        """
        for _, tensor in self._find(Tensor):
            tensor.grad = None

    def train(self, mode=True) -> Any:
        """Set `training` to `mode`, here and in all modules within; return the module.

        >>> model = Sequential(Neuron(2))
        >>> model.train(False)[0].training
        False
        """
        for _, module in self._find(Module):
            module.training = bool(mode)
        return self

    def eval(self) -> Any:
        """Switch to evaluation, here and in all modules within; return the module.

        >>> Neuron(2).eval().training
        False
        """
        return self.train(False)


class Neuron(Module):
    """One neuron, a weighted sum with an activation: nonlin(x @ w + b).

    It maps (N, nin) to (N,), or one example (nin,) to a number.

    `nin` is the number of inputs. `nonlin` is a function of a Tensor, by default ReLU;
    None means no activation (True and False mean ReLU and none). `rng` draws the
    weights: a seed, a NumPy Generator, or None. Equal seeds give equal weights, so let
    several neurons or layers share one Generator.

    TypeError if `nonlin` is not a function.

    This is exclusive or, made of three neurons with weights that we choose:

    >>> one = Neuron(2)                             # counts the ones
    >>> one.w.data = np.array([1.0, 1.0])
    >>> two = Neuron(2)                             # responds only if there are two
    >>> two.w.data = np.array([1.0, 1.0])
    >>> two.b.data = np.array(-1.0)
    >>> both = Neuron(2, nonlin=None)               # one - 2 * two
    >>> both.w.data = np.array([1.0, -2.0])

    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> one(x).data.tolist()
    [0.0, 1.0, 1.0, 2.0]
    >>> two(x).data.tolist()
    [0.0, 0.0, 0.0, 1.0]
    >>> both(stack([one(x), two(x)], axis=1)).data.tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    def __init__(self, nin, nonlin: Any = Tensor.relu, rng=None) -> None:
        self.nonlin = _activation(nonlin)
        self.w = Tensor(_first_weights((nin,), self.nonlin, rng))
        self.b = Tensor(0.0)

    def forward(self, x) -> Tensor:
        out = _tensor(x, self.w.data.dtype) @ self.w + self.b
        return self.nonlin(out) if self.nonlin else out


class Layer(Module):
    """A fully connected layer, `nout` neurons with the same inputs: nonlin(x @ W + b).

    It maps (N, nin) to (N, nout). The weights of one neuron are a column of W (nin,
    nout). `nonlin` and `rng` are as in Neuron. `dtype` is np.float32, or float64, which
    is the default.

    The last layer of a network should have `nonlin=None`: behind a ReLU no score can be
    negative, and where it is 0, nothing is learned.

    >>> layer = Layer(3, 2, nonlin=None)
    >>> layer.W.data = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> layer.b.data = np.array([0.5, 0.25])
    >>> layer([[1.0, 1.0, 1.0]]).data.tolist()      # 1 + 3 + 5 + 0.5, and so on
    [[9.5, 12.25]]
    >>> layer
    Layer(nonlin=None, W=(3, 2), b=(2,))
    """

    def __init__(self, nin, nout, nonlin: Any = Tensor.relu, rng=None, dtype=None):
        self.nonlin = _activation(nonlin)
        self.W = Tensor(_first_weights((nin, nout), self.nonlin, rng).astype(dtype))
        self.b = Tensor(np.zeros(nout, dtype))

    def forward(self, x) -> Tensor:
        out = _tensor(x, self.W.data.dtype) @ self.W + self.b
        return self.nonlin(out) if self.nonlin else out


class Sequential(Module):
    """`layers` one after the other: Modules, or functions such as Tensor.tanh.

    >>> double = lambda x: 2 * x
    >>> model = Sequential(double, Tensor.exp)
    >>> round(model(Tensor(1.0)).item(), 3)         # e^2
    7.389
    >>> len(model)
    2
    """

    def __init__(self, *layers) -> None:
        self.layers = list(layers)

    def forward(self, x) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index) -> Module:
        return self.layers[index]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)


class MLP(Sequential):
    """A multi-layer perceptron: Layers in a row, the last one without `nonlin`.

    `nin` is the number of inputs, `nouts` a list with the size of each layer. The other
    arguments are as in Layer. ValueError if `nouts` is not a list.

    >>> model = MLP(64, [32, 10])                   # 64 inputs, then 32, then 10
    >>> model(np.zeros((5, 64))).shape
    (5, 10)
    >>> model[0].nonlin.__name__
    'relu'
    >>> print(model[1].nonlin)
    None
    """

    def __init__(self, nin, nouts, nonlin: Any = Tensor.relu, rng=None, dtype=None):
        _require(isinstance(nouts, (list, tuple)), "nouts is a list, not {!r}", nouts)
        rng = np.random.default_rng(rng)
        layers = []
        for i, nout in enumerate(nouts):
            last = i == len(nouts) - 1
            layers.append(Layer(nin, nout, None if last else nonlin, rng, dtype))
            nin = nout
        super().__init__(*layers)

    def __getitem__(self, index) -> Layer:
        return self.layers[index]


# Try: a Module for the polynomial a + b x + c x^2, with one parameter of three numbers.
# Fit it to the sine from 0 to 3 in the bare loop: 2,000 steps at a learning rate of
# 0.02 bring the mean squared error below 0.001.

# ==== 11  How large are the first weights? ============================================

# Where does training start? Not at zero, because two neurons with equal weights, coming
# in and going out, get equal gradients and stay equal. So we draw weights at random.
# But how large?


def _thirty_layers():
    """A signal passes through thirty ReLU layers, for three sizes of weights.

    We print the mean output, and the mean size of the gradient of the input:

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

    With smaller weights it all vanishes, and with larger ones it explodes. With the
    size in the middle, it stays near 1, give or take a few times. Layers begin with it:

    >>> f"{Layer(64, 64, rng=0).W.data.std():.2f}"
    '0.18'
    """


# Why is 0.177 right? A neuron sums nin products of a weight and an input. Let the
# inputs have the mean square 1. Let the weights be spread evenly around 0, have the
# mean square s, and not depend on each other. If we square the sum, the products of
# different terms average 0. That leaves nin squares, each s on average:
#
#     the mean square of a sum is            nin * s
#     so a linear neuron keeps it at 1 with  s = 1 / nin      (LeCun et al., 1998)
#     ReLU sets half of the sums to 0, which halves their mean square, so it needs
#                                            s = 2 / nin      (He et al., 2015)
#
# Here that is 2 / 64, the square of 0.177. On the way back, an input sums nout
# gradients, and the same argument gives 2 / nout. He et al. show that either will do.
# (Glorot and Bengio, 2010, take the middle, 2 / (nin + nout), for tanh.)

# Try: thirty layers with tanh in place of ReLU. With 0.125, which is 1 / sqrt(64), the
# gradient should end between 0.05 and 0.3, and with 0.177 near 2.

# ==== 12  Layers that know whether they train =========================================

# Chapter 11 set the signal's size at the start. Could a layer keep it while the weights
# change? Yes, if it looks at all the examples that it is given at once, the batch. But
# an answer must not depend on who else asks. So such a layer does one thing while
# training and another afterwards. A Module knows which: `model.train()` sets `training`
# to True everywhere within, `model.eval()` to False. New modules are training.
#
# The simpler of two such layers comes first. Dropout switches neurons off at random, so
# that none can rely on another. Chapter 15 shows what this is good for.


class Dropout(Module):
    """In training, sets each element to 0 with probability `p`, anew in every call.

    `p` is the probability of dropping (Srivastava et al., 2014, call the other one p).
    `rng` is a seed, a NumPy Generator, or None. ValueError if p is not from 0 to 1.

    >>> drop = Dropout(0.75, rng=0)
    >>> drop(np.ones(12)).data.tolist()
    [4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 4.0]

    What remains is divided by 1 - p. So a sum over many elements is about as large as
    in evaluation, where nothing is dropped:

    >>> f"{drop(np.ones(10_000)).mean():.1f}"
    '1.0'
    >>> drop.eval()(np.ones(3)).data.tolist()
    [1.0, 1.0, 1.0]

    The generator is not part of a saved state.
    """

    def __init__(self, p=0.5, rng=None) -> None:
        _require(0 <= p <= 1, "p is a probability, not {}", p)
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x) -> Tensor:
        x = _tensor(x)
        if not self.training:
            return x
        kept = self.rng.random(x.shape, np.float32) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0  # p = 1 keeps none
        return x * (scale * kept).astype(x.dtype)


# Batch normalisation keeps the signal's size. Each feature gets mean 0 and variance 1
# over the batch, and two parameters can undo that where it does harm (Ioffe and
# Szegedy, 2015). Why it helps is still discussed: they wanted to stop inputs from
# drifting while earlier layers learn; Santurkar et al. (2018) credit a smoother loss.
#
# In evaluation there is no batch to look at. So while training, the layer keeps running
# averages of the mean and the variance, and later uses these.
#
# One correction is needed. Values lie closer to their own mean than to the true one. A
# single value even seems to have no variance at all, and n of them show on average only
# (n - 1) / n of the true variance. So the running average takes n / (n - 1) times what
# the batch shows.


class BatchNorm1d(Module):
    """Batch normalisation: gamma * (x - mean) / sqrt(variance + eps) + beta.

    Mean and variance are those of each feature over the rows of x (N, C).
    `num_features` is C. `eps` is added to the variance. `momentum` is the weight of the
    new batch in the running averages, as in PyTorch. `dtype` is as in Layer. ValueError
    if x has another number of features, or a single row while training.

    >>> bn = BatchNorm1d(1, momentum=0.25, eps=7.0)
    >>> bn([[1.0], [7.0]]).data.tolist()            # (x - 4) / sqrt(9 + 7)
    [[-0.75], [0.75]]
    >>> bn.running_mean.item()                      # 0.75 * 0 + 0.25 * 4
    1.0
    >>> bn.running_var.item()                       # 0.75 * 1 + 0.25 * 9 * 2 / 1
    5.25
    >>> bn.eval()([[8.0]]).item()                   # (8 - 1) / sqrt(5.25 + 7)
    2.0
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, dtype=None) -> None:
        self.gamma = Tensor(np.ones(num_features, dtype))
        self.beta = Tensor(np.zeros(num_features, dtype))
        self.eps = eps
        self.momentum = momentum
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)

    def forward(self, x) -> Tensor:
        x = _tensor(x, self.gamma.dtype)
        C = self.gamma.size
        _require(x.shape[1:] == (C,), "BatchNorm1d({}) of shape {}", C, x.shape)
        if self.training:
            n = len(x)
            _require(n > 1, "BatchNorm1d cannot train on {} row(s): call eval()?", n)
            mean = x.mean(axis=0)
            centred = x - mean
            var = (centred * centred).mean(axis=0)
            unbiased = n / (n - 1) * var.data
            self.running_mean += self.momentum * (mean.data - self.running_mean)
            self.running_var += self.momentum * (unbiased - self.running_var)
        else:
            centred = x - self.running_mean
            var = _tensor(self.running_var)
        return centred * (self.gamma / (var + self.eps).sqrt()) + self.beta


# Does it help? We need something to learn: a circle in a space of ten dimensions, eight
# of which do not matter. This task stays with us until chapter 15.


def _points(n, seed):
    """n points (n, 10), and labels: do the first two coordinates lie in the circle?

    >>> X, y = _points(1000, seed=0)
    >>> X.shape
    (1000, 10)
    >>> f"{y.mean():.1f}"                           # about half of the points do
    '0.5'
    """
    X = np.random.default_rng(seed).uniform(-1, 1, (n, 10))
    return X, (X[:, 0] ** 2 + X[:, 1] ** 2 < 0.64).astype(int)


def _does_it_help():
    """Eight layers whose first weights are too small, without and with normalisation.

    A Layer with `nonlin=None` does not know that a ReLU follows. Its first weights are
    0.7 times (the root of 1/2) what a ReLU needs, and from layer to layer the signal
    fades. We take 30
    steps with all points at once, and print the last training loss for five seeds:

    >>> def last_loss(normalise, seed):
    ...     rng = np.random.default_rng(seed)
    ...     layers = []
    ...     for nin in [10] + 7 * [32]:
    ...         layers.append(Layer(nin, 32, nonlin=None, rng=rng))
    ...         if normalise:
    ...             layers.append(BatchNorm1d(32))
    ...         layers.append(Tensor.relu)
    ...     model = Sequential(*layers, Layer(32, 2, nonlin=None, rng=rng))
    ...     X, y = _points(200, seed)
    ...     for step in range(30):
    ...         loss = cross_entropy(model(X), y)
    ...         model.zero_grad()
    ...         loss.backward()
    ...         for p in model.parameters():
    ...             p.data = p.data - 0.2 * p.grad
    ...     return loss.item()
    >>> for normalise in False, True:
    ...     losses = [last_loss(normalise, seed) for seed in range(5)]
    ...     print(normalise, *[f"{loss:.2f}" for loss in losses])
    False 0.69 0.68 0.69 0.67 0.65
    True 0.04 0.03 0.03 0.03 0.03

    0.69 is log 2, the loss of a network that has learned nothing.
    """


# Try: without normalisation, but with weights of the right size: Layer(nin, 32,
# rng=rng) holds the ReLU, too. The mean loss should come down to about 0.64. Then ask a
# network with a Dropout the same question twice, without eval(). It gives two answers.

# ==== 13  Steps: SGD, momentum, Adam ==================================================

# So far a step was p.data -= lr * p.grad. There are better rules, and some remember
# earlier slopes. This class does what they have in common. A rule itself only says, in
# `update`, what to subtract from a parameter.


class Optimizer(_Saveable):
    """The base of all optimizers, including your own: a subclass writes `update`.

    `params` is a list of Tensors, such as `model.parameters()`. `lr` is the learning
    rate, which may be changed between steps. `weight_decay` adds weight_decay * p to
    the gradient of each parameter p, the slope of weight_decay / 2 * p**2, which draws
    p towards 0.

    ValueError if `params` is empty, or holds anything but different leaves.

    >>> class SignSGD(Optimizer):
    ...     def update(self, g, t):
    ...         return self.lr * np.sign(g)
    >>> x = Tensor([3.0, -8.0])
    >>> y = Tensor(5.0, requires_grad=False)
    >>> loss = (x * x * y).sum()
    >>> loss.backward()
    >>> SignSGD([x, y], lr=0.25).step()
    >>> x.data.tolist()
    [2.75, -7.75]
    >>> y.item()                                    # it gets no grad, so it stays
    5.0

    With weight decay, g is 1 + 0.5 * 2 here, and the step is 0.25 times that:

    >>> p = Tensor(2.0)
    >>> p.backward()
    >>> SGD([p], lr=0.25, weight_decay=0.5).step()
    >>> p.item()
    1.5

    A rule that remembers names its memory in `buffers`, as SGD and Adam do below. If
    you save the model and the optimizer, and restore `lr` and generators yourself,
    training goes on as if it had never stopped.
    """

    buffers: tuple[str, ...] = ()  # names of arrays that are kept for each parameter

    def update(self, g, t, *buffers: Any, **_: Any) -> Any:
        """Return what to subtract from a parameter, then its new buffers, if any.

        `g` is its gradient with weight decay, `t` counts its steps (1, 2, ...). The
        arrays that `buffers` names follow; they start at 0. Do not change them, because
        an error would leave half of a step done: return new ones, as in
        `return self.lr * velocity, velocity`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    # ---- Small print: how steps are stored (skip to SGD) -----------------------------

    def __init__(self, params, lr=1e-3, weight_decay=0.0) -> None:
        text = "params are different Tensors that you made, not {!r:.60}"
        _require(not isinstance(params, (Module, Tensor)), text, params)
        self.params = list(params)
        made = {p for p in self.params if isinstance(p, Tensor) and not p.op}
        _require(made and len(made) == len(self.params), text, params)
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = np.zeros(len(self.params), int)  # for each parameter
        for name in self.buffers:
            setattr(self, name, [np.zeros_like(p.data) for p in self.params])

    def zero_grad(self) -> None:
        """Set every `grad` to None.

        >>> x = Tensor(3.0)
        >>> x.backward()
        >>> SGD([x]).zero_grad()
        >>> print(x.grad)
        None
        """
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient one step downhill.

        It gets a new array. A graph that holds the old one keeps the right gradients:

        >>> x = Tensor(3.0)
        >>> loss = x * x
        >>> loss.backward()
        >>> SGD([x], lr=0.5).step()
        >>> x.item()                                # 3 - 0.5 * 6
        0.0
        >>> loss.backward()
        >>> x.grad.item()                           # 6 again: the loss was made at 3
        12.0

        Everything is computed before anything is stored, so an error changes nothing.
        TypeError if `lr` is not a number. ValueError if a `grad`, or what `update`
        returns, has the wrong shape.
        """
        good = isinstance(self.lr, (int, float, np.number))
        _require(good, "lr is a number, not {!r}", self.lr, error=TypeError)
        buffers = [getattr(self, name) for name in self.buffers]  # adam.m and adam.v
        results = []
        for i, p in enumerate(self.params):
            if p.grad is not None:
                old = [arrays[i] for arrays in buffers]
                results.append((i, self._result(p, int(self.steps[i]) + 1, old)))
        for i, (data, *new) in results:
            self.params[i].data = data
            self.steps[i] += 1
            for arrays, array in zip(buffers, new):
                arrays[i] = array

    def _result(self, p, t, old):
        """New data for parameter p, then its new buffers; `old` are those so far."""
        g = p.grad
        shape = p.data.shape
        if getattr(g, "shape", None) != shape:
            raise ValueError(f"a grad of shape {np.shape(g)} for a parameter {shape}")
        if self.weight_decay:
            g = g + self.weight_decay * p.data
        result = self.update(g, t, *old)
        if not isinstance(result, tuple):
            result = (result,)
        shapes = [getattr(array, "shape", None) for array in result]
        if shapes != [shape] * (1 + len(old)):
            found = [getattr(x, "shape", type(x).__name__) for x in result]
            expected = f"the change and {len(old)} buffers, all {shape}"
            raise ValueError(f"update returned {found}, not {expected}")
        new = [np.asarray(p.data - result[0], p.data.dtype)]
        for array, before in zip(result[1:], old):
            new.append(np.asarray(array, before.dtype))
        return new


# Where does one learning rate fail? In a valley that is steep across and flat along,
# such as x^2 / 2 + 50 y^2. A step turns y into (1 - 100 lr) y. This grows if lr is over
# 0.02, but with a smaller lr, x hardly moves.
#
# Momentum helps: a velocity keeps a part of itself and adds each slope, like a ball
# that rolls (Polyak, 1964). Along the valley, where slopes agree, it grows to ten times
# the slope if it keeps nine tenths, because 1 + 0.9 + 0.81 + ... = 10.


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * v, where v = momentum * v + g.

    `momentum` is the part of the velocity v that is kept, 0 for none. The rest is as in
    Optimizer. "Stochastic" means random, like the batches of chapter 14.

    >>> x = Tensor(1.0)
    >>> optimizer = SGD([x], lr=0.25, momentum=0.5)
    >>> x.grad = np.array(4.0)
    >>> optimizer.step()                            # v = 4
    >>> x.item()                                    # 1 - 0.25 * 4
    0.0
    >>> x.grad = np.array(8.0)
    >>> optimizer.step()                            # v = 0.5 * 4 + 8
    >>> x.item()                                    # 0 - 0.25 * 10
    -2.5
    """

    buffers = ("velocity",)

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0) -> None:
        super().__init__(params, lr, weight_decay)
        self.momentum = momentum

    def update(self, g, t, velocity) -> Any:
        velocity = self.momentum * velocity + g
        return self.lr * velocity, velocity


# Adam divides every slope by its usual size. `m` is an average of the slope, a kind of
# velocity; `v` is an average of its square; and the step is lr * m / sqrt(v). If slopes
# agree, a parameter moves by about lr, however small they are (above eps). If they
# alternate, it moves less.
#
# Each beta is the weight of the past. An average starts at 0, so after t steps its
# weights sum to only 1 - beta^t, and we divide by that. eps prevents 0 / 0.


class Adam(Optimizer):
    """The Adam optimizer, adaptive moments (Kingma and Ba, 2015, algorithm 1).

    `lr` is about how far a parameter moves in a step. `betas` are the weights of the
    past in the averages of the slope and of its square. `eps` is added to the root of
    the latter. `weight_decay` is as in Optimizer: it is a part of g, so it is divided
    by sqrt(v), too. (AdamW, Loshchilov and Hutter, 2019, subtracts it beside the step.)

    Three steps by hand, and the same by Adam:

    >>> x, m, v = 1.0, 0.0, 0.0
    >>> p = Tensor(1.0)
    >>> optimizer = Adam([p], lr=0.5, betas=(0.8, 0.99), eps=1e-3)
    >>> for t, g in (1, 4.0), (2, -2.0), (3, 1e-3):
    ...     m = 0.8 * m + 0.2 * g
    ...     v = 0.99 * v + 0.01 * g**2
    ...     m_hat = m / (1 - 0.8**t)
    ...     v_hat = v / (1 - 0.99**t)
    ...     x -= 0.5 * m_hat / (v_hat**0.5 + 1e-3)
    ...     p.grad = np.array(g)
    ...     optimizer.step()
    >>> f"{x:.6f}"
    '0.318042'
    >>> f"{p:.6f}"
    '0.318042'
    """

    buffers = ("m", "v")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.betas = betas
        self.eps = eps

    def update(self, g, t, m, v) -> Any:
        beta1, beta2 = self.betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        # The paper's lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps). Both
        # sides of the fraction are multiplied by root, which saves passes over arrays.
        root = math.sqrt(1 - beta2**t)
        change = self.lr * root / (1 - beta1**t) * m / (np.sqrt(v) + self.eps * root)
        return change, m, v


def _valley():
    """The valley x^2 / 2 + 50 y^2: its height after 100 steps from (1, 1).

    >>> def height(make, *settings):
    ...     p = Tensor([1.0, 1.0])
    ...     optimizer = make([p], *settings)
    ...     for step in range(100):
    ...         optimizer.zero_grad()
    ...         loss = (p * p * [0.5, 50.0]).sum()
    ...         loss.backward()
    ...         optimizer.step()
    ...     return (p.data**2 * [0.5, 50.0]).sum()
    >>> for lr in 0.01, 0.019, 0.021:
    ...     plain, rolling = height(SGD, lr), height(SGD, lr, 0.9)
    ...     print(f"lr {lr:.3f}   SGD {plain:.1e}   with momentum 0.9 {rolling:.1e}")
    lr 0.010   SGD 6.7e-02   with momentum 0.9 9.5e-05
    lr 0.019   SGD 1.1e-02   with momentum 0.9 1.3e-03
    lr 0.021   SGD 9.5e+09   with momentum 0.9 3.9e-04

    SGD climbs out of the valley as soon as lr is over 0.02. Momentum is better at each
    rate, and it tolerates larger ones. (It swings, like a ball, so its height goes up
    and down.) Adam has not been told how steep the valley is:

    >>> print(f"Adam, lr 0.1: {height(Adam, 0.1):.1e}")
    Adam, lr 0.1: 4.4e-04
    """


# Try: make the valley ten times as steep, with [5.0, 500.0]. Which of the three can
# keep its lr? You are right if it takes the same path, to a height of 4.4e-03.


######## Part III  Training ############################################################

# ==== 14  The training loop ===========================================================

# Must every step look at all the data? The gradient only has to say which way is down.
# That of a small random batch says so on average, for a fraction of the work. So we go
# through the data in random order, and take a step for each batch. One such pass is an
# epoch.


def _how_far_off():
    """How far off is the gradient of one batch?

    We ask for the slope of one weight, times 1000, in ten batches of 20 points:

    >>> X, y = _points(200, seed=0)
    >>> model = MLP(10, [64, 64, 2], rng=0)
    >>> def slope(X, y):
    ...     model.zero_grad()
    ...     cross_entropy(model(X), y).backward()
    ...     return 1000 * model[0].W.grad[1, 0]
    >>> slopes = [slope(X[i : i + 20], y[i : i + 20]) for i in range(0, 200, 20)]
    >>> print(*[f"{s:.1f}" for s in slopes])
    -0.9 8.4 10.6 3.7 3.1 -4.0 6.9 2.7 8.4 -5.6

    Three batches have the wrong sign. But their mean is the slope in all the data:

    >>> print(f"{np.mean(slopes):.1f}", f"{slope(X, y):.1f}")
    3.3 3.3
    """


def train_epoch(model, optimizer, X, y, loss=cross_entropy, batch_size=32, rng=None):
    """Train `model` on all rows of X and y once; return the mean loss.

    `model` is a Module, and `optimizer` has its parameters. `X` and `y` have N rows
    each: arrays, lists or DataFrames. `loss` takes the model's output and the rows of
    y, and returns a mean over rows. There are ceil(N / batch_size) batches, whose sizes
    differ by one row at most. `rng`, a NumPy Generator, shuffles the rows (a seed would
    repeat one order in every epoch).

    The loss of each batch is taken before its step, in training mode, and the mean is
    over all rows. The model stays in that mode.

    ValueError if X is empty, y has another length, or batch_size is below 1.

    >>> model = MLP(10, [64, 64, 2], rng=0).eval()
    >>> optimizer = Adam(model.parameters(), lr=0.01)
    >>> X, y = _points(200, seed=0)
    >>> first = train_epoch(model, optimizer, X, y, rng=np.random.default_rng(0))
    >>> f"{first:.1f}"
    '0.7'
    >>> model.training
    True
    """
    X = np.asarray(X)
    y = np.asarray(y)
    N = len(X)
    _require(N > 0 and N == len(y), "X has {} rows, and y has {}", N, len(y))
    _require(batch_size >= 1, "batch_size is 1 or more, not {}", batch_size)
    order = np.random.default_rng(rng).permutation(N)
    total = 0.0
    model.train()
    for rows in np.array_split(order, math.ceil(N / batch_size)):
        optimizer.zero_grad()
        batch_loss = loss(model(X[rows]), y[rows])
        batch_loss.backward(inner=False)
        optimizer.step()
        total += batch_loss.item() * len(rows)
        del batch_loss  # and with it its graph, before the next one is made
    return total / N


def predict(model, X) -> np.ndarray:
    """The outputs of `model` for `X` as an array: in evaluation mode, without a graph.

    `X` is whatever the model takes. Afterwards, every module is in its own mode again.
    For classes, take `predict(model, X).argmax(axis=1)`. To measure the loss, take
    `cross_entropy(predict(model, X), y)` or `mse_loss(predict(model, X), y)`.

    >>> model = Sequential(Dropout(), Dropout().eval())
    >>> predict(model, [1.0, 3.0]).tolist()         # nothing is dropped
    [1.0, 3.0]
    >>> [layer.training for layer in model]
    [True, False]

    No graph is made, which saves memory:

    >>> class Curious(Module):
    ...     def forward(self, x):
    ...         self.out = Tensor(2.0) * x
    ...         return self.out
    >>> model = Curious()
    >>> predict(model, 3.0).item()
    6.0
    >>> model.out.requires_grad
    False
    """
    modes = [(module, module.training) for _, module in model._find(Module)]
    try:
        with no_grad():
            out = _tensor(model.eval()(X))
    finally:
        for module, mode in modes:
            module.training = mode
    return out.data.copy()


def _which_rate():
    """Which learning rate? Try values that lie far apart.

    We print the loss in epochs 1, 4, 7 and 10, a mean over five seeds:

    >>> def losses(lr, seed):
    ...     rng = np.random.default_rng(seed)
    ...     X, y = _points(200, seed)
    ...     model = MLP(10, [64, 64, 2], rng=rng)
    ...     optimizer = Adam(model.parameters(), lr)
    ...     return [train_epoch(model, optimizer, X, y, rng=rng) for _ in range(10)]
    >>> for lr in 1e-5, 1e-3, 1e-2, 1.0:
    ...     mean = np.mean([losses(lr, seed) for seed in range(5)], axis=0)
    ...     print(f"{lr:7}", *[f"{loss:6.2f}" for loss in mean[::3]])
      1e-05   0.76   0.76   0.76   0.75
      0.001   0.74   0.64   0.60   0.56
       0.01   0.75   0.46   0.23   0.09
        1.0 235.83   7.29   1.76   1.11

    A network that gives each of two classes half of the probability has a loss of
    log 2, about 0.69. Ours begins a little higher, because its first scores are random
    and not equal.

    With too small a rate, nothing happens. With too large a rate, the loss leaps up in
    the first epoch, and ends no better than an untrained network: near 0.69 for four of
    the seeds, at 2.8 for the fifth.

    To let the loss settle, shrink `optimizer.lr` at the end.
    """


# Try: batches of 1, 10 and 200 at lr=0.01. They should reach a loss of 0.1 after 10 to
# 14, 7 to 12, and 19 to 35 epochs. Which takes the least time?

# ==== 15  Overfitting =================================================================


def _overfitting():
    """The loss is almost 0, but is the network good?

    We asked only about points that it has learned from. We need others, the validation
    data, from which it never learns, and five seeds, because one could be lucky:

    >>> validation = _points(1000, seed=1000)
    >>> def judge(model, X, y):                     # its loss and its accuracy
    ...     scores = predict(model, X)
    ...     right = scores.argmax(axis=1) == y
    ...     return cross_entropy(scores, y).item(), right.mean()
    >>> def fit(model, data, seed, epochs=40, weight_decay=0.0):
    ...     rng = np.random.default_rng(seed)
    ...     optimizer = Adam(model.parameters(), 0.01, weight_decay=weight_decay)
    ...     for epoch in range(epochs):
    ...         train_epoch(model, optimizer, *data, rng=rng)
    ...     return model
    >>> def table(title, results):                  # mean and spread over the seeds
    ...     mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
    ...     cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(mean, spread)]
    ...     print(f"{title:16}", *cells, sep="  ")

    First the loss and the accuracy on the 200 training points, then on the validation
    points:

    >>> def large(seed):
    ...     return MLP(10, [64, 64, 2], rng=seed)
    >>> for epochs in 1, 7, 40:
    ...     results = []
    ...     for seed in range(5):
    ...         data = _points(200, seed)
    ...         model = fit(large(seed), data, seed, epochs)
    ...         results.append(judge(model, *data) + judge(model, *validation))
    ...     table(f"{epochs} epochs", results)
    1 epochs          0.63 ± 0.04  0.63 ± 0.04  0.72 ± 0.03  0.54 ± 0.03
    7 epochs          0.16 ± 0.04  0.97 ± 0.01  0.56 ± 0.01  0.73 ± 0.01
    40 epochs         0.00 ± 0.00  1.00 ± 0.00  0.75 ± 0.08  0.79 ± 0.02

    After 40 epochs it knows its 200 points by heart, and a fifth of its answers to new
    ones are wrong. This is overfitting: it has also found rules that hold only for
    these points.

    From epoch 7 on, its answers still get a little better, but it becomes certain of
    most of them. Being certain of a wrong one costs so much that the validation loss
    rises.

    Cures
    -----

    We change one thing at a time, and print the validation data's figures:

    >>> def dropping(seed):                         # the same layers, with Dropout
    ...     rng = np.random.default_rng(seed)
    ...     first, second, last = MLP(10, [64, 64, 2], rng=rng)
    ...     return Sequential(first, Dropout(0.5, rng), second, Dropout(0.5, rng), last)
    >>> def cure(title, make, points=200, **settings):
    ...     results = []
    ...     for seed in range(5):
    ...         model = fit(make(seed), _points(points, seed), seed, **settings)
    ...         results.append(judge(model, *validation))
    ...     table(title, results)
    >>> cure("none", large)
    none              0.75 ± 0.08  0.79 ± 0.02
    >>> cure("stop at epoch 7", large, epochs=7)
    stop at epoch 7   0.56 ± 0.01  0.73 ± 0.01
    >>> cure("one layer fewer", lambda seed: MLP(10, [64, 2], rng=seed))
    one layer fewer   0.35 ± 0.03  0.85 ± 0.02
    >>> cure("Dropout", dropping)
    Dropout           0.46 ± 0.05  0.79 ± 0.04
    >>> cure("weight decay", large, weight_decay=0.01)
    weight decay      0.28 ± 0.03  0.87 ± 0.02
    >>> cure("800 points", large, points=800, epochs=11)
    800 points        0.24 ± 0.03  0.90 ± 0.01

    (800 points for 11 epochs make about as many steps as 200 for 40.) All lower the
    validation loss. A network with one layer fewer cannot bend its rules so finely;
    weight decay shrinks weights that the data do not need; and more data leave less to
    chance. These three also make fewer mistakes. With Dropout it makes as many
    mistakes, and if it stops early, more, but it is less certain of them.

    Weight decay means what Optimizer says: it is added to the gradient, before Adam.

    The test
    --------

    More data are not always to be had, so we choose weight decay, by its validation
    loss. That figure now flatters us, because it was the best of several. An honest one
    needs test data, used once, after the choice:

    >>> test = _points(1000, seed=2000)
    >>> results = []
    >>> for seed in range(5):
    ...     model = fit(large(seed), _points(200, seed), seed, weight_decay=0.01)
    ...     results.append(judge(model, *test))
    >>> table("test", results)
    test              0.33 ± 0.03  0.85 ± 0.02

    (Not all of the difference is flattery. For the uncured networks, too, this sample
    turns out to be harder: 0.89 instead of 0.75.)
    """


# Try: a weight decay of 0.1. You should find an accuracy of about one half, with every
# seed. Then Dropout and weight decay together: is that better than either?

# ==== 16  If the loss does not fall ===================================================

# Print the first loss, before any step. With C classes and inputs of about the size of
# 1, it should be a little above log C, because random scores of the size 1 are already
# a bit wrong: on average by 0.2 for two classes, and by 0.5 for ten or more. Then look
# it up:
#
#     the first loss is far      Are inputs about as large as 1? Subtract the training
#       larger                   data's mean, divide by its deviation, in new data too.
#     it does not move at all    Is a grad None or 0 everywhere? Does the optimizer have
#                                all parameters? Does the last layer have a ReLU?
#     it leaps or becomes nan    Does each step call zero_grad? Is lr too big? Gradients
#                                of long chains explode; to clip their norm to 1:
#                                  norm = sum((p.grad**2).sum() for p in params) ** 0.5
#                                  for p in params: p.grad /= max(norm, 1.0)
#     it falls too slowly        Can it learn ten examples by heart? If not, print them
#                                with their outputs, and look for a bug. If so, try lr,
#                                then more epochs, then more neurons.
#     it is too good             Does the network see the answer? Chapter 17.
#     it falls in training only  Chapter 15.
#     the answers stay bad       Was eval() called? Are new data prepared like the old?

# Try: give the network of `_which_rate` inputs 100 times as large. The first loss
# should be about 20 to 70 times log 2.

# ==== 17  Attention: a network that writes ============================================

# How does a machine write? It reads some letters (or words or parts of words: tokens),
# gives each possible next one a score, writes the best, and reads again. The last
# letter alone does not say whether "s" begins "she", "sea" or "sells". It must look
# back. But where?
#
# In attention, every place decides for itself (Bahdanau et al., 2015; in this form,
# Vaswani et al., 2017). What the network knows at a place is a row of numbers, h. Three
# trained matrices make three vectors of it:
#
#     q = h @ Wq     the query: what this place looks for
#     k = h @ Wk     the key: what it has to offer to others
#     v = h @ Wv     the value: what they get if they look here
#
# If a query and a key point the same way, their product, a score, is large. Softmax
# turns a query's scores into weights that sum to 1, and the query's place gets the
# weighted mean of the values.
#
# One detail: a sum of C products is about sqrt(C) times as large as one of them (see
# chapter 11). We divide by sqrt(C), so that scores are of the same size whatever C is.


def attention(q, k, v, mask=None) -> Tensor:
    """Scaled dot-product attention: softmax(q k^T / sqrt(C)) v.

    There are T queries `q` (..., T, C), S keys `k` (..., S, C), and a value for each
    key in `v` (..., S, D). The result is (..., T, D).

    `mask` is an array of bools, True where a query may look at a key, of a shape that
    broadcasts to (..., T, S). np.tri(T, dtype=bool) lets each place see itself and what
    came before; a mask (N, 1, S) hides padding. If a row of it has no True, the result
    is nan there, and so is the gradient of v. TypeError if the mask is not of bools.

    With q = 0, all scores are equal, and each place gets the mean of what it may see:

    >>> q = k = np.zeros((3, 4))
    >>> v = np.array([[1.0], [2.0], [6.0]])
    >>> attention(q, k, v).data.ravel().tolist()
    [3.0, 3.0, 3.0]
    >>> attention(q, k, v, np.tri(3, dtype=bool)).data.ravel().tolist()
    [1.0, 1.5, 3.0]

    Scores of log 3 = (4 * 0.5 log 3) / sqrt(4) and 0 give weights of 3/4 and 1/4:

    >>> q = np.full((1, 4), 0.5)
    >>> k = np.outer([np.log(3), 0.0], np.ones(4))
    >>> attention(q, k, np.eye(2)).data.round(9).tolist()
    [[0.75, 0.25]]
    """
    q, k, v = _tensors([q, k, v])
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is not None:
        kind = np.asarray(mask).dtype
        _require(kind == np.bool_, "a mask is of bools, not {}", kind, error=TypeError)
        scores = where(mask, scores, -np.inf)
    return scores.softmax() @ v


# A GPT, a large language model, alternates dozens of attentions and MLPs, and
# normalises in between. We take one of each. One table has a row of numbers for each
# letter, another a row for each place, and we add the two rows. Attention adds what it
# finds elsewhere, and the MLP turns the sum into scores.


def _reading_and_writing():
    """The same network with attention and without.

    `look` says where a place may look: nowhere, at itself and all before it equally,
    back where it wants, or even ahead, at the letters that it is to guess.

    >>> class Reader(Module):
    ...     def __init__(self, letters, length, width, look, rng):
    ...         def random(*shape):
    ...             return Tensor(rng.normal(0, 0.25, shape))
    ...         self.letter = random(letters, width)
    ...         self.place = random(length, width)
    ...         self.Wq = random(width, width)
    ...         self.Wk = random(width, width)
    ...         self.Wv = random(width, width)
    ...         self.mlp = MLP(width, [2 * width, letters], rng=rng)
    ...         self.look = look
    ...     def forward(self, x):                           # (N, T) -> (N, T, letters)
    ...         T = x.shape[1]
    ...         h = self.letter[x] + self.place[:T]         # (N, T, width)
    ...         if self.look != "nowhere":
    ...             q = h @ self.Wq
    ...             if self.look == "equally":
    ...                 q = 0 * q
    ...             mask = None if self.look == "ahead" else np.tri(T, dtype=bool)
    ...             h = h + attention(q, h @ self.Wk, h @ self.Wv, mask)
    ...         return self.mlp(h)

    First task: look two places back
    --------------------------------

    The network is to say the letter two places back. The rows are random, of 12
    letters, each as likely as the others. We learn from 500 rows, ask about 500 others,
    and print the share of right answers for five seeds:

    >>> def right(look, seed):
    ...     rng = np.random.default_rng(seed)
    ...     X = rng.integers(0, 12, (1000, 8))
    ...     y = X[:, :-2]                                   # for the places from 2 on
    ...     model = Reader(12, 8, 16, look, rng)
    ...     optimizer = Adam(model.parameters(), lr=0.02)
    ...     loss = lambda scores, y: cross_entropy(scores[:, 2:], y)
    ...     for epoch in range(10):
    ...         train_epoch(model, optimizer, X[:500], y[:500], loss, 50, rng)
    ...     answers = predict(model, X[500:])[:, 2:].argmax(axis=2)
    ...     return (answers == y[500:]).mean()
    >>> for look in "nowhere", "equally", "back":
    ...     print(f"{look:8}", *[f"{right(look, seed):.2f}" for seed in range(5)])
    nowhere  0.08 0.08 0.08 0.08 0.09
    equally  0.35 0.35 0.35 0.36 0.35
    back     1.00 1.00 1.00 1.00 1.00

    Without attention it guesses, one in twelve. With the mean of all before it, a place
    knows which letters there were, but hardly which came when. With attention, it has
    learned where to look, and is right in rows that it never saw.

    Second task: write
    ------------------

    From every stretch of 12 letters of this line, it learns the letter after each:

    >>> text = "she sells sea shells by the sea shore. "
    >>> length = 12
    >>> letters = sorted(set(text))
    >>> codes = [letters.index(letter) for letter in text + text[:length]]
    >>> X = np.array([codes[i : i + length] for i in range(len(text))])
    >>> y = np.array([codes[i + 1 : i + length + 1] for i in range(len(text))])

    It is still the machine of the first page, with 6,700 dials. After 200 steps, it
    reads the first word and writes on:

    >>> def write(look, seed=3):
    ...     rng = np.random.default_rng(seed)
    ...     model = Reader(len(letters), length, 32, look, rng)
    ...     optimizer = Adam(model.parameters(), lr=0.02)
    ...     for step in range(200):
    ...         loss = train_epoch(model, optimizer, X, y, batch_size=len(X), rng=rng)
    ...     written = codes[: text.index(" ") + 1]
    ...     while len(written) < len(text):
    ...         scores = predict(model, np.array([written[-length:]]))
    ...         written.append(int(scores[0, -1].argmax()))
    ...     line = "".join(letters[code] for code in written)
    ...     print(f"loss {loss:.2f}: {line.strip()}")
    >>> write("nowhere")
    loss 0.74: she she she she she she she she she she
    >>> write("equally")
    loss 0.14: she sells sea shels by the sea shore. s
    >>> write("back")
    loss 0.13: she sells sea shells by the sea shore.

    One seed makes a story, so we tried twenty. With attention, the network wrote the
    line nineteen times. With equal weights it misspelt the line every time, and without
    attention it ran in circles every time.

    Each has learned all that it could. Count what follows what in the line, and you
    find that no loss can be below 0.74 if only the last letter is known. It can be 0.14
    if one also knows which letters came before, in whatever order, and 0.13 if one
    knows them all. (It is not 0, because the first places of a stretch have seen a
    letter or two.)

    A leak
    ------

    Last, we take the mask off, so that each place but the last sees the letter that it
    is to guess:

    >>> write("ahead")
    loss 0.00: she s tshehe se see sea shells by the s

    The loss has never been better, and the line is wrong twenty times out of twenty. At
    nearly all places, the network learned to copy the next letter, which is not there
    when it writes. (The twelfth place had nothing to copy, and learned honestly. It
    goes on as it should.)

    We know that an honest loss cannot be below 0.13. If a result is too good, look for
    the leak.
    """


# Try: a sentence of your own. It can be learned if `length` letters are always enough
# to tell what comes next. You are done when write("back") prints it.

# That is all. You have built automatic differentiation, networks, their training, and
# the operation that made large language models possible; what is left out is mostly
# size. To read on: Karpathy's microgpt, which trains a whole GPT in 200 lines;
# Goodfellow, Bengio and Courville, Deep Learning, 2016; and PyTorch's tutorials, where
# you will know what happens inside `loss.backward()`.


######## Part IV  The small print ######################################################


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing within the block, in this thread. It also works as a decorator.

    >>> x = Tensor(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    >>> (x * x).requires_grad
    True
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


# ---- Arrays --------------------------------------------------------------------------


def _array(x, dtype=None):
    """`x` as an array of float32 or float64.

    A float array with axes keeps its type. Anything else takes `dtype`, that of the
    Tensor it meets, so that np.float64(0.5) does not widen float32.
    """
    if isinstance(x, Tensor):
        return x.data
    array = np.asarray(x)
    own = array.dtype
    if own.char in "fd" and array.ndim and not isinstance(x, (list, tuple)):
        return array.astype(own.newbyteorder("="), copy=False)  # this machine's order
    _require(own.kind in "biuf", "not numbers: {!r:.60}", x, error=TypeError)
    if dtype is None or dtype.kind != "f":
        dtype = np.float32 if own.char == "f" else np.float64
    return array.astype(dtype)


def _tensor(x, dtype=None) -> Tensor:
    """`x` as a Tensor: a number becomes a constant; a list of Tensors is stacked."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (list, tuple)) and _holds_tensor(x):
        return stack(x)
    return Tensor.from_op(_array(x, dtype), "constant")


def _holds_tensor(x):
    if isinstance(x, (list, tuple)):
        return any(_holds_tensor(item) for item in x)
    return isinstance(x, Tensor)


def _product(a, b):
    """a @ b, and its two vjps, for vectors and batches of matrices."""
    fit = a.ndim > 0 and b.ndim > 0
    if fit:
        fit = a.shape[-1] == (b.shape[0] if b.ndim == 1 else b.shape[-2])
    _require(fit, "shapes {} @ {} do not fit", a.shape, b.shape)
    if b.ndim > 2:
        # Each matrix of b meets one of a. A vector on the left is a row.
        rows = a if a.ndim > 1 else a[np.newaxis]
        product = rows @ b
        value = product if a.ndim > 1 else product[..., 0, :]
        vjp_a = lambda g: g.reshape(product.shape) @ b.mT
        vjp_b = lambda g: rows.mT @ g.reshape(product.shape)
        return value, vjp_a, vjp_b
    # One b for all rows of a. These make one tall matrix, whatever their axes, so that
    # the gradient of b is one product, too. A vector on the right is a column.
    rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    columns = b.reshape(b.shape[0], math.prod(b.shape[1:]))
    product = rows @ columns
    value = product.reshape(a.shape[:-1] + b.shape[1:])
    vjp_a = lambda g: (g.reshape(product.shape) @ columns.T).reshape(a.shape)
    vjp_b = lambda g: (rows.T @ g.reshape(product.shape)).reshape(b.shape)
    return value, vjp_a, vjp_b


def _power(a, b):
    """a**b; by multiplication, faster on large arrays, if b is a small whole number."""
    if b.ndim or a.dtype != b.dtype or not 1 <= abs(b) <= 64 or b % 1:
        return a**b
    power = _whole_power(a, int(abs(b)))
    return power if b > 0 else 1 / power


def _whole_power(a, n):
    """a**n for a whole n >= 1, by halving n."""
    if n == 1:
        return a
    half = _whole_power(a, n // 2)
    return half * half * a if n % 2 else half * half


def _places(shape, index):
    """The places, in the flattened array, of the elements that `index` picks."""
    if isinstance(index, tuple) or np.asarray(index).dtype == bool:
        return np.arange(math.prod(shape)).reshape(shape)[index]
    # A list of rows needs no table of all places.
    rows = np.arange(shape[0])[index]
    width = math.prod(shape[1:])
    return rows[..., np.newaxis] * width + np.arange(width)


def _one_hot(labels, shape):
    """An array of `shape`, (..., C), with True at each label and False elsewhere."""
    labels = np.asarray(labels)
    C = shape[-1]
    integers = labels.dtype.kind in "biu"
    if not integers or labels.shape != shape[:-1]:
        found = f"{labels.dtype} {labels.shape}"
        raise ValueError(f"labels are integers {shape[:-1]}, not {found}")
    target = labels[..., np.newaxis] == np.arange(C)
    if target.sum() != labels.size:  # a label that is out of range has no True
        text = f"labels {labels.min()} to {labels.max()}, but classes 0 to {C - 1}"
        raise ValueError(text + "; to leave rows out, select the others")
    return target


def _slope(result, x, index, eps):
    """How fast result() grows with the element of x at `index`, from two runs of it."""
    old = x.data[index]
    try:
        x.data[index] = old + eps
        above = result()
        x.data[index] = old - eps
        return (above - result()) / (2 * eps)
    finally:
        x.data[index] = old


def _shifted(x, axis):
    """x minus its maximum along `axis`. With `initial`, NumPy takes half as long."""
    return x - np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf)


def _exp(z, out=None):
    """e^z for z <= 0, where float32 has 0 for numbers below 1e-30.

    Below 1e-38, numbers of float32 are subnormal, and a processor takes many times as
    long for them. Between these two, products with small gradients would become so.
    """
    e = np.exp(z, out=out)
    if e.itemsize == 4:
        e *= e >= 1e-30
    return e


# ---- Joining and choosing ------------------------------------------------------------


def stack(tensors, axis=0) -> Tensor:
    """Join a list of Tensors, arrays or numbers of one shape along a new `axis`.

    ValueError if it is not a list, is empty, or the shapes differ.

    >>> x = Tensor([1.0, 2.0])
    >>> y = stack([x, [3.0, 4.0]])
    >>> y.data.tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    >>> y.backward([[5.0, 6.0], [7.0, 8.0]])
    >>> x.grad.tolist()
    [5.0, 6.0]
    """
    tensors = _tensors(tensors)
    value = np.stack([t.data for t in tensors], axis)
    # i=i keeps the current i; otherwise every lambda would use the last one.
    pairs = [(t, lambda g, i=i: g.take(i, axis)) for i, t in enumerate(tensors)]
    return Tensor.from_op(value, "stack", *pairs)


def concatenate(tensors, axis=0) -> Tensor:
    """Join a list of Tensors or arrays end to end along an existing `axis`.

    ValueError if it is not a list, is empty, or the shapes do not fit.

    >>> x = Tensor([1.0, 2.0])
    >>> y = concatenate([[0.5], x])
    >>> y.data.tolist()
    [0.5, 1.0, 2.0]
    >>> y.backward([5.0, 6.0, 7.0])
    >>> x.grad.tolist()
    [6.0, 7.0]
    """
    tensors = _tensors(tensors)
    value = np.concatenate([t.data for t in tensors], axis)
    ends = np.cumsum([t.shape[axis] for t in tensors])
    places = np.split(np.arange(ends[-1]), ends[:-1])  # each input's, along the axis
    pairs = [(t, lambda g, at=at: g.take(at, axis)) for t, at in zip(tensors, places)]
    return Tensor.from_op(value, "concatenate", *pairs)


def where(condition, a, b) -> Tensor:
    """Elements of `a` where `condition`, an array, is True, else of `b`.

    A branch that is not taken gets the gradient 0. If it is infinite or nan there, its
    own slope may still be nan, and 0 * nan is nan: then choose its input first, as in
    where(x.data > 0, where(x.data > 0, x, 1).log(), 0).

    >>> x = Tensor([-4.0, 2.0])
    >>> y = where(x.data > 0, x, 0.25 * x)          # a leaky ReLU
    >>> y.data.tolist()
    [-1.0, 2.0]
    >>> y.sum().backward()
    >>> x.grad.tolist()
    [0.25, 1.0]
    """
    a, b = _tensors([a, b])
    yes = np.array(condition, bool)
    value = np.where(yes, a.data, b.data)
    pairs = (a, lambda g: np.where(yes, g, 0)), (b, lambda g: np.where(yes, 0, g))
    return Tensor.from_op(value, "where", *pairs)


def _tensors(members):
    """Each member of a list as a Tensor; numbers take the dtype of the Tensors."""
    _require(isinstance(members, (list, tuple)), "not a list: {!r:.60}", members)
    dtypes = {x.dtype for x in members if isinstance(x, Tensor)}
    dtype = np.result_type(*dtypes) if dtypes else None
    return [_tensor(x, dtype) for x in members]


# ---- Helpers for networks ------------------------------------------------------------


def _activation(nonlin) -> Any:
    """The function that `nonlin` means, or None."""
    if nonlin is True:
        return Tensor.relu
    good = callable(nonlin) or not nonlin
    _require(good, "nonlin is a function or None, not {!r}", nonlin, error=TypeError)
    return nonlin or None


def _first_weights(shape, nonlin, rng):
    """Random weights of the size that chapter 11 derives; shape[0] is nin."""
    mean_square = (2 if nonlin is Tensor.relu else 1) / shape[0]
    return np.random.default_rng(rng).normal(0, math.sqrt(mean_square), shape)


def _search(x, name, found):
    """Add the Tensors, arrays and Modules in x to `found`, {id: (name, member)}."""
    if isinstance(x, (Tensor, np.ndarray, Module)):
        if id(x) in found or (isinstance(x, Tensor) and x.op):  # a result has an op
            return
        found[id(x)] = (name, x)
    if isinstance(x, Module):
        x = vars(x)
    elif isinstance(x, (list, tuple)):
        x = dict(enumerate(x))
    if isinstance(x, dict):
        for key, member in x.items():
            _search(member, f"{name}.{key}" if name else f"{key}", found)


def _describe(x, outside=()):
    """The repr of a Module or an Optimizer, and of what is in it."""
    if isinstance(x, (list, tuple)):
        return f"[{', '.join(_describe(member, outside) for member in x)}]"
    if isinstance(x, _Saveable):
        if any(x is module for module in outside):
            return "..."  # it holds itself
        inside = {n: _describe(m, (*outside, x)) for n, m in vars(x).items()}
        shown = [f"{name}={text}" for name, text in inside.items() if name[0] != "_"]
        return f"{type(x).__name__}({', '.join(shown)})"
    return str(getattr(x, "__name__", getattr(x, "shape", x)))


def to_dot(tensor, names=None) -> str:
    """The graph behind `tensor` in the DOT language, which draws pictures of graphs.

    `names` is a dict {name: tensor}. Constants are left out, and numbers are shown for
    up to four elements. `dot -Tsvg graph.dot -o graph.svg` draws it.

    >>> x = Tensor(2.0)
    >>> text = to_dot(x * x, {"x": x})
    >>> text.count("->")                            # two arrows, both from x
    2
    """
    called = {id(t): name for name, t in dict(names or {}).items()}
    lines = ["digraph {", "  rankdir=LR"]
    todo = [tensor]
    seen = {tensor}
    for t in todo:  # which grows on the way
        rows = [f"{called.get(id(t), '')} {t.op}".strip(), str(t.shape)]
        if t.size <= 4:
            rows += [f"data {t.data}", f"grad {t.grad}"]
        label = r"\n".join(rows).replace('"', r"\"")
        lines.append(f'  n{t._age} [shape=box, label="{label}"]')
        for source, _ in t._inputs:
            lines.append(f"  n{source._age} -> n{t._age}")
            if source not in seen:
                seen.add(source)
                todo.append(source)
    return "\n".join([*lines, "}"])


# ---- Checks --------------------------------------------------------------------------


def _first_gradient(t, gradient):
    """The gradient with which `backward` begins, an array of t's shape."""
    _require(t.requires_grad, "nothing here requires a gradient", error=RuntimeError)
    if gradient is None:
        text = "shape {}: pass a gradient, or call .sum().backward()"
        _require(t.data.size == 1, text, t.data.shape)
        return np.ones(t.data.shape, t.data.dtype)
    g = np.array(_array(gradient), t.data.dtype)
    _require(g.shape == t.shape, "a gradient {} for a tensor {}", g.shape, t.shape)
    return g


def _require(good, text, *values, error: Any = ValueError):
    if not good:
        raise error(text.format(*values))


if sys.version_info < (3, 10) or int(np.__version__.split(".")[0]) < 2:
    raise ImportError("minigrad needs Python 3.10 and NumPy 2.0, or newer")

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
