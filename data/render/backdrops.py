"""Backgrounds: painted in two dimensions behind the rendered person, linear light, numpy and scipy only.

A backdrop never changes the mask: everything in it is background, a framed portrait and a bust included.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

WIDTH, HEIGHT = 240, 320
STONE = np.array((0.62, 0.60, 0.55))


def soft_noise(rng, sigma):
    """Clouds in 0..1 [H, W], the finest octave 8 times finer than the coarsest."""
    total = sum(gaussian_filter(rng.normal(0, 1, (HEIGHT, WIDTH)), sigma / 2 ** k, mode="reflect") * sigma / 4 ** k
                for k in range(4))
    return (total - total.min()) / np.ptp(total)


def paint(kind, rng, colours, sitter=None, person=None):
    """A backdrop float [H, W, 3]. colours: five linear RGB; sitter: (rgb [H, W, 3], alpha [H, W]) of another person.
    person: alpha [H, W] of who stands in front, so that a picture or bust is hung where it is seen.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    colours = np.array(colours, float)
    if kind in ("framed portrait", "bust"):
        return np.clip(PAINTERS[kind](x, y, rng, colours, sitter, person), 0, None)
    return np.clip(PAINTERS[kind](x, y, rng, colours), 0, None)


def plain(x, y, rng, colours):
    slope = 1 + rng.uniform(-0.25, 0.25) * (x / WIDTH - 0.5) + rng.uniform(-0.25, 0.25) * (y / HEIGHT - 0.5)
    return colours[0] * slope[..., None] * (0.97 + 0.06 * soft_noise(rng, 40))[..., None]


def studio(x, y, rng, colours):
    reach = np.hypot((x - WIDTH * rng.uniform(0.3, 0.7)) / WIDTH, (y - HEIGHT * rng.uniform(0.2, 0.6)) / HEIGHT)
    glow = np.clip(1 - 1.1 * reach, 0, 1)[..., None]
    return (colours[0] * glow + colours[1] * (1 - glow)) * (0.94 + 0.12 * soft_noise(rng, 30))[..., None]


def bokeh(x, y, rng, colours):
    clouds = soft_noise(rng, 50)[..., None]
    image = colours[0] * clouds + colours[1] * (1 - clouds)
    for _ in range(40):
        radius = rng.uniform(5, 22)
        far = np.hypot(x - rng.uniform(0, WIDTH), y - rng.uniform(0, 0.9 * HEIGHT))
        disc = np.clip((radius - far) / 1.6, 0, 1) * (0.75 + 0.25 * (far / radius) ** 2)
        image = image + disc[..., None] * colours[rng.integers(5)] * rng.uniform(0.15, 1) * rng.uniform(0.7, 1.3, 3)
    return gaussian_filter(image, (1.2, 1.2, 0))


def room(x, y, rng, colours):
    image = np.ones((HEIGHT, WIDTH, 3)) * colours[0] * (1 - 0.35 * x / WIDTH)[..., None]
    image[int(HEIGHT * rng.uniform(0.62, 0.85)):] = colours[1] * 0.8
    for _ in range(9):
        x0, y0 = rng.uniform(-0.1, 0.9) * WIDTH, rng.uniform(-0.1, 0.75) * HEIGHT
        w, h = rng.uniform(0.08, 0.4) * WIDTH, rng.uniform(0.08, 0.5) * HEIGHT
        box = (x > x0) & (x < x0 + w) & (y > y0) & (y < y0 + h)
        window = rng.random() < 0.25
        if window:
            image[box] = np.array((1.7, 1.65, 1.5)) * rng.uniform(0.5, 1)
        else:
            image[box] = colours[rng.integers(5)] * rng.uniform(0.3, 1.3)
    return gaussian_filter(image, (*[rng.uniform(3, 7)] * 2, 0))


def shelf(x, y, rng, colours):
    """Rows of books: cluttered, with many straight edges."""
    image = np.ones((HEIGHT, WIDTH, 3)) * colours[0] * 0.25
    y0, row = rng.uniform(-40, 0), rng.uniform(62, 84)
    while y0 < HEIGHT:
        x0 = rng.uniform(-12, 0)
        while x0 < WIDTH:
            w, h = rng.uniform(6, 17), row * rng.uniform(0.62, 0.9)
            book = (x >= x0) & (x < x0 + w) & (y > y0 + row - h) & (y < y0 + row)
            image[book] = colours[rng.integers(5)] * rng.uniform(0.3, 1.4) * rng.uniform(0.6, 1.4, 3)
            x0 += w + (rng.uniform(8, 24) if rng.random() < 0.1 else 0.8)
        image[(y >= y0 + row) & (y < y0 + row + 7)] = colours[1] * 0.7
        y0 += row + 7
    return gaussian_filter(image, (*[rng.uniform(1.5, 3)] * 2, 0))


def foliage(x, y, rng, colours):
    green, sky = np.array((0.08, 0.19, 0.05)) * rng.uniform(0.7, 1.3, 3), np.array((0.75, 0.9, 0.75))
    image = np.ones((HEIGHT, WIDTH, 3)) * green * 0.3 + np.clip(1 - y / HEIGHT * 1.2, 0, 1)[..., None] * sky * 0.6
    for _ in range(800):
        cx, cy, turn = int(rng.uniform(0, WIDTH)), int(rng.uniform(0, HEIGHT)), rng.uniform(0, np.pi)
        a, b = rng.uniform(3, 11), rng.uniform(2, 6)
        window = np.s_[max(0, cy - 14):cy + 14, max(0, cx - 14):cx + 14]
        dx, dy = x[window] - cx, y[window] - cy
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        leaf = (along / a) ** 2 + (across / b) ** 2 < 1
        image[window][leaf] = green * rng.uniform(0.15, 1.7) * rng.uniform(0.8, 1.2, 3)
    return gaussian_filter(image, (*[rng.uniform(2, 3.5)] * 2, 0))


def bricks(x, y, rng, colours):
    image = colours[0] * (0.8 + 0.4 * soft_noise(rng, 40))[..., None]
    row = (y // 13).astype(int)
    shifted = x + (row % 2) * 17
    shade = rng.uniform(0.75, 1.2, 400)[(row * 37 + (shifted // 34).astype(int)) % 400]
    image = image * shade[..., None]
    image[(y % 13 < 1.6) | (shifted % 34 < 1.6)] = colours[1]
    return gaussian_filter(image, (1.8, 1.8, 0)) * (1.15 - 0.5 * x / WIDTH)[..., None]


# ---- distractors; colours[0] is the person's skin as rendered, [1] the hair, [2] the clothes

def skin_wall(x, y, rng, colours):
    """Plaster in the colour of this person's skin."""
    slope = 1 + rng.uniform(-0.3, 0.3) * (x / WIDTH - 0.5) + rng.uniform(-0.3, 0.3) * (y / HEIGHT - 0.5)
    grain = 0.88 + 0.18 * soft_noise(rng, 36) + 0.06 * soft_noise(rng, 3)
    return colours[0] * (slope * grain)[..., None]


def wood(x, y, rng, colours):
    """Planks with grain, between honey and walnut."""
    base = np.array((0.42, 0.21, 0.09)) * rng.uniform(0.5, 1.4)
    plank = ((x + rng.uniform(0, 40)) // rng.uniform(34, 52)).astype(int)
    tint, phase = rng.uniform(0.8, 1.15, 40)[plank], rng.uniform(0, 60, 40)[plank]
    warp = soft_noise(rng, 40) * 26 + soft_noise(rng, 12) * 5
    grain = 0.5 + 0.5 * np.sin((x * 0.6 + warp + phase) * 0.9 + 0.01 * y)
    fine = gaussian_filter(rng.normal(0, 1, (HEIGHT, WIDTH)), (9, 0.5))
    image = base * (tint * (0.78 + 0.3 * grain) + 0.45 * fine)[..., None]
    image[:, 1:][plank[:, 1:] != plank[:, :-1]] *= 0.35
    return gaussian_filter(image, (0.8, 0.8, 0))


def sand(x, y, rng, colours):
    """A beach: sky above, rippled sand in a skin-like ochre below."""
    horizon = HEIGHT * rng.uniform(0.10, 0.28)
    ochre = np.array((0.60, 0.42, 0.26)) * rng.uniform(0.8, 1.15)
    ripples = np.sin((y + 14 * soft_noise(rng, 25)) * (0.9 - 0.55 * y / HEIGHT)) * 0.05
    ground = ochre * (0.85 + 0.2 * soft_noise(rng, 30) + ripples + 0.03 * rng.normal(0, 1, x.shape))[..., None]
    sky = np.array((0.45, 0.62, 0.85)) * (0.8 + 0.35 * y / max(horizon, 1))[..., None]
    blend = 1 / (1 + np.exp(-(y - horizon) / 1.5))[..., None]
    return gaussian_filter(ground * blend + sky * (1 - blend), (1, 1, 0))


def echo(x, y, rng, colours):
    """Soft shapes in the person's own skin, hair and clothes colours."""
    clouds = np.stack([soft_noise(rng, 26) * rng.uniform(0.8, 1.2) for _ in range(3)], -1)
    share = np.exp(9 * clouds)
    share /= share.sum(-1, keepdims=True)
    image = share @ colours[:3]
    for _ in range(7):
        radius, colour = rng.uniform(10, 34), colours[rng.integers(3)]
        far = np.hypot((x - rng.uniform(0, WIDTH)) * rng.uniform(0.7, 1.4), y - rng.uniform(0, HEIGHT))
        disc = np.clip((radius - far) / 3, 0, 1)[..., None]
        image = image * (1 - disc) + disc * colour * rng.uniform(0.8, 1.2)
    return gaussian_filter(image, (2, 2, 0))


def _paste(image, picture, alpha, top, left):
    """Lay picture [h, w, 3] over image at (top, left), cut at the borders; in place."""
    h, w = alpha.shape
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + h, HEIGHT), min(left + w, WIDTH)
    if y1 > y0 and x1 > x0:
        part = np.s_[y0 - top:y1 - top, x0 - left:x1 - left]
        a = alpha[part][..., None]
        image[y0:y1, x0:x1] = image[y0:y1, x0:x1] * (1 - a) + picture[part] * a


def _shrunk(array, factor):
    return zoom(array, (factor, factor) + (1,) * (array.ndim - 2), order=1)


def _least_hidden(rng, person, h, w, lefts, tops):
    """Of twelve random places for an h x w thing, the one where the person in front hides least of it."""
    places = [(int(rng.uniform(*tops)), int(rng.uniform(*lefts[i % 2]))) for i in range(12)]

    def seen(place):
        top, left = max(place[0], 0), max(place[1], 0)
        return (1 - person[top:place[0] + h, left:place[1] + w]).sum()
    return max(places, key=seen)


def framed_portrait(x, y, rng, colours, sitter, person):
    """A picture of somebody else on the wall, beside the head."""
    image = plain(x, y, rng, colours[3:] if len(colours) > 3 else colours)
    rgb, alpha = sitter
    factor = rng.uniform(0.28, 0.36)
    ground = np.array(colours[4]) * 0.7 + 0.03
    picture = _shrunk(np.clip(rgb + ground * (1 - alpha[..., None]), 0, 2), factor)
    h, w = picture.shape[:2]
    top, left = _least_hidden(rng, person, h, w, ((-8, 10), (WIDTH - w - 10, WIDTH - w + 8)), (8, 60))
    border = int(rng.integers(4, 8))
    moulding = ((0.25, 0.14, 0.05), (0.03, 0.03, 0.03), (0.5, 0.4, 0.2))[rng.integers(3)]
    frame = np.ones((h + 2 * border, w + 2 * border, 3)) * np.array(moulding)
    frame[:2], frame[:, :2] = frame[:2] * 1.6, frame[:, :2] * 1.6
    frame[border:-border, border:-border] = picture
    shadow = gaussian_filter(np.pad(np.full(frame.shape[:2], 0.5), 8), 4)
    _paste(image, np.zeros(shadow.shape + (3,)), shadow, top - border - 4, left - border - 4)
    _paste(image, frame, np.ones(frame.shape[:2]), top - border, left - border)
    return gaussian_filter(image, (0.7, 0.7, 0))


def bust(x, y, rng, colours, sitter, person):
    """A stone bust of somebody else on a shelf behind the shoulder."""
    image = studio(x, y, rng, colours[3:] if len(colours) > 4 else colours)
    rgb, alpha = sitter
    light = rgb @ np.array((0.35, 0.45, 0.2))
    light = light / max(np.percentile(light[alpha > 0.5], 80), 1e-3)
    # darker hair and clothes are evened out: a statue is of one stone
    stone = STONE * rng.uniform(0.7, 1.0) * (0.35 + 0.65 * np.clip(light, 0, 1.2) ** 0.45)[..., None]
    factor = rng.uniform(0.45, 0.58)
    picture, cover = _shrunk(stone * alpha[..., None], factor), np.clip(_shrunk(alpha, factor), 0, 1)
    picture = picture / np.maximum(cover, 1e-3)[..., None]
    h, w = cover.shape
    sides = ((-0.38 * w, -0.22 * w), (WIDTH - 0.78 * w, WIDTH - 0.62 * w))
    top, left = _least_hidden(rng, person, h, w, sides, (10, 60))
    _paste(image, picture, cover, top, left)
    image[top + h:top + h + 9] = np.array((0.2, 0.12, 0.07))
    image[top + h + 9:] *= 0.6
    return gaussian_filter(image, (1.0, 1.0, 0))


PAINTERS = {"plain": plain, "studio": studio, "bokeh": bokeh, "room": room, "shelf": shelf, "foliage": foliage,
            "bricks": bricks, "skin wall": skin_wall, "wood": wood, "sand": sand, "echo": echo,
            "framed portrait": framed_portrait, "bust": bust}
