"""What all pictures share: colours, the light of a time of day, and dice."""

from __future__ import annotations

from harness.promptsales.images_canvas import DAYLIGHT, Canvas, Colour, light, mix
from harness.promptsales.images_scenes import Scene

RIGHT, BOTTOM = 1024, 768  # units
HORIZON = 430

PAINTS: dict[str, Colour] = {
    "red": (214, 52, 52), "blue": (45, 105, 205), "green": (52, 148, 82), "yellow": (246, 200, 50),
    "orange": (240, 132, 40), "purple": (132, 78, 182), "pink": (240, 132, 172), "white": (244, 242, 236),
    "black": (48, 50, 58), "brown": (138, 88, 52), "turquoise": (42, 178, 176),
}  # fmt: skip

_LIGHTS: dict[str, Colour] = {
    "dawn": (250, 232, 226), "day": DAYLIGHT, "sunset": (256, 212, 184), "night": (142, 152, 198),
}  # fmt: skip
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "dawn": ((120, 156, 214), (255, 212, 188)), "day": ((62, 142, 228), (192, 230, 250)),
    "sunset": ((92, 66, 136), (255, 156, 84)), "night": ((8, 14, 44), (44, 58, 116)),
}  # fmt: skip
GREYS: dict[str, Colour] = {
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


def sky_colours(scene: Scene) -> tuple[Colour, Colour]:
    """Of the sky, above and at the horizon."""
    top, low = _SKIES[scene.time]
    if scene.weather == "clear":
        return top, low
    part = 90 if scene.weather == "clouds" else 190
    return mix(top, GREYS[scene.time], part), mix(low, light(GREYS[scene.time], 40), part)


def shadow(canvas: Canvas, width: int, height: int = 16) -> None:
    """What a thing throws on the ground it stands on."""
    canvas.ellipse((0, 0), width, height, (20, 22, 36), cover=80)


def rain(canvas: Canvas, dice: Dice, left: int, top: int, right: int, bottom: int, drops: int) -> None:
    """Drops within a rectangle."""
    for _ in range(drops):
        x, y = dice.between(left + 12, right), dice.between(top, bottom - 40)
        canvas.line([(x, y), (x - 10, y + 36)], 5, (205, 222, 240), cover=150, glow=True)


def flakes(canvas: Canvas, dice: Dice, left: int, top: int, right: int, bottom: int, many: int) -> None:
    """Snow flakes within a rectangle."""
    for _ in range(many):
        spot = (dice.between(left + 8, right - 8), dice.between(top + 8, bottom - 8))
        canvas.disc(spot, dice.between(4, 8), WHITE, cover=230, glow=True)
