"""Things that are mostly seen indoors, about 400 units high, each standing on (0, 0)."""

from __future__ import annotations

from harness.promptsales.images_canvas import Canvas, Colour, Point, curve, dark, light
from harness.promptsales.images_palette import LAMP, PAINTS, WHITE, Dice, shadow
from harness.promptsales.images_scenes import COLOURS, Scene

INK: Colour = (42, 44, 52)


def coffee(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """A steaming cup on its saucer."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 230, 26)
    canvas.ellipse((0, -16), 214, 34, light(colour, 90), dark(colour, 40))
    canvas.ellipse((0, -22), 150, 20, dark(colour, 60), cover=140)
    canvas.ring((146, -150), 70, 26, dark(colour, 24))
    body = [(-150, -246), *curve((-150, -246), (-140, -60), (-70, -28)), *curve((70, -28), (140, -60), (150, -246))]
    canvas.polygon(body, light(colour, 40), dark(colour, 44))
    canvas.polygon(
        [
            (-126, -220),
            *curve((-126, -220), (-118, -90), (-74, -60), 6),
            *curve((-96, -110), (-108, -160), (-104, -218), 6),
        ],
        WHITE,
        cover=70,
    )
    canvas.ellipse((0, -246), 152, 42, light(colour, 120), light(colour, 60))
    canvas.ellipse((0, -243), 132, 32, (92, 56, 34), (126, 80, 48))
    canvas.ellipse((20, -240), 64, 13, (206, 160, 110))
    for x in (-60, 4, 66):
        steam = curve((x, -280), (x - 44, -330), (x, -370), 8) + curve((x, -370), (x + 44, -414), (x, -456), 8)
        canvas.line(steam, 17, WHITE, cover=150)


def pizza(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """On a board; the colour says what is on it."""
    canvas.ellipse((0, -76), 322, 136, (20, 22, 36), cover=60)
    canvas.ellipse((0, -92), 316, 134, (206, 160, 108), (170, 122, 76))
    canvas.ellipse((0, -106), 278, 116, (226, 166, 84), (176, 108, 48))
    canvas.ellipse((0, -110), 246, 98, (206, 66, 42))
    canvas.ellipse((0, -112), 236, 92, (252, 214, 112), (242, 182, 76))
    spots = [
        (-150, -120),
        (-70, -160),
        (30, -172),
        (130, -142),
        (176, -100),
        (90, -90),
        (-10, -116),
        (-110, -76),
        (10, -56),
        (104, -48),
        (-50, -40),
        (-180, -92),
    ]
    for number, (x, y) in enumerate(spots):
        x, y = x + dice.between(-8, 8), y + dice.between(-4, 4)
        _topping(canvas, scene.colour, x, y, number)
    for ends in (((-240, -128), (240, -90)), ((-70, -204), (66, -22)), ((130, -194), (-136, -32))):
        canvas.line(list(ends), 5, (176, 108, 48), cover=190)
    for x in (-70, 30, 110):
        canvas.line(
            curve((x, -190), (x - 26, -226), (x, -262), 6) + curve((x, -262), (x + 26, -290), (x, -320), 6),
            12,
            WHITE,
            cover=96,
        )
    if scene.count == 2:
        canvas.polygon([(-30, -108), (250, -92), (190, -30)], (170, 122, 76))
        canvas.polygon([(180, -20), (410, -20), (370, 40)], (252, 214, 112), (226, 166, 84))
        _topping(canvas, scene.colour, 300, -2, 0)


def _topping(canvas: Canvas, colour: str, x: int, y: int, number: int) -> None:
    if colour == "red":  # salami
        canvas.ellipse((x, y), 36, 19, (186, 48, 40), (150, 32, 32))
        canvas.ellipse((x - 8, y - 4), 12, 5, (222, 96, 78))
    elif colour == "green":  # basil and tomatoes
        if number % 3 == 0:
            canvas.ellipse((x, y), 26, 14, (222, 58, 44), (190, 40, 34))
        else:
            canvas.polygon(
                curve((x - 38, y), (x, y - 30), (x + 38, y), 6) + curve((x + 38, y), (x, y + 22), (x - 38, y), 6),
                (86, 158, 62),
                (44, 112, 48),
            )
            canvas.line([(x - 30, y), (x + 30, y)], 3, (160, 206, 120))
    elif colour == "yellow":  # pineapple
        canvas.polygon(
            [(x - 30, y - 12), (x + 18, y - 18), (x + 34, y + 6), (x - 16, y + 14)], (255, 238, 130), (246, 202, 50)
        )
        if number % 2:
            canvas.ellipse((x + 30, y - 14), 20, 10, (232, 140, 140))
    elif colour == "black":  # olives
        canvas.ellipse((x, y), 25, 14, (44, 42, 50))
        canvas.ellipse((x, y - 1), 10, 5, (240, 196, 100))
    else:  # mushrooms
        canvas.ellipse((x, y - 6), 30, 15, (240, 228, 208), (206, 186, 156))
        canvas.rectangle(x - 9, y, x + 9, y + 18, (226, 210, 184))


def guitar(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Leaning a little."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 150, 18)

    def spot(up: int, aside: int = 0) -> Point:
        return -70 + up * 30 // 100 + aside, -up + aside * 30 // 100

    canvas.line([spot(290), spot(500)], 34, (92, 60, 40))
    for up in range(300, 500, 26):
        canvas.line([spot(up, -15), spot(up, 15)], 4, (206, 200, 190))
    head = [spot(492, -22), spot(492, 22), spot(574, 30), spot(574, -30)]
    canvas.polygon(head, dark(colour, 70), dark(colour, 100))
    for up in (512, 534, 556):
        canvas.disc(spot(up, -36), 8, (214, 214, 220))
        canvas.disc(spot(up, 36), 8, (214, 214, 220))
    edge = dark(colour, 110)
    for grow, paint, to in ((8, edge, edge), (0, light(colour, 40), dark(colour, 24))):
        canvas.disc(spot(112), 116 + grow, paint, to)
        canvas.disc(spot(262), 84 + grow, paint, to)
        canvas.line([spot(130), spot(240)], 150 + 2 * grow, paint if grow else colour)
    canvas.disc(spot(212), 48, light(colour, 150))
    canvas.disc(spot(212), 39, (36, 26, 22))
    canvas.line([spot(96, -42), spot(96, 42)], 18, (64, 40, 28))
    for aside in (-12, -7, -2, 3, 8, 13):
        canvas.line([spot(96, aside * 2), spot(500, aside)], 3, (236, 232, 220))


def cake(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Two tiers with icing of the scene's colour, and as many candles as the scene counts."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 270, 26)
    canvas.ellipse((0, -14), 260, 34, (250, 250, 252), (206, 210, 220))
    canvas.rectangle(-60, -14, 60, 10, (226, 228, 236))
    sponge: Colour = (244, 214, 160) if scene.colour != "brown" else (146, 96, 62)
    for half, bottom, top in ((206, -24, -150), (136, -150, -256)):
        canvas.ellipse((0, bottom), half, half // 7, dark(sponge, 50))
        canvas.rectangle(-half, top, half, bottom, sponge, dark(sponge, 36))
        canvas.rectangle(-half, (top + bottom) // 2, half, (top + bottom) // 2 + 14, light(colour, 100))
        canvas.rectangle(-half, top, half, top + 26, light(colour, 20), colour)
        for x in range(-half + 22, half, 44):
            drip = dice.between(18, 44)
            canvas.line([(x, top + 14), (x, top + 14 + drip)], 38, colour)
        canvas.ellipse((0, top), half, half // 7, light(colour, 90), light(colour, 30))
    for x in range(-182, 190, 52):
        canvas.disc((x, -146), 15, (222, 50, 66), (176, 30, 48))
    for number in range(scene.count):
        x = (2 * number - scene.count + 1) * 96 // max(1, scene.count - 1) if scene.count > 1 else 0
        paint = PAINTS[COLOURS[(number * 2) % 7]]
        canvas.rectangle(x - 9, -340, x + 9, -256, light(paint, 60), paint)
        canvas.disc((x, -362), 40, LAMP, cover=70, glow=True)
        canvas.polygon(
            [
                (x, -392),
                *curve((x, -392), (x + 24, -352), (x, -342), 6),
                *curve((x, -342), (x - 24, -352), (x, -392), 6),
            ],
            (255, 236, 150),
            (250, 150, 50),
            glow=True,
        )


def gift(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """A box with a ribbon and a bow."""
    colour = PAINTS[scene.colour]
    ribbon = PAINTS["yellow"] if scene.colour not in ("yellow", "orange", "white") else PAINTS["red"]
    shadow(canvas, 220, 20)
    canvas.rectangle(-170, -230, 170, 0, light(colour, 16), dark(colour, 50))
    for x in range(-130, 150, 65):
        for y in range(-200, -10, 60):
            canvas.disc((x + (y % 120) // 4, y), 9, light(colour, 90), cover=170)
    canvas.rectangle(-186, -290, 186, -222, light(colour, 40), colour)
    canvas.rectangle(-186, -228, 186, -218, dark(colour, 90), cover=120)
    canvas.rectangle(-34, -290, 34, 0, light(ribbon, 20), dark(ribbon, 30))
    for side in (-1, 1):
        loop = curve((0, -296), (side * 70, -400), (side * 136, -364), 8) + curve(
            (side * 136, -364), (side * 140, -300), (0, -290), 8
        )
        canvas.polygon(loop, light(ribbon, 30), dark(ribbon, 20))
        canvas.polygon(
            curve((side * 24, -306), (side * 70, -366), (side * 104, -350), 6)
            + curve((side * 104, -350), (side * 96, -312), (side * 24, -304), 6),
            dark(ribbon, 70),
        )
        canvas.line([(0, -296), (side * 74, -246)], 26, dark(ribbon, 16))
    canvas.ellipse((0, -302), 32, 28, light(ribbon, 40), dark(ribbon, 20))


def books(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """A stack of as many books as the scene counts, the lowest of its colour, an open one on top."""
    shadow(canvas, 260, 20)
    top = 0
    first = COLOURS.index(scene.colour)
    for number in range(scene.count):
        paint = PAINTS[scene.colour] if number % 2 == 0 else PAINTS[COLOURS[(first + 2 + number) % 7]]
        high, left, half = 50, dice.between(-26, 26), 220 - dice.between(0, 40)
        canvas.rectangle(left - half, top - high, left + half, top, paint, dark(paint, 40))
        canvas.rectangle(left - half + 30, top - high + 9, left + half + 4, top - 9, (250, 244, 228), (222, 212, 190))
        canvas.rectangle(left - half, top - high, left - half + 36, top, dark(paint, 30), dark(paint, 70))
        canvas.rectangle(left - half + 10, top - high, left - half + 16, top, light(paint, 120))
        top -= high
    page: Colour = (255, 250, 238)
    for side in (-1, 1):
        edge = curve((0, top - 36), (side * 90, top - 96), (side * 210, top - 58), 8)
        canvas.polygon(
            [*edge, (side * 214, top - 6), *curve((side * 214, top - 6), (side * 90, top - 40), (0, top), 8)],
            PAINTS[scene.colour],
            dark(PAINTS[scene.colour], 50),
        )
        canvas.polygon(
            [*edge, (side * 206, top - 20), *curve((side * 206, top - 20), (side * 90, top - 58), (0, top - 10), 8)],
            page,
            (226, 218, 200),
        )
        for row in (0, 1):
            canvas.line(
                curve(
                    (side * 26, top - 42 + row * 15),
                    (side * 90, top - 78 + row * 15),
                    (side * 186, top - 50 + row * 15),
                    8,
                ),
                4,
                (150, 144, 136),
            )


def laptop(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Open; its screen shows a chart in the scene's colour."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 300, 22)
    canvas.polygon([(-226, -340), (226, -340), (236, -60), (-236, -60)], (70, 74, 84), INK)
    canvas.polygon(
        [(-210, -324), (210, -324), (218, -76), (-218, -76)], light(colour, 200), light(colour, 130), glow=True
    )
    canvas.rectangle(-190, -306, -40, -288, colour, glow=True)
    for row in range(4):
        canvas.rectangle(-190, -268 + row * 28, -70 - row * 12, -258 + row * 28, light(colour, 70), glow=True)
    for number in range(5):
        high = 40 + number * 26 + dice.between(-14, 14)
        canvas.rectangle(-30 + number * 46, -96 - high, 2 + number * 46, -96, light(colour, 40), colour, glow=True)
    canvas.line([(-30, -150), (50, -190), (110, -180), (190, -262)], 9, dark(colour, 90), glow=True)
    canvas.line([(-190, -94), (190, -94)], 4, dark(colour, 60), glow=True)
    canvas.polygon([(-240, -62), (240, -62), (300, -6), (-300, -6)], (206, 210, 218), (168, 174, 184))
    for row in range(3):
        y, half = -54 + row * 12, 206 + row * 14
        canvas.line([(-half, y), (half, y)], 8, (90, 94, 104))
    canvas.polygon([(-56, -18), (56, -18), (62, -8), (-62, -8)], (150, 156, 166))
    canvas.polygon([(-300, -6), (300, -6), (290, 6), (-290, 6)], (130, 136, 146))


def running_shoe(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Seen from its side, its toe to the right."""
    colour = PAINTS[scene.colour]
    shadow(canvas, 250, 18)
    upper = [
        (-214, -60),
        *curve((-214, -60), (-230, -160), (-196, -236), 8),
        *curve((-196, -236), (-150, -190), (-84, -214), 8),
        (-50, -232),
        *curve((-50, -232), (20, -160), (110, -136), 8),
        *curve((110, -136), (236, -120), (240, -56), 8),
    ]
    canvas.polygon(upper, light(colour, 30), dark(colour, 40))
    canvas.polygon(
        [(-214, -60), *curve((-214, -60), (-230, -160), (-204, -220), 8), (-150, -150), (-120, -60)],
        dark(colour, 50),
        dark(colour, 80),
    )
    canvas.polygon(
        [(120, -60), *curve((120, -60), (140, -110), (196, -112), 6), *curve((196, -112), (238, -96), (240, -56), 6)],
        dark(colour, 44),
        dark(colour, 76),
    )
    canvas.line(curve((-196, -236), (-150, -190), (-84, -214), 8), 16, dark(colour, 110))
    stripe = curve((-96, -60), (-20, -70), (40, -150), 8) + curve((14, -164), (-40, -100), (-132, -92), 8)
    canvas.polygon(stripe, WHITE, (232, 234, 240))
    for number in range(5):
        x, y = -52 + number * 30, -216 + number * 19
        canvas.line([(x - 6, y + 2), (x + 26, y - 20)], 11, WHITE)
    canvas.line([(-60, -226), (-84, -262)], 18, light(colour, 40))
    sole = [
        (-228, -66),
        *curve((-228, -66), (0, -44), (246, -62), 8),
        *curve((246, -62), (270, -16), (220, -6), 8),
        (-206, -6),
        *curve((-206, -6), (-246, -20), (-228, -66), 8),
    ]
    canvas.polygon(sole, (255, 255, 255), (222, 226, 232))
    canvas.line([(-214, -14), (226, -14)], 14, INK)
    for x in range(-190, 220, 44):
        canvas.line([(x, -12), (x + 12, -2)], 8, INK)


SUBJECTS = {
    "coffee": coffee, "pizza": pizza, "guitar": guitar, "cake": cake, "gift": gift, "books": books, "laptop": laptop,
    "running_shoe": running_shoe,
}  # fmt: skip
