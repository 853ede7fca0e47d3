"""Things that are mostly seen outdoors, about 400 units high, each standing on (0, 0)."""

from __future__ import annotations

from harness.promptsales.images_canvas import Canvas, Colour, around, curve, dark, light
from harness.promptsales.images_palette import LAMP, PAINTS, WHITE, Dice, shadow
from harness.promptsales.images_scenes import Scene

INK: Colour = (42, 44, 52)
WOOD: Colour = (116, 78, 48)


def bicycle(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Seen from its side."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 250)
    back, front, pedals, saddle, head = (-140, -100), (140, -100), (-24, -100), (-56, -226), (100, -232)
    for hub in (back, front):
        for step in range(0, 24, 2):
            canvas.line([hub, around(hub, 88, step)], 3, (188, 192, 200))
        canvas.ring(hub, 100, 14, INK)
        canvas.disc(hub, 12, (120, 124, 132))
    frame = [back, pedals, saddle, back], [saddle, (106, -210), pedals], [head, front]
    for part in frame:
        canvas.line(part, 16, colour)
    canvas.line([saddle, (-64, -256)], 10, (150, 154, 162))
    canvas.line([(-104, -262), (-34, -256)], 22, INK)
    canvas.line([head, (90, -272)], 10, (150, 154, 162))
    canvas.line([(90, -272), (142, -280), (156, -262)], 14, INK)
    canvas.ring(pedals, 28, 9, (90, 94, 102))
    canvas.line([pedals, (4, -56)], 10, (90, 94, 102))
    canvas.line([(-8, -54), (18, -54)], 10, INK)


def car(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Seen from its side, its lamps lit in the dark."""
    colour = PAINTS[scene.colour]
    lit = scene.time in ("night", "sunset")
    shadow(canvas, 260, 18)
    if lit:
        canvas.polygon([(236, -92), (520, -150), (520, 0)], LAMP, cover=70, glow=True)
    roof = curve((-170, -130), (-130, -232), (-40, -232)) + curve((60, -232), (120, -222), (166, -130))
    canvas.polygon(roof, light(colour, 30), colour)
    canvas.polygon(
        [(-140, -132), *curve((-140, -132), (-112, -208), (-40, -212)), (-6, -212), (-6, -132)],
        (206, 232, 244),
        (150, 190, 214),
    )
    canvas.polygon(
        [(10, -132), (10, -212), *curve((52, -212), (100, -206), (134, -132))], (206, 232, 244), (150, 190, 214)
    )
    body = curve((-250, -44), (-262, -128), (-200, -134)) + curve((150, -136), (250, -126), (250, -44))
    canvas.polygon(body, light(colour, 20), dark(colour, 56))
    canvas.line([(2, -130), (2, -56)], 4, dark(colour, 90))
    canvas.line([(24, -112), (54, -112)], 8, dark(colour, 110))
    canvas.rectangle(-250, -58, 250, -44, dark(colour, 120))
    for x in (-146, 146):
        canvas.disc((x, -48), 56, dark(colour, 150))
        canvas.disc((x, -46), 48, INK)
        canvas.disc((x, -46), 24, (206, 210, 216), (150, 154, 162))
        canvas.disc((x, -46), 8, INK)
    canvas.ellipse((238, -94), 12, 18, (255, 244, 190), glow=lit)
    canvas.ellipse((-250, -98), 9, 16, (206, 40, 44), glow=lit)


def house(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """With a roof of the scene's colour, and smoke when it is cold."""
    colour = PAINTS[scene.colour]
    lit = scene.time in ("night", "sunset")
    shadow(canvas, 230, 18)
    snowy = scene.setting == "snow" or scene.weather == "snow"
    canvas.rectangle(76, -372, 118, -250, (168, 92, 76), (140, 72, 60))
    if snowy or scene.time == "night":
        for x, y, size in ((104, -398, 18), (122, -432, 25), (150, -474, 32)):
            canvas.disc((x, y), size, (236, 238, 244), cover=170)
    canvas.rectangle(-170, -220, 170, 0, (250, 240, 220), (228, 212, 186))
    canvas.rectangle(-170, -22, 170, 0, (150, 140, 132))
    roof = [(-214, -206), (-150, -346), (150, -346), (214, -206)]
    canvas.polygon(roof, light(colour, 20), dark(colour, 50))
    for row in range(4):
        y, half = -338 + 34 * row, 156 + 15 * row
        canvas.line([(-half + 8, y + 18), (half - 8, y + 18)], 4, dark(colour, 80), cover=150)
    if snowy:
        canvas.polygon(
            [(-186, -262), (-150, -352), (150, -352), (186, -262), *curve((186, -262), (0, -290), (-186, -262))],
            (250, 252, 255),
        )
    pane = LAMP if lit else (190, 222, 238)
    for x in (-108, 108):
        canvas.rectangle(x - 42, -168, x + 42, -92, WHITE)
        canvas.rectangle(x - 34, -160, x + 34, -100, pane, glow=lit)
        canvas.rectangle(x - 3, -160, x + 3, -100, WHITE)
        canvas.rectangle(x - 34, -133, x + 34, -127, WHITE)
        canvas.rectangle(x - 48, -92, x + 48, -80, dark(colour, 40))
    canvas.rectangle(-40, -134, 40, 0, WHITE)
    canvas.rectangle(-32, -126, 32, 0, (142, 92, 60), (110, 68, 44))
    canvas.disc((20, -62), 6, (240, 206, 110))
    canvas.rectangle(-52, -8, 52, 4, (190, 184, 176))
    for x in (-200, -150, 150, 200):
        canvas.ellipse((x, -16), 36, 30, (226, 234, 244) if snowy else (86, 148, 78), (64, 116, 62))


def dog(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Standing, its tongue out, with a red collar."""
    fur = PAINTS[scene.colour]
    darker = dark(fur, 60) if fur != PAINTS["black"] else (28, 28, 34)
    shadow(canvas, 220)
    canvas.line(curve((-140, -180), (-210, -190), (-216, -280)), 30, fur)
    for x in (-96, 78):
        canvas.line([(x, -120), (x + 4, -16)], 38, darker)
    canvas.ellipse((-10, -172), 158, 74, light(fur, 26), dark(fur, 26))
    for x in (-124, 108):
        canvas.line([(x, -140), (x, -16)], 42, fur)
        canvas.ellipse((x + 10, -12), 34, 16, light(fur, 30))
    canvas.line([(104, -200), (140, -280)], 84, fur)
    canvas.line([(86, -254), (176, -232)], 18, (206, 44, 48))
    canvas.disc((132, -226), 12, (240, 204, 90))
    canvas.ellipse((148, -310), 74, 66, light(fur, 30), fur)
    canvas.ellipse((212, -290), 54, 36, light(fur, 70), light(fur, 30))
    canvas.line([(206, -266), (210, -236)], 22, (232, 110, 124))
    canvas.line(curve((174, -272), (212, -258), (250, -278)), 5, INK)
    canvas.ellipse((252, -306), 17, 14, (30, 30, 36))
    canvas.disc((168, -322), 14, WHITE)
    canvas.disc((171, -321), 10, (30, 26, 24))
    canvas.disc((174, -325), 3, WHITE)
    canvas.ellipse((96, -296), 30, 66, darker, dark(darker, 40))
    if fur == PAINTS["white"]:
        canvas.ellipse((-50, -200), 50, 34, (150, 110, 76))


def cat(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Sitting, and looking at us."""
    fur = PAINTS[scene.colour]
    stripe = dark(fur, 70) if fur != PAINTS["white"] else (206, 198, 190)
    belly = light(fur, 110) if fur != PAINTS["black"] else (92, 94, 104)
    shadow(canvas, 170)
    canvas.line(curve((70, -24), (230, -20), (190, -170)), 34, fur)
    canvas.line([(192, -166), (186, -186)], 32, stripe)
    canvas.ellipse((0, -116), 110, 124, light(fur, 20), dark(fur, 24))
    canvas.ellipse((0, -110), 56, 92, belly)
    for side in (-1, 1):
        canvas.line([(side * 36, -110), (side * 36, -20)], 46, fur)
        canvas.ellipse((side * 40, -14), 34, 18, belly)
        canvas.line([(side * 34, -8), (side * 34, -20)], 3, stripe)
        canvas.polygon([(side * 92, -290), (side * 84, -398), (side * 14, -346)], fur, stripe)
        canvas.polygon([(side * 78, -312), (side * 76, -372), (side * 36, -340)], (240, 168, 176))
    canvas.ellipse((0, -280), 102, 84, light(fur, 30), fur)
    for x in (-26, 0, 26):
        canvas.line([(x, -362 + abs(x) // 6), (x * 3 // 4, -330)], 9, stripe)
    canvas.ellipse((0, -248), 46, 32, belly)
    for side in (-1, 1):
        canvas.ellipse((side * 42, -292), 22, 24, (190, 222, 90), (120, 178, 70))
        canvas.ellipse((side * 42, -292), 8, 20, (20, 20, 24))
        canvas.disc((side * 42 + 6, -300), 5, WHITE)
        for drop in (-4, 12):
            canvas.line([(side * 40, -252 + drop // 2), (side * 124, -258 + 2 * drop)], 4, (250, 250, 250))
        canvas.line(curve((0, -246), (side * 10, -230), (side * 26, -238), 6), 5, INK)
    canvas.polygon([(-13, -266), (13, -266), (0, -250)], (232, 124, 138))


def snowman(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """With a top hat, a carrot and a scarf of the scene's colour."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 150, 20)
    for side in (-1, 1):
        canvas.line([(side * 60, -230), (side * 176, -300)], 11, WOOD)
        canvas.line([(side * 140, -278), (side * 164, -262)], 8, WOOD)
        canvas.line([(side * 146, -282), (side * 150, -318)], 8, WOOD)
    for y, radius in ((-92, 110), (-226, 84)):
        canvas.disc((0, y), radius, (255, 255, 255), (206, 220, 242))
    for y in (-262, -222, -182, -120):
        canvas.disc((0, y), 10, INK)
    canvas.disc((0, -340), 64, (255, 255, 255), (214, 226, 246))
    canvas.line(curve((-62, -288), (0, -262), (62, -288)), 30, colour)
    canvas.line([(34, -276), (56, -190)], 30, dark(colour, 30))
    canvas.line([(48, -204), (66, -204)], 6, light(colour, 120))
    for x in (-24, 24):
        canvas.disc((x, -354), 10, INK)
    for step in range(-3, 4):
        canvas.disc((step * 12, -308 - abs(step) * 3), 5, INK)
    canvas.polygon([(-6, -346), (-6, -324), (70, -328)], (240, 130, 40), (216, 104, 26))
    canvas.line([(-74, -394), (74, -394)], 20, INK)
    canvas.rectangle(-48, -476, 48, -394, (62, 64, 74), INK)
    canvas.rectangle(-48, -420, 48, -400, colour)


def christmas_tree(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """A fir with a star, lights, baubles mostly of the scene's colour, and presents."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 180, 18)
    canvas.rectangle(-24, -60, 24, -4, WOOD, dark(WOOD))
    canvas.polygon([(-50, -34), (50, -34), (40, 0), (-40, 0)], (176, 56, 52), (140, 40, 40))
    green: Colour = (40, 132, 76)
    snowy = scene.weather == "snow" and not scene.indoors
    tiers = ((-250, -50, 190), (-350, -160, 150), (-440, -270, 108))
    for top, bottom, half in tiers:
        edge = curve((half, bottom + 10), (0, bottom - 26), (-half, bottom + 10), 8)
        canvas.polygon([(0, top - 30), *edge], light(green, 24), dark(green, 50))
        if snowy:
            canvas.line(curve((-half + 8, bottom), (0, bottom - 34), (half - 8, bottom), 8), 12, (246, 250, 255))
    for row, (_, bottom, half) in enumerate(tiers):
        inside = half * 3 // 4
        chain = curve((-inside, bottom - 40), (0, bottom - 10), (inside, bottom - 60), 10)
        canvas.line(chain, 6, (250, 222, 130), glow=True)
        for number, (x, y) in enumerate(chain):
            if number % 2 == row % 2:
                canvas.disc((x, y), 16, LAMP, cover=110, glow=True)
                canvas.disc((x, y), 8, (255, 246, 200), glow=True)
            elif 0 < number < 10:
                paint = colour if number % 4 < 2 or row == 2 else PAINTS["yellow"]
                canvas.disc((x, y + 26), 15, light(paint, 50), dark(paint, 20))
    points = []
    for step in range(5):
        points += [_star((0, -478), 50, step, 0), _star((0, -478), 21, step, 1)]
    canvas.disc((0, -478), 64, LAMP, cover=70, glow=True)
    canvas.polygon(points, (255, 226, 110), (250, 190, 50), glow=True)
    for x, size, paper in ((-150, 46, "red"), (150, 54, "blue"), (-90, 36, "yellow")):
        canvas.rectangle(x - size, -size - 20, x + size, 4, PAINTS[paper], dark(PAINTS[paper], 40))
        canvas.rectangle(x - 7, -size - 20, x + 7, 4, (250, 244, 226))
        for side in (-1, 1):
            canvas.ellipse((x + side * 14, -size - 26), 14, 9, (250, 244, 226))


_FIFTHS = ((0, -10000), (9511, -3090), (5878, 8090), (-5878, 8090), (-9511, -3090))  # a pentagon, times 10 000


def _star(centre: tuple[int, int], radius: int, step: int, turned: int) -> tuple[int, int]:
    """A corner of a pentagon; ``turned`` is the one between this and the next corner."""
    x, y = _FIFTHS[(step + 3 * turned) % 5]
    sign = -1 if turned else 1
    return centre[0] + sign * radius * x // 10000, centre[1] + sign * radius * y // 10000


def airplane(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """In flight, seen from its side; its middle is at (0, 0)."""
    colour = PAINTS[scene.colour]
    hull: Colour = (248, 250, 252)
    canvas.polygon([(-40, 0), (60, 0), (-50, -110), (-96, -110)], (200, 208, 220), (176, 186, 200))
    canvas.polygon([(-290, -30), (-200, -30), (-270, -150), (-326, -150)], colour, dark(colour, 40))
    body = curve((-330, -24), (-200, -52), (0, -52)) + curve((180, -52), (296, -44), (310, 4))
    canvas.polygon(
        body + curve((310, 4), (280, 42), (140, 44)) + curve((-100, 44), (-240, 34), (-330, -24)), hull, (196, 206, 220)
    )
    canvas.polygon(
        [(-322, -18), *curve((-322, -18), (-100, 16), (306, 8)), *curve((302, 22), (-80, 34), (-300, -6))], colour
    )
    for x in range(-190, 210, 34):
        canvas.disc((x, -18), 8, (70, 110, 160) if scene.time != "night" else LAMP, glow=scene.time == "night")
    canvas.polygon([(236, -30), (272, -24), (290, -6), (240, -8)], (70, 110, 160))
    canvas.polygon([(-30, 14), (80, 14), (-70, 130), (-130, 130)], (216, 224, 234), (176, 188, 204))
    canvas.polygon([(-306, -20), (-240, -20), (-300, 26), (-340, 26)], (216, 224, 234), (176, 188, 204))
    canvas.ellipse((6, 62), 50, 20, (170, 180, 196), (120, 130, 148))
    canvas.ellipse((52, 62), 8, 18, INK)
    canvas.disc((-100, 128), 7, (255, 80, 70), glow=True)


def balloon(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """A hot-air balloon; its basket hangs at (0, 0)."""
    colour = PAINTS[scene.colour]
    other = PAINTS["yellow"] if scene.colour not in ("yellow", "orange") else WHITE
    for across, paint in ((176, colour), (124, other), (62, colour)):
        lower = curve((across, -240), (across, -160), (across // 5 + 18, -76)) if across else []
        left = [(-x, y) for x, y in reversed(lower)]
        canvas.ellipse((0, -250), across, 172, light(paint, 40), dark(paint, 10))
        canvas.polygon(lower + left, dark(paint, 8), dark(paint, 56))
    canvas.rectangle(-54, -84, 54, -70, dark(colour, 80))
    for x in (-1, 1):
        canvas.line([(x * 46, -72), (x * 30, -4)], 4, WOOD)
        canvas.line([(x * 16, -72), (x * 12, -4)], 4, WOOD)
    if scene.time in ("night", "sunset", "dawn"):
        canvas.polygon([(-10, -40), (10, -40), (0, -78)], (255, 200, 90), glow=True)
    canvas.polygon([(-38, -8), (38, -8), (32, 52), (-32, 52)], (176, 122, 72), (136, 90, 52))
    canvas.line([(-40, -8), (40, -8)], 12, (120, 78, 46))
    canvas.line([(-34, 22), (34, 22)], 4, (120, 78, 46))


def sailboat(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """With two sails, one striped with the scene's colour."""
    colour = PAINTS[scene.colour]
    canvas.ellipse((0, 12), 230, 18, (16, 54, 80), cover=90)
    canvas.line([(0, -60), (0, -440)], 12, WOOD)
    canvas.polygon(
        [
            (14, -420),
            (14, -84),
            *curve((14, -84), (120, -92), (190, -100), 6),
            *curve((190, -100), (90, -220), (14, -420), 8),
        ],
        (255, 252, 244),
        (226, 222, 212),
    )
    canvas.polygon([(14, -232), (14, -166), (158, -146), (116, -204)], colour)
    canvas.polygon(
        [(-14, -380), *curve((-14, -380), (-70, -220), (-160, -92), 8), (-14, -84)], colour, dark(colour, 40)
    )
    canvas.polygon([(0, -440), (0, -412), (-52, -426)], (214, 52, 52))
    hull = [
        (-210, -62),
        (220, -62),
        *curve((220, -62), (190, 6), (130, 14), 6),
        (-140, 14),
        *curve((-140, 14), (-190, 0), (-210, -62), 6),
    ]
    canvas.polygon(hull, light(colour, 20), dark(colour, 60))
    canvas.line([(-208, -60), (218, -60)], 12, (244, 238, 226))
    for x in (-90, 0, 90):
        canvas.disc((x, -26), 10, (232, 240, 246) if scene.time != "night" else LAMP, glow=scene.time == "night")
    for x in range(-210, 230, 60):
        canvas.line(curve((x, 16), (x + 16, 4), (x + 36, 16), 6), 7, (232, 246, 252), cover=200)


def flowers(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Blossoms of the scene's colour: in a vase indoors, else as they grow."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 110 if scene.indoors else 180)
    heads = [(0, -330), (-110, -290), (110, -296), (-58, -226), (62, -220), (0, -180)][: scene.count]
    green: Colour = (72, 146, 70)
    for x, y in heads:
        foot = (x // 4, -110) if scene.indoors else (x * 3 // 4, 0)
        canvas.line(curve(foot, (x // 3, (y + foot[1]) // 2), (x, y)), 11, green)
        leaf = ((x + foot[0]) // 2 + 6, (y + foot[1]) // 2 + 20)
        tip = (leaf[0] + 70, leaf[1] - 36)
        canvas.polygon(
            curve(leaf, (leaf[0] + 20, leaf[1] - 50), tip, 6) + curve(tip, (leaf[0] + 50, leaf[1] + 8), leaf, 6),
            light(green, 30),
            green,
        )
    if scene.indoors:
        canvas.polygon(
            curve((-46, -150), (-110, -60), (-52, 0)) + curve((52, 0), (110, -60), (46, -150)),
            (150, 200, 216),
            (88, 150, 178),
        )
        canvas.line([(-46, -150), (46, -150)], 14, (176, 216, 228))
    for x, y in heads:
        for step in range(0, 24, 3):
            canvas.disc(around((x, y), 40, step), 27, light(colour, 40), dark(colour, 20))
        canvas.disc((x, y), 27, (250, 206, 70) if scene.colour not in ("yellow", "orange") else (120, 76, 40))


def football(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """White, with patches of the scene's colour; before a goal on a meadow."""
    colour = PAINTS[scene.colour]
    if scene.setting == "meadow":
        for x in range(-380, 390, 54):
            canvas.line([(x, -60), (x, -330)], 3, WHITE, cover=150)
        for y in range(-330, -50, 54):
            canvas.line([(-390, y), (390, y)], 3, WHITE, cover=150)
        canvas.line([(-390, -50), (-390, -336), (390, -336), (390, -50)], 15, (250, 250, 250))
    shadow(canvas, 150, 20)
    middle, radius = (0, -140), 140
    canvas.disc(middle, radius, (255, 255, 255), (214, 218, 226))
    seam = dark(colour, 60)
    for step in range(5):
        corner, before, after = (
            _star(middle, 98, step, 0),
            _star(middle, 96, step + 2, 1),
            _star(middle, 96, step + 3, 1),
        )
        canvas.line([_star(middle, 52, step, 0), corner], 7, seam)
        canvas.line([before, corner, after], 6, seam)
        canvas.line([before, _star(middle, 138, step + 2, 1)], 6, seam)
        x, y = _FIFTHS[step]
        patch = [
            (middle[0] + (along * x - across * y) // 10000, middle[1] + (along * y + across * x) // 10000)
            for along, across in ((98, 0), (122, 42), (134, 30), (136, 0), (134, -30), (122, -42))
        ]
        canvas.polygon(patch, colour, dark(colour, 40))
    canvas.polygon([_star(middle, 52, step, 0) for step in range(5)], colour, dark(colour, 40))
    canvas.ring(middle, radius, 5, dark(colour, 80), cover=200)
    canvas.ellipse((-46, -206), 40, 22, WHITE, cover=110)


SUBJECTS = {
    "bicycle": bicycle, "car": car, "house": house, "dog": dog, "cat": cat, "snowman": snowman,
    "christmas_tree": christmas_tree, "airplane": airplane, "balloon": balloon, "sailboat": sailboat,
    "flowers": flowers, "football": football,
}  # fmt: skip
