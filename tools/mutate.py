"""Plausible mistakes, made by changing one thing in a right answer: `mutants(source)`.

Operators and comparisons swapped, numbers off by one, another axis, a line dropped or out of order, a loop backwards,
arguments swapped, a call forgotten, the input spoiled, works only for what it saw first. Every mutant compiles.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import difflib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

SWAPPED = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult], ast.FloorDiv: [ast.Div],
    ast.Mod: [ast.FloorDiv], ast.Pow: [ast.Mult], ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd],
    ast.And: [ast.Or], ast.Or: [ast.And], ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.LtE], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is],
}  # fmt: skip
BLOCKS = ("body", "orelse")
AROUND = 24  # characters of the line that stay beside a change


class Mutant(NamedTuple):
    kind: str
    change: str  # the lines that differ, before and after: its name in the list of known survivors
    source: str


def mutants(source: str) -> list[Mutant]:
    """All mutants of `source`, in the order of its text; each source once."""
    tree = ast.parse(source)
    found, plain = {}, ast.unparse(tree)
    for number, node in enumerate(ast.walk(tree)):
        for kind, edit in _edits(node):
            mutated = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(mutated)) if i == number)
            mutated = _Replace(target, edit(target)).visit(mutated)
            text = ast.unparse(ast.fix_missing_locations(mutated))
            try:
                compile(text, "<mutant>", "exec")
            except (SyntaxError, ValueError):
                continue
            if text != plain and text not in found:
                change = _change(plain, text)
                alike = sum(each.change.split(" (again")[0] == change for each in found.values())
                found[text] = Mutant(kind, change + (f" (again, {alike + 1})" if alike else ""), text)
    return list(found.values())


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def _change(before: str, after: str) -> str:
    """What differs, with a little of what stands around it."""
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    old, new = ("; ".join(line[2:].strip() for line in lines if line[0] == side) for side in "-+")
    if old == new:  # moved
        rest = after.splitlines()
        place = next(i for i, (a, b) in enumerate(zip(before.splitlines(), rest)) if a != b)
        return f"order: {rest[place].strip()} | {rest[place + 1].strip()}"
    start = len(os.path.commonprefix([old, new]))
    end = len(os.path.commonprefix([old[start:][::-1], new[start:][::-1]]))
    left, right = max(0, start - AROUND), max(0, end - AROUND)
    return " -> ".join(
        f"{'...' * (left > 0)}{text[left : len(text) - right]}{'...' * (right > 0)}" for text in (old, new)
    )


Edit = Callable[[ast.AST], ast.AST]  # gets the node in a copy of the tree, returns what takes its place


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)):
        for op in SWAPPED.get(type(node.op), []):
            yield "operator", lambda n, op=op: _set(n, op=op())
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for op in SWAPPED.get(type(node.ops[0]), []):
            yield "comparison", lambda n, op=op: _set(n, ops=[op()])
    if isinstance(node, ast.AugAssign):
        yield "operator", lambda n: ast.Assign([n.target], n.value)
    if isinstance(node, ast.UnaryOp):
        yield "operator", lambda n: n.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)):
        yield "order of operands", lambda n: _set(n, left=n.right, right=n.left)
    if isinstance(node, ast.BinOp):
        yield "half of it", lambda n: n.left
        yield "half of it", lambda n: n.right
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for step in (1, -1):
            yield "off by one", lambda n, step=step: _set(n, value=n.value + step)
        if isinstance(node.value, float):
            yield "another number", lambda n: _set(n, value=n.value / 2)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "another value", lambda n: _set(n, value=not n.value)
    if isinstance(node, ast.Call):
        yield from _call_edits(node)
    if isinstance(node, ast.Slice):
        for side in ("lower", "upper", "step"):
            if getattr(node, side) is not None:
                yield "slice", lambda n, side=side: _set(n, **{side: None})
                if side != "step":
                    yield "off by one", lambda n, side=side: _set(n, **{side: _plus_one(getattr(n, side))})
    if isinstance(node, ast.Attribute) and node.attr == "shape" and isinstance(node.ctx, ast.Load):
        yield "works for what it saw first", _first
    if isinstance(node, ast.For):
        yield "loop backwards", lambda n: _set(n, iter=_called("reversed", _called("list", n.iter)))
        yield "loop without its last", lambda n: _set(n, iter=_cut(_called("list", n.iter), upper=-1))
        yield "loop without its first", lambda n: _set(n, iter=_cut(_called("list", n.iter), lower=1))
    if isinstance(node, ast.FunctionDef):
        yield from _function_edits(node)
    for block in BLOCKS:
        if isinstance(lines := getattr(node, block, None), list):
            yield from _block_edits(lines, block)


def _call_edits(node: ast.Call) -> Iterator[tuple[str, Edit]]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if len(node.args) == 1 and not node.keywords and name not in ("super", "range", "len", "list", "enumerate"):
        yield "call forgotten", lambda n: n.args[0]
    if isinstance(node.func, ast.Attribute):
        yield "call forgotten", lambda n: n.func.value
    for i in range(len(node.args) - 1):
        yield "arguments swapped", lambda n, i=i: _set(n, args=_exchanged(n.args, i))
    for i, keyword in enumerate(node.keywords):
        yield "keyword dropped", lambda n, i=i: _set(n, keywords=n.keywords[:i] + n.keywords[i + 1 :])
        if keyword.arg in ("axis", "dim"):
            yield "axis", lambda n, i=i: _set(n, keywords=_exchange_axis(n.keywords, i))
    if name == "range":
        yield "off by one", lambda n: _set(n, args=[*n.args[:-1], ast.BinOp(n.args[-1], ast.Sub(), ast.Constant(1))])
        if len(node.args) == 1:
            yield "off by one", lambda n: _set(n, args=[ast.Constant(1), *n.args])
    if name == "len":
        yield "works for what it saw first", _first
    if isinstance(node.func, ast.Attribute) and len(node.args) == 1 and isinstance(node.args[0], ast.Tuple):
        yield "axis", lambda n: _set(n, args=[])  # sum((1, 2)) -> sum()


def _function_edits(node: ast.FunctionDef) -> Iterator[tuple[str, Edit]]:
    names = [argument.arg for argument in node.args.args if argument.arg != "self"]
    for name in names:
        yield "works for what it saw first", lambda n, name=name: _Seen(name).visit(n)
        yield f"input spoiled, {name}", lambda n, name=name: _spoiling(n, name)


def _block_edits(lines: list[ast.stmt], block: str) -> Iterator[tuple[str, Edit]]:
    movable = [not isinstance(line, (ast.Return, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom))
               for line in lines]  # fmt: skip
    for i in range(len(lines)):
        if not isinstance(lines[i], (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            yield "line dropped", lambda n, i=i: _set(n, **{block: _without(getattr(n, block), i)})
        if i and movable[i] and movable[i - 1]:
            yield "order of lines", lambda n, i=i: _set(n, **{block: _exchanged(getattr(n, block), i - 1)})


def _set(node: ast.AST, **fields) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _without(lines: list, i: int) -> list:
    return lines[:i] + lines[i + 1 :] or [ast.Pass()]


def _exchanged(items: list, i: int) -> list:
    return [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def _exchange_axis(keywords: list[ast.keyword], i: int) -> list[ast.keyword]:
    value = keywords[i].value
    other = 1 if isinstance(value, ast.Constant) and value.value == 0 else 0
    return [*keywords[:i], ast.keyword(keywords[i].arg, ast.Constant(other)), *keywords[i + 1 :]]


def _called(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [*args], [])


def _cut(node: ast.expr, lower: int | None = None, upper: int | None = None) -> ast.Subscript:
    ends = {name: None if end is None else ast.Constant(end) for name, end in (("lower", lower), ("upper", upper))}
    return ast.Subscript(node, ast.Slice(**ends), ast.Load())


def _plus_one(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


# --- Mistakes that need help at run time: `helpers` are put into the namespace of a mutant --------------------------


def _first(node: ast.expr) -> ast.expr:
    return _called("_first", ast.Constant(ast.unparse(node)), node)


class _Seen(ast.NodeTransformer):
    """Every use of an argument is what it was at the first call."""

    def __init__(self, name: str):
        self.name = name

    def visit_Name(self, node):
        return _first(node) if node.id == self.name and isinstance(node.ctx, ast.Load) else node


def _spoiling(node: ast.FunctionDef, name: str) -> ast.FunctionDef:
    """The same answer, but the caller's array is no longer what it was."""

    class Spoil(ast.NodeTransformer):
        def visit_Return(self, line):
            return ast.Return(_called("_spoil", line.value, ast.Name(name, ast.Load()))) if line.value else line

        def visit_FunctionDef(self, inner):
            return inner  # its returns are not ours

        visit_Lambda = visit_FunctionDef

    node.body = [Spoil().visit(line) for line in node.body]
    return node


def helpers() -> dict[str, Callable]:
    """`_first` and `_spoil`, which mutants call; fresh ones, that have seen nothing."""
    seen: dict[str, object] = {}

    def first(key, value):
        plain = isinstance(value, (int, float, str)) or (
            isinstance(value, tuple) and all(type(v) is int for v in value)
        )
        return seen.setdefault(key, value) if plain else value

    def spoil(result, argument):
        with contextlib.suppress(Exception):  # a view of the argument, unless it cannot be copied
            result = copy.deepcopy(result)
        with contextlib.suppress(RuntimeError, ValueError, TypeError):  # read-only, or text
            if isinstance(argument, list):
                argument.clear()
            elif getattr(argument, "shape", ()) and hasattr(argument, "dtype"):
                argument[:] = argument == 0
        return result

    return {"_first": first, "_spoil": spoil}
