// Charts of one group: one time axis, one cursor with its values, zoom by drag and by keys, lines that can be put away.
// Data: harness/report/charts.py, Group.data. Drawn anew here for the width that there is.
(function () {
  'use strict';
  var DASHES = ['', '7 3', '2 3'], HEIGHT = 170, LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 22, NS = 'http://www.w3.org/2000/svg';
  var doc = document;

  function make(tag, cls, text) {
    var one = doc.createElement(tag);
    if (cls) one.className = cls;
    if (text) one.textContent = text;
    return one;
  }
  function draw(parent, tag, given, text) {
    var one = doc.createElementNS(NS, tag);
    for (var name in given) one.setAttribute(name, given[name]);
    if (text) one.textContent = text;
    parent.appendChild(one);
    return one;
  }
  function digits(v, n) { return String(Number(v.toPrecision(n))); }
  function number(v) {
    if (v === null || v === undefined) return '–';
    var size = Math.abs(v);
    if (size >= 1e9) return digits(v / 1e9, 3) + 'G';
    if (size >= 1e6) return digits(v / 1e6, 3) + 'M';
    if (size >= 1e4) return digits(v / 1e3, 3) + 'k';
    return size >= 1000 ? Math.round(v).toLocaleString('en') : digits(v, 3);
  }
  function two(n) { return (n < 10 ? '0' : '') + n; }
  function since(s, fine) {
    if (s < 60) return (fine ? s.toFixed(1) : digits(s, 3)) + ' s';
    s = Math.round(s);
    var h = Math.floor(s / 3600), m = Math.floor(s % 3600 / 60);
    return h ? h + ':' + two(m) + ':' + two(s % 60) : m + ':' + two(s % 60);
  }
  function clock(at) { return new Date(at * 1000).toISOString().slice(11, 19); }
  function ticks(top, about) {
    var raw = top / about, power = Math.pow(10, Math.floor(Math.log10(raw)));
    var step = [1, 2, 2.5, 5, 10].map(function (n) { return n * power; }).filter(function (n) { return n >= raw * 0.999; })[0];
    var made = [];
    for (var i = 0; i <= Math.ceil(top / step * 0.999999); i++) made.push(Number((step * i).toPrecision(6)));
    return made;
  }
  var STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

  function place(at, t) { // of the moment nearest to t
    var low = 0, high = at.length - 1;
    while (high - low > 1) { var mid = (low + high) >> 1; if (at[mid] <= t) low = mid; else high = mid; }
    return high >= 0 && Math.abs(at[high] - t) < Math.abs(at[low] - t) ? high : low;
  }

  function floor(at, t) { // of the last moment up to t
    var n = place(at, t);
    return n > 0 && at[n] > t ? n - 1 : n;
  }

  window.pshCharts = function (box) {
    if (box.drawn) { box.drawn(); return; }
    var data = JSON.parse(doc.getElementById(box.id + '-data').textContent);
    var whole = [0, Math.max(data.until - data.since, 0.001)], view = whole.slice(), cursor = null, readout, zoomed = [];
    var charts = Array.prototype.map.call(box.querySelectorAll('figure.chart'), setUp);

    function setUp(figure) {
      var d = data.charts[Number(figure.dataset.i)];
      var chart = { figure: figure, d: d, at: data.axes[d.axis], set: d.chosen, off: {}, plot: figure.querySelector('.plotbox') };
      var plot = chart.plot;
      plot.tabIndex = 0;
      plot.setAttribute('role', 'slider');
      plot.setAttribute('aria-orientation', 'horizontal');
      plot.setAttribute('aria-label', d.title + ', ' + d.unit + ', over time');
      plot.setAttribute('aria-valuemin', '0');
      plot.setAttribute('aria-valuenow', '0');
      plot.setAttribute('aria-valuemax', String(Math.max(chart.at.length - 1, 0)));
      plot.addEventListener('keydown', function (event) { keys(chart, event); });
      plot.addEventListener('focus', function () { if (cursor === null) move(view[0]); else tell(chart); });
      plot.addEventListener('pointermove', function (event) { if (event.pointerType === 'mouse' || chart.from !== undefined) hover(chart, event); });
      plot.addEventListener('pointerdown', function (event) {
        hover(chart, event);
        if (event.pointerType === 'mouse' && event.button === 0) {
          chart.from = chart.to = timeOf(chart, event);
          plot.setPointerCapture(event.pointerId);
        }
      });
      plot.addEventListener('pointerup', function () {
        if (chart.from === undefined) return;
        var a = Math.min(chart.from, chart.to), b = Math.max(chart.from, chart.to);
        chart.from = undefined;
        if ((b - a) / (view[1] - view[0]) > 0.01) zoom(a, b); else paintCursor();
      });
      plot.addEventListener('pointercancel', function () { chart.from = undefined; paintCursor(); });
      plot.addEventListener('dblclick', function () { zoom(whole[0], whole[1]); });
      if (d.sets.length > 1) {
        var choice = make('span', 'variants');
        choice.setAttribute('role', 'group');
        choice.setAttribute('aria-label', 'what of ' + d.title);
        d.sets.forEach(function (set, i) {
          var b = make('button', '', set[0]);
          b.type = 'button';
          b.setAttribute('aria-pressed', String(i === chart.set));
          b.addEventListener('click', function () {
            chart.set = i;
            Array.prototype.forEach.call(choice.children, function (o, j) { o.setAttribute('aria-pressed', String(i === j)); });
            paint(chart);
            fill(chart);
          });
          choice.appendChild(b);
        });
        figure.querySelector('figcaption').appendChild(choice);
      }
      chart.values = Array.prototype.map.call(figure.querySelectorAll('.legend li'), function (li, i) {
        var b = make('button');
        b.type = 'button';
        b.setAttribute('aria-pressed', 'true');
        while (li.firstChild) b.appendChild(li.firstChild);
        var value = make('b');
        b.appendChild(value);
        b.addEventListener('click', function () {
          chart.off[i] = !chart.off[i];
          b.setAttribute('aria-pressed', String(!chart.off[i]));
          paint(chart);
        });
        li.appendChild(b);
        return value;
      });
      chart.table = figure.querySelector('details');
      if (chart.table) chart.table.addEventListener('toggle', function () { fill(chart); });
      return chart;
    }

    function lines(chart) { return chart.d.sets[chart.set][1]; }
    function index(chart) { return (chart.d.steps ? floor : place)(chart.at, cursor === null ? 0 : cursor); }
    function wide(chart) { return chart.width - LEFT - RIGHT; }
    function x(chart, t) { return LEFT + (t - view[0]) / (view[1] - view[0]) * wide(chart); }
    function timeOf(chart, event) {
      var rect = chart.plot.getBoundingClientRect();
      var t = view[0] + (event.clientX - rect.left - LEFT) / wide(chart) * (view[1] - view[0]);
      return Math.min(Math.max(t, view[0]), view[1]);
    }
    function hover(chart, event) {
      var t = timeOf(chart, event);
      if (chart.from !== undefined) chart.to = t;
      move(t);
    }

    function paint(chart) {
      chart.width = Math.max(chart.plot.clientWidth, 220);
      chart.plot.textContent = '';
      var svg = draw(chart.plot, 'svg', { viewBox: '0 0 ' + chart.width + ' ' + HEIGHT, width: chart.width, height: HEIGHT, 'aria-hidden': 'true' });
      var high = HEIGHT - TOP - BOTTOM, at = chart.at, span = view[1] - view[0];
      var first = Math.max(place(at, view[0]) - 1, 0), last = Math.min(place(at, view[1]) + 1, at.length - 1);
      var top = 0;
      lines(chart).forEach(function (line, i) {
        if (!chart.off[i]) for (var n = first; n <= last; n++) if (line[1][n] > top) top = line[1][n];
      });
      var marks = chart.d.top ? ticks(chart.d.top, 4) : ticks(top || 1, 4);
      top = chart.d.top || marks[marks.length - 1];
      var y = function (v) { return TOP + high - Math.min(Math.max(v / top, 0), 1) * high; };
      marks.forEach(function (v) {
        draw(svg, 'path', { 'class': 'grid', d: 'M' + LEFT + ' ' + y(v).toFixed(1) + 'H' + (chart.width - RIGHT) });
        draw(svg, 'text', { x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end' }, number(v));
      });
      var about = Math.max(Math.floor(chart.width / 110), 2);
      var step = STEPS.filter(function (s) { return span / s <= about; })[0] || 86400;
      for (var s = Math.ceil(view[0] / step) * step; s <= view[1] + 1e-9; s += step) {
        var px = x(chart, s);
        draw(svg, 'text', { x: px, y: HEIGHT - 6, 'text-anchor': px > chart.width - 30 ? 'end' : px < LEFT + 12 ? 'start' : 'middle' }, since(s));
      }
      data.marks.forEach(function (m) {
        if (m[1] < view[0] || m[0] > view[1]) return;
        var a = x(chart, Math.max(m[0], view[0])), b = x(chart, Math.min(m[1], view[1]));
        draw(svg, 'rect', { 'class': 'mark ' + m[4], x: a, y: TOP, width: Math.max(b - a, 1), height: high });
      });
      var clip = box.id + '-clip' + chart.figure.dataset.i;
      draw(draw(svg, 'clipPath', { id: clip }), 'rect', { x: LEFT, y: TOP - 4, width: wide(chart), height: high + 8 });
      var area = draw(svg, 'g', { 'clip-path': 'url(#' + clip + ')' });
      lines(chart).forEach(function (line, i) {
        if (chart.off[i]) return;
        var path = '', pen = false, values = line[1];
        for (var n = first; n <= last; n++) {
          var v = values[n];
          if (v === null || v === undefined) { pen = false; continue; }
          path += (pen ? 'L' : 'M') + x(chart, at[n]).toFixed(1) + ' ' + y(v).toFixed(1);
          if (chart.d.steps) path += 'H' + x(chart, n + 1 < at.length ? at[n + 1] : whole[1]).toFixed(1);
          else if (!pen && (n + 1 >= at.length || values[n + 1] === null)) path += 'h2';
          pen = true;
        }
        draw(area, 'path', { 'class': 'ln c' + i % 8, 'stroke-dasharray': DASHES[(i >> 2) % 3], d: path });
      });
      chart.over = draw(svg, 'g', {});
      chart.y = y;
      chart.high = high;
      overlay(chart);
    }

    function overlay(chart) {
      if (!chart.over) return;
      chart.over.textContent = '';
      if (chart.from !== undefined && chart.from !== chart.to) {
        var a = x(chart, Math.min(chart.from, chart.to)), b = x(chart, Math.max(chart.from, chart.to));
        draw(chart.over, 'rect', { 'class': 'pick', x: a, y: TOP, width: b - a, height: chart.high });
      }
      var seen = cursor !== null && cursor >= view[0] && cursor <= view[1];
      if (seen) draw(chart.over, 'path', { 'class': 'cursor', d: 'M' + x(chart, cursor).toFixed(1) + ' ' + TOP + 'v' + chart.high });
      var n = index(chart);
      chart.values.forEach(function (value, i) {
        var line = lines(chart)[i], v = line && seen ? line[1][n] : undefined;
        value.textContent = v === undefined ? '' : number(v);
        if (seen && v !== null && v !== undefined && !chart.off[i]) draw(chart.over, 'circle', { cx: x(chart, chart.d.steps ? cursor : chart.at[n]), cy: chart.y(v), r: 3 });
      });
      if (doc.activeElement === chart.plot) tell(chart);
    }

    function tell(chart) { // what a screen reader hears
      if (cursor === null) return;
      var n = index(chart);
      chart.plot.setAttribute('aria-valuenow', String(n));
      chart.plot.setAttribute('aria-valuetext', since(chart.at[n] || 0, true) + ': ' + lines(chart).map(function (line) {
        return line[0] + ' ' + number(line[1][n]);
      }).join(', ') + ' ' + chart.d.unit);
    }

    function paintCursor() {
      charts.forEach(overlay);
      readout.textContent = '';
      if (cursor === null) { readout.textContent = whole[1] > 0 ? 'from ' + clock(data.since) + ' to ' + clock(data.until) + ' UTC; point at a chart, or move with the arrow keys' : ''; return; }
      readout.appendChild(make('b', '', since(cursor, true)));
      readout.appendChild(doc.createTextNode(' (' + clock(data.since + cursor) + ' UTC)'));
      var on = data.marks.filter(function (m) { return m[0] <= cursor && cursor <= m[1]; });
      on.slice(0, 2).forEach(function (m) {
        readout.appendChild(doc.createTextNode(' · '));
        var link = make(m[3] ? 'a' : 'span', '', m[2]);
        if (m[3]) link.href = m[3];
        readout.appendChild(link);
      });
      if (on.length > 2) readout.appendChild(doc.createTextNode(' and ' + (on.length - 2) + ' more'));
    }

    function move(t) { cursor = t; paintCursor(); }
    function zoom(a, b) {
      var least = Math.min(0.2, whole[1]);
      if (b - a < least) { var mid = (a + b) / 2; a = mid - least / 2; b = mid + least / 2; }
      var span = Math.min(b - a, whole[1]);
      a = Math.min(Math.max(a, 0), whole[1] - span);
      view = [a, a + span];
      if (cursor !== null) cursor = Math.min(Math.max(cursor, view[0]), view[1]);
      zoomed.forEach(function (b) { b.disabled = span >= whole[1] - 1e-9; });
      charts.forEach(paint);
      charts.forEach(fill);
      paintCursor();
    }
    function scale(factor) {
      var span = (view[1] - view[0]) * factor, mid = cursor === null ? (view[0] + view[1]) / 2 : cursor;
      zoom(mid - span / 2, mid + span / 2);
    }
    function shift(part) { var by = (view[1] - view[0]) * part; zoom(view[0] + by, view[1] + by); }

    function keys(chart, event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      var at = chart.at, by = event.shiftKey ? 10 : 1, n = place(at, cursor === null ? view[0] : cursor);
      var go = function (n) {
        n = Math.min(Math.max(n, 0), at.length - 1);
        var t = at[n] || 0;
        if (t < view[0] || t > view[1]) { var half = (view[1] - view[0]) / 2; cursor = t; zoom(t - half, t + half); }
        move(t);
      };
      if (event.key === 'ArrowRight' || event.key === 'ArrowUp') go(n + by);
      else if (event.key === 'ArrowLeft' || event.key === 'ArrowDown') go(n - by);
      else if (event.key === 'PageUp') go(n + 10);
      else if (event.key === 'PageDown') go(n - 10);
      else if (event.key === 'Home') go(place(at, view[0]));
      else if (event.key === 'End') go(place(at, view[1]));
      else if (event.key === '+' || event.key === '=') scale(0.5);
      else if (event.key === '-') scale(2);
      else if (event.key === '0' || event.key === 'Escape' && view[1] - view[0] < whole[1] - 1e-9) zoom(whole[0], whole[1]);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    function fill(chart) { // the table: what is in view, to the last sample that it has
      if (!chart.table || !chart.table.open) return;
      var body = chart.table.querySelector('tbody'), head = chart.table.querySelectorAll('thead th');
      lines(chart).forEach(function (line, i) { if (head[i + 1]) head[i + 1].textContent = line[0]; });
      body.textContent = '';
      var count = 0;
      for (var n = 0; n < chart.at.length && count < 600; n++) {
        if (chart.at[n] < view[0] || chart.at[n] > view[1]) continue;
        var row = body.appendChild(make('tr')), th = make('th', '', since(chart.at[n], true) + ' (' + clock(data.since + chart.at[n]) + ')');
        th.scope = 'row';
        row.appendChild(th);
        lines(chart).forEach(function (line) { row.appendChild(make('td', 'n', number(line[1][n]))); });
        count++;
      }
    }

    var tools = make('div', 'tools');
    [['Zoom in', function () { scale(0.5); }], ['Zoom out', function () { scale(2); }, 1], ['← Earlier', function () { shift(-0.5); }, 1],
      ['Later →', function () { shift(0.5); }, 1], ['Whole', function () { zoom(whole[0], whole[1]); }, 1]].forEach(function (one) {
      var b = make('button', '', one[0]);
      b.type = 'button';
      b.addEventListener('click', one[1]);
      if (one[2]) { zoomed.push(b); b.disabled = true; }
      tools.appendChild(b);
    });
    readout = make('output');
    tools.appendChild(readout);
    box.insertBefore(tools, box.firstChild);
    var width = 0;
    box.drawn = function () {
      if (!box.clientWidth || box.clientWidth === width) return;
      width = box.clientWidth;
      charts.forEach(paint);
      paintCursor();
    };
    box.drawn();
    if (window.ResizeObserver) new ResizeObserver(box.drawn).observe(box);
  };
})();
