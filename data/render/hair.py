"""Scalp hair: strands that grow from the scalp, combed by a rule a style, then clumped and curled.

A comb is a function (points [n, 3], roots [n, 3], progress 0..1) -> directions [n, 3].
"""

import numpy as np
from scipy.spatial import cKDTree

from .mathtools import smoothstep, unit, xyz
from .nodes import Shader, add_strands


def hair_material(name, colour, label, spread=0.25, rough=0.32):
    """Blender's hair shader; `spread` varies the brightness from strand to strand."""
    s = Shader(name)
    fibre = s.node("BsdfHairPrincipled", model="CHIANG", parametrization="COLOR")
    brightness = s.math("MULTIPLY_ADD", s.node("HairInfo").outputs["Random"], 2 * spread, 1 - spread)
    scaled = s.node("VectorMath", {0: colour[:3]}, operation="SCALE")
    s.set(scaled.inputs["Scale"], brightness)
    for socket, value in (("Color", scaled.outputs[0]), ("Roughness", rough), ("Radial Roughness", 0.45)):
        s.set(fibre.inputs[socket], value)
    return s.finish(fibre.outputs[0], **{label: 1.0})


class Barber:
    """Grows one hair style on a body; all lengths in metres."""

    def __init__(self, body, persona, rng, hat_line=None):
        self.body, self.persona, self.rng, self.m = body, persona, rng, body.marks
        self.scalp = body.scalp
        self.hatted = hat_line is not None
        if self.hatted:     # under a hat only what hangs out below its edge grows
            points = body.part.neutral
            self.scalp = self.scalp * (points[:, 2] < hat_line(points) + 0.004)

    def roots(self, count, extra=1.0):
        """Root positions and normals [count, 3]; fewer under a hat, where less scalp is left."""
        density = self.scalp * extra
        if self.hatted:
            count = int(count * np.clip(density.sum() / max((self.body.scalp * extra).sum(), 1), 0.05, 1))
        places = self.body.part.sample(self.rng, count, density + 1e-12)
        return (self.body.part.at(places, self.body.part.neutral),
                unit(self.body.part.at(places, self.body.part.neutral_normal)))

    def grow(self, roots, normals, length, steps, comb, gravity=0.3, lift=0.25, volume=0.012, stiff=0.55,
             jitter=0.1, off_face=0.0, pull=0.0):
        """March strands step by step: turn towards the comb, fall, stay outside the skin.

        lift raises the roots; volume keeps strands apart from the skull; off_face pushes strands out of the
        face; pull draws them back towards the skull. Returns [n, steps, 3].
        """
        rng, m, n = self.rng, self.m, len(roots)
        points, out = roots.copy(), [roots.copy()]
        heading = unit(normals + rng.normal(0, jitter, (n, 3)))
        step = (np.asarray(length) * np.ones(n) / (steps - 1))[:, None]
        distance = volume * rng.random(n) ** 0.7
        for i in range(1, steps):
            t = i / (steps - 1)
            goal = (comb(points, roots, t) + np.array([0, 0, -gravity * (0.3 + t)]) + normals * lift * np.exp(-3 * t)
                    + rng.normal(0, 0.5 * jitter, (n, 3)))
            if off_face > 0:
                inside = ((points[:, 1] < m.ear[1] - 0.028) & (points[:, 2] < m.hairline - 0.005)
                          & (np.abs(points[:, 0]) < m.ear_x))
                goal[inside] += off_face * xyz(1.2 * np.sign(points[inside, 0] + 1e-5), 0.9, 0.0)
            heading = unit(stiff * heading + (1 - stiff) * unit(goal))
            points = points + heading * step
            height, normal = self.body.height_above_skin(points)
            least = 0.0012 + distance * min(1, 3 * t + 0.15)
            least = least + 0.013 * smoothstep(m.neck[2] + 0.03 - points[:, 2], 0, 0.03)    # lie on the clothes
            points = points + normal * np.clip(least - height, 0, 0.03)[:, None]
            if pull > 0:
                near_head = smoothstep(points[:, 2], m.lip[2] - 0.02, m.eye[2])
                points = points - normal * (np.clip(height - least - 0.002, 0, 0.03) * pull * near_head)[:, None]
            out.append(points.copy())
        return np.stack(out, 1)

    def clumped(self, strands, strength, count):
        """Draw each strand towards the nearest of `count` guide strands, more so at the tip."""
        n, steps, _ = strands.shape
        guides = self.rng.choice(n, min(count, n), replace=False)
        _, mine = cKDTree(strands[guides, 0]).query(strands[:, 0])
        t = np.linspace(0, 1, steps)[None, :, None]
        return strands + (strands[guides][mine] - strands) * strength * t ** 1.3 * 0.9

    def curled(self, strands, radius, turns, count):
        """Wind strands into helices that neighbours share."""
        rng, (n, steps, _) = self.rng, strands.shape
        guides = rng.choice(n, min(count, n), replace=False)
        _, mine = cKDTree(strands[guides, 0]).query(strands[:, 0])
        phase = rng.random(len(guides))[mine][:, None] * 6.28 + rng.normal(0, 0.5, (n, 1))
        rate = (turns * (1 + 0.3 * rng.normal(0, 1, len(guides))))[mine][:, None]
        t = np.linspace(0, 1, steps)[None, :]
        along = unit(np.gradient(strands, axis=1))
        u = unit(np.cross(along, np.array([0.3, 0.2, 1.0])))
        v = np.cross(along, u)
        size = radius * np.minimum(1, t * 2.5) * (0.7 + 0.6 * rng.random((n, 1)))
        angle = 2 * np.pi * rate * t + phase
        return strands + u * (size * np.cos(angle))[..., None] + v * (size * np.sin(angle))[..., None]

    def without_face(self, strands):
        """Drop strands that hang before the mouth or the eyes."""
        m, x, y, z = self.m, np.abs(strands[..., 0]), strands[..., 1], strands[..., 2]
        mouth = (y < m.ear[1] - 0.02) & (z < m.lip[2] + 0.02) & (x < 0.048)
        eyes = (y < m.eye[1] + 0.004) & (z < m.eye[2] + 0.02) & (x < 0.05)
        return strands[~(mouth | eyes).any(1)]

    # ---- combs

    def to_the_side(self, points, roots, t):
        """Off the parting, over the ears, down."""
        sign = np.where(roots[:, 0] > self.persona["part"], 1.0, -1.0)
        up = np.clip((points[:, 2] - self.m.eye[2]) / (self.m.top - self.m.eye[2]), 0, 1)
        return xyz(sign * (1.5 * up * up + 0.02), 0.35 * up + 0.10, -0.35 - 0.9 * (1 - up))

    def backwards(self, points, roots, t):
        return xyz(0.25 * np.sign(points[:, 0]) * np.clip(np.abs(points[:, 0]) / 0.05, 0, 1), 1.2,
                   np.where(points[:, 1] > self.m.centre[1] + 0.04, -0.9, 0.05))

    def swept(self, points, roots, t):
        """A parting on one side, the front raised by the quiff, the sides back and down."""
        part, quiff = self.persona["part"], self.persona["quiff"]
        lean = 1.0 if part <= 0 else -1.0
        front = np.clip((self.m.hairline + 0.03 - roots[:, 2]) / 0.05, 0, 1)
        side = np.abs(roots[:, 0]) > 0.052
        x = np.where((roots[:, 0] - part) * lean > 0, lean * 1.2, -lean * 0.9)
        return xyz(np.where(side, np.sign(roots[:, 0]) * 0.1, x), np.where(side, 0.7, 0.30 - 0.5 * quiff * front),
                   np.where(side, -0.9, 0.15 + 0.9 * quiff * front))

    def outwards(self, points, roots, t):
        out = roots - np.array([0, self.m.centre[1] + 0.02, 0])
        out[:, 2] = 0
        return unit(out) + np.array([0, 0, -0.55])

    def forwards(self, points, roots, t):
        """A crop: the front falls into the forehead."""
        front = (roots[:, 1] < self.m.centre[1] + 0.01) & (np.abs(roots[:, 0]) < 0.05)
        directions = self.outwards(points, roots, t)
        directions[front] = np.array([0.3, -1.0, -0.25])
        return directions

    # ---- styles: each returns strands [n, k, 3] on the neutral head

    def buzz(self):
        roots, normals = self.roots(9000)
        length = 0.0055 * self.persona["length_factor"] * self.rng.uniform(0.6, 1.1, len(roots))
        return self.grow(roots, normals, length, 4, self.outwards, 0.1, 1.2, 0.002, 0.5, 0.35)

    def short(self):
        p, m = self.persona, self.m
        roots, normals = self.roots(9500)
        upper = smoothstep(roots[:, 2], m.ear_top - 0.012, m.hairline + 0.006)
        length = (p["side_length"] + 0.040 * p["length_factor"] * upper) * self.rng.uniform(0.75, 1.1, len(roots))
        comb = {"forwards": self.forwards, "outwards": self.outwards}.get(p["comb"], self.swept)
        strands = self.grow(roots, normals, length, 8, comb, 0.12, p["lift"], 0.014, 0.55, 0.18, pull=0.55)
        return self.clumped(strands, 0.55, 260)

    def slick(self):
        m, (roots, normals) = self.m, self.roots(9500)
        length = (0.075 * self.persona["length_factor"] * self.rng.uniform(0.8, 1.1, len(roots))
                  * (0.35 + 0.65 * smoothstep(roots[:, 2], m.ear_bottom, m.hairline)))
        return self.clumped(self.grow(roots, normals, length, 10, self.backwards, 0.1, 0.5, 0.012, 0.6, 0.08), 0.6, 200)

    def long(self, count=11000):
        p, (roots, normals) = self.persona, self.roots(count)
        length = p["hair_length"] * self.rng.uniform(0.8, 1.05, len(roots))
        edge = roots[:, 2] - self.body.hairline_height(roots) < 0.01
        strands = self.grow(roots, normals, length * np.where(edge, 0.85, 1), 20, self.to_the_side, 0.9, 0.18,
                            0.006 if self.hatted else 0.016, 0.5, 0.06, off_face=0.9, pull=0.6)
        return self.without_face(self.clumped(strands, 0.45, 170))

    def bob(self):
        return self.long(9500)

    def bangs(self):
        points, m = self.body.part.neutral, self.m
        back = self.long(8500)
        front = (points[:, 1] < m.centre[1] - 0.035) & (np.abs(points[:, 0]) < 0.05)
        roots, normals = self.roots(2600, front.astype(float))
        length = np.maximum(0.03, (roots[:, 2] - (m.eye[2] + 0.022)) * 1.45) * self.rng.uniform(0.92, 1.05, len(roots))
        fringe = self.grow(roots, normals, length, 20,
                           lambda p, r, t: xyz(0.12 * np.sign(r[:, 0]), -(1 - t), -0.9 * t - 0.1),
                           0.55, 0.25, 0.008, 0.62, 0.05)
        return np.concatenate([back, self.clumped(fringe, 0.35, 60)])

    def afro(self):
        middle = self.m.centre + np.array([0, 0.008, 0.01])
        roots, normals = self.roots(13000)
        length = self.persona["hair_length"] * self.rng.uniform(0.65, 1.0, len(roots))
        return self.grow(roots, normals, length, 12, lambda p, r, t: 2 * unit(p - middle), 0.02, 1.0, 0.004, 0.5,
                         0.35, off_face=0.4)

    def _tied(self, knot):
        """Combed tightly towards the knot."""
        roots, normals = self.roots(9000)
        length = np.linalg.norm(knot - roots, axis=1) * 1.12 * self.rng.uniform(0.97, 1.03, len(roots))
        strands = self.grow(roots, normals, length, 12, lambda p, r, t: 2 * unit(knot - p), 0.0, 0.25, 0.006, 0.5, 0.04)
        return self.clumped(strands, 0.35, 200)

    def bun(self):
        rng, knot = self.rng, np.array([0, self.m.centre[1] + 0.088, self.m.top - 0.03])
        n, radius = 2400, 0.034
        axis = unit(rng.normal(0, 0.5, (n, 3)) + np.array([0, 0.8, 0.6]))
        u = unit(np.cross(axis, rng.normal(0, 1, (n, 3))))
        v, height = np.cross(axis, u), rng.uniform(-0.7, 0.7, n)
        angle = rng.uniform(0, 6.28, n)[:, None] + np.linspace(0, 4.8, 12)[None]
        ring = (radius * rng.uniform(0.8, 1, n) * np.sqrt(1 - height ** 2))[:, None, None]
        ball = (knot + (u[:, None] * np.cos(angle)[..., None] + v[:, None] * np.sin(angle)[..., None]) * ring
                + axis[:, None] * (radius * height)[:, None, None])
        return np.concatenate([self._tied(knot), ball])

    def ponytail(self):
        """A tail from the back of the head, laid over one shoulder so that it is seen from the front."""
        rng, m = self.rng, self.m
        knot = np.array([0, m.centre[1] + 0.095, m.eye[2] + 0.035])
        n, side = 2600, (1.0 if self.persona["part"] > 0 else -1.0)
        path = np.array([[0, 0, 0], [0.02 * side, 0.03, 0.005], [0.045 * side, 0.025, -0.04],
                         [0.07 * side, -0.005, -0.10],
                         [0.085 * side, -0.06, -0.155], [0.09 * side, -0.12, -0.20], [0.088 * side, -0.135, -0.27]])
        t = np.linspace(0, 1, 12)
        spine = np.stack([np.interp(t, np.linspace(0, 1, len(path)), path[:, i]) for i in range(3)], 1)
        width = (0.012 + 0.022 * np.sin(np.pi * np.clip(t * 0.9 + 0.05, 0, 1)))[None, :, None]
        spread = unit(rng.normal(0, 1, (n, 3)))[:, None] * rng.random((n, 1, 1)) ** 0.5 * width
        tail = knot + spine[None] * rng.uniform(0.85, 1.05, (n, 1, 1)) + spread
        return np.concatenate([self._tied(knot), self.clumped(tail, 0.3, 60)])


CURLY_COUNT = {"afro": 900}


def add_hair(body, persona, rng, hat_line=None):
    """Grow the persona's style and put it on the final head."""
    style = persona["hair_style"]
    barber = Barber(body, persona, rng, hat_line)
    if style == "shaved" or barber.scalp.sum() < 5:
        return
    strands = getattr(barber, "short" if style == "balding" else style)()
    if persona["curl"] > 0 and style in ("long", "bob", "short", "afro"):
        strands = barber.curled(strands, persona["curl"], persona["curl_turns"], CURLY_COUNT.get(style, 340))
    strands = body.with_neck(strands)
    radius = {"buzz": 0.00022, "afro": 0.00032}.get(style, 0.00030)
    material = hair_material("hair", persona["hair_rgb"], "hair", persona["hair_spread"],
                             0.55 if style == "buzz" else 0.32)
    add_strands("hair", strands, radius * rng.uniform(0.8, 1.2, len(strands)), material, 0.5)


