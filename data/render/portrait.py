"""One portrait: persona -> rendered light and mask (Blender), then light and backdrop -> finished picture (numpy)."""

import numpy as np

from . import labels
from .backdrops import HEIGHT, WIDTH, paint

SAMPLES = 2         # rays a pixel at 480 x 640: 8 for each pixel of the portrait


def render_person(persona, samples=SAMPLES, threads=1):
    """Build and render a persona without a background: light float16 [320, 240, 4], mask uint8 [320, 240]."""
    import bpy

    from . import accessories, clothes, facehair, hair, scene, skin
    from .body import Body

    bpy.ops.wm.read_factory_settings(use_empty=True)
    rng = np.random.default_rng(persona["seed"] + 1)
    body = Body(persona, rng)
    skin.dress_body(body, persona)
    facehair.add_lashes(body, persona, rng)
    facehair.add_brows(body, persona, rng)
    facehair.add_beard(body, persona, rng)
    hair.add_hair(body, persona, rng, accessories.hat_line(body, persona["headwear"]["kind"]))
    for garment in persona["garments"]:
        clothes.add_garment(body, garment)
    if persona["glasses"]["kind"] != "none":
        accessories.add_glasses(body, persona["glasses"])
    accessories.add_headwear(body, persona["headwear"])
    face = scene.place_camera(persona, body)
    scene.light_up(persona, face, rng)
    light, coverage = scene.shoot(persona["seed"], samples, threads)
    return light.astype(np.float16), labels.mask_from_coverage(coverage)


def tone_map(light):
    """Linear light -> display values 0..1: half a filmic curve, half a clip, then the sRGB curve."""
    x = 0.9 * np.maximum(light, 0)
    film = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    y = np.clip(0.55 * film + 0.45 * np.clip(x, 0, 1) ** 0.96, 0, 1)
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


BACKDROP_LIGHT = {"dim": (0.45, 0.42, 0.40), "warm": (1.0, 0.78, 0.55), "cool": (0.68, 0.82, 1.05)}


def compose(persona, light, mask, background, distractor="none", sitter=None, variant=0):
    """Put a rendered person before a backdrop: uint8 [320, 240, 3]. The mask does not depend on it.

    A distractor takes the place of the background. sitter: (light, mask) of another person, for the framed
    portrait and the bust; variant: further looks of the same person get other random details.
    """
    rng = np.random.default_rng([persona["seed"], 2, variant])
    light = light.astype(np.float64)
    kind, colours = background, persona["backdrop_colours"]
    colours = [np.roll(colour, variant // 2).tolist() for colour in colours]        # another hue for another look
    tint = np.array(BACKDROP_LIGHT.get(persona["light"], (1, 1, 1)))
    if distractor != "none":
        kind, colours = distractor, [*own_colours(light, mask), *colours[3:]]
    if kind in ("skin wall", "echo"):
        tint = np.ones(3)           # these colours were measured under the light of the scene
    other = None
    if sitter is not None:
        alpha = np.clip(sitter[0][..., 3].astype(np.float64), 0, 1)
        other = (sitter[0][..., :3].astype(np.float64), alpha)
    person = np.clip(light[..., 3], 0, 1)
    backdrop = paint(kind, rng, colours, other, person) * tint
    full = light[..., :3] + backdrop * (1 - person[..., None])
    picture = tone_map(full * persona["exposure"])
    y, x = np.mgrid[-1:1:HEIGHT * 1j, -1:1:WIDTH * 1j]
    picture = picture * (1 - 0.10 * (x * x + y * y))[..., None]      # the lens darkens the corners
    grain = rng.normal(0, 0.004, picture.shape) + rng.normal(0, 0.005, picture.shape[:2])[..., None]
    return (np.clip(picture + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def own_colours(light, mask):
    """Median linear colours of this person's skin, hair (or headwear) and clothes."""
    def median(*names):
        for name in names:
            pixels = light[..., :3][mask == labels.INDEX[name]]
            if len(pixels) > 50:
                return tuple(np.median(pixels, 0).tolist())
        return (0.1, 0.1, 0.1)
    return [median("skin"), median("hair", "headwear", "clothes"), median("clothes")]
