"""Arithmetic over config keys, for `derive` and `constraints`: read with ast and evaluated here, never with eval."""

import ast
import math
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from configs.errors import ConfigError

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}


def _round(value: float, digits: int = 0) -> float:
    if abs(digits) > _MOST_DIGITS:
        raise ValueError(f"round takes at most {_MOST_DIGITS} digits")
    return round(value, digits) if digits else round(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs, "round": _round, "len": len}

ALLOWED = (
    "config keys, numbers, text in quotes, lists, + - * / // % **, comparisons, and/or/not, indexing, "
    f"{', '.join(_FUNCTIONS)}"
)

LONGEST = 1000  # characters; longer ones could nest deeper than Python can follow

_LARGEST_POWER = 64.0  # an exponent; 9**9**9 would take for ever
_LARGEST = 2**63  # a whole number
_MOST_DIGITS = 15


class Expression:
    """An expression over config keys.

    Args:
        text: as in `10 * MODEL.SOLVER.OPTIMIZER.BASE_LR`.

    Attributes:
        text: as given.
        keys: the config keys it looks at, in their order, whether they exist or not.

    Raises:
        ConfigError: with a sentence that the caller puts a place before.
    """

    def __init__(self, text: str):
        self.text = text
        if len(text) > LONGEST:
            raise ConfigError(f"an expression of {len(text)} characters is longer than {LONGEST}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(f"{text!r} is no expression; allowed are {ALLOWED}") from None
        self.keys: tuple[str, ...] = ()
        try:
            self._check(self._tree)
        except RecursionError:
            raise ConfigError("an expression is nested too deeply; split it over several derived keys") from None

    def __call__(self, lookup: Callable[[str], Any]) -> Any:
        """Returns the value.

        Args:
            lookup: returns the value of a key.

        Raises:
            ConfigError: it cannot be computed with these values.
        """
        try:
            value = self._evaluate(self._tree, lookup)
        except (ArithmeticError, TypeError, ValueError, IndexError, KeyError, RecursionError) as error:
            values = ", ".join(f"{key} {lookup(key)}" for key in self.keys)
            raise ConfigError(f"{self.text!r} cannot be computed with {values}: {error}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{self.text!r} is {value}")
        return value

    def _check(self, node: ast.expr) -> None:
        """Refuses whatever is not listed, and collects the keys."""
        key = _dotted(node)
        if key is not None:
            self.keys = tuple(dict.fromkeys((*self.keys, key)))
            return
        parts: list[ast.expr]
        match node:
            case ast.Constant(value=int() | float() | str() | None):
                parts = []
            case ast.BinOp() if type(node.op) in _BINARY:
                parts = [node.left, node.right]
            case ast.UnaryOp() if type(node.op) in _UNARY:
                parts = [node.operand]
            case ast.BoolOp():
                parts = node.values
            case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
                parts = [node.left, *node.comparators]
            case ast.List() | ast.Tuple():
                parts = node.elts
            case ast.Subscript():
                parts = [node.value, node.slice]
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
                parts = node.args
            case _:
                raise ConfigError(f"{self.text!r}: {ast.unparse(node)!r} is not allowed; allowed are {ALLOWED}")
        for part in parts:
            self._check(part)

    def _evaluate(self, node: ast.expr, lookup: Callable[[str], Any]) -> Any:
        key = _dotted(node)
        if key is not None:
            return lookup(key)
        match node:
            case ast.Constant():
                return node.value
            case ast.BinOp():
                return _arithmetic(node.op, self._evaluate(node.left, lookup), self._evaluate(node.right, lookup))
            case ast.UnaryOp():
                return _UNARY[type(node.op)](self._evaluate(node.operand, lookup))
            case ast.BoolOp():
                truths = (bool(self._evaluate(value, lookup)) for value in node.values)
                return all(truths) if isinstance(node.op, ast.And) else any(truths)
            case ast.Compare():
                values = [self._evaluate(value, lookup) for value in (node.left, *node.comparators)]
                return all(_COMPARE[type(op)](*pair) for op, pair in zip(node.ops, pairwise(values), strict=True))
            case ast.List() | ast.Tuple():
                return [self._evaluate(item, lookup) for item in node.elts]
            case ast.Subscript():
                return self._evaluate(node.value, lookup)[self._evaluate(node.slice, lookup)]
            case ast.Call(func=ast.Name(id=name)):
                return _FUNCTIONS[name](*(self._evaluate(argument, lookup) for argument in node.args))
        raise AssertionError(f"{type(node).__name__} was checked")


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    if not all(isinstance(value, int | float) for value in (left, right)):
        raise TypeError("arithmetic takes numbers")  # [0] * 10**9 would fill the memory
    if isinstance(op, ast.Pow) and (abs(right) > _LARGEST_POWER or abs(left) > 1e9):
        raise ValueError("the power is too large")
    value = _BINARY[type(op)](left, right)
    if isinstance(value, complex):
        raise ValueError("a negative number has no such power")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return value


def _dotted(node: ast.expr) -> str | None:
    """Returns the dotted name that a node stands for, None if it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return None
