"""Small numeric helpers, numpy only. Blender units: metres, x to the viewer's right, -y to the viewer, z up."""

import numpy as np


def to_blender(points):
    """MakeHuman decimetres (y up) -> Blender metres (z up)."""
    points = np.asarray(points)
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1) * 0.1


def smoothstep(x, low, high):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def xyz(x, y, z):
    """Stack three broadcastable coordinates to [..., 3]."""
    return np.stack(np.broadcast_arrays(x, y, z), -1).astype(float)


def rotation(rx, ry, rz):
    """Rz @ Ry @ Rx, angles in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(rx), np.sin(rx), np.cos(ry), np.sin(ry), np.cos(rz), np.sin(rz)
    return (np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
            @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]))


def rigid_fit(source, target):
    """Rotation and shift that carry source [N, 3] best onto target [N, 3] (Kabsch)."""
    cs, ct = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((source - cs).T @ (target - ct))
    sign = np.sign(np.linalg.det(vt.T @ u.T))
    turn = vt.T @ np.diag([1, 1, sign]) @ u.T
    return turn, ct - turn @ cs


def piecewise(x, points):
    """Linear interpolation through [(x, y), ...]."""
    xs, ys = zip(*points)
    return np.interp(x, xs, ys)


def gauss(points, centre, widths):
    """A soft blob: exp(-|(p - c) / w|^2) at points [N, 3]."""
    return np.exp(-(((points - np.asarray(centre)) / np.asarray(widths)) ** 2).sum(-1))
