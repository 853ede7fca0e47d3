"""Where a scene is and where its things stand: sky and ground, or room, and the weather before it."""

from __future__ import annotations

from harness.promptsales.images_canvas import Canvas, light, mix
from harness.promptsales.images_landscapes import LANDSCAPES
from harness.promptsales.images_palette import BOTTOM, GREYS, HORIZON, RIGHT, WHITE, Dice, flakes, rain, sky_colours
from harness.promptsales.images_rooms import ROOMS
from harness.promptsales.images_scenes import Scene


def places(scene: Scene) -> list[tuple[int, int, int]]:
    """Where the things of a scene stand: x, y of their foot, size of 256; the last one is nearest."""
    if scene.subject in ("airplane", "balloon"):
        low = scene.setting not in ("city", "mountains")  # what is behind it is high
        flying = (320 if low else 170) if scene.subject == "airplane" else 430
        spots = [(512, flying, 236), (230, flying - 110, 130), (810, flying - 80, 110)]
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
        ROOMS[scene.setting](canvas, scene, dice)
    else:
        _sky(canvas, scene, dice)
        LANDSCAPES[scene.setting](canvas, scene, dice)


def paint_weather(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Rain or snow in front of everything, if the scene is outdoors."""
    if scene.indoors:
        return
    if scene.weather == "rain":
        rain(canvas, dice, 0, 0, RIGHT, BOTTOM, 90)
    elif scene.weather == "snow":
        flakes(canvas, dice, 0, 0, RIGHT, BOTTOM, 90)


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
        colour = mix(colour, GREYS[scene.time], 130)
    if scene.time == "night":
        colour = (64, 76, 122) if scene.weather == "clear" else (78, 86, 118)
    x, y, size = dice.between(60, RIGHT - 60), dice.between(60, 280), dice.between(34, 62)
    with canvas.placed(x, y, size * 4):
        for left, up, radius in ((-70, 0, 38), (-30, -26, 48), (28, -34, 56), (80, -4, 42)):
            canvas.disc((left, up), radius, light(colour, 60), colour, cover=225, glow=True)
        canvas.ellipse((0, 14), 120, 28, colour, cover=225, glow=True)
