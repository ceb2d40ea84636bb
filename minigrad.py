# SPDX-License-Identifier: MIT
"""minigrad: automatic differentiation and neural networks, in one file to read.

A neural network is a function with many adjustable numbers, its parameters. To
train it is to ask, again and again: if I change this parameter a little, how much
does the error change? The answers, one slope for each parameter, are called the
gradient. Moving every parameter a small step against its slope makes the error
smaller. That is all that training is, and all of it is in this file.

How could a computer find the slopes? It could try: change one parameter, run the
network again, look at the error. With a million parameters that is a million runs
for one step. There is a better way, because a program that calculates with numbers
is a chain of additions, products, exponentials, and each of these has a slope that
school mathematics knows. The chain rule multiplies them:

    y = x * x,  z = 3 * y        dz/dx = dz/dy * dy/dx = 3 * 2x

So we note down every operation while the program runs, then walk the notes and
multiply. In which direction? Walking forwards from one parameter finds its effect on
everything, but a million parameters need a million walks. Walking backwards from the
error finds the effect of everything on the error, and there is only one error: one
walk, at about the cost of two more runs. This is reverse-mode differentiation, in
neural networks called backpropagation (Baydin et al., Automatic Differentiation in
Machine Learning: a Survey, 2018, sec. 3.2). PyTorch does just this when you call
`loss.backward()`, and here it is:

>>> x = Tensor([1.0, 2.0, 3.0])
>>> z = (3 * x * x).sum()
>>> z.backward()                  # fills x.grad with dz/dx = 6x
>>> x.grad.tolist()
[6.0, 12.0, 18.0]

Trying agrees: changing x[1] by a millionth changes z twelve times as much.

>>> bigger = (3 * Tensor([1.0, 2.000001, 3.0]) ** 2).sum()
>>> round(float(bigger.data - z.data) / 0.000001, 3)
12.0

By the end you will know what happens inside `backward()`, why each kind of layer
exists and how an optimizer uses the gradient. Names are those of PyTorch, NumPy or
micrograd, so what you learn here you can use there. (Unlike PyTorch's, a Tensor wants
its gradient unless you say otherwise, and `backward` may be called twice.)

The chapters; each needs only those before it, though an example may look ahead:

    1  Undoing broadcasting           6  Joining tensors, and losses
    2  Tensor and backward            7  Checking and seeing
    3  Arithmetic                     8  Modules: from a neuron to a network
    4  Matrices, sums, shapes         9  Training differs from evaluation
    5  Activations and softmax       10  Optimizers

Notation:

    a, b     the arrays that an operation takes in
    g        the gradient of the final result with respect to an operation's output:
             how much the result grows for each unit by which the output grows
    N        examples in a batch      C   features, channels or classes
    (N, C)   the shape of an array; a comment like  # (N, C) -> (N,)  tracks it

Left out: GPUs, convolutions, gradients of gradients, and speed beyond what NumPy
gives. The file needs Python 3.9 and NumPy 1.24 or newer. You may copy it into a
project; running it (`python minigrad.py`) checks every example that you read in it.
"""
import contextlib
import contextvars
from collections.abc import Mapping

import numpy as np

__all__ = [
    "Tensor", "no_grad", "stack", "concatenate", "cross_entropy", "mse_loss",
    "gradcheck", "to_dot", "Module", "Neuron", "Layer", "Sequential", "MLP",
    "Dropout", "BatchNorm1d", "Optimizer", "SGD", "Adam",
]  # fmt: skip


# ======================================================================================
# 1  Undoing broadcasting
#
# NumPy stretches arrays to a common shape: in (32, 10) + (10,) the ten numbers are used
# in each of the 32 rows. A number that is used 32 times influences the result in 32
# ways, and the total influence is their sum. So a gradient that comes back in the
# stretched shape is summed over the axes that were stretched. Any operation may
# broadcast; the undoing happens here alone, when `backward` asks for it.


def _unbroadcast(gradient, shape):
    """The gradient of an input of `shape`, from one of the shape it was stretched to.

    >>> _unbroadcast(np.ones((32, 2)), (2,)).tolist()   # each was used in 32 rows
    [32.0, 32.0]
    >>> _unbroadcast(np.ones((2, 3)), (2, 1)).tolist()  # each was used in 3 columns
    [[3.0], [3.0]]
    """
    padded = (1,) * (gradient.ndim - len(shape)) + shape  # as NumPy pads it
    sizes = enumerate(zip(gradient.shape, padded))
    stretched = tuple([axis for axis, (n, before) in sizes if n != before])
    total = np.add.reduce(gradient, axis=stretched, keepdims=True)
    if total.shape != padded:
        raise ValueError(f"a gradient of {gradient.shape} for an input of {shape}")
    return total.reshape(shape)


# ======================================================================================
# 2  Tensor and backward
#
# A Tensor is a NumPy array that remembers where it came from. The results of operations
# point to their inputs, so after any calculation the tensors form a graph: the final
# result at one end, at the other the tensors you made yourself, its leaves. One idea
# carries everything else:
#
#     An operation is its value and, for every input, a function that turns the
#     gradient of the output into the gradient of that input.
#
# Those functions hold arrays, never the output tensor, which holds them: such a cycle
# would live until the garbage collector runs. So dropping the result frees the graph.


# Whether results remember their inputs. Each thread has its own value.
_recording = contextvars.ContextVar("recording", default=True)


@contextlib.contextmanager
def no_grad():
    """Record nothing in this block, in this thread: for evaluating and for updating.

    Results need no gradient and keep no graph alive.

    >>> x = Tensor(2.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad, (x * x).requires_grad
    (False, True)
    """
    before = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(before)


class Tensor:
    """An array of numbers that remembers how it was computed.

    Tensor(data, requires_grad=True): `data` is a number, a nested list, an array or a
    Tensor, and is copied. Integers and booleans become float64; float32 and float64
    stay as they are. Anything else is a TypeError; a ragged list is a ValueError.

    `data` is the array. `grad` is None until `backward` puts an array of data's shape
    and dtype there. `requires_grad` says whether gradients are wanted; `op` names the
    operation that made the tensor and is empty for a leaf. `shape`, `ndim`, `size`,
    `dtype` and `T` are those of the array.

    >>> t = Tensor([[1, 2, 3], [4, 5, 6]])
    >>> t.shape, t.ndim, t.size, str(t.dtype), len(t), t.grad
    ((2, 3), 2, 6, 'float64', 2, None)
    >>> t.T.shape, [row.shape for row in t]
    ((3, 2), [(3,), (3,)])
    >>> t
    Tensor([[1., 2., 3.],
            [4., 5., 6.]])
    """

    __slots__ = ("data", "grad", "requires_grad", "op", "_inputs", "__weakref__")

    def __init__(self, data, requires_grad=True):
        self.data = np.array(Tensor._floats(data))
        self.grad = None
        self.requires_grad = bool(requires_grad)
        self.op = ""
        self._inputs = []  # (tensor, gradient function) pairs; a leaf has none

    @staticmethod
    def _floats(data, dtype=None):
        """`data` as an array of float32 or float64, copied only if it must be.

        `dtype` is that of the tensor that data meets in an operation. Plain numbers and
        integers adopt it, because a 2 should not turn a float32 network into float64.
        """
        if isinstance(data, Tensor):
            return data.data
        if Tensor._holds_tensor(data):
            raise TypeError("Tensors in a list: join them with minigrad.stack(list)")
        array = np.asarray(data)
        kind = array.dtype.kind  # b, i, u and f: bool, int, unsigned and float
        if kind in "biu" or (dtype is not None and kind == "f" and array.ndim == 0):
            return array.astype(dtype or np.float64)
        if array.dtype.char not in "fd":  # float32, float64
            what = f"{type(data).__name__} of {array.dtype}"
            raise TypeError(f"no numbers: {what}; try np.asarray(x, np.float64)")
        # Other byte orders, as in files from other machines, become this machine's.
        return array if array.dtype.isnative else array.astype(array.dtype.char)

    @staticmethod
    def _holds_tensor(x):
        """Is x a Tensor, or a nested list with one in it?"""
        if isinstance(x, (list, tuple)):
            return any(map(Tensor._holds_tensor, x))
        return isinstance(x, Tensor)

    # ---- Making a node ---------------------------------------------------------------

    @staticmethod
    def from_op(value, op, *inputs):
        """A Tensor for the `value` of the operation named `op`: how every node is made.

        Each of `inputs` is a pair `(tensor, function)`. The function takes the gradient
        of the output, an array of value's shape that it must not change, and returns
        the gradient of that tensor, in tensor's shape or one it broadcasts to. Inputs
        that are not Tensors, or need no gradient, are constants: their functions are
        neither recorded nor called. `value` is not copied.

        This is all you need to add an operation of your own, elsewhere:

        >>> def softplus(x):              # log(1 + e^x), with slope e^x / (1 + e^x)
        ...     a = x.data
        ...     value = np.logaddexp(0, a)
        ...     return Tensor.from_op(
        ...         value, "softplus", (x, lambda g: g * np.exp(a - value)))
        >>> x = Tensor([0.0, 1000.0])
        >>> softplus(x).sum().backward()
        >>> x.grad.tolist()
        [0.5, 1.0]
        """
        out = Tensor.__new__(Tensor)
        out.data = np.asarray(value)
        if out.data.dtype.char not in "fd":
            raise TypeError(f"{op!r} gives {out.data.dtype}; are all .data floats?")
        recorded = []
        if _recording.get():
            for pair in inputs:
                if isinstance(pair[0], Tensor) and pair[0].requires_grad:
                    recorded.append(pair)
        out.grad = None
        out.requires_grad = bool(recorded)
        out.op = op if recorded else ""
        out._inputs = recorded
        return out

    def detach(self):
        """The same array as a constant: gradients stop here.

        >>> x = Tensor(3.0)
        >>> (x * x.detach()).backward()         # d(x * 3)/dx, not d(x * x)/dx
        >>> float(x.grad)
        3.0
        """
        return Tensor.from_op(self.data, "")

    @staticmethod
    def _as_tensor(x, dtype):
        """`x` as a Tensor, a constant if it was not one; for `dtype`, see `_floats`."""
        if isinstance(x, Tensor):
            return x
        return Tensor.from_op(Tensor._floats(x, dtype), "")

    # ---- Walking backwards -----------------------------------------------------------
    #
    # If x influences the result along two paths, its gradient is the sum over both, by
    # the chain rule for several variables. So a tensor may pass its gradient on only
    # when every tensor that used it has delivered its share. Take a = 2 * x, b = a + 1,
    # c = a * b. Walking back from c, the tensor a must wait for b's share too; going on
    # with c's alone would send x a half-finished gradient. An order that always waits
    # long enough is called topological. We find one by counting (Kahn, 1962): `uses`
    # says how many shares a tensor still waits for, and at 0 it is ready.

    def _gradients(self, gradient):
        """{tensor: gradient} for self, whose own is given, and for all behind it."""
        uses, behind = {}, [self]
        # A loop over a list that grows, not recursion: graphs may be a million deep.
        for node in behind:
            for tensor, _ in node._inputs:
                uses[tensor] = uses.get(tensor, 0) + 1
                if uses[tensor] == 1:
                    behind.append(tensor)

        gradients, ready = {self: gradient}, [self]
        for node in ready:  # this list grows as well
            # Some functions return g itself, as both of x + y do. Then several tensors
            # share this array, so g is a view into which nobody may write.
            g = gradients[node] = gradients[node].view()
            g.setflags(write=False)
            for tensor, function in node._inputs:
                # asarray, as NumPy turns 0-d arrays into scalars when it calculates
                data, share = tensor.data, np.asarray(function(g))
                if share.shape != data.shape:
                    share = _unbroadcast(share, data.shape)
                if share.dtype is not data.dtype:
                    share = share.astype(data.dtype, casting="same_kind")
                if tensor in gradients:
                    share = np.asarray(gradients[tensor] + share)
                gradients[tensor] = share
                uses[tensor] -= 1
                if not uses[tensor] and tensor._inputs:
                    ready.append(tensor)
        return gradients

    def backward(self, gradient=None):
        """Differentiate this tensor with respect to every tensor it was computed from.

        The results go to `grad`. A leaf's `grad` accumulates: each call adds to it, so
        that the gradients of several losses add up, until you set it to None. That of
        an inner node is set, and is read-only: it is there to be looked at.

        `gradient` is the gradient of some further result with respect to this tensor,
        of the same shape. It may be left out for a tensor of one element: then it is 1.
        A ValueError if it is missing or of another shape; a RuntimeError if there is
        nothing to differentiate with respect to. An error on the way changes no `grad`.

        In this example a waits for two shares (one alone would give x 6 or 4):

        >>> x = Tensor(1.0)
        >>> a = 2 * x
        >>> c = a * (a + 1)                     # dc/dx = 2 (2a + 1)
        >>> c.backward()
        >>> float(a.grad), float(x.grad)
        (5.0, 10.0)

        Calling it again adds the same gradient again. An engine that keeps its running
        sums in the nodes themselves, as micrograd does, would go on from a's old 5:

        >>> c.backward()
        >>> float(a.grad), float(x.grad)
        (5.0, 20.0)

        A walk that followed every path to its end would never finish sixty doublings,
        which have 2**60 paths:

        >>> x = Tensor(1.0)
        >>> y = x
        >>> for _ in range(60):
        ...     y = y + y
        >>> y.backward()
        >>> float(x.grad) == 2.0 ** 60
        True

        And a walk by recursion would run out of stack in a chain of 5000 additions:

        >>> x = Tensor([1.0, 2.0])
        >>> y = x
        >>> for _ in range(5000):
        ...     y = y + 1.0
        >>> y.backward(gradient=[0.5, 0.25])
        >>> x.grad.tolist()
        [0.5, 0.25]
        """
        if not self.requires_grad:
            why = "no input has requires_grad, or it was computed under no_grad"
            raise RuntimeError(f"backward has nothing to differentiate: {why}")
        if gradient is None:
            if self.size != 1:
                hint = "did you mean .sum().backward() or .mean().backward()?"
                raise ValueError(f"{self.shape} needs a gradient of its shape; {hint}")
            gradient = np.ones(self.shape, self.dtype)
        else:
            gradient = np.array(Tensor._floats(gradient), dtype=self.dtype)
            if gradient.shape != self.shape:
                raise ValueError(f"gradient {gradient.shape} for a tensor {self.shape}")

        # Written only now, after all that can fail. A leaf owns its gradient, so that
        # you may scale or clip it in place: hence the copy.
        for tensor, g in self._gradients(gradient).items():
            if tensor._inputs:
                tensor.grad = g
            elif tensor.grad is None:
                tensor.grad = g.copy()
            else:
                tensor.grad = np.asarray(tensor.grad + g)

    # ---- Being a Python object -------------------------------------------------------

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)

    def item(self):
        """The one element as a Python float; a ValueError if there are more.

        >>> Tensor([[0.5]]).item()
        0.5
        """
        return self.data.item()

    def __float__(self):
        return float(self.item())

    def __bool__(self):
        return bool(self.data)

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"Tensor({text}{dtype}{f', op={self.op!r}' if self.op else ''})"

    def __format__(self, spec):  # f"{loss:.4f}"
        return format(self.item() if spec else str(self), spec)

    def __reduce__(self):
        # Copies and pickles take the numbers along, not the graph: they are leaves. A
        # None and a dict is how __slots__ are set.
        grad = None if self.grad is None else self.grad.copy()
        return Tensor, (self.data, self.requires_grad), (None, {"grad": grad})

    # A Tensor equals only itself, so that it can be a key of a dict, as in
    # `_gradients`. Comparing numbers is NumPy's business and has no gradient. The error
    # saves you from `t == 3` being False in silence.

    __hash__ = object.__hash__

    def __eq__(self, other):
        if np.isscalar(other) or isinstance(other, (list, tuple, np.ndarray)):
            self._compare(other)
        return self is other

    def _compare(self, other):
        raise TypeError("Tensors are not compared by value: compare their .data")

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    # NumPy asks these methods what to do with a Tensor among its arguments. `asarray`
    # and `array` get the data. Operators with an array on the left, as in `X @ W`, are
    # ours. Other NumPy functions would lose the gradient without a word: a TypeError.

    def __array__(self, dtype=None, copy=None):
        array = np.asarray(self.data, dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        names = dict(add="add", subtract="sub", multiply="mul", divide="truediv",
                     power="pow", matmul="matmul")  # fmt: skip
        operator = names.get(ufunc.__name__) if method == "__call__" else None
        if operator and not kwargs and not isinstance(inputs[0], Tensor):
            return getattr(self, f"__r{operator}__")(inputs[0])
        return self.__array_function__(ufunc)

    def __array_function__(self, function, *_):  # any NumPy function but a ufunc
        name = function.__name__
        instead = "its operators and methods"
        if hasattr(Tensor, name):
            instead = f"t.{name}"
        elif name in __all__:
            instead = f"minigrad.{name}"
        message = f"np.{name} loses the gradient of a Tensor t: use {instead}"
        raise TypeError(f"{message}, or pass t.data if you want none")

    # ==================================================================================
    # 3  Arithmetic
    #
    # Now every operation is one row of a table of derivatives. In a product, the output
    # changes by b when a changes by one, so the gradient of a is g * b. Numbers and
    # plain arrays in an expression are constants (not copied: leave them as they are
    # until `backward` is done). NumPy broadcasts on the way forward; `backward` undoes
    # it, so no row below needs to think of shapes.

    def _operands(self, other):
        """The arrays of self and other in one dtype; numbers adopt that of self."""
        a = self.data
        if isinstance(other, Tensor):
            b = other.data
        elif isinstance(other, (int, float)):
            return a, a.dtype.type(other)
        else:
            b = Tensor._floats(other, a.dtype)
        # NumPy 2 would do the same by itself, but in NumPy 1 a 0-d array has no say.
        if a.dtype is not b.dtype:
            dtype = np.result_type(a.dtype, b.dtype)
            a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        return a, b

    def __add__(self, other):
        a, b = self._operands(other)
        return Tensor.from_op(a + b, "+", (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other):
        a, b = self._operands(other)
        return Tensor.from_op(a - b, "-", (self, lambda g: g), (other, lambda g: -g))

    def __mul__(self, other):
        a, b = self._operands(other)
        return Tensor.from_op(
            a * b, "*", (self, lambda g: g * b), (other, lambda g: g * a)
        )

    def __truediv__(self, other):
        a, b = self._operands(other)
        value = a / b
        return Tensor.from_op(
            value, "/", (self, lambda g: g / b), (other, lambda g: -g * value / b)
        )

    def __pow__(self, other):
        """a ** b, of which both may be Tensors.

        x^0 is constant: its slope is 0, at x = 0 too, where the formula says 0 * inf.

        >>> x = Tensor([0.0, 2.0])
        >>> (x**0 + x**3).sum().backward()
        >>> x.grad.tolist()
        [0.0, 12.0]
        """
        a, b = self._operands(other)
        value = a**b

        def base(g):  # b a^(b-1)
            return g * b * a ** np.where(b == 0, 0, b - 1)

        def exponent(g):  # a^b log a, but 0 for a = 0 and b >= 0
            return g * value * np.log(np.where((a == 0) & (b >= 0), 1, a))

        return Tensor.from_op(value, "**", (self, base), (other, exponent))

    def __neg__(self):
        return Tensor.from_op(-self.data, "neg", (self, lambda g: -g))

    # Python calls these for `2 - t`, after the number itself has declined.

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return Tensor._as_tensor(other, self.dtype) - self

    def __rtruediv__(self, other):
        return Tensor._as_tensor(other, self.dtype) / self

    def __rpow__(self, other):
        return Tensor._as_tensor(other, self.dtype) ** self

    def __rmatmul__(self, other):
        return Tensor._as_tensor(other, self.dtype) @ self

    # `t += x` makes a new tensor and gives it the name t, which is what you want where
    # you add up a loss. In `w -= lr * w.grad` you want to change w itself, and the new
    # tensor would leave it as it was. We tell it by the array, or by no_grad.

    def _in_place(self, other):
        update = isinstance(other, (np.ndarray, np.generic)) or not _recording.get()
        if update and self.requires_grad and not self._inputs:
            raise TypeError("t -= x only rebinds the name t: write t.data -= x")
        return NotImplemented  # and Python goes on to t = t - x

    __iadd__ = __isub__ = __imul__ = __itruediv__ = _in_place

    # ==================================================================================
    # 4  Matrices, sums, shapes
    #
    # The matrix product is where a network spends its time. In Y = A B, the element
    # A[i, k] meets B[k, j] in each Y[i, j]. So the gradient of A[i, k] is the sum over
    # j of G[i, j] B[k, j], where G is the gradient of Y. That is a matrix product
    # again: G B^T for A, and likewise A^T G for B. The other operations of this chapter
    # only add, pick or move numbers; their gradients go back the same ways.

    def __matmul__(self, other):
        """The matrix product; 1-D, 2-D, batched and broadcast as in `np.matmul`.

        A ValueError if the shapes do not fit.

        >>> A, B = Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])
        >>> (A @ B).data.tolist()               # (1, 2) @ (2, 1) -> (1, 1)
        [[11.0]]
        >>> (A @ B).backward()
        >>> A.grad.tolist(), B.grad.tolist()
        ([[3.0, 4.0]], [[1.0], [2.0]])
        """
        a, b = self._operands(other)
        try:
            value = a @ b
        except ValueError:
            message = f"matmul: shapes {a.shape} and {b.shape} do not fit"
            raise ValueError(message) from None
        # matmul takes a vector for a matrix of one row (on the left) or one column (on
        # the right) and drops that axis from the result. We put it back and work with
        # matrices alone.
        row, column = a.ndim == 1, b.ndim == 1
        A = a[np.newaxis, :] if row else a
        B = b[:, np.newaxis] if column else b

        def matrix(g):
            g = g[..., np.newaxis] if column else g
            return g[..., np.newaxis, :] if row else g

        def left(g):
            d = matrix(g) @ B.swapaxes(-1, -2)
            return d[..., 0, :] if row else d

        def right(g):
            d = A.swapaxes(-1, -2) @ matrix(g)
            return d[..., 0] if column else d

        return Tensor.from_op(value, "@", (self, left), (other, right))

    def sum(self, axis=None, keepdims=False):
        """The sum over `axis`, an int or a tuple of ints; over all axes if it is None.

        >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.sum().item(), x.sum(axis=0).data.tolist()
        (10.0, [4.0, 6.0])
        >>> x.sum(axis=1, keepdims=True).shape
        (2, 1)
        """
        kept = self.data.sum(axis=axis, keepdims=True)
        ones, shape = kept.shape, self.shape

        def spread(g):  # every summand has slope 1, so each gets its sum's gradient
            return np.broadcast_to(g.reshape(ones), shape)

        value = kept if keepdims else kept.squeeze(axis)
        return Tensor.from_op(value, "sum", (self, spread))

    def mean(self, axis=None, keepdims=False):
        """The mean over `axis`, an int or a tuple of ints; over all axes if it is None.

        >>> x = Tensor([1.0, 2.0, 3.0, 6.0])
        >>> x.mean().backward()
        >>> x.mean().item(), x.grad.tolist()
        (3.0, [0.25, 0.25, 0.25, 0.25])
        """
        total = self.sum(axis, keepdims)
        return total / (self.size // max(total.size, 1))  # total may be empty

    def max(self, axis=None, keepdims=False):
        """The largest element along `axis`, an int, a tuple or None for all.

        Only the largest element matters to the result, so it alone gets the gradient.
        Elements that tie for the maximum share it equally, as in PyTorch's `amax`.

        >>> x = Tensor([1.0, 7.0, 7.0])
        >>> x.max().backward()
        >>> x.grad.tolist()
        [0.0, 0.5, 0.5]
        """
        return self._extreme("max", axis, keepdims)

    def min(self, axis=None, keepdims=False):
        """The smallest element along `axis`; like `max` in everything else.

        >>> Tensor([[4.0, 2.0], [1.0, 3.0]]).min(axis=1).data.tolist()
        [2.0, 1.0]
        """
        return self._extreme("min", axis, keepdims)

    def _extreme(self, name, axis, keepdims):
        a = self.data
        kept = getattr(a, name)(axis=axis, keepdims=True)

        def chosen(g):
            ties = a == kept
            return g.reshape(kept.shape) * ties / ties.sum(axis=axis, keepdims=True)

        value = kept if keepdims else kept.squeeze(axis)
        return Tensor.from_op(value, name, (self, chosen))

    def reshape(self, *shape):
        """The same elements in another shape, as in NumPy: -1 stands for "the rest".

        >>> Tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, -1).data.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        old = self.shape
        value = self.data.reshape(*shape)
        return Tensor.from_op(value, "reshape", (self, lambda g: g.reshape(old)))

    def transpose(self, *axes):
        """The axes in another order, as in NumPy; reversed if no order is given.

        >>> t = Tensor([[[1.0, 2.0, 3.0]]])         # (1, 1, 3)
        >>> t.transpose(0, 2, 1).shape, t.transpose().shape
        ((1, 3, 1), (3, 1, 1))
        """
        value = self.data.transpose(*axes)
        order = axes[0] if len(axes) == 1 else axes  # (1, 0) may come as a tuple
        back = None  # without an order, reversing the axes again restores them
        if axes and order is not None:
            back = np.argsort(np.ravel(order) % self.ndim)  # the inverse permutation
        return Tensor.from_op(value, "transpose", (self, lambda g: g.transpose(back)))

    T = property(transpose)

    def __getitem__(self, index):
        """`t[index]`, with every index that NumPy takes.

        An element that is picked several times gets the sum of its gradients. This is
        why looking up rows of a table by number (an embedding) can be trained.

        >>> table = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> table[[0, 2, 0]].sum().backward()       # row 0 twice, row 1 never
        >>> table.grad.tolist()
        [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
        """
        a = self.data

        def scatter(g):
            d = np.zeros_like(a)
            np.add.at(d, index, g)  # d[index] += g would count a repeated index once
            return d

        return Tensor.from_op(a[index], "[]", (self, scatter))

    # ==================================================================================
    # 5  Activations and softmax
    #
    # Without a curve between them, two layers of matrix products are just another
    # matrix product. ReLU, tanh and sigmoid, the activation functions, are the bends
    # that let a network learn more than a straight line. Some derivatives are written
    # with the value, as it is there already: (e^x)' = e^x, tanh' = 1 - tanh^2.

    def exp(self):
        """e to the power of each element.

        >>> x = Tensor(0.0)
        >>> x.exp().backward()
        >>> x.exp().item(), float(x.grad)
        (1.0, 1.0)
        """
        value = np.exp(self.data)
        return Tensor.from_op(value, "exp", (self, lambda g: g * value))

    def log(self):
        """The natural logarithm of each element.

        >>> x = Tensor([1.0, 4.0])
        >>> x.log().sum().backward()
        >>> x.grad.tolist()                         # 1 / x
        [1.0, 0.25]
        """
        a = self.data
        return Tensor.from_op(np.log(a), "log", (self, lambda g: g / a))

    def sqrt(self):
        """The square root of each element. The slope at 0 is infinite.

        >>> x = Tensor(4.0)
        >>> x.sqrt().backward()
        >>> x.sqrt().item(), float(x.grad)          # 1 / (2 sqrt x)
        (2.0, 0.25)
        """
        value = np.sqrt(self.data)
        return Tensor.from_op(value, "sqrt", (self, lambda g: g / (2 * value)))

    def abs(self):
        """The size of each element without its sign. The slope at 0 is taken as 0.

        >>> x = Tensor([-2.0, 0.0, 3.0])
        >>> x.abs().sum().backward()
        >>> x.grad.tolist()
        [-1.0, 0.0, 1.0]
        """
        a = self.data
        return Tensor.from_op(np.abs(a), "abs", (self, lambda g: g * np.sign(a)))

    def relu(self):
        """max(x, 0), the rectified linear unit. The slope at 0 is taken as 0.

        >>> x = Tensor([-1.0, 0.0, 2.0])
        >>> x.relu().sum().backward()
        >>> x.relu().data.tolist(), x.grad.tolist()
        ([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])
        """
        a = self.data
        # Without dtype, NumPy 1 turns a 0-d float32 into float64. As no value is
        # negative, its sign is the slope: 0 or 1.
        value = np.maximum(a, 0, dtype=a.dtype)
        return Tensor.from_op(value, "relu", (self, lambda g: g * np.sign(value)))

    def tanh(self):
        """The hyperbolic tangent: an S-shaped curve from -1 to 1 with slope 1 at 0.

        >>> x = Tensor(0.0)
        >>> x.tanh().backward()
        >>> x.tanh().item(), float(x.grad)
        (0.0, 1.0)
        """
        value = np.tanh(self.data)
        return Tensor.from_op(value, "tanh", (self, lambda g: g * (1 - value * value)))

    def sigmoid(self):
        """1 / (1 + e^-x): an S-shaped curve from 0 to 1 with slope 1/4 at 0.

        The formula as it stands overflows for x = -1000. Multiplied by e^x above and
        below it reads e^x / (1 + e^x), which overflows for x = 1000. So each half of
        the axis gets the form that only ever meets e^-|x|.

        >>> x = Tensor([-1000.0, 0.0, 1000.0])
        >>> x.sigmoid().sum().backward()
        >>> x.sigmoid().data.tolist(), x.grad.tolist()
        ([0.0, 0.5, 1.0], [0.0, 0.25, 0.0])
        """
        a = self.data
        e = np.exp(-np.abs(a))
        value = (np.where(a >= 0, 1, e) / (1 + e)).astype(a.dtype)
        # The slope is value * (1 - value), but 1 - value would lose its digits near 1.
        return Tensor.from_op(value, "sigmoid", (self, lambda g: g * e / (1 + e) ** 2))

    # Softmax turns C scores into C probabilities: e to each score, divided by the sum.
    # Adding the same number to every score changes nothing, as it cancels. We subtract
    # the largest one: then no exponential exceeds 1, and none can overflow.

    @staticmethod
    def _exponentials(a, axis):
        """a - max(a), its exponentials, and their sum along `axis` (dimension kept)."""
        z = a - a.max(axis=axis, keepdims=True, initial=-np.inf)  # initial: if empty
        e = np.exp(z)
        return z, e, e.sum(axis=axis, keepdims=True)

    def softmax(self, axis=-1):
        """Probabilities: between 0 and 1, and of sum 1 along `axis`.

        >>> x = Tensor([[1000.0, 1000.0], [0.0, -1000.0]])
        >>> x.softmax().data.tolist()
        [[0.5, 0.5], [1.0, 0.0]]

        Raising every score alike changes no probability, so the slopes sum to 0:

        >>> x.softmax()[0, 0].backward()
        >>> x.grad.tolist()
        [[0.25, -0.25], [0.0, 0.0]]
        """
        _, e, total = Tensor._exponentials(self.data, axis)
        p = e / total

        def gradient(g):  # sum over i of g_i dp_i/dx_j = g_i p_i ([i = j] - p_j)
            return p * (g - (g * p).sum(axis=axis, keepdims=True))

        return Tensor.from_op(p, "softmax", (self, gradient))

    def log_softmax(self, axis=-1):
        """The logarithm of softmax, exact where a probability itself rounds to 0.

        >>> x = Tensor([0.0, -1000.0])
        >>> x.log_softmax().data.tolist()           # x.softmax().log() ends with -inf
        [0.0, -1000.0]
        """
        z, e, total = Tensor._exponentials(self.data, axis)

        def gradient(g):  # sum over i of g_i dy_i/dx_j = g_i ([i = j] - p_j)
            return g - e / total * g.sum(axis=axis, keepdims=True)

        return Tensor.from_op(z - np.log(total), "log_softmax", (self, gradient))


# ======================================================================================
# 6  Joining tensors, and losses
#
# A loss is one number that says how wrong a network is. It is what `backward` starts
# from, so whatever we want the network to learn must be said in it.


def _common(tensors):
    """The arrays of `tensors`; numbers among them adopt the Tensors' dtype."""
    dtypes = {t.dtype for t in tensors if isinstance(t, Tensor)}
    dtype = np.result_type(*dtypes or {np.float64})
    return [Tensor._floats(t, dtype) for t in tensors]


def stack(tensors, axis=0):
    """Tensors of one shape, laid side by side along a new axis.

    `tensors` is a sequence of Tensors, arrays or numbers. A ValueError if it is empty
    or if the shapes differ.

    >>> a, b = Tensor(1.0), Tensor(2.0)
    >>> s = stack([a, b, 5.0])                  # three of shape () -> (3,)
    >>> (s * [10.0, 20.0, 30.0]).sum().backward()
    >>> s.data.tolist(), float(a.grad), float(b.grad)
    ([1.0, 2.0, 5.0], 10.0, 20.0)
    """
    tensors = list(tensors)
    arrays = _common(tensors)
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"stack needs equal shapes, got {sorted(shapes)}")
    value = np.stack(arrays, axis)
    before = (slice(None),) * (axis % value.ndim)  # all of the axes before `axis`
    # i=i, as a lambda looks its names up when it is called: all would find the last i.
    pairs = [(t, lambda g, i=i: g[(*before, i)]) for i, t in enumerate(tensors)]
    return Tensor.from_op(value, "stack", *pairs)


def concatenate(tensors, axis=0):
    """Tensors joined end to end along an existing axis.

    `tensors` is a sequence of Tensors or arrays. A ValueError if it is empty or if the
    other axes differ in size.

    >>> a, b = Tensor([[1.0], [2.0]]), Tensor([[3.0, 4.0], [5.0, 6.0]])
    >>> concatenate([a, b], axis=1).data.tolist()    # (2, 1) and (2, 2) -> (2, 3)
    [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]
    """
    tensors = list(tensors)
    arrays = _common(tensors)
    value = np.concatenate(arrays, axis)
    before = (slice(None),) * (axis % value.ndim)  # all of the axes before `axis`
    ends = np.cumsum([array.shape[axis] for array in arrays]).tolist()
    pairs = [
        (t, lambda g, part=slice(start, end): g[(*before, part)])
        for t, start, end in zip(tensors, [0, *ends], ends)
    ]
    return Tensor.from_op(value, "concatenate", *pairs)


def mse_loss(prediction, target):
    """The mean squared error: the loss for predicting numbers (regression).

    Squares suit errors with a normal distribution: the least sum of squares is the
    likeliest fit (Bishop, Pattern Recognition and Machine Learning, 2006, sec. 3.1.1).
    Both shapes must be the same: (N,) and (N, 1) would broadcast to (N, N) and give a
    wrong number in silence, so they are a ValueError, and so is an empty batch.

    >>> p = Tensor([1.0, 2.0])
    >>> loss = mse_loss(p, [1.0, 4.0])
    >>> loss.backward()
    >>> loss.item(), p.grad.tolist()            # 2 (p - target) / N
    (2.0, [0.0, -2.0])
    """
    prediction = Tensor._as_tensor(prediction, None)
    shape = Tensor._floats(target).shape
    if prediction.shape != shape or prediction.size == 0:
        shapes = f"{prediction.shape} and {shape}"
        raise ValueError(f"mse_loss takes equal shapes, not empty; got {shapes}")
    error = prediction - target
    return (error * error).mean()


def _targets(targets, shape):
    """The targets for scores of `shape` (..., C), checked: (N,) labels or (N, C)."""
    t = targets.data if isinstance(targets, Tensor) else np.asarray(targets)
    if not shape or 0 in shape or t.shape not in (shape, shape[:-1]):
        what = "logits (..., C), not empty, and targets (...) or (..., C)"
        raise ValueError(f"cross_entropy takes {what}; got {shape} and {t.shape}")
    if t.shape == shape:
        if t.dtype.kind in "iub" and (t.sum(axis=-1) != 1).any():
            raise ValueError(f"integers of shape {shape} must have one 1 in each row")
        t = Tensor._floats(targets).reshape(-1, shape[-1])
        if not (t.min() >= 0 and t.max() <= 1):
            raise ValueError(f"probabilities lie in 0...1, not {t.min()}...{t.max()}")
        return t
    if t.dtype.kind not in "iub":
        raise TypeError(f"labels must be integers, not {t.dtype}")
    t = t.reshape(-1).astype(np.intp)
    if t.min() < 0 or t.max() >= shape[-1]:
        given = f"{t.min()}...{t.max()}"
        raise ValueError(f"labels must lie in 0...{shape[-1] - 1}, got {given}")
    return t


def cross_entropy(logits, targets):
    """The mean of -log(probability of the right class): the loss for classification.

    `logits` are scores of shape (..., C), before any softmax. `targets` are constants:
    the right classes, integers of shape (...), or probabilities of shape (..., C). The
    mean is over all leading axes. A ValueError for an empty batch, a shape that does
    not fit, a label outside 0...C-1, a probability outside 0...1, or integers of shape
    (..., C) that are not one-hot; a TypeError for labels that are no integers.

    Why the logarithm? To give the truth 1 % must cost far more than to give it 50 %:
    -log(p) is 4.6 against 0.7, and grows without bound (Bishop, eq. 4.108). Why one
    operation for softmax, logarithm and mean? It never takes the logarithm of a
    probability that has rounded to 0, and its gradient is simple: (probability -
    target) / N (eq. 4.109).

    >>> cross_entropy([[1000.0, 0.0]], [1]).item()  # softmax first: -log(0) is inf
    1000.0
    >>> logits = Tensor([[0.0, 0.0], [0.0, 0.0]])   # the network knows nothing
    >>> loss = cross_entropy(logits, [0, 1])
    >>> loss.backward()
    >>> np.isclose(loss.data, np.log(2)).item(), logits.grad.tolist()
    (True, [[-0.25, 0.25], [0.25, -0.25]])
    >>> cross_entropy(logits, [[1.0, 0.0], [0.0, 1.0]]).item() == loss.item()
    True
    """
    logits = Tensor._as_tensor(logits, None)
    x = logits.data
    t = _targets(targets, x.shape)
    # log softmax = z - log(total), with all leading axes as one
    z, e, total = Tensor._exponentials(x.reshape(-1, x.shape[-1]), -1)  # (N, C)
    rows = np.arange(len(z))
    if t.ndim == 1:
        losses = np.log(total[:, 0]) - z[rows, t]  # (N,)
    else:
        losses = (t * (np.log(total) - z)).sum(axis=-1)  # (N, C) -> (N,)

    def gradient(g):
        d = e / total
        if t.ndim == 1:
            d[rows, t] -= 1
        else:  # as in PyTorch, probabilities need not sum to 1
            d = d * t.sum(axis=-1, keepdims=True) - t
        return (d * (g / len(z))).reshape(x.shape)

    value = (losses.sum() / len(z)).astype(x.dtype)
    return Tensor.from_op(value, "cross_entropy", (logits, gradient))


# ======================================================================================
# 7  Checking and seeing
#
# How do we know that a derivative is right? By trying, as in the introduction: move one
# number by eps and watch the result; both ways (central differences), as their errors
# nearly cancel. It is slow and not exact, but it knows nothing of our formulas.


def _slope(f, inputs, x, index, weights, eps):
    """How fast (f(*inputs) * weights).sum() grows with the one element x[index]."""
    before, results = x.data[index], []
    try:
        for moved in (before + eps, before - eps):
            x.data[index] = moved
            with no_grad():
                results.append((f(*inputs).data * weights).sum())
    finally:
        x.data[index] = before
    return (results[0] - results[1]) / (2 * eps)


def gradcheck(f, *inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    """Does `backward` through `f(*inputs)` agree with central differences?

    `inputs` are float64 Tensors, otherwise a ValueError: float32 is too coarse for such
    differences. Those that need no gradient are left out. True if for each element
    |backward - numeric| <= atol + rtol * |numeric|, otherwise an AssertionError that
    names the input, the element and both numbers; a TypeError if f returns no Tensor.
    A result of several elements is summed with fixed random weights (a plain sum of
    softmax would be 1, and tell us nothing). Every `grad` and `data` stays as it was.

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
    """
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or x.dtype != np.float64:
            raise ValueError(f"gradcheck takes Tensors of float64; input {i} is {x!r}")
    out = f(*inputs)
    if not isinstance(out, Tensor):
        raise TypeError(f"gradcheck: f must return a Tensor, got {type(out).__name__}")
    weights = np.ones(out.shape)
    if out.size != 1:
        weights = np.random.default_rng(0).normal(size=out.shape)

    gradients = out._gradients(weights) if out.requires_grad else {}
    for i, x in enumerate(inputs):
        exact = gradients.get(x, np.zeros(x.shape))
        for index in np.ndindex(x.shape) if x.requires_grad else ():
            a, b = exact[index], _slope(f, inputs, x, index, weights, eps)
            if not abs(a - b) <= atol + rtol * abs(b):
                both = f"backward gives {a:.6g}, central differences give {b:.6g}"
                raise AssertionError(f"input {i}, element {index}: {both}")
    return True


def to_dot(tensor, names=None):
    """The graph behind `tensor` as text in the DOT language of Graphviz.

    Blue boxes are data that you made, yellow rounded ones are operations; each shows
    its shape and, if it has at most four elements, its data and gradient. Constants are
    not part of the graph. `names` is a dict {name: tensor} of names to show, or a list
    of such pairs, as `model.named_parameters()` gives. To see the picture, paste the
    text into an online Graphviz viewer, or write it to a file and run
    `dot -Tsvg graph.dot -o graph.svg`.

    >>> a, b = Tensor(2.0), Tensor(3.0)
    >>> c = a * b
    >>> c.backward()
    >>> print(to_dot(c, names={"a": a, "b": b}))
    digraph {
      rankdir=LR
      node [shape=box, style="rounded,filled", fillcolor=lightyellow]
      n0 [label="*\\n()\\ndata 6\\ngrad 1"]
      n1 [label="a\\n()\\ndata 2\\ngrad 3", style=filled, fillcolor=lightblue]
      n1 -> n0
      n2 [label="b\\n()\\ndata 3\\ngrad 2", style=filled, fillcolor=lightblue]
      n2 -> n0
    }
    """
    called = {id(t): name for name, t in dict(names or {}).items()}

    def node(t):
        title = " = ".join(filter(None, [called.get(id(t)), t.op])) or "leaf"
        rows = [title, str(t.shape)]
        for kind, array in ("data", t.data), ("grad", t.grad):
            if array is not None and array.size <= 4:
                rows.append(f"{kind} " + ", ".join(f"{x:.4g}" for x in array.ravel()))
        label = "\\n".join(row.replace('"', r"\"") for row in rows)
        look = "" if t._inputs else ", style=filled, fillcolor=lightblue"
        return f'  n{ids[t]} [label="{label}"{look}]'

    ids, nodes = {tensor: 0}, [tensor]
    style = 'shape=box, style="rounded,filled", fillcolor=lightyellow'
    lines = ["digraph {", "  rankdir=LR", f"  node [{style}]", node(tensor)]
    for t in nodes:
        for source, _ in t._inputs:
            if source not in ids:
                ids[source] = len(ids)
                nodes.append(source)
                lines.append(node(source))
            lines.append(f"  n{ids[source]} -> n{ids[t]}")
    return "\n".join(lines + ["}"])


# ======================================================================================
# 8  Modules: from a neuron to a network
#
# A module is a function with parameters inside. Everything that trains, saves or counts
# needs to find those parameters, however deep they are buried in modules that hold
# modules. So there is one way to walk through a module, and all else is built on it.


def _check_range(low, high, **settings):
    """A ValueError that names the setting, unless low <= setting <= high."""
    for name, value in settings.items():
        if not low <= value <= high:
            raise ValueError(f"{name} must lie in {low}...{high}, got {value}")


class Module:
    """The base of every layer and network, also of yours.

    Assign Tensors, arrays, Modules, or lists and dicts of them to attributes and write
    `forward`; calling the module calls it. Tensors that require gradients are its
    parameters, unless an operation made them. Arrays are state that is saved but not
    trained. There is no need to call `super().__init__()`.

    >>> class Affine(Module):
    ...     def __init__(self):
    ...         self.scale = Tensor([1.0, 2.0])
    ...         self.shift = Tensor(0.5)
    ...     def forward(self, x):
    ...         return x * self.scale + self.shift
    >>> model = Affine()
    >>> model(np.array([1.0, 1.0])).data.tolist()
    [1.5, 2.5]
    >>> model
    Affine(scale (2,), shift ())
    """

    training = True

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def __repr__(self):
        names = [f"{name} {p.shape}" for name, p in self.named_parameters()]
        return f"{type(self).__name__}({', '.join(names)})"

    def forward(self, *args, **kwargs):
        """What the module computes: yours to write.

        >>> Module()(1.0)
        Traceback (most recent call last):
        ...
        NotImplementedError: Module has no forward method
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    @staticmethod
    def _walk(value, name, seen):
        """(name, member) for each Tensor, array and Module in `value`, each once."""
        if id(value) in seen:
            return
        seen.add(id(value))
        children = value if isinstance(value, dict) else {}
        if isinstance(value, Module):
            children = vars(value)
        elif isinstance(value, (list, tuple)):
            children = dict(enumerate(value))
        # A result that was kept to look at, self.hidden = x.tanh(), is no parameter.
        inner = isinstance(value, Tensor) and value._inputs
        if isinstance(value, (Tensor, np.ndarray, Module)) and not inner:
            yield name, value
        for key, child in children.items():
            yield from Module._walk(child, f"{name}.{key}" if name else str(key), seen)

    def named_parameters(self):
        """[(name, Tensor)] of all parameters, in order of definition, each once.

        A tensor with two names (tied weights) appears under its first. A frozen one, of
        which you have set `requires_grad` to False, does not appear.

        >>> [name for name, p in MLP(2, [3, 1]).named_parameters()]
        ['layers.0.W', 'layers.0.b', 'layers.1.W', 'layers.1.b']
        """
        return [
            (name, member)
            for name, member in Module._walk(self, "", set())
            if isinstance(member, Tensor) and member.requires_grad
        ]

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
        >>> model.zero_grad()
        >>> model.W.grad is None
        True
        """
        for _, member in Module._walk(self, "", set()):
            if isinstance(member, Tensor):
                member.grad = None

    def train(self, mode=True):
        """Switch this module and those within to training (or not); returns it.

        >>> model = Sequential(Dropout(0.5), Dropout(0.25))
        >>> model.eval().training, model.layers[0].training, model.train().training
        (False, False, True)
        """
        for _, member in Module._walk(self, "", set()):
            if isinstance(member, Module):
                member.training = bool(mode)
        return self

    def eval(self):
        """Switch to evaluation: `train(False)`. Chapter 9 says what differs.

        >>> MLP(2, [1]).eval().training
        False
        """
        return self.train(False)

    def _arrays(self):
        """{name: array} of all that is saved: the arrays themselves, not copies."""
        arrays = {}
        for name, member in Module._walk(self, "", set()):
            if name in arrays:
                raise ValueError(f"two members of the model have the name {name}")
            if not isinstance(member, Module):
                arrays[name] = member.data if isinstance(member, Tensor) else member
        return arrays

    def state_dict(self):
        """{name: array}, copies of all that a trained model consists of.

        >>> sorted(BatchNorm1d(4).state_dict())
        ['beta', 'gamma', 'running_mean', 'running_var']

        NumPy's own format saves and loads it. No pickle is involved, so a model file
        from a stranger cannot run code on your machine.

        >>> import io
        >>> file = io.BytesIO()                     # or a path such as "model.npz"
        >>> trained, fresh = Layer(2, 1, rng=1), Layer(2, 1, rng=2)
        >>> np.savez(file, **trained.state_dict())
        >>> _ = file.seek(0)
        >>> fresh.load_state_dict(np.load(file))
        >>> bool(np.all(fresh.W.data == trained.W.data))
        True
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    @staticmethod
    def _load(arrays, state):
        """Copy the arrays of `state` into `arrays`, of the same names: all, or none."""
        if not isinstance(state, Mapping):
            raise TypeError(f"a state is a dict of arrays, not {type(state).__name__}")
        missing, unknown = sorted(arrays.keys() - state), sorted(state.keys() - arrays)
        if missing or unknown:
            raise KeyError(f"another state? missing {missing}, unknown {unknown}")
        new = {name: np.array(state[name]) for name in arrays}
        for name, array in arrays.items():
            if array.shape != new[name].shape:
                raise ValueError(f"{name} is {new[name].shape}, expected {array.shape}")
            casting = "same_kind" if array.dtype.kind == "f" else "safe"
            if not np.can_cast(new[name].dtype, array.dtype, casting):
                raise TypeError(f"{name} is {new[name].dtype}, expected {array.dtype}")
            if not array.flags.writeable:
                raise ValueError(f"{name} is read-only here and cannot be loaded")
        for name, array in arrays.items():
            array[...] = new[name]

    def load_state_dict(self, state):
        """Copy `state`, a dict of arrays or `np.load(path)`, into this model, in place.

        A KeyError for missing or unknown names, a ValueError for another shape, a
        TypeError for data of another kind; then nothing has changed.

        >>> Layer(2, 1).load_state_dict({"W": np.zeros((3, 1)), "b": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: W is (3, 1), expected (2, 1)
        """
        Module._load(self._arrays(), state)


def _input(x, dtype=None):
    """What a module was called with, as a Tensor. Lists of Tensors are stacked."""
    if isinstance(x, (list, tuple)) and Tensor._holds_tensor(x):
        x = stack([_input(item, dtype) for item in x])
    return Tensor._as_tensor(x, dtype)


# How large should the first, random weights be? A neuron sums nin inputs times weights.
# If inputs have variance 1 and weights variance s, the sum has variance nin * s. At
# s = 1, a few layers blow the signal up to absurd sizes; with a tiny s they extinguish
# it. With s = 1 / nin it keeps its size (LeCun et al., Efficient BackProp, 1998, eq.
# 16; Glorot and Bengio, 2010, eq. 10). ReLU sets half of the values to zero, which
# halves their mean square, so it needs s = 2 / nin (He et al., Delving Deep into
# Rectifiers, 2015, eq. 10). Why random at all? Neurons that start equal get equal
# gradients and so stay equal forever.


def _activation(nonlin, nin):
    """The function that `nonlin` stands for, and the weights' standard deviation."""
    _check_range(1, np.inf, nin=nin)
    nonlin = Tensor.relu if nonlin is True else nonlin or None
    if nonlin and not callable(nonlin):
        raise TypeError(f"nonlin is True, False, None or a function, not {nonlin!r}")
    return nonlin, np.sqrt((2 if nonlin is Tensor.relu else 1) / nin)


def _float_dtype(dtype):
    """`dtype`, or a TypeError: a network of integers could not learn."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be np.float32 or np.float64, got {dtype}")
    return np.dtype(dtype)


class Neuron(Module):
    """A weighted sum of its inputs, bent by a curve: x @ w + b, then `nonlin`.

    The weights `w` (nin,) say what it looks for in the input, the bias `b` () how
    easily it is satisfied. `nonlin`: True is ReLU; False or None leaves the sum as it
    is (linear); or any function of a Tensor, such as Tensor.tanh. `rng` is None, an int
    seed or a np.random.Generator.

    >>> neuron = Neuron(2, nonlin=False)
    >>> neuron.w.data[:] = [2.0, -1.0]
    >>> neuron([3.0, 4.0]).item()                       # one example: (2,) -> ()
    2.0
    >>> neuron(np.ones((5, 2))).shape                   # a batch: (5, 2) -> (5,)
    (5,)
    """

    def __init__(self, nin, nonlin=True, rng=None):
        self.nonlin, scale = _activation(nonlin, nin)
        self.w = Tensor(np.random.default_rng(rng).normal(0, scale, nin))
        self.b = Tensor(0.0)

    def forward(self, x):
        out = _input(x, self.w.dtype) @ self.w + self.b
        return self.nonlin(out) if self.nonlin else out


class Layer(Module):
    """`nout` neurons that look at the same input: x @ W + b, then `nonlin`.

    Their weight vectors are the columns of one matrix `W` (nin, nout), their biases
    stand in `b` (nout,). So the whole layer is one matrix product, and NumPy computes
    all neurons for all examples at once: (N, nin) -> (N, nout). Plain arrays, such as
    images, are constants, and no gradient is computed for them. `dtype` is np.float64
    or np.float32 (results are float64 if the images are); for the rest see Neuron.

    >>> layer = Layer(3, 2, rng=0)
    >>> x = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    >>> layer(x).shape
    (2, 2)

    What the neurons say one by one, stacked, is what the layer says:

    >>> one_by_one = stack([neuron(x) for neuron in layer.neurons], axis=1)
    >>> np.allclose(one_by_one.data, layer(x).data)
    True

    Thirty layers with He's weights keep the size of the signal; weights half as large
    leave a billionth of it:

    >>> deep = Sequential(*[Layer(64, 64, rng=seed) for seed in range(30)])
    >>> signal = np.random.default_rng(0).normal(size=(100, 64))
    >>> 0.1 < deep(signal).mean().item() < 10
    True
    >>> for layer in deep.layers:
    ...     layer.W.data /= 2
    >>> deep(signal).mean().item() < 1e-8
    True
    """

    def __init__(self, nin, nout, nonlin=True, rng=None, dtype=np.float64):
        _check_range(1, np.inf, nout=nout)
        self.nonlin, scale = _activation(nonlin, nin)
        W = np.random.default_rng(rng).normal(0, scale, (nin, nout))
        self.W = Tensor(W.astype(_float_dtype(dtype)))
        self.b = Tensor(np.zeros(nout, dtype))

    def forward(self, x):
        out = _input(x, self.W.dtype) @ self.W + self.b
        return self.nonlin(out) if self.nonlin else out

    @property
    def neurons(self):
        """The layer as a list of Neurons that share its numbers, not its gradients."""
        neurons = []
        for w, b in zip(self.W.data.T, self.b.data.reshape(-1, 1)):
            neuron = Neuron.__new__(Neuron)
            neuron.nonlin = self.nonlin
            # These are views of the layer's arrays; Tensor(w) would copy.
            neuron.w = Tensor.from_op(w, "")
            neuron.b = Tensor.from_op(b.reshape(()), "")
            neuron.w.requires_grad = neuron.b.requires_grad = True
            neurons.append(neuron)
        return neurons


class Sequential(Module):
    """Modules, or functions of a Tensor, one after the other.

    >>> model = Sequential(Layer(2, 3, nonlin=None, rng=0), Tensor.tanh)
    >>> model([[1.0, 2.0]]).shape
    (1, 3)
    """

    def __init__(self, *layers):
        for layer in layers:
            if not callable(layer):
                raise TypeError(f"Sequential takes modules or functions, not {layer!r}")
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x if isinstance(layer, Module) else _input(x))
        return x


class MLP(Sequential):
    """A multi-layer perceptron: Layers in a stack, the last one linear.

    `nin` inputs, then a layer of each size in `nouts`. The last layer's neurons give
    one score for each class, and scores may have any sign and size: hence no ReLU.

    >>> model = MLP(64, [32, 10], rng=0)
    >>> model(np.zeros((5, 64))).shape
    (5, 10)
    >>> str(MLP(2, [3, 1], dtype=np.float32)(np.ones(2, np.float32)).dtype)
    'float32'
    """

    def __init__(self, nin, nouts, nonlin=True, rng=None, dtype=np.float64):
        _check_range(1, np.inf, nouts=len(nouts))
        rng = np.random.default_rng(rng)
        nonlins = [nonlin] * (len(nouts) - 1) + [False]
        settings = zip([nin, *nouts], nouts, nonlins)
        super().__init__(*[Layer(*three, rng, dtype) for three in settings])


# ======================================================================================
# 9  Training differs from evaluation
#
# The two modules of this chapter behave differently while the network learns and when
# it is used. `model.train()` and `model.eval()` switch all modules within a model.
# Forgetting `eval()` is the classic mistake: answers then depend on chance, or on which
# other examples happen to be in the batch.


class Dropout(Module):
    """Sets each element to 0 with probability `p`, anew in every call in training.

    A network could learn to trust one neuron for everything. If any neuron may be
    absent, it has to spread what it knows (Srivastava et al., Dropout, 2014, sec. 2).
    `p` in 0...1 is the probability to drop (theirs is to keep), otherwise a ValueError.

    The elements that stay are divided by 1 - p. Otherwise a sum over many of them would
    be smaller in training than in evaluation, and later layers would see numbers they
    were not trained for:

    >>> x = np.ones(10_000)
    >>> dropout = Dropout(0.75, rng=0)
    >>> sorted(set(dropout(x).data.tolist()))
    [0.0, 4.0]
    >>> abs(dropout(x).mean().item() - 1) < 0.1         # not 0.25
    True
    >>> dropout.eval()(x).mean().item()
    1.0
    """

    def __init__(self, p=0.5, rng=None):
        _check_range(0, 1, p=p)
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        x = _input(x)
        if not self.training or self.p == 0:
            return x
        kept = self.rng.random(x.shape, dtype=np.float32) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * (kept * x.dtype.type(scale))


class BatchNorm1d(Module):
    """Brings every feature to mean 0 and variance 1, then rescales: gamma * x + beta.

    Each layer learns on what the layers before it produce, and that keeps moving as
    they learn. Normalising every feature over the batch was meant to hold it still
    (Ioffe and Szegedy, Batch Normalization, 2015, algorithm 1), and lets large steps
    succeed. The learned `gamma` and `beta` (C,) can undo it where that is better.

    Takes (N, C), or (N, C, L) and then normalises over N and L. A ValueError for other
    shapes, and in training for a single value per feature, which has no variance.
    `eps` is added to the variance, so that a constant feature divides by no zero.

    In evaluation one example must not depend on its neighbours, and alone it would be
    its own mean, always 0. So training keeps running averages of mean and variance
    (with n - 1, unbiased), and evaluation uses those (algorithm 2). `momentum` is the
    weight of the new batch in them, as in PyTorch.

    >>> bn = BatchNorm1d(1, momentum=0.5, eps=0.0)
    >>> bn(np.array([[1.0], [3.0]])).data.tolist()      # mean 2, variance 1
    [[-1.0], [1.0]]
    >>> bn.running_mean.tolist()                        # 0.5 * 0 + 0.5 * 2
    [1.0]
    >>> bn.running_var.tolist()                         # 0.5 * 1 + 0.5 * 2 (unbiased)
    [1.5]
    >>> bn.eval()(np.array([[1.0], [1.0 + 1.5**0.5]])).data.tolist()
    [[0.0], [1.0]]
    >>> gradcheck(BatchNorm1d(1), Tensor([[1.0], [3.0], [4.0]]))
    True
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, dtype=np.float64):
        _check_range(1, np.inf, num_features=num_features)
        _check_range(0, 1, momentum=momentum)
        _check_range(0, np.inf, eps=eps)
        self.eps, self.momentum = float(eps), float(momentum)
        zeros = np.zeros(num_features, _float_dtype(dtype))
        self.gamma, self.beta = Tensor(zeros + 1), Tensor(zeros)
        self.running_mean, self.running_var = zeros, zeros + 1

    def forward(self, x):
        x = _input(x, self.gamma.dtype)
        C = self.gamma.size
        if x.ndim not in (2, 3) or x.shape[1] != C:
            raise ValueError(f"BatchNorm1d: (N, {C}) or (N, {C}, L), not {x.shape}")
        shape = (-1, 1) if x.ndim == 3 else (-1,)
        if self.training:
            x = self._normalised(x)
        else:
            mean = self.running_mean.reshape(shape)
            x = (x - mean) / np.sqrt(self.running_var.reshape(shape) + self.eps)
        return x * self.gamma.reshape(shape) + self.beta.reshape(shape)

    def _normalised(self, x):
        # One operation, with its gradient worked out by hand. Put together from the
        # operations above it would be ten nodes, and give the same.
        a, axes = x.data, (0, 2) if x.ndim == 3 else (0,)
        n = a.size // self.gamma.size
        if n < 2:
            raise ValueError(f"training needs two values a feature, got {x.shape}")
        mean = a.mean(axis=axes, keepdims=True)
        centred = a - mean
        var = (centred * centred).mean(axis=axes, keepdims=True)
        slope = 1 / np.sqrt(var + self.eps)
        value = centred * slope

        def gradient(g):
            # An element also moves the mean and the variance that it is measured by.
            # What it does to the whole batch in these two ways is subtracted.
            through_mean = g.mean(axis=axes, keepdims=True)
            through_var = value * (g * value).mean(axis=axes, keepdims=True)
            return slope * (g - through_mean - through_var)

        unbiased = var * (n / (n - 1))
        for running, new in (self.running_mean, mean), (self.running_var, unbiased):
            running += self.momentum * (new.reshape(-1) - running)
        return Tensor.from_op(value, "batchnorm", (x, gradient))


# ======================================================================================
# 10  Optimizers
#
# The gradient says in which direction the loss grows fastest; an optimizer decides how
# to step against it. Its rules act on each number alone, whichever parameter the number
# stands in. So we lay all gradients end to end in one long vector and apply the rule
# once: for a small network, the number of NumPy calls is what costs time.


class Optimizer:
    """What all optimizers share. A subclass writes `update`, its rule.

    `params` is a list of Tensors, such as `model.parameters()`. `lr`, the learning
    rate, is the size of a step; you may assign to it between steps. `weight_decay`
    adds weight_decay * p to the gradient of p: the slope of weight_decay / 2 * p**2,
    which pulls weights that the data do not need towards 0 (L2 regularisation).

    A parameter whose `grad` is None is skipped. A TypeError or ValueError for anything
    but leaf Tensors, none at all, one of them twice, or a negative setting.

    This is how you write one yourself:

    >>> class SignSGD(Optimizer):
    ...     def update(self, g, t):
    ...         return self.lr * np.sign(g)
    >>> x = Tensor([3.0, -8.0])
    >>> optimizer = SignSGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.data.tolist()
    [2.75, -7.75]

    Here the data say nothing about w, so weight decay alone shrinks it:

    >>> w = Tensor(1.0)
    >>> (0 * w).backward()
    >>> SGD([w], lr=0.5, weight_decay=0.5).step()
    >>> w.item()                                    # 1 - 0.5 * (0 + 0.5 * 1)
    0.75
    """

    buffers = ()  # names of the vectors that the rule keeps from step to step

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        if isinstance(params, (Tensor, Module)):
            raise TypeError("params is a list: model.parameters(), or [tensor] for one")
        self.params = list(params)
        if not self.params:
            raise ValueError("no parameters; was a generator used up before?")
        for p in self.params:
            if not isinstance(p, Tensor):
                raise TypeError(f"params must be Tensors, got {type(p).__name__}")
            if p._inputs:
                raise ValueError(f"params must be leaves, not the result of {p.op!r}")
        if len(set(self.params)) < len(self.params):
            raise ValueError("the same parameter was given twice")
        _check_range(0, np.inf, lr=lr, weight_decay=weight_decay)
        self.lr, self.weight_decay = lr, weight_decay
        self._starts = [0, *np.cumsum([p.size for p in self.params]).tolist()]
        self._steps = np.zeros(len(self.params), np.int64)  # of each parameter
        dtype = np.result_type(*{p.dtype for p in self.params})
        self._flat = np.zeros(self._starts[-1], dtype)  # of all gradients
        self._buffers = {name: np.zeros_like(self._flat) for name in self.buffers}

    def zero_grad(self):
        """Forget the gradients: set every parameter's `grad` to None.

        Gradients accumulate, so a step without this would use old ones again.

        >>> x = Tensor(1.0)
        >>> (x * x).backward()
        >>> SGD([x]).zero_grad()
        >>> x.grad is None
        True
        """
        for p in self.params:
            p.grad = None

    def update(self, g, t, *buffers):
        """The rule: what to subtract from the parameters, given their gradient `g`.

        `g` is a vector: a piece of all parameters laid end to end, so the rule must act
        on each number alone. `t` counts their steps from 1. The same pieces of the
        vectors named in `buffers` follow, to be changed in place.

        >>> SGD([Tensor(0.0)], lr=0.5).update(np.array([2.0]), 1, np.zeros(1)).tolist()
        [1.0]
        """
        raise NotImplementedError(f"{type(self).__name__} has no update method")

    def step(self):
        """Change every parameter that has a gradient, in place.

        The step changes arrays that the graph of an earlier loss still uses: compute
        the loss anew before you call `backward` again. A ValueError, and no change, if
        a `grad` has another shape than its parameter or `lr` is negative.

        >>> x = Tensor(4.0)
        >>> (x * x).backward()                      # dx = 8
        >>> SGD([x], lr=0.25).step()
        >>> x.item()
        2.0
        """
        _check_range(0, np.inf, lr=self.lr)
        for p in self.params:
            if p.grad is not None and np.shape(p.grad) != p.data.shape:
                raise ValueError(f"grad {np.shape(p.grad)} for data {p.data.shape}")
        # Usually all parameters have a gradient and were updated equally often: then
        # they are one run. Otherwise each one that has a gradient is a run for itself.
        live = [i for i, p in enumerate(self.params) if p.grad is not None]
        if len(live) == len(self.params) and len(set(self._steps.tolist())) == 1:
            self._step_run(0, len(live))
        else:
            for i in live:
                self._step_run(i, i + 1)

    def _step_run(self, first, last):
        """Update params[first:last], which have been updated equally often, as one."""
        params, starts = self.params[first:last], self._starts[first : last + 1]
        begin, end, flat = starts[0], starts[-1], self._flat
        np.concatenate([p.grad.ravel() for p in params], out=flat[begin:end])
        if self.weight_decay:
            data = np.concatenate([p.data.ravel() for p in params])
            flat[begin:end] += self.weight_decay * data
        t = int(self._steps[first]) + 1
        # A rule makes a dozen passes over its vectors. In pieces of this size they stay
        # in the processor's cache, instead of coming from memory a dozen times.
        for low in range(begin, end, 16384):
            piece = slice(low, min(low + 16384, end))
            buffers = [vector[piece] for vector in self._buffers.values()]
            flat[piece] = self.update(flat[piece], t, *buffers)
        self._steps[first:last] = t
        for p, low, high in zip(params, starts, starts[1:]):
            p.data -= flat[low:high].reshape(p.data.shape)

    def _arrays(self):
        """The buffers, cut up again into one array for each parameter, as views."""
        arrays = {"steps": self._steps}
        for name, vector in self._buffers.items():
            for i, (p, start) in enumerate(zip(self.params, self._starts)):
                arrays[f"{name}.{i}"] = vector[start : start + p.size].reshape(p.shape)
        return arrays

    def state_dict(self):
        """{name: array}, copies of all that the optimizer remembers from step to step.

        Save it beside the model's, and a training can go on later, bit for bit (`lr`
        and the state of a random generator are yours to restore).

        >>> sorted(Adam([Tensor([1.0, 2.0])]).state_dict())
        ['m.0', 'steps', 'v.0']
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state):
        """Go on from a `state_dict()`; errors as in Module.load_state_dict.

        >>> x = Tensor([1.0])
        >>> SGD([x], momentum=0.9).load_state_dict(SGD([x], momentum=0.9).state_dict())
        """
        Module._load(self._arrays(), state)


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g, with momentum if you like.

    "Stochastic", as each batch gives only a noisy estimate of the whole gradient. With
    momentum, a velocity v = momentum * v + g takes the place of g: like a ball rolling
    downhill, it speeds up where the slopes agree and calms down where they alternate
    (Sutskever et al., On the Importance of Initialization and Momentum, 2013, eq. 1; in
    PyTorch's form, where lr multiplies the velocity).

    >>> x = Tensor(1.0)
    >>> optimizer = SGD([x], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (4 * x).backward()                      # the slope is 4 everywhere
    ...     optimizer.step()                        # v = 4, then v = 0.5 * 4 + 4 = 6
    >>> x.item()                                    # 1 - 0.25 * 4 - 0.25 * 6
    -1.5
    """

    buffers = ("velocity",)

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        _check_range(0, np.inf, momentum=momentum)
        self.momentum = momentum

    def update(self, g, t, velocity):
        if self.momentum:
            velocity *= self.momentum
            velocity += g
            g = velocity
        return self.lr * g


class Adam(Optimizer):
    """Adaptive moments: every parameter gets a step size of its own.

    `m` averages the gradient (a momentum), `v` its square. A step of lr * m / sqrt(v)
    is usually about lr or less, whatever the units of the gradient: large slopes do not
    overshoot, small ones do not stall (Kingma and Ba, Adam, 2015, algorithm 1).

    `betas` are the weights of the old averages. Both averages start at 0 and so are too
    small at first: after t steps the weights of what they saw sum to 1 - beta**t.
    Dividing by that corrects the bias. `eps` is added to the root, in the units of a
    gradient, so that a slope of 0 divides by no zero.

    The first step shows it: m = 0.1 g and v = 0.001 g^2, corrected g and g^2. So x
    moves by lr, whatever the slope. Uncorrected, it would move by 0.1 / sqrt(0.001) lr,
    three times too far.

    >>> x = Tensor([1.0, 1.0])
    >>> optimizer = Adam([x], lr=0.5)
    >>> (x * [3.0, -1000.0]).sum().backward()
    >>> optimizer.step()
    >>> np.allclose(x.data, [0.5, 1.5])
    True

    All of this file together: XOR, the simplest thing that a network without a hidden
    layer cannot learn.

    >>> X, labels = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> def train(model):
    ...     optimizer = Adam(model.parameters(), lr=0.1)
    ...     for _ in range(100):
    ...         optimizer.zero_grad()
    ...         loss = cross_entropy(model(X), labels)
    ...         loss.backward()
    ...         optimizer.step()
    ...     return round(loss.item(), 2)
    >>> train(MLP(2, [8, 2], rng=0)), train(MLP(2, [2], rng=0))
    (0.0, 0.69)
    """

    buffers = ("m", "v")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        _check_range(0, np.inf, eps=eps)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be two numbers, 0 <= beta < 1, got {betas}")
        self.betas, self.eps = tuple(betas), eps

    def update(self, g, t, m, v):
        beta1, beta2 = self.betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        step = self.lr / (1 - beta1**t)
        return step * m / (np.sqrt(v / (1 - beta2**t)) + self.eps)


if __name__ == "__main__":
    import doctest
    import sys

    failed, attempted = doctest.testmod()
    print(f"{attempted - failed} of {attempted} examples passed")
    sys.exit(failed > 0)
