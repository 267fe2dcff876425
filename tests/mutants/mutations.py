"""Small changes of Python source inside functions: comparisons, and/or, not, returned booleans."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SIGNS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: `number` counts the changes of its file, `function` is the first line of the outermost function."""

    file: Path
    number: int
    line: int
    function: int
    change: str


def mutations(file: Path) -> list[Mutation]:
    """Every change of a file, in the order of its source."""
    tree = ast.parse(file.read_text())
    return [
        Mutation(file, number, node.lineno, _first_line(function), change)
        for number, (function, node, change) in enumerate(_sites(tree))
    ]


def mutated_code(mutation: Mutation) -> dict[tuple[str, int], CodeType]:
    """The code objects of the changed file, by qualified name and first line."""
    tree = ast.parse(mutation.file.read_text())
    _, node, change = list(_sites(tree))[mutation.number]
    _apply(node, change)
    module = compile(ast.fix_missing_locations(tree), str(mutation.file), "exec", dont_inherit=True)
    found: dict[tuple[str, int], CodeType] = {}
    remaining = [module]
    while remaining:
        code = remaining.pop()
        found[code.co_qualname, code.co_firstlineno] = code
        remaining.extend(each for each in code.co_consts if isinstance(each, CodeType))
    return found


def _first_line(function: _Function) -> int:
    return min([function.lineno, *(each.lineno for each in function.decorator_list)])


def _sites(tree: ast.Module) -> Iterator[tuple[_Function, ast.expr | ast.Return, str]]:
    """Outermost function, node and change of each mutation. Nothing outside functions: it ran before the tests."""
    for outer in _outermost(tree):
        for node in ast.walk(outer):
            for change in _changes(node, outer):
                assert isinstance(node, ast.expr | ast.Return)
                yield outer, node, change


def _outermost(tree: ast.AST) -> Iterator[_Function]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _Function):
            yield node
        else:
            yield from _outermost(node)


def _changes(node: ast.AST, function: _Function) -> Iterator[str]:
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                there, then = _SIGNS[type(operator)], _SIGNS[_COMPARISONS[type(operator)]]
                yield f"{there} becomes {then}" + (f" (number {number + 1})" if number else "")
        case ast.BoolOp():
            yield "and becomes or" if isinstance(node.op, ast.And) else "or becomes and"
        case ast.UnaryOp(op=ast.Not()):
            yield "not is dropped"
        case ast.Return(value=ast.Constant(value=bool())):
            yield f"return {node.value.value} is inverted"  # type: ignore[union-attr]
        case ast.Return(value=ast.Call() | ast.Name() | ast.Attribute()) if _returns_bool(function):
            yield "the returned value is inverted"


def _returns_bool(function: _Function) -> bool:
    return isinstance(function.returns, ast.Name) and function.returns.id == "bool"


def _apply(node: ast.expr | ast.Return, change: str) -> None:
    match node:
        case ast.Compare():
            number = int(change.partition("(number ")[2].rstrip(")") or 1) - 1
            node.ops[number] = _COMPARISONS[type(node.ops[number])]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.Return():
            assert node.value is not None
            node.value = ast.UnaryOp(ast.Not(), node.value)
