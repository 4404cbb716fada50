"""Play an answer to an exercise as the notebook would: what stands above it, then the answer, then the check."""

from __future__ import annotations

import ast
import linecache
import zlib

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from faceseg_utils.exercises import grade
from tools import workbook


def names_before(exercise: workbook.Exercise) -> dict:
    """What the cells above import, define or set to a plain value: all that an answer may build on."""
    namespace = {"__name__": "__main__"}
    notebook = nbformat.read(exercise.notebook, as_version=4)
    for cell in notebook.cells[: exercise.cell]:
        if cell.cell_type != "code" or {"exercise", "setup"} & set(cell.metadata.get("tags", [])):
            continue
        for node in ast.parse(TransformerManager().transform_cell(cell.source)).body:
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)) or _plain(node):
                run_source(ast.unparse(node), namespace)
    return namespace


def _plain(node: ast.stmt) -> bool:
    try:
        return isinstance(node, ast.Assign) and ast.literal_eval(node.value) is not ...
    except ValueError:
        return False


def run_source(source: str, namespace: dict) -> None:
    """Execute a cell, its source on record as IPython does it: the checks look at the source."""
    file = f"<cell {zlib.crc32(source.encode())}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), namespace)


def grade_source(exercise: workbook.Exercise, source: str):
    """The result for `source` in place of the stub."""
    namespace = names_before(exercise)
    run_source(source, namespace)
    return grade(exercise.name, eval(exercise.answer, namespace))
