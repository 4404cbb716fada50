"""Blender helpers: shader node trees in few words, meshes, strands, tubes."""

import bpy
import numpy as np


class Shader:
    """A material under construction; every method returns an output socket."""

    def __init__(self, name):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def set(self, socket, value):
        """Link a socket, or set a constant."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif hasattr(socket.default_value, "__len__") and not isinstance(value, str):
            value = [float(x) for x in value]
            socket.default_value = value + [1.0] * (len(socket.default_value) - len(value))
        else:
            socket.default_value = value

    def node(self, kind, inputs=None, **settings):
        node = self.tree.nodes.new("ShaderNode" + kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.set(node.inputs[name], value)
        return node

    def math(self, operation, a, b=0.0, c=None):
        node = self.node("Math", {0: a, 1: b}, operation=operation)
        if c is not None:
            self.set(node.inputs[2], c)
        return node.outputs[0]

    def mul(self, a, b):
        return self.math("MULTIPLY", a, b)

    def add(self, a, b):
        return self.math("ADD", a, b)

    def above(self, a, threshold):
        return self.math("GREATER_THAN", a, threshold)

    def inverse(self, a):
        return self.math("SUBTRACT", 1.0, a)

    def largest(self, first, *others):
        for other in others:
            first = self.math("MAXIMUM", first, other)
        return first

    def mix(self, factor, a, b):
        return self.node("Mix", {0: factor, 6: a, 7: b}, data_type="RGBA").outputs[2]

    def ramp(self, value, low, high):
        return self.node("MapRange", {0: value, 1: low, 2: high}, interpolation_type="SMOOTHSTEP").outputs[0]

    def attribute(self, name):
        return self.node("Attribute", attribute_name=name).outputs["Fac"]

    def vector_attribute(self, name):
        return self.node("Attribute", attribute_name=name).outputs["Vector"]

    def noise(self, where, scale, detail=2, rough=0.5):
        return self.node("TexNoise", {"Vector": where, "Scale": scale, "Detail": detail,
                                      "Roughness": rough}).outputs["Fac"]

    def cells(self, where, scale, randomness):
        return self.node("TexVoronoi", {"Vector": where, "Scale": scale, "Randomness": randomness}).outputs

    def mapping(self, where, scale, turn=(0, 0, 0)):
        return self.node("Mapping", {"Vector": where, "Scale": scale, "Rotation": turn}).outputs[0]

    def separate(self, vector):
        return self.node("SeparateXYZ", {0: vector}).outputs

    def image(self, path):
        node = self.node("TexImage")
        node.image = bpy.data.images.load(path, check_existing=True)
        node.image.colorspace_settings.name = "Non-Color"
        node.extension = "CLIP"
        return node.outputs["Color"]

    def bump(self, height, strength, distance):
        return self.node("Bump", {"Strength": strength, "Distance": distance, "Height": height}).outputs[0]

    def principled(self, **inputs):
        return self.node("BsdfPrincipled", {k.replace("_", " "): v for k, v in inputs.items()})

    def finish(self, surface, **coverage):
        """Close the material: its surface, and the share of each class (see labels.py)."""
        for name, value in coverage.items():
            self.set(self.node("OutputAOV", aov_name=name).inputs["Value"], value)
        self.tree.links.new(surface, self.node("OutputMaterial").inputs[0])
        return self.material


def plain_material(name, colour, label, rough=0.5, **principled):
    """One colour, one class."""
    shader = Shader(name)
    bsdf = shader.principled(Base_Color=colour, Roughness=rough, **principled)
    return shader.finish(bsdf.outputs[0], **{label: 1.0})


def add_object(name, data):
    obj = bpy.data.objects.new(name, data)
    bpy.context.collection.objects.link(obj)
    return obj


def add_mesh(name, vertices, faces, material=None, uvs=None, levels=0, thickness=0.0):
    """A smooth mesh from vertices [N, 3] and faces; optionally solidified and subdivided."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(v) for v in np.asarray(vertices, float)], [], faces)
    if uvs is not None:
        mesh.uv_layers.new(name="UV").data.foreach_set("uv", np.asarray(uvs, np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    obj = add_object(name, mesh)
    if material is not None:
        mesh.materials.append(material)
    if thickness:
        obj.modifiers.new("thick", "SOLIDIFY").thickness = thickness
    if levels:
        subdivide = obj.modifiers.new("smooth", "SUBSURF")
        subdivide.levels = subdivide.render_levels = levels
    return obj


def grid_faces(rows, columns, closed=False):
    """Quads of a rows x columns grid of vertices; `closed` joins the last column to the first."""
    last = columns if closed else columns - 1
    return [[i * columns + j, i * columns + (j + 1) % columns,
             (i + 1) * columns + (j + 1) % columns, (i + 1) * columns + j]
            for i in range(rows - 1) for j in range(last)]


def set_float(mesh, name, values):
    mesh.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", np.asarray(values, np.float32))


def set_vector(mesh, name, values):
    data = mesh.attributes.new(name, "FLOAT_VECTOR", "POINT").data
    data.foreach_set("vector", np.asarray(values, np.float32).ravel())


def add_strands(name, points, radius, material, taper=0.35):
    """Hair curves: points [n, k, 3], root radius [n] that shrinks to taper x radius at the tip."""
    n, k, _ = points.shape
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([k] * n)
    curves.points.foreach_set("position", np.asarray(points, np.float32).ravel())
    widths = np.broadcast_to(radius, (n,))[:, None] * np.linspace(1, taper, k)[None]
    curves.points.foreach_set("radius", widths.astype(np.float32).ravel())
    curves.materials.append(material)
    return add_object(name, curves)


def add_tube(points, radius, material, closed=False):
    """A round wire through points [n, 3]."""
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    spline.points.foreach_set("co", np.c_[points, np.ones(len(points))].astype(np.float32).ravel())
    spline.use_cyclic_u = closed
    curve.materials.append(material)
    return add_object("tube", curve)


def vertex_array(mesh, what="co"):
    """Vertex positions ('co') or normals ('normal') as float [N, 3]."""
    out = np.empty(len(mesh.vertices) * 3, np.float32)
    if what == "co":
        mesh.vertices.foreach_get("co", out)
    else:
        mesh.vertex_normals.foreach_get("vector", out)
    return out.reshape(-1, 3).astype(float)
