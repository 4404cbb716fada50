"""Lashes, brows and beard: strands on the face, which follow its expression."""

import numpy as np
from scipy.spatial import cKDTree

from . import assets
from .hair import hair_material
from .mathtools import to_blender, unit, xyz
from .nodes import add_strands


def add_lashes(body, persona, rng):
    """Strands along the lash strips of the base mesh; labelled as eyes."""
    material = hair_material("lashes", (0.015, 0.012, 0.01), "eyes")
    for side in "lr":
        centre = body.base_expression[assets.group_vertices(f"helper-{side}-eye")].mean(0)
        for strip, count, reach in (("1", 34, 0.55), ("2", 60, 0.9)):       # lower, upper lid
            roots, tips = _strip_edges(body, f"helper-{side}-eyelashes-{strip}", centre)
            if len(roots) < 3:
                continue
            u = np.sort(rng.random(count)) * (len(roots) - 1)
            i = np.minimum(u.astype(int), len(roots) - 2)
            f = (u - i)[:, None]
            a = roots[i] * (1 - f) + roots[i + 1] * f
            length = reach * persona["lashes"] * rng.uniform(0.7, 1.1, (count, 1))
            b = a + (tips[i] * (1 - f) + tips[i + 1] * f - a) * length
            bend = np.array([0, 0, -0.0005 if strip == "2" else 0.0003])
            add_strands("lashes", np.stack([a, (a + b) / 2 + bend, b], 1), 0.00016, material, 0.3)


def _strip_edges(body, group, centre):
    """Edges of a lash strip that lead away from the eye, sorted across: roots and tips [n, 3]."""
    v = body.base_expression
    edges = set()
    for face in assets.base_mesh()[2][group]:
        ids = [i for i, _ in face]
        edges |= {(min(a, b), max(a, b)) for a, b in zip(ids, ids[1:] + ids[:1], strict=True)}
    pairs = []
    for a, b in sorted(edges):
        near, far = np.linalg.norm(v[a] - centre), np.linalg.norm(v[b] - centre)
        if abs(near - far) > 0.012:
            pairs.append((a, b) if near < far else (b, a))
    pairs.sort(key=lambda pair: body.posed_final[pair[0], 0])
    points = to_blender(body.posed_final[np.array(pairs, int).reshape(-1, 2)])
    return points[:, 0], points[:, 1]


def add_brows(body, persona, rng):
    """Two brows on the ridge above the eyes, each an arch that thins to the temple."""
    material = hair_material("brows", persona["brow_rgb"], "brows", 0.3)
    part, m, count = body.part, body.marks, 340
    front = np.where((part.neutral[:, 1] < m.ear[1] - 0.02) & body.is_head)[0]
    tree = cKDTree(part.neutral[front][:, [0, 2]])
    for side in (1, -1):
        u, across = rng.random(count) ** 0.9, rng.uniform(-1, 1, count)
        arch = 0.0150 + 0.0100 * persona["brow_arch"] * np.sin(np.clip(u * 1.25, 0, 1.57) * 1.3)
        arch -= 0.011 * np.clip(u - 0.64, 0, 1) ** 1.2
        thickness = persona["brow_thickness"] * (1 - 0.7 * u ** 1.6) * np.minimum(1, 0.55 + 4 * u)
        where = np.stack([side * (0.0095 + 0.038 * u), m.eye[2] + arch + across * thickness], 1)
        distance, near = tree.query(where, k=3)
        weight = 1 / (distance + 1e-5)
        weight = (weight / weight.sum(1, keepdims=True))[..., None]
        near = front[near]
        normal = unit((part.neutral_normal[near] * weight).sum(1))
        root = (part.final[near] * weight).sum(1)
        lie = xyz(side * (0.25 + 1.1 * u), 0, 0.95 * (1 - u) ** 1.2 - 0.25 * u - 0.33 * across)
        lie = unit(unit(lie) + rng.normal(0, 0.16, (count, 3)))
        lie = unit(lie - normal * (lie * normal).sum(1, keepdims=True))
        length = persona["brow_length"] * rng.uniform(0.6, 1.1, count) * (1 - 0.35 * u)
        t = np.linspace(0, 1, 4)[None, :, None]
        shape = (lie[:, None] * length[:, None, None] * t + normal[:, None] * (0.0012 * np.sin(2.2 * t) + 0.0002)
                 - np.array([0, 0, 0.0012]) * t ** 2)
        add_strands("brow", root[:, None] + shape @ body.turn.T, 0.00022, material, 0.4)


def add_beard(body, persona, rng):
    """Moustache, goatee or full beard; stubble is painted by the skin shader."""
    count = {"full": 6500, "goatee": 3200, "moustache": 2600}.get(persona["facial_hair"])
    if not count:
        return
    part = body.part
    places = part.sample(rng, count, body.beard + 1e-9)
    roots = part.at(places, part.neutral)
    carried, normal = part.at(places, part.final), unit(part.at(places, part.final_normal))
    dense = np.clip(part.at(places, body.beard[:, None])[:, 0] + 0.2, 0, 1)
    length = persona["beard_length"] * rng.uniform(0.5, 1.1, count) * dense
    fall = unit(xyz(0.6 * np.clip(roots[:, 0] / 0.02, -1, 1), -0.15, -1.0) + rng.normal(0, 0.25, (count, 3)))
    fall = unit(fall - 0.7 * normal * (fall * normal).sum(1, keepdims=True) + normal * 0.45)
    t = np.linspace(0, 1, 5)[None, :, None]
    strands = (carried[:, None] + fall[:, None] * length[:, None, None] * t
               - np.array([0, 0, 0.35]) * length[:, None, None] * t ** 2
               + np.array([1.0, 0, 0]) * (length * 0.2 * rng.normal(0, 1, count))[:, None, None] * t ** 2)
    add_strands("beard", strands, 0.00020, hair_material("beard", persona["beard_rgb"], "facial_hair", 0.3, 0.5), 0.5)
