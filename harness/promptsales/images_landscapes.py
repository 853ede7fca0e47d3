"""Where a scene is outdoors: beach, sea, mountains, city, forest, meadow, snow, high in the sky."""

from __future__ import annotations

import itertools

from harness.promptsales.images_canvas import Canvas, Colour, curve, dark, light, mix
from harness.promptsales.images_palette import BOTTOM, HORIZON, LAMP, PAINTS, RIGHT, WHITE, Dice, shadow, sky_colours
from harness.promptsales.images_scenes import Scene


def palm(canvas: Canvas) -> None:
    """A palm tree, 420 high, its foot at (0, 0)."""
    canvas.line(curve((0, 0), (-10, -200), (50, -380)), 24, (142, 104, 66))
    for x, y in ((-150, -330), (-110, -420), (-10, -470), (120, -480), (210, -430), (230, -340), (-60, -280)):
        bend = ((50 + x) // 2, min(-400, y) - 70)
        leaf = curve((50, -385), bend, (x, y))
        back = curve((x, y), (bend[0], bend[1] + 52), (50, -375))
        canvas.polygon(leaf + back, (44, 142, 74), (26, 104, 60))
    for x, y in ((34, -366), (58, -362), (48, -350)):
        canvas.disc((x, y), 13, (112, 74, 44))


def conifer(canvas: Canvas, green: Colour, *, snowy: bool = False) -> None:
    """A fir, 300 high, its foot at (0, 0)."""
    canvas.rectangle(-12, -40, 12, 0, (104, 70, 44))
    for top, bottom, half in ((-300, -190, 58), (-240, -110, 82), (-170, -30, 104)):
        canvas.polygon([(0, top), (half, bottom), (-half, bottom)], green, dark(green, 50))
        if snowy:
            canvas.polygon(
                [(0, top), (half // 2, (top + bottom) // 2), (half // 5, (top + bottom) // 2 - 8),
                 (-half // 6, (top + bottom) // 2 + 6), (-half // 2, (top + bottom) // 2)],
                (248, 250, 255),
            )  # fmt: skip


def tree(canvas: Canvas, green: Colour) -> None:
    """A round tree, 290 high, its foot at (0, 0)."""
    canvas.polygon([(-16, 0), (-10, -150), (10, -150), (16, 0)], (112, 78, 50))
    for x, y, radius in ((-56, -160, 62), (56, -165, 62), (0, -215, 78)):
        canvas.disc((x, y), radius, light(green, 36), dark(green, 36))


def _sea(canvas: Canvas, scene: Scene, dice: Dice, top: int, bottom: int) -> None:
    near, far = ((36, 132, 178), (96, 190, 210)) if scene.weather == "clear" else ((70, 116, 140), (130, 164, 178))
    canvas.rectangle(0, top, RIGHT, bottom, far, near)
    if scene.weather in ("clear", "clouds"):
        x, colour = {"day": (820, WHITE), "dawn": (230, (255, 232, 210)), "sunset": (690, (255, 196, 110)),
                     "night": (800, (216, 222, 250))}[scene.time]  # fmt: skip
        for row in range(top + 10, bottom, 22):
            half = 24 + (row - top) // 3 + dice.between(-10, 14)
            canvas.line([(x - half, row), (x + half, row)], 7, colour, cover=130, glow=True)
    for row in range(top + 26, bottom - 6, 36):
        for _ in range(4):
            x = dice.between(0, RIGHT)
            canvas.line([(x, row), (x + dice.between(24, 70), row)], 5, (226, 244, 250), cover=120)


def _at_sea(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    _sea(canvas, scene, dice, HORIZON - 20, BOTTOM)
    canvas.polygon([(0, HORIZON - 16), (90, HORIZON - 62), (190, HORIZON - 16)], (86, 124, 128), cover=190)


def _beach(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    _sea(canvas, scene, dice, HORIZON - 20, 620)
    sand: Colour = (242, 214, 160)
    canvas.ellipse((420, 860), 900, 318, (250, 250, 246), cover=200)  # the foam
    canvas.ellipse((420, 868), 900, 312, sand, dark(sand, 46))
    for _ in range(16):
        canvas.disc((dice.between(0, RIGHT), dice.between(620, 760)), 4, dark(sand, 60))
    if scene.subject != "beach":
        with canvas.placed(110, 620, 220):
            palm(canvas)
        return
    for place in ((190, 640, 280), (890, 650, 230), (60, 600, 180))[: scene.count]:
        with canvas.placed(*place):
            palm(canvas)
    with canvas.placed(560, 700, 256):
        _sunshade(canvas, PAINTS[scene.colour])


def _sunshade(canvas: Canvas, colour: Colour) -> None:
    canvas.ellipse((40, 6), 150, 20, (20, 22, 36), cover=70)
    canvas.polygon([(60, 0), (70, -36), (200, -36), (190, 0)], light(colour, 130))  # a towel on its chair
    canvas.line([(66, -34), (30, -96)], 16, light(colour, 100))
    canvas.line([(0, 0), (-20, -260)], 12, (232, 226, 214))
    cap, ribs = (-20, -300), (-190, -120, -52, 16, 84, 150)
    for number, (left, right) in enumerate(itertools.pairwise(ribs)):
        paint = colour if number % 2 == 0 else WHITE
        edge = curve((left, -176), ((left + right) // 2, -206), (right, -176), 6)
        side = curve((right, -176), (right - (right + 20) // 5, -262), cap, 6)
        back = curve(cap, (left - (left + 20) // 5, -262), (left, -176), 6)
        canvas.polygon(edge + side + back, paint, dark(paint, 36))
    canvas.disc((-20, -304), 9, (232, 226, 214))


def _mountains(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    haze, rock = sky_colours(scene)[1], (104, 112, 140)
    far = mix(rock, haze, 120)
    canvas.polygon([(0, 420), (120, 290), (260, 380), (430, 240), (610, 370), (780, 260), (1024, 400), (1024, 560),
                    (0, 560)], far, mix(far, haze, 90), glow=scene.time != "night")  # fmt: skip
    for x, top, half in ((250, 190, 300), (760, 150, 340), (500, 270, 240)):
        canvas.polygon([(x, top), (x + half, 580), (x - half, 580)], light(rock, 20), dark(rock, 40))
        canvas.polygon([(x, top), (x + half, 580), (x + 20, 580)], dark(rock, 60), dark(rock, 96))
        run, fall = half * 110 // (580 - top), 110
        canvas.polygon([(x, top), (x + run, top + fall), (x + run // 2, top + fall - 26), (x + run // 5, top + fall + 16),
                        (x - run // 4, top + fall - 22), (x - run * 2 // 3, top + fall + 12), (x - run, top + fall)],
                       (250, 252, 255), (222, 232, 246))  # fmt: skip
    snowy = scene.weather == "snow" or scene.subject == "snowman"
    grass: Colour = (236, 242, 250) if snowy else (98, 160, 84)
    canvas.ellipse((300, 800), 700, 260, dark(grass, 24), dark(grass, 50))
    canvas.ellipse((800, 830), 760, 270, grass, dark(grass, 40))
    for x, y, size in ((60, 600, 150), (150, 640, 190), (950, 610, 170), (880, 580, 120)):
        with canvas.placed(x + dice.between(-14, 14), y, size):
            conifer(canvas, (48, 112, 78), snowy=snowy)
    if scene.subject == "mountains":
        for x, y, size in ((540, 670, 230), (300, 640, 160), (760, 650, 180))[: scene.count]:
            with canvas.placed(x, y, size):
                _tent(canvas, PAINTS[scene.colour], lit=scene.time == "night")


def _tent(canvas: Canvas, colour: Colour, *, lit: bool) -> None:
    shadow(canvas, 170)
    canvas.polygon([(-20, -170), (110, -150), (190, -6), (110, 0)], dark(colour, 70), dark(colour, 96))
    canvas.polygon([(-20, -170), (110, 0), (-150, 0)], light(colour, 30), dark(colour, 20), glow=lit)
    canvas.polygon([(-20, -120), (26, 0), (-62, 0)], LAMP if lit else dark(colour, 140), glow=lit)
    canvas.line([(-20, -172), (-20, -186)], 8, (90, 70, 50))


def _city(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    haze = sky_colours(scene)[1]
    lit = scene.time in ("night", "sunset")
    x = -20
    while x < RIGHT:
        width, height = dice.between(60, 110), dice.between(150, 330)
        colour = mix((96, 112, 148), haze, 110)
        canvas.rectangle(x, 600 - height, x + width, 620, colour, mix(colour, haze, 70))
        x += width + dice.between(0, 14)
    x = dice.between(-60, 0)
    while x < RIGHT:
        width, height = dice.between(96, 150), dice.between(160, 430)
        colour = ((92, 104, 136), (122, 104, 112), (82, 118, 134), (134, 124, 118))[dice.between(0, 3)]
        top = 600 - height
        canvas.rectangle(x, top, x + width, 620, light(colour, 20), dark(colour, 40))
        if dice.between(0, 2) == 0:
            canvas.line([(x + width // 2, top), (x + width // 2, top - 60)], 8, dark(colour, 40))
        for row in range(top + 20, 580, 40):
            for column in range(x + 14, x + width - 24, 30):
                on = lit and dice.between(0, 9) < 6
                pane = LAMP if on else (54, 64, 92) if lit else (190, 218, 236)
                canvas.rectangle(column, row, column + 16, row + 22, pane, glow=on)
        x += width + dice.between(0, 10)
    snowy = scene.weather == "snow"
    canvas.rectangle(0, 600, RIGHT, 640, (222, 228, 236) if snowy else (176, 174, 172))
    canvas.rectangle(0, 640, RIGHT, BOTTOM, (150, 156, 168) if snowy else (82, 86, 98), (70, 74, 86))
    for x in range(-30, RIGHT, 150):
        canvas.rectangle(x, 728, x + 80, 738, (236, 232, 214))
    for x in (150, 880):
        canvas.line([(x, 640), (x, 470), (x + 26, 452), (x + 54, 452)], 10, (60, 64, 74))
        canvas.ellipse((x + 56, 460), 22, 10, LAMP if lit else (232, 232, 222), glow=lit)
        if lit:
            canvas.polygon([(x + 40, 466), (x + 72, 466), (x + 130, 640), (x - 20, 640)], LAMP, cover=44, glow=True)
    if scene.subject == "city":
        with canvas.placed(500, 715, 256):
            _bus(canvas, PAINTS[scene.colour], lit=lit)


def _bus(canvas: Canvas, colour: Colour, *, lit: bool) -> None:
    shadow(canvas, 270, 18)
    canvas.rectangle(-240, -190, 240, -30, light(colour, 24), dark(colour, 30))
    canvas.rectangle(-230, -204, 226, -188, dark(colour, 40))
    for left in (-222, -140, -58, 24, 106):
        canvas.rectangle(left, -170, left + 66, -104, LAMP if lit else (196, 226, 240), glow=lit)
    canvas.rectangle(186, -170, 240, -100, (226, 240, 246))
    canvas.rectangle(-240, -92, 240, -80, WHITE)
    for x in (-140, 140):
        canvas.disc((x, -30), 40, (40, 42, 50))
        canvas.disc((x, -30), 18, (168, 172, 180))
    canvas.ellipse((236, -52), 10, 14, (255, 240, 180), glow=True)


def _forest(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    haze = sky_colours(scene)[1]
    snowy = scene.weather == "snow"
    canvas.rectangle(0, HORIZON + 40, RIGHT, BOTTOM, haze, mix(haze, (44, 104, 70), 160))
    for row, (y, size, count) in enumerate(((520, 250, 15), (580, 330, 11))):
        green = mix((44, 104, 70), haze, 110 - 60 * row)
        for step in range(count):
            with canvas.placed(step * RIGHT // (count - 1) + dice.between(-22, 22), y, size + dice.between(-30, 50)):
                conifer(canvas, green, snowy=snowy)
    ground: Colour = (232, 238, 248) if snowy else (92, 128, 66)
    canvas.rectangle(0, 540, RIGHT, BOTTOM, ground, dark(ground, 60))
    path: Colour = (206, 214, 228) if snowy else (184, 150, 104)
    canvas.polygon(
        curve((470, 540), (560, 620), (300, 768)) + curve((760, 768), (640, 630), (540, 540)), path, dark(path, 30)
    )
    for x, y, size in ((70, 680, 520), (950, 690, 560), (210, 600, 330), (830, 600, 350)):
        with canvas.placed(x + dice.between(-16, 16), y, size):
            if (x + y) % 4 and not snowy:
                tree(canvas, (70, 130, 60))
            else:
                conifer(canvas, (40, 104, 66), snowy=snowy)
    if scene.subject == "forest":
        for x, y, size in ((410, 720, 300), (640, 740, 250), (540, 690, 190), (300, 742, 220), (740, 712, 200))[
            : scene.count
        ]:
            with canvas.placed(x, y, size):
                _mushroom(canvas, PAINTS[scene.colour])


def _mushroom(canvas: Canvas, colour: Colour) -> None:
    shadow(canvas, 60, 12)
    canvas.polygon([(-24, 0), (-16, -80), (16, -80), (24, 0)], (248, 240, 222), (220, 206, 180))
    cap = curve((-84, -74), (-70, -190), (0, -190)) + curve((0, -190), (70, -190), (84, -74))
    canvas.polygon(cap + curve((84, -74), (0, -50), (-84, -74)), light(colour, 30), dark(colour, 30))
    dots = WHITE if colour != PAINTS["white"] else (214, 196, 170)
    for x, y, size in ((-36, -112, 13), (8, -146, 15), (42, -104, 12), (0, -92, 9)):
        canvas.disc((x, y), size, dots)


def _meadow(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    haze = sky_colours(scene)[1]
    grass: Colour = (118, 178, 82)
    canvas.ellipse((180, 640), 560, 230, mix(grass, haze, 100), mix(grass, haze, 40))
    canvas.ellipse((880, 660), 620, 240, mix(grass, haze, 60), grass)
    canvas.ellipse((500, 900), 1100, 350, light(grass, 16), dark(grass, 60))
    for x, y, size in ((120, 560, 220), (900, 550, 180)):
        with canvas.placed(x + dice.between(-24, 24), y, size):
            tree(canvas, (78, 142, 66))
    for _ in range(26):
        spot = (dice.between(0, RIGHT), dice.between(610, 760))
        canvas.disc(spot, 7, (WHITE, (250, 214, 80), (238, 130, 150))[dice.between(0, 2)])


def _snow(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    snow: Colour = (246, 249, 255)
    canvas.ellipse((160, 660), 560, 230, (214, 226, 244))
    canvas.ellipse((900, 680), 600, 250, (226, 235, 249))
    for x, y, size in ((80, 540, 200), (210, 520, 150), (940, 540, 230), (820, 515, 150)):
        with canvas.placed(x + dice.between(-18, 18), y, size):
            conifer(canvas, (54, 112, 88), snowy=True)
    canvas.ellipse((500, 920), 1100, 370, snow, (204, 218, 240))


def _high(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    canvas.rectangle(0, HORIZON + 60, RIGHT, BOTTOM, sky_colours(scene)[1], glow=True)
    grass = mix((104, 160, 96), sky_colours(scene)[1], 80)
    canvas.ellipse((200, 800), 520, 150, light(grass, 20), grass)
    canvas.ellipse((840, 810), 600, 140, grass, dark(grass, 40))
    for x in (60, 380, 900):
        with canvas.placed(x + dice.between(-30, 30), 690, 70):
            tree(canvas, (78, 142, 66))


LANDSCAPES = {
    "beach": _beach, "sea": _at_sea, "mountains": _mountains, "city": _city, "forest": _forest, "meadow": _meadow,
    "snow": _snow, "sky": _high,
}  # fmt: skip
