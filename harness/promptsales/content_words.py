"""A scene in words: title, description, hashtags and campaign themes. English, with some Spanish."""

from __future__ import annotations

from harness.promptsales.content_subjects import SUBJECTS
from harness.promptsales.images_scenes import Scene, number

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_SPANISH_NUMBERS = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis")

_TOPPINGS = {
    "red": "slices of salami", "green": "basil and tomatoes", "yellow": "pineapple and ham", "black": "black olives",
    "white": "mushrooms",
}  # fmt: skip
_TOPPINGS_ES = {
    "red": "salami", "green": "albahaca y tomate", "yellow": "piña y jamón", "black": "aceitunas negras",
    "white": "champiñones",
}  # fmt: skip
_COLOURS_ES = {
    "red": "rojo", "blue": "azul", "green": "verde", "yellow": "amarillo", "orange": "naranja", "purple": "morado",
    "pink": "rosa", "white": "blanco", "black": "negro", "brown": "marrón", "turquoise": "turquesa",
}  # fmt: skip
_PLACES = {  # in a sentence, in Spanish, as hashtag
    "beach": ("on a sandy beach by the sea", "en la playa", "beach"),
    "sea": ("on the open sea", "en el mar", "sea"),
    "mountains": ("in front of high snowy mountains", "en las montañas", "mountains"),
    "city": ("in a city street between tall buildings", "en la ciudad", "city"),
    "forest": ("on a path in the forest", "en el bosque", "forest"),
    "meadow": ("on a green meadow", "en un prado verde", "nature"),
    "snow": ("in a snowy landscape with fir trees", "en la nieve", "snow"),
    "sky": ("high in the open sky", "en el cielo", "sky"),
    "table": ("on a wooden table by the window", "sobre la mesa", "home"),
    "desk": ("on a desk beneath a bookshelf", "sobre el escritorio", "office"),
    "room": ("on the rug of a living room", "en la sala", "home"),
}
_OVER = {
    "city": "over the city",
    "mountains": "over high snowy mountains",
    "sea": "over the sea",
    "meadow": "over a green meadow",
}
_ITSELF = ("beach", "mountains", "city", "forest")  # subjects that are a place
_TIMES_ES = {"dawn": "al amanecer", "day": "de día", "sunset": "al atardecer", "night": "de noche"}
_WEATHER_ES = {"clear": "", "clouds": ", con nubes", "rain": ", bajo la lluvia", "snow": ", mientras nieva"}
_DAYS = {"clear": "on a sunny day", "clouds": "on a cloudy day", "rain": "on a rainy day", "snow": "on a snowy day"}
_LATER = {"clear": "", "clouds": " with clouds in the sky", "rain": " in the rain", "snow": " while snow falls"}
_WINDOW = {
    "clear": "", "clouds": ", clouds outside the window", "rain": " while it rains outside the window",
    "snow": " while it snows outside the window",
}  # fmt: skip


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def thing(scene: Scene) -> str:
    """What is to be seen, as "two yellow bicycles"."""
    words = SUBJECTS[scene.subject]
    what = (words.one if scene.count == 1 else words.many).format(
        a_colour=_article(scene.colour),
        colour=scene.colour,
        count=_NUMBERS[scene.count],
        topping=_TOPPINGS.get(scene.colour, ""),
    )
    return f"{what} in a glass vase" if scene.subject == "flowers" and scene.indoors else what


def _place(scene: Scene) -> str:
    if scene.subject in _ITSELF:
        return ""
    if scene.subject in ("airplane", "balloon") and scene.setting in _OVER:
        return f" {_OVER[scene.setting]}"
    return f" {_PLACES[scene.setting][0]}"


def _when(scene: Scene) -> str:
    if scene.indoors:
        return {"day": "by day", "night": "at night"}.get(scene.time, f"at {scene.time}") + _WINDOW[scene.weather]
    if scene.time == "day":
        return _DAYS[scene.weather]
    clear = " under the moon and the stars" if scene.time == "night" else ""
    return f"at {scene.time}{_LATER[scene.weather] or clear}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def title(scene: Scene) -> str:
    """At most 120 characters."""
    short = thing(scene).split(" with ")[0].split(" in a ")[0].removesuffix(" sitting and looking at us")
    place = _place(scene).split(" between ")[0].split(" by the ")[0]
    return _capital(
        f"{short}{place} {'by day' if scene.time == 'day' else f'at {scene.time}'}".replace("by day by day", "by day")
    )


def spanish(scene: Scene) -> str:
    """The scene in Spanish, in short."""
    words = SUBJECTS[scene.subject]
    what = (words.spanish_one if scene.count == 1 else words.spanish_many).format(
        colour=_COLOURS_ES[scene.colour],
        count=_SPANISH_NUMBERS[scene.count],
        topping=_TOPPINGS_ES.get(scene.colour, ""),
    )
    vase = " en un florero" if scene.subject == "flowers" and scene.indoors else ""
    where = "" if scene.subject in _ITSELF else f" {_PLACES[scene.setting][1]}"
    weather = _WEATHER_ES[scene.weather]
    return _capital(f"{what}{vase}{where}, {_TIMES_ES[scene.time]}{weather}.")


def description(scene: Scene, content_id: int) -> str:
    """Two sentences: what the picture shows, and a mood, for every sixth content in Spanish."""
    what, when = thing(scene), _when(scene)
    what += ("," if "," in what and _place(scene) else "") + _place(scene)
    moods = SUBJECTS[scene.subject].moods
    first = (
        f"{_capital(what)} {when}.",
        f"{_capital(when)}: {what}.",
        f"A picture of {what} {when}.",
    )[number(0, content_id, "opening", 3)]
    second = spanish(scene) if content_id % 6 == 0 else moods[number(0, content_id, "mood", len(moods))]
    return f"{first} {second}"


def embedded(scene: Scene, content_id: int) -> str:
    """What its vector is made of: the description, and in any case the scene in Spanish, so that both languages find it."""
    text = description(scene, content_id)
    return text if (other := spanish(scene)) in text else f"{text} {other}"


def hashtags(scene: Scene, content_id: int) -> tuple[str, ...]:
    """From three to six, lower-case."""
    words = SUBJECTS[scene.subject]
    tags = [scene.subject.replace("_", ""), words.tag.replace("_", "")]
    tags += [theme.replace("_", "") for theme in words.themes]
    more = [
        _PLACES[scene.setting][2],
        scene.time,
        scene.colour,
        scene.weather if scene.weather != "clear" else "promptsales",
    ]
    first = number(0, content_id, "tags", len(more))
    tags += more[first:] + more[:first]
    return tuple(f"#{tag}" for tag in list(dict.fromkeys(tags))[: 3 + number(0, content_id, "how many tags", 4)])


def themes(scene: Scene) -> tuple[str, ...]:
    """Campaigns that it suits; what is snowy suits winter too."""
    own = SUBJECTS[scene.subject].themes
    return own if "winter" in own or scene.weather != "snow" else (*own, "winter")
