"""The body in Blender: subdivided parts, landmarks and the regions of the head that other modules need.

Everything that grows on or is worn by the head is built on the *neutral* body (looking straight ahead) and then
carried to the *final* one (expression and pose).
"""

from dataclasses import dataclass

import bpy
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from . import assets, shape
from .mathtools import gauss, piecewise, rigid_fit, smoothstep, to_blender, unit
from .nodes import add_mesh, set_float, set_vector, vertex_array


class Part:
    """A piece of the base mesh, subdivided twice; neutral and final state share the topology.

    neutral, final [N, 3]: positions; neutral_normal, final_normal [N, 3]; uv [N, 2]; triangles [T, 3]
    """

    def __init__(self, name, faces, neutral, final, levels=2):
        self.base_ids = np.array(sorted({i for face in faces for i, _ in face}))
        local = {vertex: i for i, vertex in enumerate(self.base_ids)}
        uv_table = assets.base_mesh()[1]
        obj = add_mesh(name, to_blender(neutral[self.base_ids]), [[local[i] for i, _ in f] for f in faces],
                       uvs=[uv_table[t] for face in faces for _, t in face], levels=levels)
        obj.modifiers[0].boundary_smooth = "PRESERVE_CORNERS"
        before = self._evaluated(obj)
        self.neutral, self.neutral_normal = vertex_array(before), vertex_array(before, "normal")
        positions = to_blender(final[self.base_ids]).astype(np.float32)
        obj.data.vertices.foreach_set("co", positions.ravel())
        obj.data.update()
        self.mesh = self._evaluated(obj)
        self.final, self.final_normal = vertex_array(self.mesh), vertex_array(self.mesh, "normal")
        bpy.data.objects.remove(obj)
        self._read_topology()
        self.mesh.polygons.foreach_set("use_smooth", [True] * len(self.mesh.polygons))
        self.obj = bpy.data.objects.new(name, self.mesh)
        bpy.context.collection.objects.link(self.obj)

    @staticmethod
    def _evaluated(obj):
        graph = bpy.context.evaluated_depsgraph_get()
        return bpy.data.meshes.new_from_object(obj.evaluated_get(graph), depsgraph=graph)

    def _read_topology(self):
        mesh = self.mesh
        mesh.calc_loop_triangles()
        triangles = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", triangles)
        self.triangles = triangles.reshape(-1, 3)
        uv, corner = np.empty(len(mesh.loops) * 2, np.float32), np.empty(len(mesh.loops), np.int32)
        mesh.uv_layers[0].data.foreach_get("uv", uv)
        mesh.loops.foreach_get("vertex_index", corner)
        self.uv = np.zeros((len(self.final), 2))
        self.uv[corner] = uv.reshape(-1, 2)

    def set_material(self, material):
        self.mesh.materials.clear()
        self.mesh.materials.append(material)

    def sample(self, rng, count, density):
        """Random places on the neutral surface, by density per vertex [N]: (triangle [count], weights [count, 3])."""
        a, b, c = (self.neutral[self.triangles[:, i]] for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * density[self.triangles].mean(1)
        triangle = rng.choice(len(area), count, p=area / area.sum())
        u = rng.random((count, 2))
        u[u.sum(1) > 1] = 1 - u[u.sum(1) > 1]
        return triangle, np.stack([1 - u.sum(1), u[:, 0], u[:, 1]], 1)

    def at(self, places, values):
        """Interpolate values per vertex [N, C] at sampled places -> [count, C]."""
        triangle, weights = places
        return (values[self.triangles[triangle]] * weights[..., None]).sum(1)


@dataclass
class Landmarks:
    """Places on the neutral head, metres. `x` is 0 unless it is a half width."""

    eye: np.ndarray         # centre of the person's left eye
    chin: np.ndarray
    lip: np.ndarray         # centre of the lips
    lip_half_width: float
    lip_bottom: float       # z of the lower edge of the lower lip
    nose: np.ndarray        # tip
    neck: np.ndarray        # where the neck starts
    ear: np.ndarray         # (0, y, z)
    ear_x: float
    ear_bottom: float
    ear_top: float
    top: float              # z of the crown
    hairline: float         # z of the hairline above the forehead
    centre: np.ndarray      # middle of the skull


class Body:
    """Shape, pose, landmarks, regions and the carrying of neutral points to the final pose."""

    def __init__(self, persona, rng):
        groups = assets.base_mesh()[2]
        self.base_neutral = shape.shaped(persona)
        self.base_expression = shape.with_expression(self.base_neutral, persona["expression_units"])
        stance = dict(arms=persona["arms"], shrug=persona["shrug"])
        neutral = shape.posed(self.base_neutral, **stance)
        final = shape.posed(self.base_expression, persona["head_turn"], **stance)
        self.posed_neutral, self.posed_final = neutral, final
        self.cut = shape.bone_head(self.base_neutral, "neck01")[1] - 4.2    # nothing below is ever in view
        self.part = Part("body", self.faces("body", 4.2), neutral, final)
        self.head_parts = {name: Part(name, groups[name], neutral, final)
                           for name in ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue")}
        self.find_regions()
        self.marks = self.find_landmarks(persona)
        self.is_head = ((self.part.neutral[:, 2] > self.marks.neck[2] + 0.02)
                        & (np.abs(self.part.neutral[:, 0]) < 0.12))
        skull = self.is_head & (self.part.neutral[:, 2] > self.marks.eye[2] + 0.02)
        self.turn, self.shift = rigid_fit(self.part.neutral[skull], self.part.final[skull])
        self.tree = cKDTree(self.part.neutral)
        self.attributes(persona, rng)

    def faces(self, group, half_width):
        """Faces of a group that can come into view."""
        v = self.base_neutral
        return [face for face in assets.base_mesh()[2][group]
                if min(v[i, 1] for i, _ in face) > self.cut and max(abs(v[i, 0]) for i, _ in face) < half_width]

    def find_regions(self):
        """Per vertex 0..1: ears, lips, inside of the mouth (painted textures), nose (what a nose slider moves)."""
        uv = self.part.uv
        self.ears = assets.look_up(assets.region_texture("ears"), uv)
        self.lips = assets.look_up(assets.region_texture("lips"), uv)
        self.inside = assets.look_up(assets.region_texture("inside-mouth"), uv)
        index, shift = assets.read_target(assets.mpfb("targets", "nose", "nose-trans-forward.target.gz"))
        moved = np.zeros(len(self.base_neutral))
        moved[index] = np.linalg.norm(shift, axis=1) / np.linalg.norm(shift, axis=1).max()
        nearest = cKDTree(to_blender(self.posed_neutral[self.part.base_ids]))
        distance, near = nearest.query(self.part.neutral, k=3)
        weight = 1 / (distance + 1e-5)
        self.nose = (moved[self.part.base_ids][near] * weight).sum(1) / weight.sum(1)

    def find_landmarks(self, persona):
        points, group = self.part.neutral, assets.group_vertices
        eye = to_blender(self.posed_neutral[group("helper-l-eye")].mean(0))
        chin = to_blender(self.posed_neutral[group("joint-jaw")].mean(0))
        ear = points[(self.ears > 0.5) & (points[:, 0] > 0.045) & (points[:, 2] > chin[2] - 0.02)]
        lips = points[(self.lips > 0.6) & (self.inside < 0.4)]
        middle = points[(np.abs(points[:, 0]) < 0.004) & (points[:, 2] < eye[2]) & (points[:, 1] < eye[1])
                        & (points[:, 2] > lips[:, 2].mean())]
        top, ear_y = points[:, 2].max(), np.percentile(ear[:, 1], 30)
        return Landmarks(
            eye=eye, chin=chin, lip=lips.mean(0), lip_half_width=lips[:, 0].max(), lip_bottom=lips[:, 2].min(),
            nose=middle[middle[:, 1].argmin()], neck=to_blender(shape.bone_head(self.posed_neutral, "neck01")),
            ear=np.array([0, ear_y, ear[:, 2].mean()]), ear_x=np.percentile(ear[:, 0], 40),
            ear_bottom=ear[:, 2].min(), ear_top=ear[:, 2].max(), top=top,
            hairline=eye[2] + persona["hairline"] * (top - eye[2]),
            centre=np.array([0, ear_y + 0.004, eye[2] + 0.02]))

    def azimuth(self, points):
        """Degrees from straight ahead (0) over the ear (90) to the nape (180), both sides alike."""
        q = points - self.marks.centre
        return np.degrees(np.arctan2(np.abs(q[:, 0]), -q[:, 1]))

    def hairline_height(self, points, recede=0.0):
        """z of the edge of the scalp at the azimuth of each point."""
        m = self.marks
        return piecewise(self.azimuth(points), [
            (0, m.hairline), (28, m.hairline + 0.012 * recede), (42, m.hairline - 0.004 + 0.03 * recede),
            (56, m.hairline - 0.022), (70, m.eye[2] + 0.012), (82, m.ear_bottom + 0.022),
            (90, m.ear_bottom + 0.024), (94, m.ear_top - 0.004), (108, m.ear_top), (122, m.ear_bottom + 0.02),
            (140, m.ear_bottom - 0.012), (160, m.ear_bottom - 0.03), (180, m.ear_bottom - 0.033)])

    def symmetric(self, values):
        """Average values [N] over both halves of the face, so that nothing grows on one side only."""
        _, twin = self.tree.query(self.part.neutral * np.array([-1, 1, 1]))
        return (values + values[twin]) / 2

    def attributes(self, persona, rng):
        """Densities per vertex that the skin shader and the hair read."""
        points, m = self.part.neutral, self.marks
        side = np.abs(points[:, 0])
        mirrored = np.stack([side, points[:, 1], points[:, 2]], 1)
        self.scalp = self._scalp(persona, rng)
        self.beard = self.symmetric(self._beard(persona))
        nose, eye, chin = m.nose, m.eye, m.chin
        values = {
            "blush": np.maximum.reduce([gauss(mirrored, [0.040, nose[1] + 0.03, nose[2] + 0.002], [0.022, 0.05, 0.018]),
                                        0.9 * gauss(points, nose, [0.014, 0.02, 0.014]), 0.8 * (self.ears > 0.5),
                                        0.5 * gauss(points, [0, chin[1], chin[2]], [0.02, 0.03, 0.02])]),
            "under_eye": gauss(mirrored, [eye[0], eye[1] - 0.01, eye[2] - 0.017], [0.016, 0.05, 0.008]),
            "freckles": gauss(mirrored, [0.02, mirrored[:, 1].mean(), nose[2] + 0.015], [0.04, 10, 0.025]),
            "beard": self.beard, "scalp": self.scalp, "nose": self.nose,
            "side": ((self.ears > 0.5) & (side > 0.045) & (points[:, 2] > chin[2] - 0.02)) | (side > 0.05),
        }
        for name, value in values.items():
            set_float(self.part.mesh, name, value)
        set_vector(self.part.mesh, "place", points)

    def _scalp(self, persona, rng):
        points, m = self.part.neutral, self.marks
        ragged = gaussian_filter(rng.normal(0, 1, (64, 64)), 1.2) * 2
        cell = (np.abs(points[:, [0, 2]]) * 900).astype(int) % 64
        above = points[:, 2] - self.hairline_height(points, persona["recede"]) + 0.002 * ragged[cell[:, 0], cell[:, 1]]
        scalp = (smoothstep(above, -0.003, 0.006) * self.is_head * (self.ears < 0.3)
                 * (1 - smoothstep(self.lips, 0.1, 0.5)))
        if persona["bald"]:
            crown = np.linalg.norm((points - [0, m.centre[1] + 0.01, m.top]) / np.array([0.075, 0.10, 0.055]), axis=1)
            scalp *= 1 - persona["bald"] * (1 - smoothstep(crown, 0.85, 1.15))
        return np.where(scalp < 0.25, 0, scalp)

    def _beard(self, persona):
        points, m, azimuth = self.part.neutral, self.marks, self.azimuth(self.part.neutral)
        side, z = np.abs(points[:, 0]), points[:, 2]
        edge = piecewise(azimuth, [(0, m.lip[2] + 0.03), (20, m.lip[2] + 0.010), (35, m.lip[2] - 0.004),
                                   (55, m.lip[2] + 0.006), (72, m.ear_bottom + 0.012), (86, m.ear_bottom + 0.02),
                                   (95, m.ear_bottom + 0.004)])
        # the nose sliders also move the groove under the nose, where a moustache does grow
        clear_of_nose = (self.nose < 0.35) | ((z < m.nose[2] - 0.013) & (self.nose < 0.8))
        full = (smoothstep(edge - z, -0.002, 0.008) * smoothstep(z - (m.chin[2] - 0.034), -0.004, 0.008)
                * (azimuth < 96) * (self.ears < 0.3) * (self.lips < 0.15) * clear_of_nose * self.is_head
                * (points[:, 1] < m.ear[1] - 0.002))
        full *= np.where((side < 0.75 * m.lip_half_width) & (z < m.lip_bottom + 0.001) & (z > m.lip_bottom - 0.012)
                         & (side > 0.006), 0.7, 1)
        moustache = (side < 1.12 * m.lip_half_width) & (z > m.lip[2] - 0.003)
        return {"none": full, "stubble": full, "full": full, "goatee": full * (side < 1.15 * m.lip_half_width),
                "moustache": full * moustache}[persona["facial_hair"]]

    def with_head(self, points):
        """Carry neutral points [..., 3] rigidly with the skull."""
        return points @ self.turn.T + self.shift

    def with_neck(self, points):
        """Carry neutral points with the skull, fading out over the neck towards the still shoulders."""
        m = self.marks
        weight = smoothstep(points[..., 2], m.neck[2] - 0.08, m.chin[2] - 0.01)[..., None]
        return points + weight * (self.with_head(points) - points)

    def height_above_skin(self, points):
        """Signed distance [n] of neutral points to the body, and the normal [n, 3] there."""
        _, near = self.tree.query(points)
        normal = unit(self.part.neutral_normal[near])
        return ((points - self.part.neutral[near]) * normal).sum(1), normal
