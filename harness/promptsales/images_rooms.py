"""Where a scene is indoors: at a table, at a desk, in a room; the sky is in the window."""

from __future__ import annotations

from harness.promptsales.images_canvas import Canvas, Colour, curve, dark, light
from harness.promptsales.images_palette import BOTTOM, LAMP, PAINTS, RIGHT, WHITE, Dice, flakes, rain, sky_colours
from harness.promptsales.images_scenes import Scene


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
        rain(canvas, dice, left, top, right, bottom, 16)
    elif scene.weather == "snow":
        flakes(canvas, dice, left, top, right, bottom, 20)
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


ROOMS = {"table": _table, "desk": _desk, "room": _room}
