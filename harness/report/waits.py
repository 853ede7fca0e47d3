"""The wait-for graph as SVG: sessions on a ring, an arrow from each that waits to the one it waits for.

The cycle's sessions stand first and in its order, so that a deadlock is a round dance to look at, whatever its
length. Colour and dash of an arrow tell the server: a cycle of several kinds of arrow is one that no server sees.
"""

from __future__ import annotations

import math

from harness.evidence.model import Evidence
from harness.history import Wait, WaitPicture
from harness.report import machines, words
from harness.report.columns import fold
from harness.report.reading import sessions, telling_picture, victims
from harness.report.svg import DASHES, SERVERS, Canvas, fit, text_width

_MARGIN = 18
_PILL = 34  # height of a node
_PILL_ON = 46  # of one that says its machine too
_WIDEST_ON = 160  # of such a one; names of machines are long
_LABELLED = 6  # waits; more are only numbered, their words stand in the list below
_ALL_SHOWN = 10  # sessions; of more, only those that wait or hold are drawn
_ROW = 17


def waits_svg(evidence: Evidence) -> str:
    """Draw the most telling wait-for graph of a case as a self-contained SVG, for light and dark.

    Of several pictures that is one with a cycle, else the one with most waits; its time and reason stand above it.
    """
    picture = telling_picture(evidence.history)
    if picture is None:
        return _nobody(evidence)
    return _Graph(evidence, picture).draw()


def _key(evidence: Evidence) -> str:
    history = evidence.history
    return f"waits {evidence.run} {history.file} {history.case} {history.schedule}"


def _nobody(evidence: Evidence) -> str:
    title = f"Who waited for whom in {words.one_line(evidence.history.title) or evidence.history.case}"
    canvas = Canvas(title, "Nobody waited for another session.", _key(evidence))
    places = machines.on(evidence.history)
    names = ", ".join(f"{words.one_line(name)} {places.get(name, '')}".rstrip() for name in sessions(evidence.history))
    canvas.circle(38, 38, 14, "f-card s-edge")
    canvas.text(38, 43, "✓", "f-ink bold big", text_anchor="middle")
    canvas.text(64, 35, "Nobody waited for another session", "f-ink bold")
    canvas.text(64, 51, fit(names, 320, 11), "f-soft small")
    return canvas.render(420, 76)


class _Graph:
    def __init__(self, evidence: Evidence, picture: WaitPicture) -> None:
        self._evidence, self._picture = evidence, picture
        history = evidence.history
        self._victims = set(victims(evidence))
        self._places = machines.places(history)
        self._pill = _PILL_ON if self._places else _PILL
        self._closing = set(zip(picture.cycle, picture.cycle[1:] + picture.cycle[:1], strict=True))
        involved = [name for wait in picture.waits for name in (wait.waiter, wait.holder)]
        names = sessions(history)
        drawn = names if len(names) <= _ALL_SHOWN else [name for name in names if name in involved]
        # A single wait goes from left to right, so the waiter stands first.
        first = picture.cycle or [picture.waits[0].waiter]
        self._nodes = list(dict.fromkeys([*first, *drawn, *involved]))
        self._left_out = len(set(names) - set(self._nodes))
        self._servers = list(words.servers(history))
        for wait in picture.waits:
            server = words.server_of(history, wait.database)
            if server not in self._servers:
                self._servers.append(server)
        self._labelled = len(picture.waits) <= _LABELLED
        count = len(self._nodes)
        self._wide = {name: self._room(name) for name in self._nodes}
        widest = max(self._wide.values()) if self._places else 0.0
        self._radius = 150.0 if count <= 2 else max(125.0, count * max(96.0, widest + 24) / (2 * math.pi))
        aside = 190 if self._labelled else max(70.0, widest / 2 + 10)
        self._width = max(2 * (self._radius + aside), 600.0)
        title = f"Who waited for whom in {words.one_line(history.title) or history.case}"
        edges = "; ".join(f"{w.waiter} waits for {w.holder}: {words.resource(w)}" for w in picture.waits)
        if self._places:
            edges += f". {', '.join(f'{name} {place}' for name, place in machines.on(history).items())}"
        cycle = f" Cycle: {' → '.join(picture.cycle)}." if picture.cycle else ""
        self._canvas = Canvas(title, f"{edges}.{cycle}", _key(evidence))

    def _shown(self, name: str) -> str:
        sign = "✖ " if name in self._victims else ""
        return fit(
            sign + words.one_line(name.replace("?", "pid ", 1) if name.startswith("?") else name), 112, bold=True
        )

    def _place(self, name: str) -> str:
        """The machine that a session ran on, as it fits into its node."""
        return fit(f"on {self._places[name]}", _WIDEST_ON - 26, 11) if name in self._places else ""

    def _room(self, name: str) -> float:
        """The width of a session's node."""
        alone = min(max(text_width(self._shown(name), bold=True) + 20, 46), 130)
        return max(alone, text_width(self._place(name), 11) + 26)

    def draw(self) -> str:
        top = self._head()
        # Two sessions lie beside each other: their ring is as flat as their arrows bow.
        room = 26 + 14 * max(len(self._label_lines(wait)) for wait in self._picture.waits) if self._labelled else 34
        tall = 75.0 + room if len(self._nodes) <= 2 else self._radius + room
        self._x, self._y = self._width / 2, top + tall + 12
        if len(self._nodes) <= 2 and len(self._picture.waits) == 1:
            tall = 40.0  # no arrow bows downward
        for i, wait in enumerate(self._picture.waits, 1):
            self._edge(i, wait)
        for name in self._nodes:
            self._node(name)
        self._middle()
        bottom = self._list(self._y + tall + 20)
        bottom = self._legend(bottom + 4)
        return self._canvas.render(self._width, bottom + 14)

    def _head(self) -> float:
        canvas, picture = self._canvas, self._picture
        canvas.text(_MARGIN, 26, fit(self._evidence.history.title, self._width - 36, 14, bold=True), "f-ink bold big")
        y = 44
        cells = int((self._width - 2 * _MARGIN) / text_width("x", 11, bold=True))
        for line in fold(f"Wait-for graph {words.picture_title(picture)}", cells, 2):
            canvas.text(_MARGIN, y, line, "f-soft small")
            y += 16
        if picture.cycle:
            said = f"⟲ cycle {words.cycle(picture.cycle)}"
            if len(picture.servers) > 1:
                said += f" over {len(picture.servers)} servers"
            if picture.seen_by_server is False:
                said += ": no server's own detector can see it"
            for line in fold(said, cells, 3):
                canvas.text(_MARGIN, y + 2, line, "f-red-ink bold small")
                y += 16
        return y + 4

    def _at(self, name: str) -> tuple[float, float]:
        count = len(self._nodes)
        turn = 2 * math.pi * self._nodes.index(name) / count
        start = math.pi if count <= 2 else -math.pi / 2
        return self._x + self._radius * math.cos(start + turn), self._y + self._radius * math.sin(start + turn)

    def _edge(self, number: int, wait: Wait) -> None:
        canvas = self._canvas
        (x1, y1), (x2, y2) = self._at(wait.waiter), self._at(wait.holder)
        dx, dy = x2 - x1, y2 - y1
        length = math.hypot(dx, dy) or 1.0
        count = len(self._nodes)
        bow = length * (0.45 if count <= 2 else 0.24 if count <= 8 else 0.12)
        out_x, out_y = dy / length, -dx / length  # to the left of the way: outward, for the ring goes clockwise
        cx, cy = (x1 + x2) / 2 + out_x * bow, (y1 + y2) / 2 + out_y * bow
        sx, sy = self._border(wait.waiter, cx, cy, 2)
        ex, ey = self._border(wait.holder, cx, cy, 4)
        mx, my = (sx + 2 * cx + ex) / 4, (sy + 2 * cy + ey) / 4
        place = self._servers.index(words.server_of(self._evidence.history, wait.database))
        closing = (wait.waiter, wait.holder) in self._closing
        colour, dash = SERVERS[place % len(SERVERS)], DASHES[place % len(DASHES)]
        way = f"M{sx:.1f} {sy:.1f} Q{cx:.1f} {cy:.1f} {ex:.1f} {ey:.1f}"
        canvas.group(f"{number}. {words.who(wait.waiter)} waits for {words.who(wait.holder)}: {words.resource(wait)}")
        if closing:
            canvas.path(way, "s-halo", stroke_width=11, stroke_linecap="round")
        canvas.path(
            way,
            f"s-{colour}",
            stroke_width=2.6 if closing else 1.5,
            stroke_dasharray=dash,
            marker_end=canvas.arrow(colour),
        )
        if self._labelled:
            canvas.circle(mx, my, 9.5, f"f-paper s-{colour}")
        else:  # on a short arrow the number would hide the head
            mx, my = mx + 17 * out_x, my + 17 * out_y
        canvas.text(mx, my + 4, str(number), "f-ink bold small", text_anchor="middle")
        if self._labelled:
            self._label(wait, mx, my, out_x, out_y)
        canvas.end()

    def _border(self, name: str, toward_x: float, toward_y: float, room: float) -> tuple[float, float]:
        """Where the way from a node to a point leaves the node's pill, ``room`` pixels before it."""
        x, y = self._at(name)
        dx, dy = toward_x - x, toward_y - y
        half_x, half_y = self._wide[name] / 2 + room, self._pill / 2 + room
        scale = min(half_x / abs(dx) if dx else math.inf, half_y / abs(dy) if dy else math.inf, 1.0)
        return x + dx * scale, y + dy * scale

    def _label_lines(self, wait: Wait) -> list[tuple[str, str]]:
        lines = [(wait.asked, "f-ink bold small")] if wait.asked else []
        lines += [(part, "f-ink small") for part in fold(words.clean(wait.resource), 24, 3)]
        if len(self._servers) > 1:
            server = words.server_of(self._evidence.history, wait.database)
            colour = SERVERS[self._servers.index(server) % len(SERVERS)]
            lines.append((words.logical_of(self._evidence.history, wait.database), f"f-{colour} bold small"))
            lines.append((server, f"f-{colour} small"))
        return lines

    def _label(self, wait: Wait, x: float, y: float, out_x: float, out_y: float) -> None:
        lines = self._label_lines(wait)
        anchor = "start" if out_x > 0.35 else "end" if out_x < -0.35 else "middle"
        x += out_x * 16
        tall = 14 * len(lines)
        # Above the arrow the last line is nearest to it, below the first one; beside it they stand centred.
        top = y - tall - 10 if out_y < -0.8 else y + 24 if out_y > 0.8 else y + out_y * 14 - tall / 2 + 11
        if out_y < -0.8:
            top += 8
        for i, (said, cls) in enumerate(lines):
            self._canvas.text(x, top + 14 * i, fit(said, 175, 11), cls, text_anchor=anchor)

    def _node(self, name: str) -> None:
        canvas = self._canvas
        x, y = self._at(name)
        wide = self._wide[name]
        fill, edge, ink, thick = "card", "edge", "ink", 1.2
        if name in self._victims:
            fill, edge, ink = "red-solid", "red-solid", "white"
        elif name in self._picture.cycle:
            edge, thick = "red-ink", 2.2
        dash = "4 3" if name.startswith("?") else ""
        place = self._place(name)
        said = words.who(name) + (f" on {self._places[name]}" if place else "")
        canvas.group(said + (", the victim" if name in self._victims else ""))
        canvas.rect(
            x - wide / 2, y - self._pill / 2, wide, self._pill, f"f-{fill} s-{edge}", rx=17, stroke_width=thick,
            stroke_dasharray=dash,
        )  # fmt: skip
        canvas.text(x, y + (-2.5 if place else 4.5), self._shown(name), f"f-{ink} bold", text_anchor="middle")
        if place:
            canvas.text(x, y + 13, place, f"f-{ink} small", text_anchor="middle")
        if len(self._nodes) <= _ALL_SHOWN and name in self._victims:
            canvas.text(x, y + self._pill / 2 + 14, "victim", "f-red-ink bold small", text_anchor="middle")
        canvas.end()

    def _middle(self) -> None:
        """In a wide ring there is room to say what it is."""
        if len(self._nodes) < 6 or not self._picture.cycle:
            return
        servers = len(self._picture.servers) or 1
        said = f"cycle of {len(self._picture.cycle)}"
        self._canvas.text(self._x, self._y, said, "f-red-ink bold big", text_anchor="middle")
        under = f"over {servers} server{'s' if servers > 1 else ''}"
        self._canvas.text(self._x, self._y + 18, under, "f-soft small", text_anchor="middle")

    def _list(self, top: float) -> float:
        columns = max(int((self._width - 2 * _MARGIN) // 440), 1)
        column = (self._width - 2 * _MARGIN) / columns
        waits = self._picture.waits
        deep = -(-len(waits) // columns)
        for i, wait in enumerate(waits):
            x, y = _MARGIN + column * (i // deep), top + _ROW * (i % deep)
            self._canvas.text(x + 18, y, str(i + 1), "f-soft small bold", text_anchor="end")
            said = f"{words.who(wait.waiter)} waits for {words.who(wait.holder)}: {words.resource(wait)}"
            if len(self._servers) > 1:
                said += f", {words.logical_of(self._evidence.history, wait.database)}"
            closing = (wait.waiter, wait.holder) in self._closing
            self._canvas.text(x + 26, y, fit(said, column - 34, 11), f"f-ink small{' bold' if closing else ''}")
        bottom = top + _ROW * deep
        if self._left_out:
            self._canvas.text(_MARGIN, bottom, f"{self._left_out} other sessions wait for nobody", "f-soft small")
            bottom += _ROW
        return bottom

    def _legend(self, top: float) -> float:
        canvas = self._canvas
        canvas.path(f"M{_MARGIN} {top - 6:.1f} H{self._width - _MARGIN:.1f}", "s-faint")
        y = top + 14
        places = words.servers(self._evidence.history)
        for i, server in enumerate(self._servers):
            colour = SERVERS[i % len(SERVERS)]
            canvas.path(
                f"M{_MARGIN} {y - 4:.1f} h34", f"s-{colour}", stroke_width=2.6, stroke_dasharray=DASHES[i % len(DASHES)],
                marker_end=canvas.arrow(colour),
            )  # fmt: skip
            said = f"waits on {places.get(server, server)} at {server}"
            canvas.text(_MARGIN + 44, y, fit(said, self._width - 2 * _MARGIN - 44, 11), "f-soft small")
            y += _ROW
        x = float(_MARGIN)
        if self._closing:
            canvas.path(f"M{x + 4:.1f} {y - 4:.1f} h26", "s-halo", stroke_width=11, stroke_linecap="round")
            canvas.text(x + 44, y, "closes the cycle", "f-soft small")
            x += 170
        if self._victims & set(self._nodes):
            canvas.rect(x, y - 12, 34, 15, "f-red-solid", rx=7.5)
            canvas.text(x + 17, y, "✖", "f-white bold small", text_anchor="middle")
            canvas.text(x + 42, y, "victim", "f-soft small")
            x += 120
        return y + (2 if x > _MARGIN else -_ROW)
