"""Glasses and headwear, built on the neutral head and carried with it."""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, maximum_filter1d
from scipy.spatial import cKDTree

from .mathtools import smoothstep, unit, xyz
from .nodes import Shader, add_mesh, add_tube, grid_faces, plain_material, set_float, set_vector

AROUND = 72         # columns of the head shell, one each 5 degrees


def add_glasses(body, glasses):
    """Wire or horn rims, temples and bridge; dark lenses for sunglasses. Clear lenses are left out."""
    m = body.marks
    frame = plain_material("frame", glasses["rgb"], "glasses", 0.25, Metallic=glasses["metal"], Coat_Weight=0.5)
    rx, rz, squareness, thick = glasses["half_width"], glasses["half_height"], glasses["squareness"], glasses["thick"]
    plane = min(m.eye[1] - 0.028, m.nose[1] + 0.012)
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    cos, sin = np.cos(t), np.sin(t)
    for side in (1, -1):
        x = rx * np.sign(cos) * np.abs(cos) ** (2 / squareness)
        z = rz * np.sign(sin) * np.abs(sin) ** (2 / squareness)
        rim = xyz(side * (m.eye[0] + 0.001) + x, plane + 2.5 * (np.abs(side * m.eye[0] + x) - m.eye[0]) ** 2,
                  m.eye[2] - 0.004 + z)
        add_tube(body.with_head(rim), thick, frame, closed=True)
        if glasses["dark"]:
            lens = plain_material("lens", (0.012, 0.012, 0.014), "glasses", 0.08, Coat_Weight=1.0)
            middle = rim.mean(0, keepdims=True)
            add_mesh("lens", body.with_head(np.concatenate([rim, middle])),
                     [[i, (i + 1) % 60, 60] for i in range(60)], lens)
        temple = [[side * (m.eye[0] + rx), plane + 0.002, m.eye[2] + 0.004],
                  [side * (m.ear_x - 0.002), plane + 0.02, m.eye[2] + 0.004],
                  [side * (m.ear_x + 0.001), m.ear[1], m.ear_top - 0.006]]
        add_tube(body.with_head(np.array(temple)), thick * 0.8, frame)
    across = np.linspace(-(m.eye[0] - rx), m.eye[0] - rx, 9)
    bridge = xyz(across, plane - 0.001, m.eye[2] + 0.002 + 0.003 * np.cos(across / (m.eye[0] - rx) * 1.5))
    add_tube(body.with_head(bridge), thick * 0.9, frame)


def hat_line(body, kind):
    """A function points [n, 3] -> z of the edge of the hat, or None without a hat: a tilted plane."""
    if kind == "none":
        return None
    m = body.marks
    if kind == "headscarf":
        return lambda points: np.full(len(points), -np.inf)        # covers all hair
    lift = {"beanie": (0.050, -0.016), "cap": (0.056, 0.004), "hat": (0.056, 0.000), "headwrap": (0.058, -0.012)}[kind]
    front, back = m.eye[2] + lift[0], m.ear_top + lift[1]
    y0, y1 = m.nose[1] + 0.02, m.centre[1] + 0.09
    return lambda points: front + (back - front) * np.clip((points[:, 1] - y0) / (y1 - y0), -0.2, 1.2)


class HeadShell:
    """The skull as seen from its centre: radius as a function of azimuth and elevation."""

    def __init__(self, body):
        m, points = body.marks, body.part.neutral
        self.centre = m.centre
        q = points[body.is_head & (points[:, 2] > m.eye[2] - 0.03) & (body.ears < 0.3)] - self.centre
        tree, length = cKDTree(unit(q)), np.linalg.norm(q, axis=1)
        self.azimuth = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
        self.elevation = np.radians(np.linspace(-30, 90, 49))
        a, e = np.meshgrid(self.azimuth, self.elevation, indexing="ij")
        _, near = tree.query(self.direction(a, e), k=10)
        self.radius = gaussian_filter(length[near].max(-1), (1.2, 1.2), mode=("wrap", "nearest"))

    @staticmethod
    def direction(azimuth, elevation):
        """Unit vectors; azimuth 0 is the front, elevation pi/2 the crown."""
        return xyz(np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation))

    def rows(self, line, count, offset):
        """Rings [count, AROUND, 3] from the hat line up to the crown; offset [count] is added to the radius."""
        start = np.zeros(AROUND)
        for i in range(AROUND):
            rim = self.centre + self.direction(np.full(49, self.azimuth[i]), self.elevation) * self.radius[i][:, None]
            above = rim[:, 2] - line(rim)
            start[i] = np.interp(0.0, above, self.elevation)
        out = []
        for t, extra in zip(np.linspace(0, 1, count), offset, strict=True):
            elevation = start + (np.pi / 2 - start) * t
            radius = np.array([np.interp(elevation[i], self.elevation, self.radius[i]) for i in range(AROUND)])
            out.append(self.centre + self.direction(self.azimuth, elevation) * (radius + extra)[:, None])
        return np.stack(out)


def fabric(name, colour, texture, cut=False):
    """Cloth for the head: 'knit' ribs, 'plain' weave, or 'wrap' folds; `cut` reads the attribute keep."""
    s = Shader(name)
    place, colour = s.vector_attribute("place"), np.array(colour)
    if texture == "knit":
        ribs = s.math("SINE", s.mul(s.attribute("around"), 90.0))
        height, depth = s.add(ribs, s.noise(place, 500, 2)), 0.0025
        shade = s.mix(s.ramp(ribs, -1, 0.6), colour * 0.62, colour)
    elif texture == "wrap":
        height, depth = s.noise(s.mapping(place, (1, 1, 3.0), (0.5, 0.3, 0)), 24, 3), 0.02
        shade = s.mix(s.noise(place, 40, 2), colour * 0.85, colour * 1.05)
    else:
        height, depth = s.noise(place, 700, 2), 0.001
        shade = s.mix(s.noise(place, 60, 2), colour * 0.9, colour)
    surface = s.principled(Base_Color=shade, Roughness=0.85, Sheen_Weight=0.3, Normal=s.bump(height, 0.6, depth))
    if not cut:
        return s.finish(surface.outputs[0], headwear=1.0)
    here = s.above(s.attribute("keep"), 0.0)
    choose = s.node("MixShader", {0: here})
    s.tree.links.new(s.node("BsdfTransparent").outputs[0], choose.inputs[1])
    s.tree.links.new(surface.outputs[0], choose.inputs[2])
    return s.finish(choose.outputs[0], headwear=here)


def _add_shell(body, rows, material, keep=None, carry=None, thickness=0.002):
    """A closed-around mesh from rings [r, AROUND, 3]."""
    count = len(rows)
    flat = rows.reshape(-1, 3)
    obj = add_mesh("headwear", (carry or body.with_head)(flat), grid_faces(count, AROUND, closed=True), material,
                   levels=1, thickness=thickness)
    set_vector(obj.data, "place", flat)
    turn = np.minimum(np.arange(AROUND), AROUND - np.arange(AROUND)) / AROUND * 2
    set_float(obj.data, "around", np.tile(turn, count))
    if keep is not None:
        set_float(obj.data, "keep", keep.ravel())
    return obj


def add_headwear(body, headwear):
    """Put the hat, cap, beanie, headwrap or headscarf on the head."""
    kind = headwear["kind"]
    if kind == "none":
        return
    if kind == "headscarf":
        _headscarf(body, headwear)
        return
    shell, line, t = HeadShell(body), hat_line(body, kind), np.linspace(0, 1, 16)
    if kind == "beanie":
        knit = fabric("knit", headwear["rgb"], "knit")
        _add_shell(body, shell.rows(line, 16, 0.007 + 0.012 * np.sin(np.pi * t / 2) ** 2), knit)
        cuff = shell.rows(line, 16, 0.013 + 0.003 * np.sin(np.pi * np.clip(t / 0.3, 0, 1)))[:5]
        _add_shell(body, cuff, knit, thickness=0.004)
    elif kind == "headwrap":
        wrap = fabric("wrap", headwear["rgb"], "wrap")
        swell = 0.006 + 0.026 * np.sin(np.pi * np.clip(t * 0.9 + 0.08, 0, 1)) ** 1.2
        _add_shell(body, shell.rows(line, 16, swell), wrap)
    else:
        cloth = fabric("felt", headwear["rgb"], "plain")
        round_top, flat_top = 0.014 * np.sin(np.pi * t), 0.028 * smoothstep(t, 0.1, 0.75) * (1 - 0.5 * t ** 6)
        crown = 0.006 + (round_top if kind == "cap" else flat_top)
        rows = shell.rows(line, 16, crown)
        _add_shell(body, rows, cloth)
        if kind == "cap":
            _visor(body, shell, rows[0], plain_material("visor", np.array(headwear["second"]), "headwear", 0.7))
        else:
            _brim(body, shell, rows, headwear, cloth)


def _visor(body, shell, edge, material):
    """The peak of a cap: grows out of the front of the rim."""
    columns = np.concatenate([np.arange(AROUND - 14, AROUND), np.arange(15)])
    azimuth = np.where(columns > AROUND // 2, columns - AROUND, columns) * (2 * np.pi / AROUND)
    reach = 0.062 * np.cos(azimuth / azimuth.max() * np.pi / 2) ** 0.7
    rows = []
    for t in np.linspace(0, 1, 6):
        droop = -0.012 * t - 0.016 * t * (azimuth / azimuth.max()) ** 2
        rows.append(edge[columns] + xyz(0.0, -t * reach, droop + 0.002))
    add_mesh("visor", body.with_head(np.concatenate(rows)), grid_faces(6, len(columns)), material, levels=1,
             thickness=0.003)


def _brim(body, shell, rows, headwear, cloth):
    """A flat brim all around, and a ribbon above it."""
    out = HeadShell.direction(shell.azimuth, np.zeros(AROUND))
    wave = 0.008 * np.cos(2 * shell.azimuth)
    brim = np.stack([rows[0] + out * headwear["brim"] * t + xyz(0, 0, wave * t - 0.012 * t)
                     for t in np.linspace(0, 1, 6)])
    _add_shell(body, brim, cloth, thickness=0.003)
    ribbon = rows[:4] + out[None] * 0.0025
    _add_shell(body, ribbon, plain_material("ribbon", headwear["second"], "headwear", 0.6), thickness=0.001)


def _headscarf(body, headwear):
    """A scarf around head and neck with an opening for the face, tucked into the neckline."""
    m, shell = body.marks, HeadShell(body)
    points = body.part.neutral
    upper = [m.centre + HeadShell.direction(shell.azimuth, np.full(AROUND, e))
             * (np.array([np.interp(e, shell.elevation, r) for r in shell.radius]) + 0.009)[:, None]
             for e in np.radians(np.linspace(90, -8, 20))]
    heights = np.linspace(upper[-1][:, 2].mean() - 0.012, m.neck[2] - 0.05, 18)
    near = points[(np.abs(points[:, 0]) < 0.12) & (points[:, 2] > m.neck[2] - 0.08) & (body.ears < 0.8)]
    azimuth = np.arctan2(near[:, 0], -(near[:, 1] - m.centre[1]))
    radius = np.hypot(near[:, 0], near[:, 1] - m.centre[1])
    tree = cKDTree(np.c_[np.cos(azimuth), np.sin(azimuth), near[:, 2] * 12])
    a, z = np.meshgrid(shell.azimuth, heights)
    _, close = tree.query(np.stack([np.cos(a), np.sin(a), z * 12], -1), k=8)
    around = maximum_filter1d(np.minimum(radius[close].max(-1), 0.125), 3, axis=0) + 0.012
    around = gaussian_filter1d(gaussian_filter1d(around, 1.2, axis=0, mode="nearest"), 1.5, axis=1, mode="wrap")
    lower = m.centre[None, None] * [1, 1, 0] + xyz(np.sin(a) * around, -np.cos(a) * around, z)
    rows = np.concatenate([np.stack(upper), lower])
    rows = gaussian_filter1d(rows, 1.0, axis=0, mode="nearest")
    low, high = m.chin[2] - 0.012, m.eye[2] + 0.052
    face = (rows[..., 0] / (0.80 * m.ear_x)) ** 2 + ((rows[..., 2] - (low + high) / 2) / ((high - low) / 2)) ** 2 - 1
    keep = np.where(rows[..., 1] < m.centre[1], face, 1.0)
    _add_shell(body, rows, fabric("scarf", headwear["rgb"], "wrap", cut=True), keep, body.with_neck)
