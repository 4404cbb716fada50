"""The package's rooms: imports run one way, nothing is imported late, and what is taught can be read at one sitting."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import faceseg_utils

PACKAGE = Path(faceseg_utils.__file__).parent
# From the leaves to the roof: a module imports from lower rows and its own, never from higher ones.
ROWS = [
    ["paths", "statistics", "config"],
    ["data"],
    ["dataset", "transforms"],
    ["network"],
    ["model"],
    ["dice", "losses"],
    ["evaluation"],
    ["engine"],
    ["training", "minimal"],
    ["probes", "deploy"],
    ["analysis"],
    ["log"],
    ["figures"],
    ["widgets", "play"],
    ["exercises"],
    ["session", "__main__", "__init__"],
]
TAUGHT = ("dataset", "transforms", "model", "dice", "losses", "evaluation", "training")
# Imported inside a function: packages that an installation may lack.
OPTIONAL = {"onnx", "onnxruntime"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def row(name: str) -> int:
    return next(number for number, names in enumerate(ROWS) if name.split(".")[0] in names)


def imported(node: ast.AST, here: str) -> list[str]:
    """Full names of the modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        base = ".".join(["faceseg_utils", *here.split(".")[: -node.level], *filter(None, [node.module])])
    names = {module(file) for file in FILES}
    inside = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name.removeprefix("faceseg_utils.") in names else base for name in inside]


def statements(path: Path, late: bool) -> list[ast.AST]:
    """Import statements inside functions (`late`), or all others."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    inside = {id(n) for function in functions for n in ast.walk(function)}
    return [
        n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) and (id(n) in inside) == late
    ]


def graph() -> dict[str, set[str]]:
    ours = {}
    for path in FILES:
        names = [name for node in statements(path, late=False) for name in imported(node, module(path))]
        found = {n.removeprefix("faceseg_utils.") for n in names if n.startswith("faceseg_utils.")}
        ours[module(path)] = found - {module(path)}
    return ours


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, empty if there is none."""
    done: set[str] = set()

    def visit(name, way):
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in graph.get(name, ()):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def test_every_module_has_its_row():
    assert [module(path) for path in FILES if module(path).split(".")[0] not in sum(ROWS, [])] == []


def test_imports_run_one_way():
    wrong = [(a, b) for a, others in graph().items() for b in others if row(b) > row(a)]
    assert wrong == []


def test_there_is_no_circle():
    assert circle_in(graph()) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


@pytest.mark.parametrize("path", FILES, ids=module)
def test_nothing_is_imported_late(path):
    if module(path) in ("__main__", "__init__"):
        return  # the command line and the face wait for nothing that they do not need
    late = [name for node in statements(path, late=True) for name in imported(node, module(path))]
    assert [name for name in late if name.split(".")[0] not in OPTIONAL] == []


def lines(*paths: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def test_what_is_taught_can_be_read_at_one_sitting():
    assert lines(*(PACKAGE / f"{name}.py" for name in TAUGHT)) <= 1000


def test_the_package_does_not_grow():
    """The aim is 3,500 lines without widgets, games and exercises. Whoever makes it smaller lowers the number here."""
    rest = [path for path in FILES if module(path).split(".")[0] not in ("widgets", "play", "exercises")]
    assert lines(*rest) <= 4933


# --- The public face --------------------------------------------------------------------------------------------------

FACE = "Segmenter PortraitDataset TrainConfig build_model train evaluate dice_score boundary_f1 start"


def in_a_fresh_process(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_face_gives_every_public_name():
    names = FACE.split()
    assert sorted(names) == sorted(faceseg_utils.__all__) and set(names) <= set(dir(faceseg_utils))
    code = f"from faceseg_utils import {', '.join(names)}; print(train.__module__, dice_score.__module__)"
    assert in_a_fresh_process(code).split() == ["faceseg_utils.training", "faceseg_utils.dice"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        faceseg_utils.nonsense  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import faceseg_utils; print(*(set(sys.modules) - before))"
    heavy = {"torch", "numpy", "pandas", "matplotlib", "PIL"}
    assert not heavy & set(in_a_fresh_process(code).split())


@pytest.mark.parametrize("command", [["data"], ["--help"], ["train", "--help"], ["demo", "--out", __file__]])
def test_commands_without_a_network_do_not_wait_for_torch(command):
    code = (
        "import sys; from faceseg_utils.__main__ import main\n"
        f"try: main({command!r})\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    assert in_a_fresh_process(code).split()[-1] == "False"


# --- Two short paths, counted by running them -------------------------------------------------------------------------

COUNT = """
import json, sys, torch
from faceseg_utils import PortraitDataset, Segmenter, TrainConfig, build_model, dice, evaluate, training
from faceseg_utils.engine import device, loader
from faceseg_utils.network.saved import ModelConfig

def functions(run):
    seen = set()
    def note(frame, event, _):
        file = frame.f_code.co_filename.replace("\\\\", "/").partition("faceseg_utils/")[2]
        if event == "call" and file and not file.startswith("network/") and frame.f_code.co_name[0] != "<":
            seen.add((file, frame.f_code.co_name))
    sys.setprofile(note)
    run()
    sys.setprofile(None)
    return sorted(seen)

sample = PortraitDataset("sample", "val").subset([0, 1])
settings = ModelConfig("lite0", ("background", "person"), (64, 64), (0.5,) * 3, (0.5,) * 3)
segmenter = Segmenter(build_model("lite0"), settings)
evaluate(segmenter, sample)  # now the photos are decoded
dice.boundary_f1 = lambda *_: dice.np.zeros(1)  # the way to the Dice alone
hops = {"evaluate": functions(lambda: evaluate(segmenter, sample))}

config = TrainConfig(size=(64, 64), limit=24, pretrained=False)
photos, _, _ = loader.datasets(config)
accelerator = device.new_accelerator("cpu")
network = training.new_segmenter(config, photos.classes).network
model, optimizer, _ = accelerator.prepare(network, *training.build_optimizer(config, network, 10))
for i in range(len(photos)):
    photos[i]
batches = iter(loader.new_loader(photos, loader.cuts(len(photos), config), accelerator.device))
loss = training.LOSSES[config.loss]
next(batches)  # the first: accelerate asks for the number of photos once per epoch
hops["step"] = functions(lambda: training.train_step(model, next(batches), loss, optimizer, accelerator, config.clip))
print(json.dumps(hops))
"""


def test_from_a_photo_to_its_dice_and_through_a_step_in_few_hops():
    """Functions of ours that run, each counted once, networks left out: `evaluate`, and one step with its batch."""
    hops = json.loads(in_a_fresh_process(COUNT).splitlines()[-1])
    counted = {path: (len(found), len({file for file, _ in found})) for path, found in hops.items()}
    assert all(a <= b for a, b in zip(counted["evaluate"], (10, 5))), hops["evaluate"]
    assert all(a <= b for a, b in zip(counted["step"], (12, 4))), hops["step"]
