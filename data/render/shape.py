"""Body shape, expression and pose as vertex positions of the base mesh (numpy only, MakeHuman units)."""

import functools

import numpy as np

from . import assets
from .mathtools import rotation


def blend(value, keys):
    """Weights of the two keys around value: blend(30, {'young': 25, 'old': 90})."""
    names, places = list(keys), list(keys.values())
    value = float(np.clip(value, places[0], places[-1]))
    weights = {name: float(np.interp(value, places, np.eye(len(places))[i])) for i, name in enumerate(names)}
    return {name: weight for name, weight in weights.items() if weight > 0}


def shaped(persona):
    """The neutral body [V, 3]: ancestry, sex, age, build, then what makes this person an individual."""
    vertices = assets.base_mesh()[0].copy()
    sexes = blend(persona["gender"], {"female": 0, "male": 1})
    ages = blend(persona["age"], {"baby": 1, "child": 12, "young": 25, "old": 90})
    muscles = blend(persona["muscle"], {"minmuscle": 0, "averagemuscle": 0.5, "maxmuscle": 1})
    weights = blend(persona["weight"], {"minweight": 0, "averageweight": 0.5, "maxweight": 1})
    for sex, ws in sexes.items():
        for age, wa in ages.items():
            for ancestry, we in persona["ancestry"].items():
                assets.apply_target(vertices, assets.macro_target(f"{ancestry}-{sex}-{age}"), we * ws * wa)
            for muscle, wm in muscles.items():
                for weight, ww in weights.items():
                    name = f"universal-{sex}-{age}-{muscle}-{weight}"
                    assets.apply_target(vertices, assets.macro_target(name), ws * wa * wm * ww)
    _individual(vertices, persona, np.random.default_rng(persona["seed"]))
    return vertices


# Sliders that quickly look like caricature, and how far they may go.
TAMED = {"ears/": 0.7, "head-age": 0.3, "neck-double": 0.3, "head-fat": 0.3, "eye-trans": 0.3,
         "eyefold-angle": 0.5, "mouth-trans": 0.5, "nose-hump": 0.6, "nose-trans": 0.5}
# A steady lean for all: MakeHuman's eyes are small and the mouth corners hang.
LEAN = {"eye-scale": 0.45, "mouth-angles": 0.15, "eye-height2": 0.15}


def _individual(vertices, persona, rng):
    """Move every face slider at random; left and right nearly alike."""
    sliders = assets.sliders()
    sides = {}
    for name in sorted(sliders):
        sides.setdefault(name.replace("/l-", "/").replace("/r-", "/"), []).append(name)
    for stem, names in sides.items():
        amount = float(np.clip(rng.normal(0, persona["variety"]), -0.5, 0.5))
        for part, factor in TAMED.items():
            if part in stem:
                amount *= factor
        for part, shift in LEAN.items():
            if stem.endswith(part):
                amount = amount * 0.6 + shift
        for name in names:
            value = amount + rng.normal(0, 0.02)
            assets.apply_target(vertices, sliders[name][value > 0], abs(value))


def with_expression(vertices, units):
    """Add face units {name: weight}."""
    vertices = vertices.copy()
    for name, weight in units.items():
        assets.apply_target(vertices, assets.face_unit(name), weight)
    return vertices


def bone_head(vertices, bone):
    """Where a bone starts, for this body."""
    head = assets.rig()[0][bone]["head"]
    if head.get("strategy") == "CUBE":
        return vertices[assets.group_vertices(head["cube_name"])].mean(0)
    if head.get("strategy") == "MEAN":
        return vertices[head["vertex_indices"]].mean(0)
    if head.get("strategy") == "VERTEX":
        return vertices[head["vertex_index"]]
    return np.array(head["default_position"])


@functools.cache
def bone_weights(bone):
    """How much each vertex [V] follows a bone and all bones that hang from it."""
    bones, weights = assets.rig()
    children = {}
    for name, description in bones.items():
        children.setdefault(description.get("parent") or "", []).append(name)
    total, todo = np.zeros(len(assets.base_mesh()[0])), [bone]
    while todo:
        name = todo.pop()
        todo += children.get(name, [])
        for vertex, weight in weights.get(name, []):
            if vertex < len(total):
                total[vertex] += weight
    return np.clip(total, 0, 1)[:, None]


def turned(vertices, bone, turn):
    """Rotate a bone and what hangs from it by the matrix `turn`."""
    pivot = bone_head(vertices, bone)
    return vertices + bone_weights(bone) * ((vertices - pivot) @ turn.T + pivot - vertices)


def posed(vertices, head=(0.0, 0.0, 0.0), arms=0.75, shrug=0.0):
    """Lower the arms from the T pose; spread the turn of the head over neck and skull."""
    for side, sign in (("L", 1), ("R", -1)):
        vertices = turned(vertices, f"clavicle.{side}", rotation(0, 0, sign * shrug))
        vertices = turned(vertices, f"upperarm01.{side}", rotation(0, 0, -sign * arms))
    for bone, share in (("neck01", 0.2), ("neck02", 0.2), ("neck03", 0.2), ("head", 0.4)):
        vertices = turned(vertices, bone, rotation(*(np.array(head) * share)))
    return vertices
