"""Clothes: the body's own torso, blown up a little, cut along a neckline, patterned; collars as a folded band."""

import numpy as np

from .body import Part
from .mathtools import smoothstep, xyz
from .nodes import Shader, add_mesh, grid_faces, set_float, set_vector

COLLAR_STEPS = 40


def cloth_material(garment):
    """A woven surface with a pattern in garment-fixed coordinates; transparent where `keep` <= 0."""
    s = Shader("cloth")
    place, keep = s.vector_attribute("place"), s.attribute("keep")
    x, _, z = s.separate(place)
    first, second, rate = garment["colour"], garment["second"], garment["rate"]

    def bars(axis, k=1.0, duty=0.0):
        return s.above(s.math("SINE", s.mul(axis, rate * k)), duty)

    pattern = garment["pattern"]
    if pattern == "stripes":
        factor = bars(z)
    elif pattern == "pinstripes":
        factor = bars(x, 1.6, 0.6)
    elif pattern == "check":
        factor = s.mul(s.add(bars(z), bars(x)), 0.5)
    elif pattern == "dots":
        factor = s.math("LESS_THAN", s.cells(place, rate * 0.5, 0.15)["Distance"], 0.25)
    elif pattern == "flowers":
        factor = s.ramp(s.cells(place, rate * 0.35, 1)["Distance"], 0.25, 0.35)
    else:
        factor, second = s.ramp(s.noise(place, 15, 3), 0.35, 0.65), np.array(first) * 0.85
    colour = s.mix(factor, first, second)
    # the seam of the neckline, drawn a centimetre from the edge
    seam = s.mul(s.above(keep, 0.0095), s.math("LESS_THAN", keep, 0.0115))
    colour = s.mix(s.mul(seam, 0.5), colour, np.array(first) * 0.35)
    folds = s.add(s.noise(place, 22, 2), s.mul(s.noise(place, 900, 2), 0.08))
    folds = s.add(folds, s.noise(s.mapping(place, (1.0, 1.0, 0.45), (0, 0.5, 0)), 30, 2, 0.45))
    surface = s.principled(Base_Color=colour, Roughness=0.85, Normal=s.bump(folds, 0.5, 0.012), Sheen_Weight=0.25)
    here = s.above(keep, 0.0)
    choose = s.node("MixShader", {0: here})
    s.tree.links.new(s.node("BsdfTransparent").outputs[0], choose.inputs[1])
    s.tree.links.new(surface.outputs[0], choose.inputs[2])
    return s.finish(choose.outputs[0], clothes=here)


def neckline_height(garment, angle, neck_z):
    """z of the neckline at an angle around the neck (radians, 0 = front)."""
    front = ((1 + np.cos(angle)) / 2) ** 1.5
    return neck_z + garment["back"] + (garment["front"] - garment["back"]) * front


def add_garment(body, garment):
    """One layer: a cut copy of the torso, hugging the skin at its edge so that no gap opens at the nape."""
    m = body.marks
    part = Part("garment", body.faces("helper-tights", 4.0), body.posed_neutral, body.posed_final)
    points = part.neutral
    angle = np.arctan2(points[:, 0], -(points[:, 1] - m.neck[1]))
    line = neckline_height(garment, angle, m.neck[2])
    if garment.get("v_depth"):
        inside = np.clip(1 - np.abs(points[:, 0]) / garment["v_width"], 0, 1)
        line = line - garment["v_depth"] * inside * (np.abs(angle) < np.pi / 2)
    keep = line - points[:, 2]
    if garment.get("opening"):      # an open jacket: nothing near the middle of the front
        gap = garment["opening"] * np.clip((points[:, 2] - (m.neck[2] - garment["opening_end"])) / 0.3, 0.02, 1)
        keep = np.where(np.abs(angle) < np.pi / 2, np.minimum(keep, np.abs(points[:, 0]) - gap), keep)
    wobble = 0.5 + 0.5 * np.sin(points[:, 0] * 60 + points[:, 2] * 40 + garment["offset"] * 100)
    near_edge = 1 - smoothstep(line - points[:, 2], 0.0, 0.05)
    offset = garment["offset"] * (1 + 0.35 * wobble) * (1 - 0.6 * near_edge)
    height, normal = body.height_above_skin(points)
    hug = near_edge * np.clip(height - 0.001, -0.02, 0.06)
    neutral = points + part.neutral_normal * offset[:, None] - normal * hug[:, None]
    moved = part.final - part.neutral + neutral
    part.mesh.vertices.foreach_set("co", moved.astype(np.float32).ravel())
    part.mesh.update()
    set_float(part.mesh, "keep", keep)
    set_vector(part.mesh, "place", points)
    part.set_material(cloth_material(garment))
    if garment.get("collar"):
        add_collar(body, garment, neutral, part.mesh.materials[0])
    return part


def add_collar(body, garment, cloth, material):
    """A shirt collar: a low stand around the neck and a leaf folded over it down to the shoulder."""
    m, height, half_gap = body.marks, garment["collar"], garment["collar_gap"]
    degrees = np.concatenate([np.linspace(half_gap, 180, COLLAR_STEPS),
                              np.linspace(180, 360 - half_gap, COLLAR_STEPS)[1:]])
    angle = np.radians(degrees)
    base = neckline_height(garment, angle, m.neck[2]) - 0.004
    radius = _radius_around_neck(cloth, m.neck, angle, base)
    front = ((1 + np.cos(angle)) / 2) ** 1.5
    # rows of (height in collar heights, distance from the neck in metres): stand up, fold over, hang down
    profile = [(0, 0.0), (0.5, 0.001), (0.95, 0.002), (1.0, 0.005), (0.75, 0.009), (0.1, 0.016), (-0.5, 0.024)]
    rows = []
    for i, (up, out) in enumerate(profile):
        point_down = 0.7 * front if i == len(profile) - 1 else 0.0
        r = radius + out - 0.3 * height * max(up, 0)
        rows.append(xyz(np.sin(angle) * r, m.neck[1] - np.cos(angle) * r, base + height * (up - point_down)))
    vertices = np.concatenate(rows)
    _, near = body.tree.query(vertices, k=12)
    moved = vertices + (body.part.final[near] - body.part.neutral[near]).mean(1)
    collar = add_mesh("collar", moved, grid_faces(len(profile), len(angle)), material, levels=2, thickness=0.002)
    set_float(collar.data, "keep", np.ones(len(vertices)))
    set_vector(collar.data, "place", vertices)


def _radius_around_neck(cloth, neck, angle, height):
    """Distance of the cloth [n, 3] from the neck axis at each (angle, height), by a soft average."""
    around = np.arctan2(cloth[:, 0], -(cloth[:, 1] - neck[1]))
    radius, out = np.hypot(cloth[:, 0], cloth[:, 1] - neck[1]), []
    for a, z in zip(angle, height, strict=True):
        off = np.angle(np.exp(1j * (around - a)))
        weight = np.exp(-((off / 0.14) ** 2) - ((cloth[:, 2] - z) / 0.007) ** 2) + 1e-12
        out.append((weight * radius).sum() / weight.sum())
    return np.array(out)
