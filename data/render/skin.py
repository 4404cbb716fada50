"""Materials of the body: skin, eyes, teeth, tongue; and the eyeballs."""

import bpy
import mathutils
import numpy as np

from . import assets
from .mathtools import rotation, to_blender
from .nodes import Shader, plain_material, vertex_array


def skin_material(persona):
    """Skin with blotches, pores, blush, lips, stubble; labels skin, nose, ears, lips, mouth by region."""
    s = Shader("skin")
    place, base, hair = s.vector_attribute("place"), np.array(persona["skin"]), np.array(persona["hair_rgb"])
    lips, ears, inside, lids = (s.image(assets.texture_path(n)) for n in ("lips", "ears", "inside-mouth", "eyelids"))
    coarse, middle, fine = s.noise(place, 35, 3, 0.6), s.noise(place, 160, 2, 0.6), s.noise(place, 700, 2, 0.6)

    colour = s.mix(s.ramp(coarse, 0.3, 0.7), base * [0.88, 0.81, 0.78], base * [1.09, 1.09, 1.08])
    layers = [(s.mul(s.ramp(middle, 0.42, 0.72), 0.45), base * [1.0, 0.82, 0.76]),
              (s.mul(s.ramp(fine, 0.45, 0.75), 0.35), base * [0.87, 0.78, 0.73]),
              (s.mul(s.attribute("blush"), persona["blush"]), base * [1.0, 0.62, 0.55]),
              (s.mul(s.attribute("under_eye"), persona["under_eye"]), base * [0.72, 0.58, 0.60])]
    if persona["freckles"] > 0:
        cells = s.cells(place, 300, 1)
        spots = s.mul(s.inverse(s.ramp(cells["Distance"], 0.08, 0.3)), s.above(cells["Color"], 0.55))
        layers.append((s.mul(spots, s.mul(s.attribute("freckles"), persona["freckles"])), base * [0.62, 0.42, 0.32]))
    layers += [(s.mul(s.attribute("beard"), persona["stubble"]), hair * 0.5 + base * 0.12),
               (s.mul(s.attribute("scalp"), persona["scalp_tint"]), hair * 0.6 + base * 0.06),
               (s.mul(lids, persona["eye_shadow"]), base * 0.45),
               (s.mul(s.ramp(lips, 0.1, 0.9), persona["lip_strength"]), persona["lip_rgb"]),
               (s.ramp(inside, 0.3, 0.6), (0.22, 0.035, 0.035))]
    for factor, layer in layers:
        colour = s.mix(factor, colour, layer)

    rough = s.add(persona["roughness"], s.mul(s.add(middle, -0.5), 0.25))
    rough = s.math("SUBTRACT", rough, s.mul(lips, persona["lip_gloss"]))
    pores = s.add(s.mul(s.noise(place, 1400, 2, 0.6), 0.25), s.mul(fine, 0.45))
    if persona["wrinkles"] > 0:
        lines = s.noise(s.mapping(place, (1, 1, 3.2)), 120, 4, 0.65)
        pores = s.add(pores, s.mul(s.math("ABSOLUTE", s.add(lines, -0.5)), 6 * persona["wrinkles"]))
    surface = s.principled(Base_Color=colour, Roughness=rough, Normal=s.bump(pores, 0.5, 0.0006),
                           Subsurface_Weight=0.22, Subsurface_Scale=0.004, Subsurface_Radius=(1, 0.35, 0.18),
                           Specular_IOR_Level=0.38)
    surface.subsurface_method = "BURLEY"        # a third cheaper than the random walk, the same at this size

    is_mouth = s.above(inside, 0.5)
    is_lips = s.mul(s.above(lips, 0.5), s.inverse(is_mouth))
    is_ear = s.above(s.mul(ears, s.attribute("side")), 0.5)
    hair_here = float(persona["hair_style"] != "shaved")
    beard_here = float(persona["facial_hair"] in ("full", "goatee"))
    is_hair = s.mul(s.above(s.attribute("scalp"), 0.5), hair_here)
    is_beard = s.mul(s.above(s.attribute("beard"), 0.55), beard_here)
    taken = s.largest(is_mouth, is_lips, is_ear, is_hair, is_beard)
    is_nose = s.mul(s.above(s.attribute("nose"), 0.5), s.inverse(taken))
    return s.finish(surface.outputs[0], lips=is_lips, mouth=is_mouth, ears=is_ear, hair=is_hair, facial_hair=is_beard,
                    nose=is_nose, skin=s.inverse(s.largest(taken, is_nose)))


def eye_material(iris):
    """Pupil, iris with fibres, dark limbus, sclera that reddens to the rim; the unit sphere looks to -y."""
    s = Shader("eye")
    x, y, z = s.separate(s.node("TexCoord").outputs["Object"])
    radius = s.math("SQRT", s.add(s.mul(x, x), s.mul(z, z)))
    angle = s.math("ARCTAN2", z, x)
    around = s.node("CombineXYZ", {0: s.mul(s.math("COSINE", angle), 2.2), 1: s.mul(s.math("SINE", angle), 2.2),
                                   2: s.mul(radius, 2)}).outputs[0]
    iris = np.array(iris)
    colour = s.mix(s.noise(around, 3.5, 4, 0.7), iris * 0.8, iris * 2.4)
    colour = s.mix(s.ramp(radius, 0.40, 0.49), colour, iris * 0.2)
    white = s.mix(s.ramp(radius, 0.55, 1.0), (0.88, 0.86, 0.84), (0.76, 0.60, 0.55))
    colour = s.mix(s.ramp(radius, 0.46, 0.51), colour, white)
    colour = s.mix(s.ramp(radius, 0.16, 0.19), (0.002, 0.002, 0.002), colour)
    colour = s.mix(s.math("LESS_THAN", y, 0.0), (0.5, 0.2, 0.18), colour)
    surface = s.principled(Base_Color=colour, Roughness=0.3, Coat_Weight=1.0, Coat_Roughness=0.02,
                           Specular_IOR_Level=0.5)
    return s.finish(surface.outputs[0], eyes=1.0)


def add_eyes(body, persona):
    """Two eyeballs with a corneal bulge, turned towards the gaze."""
    material = eye_material(persona["iris"])
    across, up = persona["gaze"]
    gaze = rotation(0, 0, across) @ rotation(up, 0, 0)
    for side in "lr":
        socket = to_blender(body.base_expression[assets.group_vertices(f"helper-{side}-eye")])
        centre = socket.mean(0)
        radius = np.linalg.norm(socket - centre, axis=1).max() * 0.995
        bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=32, radius=1)
        ball = bpy.context.object
        points = vertex_array(ball.data)
        off_axis = np.hypot(points[:, 0], points[:, 2])
        points[:, 1] -= np.where((points[:, 1] < 0) & (off_axis < 0.5), 0.07 * (1 - (off_axis / 0.5) ** 2), 0)
        ball.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
        ball.data.polygons.foreach_set("use_smooth", [True] * len(ball.data.polygons))
        ball.data.materials.append(material)
        matrix = np.eye(4)
        matrix[:3, :3] = body.turn @ gaze * radius
        matrix[:3, 3] = body.with_head(centre)
        ball.matrix_world = mathutils.Matrix(matrix.tolist())


def dress_body(body, persona):
    """Give the body and what is inside the mouth their materials."""
    body.part.set_material(skin_material(persona))
    teeth = plain_material("teeth", persona["teeth"], "mouth", 0.18, Subsurface_Weight=0.2, Subsurface_Scale=0.003,
                           Coat_Weight=0.3)
    tongue = plain_material("tongue", (0.45, 0.12, 0.11), "mouth", 0.3)
    for name, part in body.head_parts.items():
        part.set_material(tongue if "tongue" in name else teeth)
    add_eyes(body, persona)
