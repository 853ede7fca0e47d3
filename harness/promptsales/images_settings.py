"""Where a scene is: its light, sky, ground or room, and the weather before it. Shapes and colours only, no meaning."""

from __future__ import annotations

from harness.promptsales.images_canvas import DAYLIGHT, Canvas, Colour, curve, dark, light, mix
from harness.promptsales.images_scenes import Scene

RIGHT, BOTTOM = 1024, 768  # units
HORIZON = 430

PAINTS: dict[str, Colour] = {
    "red": (214, 52, 52), "blue": (45, 105, 205), "green": (52, 148, 82), "yellow": (246, 200, 50),
    "orange": (240, 132, 40), "purple": (132, 78, 182), "pink": (240, 132, 172), "white": (244, 242, 236),
    "black": (48, 50, 58), "brown": (138, 88, 52), "turquoise": (42, 178, 176),
}  # fmt: skip

_LIGHTS: dict[str, Colour] = {
    "dawn": (250, 232, 226), "day": DAYLIGHT, "sunset": (256, 212, 184), "night": (112, 122, 172),
}  # fmt: skip
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "dawn": ((120, 156, 214), (255, 212, 188)), "day": ((62, 142, 228), (192, 230, 250)),
    "sunset": ((92, 66, 136), (255, 156, 84)), "night": ((8, 14, 44), (44, 58, 116)),
}  # fmt: skip
_GREYS: dict[str, Colour] = {
    "dawn": (176, 178, 190), "day": (150, 164, 178), "sunset": (150, 116, 122), "night": (28, 34, 54),
}  # fmt: skip
WHITE: Colour = (255, 255, 255)
LAMP: Colour = (255, 220, 130)


class Dice:
    """Whole numbers that look thrown, in an order that the seed and the content alone decide (splitmix64)."""

    def __init__(self, seed: int, content_id: int) -> None:
        self._state = (seed * 0x9E3779B97F4A7C15 + content_id * 0xD1B54A32D192ED03) % 2**64

    def between(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included."""
        self._state = (self._state + 0x9E3779B97F4A7C15) % 2**64
        mixed = self._state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        return low + (mixed ^ (mixed >> 31)) % (high - low + 1)


def daylight(scene: Scene) -> Colour:
    """The light that falls on things: indoors a lamp is lit at night."""
    if scene.indoors:
        return (232, 204, 168) if scene.time == "night" else mix(_LIGHTS[scene.time], DAYLIGHT, 128)
    return mix(_LIGHTS[scene.time], (150, 160, 176), 70) if scene.weather == "rain" else _LIGHTS[scene.time]


def places(scene: Scene) -> list[tuple[int, int, int]]:
    """Where the things of a scene stand: x, y of their foot, size of 256; the last one is nearest."""
    if scene.subject in ("airplane", "balloon"):
        flying = 330 if scene.subject == "airplane" else 420
        spots = [(512, flying, 256), (250, flying - 130, 130), (800, flying - 90, 110)]
    elif scene.subject == "sailboat":
        spots = [(512, 590, 270), (210, 480, 120), (830, 500, 140)]
    elif scene.subject == "running_shoe":
        spots = [(540, 670, 300)] if scene.count == 1 else [(610, 620, 250), (450, 690, 270)]
    elif scene.subject in ("cake", "books", "flowers", "pizza"):  # their count is of candles, books, blossoms
        spots = [(512, 660, 280)]
    elif scene.count == 1:
        spots = [(512, 670, 262)]
    elif scene.count == 2:
        spots = [(330, 640, 200), (680, 680, 222)]
    else:
        spots = [(220, 640, 165), (800, 650, 180), (510, 690, 225)]
    if scene.setting == "city" and scene.subject in ("car", "bicycle"):
        return [(x, y + 25, size) for x, y, size in spots]
    return spots[: scene.count]


def paint_setting(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Sky and ground, or wall, window and table."""
    if scene.indoors:
        _INDOORS[scene.setting](canvas, scene, dice)
    else:
        _sky(canvas, scene, dice)
        _OUTDOORS[scene.setting](canvas, scene, dice)


def paint_weather(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Rain or snow in front of everything, if the scene is outdoors."""
    if scene.indoors:
        return
    if scene.weather == "rain":
        _rain(canvas, dice, 0, 0, RIGHT, BOTTOM, 90)
    elif scene.weather == "snow":
        _flakes(canvas, dice, 0, 0, RIGHT, BOTTOM, 90)


def _rain(canvas: Canvas, dice: Dice, left: int, top: int, right: int, bottom: int, drops: int) -> None:
    for _ in range(drops):
        x, y = dice.between(left + 12, right), dice.between(top, bottom - 40)
        canvas.line([(x, y), (x - 10, y + 36)], 5, (205, 222, 240), cover=150, glow=True)


def _flakes(canvas: Canvas, dice: Dice, left: int, top: int, right: int, bottom: int, flakes: int) -> None:
    for _ in range(flakes):
        spot = (dice.between(left + 8, right - 8), dice.between(top + 8, bottom - 8))
        canvas.disc(spot, dice.between(4, 8), WHITE, cover=230, glow=True)


def sky_colours(scene: Scene) -> tuple[Colour, Colour]:
    """Of the sky, above and at the horizon."""
    top, low = _SKIES[scene.time]
    if scene.weather == "clear":
        return top, low
    part = 90 if scene.weather == "clouds" else 190
    return mix(top, _GREYS[scene.time], part), mix(low, light(_GREYS[scene.time], 40), part)


def _sky(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    top, low = sky_colours(scene)
    canvas.rectangle(0, 0, RIGHT, HORIZON + 60, top, low, glow=True)
    bright = scene.weather in ("clear", "clouds")
    if scene.time == "night":
        if bright or scene.weather == "snow":
            for _ in range(46):
                spot = (dice.between(0, RIGHT), dice.between(0, HORIZON - 40))
                canvas.disc(spot, dice.between(2, 5), (236, 240, 255), glow=True)
        if bright:
            canvas.disc((800, 130), 92, (200, 210, 255), cover=36, glow=True)
            canvas.disc((800, 130), 58, (250, 246, 224), (226, 222, 204), glow=True)
            for x, y, size in ((782, 116, 13), (820, 140, 17), (798, 164, 9)):
                canvas.disc((x, y), size, (214, 208, 190), glow=True)
    elif bright:
        x, y, size, colour = {
            "day": (820, 130, 62, (255, 232, 110)), "dawn": (230, 372, 60, (255, 240, 206)),
            "sunset": (690, 385, 92, (255, 214, 110)),
        }[scene.time]  # fmt: skip
        for halo in (3, 2, 1):
            canvas.disc((x, y), size + 26 * halo, mix(colour, WHITE, 90), cover=38, glow=True)
        canvas.disc((x, y), size, light(colour, 60), colour, glow=True)
    for _ in range({"clear": 2, "clouds": 6, "rain": 7, "snow": 5}[scene.weather]):
        _cloud(canvas, scene, dice)


def _cloud(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    colour = mix(WHITE, sky_colours(scene)[1], 70 if scene.time == "day" else 120)
    if scene.weather in ("rain", "snow"):
        colour = mix(colour, _GREYS[scene.time], 130)
    if scene.time == "night":
        colour = (64, 76, 122) if scene.weather == "clear" else (78, 86, 118)
    x, y, size = dice.between(60, RIGHT - 60), dice.between(60, 280), dice.between(34, 62)
    with canvas.placed(x, y, size * 4):
        for left, up, radius in ((-70, 0, 38), (-30, -26, 48), (28, -34, 56), (80, -4, 42)):
            canvas.disc((left, up), radius, light(colour, 60), colour, cover=225, glow=True)
        canvas.ellipse((0, 14), 120, 28, colour, cover=225, glow=True)


def shadow(canvas: Canvas, width: int, height: int = 16) -> None:
    """What a thing throws on the ground it stands on."""
    canvas.ellipse((0, 0), width, height, (20, 22, 36), cover=80)


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
    for number, (left, right) in enumerate(zip(ribs, ribs[1:], strict=False)):
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
    for row, (y, size, count) in enumerate(((500, 250, 15), (560, 330, 11))):
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


def _window(canvas: Canvas, scene: Scene, dice: Dice, left: int, top: int, right: int, bottom: int) -> None:
    """A window, with the sky and the weather behind it."""
    high, low = sky_colours(scene)
    canvas.rectangle(left - 16, top - 16, right + 16, bottom + 16, (250, 246, 238), (226, 220, 208))
    canvas.rectangle(left, top, right, bottom, high, low, glow=True)
    middle = ((left + right) // 2, (top + bottom) // 2)
    if scene.weather in ("clear", "clouds"):
        if scene.time == "night":
            for _ in range(9):
                canvas.disc((dice.between(left + 8, right - 8), dice.between(top + 8, bottom - 8)), 4, WHITE, glow=True)
            canvas.disc((right - 60, top + 60), 30, (250, 246, 224), glow=True)
        else:
            low_sun = scene.time != "day"
            sun = (left + 70, bottom - 60) if low_sun else (right - 60, top + 60)
            canvas.disc(sun, 36, (255, 214, 120) if low_sun else (255, 238, 140), glow=True)
        if scene.weather == "clouds":
            canvas.ellipse(middle, 60, 22, WHITE, cover=200, glow=True)
    hill = (44, 62, 66) if scene.time == "night" else (236, 242, 250) if scene.weather == "snow" else (120, 166, 104)
    canvas.polygon([(left, bottom - 26), *curve((left, bottom - 26), (middle[0], bottom - 76), (right, bottom - 18)),
                    (right, bottom), (left, bottom)], hill, glow=True)  # fmt: skip
    if scene.weather == "rain":
        _rain(canvas, dice, left, top, right, bottom, 16)
    elif scene.weather == "snow":
        _flakes(canvas, dice, left, top, right, bottom, 20)
    canvas.rectangle(middle[0] - 6, top, middle[0] + 6, bottom, (246, 242, 232))
    canvas.rectangle(left, middle[1] - 6, right, middle[1] + 6, (246, 242, 232))
    canvas.rectangle(left - 30, bottom + 14, right + 30, bottom + 32, (238, 232, 220))


def _wall(canvas: Canvas, wall: Colour, bottom: int) -> None:
    canvas.rectangle(0, 0, RIGHT, bottom, light(wall, 30), dark(wall, 16))


def _table(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    walls: tuple[Colour, ...] = ((228, 214, 196), (206, 222, 214), (226, 208, 212), (210, 216, 232))
    _wall(canvas, walls[dice.between(0, 3)], 520)
    _window(canvas, scene, dice, 110, 70, 400, 400)
    canvas.line([(800, 0), (800, 90)], 6, (80, 74, 70))
    canvas.polygon([(770, 90), (830, 90), (880, 160), (720, 160)], (190, 88, 66), (150, 64, 52))
    if scene.time == "night":
        canvas.polygon([(720, 160), (880, 160), (1024, 520), (580, 520)], LAMP, cover=40, glow=True)
        canvas.ellipse((800, 164), 60, 14, LAMP, glow=True)
    _boards(canvas, (186, 130, 84), 500, dice)


def _boards(canvas: Canvas, wood: Colour, top: int, dice: Dice) -> None:
    canvas.rectangle(0, top, RIGHT, BOTTOM, light(wood, 24), dark(wood, 46))
    canvas.rectangle(0, top, RIGHT, top + 12, light(wood, 70))
    for row in (60, 124, 196):
        canvas.rectangle(0, top + row, RIGHT, top + row + 4, dark(wood, 60), cover=150)
    for _ in range(12):
        x, y = dice.between(0, RIGHT), top + dice.between(20, 260)
        canvas.line([(x, y), (x + dice.between(30, 110), y)], 4, dark(wood, 50), cover=110)


def _desk(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    _wall(canvas, (196, 208, 220), 520)
    _window(canvas, scene, dice, 610, 60, 900, 380)
    canvas.rectangle(80, 210, 440, 226, (142, 104, 72))
    x = 100
    for colour in ("red", "turquoise", "yellow", "blue", "green", "orange", "purple"):
        width, height = dice.between(22, 40), dice.between(80, 120)
        canvas.rectangle(x, 210 - height, x + width, 210, PAINTS[colour], dark(PAINTS[colour], 50))
        x += width + 4
    canvas.disc((400, 170), 24, (70, 150, 84))
    canvas.polygon([(380, 176), (420, 176), (414, 210), (386, 210)], (226, 222, 214))
    _boards(canvas, (160, 122, 92), 500, dice)
    canvas.line([(930, 540), (930, 400), (866, 330)], 12, (60, 62, 72))
    canvas.ellipse((930, 545), 52, 12, (60, 62, 72))
    canvas.polygon([(880, 300), (910, 330), (846, 384), (810, 330)], (60, 62, 72))
    if scene.time == "night":
        canvas.polygon([(812, 334), (844, 382), (760, 560), (420, 560)], LAMP, cover=70, glow=True)


def _room(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    walls: tuple[Colour, ...] = ((214, 200, 222), (204, 220, 226), (232, 214, 190))
    _wall(canvas, walls[dice.between(0, 2)], 560)
    _window(canvas, scene, dice, 90, 80, 370, 400)
    canvas.rectangle(44, 40, 78, 470, (196, 96, 84), (160, 70, 64))
    canvas.rectangle(382, 40, 416, 470, (196, 96, 84), (160, 70, 64))
    canvas.rectangle(690, 110, 900, 270, (120, 88, 60))
    canvas.rectangle(704, 124, 886, 256, (190, 220, 232), (240, 226, 190))
    canvas.polygon([(704, 256), (770, 180), (810, 220), (850, 170), (886, 256)], (110, 140, 110))
    canvas.rectangle(0, 552, RIGHT, 572, (244, 240, 232))
    _boards(canvas, (170, 120, 80), 572, dice)
    canvas.ellipse((512, 672), 380, 74, (206, 92, 84), (172, 70, 70))
    canvas.ellipse((512, 672), 330, 60, (238, 206, 160))
    canvas.ellipse((512, 672), 306, 54, (206, 92, 84), (172, 70, 70))
    canvas.line([(960, 640), (960, 380)], 10, (80, 70, 64))
    canvas.polygon([(920, 290), (1000, 290), (1020, 384), (900, 384)], LAMP, glow=scene.time == "night")
    if scene.time == "night":
        canvas.disc((960, 350), 190, LAMP, cover=36, glow=True)


_OUTDOORS = {
    "beach": _beach, "sea": _at_sea, "mountains": _mountains, "city": _city, "forest": _forest, "meadow": _meadow,
    "snow": _snow, "sky": _high,
}  # fmt: skip
_INDOORS = {"table": _table, "desk": _desk, "room": _room}
