"""Camera, lights and surroundings, and the reading of what Cycles rendered."""

import math
import os
import tempfile

import bpy
import mathutils
import numpy as np
import OpenEXR

from . import labels
from .backdrops import HEIGHT, WIDTH
from .mathtools import smoothstep

OVERSAMPLE = 2      # rendered at 480 x 640, averaged to 240 x 320

# kind: (key energy W, key size m, key elevation, ambient, fill energy, tint of key, tint of ambient)
LIGHTS = {"soft": (20, 1.3, 0.55, 1.6, 0, (1, 0.97, 0.93), (1, 1, 1)),
          "hard": (34, 0.14, 0.60, 0.55, 0, (1, 0.97, 0.92), (0.9, 0.95, 1.05)),
          "window": (30, 0.8, 0.25, 0.8, 12, (0.92, 0.97, 1.05), (1, 0.97, 0.93)),
          "dim": (10, 0.6, 0.35, 0.40, 5, (1, 0.88, 0.72), (0.85, 0.92, 1.1)),
          "warm": (24, 0.5, 0.35, 0.8, 10, (1, 0.66, 0.36), (1.1, 0.85, 0.65)),
          "cool": (24, 0.6, 0.40, 0.8, 12, (0.55, 0.75, 1.1), (0.7, 0.85, 1.2))}


def light_up(persona, face, rng):
    """Key light, sometimes a fill from behind, a small light near the camera that puts a spark into the eyes."""
    energy, size, elevation, ambient, fill, key_tint, ambient_tint = LIGHTS[persona["light"]]
    darkness = max(0.0, (persona["skin_tone"] - 3) / 3)     # a photographer opens up for darker skin
    energy *= rng.uniform(0.9, 1.15) * (1 + 0.55 * darkness)
    side, camera = persona["light_side"], persona["camera_yaw"]
    angles = {"window": rng.uniform(1.0, 1.35), "hard": rng.uniform(0.5, 0.95)}
    around = angles.get(persona["light"], rng.uniform(0.35, 0.9))
    _area_light(face, camera + side * around, elevation + rng.uniform(-0.1, 0.15), energy, size, key_tint)
    _area_light(face, camera - side * 0.12, 0.22, 2.2 if persona["light"] == "dim" else 4.0, 0.22, (1, 1, 1))
    if fill:
        _area_light(face, camera - side * rng.uniform(1.8, 2.6), 0.4, fill, 0.5, key_tint[::-1])
    _surroundings(ambient * rng.uniform(0.85, 1.15) * (1 + 0.25 * darkness), np.array(ambient_tint), rng)


def _area_light(face, angle, elevation, energy, size, colour):
    data = bpy.data.lights.new("light", "AREA")
    data.energy, data.size, data.color = energy, size, colour
    lamp = bpy.data.objects.new("light", data)
    bpy.context.scene.collection.objects.link(lamp)
    where = face + 1.5 * np.array([math.sin(angle) * math.cos(elevation), -math.cos(angle) * math.cos(elevation),
                                   math.sin(elevation)])
    lamp.location = where
    lamp.rotation_euler = mathutils.Vector((face - where).tolist()).to_track_quat("-Z", "Y").to_euler()


def _surroundings(strength, tint, rng):
    """A blurred room of random bright patches all around, for ambient light and reflections."""
    h, w = 64, 128
    v, u = np.linspace(1, -1, h)[:, None], np.linspace(-np.pi, np.pi, w)[None]
    up = smoothstep(v, -0.3, 0.8)[..., None]
    room = np.repeat(0.36 * tint * up + 0.14 * tint[::-1] * (1 - up), w, 1)
    for _ in range(6):
        cu, cv, spread = rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.9), rng.uniform(0.15, 0.6)
        patch = np.exp(-((np.angle(np.exp(1j * (u - cu))) / spread) ** 2 + ((v - cv) / spread) ** 2))
        room = room + patch[..., None] * 0.36 * tint * rng.uniform(0.2, 2.2)
    pixels = np.ones((h, w, 4), np.float32)
    pixels[..., :3] = room[::-1]
    image = bpy.data.images.new("surroundings", w, h, float_buffer=True, alpha=True)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    node = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    node.image = image
    background = world.node_tree.nodes["Background"]
    world.node_tree.links.new(node.outputs[0], background.inputs[0])
    background.inputs[1].default_value = strength


def place_camera(persona, body):
    """Aim at the face so that it fills `face_share` of the height. Returns the middle of the face."""
    m = body.marks
    face = body.with_head(np.array([0, m.eye[1], m.eye[2] - 0.01]))
    height = (m.top - m.chin[2]) + 0.035
    yaw, pitch, distance = persona["camera_yaw"], persona["camera_pitch"], persona["distance"]
    direction = np.array([math.sin(yaw) * math.cos(pitch), -math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.cos(yaw), math.sin(yaw), 0])
    # in a profile the skull lies to one side of the face: bring both into view
    aside = persona["shift_x"] - (0.3 * math.sin(math.radians(persona["yaw"])) if persona["pose"] == "profile" else 0)
    target = face + aside * height * right - np.array([0, 0, persona["shift_y"] * height])
    position = target + direction * distance
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.clip_start = "VERTICAL", 0.05
    data.angle_y = 2 * math.atan(height / persona["face_share"] / 2 / distance)
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = position
    camera.rotation_euler = mathutils.Vector((target - position).tolist()).to_track_quat("-Z", "Y").to_euler()
    camera.rotation_euler.rotate_axis("Z", persona["camera_roll"])
    return face


def shoot(seed, samples, threads):
    """Render. Returns light float [320, 240, 4] (linear, premultiplied, with alpha) and coverage [320, 240, 13]."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles, render = scene.cycles, scene.render
    cycles.device, cycles.samples, cycles.use_adaptive_sampling, cycles.seed = "CPU", samples, False, seed
    cycles.use_denoising, cycles.denoiser, cycles.denoising_prefilter = True, "OPENIMAGEDENOISE", "NONE"
    cycles.denoising_input_passes, cycles.denoising_quality = "RGB_ALBEDO", "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 12
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4
    scene.cycles_curves.shape = "RIBBONS"
    render.threads_mode, render.threads = "FIXED", threads
    render.film_transparent = True
    render.resolution_x, render.resolution_y = WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE
    render.resolution_percentage = 100
    render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    render.image_settings.color_depth, render.image_settings.exr_codec = "16", "ZIP"
    for name in labels.PASSES:
        aov = scene.view_layers[0].aovs.add()
        aov.name, aov.type = name, "VALUE"
    with tempfile.TemporaryDirectory() as folder:
        render.filepath = os.path.join(folder, "portrait.exr")
        bpy.ops.render.render(write_still=True)
        return _read(render.filepath)


def _read(path):
    with OpenEXR.File(path) as file:
        channels = {name: channel.pixels for part in file.parts for name, channel in part.channels.items()}
    light = next(v for k, v in channels.items() if k.endswith("Combined"))
    passes = [np.squeeze(next(v for k, v in channels.items() if f".{name}." in f"{k}.")) for name in labels.PASSES]
    coverage = np.stack([p if p.ndim == 2 else p[..., 0] for p in passes], -1)
    light, coverage = _averaged(light), _averaged(coverage)
    return light, np.concatenate([1 - np.clip(light[..., 3:4], 0, 1), coverage], -1)


def _averaged(array):
    """Mean over OVERSAMPLE x OVERSAMPLE blocks."""
    return array.astype(np.float64).reshape(HEIGHT, OVERSAMPLE, WIDTH, OVERSAMPLE, -1).mean((1, 3))
