"""Who is portrayed, and how: a seed -> a persona (a plain dict). numpy only.

Sex, skin tone and age run through a full 2 x 6 x 3 table as the seed counts up, so that any 36 seeds in a row
hold every combination once. Other traits that should come out in balance are read from a Kronecker sequence,
frac(seed x sqrt(prime)): it fills the range 0..1 far more evenly than independent draws do. What needs no
balance comes from a generator seeded with the seed.
"""

import colorsys

import numpy as np

SEXES = ("female", "male")
AGE_GROUPS = {"young": (18, 32), "middle": (33, 54), "old": (55, 80)}
# Skin tones 1 (palest) to 6 (darkest) in linear RGB.
SKIN_TONES = [(0.66, 0.43, 0.33), (0.56, 0.345, 0.24), (0.44, 0.26, 0.165), (0.29, 0.155, 0.09),
              (0.165, 0.08, 0.046), (0.09, 0.041, 0.025)]
# How likely each ancestry is to weigh in (Dirichlet parameters: african, asian, caucasian) for each tone.
ANCESTRY = [(0.05, 0.5, 2.0), (0.12, 1.0, 1.2), (0.4, 1.2, 0.8), (1.2, 0.9, 0.6), (2.4, 0.3, 0.2), (3.0, 0.15, 0.1)]
HAIR = {"black": (0.0028, 0.0022, 0.002), "dark brown": (0.012, 0.0065, 0.0036), "brown": (0.042, 0.021, 0.010),
        "auburn": (0.17, 0.05, 0.018), "blond": (0.36, 0.22, 0.10), "grey": (0.36, 0.355, 0.34),
        "white": (0.62, 0.61, 0.59), "dyed": (0.30, 0.05, 0.14)}
IRISES = {"dark": (0.035, 0.018, 0.010), "brown": (0.075, 0.038, 0.016), "hazel": (0.10, 0.07, 0.03),
          "green": (0.06, 0.13, 0.08), "blue": (0.08, 0.15, 0.24), "grey": (0.12, 0.15, 0.17)}
STYLES = {("female", "straight"): ["long", "bob", "ponytail", "long", "bangs", "bun", "short", "long"],
          ("female", "curly"): ["afro", "long", "bun", "afro", "ponytail", "bob", "short"],
          ("male", "straight"): ["short", "slick", "short", "crop", "short", "buzz", "long", "short"],
          ("male", "curly"): ["short", "afro", "crop", "buzz", "short", "afro"]}
DISTRACTORS = ["skin wall", "framed portrait", "wood", "echo", "bust", "sand"]
BACKGROUNDS = ["studio", "room", "bokeh", "plain", "foliage", "bricks", "shelf"]
LIGHTS = ["soft", "hard", "window", "soft", "dim", "hard", "window", "warm", "soft", "cool"]
HEADWEAR = {"female": ["headscarf", "beanie", "hat", "headwrap", "cap", "headscarf"], "male": ["beanie", "cap", "hat"]}
PATTERNS = ["plain", "stripes", "plain", "check", "plain", "pinstripes", "dots", "flowers"]

# One prime a trait; adding a trait must not reuse a prime.
PRIMES = {"style": 2, "headwear": 3, "headwear_kind": 5, "glasses": 7, "facial_hair": 11, "pose": 13, "turn": 17,
          "expression": 19, "light": 23, "background": 29, "distractor": 31, "distractor_kind": 37, "cut": 41,
          "pattern": 43, "side": 47, "grey": 53, "age": 59}


def even(seed, trait):
    """A number in 0..1 that is spread evenly over consecutive seeds."""
    return float((0.5 + seed * np.sqrt(PRIMES[trait])) % 1.0)


def pick(options, u):
    return options[min(int(u * len(options)), len(options) - 1)]


def smile(strength, open_mouth=0.0):
    """Face units of a smile that reaches the eyes; open_mouth shows the teeth."""
    units = {"cheekSquint": 0.45 * strength, "mouthSmile": strength, "eyeSquint": 0.18 * strength,
             "mouthUpperUp": 0.35 * open_mouth, "mouthLowerDown": 0.25 * open_mouth}
    both = {name + side: value for name, value in units.items() for side in ("Left", "Right")}
    return both | {"jawOpen": 0.10 * open_mouth, "browInnerUp": 0.15}


def expression_units(name, rng):
    wobble = rng.uniform(0.8, 1.1)
    if name == "smile":
        return smile(0.65 * wobble)
    if name == "open smile":
        return smile(0.85 * wobble, rng.uniform(0.6, 1.0))
    if name == "neutral":
        return smile(0.28 * wobble)
    if name == "surprised":
        up = {f"browOuterUp{s}": 0.4 for s in ("Left", "Right")} | {f"eyeWide{s}": 0.3 for s in ("Left", "Right")}
        return smile(0.25) | up | {"browInnerUp": 0.5, "jawOpen": rng.uniform(0.16, 0.28)}
    if name == "talking":
        return smile(0.35) | {"jawOpen": rng.uniform(0.08, 0.16), "mouthFunnel": rng.uniform(0, 0.3)}
    if name == "eyes closed":
        return smile(0.5) | {"eyeBlinkLeft": 0.95, "eyeBlinkRight": 0.95}
    return smile(0.12) | {"browDownLeft": 0.35, "browDownRight": 0.35}      # serious


EXPRESSIONS = ["smile", "open smile", "neutral", "smile", "talking", "open smile", "smile", "serious", "neutral",
               "surprised", "smile", "eyes closed"]


def random_colour(rng, low=0.03, high=0.75, saturation=0.8):
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, saturation), 1)
    return tuple(float(x) for x in np.array(rgb) * rng.uniform(low, high))


def persona(seed):
    """Everything that defines a portrait. Numbers and strings only, so that it can be compared and printed."""
    rng = np.random.default_rng(seed)
    sex = SEXES[seed % 2]
    tone = (seed // 2) % 6
    age_group = list(AGE_GROUPS)[(seed // 12) % 3]
    low, high = AGE_GROUPS[age_group]
    age = low + (high - low) * even(seed, "age")
    african, asian, caucasian = rng.dirichlet(ANCESTRY[tone]).round(3).tolist()
    p = dict(seed=seed, sex=sex, age=age, age_group=age_group, skin_tone=tone + 1,
             ancestry=dict(african=african, asian=asian, caucasian=caucasian),
             gender=float(rng.uniform(0.9, 1) if sex == "male" else rng.uniform(0, 0.08)),
             muscle=float(rng.uniform(0.35, 0.7)), weight=float(np.clip(rng.normal(0.5, 0.12), 0.25, 0.8)),
             variety=0.20)
    _colours(p, rng, tone)
    _hair(p, rng)
    _face(p, rng)
    _wear(p, rng)
    _pose(p, rng)
    _scene(p, rng)
    return p


def _colours(p, rng, tone):
    skin = np.array(SKIN_TONES[tone]) * rng.uniform(0.92, 1.08) * rng.uniform(0.96, 1.04, 3)
    light = tone < 2 and p["ancestry"]["caucasian"] > 0.4
    hair = rng.choice(["black", "dark brown", "brown", "brown", "auburn", "blond", "blond"] if light
                      else ["black", "black", "dark brown", "dark brown"])
    if even(p["seed"], "grey") < np.clip((p["age"] - 44) / 36, 0, 0.9):
        hair = rng.choice(["grey", "white", "grey"])
    elif p["sex"] == "female" and rng.random() < 0.05:
        hair = "dyed"
    iris = rng.choice(list(IRISES) if light else ["dark", "brown", "brown"])
    rgb = np.array(HAIR[hair])
    lips = skin * [0.88, 0.50, 0.50] + ([rng.uniform(0, 0.12), 0, 0] if p["sex"] == "female" else [0, 0, 0])
    p.update(skin=tuple(skin.tolist()), hair_colour=str(hair), hair_rgb=tuple(rgb.tolist()), iris=IRISES[iris],
             brow_rgb=tuple((rgb * 0.5 + 0.003).tolist()), beard_rgb=tuple(rgb.tolist()), lip_rgb=tuple(lips.tolist()),
             teeth=(0.84, 0.79, 0.70), light_haired=light)


def _hair(p, rng):
    curly = p["ancestry"]["african"] > 0.5
    style = pick(STYLES[p["sex"], "curly" if curly else "straight"], even(p["seed"], "style"))
    p.update(part=float(rng.uniform(0.008, 0.03) * rng.choice([-1, 1])),
             quiff=float(rng.uniform(0, 0.7)), comb="swept", lift=0.7,
             side_length=float(rng.uniform(0.008, 0.013)), recede=0.0, bald=0.0, scalp_tint=0.7,
             length_factor=float(rng.uniform(0.8, 1.1)), hairline=float(rng.uniform(0.56, 0.64)),
             hair_spread=float(rng.uniform(0.1, 0.28)), curl=0.0, curl_turns=float(rng.uniform(1.5, 4)))
    length = {"long": rng.uniform(0.24, 0.38), "bob": rng.uniform(0.17, 0.21), "bangs": rng.uniform(0.18, 0.28),
              "afro": rng.uniform(0.02, 0.055)}.get(style, 0.2)
    if style == "crop":
        style, p["comb"], p["lift"] = "short", "forwards", 0.35
        p["length_factor"] *= 0.6
    if style == "long" and p["sex"] == "male":
        length = rng.uniform(0.18, 0.26)
    if style in ("long", "bob"):
        p["curl"] = float(rng.choice([0.007, 0.010] if curly else [0.0, 0.0, 0.002, 0.006]))
    if style == "short":
        p["curl"] = 0.0045 if curly else float(rng.choice([0.0, 0.0, 0.002]))
    if style == "afro":
        p["curl"], p["curl_turns"] = 0.0045, 4.0
    if style == "buzz":
        p["scalp_tint"] = 0.9
    if p["sex"] == "male" and p["age"] > 42 and rng.random() < 0.4:
        style = "balding"
        p.update(bald=0.97, length_factor=0.25, comb="outwards", lift=0.35, scalp_tint=0.15,
                 side_length=float(rng.uniform(0.007, 0.014)))
    elif p["sex"] == "male" and p["age"] > 35:
        p["recede"] = float(rng.uniform(0, 0.8))
    p.update(hair_style=style, hair_length=float(length))


def _face(p, rng):
    male, age, seed = p["sex"] == "male", p["age"], p["seed"]
    beard = "none"
    if male:
        beard = pick(["none", "full", "none", "stubble", "none", "goatee", "none", "moustache", "full", "none"],
                     even(seed, "facial_hair"))
    fair = max(p["hair_rgb"]) > 0.3
    stubble = {"none": rng.uniform(0, 0.12) if male else 0.0, "stubble": rng.uniform(0.4, 0.65), "full": 0.75,
               "goatee": 0.3, "moustache": 0.15}[beard] * (0.4 if fair else 1)
    expression = pick(EXPRESSIONS, even(seed, "expression"))
    p.update(facial_hair=beard, stubble=float(stubble), beard_length=float(rng.uniform(0.006, 0.012)),
             expression=expression, expression_units=expression_units(expression, rng),
             wrinkles=float(np.clip((age - 38) / 42, 0, 1)),
             under_eye=float(rng.uniform(0.15, 0.4) + max(0, age - 50) / 140),
             blush=float(rng.uniform(0.25, 0.6)), roughness=float(rng.uniform(0.45, 0.58)),
             freckles=float(rng.uniform(0.4, 0.9)) if p["light_haired"] and rng.random() < 0.25 else 0.0,
             lip_strength=float(rng.uniform(0.4, 0.6) if male else rng.uniform(0.5, 0.9)),
             lip_gloss=float(rng.uniform(0.05, 0.12) if male else rng.uniform(0.08, 0.28)),
             eye_shadow=0.0 if male else float(rng.uniform(0, 0.4)),
             lashes=float(rng.uniform(0.6, 0.9) if male else rng.uniform(0.9, 1.3)),
             brow_thickness=float(rng.uniform(0.0036, 0.0048) if male else rng.uniform(0.0027, 0.0036)),
             brow_arch=float(rng.uniform(0.3, 0.7)), brow_length=float(rng.uniform(0.0065, 0.009)))


def _wear(p, rng):
    seed = p["seed"]
    glasses = "none"
    if even(seed, "glasses") < 0.24:
        glasses = pick(["horn", "wire", "brown", "round", "sunglasses"], even(seed, "glasses") / 0.24)
    shapes = {"horn": ((0.02, 0.02, 0.02), 0.0, 2.8, 0.0018, 0.026, 0.021, False),
              "brown": ((0.10, 0.035, 0.015), 0.0, 2.4, 0.0018, 0.026, 0.022, False),
              "wire": ((0.30, 0.30, 0.32), 1.0, 3.5, 0.0011, 0.026, 0.018, False),
              "round": ((0.50, 0.40, 0.25), 1.0, 2.1, 0.0012, 0.025, 0.024, False),
              "sunglasses": ((0.015, 0.015, 0.015), 0.0, 2.6, 0.0020, 0.028, 0.023, True)}
    names = ("rgb", "metal", "squareness", "thick", "half_width", "half_height", "dark")
    p["glasses"] = {"kind": glasses} | (dict(zip(names, shapes[glasses], strict=True)) if glasses != "none" else {})

    kind = "none"
    if even(seed, "headwear") < 0.22:
        kind = pick(HEADWEAR[p["sex"]], even(seed, "headwear_kind"))
    p["headwear"] = dict(kind=kind, rgb=random_colour(rng, 0.06, 0.6), second=random_colour(rng, 0.03, 0.5),
                         brim=float(rng.uniform(0.045, 0.07)))
    if kind != "none":      # what fits under a hat
        flatter = {"afro": "short", "slick": "short", "bangs": "long", "balding": "buzz"}
        p["hair_style"] = flatter.get(p["hair_style"], p["hair_style"])
        p.update(bald=0.0, recede=0.0)
        if p["hair_style"] in ("bun", "ponytail") or kind == "headscarf":
            p["hair_style"] = "short" if kind != "headscarf" else "shaved"
    p["clothes"], p["garments"], p["pattern"] = _clothes(seed, rng)
    if kind == "headscarf" and p["clothes"] == "shirt":     # a collar would stick out of the scarf
        p["clothes"] = "crew neck"
        p["garments"][0].update(collar=0.0, v_depth=0.0)


def _clothes(seed, rng):
    """Name of the outfit, its layers, the name of its pattern."""
    cuts = ["crew neck", "shirt", "v-neck", "crew neck", "jacket", "turtleneck", "crew neck", "shirt"]
    cut = pick(cuts, even(seed, "cut"))
    pattern = "plain" if cut == "turtleneck" else pick(PATTERNS, even(seed, "pattern"))
    colour = random_colour(rng)
    top = dict(colour=colour, second=random_colour(rng), pattern=pattern, rate=float(rng.uniform(140, 380)),
               front=float(rng.uniform(-0.045, -0.020)), back=0.030, offset=0.006)
    if cut == "v-neck":
        top.update(v_depth=float(rng.uniform(0.02, 0.06)), v_width=float(rng.uniform(0.05, 0.08)))
    if cut == "shirt":
        top.update(collar=float(rng.uniform(0.020, 0.026)), front=-0.018, back=0.036,
                   v_depth=float(rng.uniform(0.02, 0.05)), v_width=0.028, collar_gap=float(rng.uniform(14, 24)))
    if cut == "turtleneck":
        top.update(front=0.03, back=0.055)
    layers = [top]
    if cut == "jacket":
        outer = random_colour(rng, 0.02, 0.5)
        layers.append(dict(colour=outer, second=outer, pattern="plain", rate=1.0, offset=0.015, front=-0.005,
                           back=0.030, opening=float(rng.uniform(0.05, 0.09)),
                           opening_end=float(rng.uniform(0.25, 0.34))))
    return cut, layers, pattern


def _pose(p, rng):
    """Frontal to 12 degrees, three-quarter to 45, profile to 68; the body turns with the head, less so."""
    u, side = even(p["seed"], "pose"), 1 if even(p["seed"], "side") < 0.5 else -1
    turn = even(p["seed"], "turn")
    pose, least, range_ = (("frontal", 0, 12) if u < 0.45 else ("three-quarter", 15, 30) if u < 0.84
                           else ("profile", 47, 20))
    yaw = least + range_ * turn
    yaw = np.radians(side * yaw)
    head_yaw = float(0.5 * yaw + rng.normal(0, 0.03))
    camera_yaw = float(head_yaw - yaw)
    nod, tilt = float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))
    camera_pitch, camera_roll = float(rng.uniform(-0.06, 0.10)), float(rng.normal(0, 0.025))
    to_camera = 0.75 if rng.random() < 0.8 else 0.0        # most people look towards the camera
    gaze = float(np.clip(-yaw * to_camera, -0.45, 0.45) + rng.normal(0, 0.03))
    p.update(pose=pose, head_turn=(nod, head_yaw, tilt), camera_yaw=camera_yaw, camera_pitch=camera_pitch,
             camera_roll=camera_roll, gaze=(gaze, float(rng.normal(-0.02, 0.03))), yaw=float(np.degrees(yaw)),
             pitch=float(-np.degrees(nod + camera_pitch)), roll=float(np.degrees(tilt - camera_roll)),
             face_share=float(rng.uniform(0.46, 0.64)), shift_x=float(rng.uniform(-0.10, 0.10)),
             shift_y=float(rng.uniform(0.18, 0.30)), distance=float(rng.uniform(1.05, 1.6)),
             arms=float(rng.uniform(0.65, 0.95)), shrug=float(rng.uniform(0, 0.08)))
    if p["hair_style"] == "afro" or p["headwear"]["kind"] in ("hat", "headwrap"):
        p["face_share"] = min(p["face_share"], 0.52)


def _scene(p, rng):
    seed = p["seed"]
    p["light"] = pick(LIGHTS, even(seed, "light"))
    p["light_side"] = 1 if rng.random() < 0.5 else -1
    p["background"] = pick(BACKGROUNDS, even(seed, "background"))
    p["distractor"] = pick(DISTRACTORS, even(seed, "distractor_kind")) if even(seed, "distractor") < 0.23 else "none"
    base = np.array(random_colour(rng, 0.06, 0.6))
    shades = [base * rng.uniform(0.3, 1.4) * rng.uniform(0.7, 1.3, 3) + 0.02 for _ in range(5)]
    p["backdrop_colours"] = [tuple(np.clip(shade, 0, 1).tolist()) for shade in shades]
    p["exposure"] = float(rng.uniform(1.0, 1.2))
