// The page: one view at a time by its address, a filter, keys, the theme. Without this script all of it stands below each other.
(function () {
  'use strict';
  var doc = document, root = doc.documentElement;
  var all = function (what, where) { return Array.prototype.slice.call((where || doc).querySelectorAll(what)); };
  var by = function (id) { return doc.getElementById(id); };
  var views = all('[data-view]'), overview = views[0], now = null, scrolled = {}, narrowed = null;

  // -- what a view holds is made when it is opened: until then it is the text of a <noscript>

  function grow(view) {
    var kept = view.querySelector('noscript');
    if (kept) {
      var box = doc.createElement('div');
      box.innerHTML = kept.textContent;
      kept.replaceWith(box);
      all('[data-pack]', box).forEach(unpack);
    }
    if (view !== overview) { // shown alone, it is a page: its title is the first heading
      all('h3', view).forEach(function (h) { h.setAttribute('aria-level', '1'); });
      all('h4', view).forEach(function (h) { h.setAttribute('aria-level', '2'); });
    }
    all('[data-charts]', view).forEach(function (group) { window.pshCharts(group); });
  }

  function unpack(box) {
    var figures = all('figure', box);
    var bytes = Uint8Array.from(atob(box.dataset.pack), function (c) { return c.charCodeAt(0); });
    box.removeAttribute('data-pack');
    if (!window.DecompressionStream) return; // an old browser: the links to the files stay
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    box.unpacked = new Response(stream).text().then(function (text) {
      text.split('\0').forEach(function (svg, i) { figures[i].innerHTML = svg; figures[i].classList.remove('packed'); });
    });
  }

  // -- which view

  function shown(kind) { // the views of a kind that the filter lets through
    return views.filter(function (v) { return v.dataset.kind === kind && (kind !== 'case' || !narrowed || narrowed[v.id.slice(5)]); });
  }

  function route(first) {
    var id = decodeURIComponent(location.hash.slice(1)), target = id ? by(id) : overview;
    var view = target && target.closest('[data-view]');
    if (!view) { if (target && !first) return; view = target = overview; }
    if (now && now !== view) scrolled[now.id] = window.scrollY;
    var before = now;
    if (now) now.classList.remove('now');
    now = view;
    view.classList.add('now');
    grow(view);
    bar(view);
    all('.bar a').forEach(function (a) {
      var on = a.getAttribute('href') === '#' + (view === overview ? 'overview' : view.dataset.home || view.id);
      if (on) a.setAttribute('aria-current', 'page'); else a.removeAttribute('aria-current');
    });
    var last = before && before !== view && view === overview &&
      (doc.querySelector('.matrix a[data-c~="' + before.id.slice(5) + '"]') || doc.querySelector('#overview a[href="#' + before.id + '"]'));
    if (last) { // back to where one was
      window.scrollTo(0, scrolled.overview || 0);
      var box = last.getBoundingClientRect();
      if (box.top < 60 || box.bottom > window.innerHeight) last.scrollIntoView({ block: 'center' });
    } else if (target !== view) target.scrollIntoView();
    else if (view !== before) window.scrollTo(0, view === overview && !first ? scrolled.overview || 0 : 0);
    if (first) return;
    var head = last || (target === view ? view.querySelector('h1,h2,h3') : target);
    if (head) { if (!last) head.tabIndex = -1; head.focus({ preventScroll: true }); }
  }

  function bar(view) {
    var box = by('casebar'), kind = view.dataset.kind;
    box.hidden = view === overview;
    if (box.hidden) return;
    var some = shown(kind), place = some.indexOf(view);
    var home = by('back'), counter = by('counter');
    home.href = '#' + (view.dataset.home || 'overview');
    [['previous', place < 0 ? -1 : place - 1], ['next', place + 1]].forEach(function (pair) {
      var link = by(pair[0]), to = some[pair[1]];
      link.hidden = !to || some.length < 2;
      if (to) link.href = '#' + to.id;
    });
    counter.textContent = some.length > 1 && place >= 0 ? kind + ' ' + (place + 1) + ' of ' + some.length : '';
  }

  // -- the filter

  var rows = all('#list tr[data-c]'), search = by('search'), selects = all('#filter select');

  function narrow() {
    var text = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean), open = {}, count = 0, any = text.length > 0;
    var wanted = selects.map(function (s) { any = any || s.value; return [s.dataset.key, s.value]; });
    rows.forEach(function (row) {
      var said = row.textContent.toLowerCase();
      var fits = text.every(function (word) { return said.indexOf(word) >= 0; }) &&
        wanted.every(function (pair) { return !pair[1] || row.dataset[pair[0]] === pair[1]; });
      row.hidden = !fits;
      if (fits) { open[row.dataset.c] = 1; count++; }
    });
    narrowed = any ? open : null;
    all('.matrix tbody').forEach(function (body) {
      all('a[data-c]', body).forEach(function (a) {
        var mine = a.dataset.c.split(' '), left = mine.filter(function (c) { return open[c]; });
        a.parentNode.hidden = !left.length;
        if (left.length) a.href = '#case-' + left[0];
        if (mine.length > 1) {
          a.dataset.whole = a.dataset.whole || a.textContent;
          a.textContent = left.length < mine.length ? a.dataset.whole.replace(/\d+/, left.length + ' of ' + mine.length) : a.dataset.whole;
        }
      });
      var some = false;
      all('tr', body).forEach(function (row) {
        if (row.className === 'family') return;
        row.hidden = !row.querySelector('div:not([hidden]) > a[data-c]');
        some = some || !row.hidden;
      });
      body.hidden = !some;
    });
    var specs = all('.specs > details'), left = 0;
    specs.forEach(function (spec) {
      var said = spec.firstElementChild.textContent.toLowerCase(), status = wanted[0] && wanted[0][1];
      spec.hidden = !text.every(function (word) { return said.indexOf(word) >= 0; }) || (status && !spec.querySelector('summary .' + status));
      if (!spec.hidden) left++;
    });
    by('found').textContent = !any ? '' : (rows.length ? [count + ' of ' + rows.length + ' cases'] : [])
      .concat(specs.length ? [left + ' of ' + specs.length + ' specifications'] : []).join(', ');
    by('clear').hidden = !any;
  }

  if (search) {
    search.addEventListener('input', narrow);
    selects.forEach(function (s) { s.addEventListener('change', narrow); });
    by('clear').addEventListener('click', function () {
      search.value = '';
      selects.forEach(function (s) { s.value = ''; });
      narrow();
      search.focus();
    });
    if (by('print')) by('print').addEventListener('click', function () {
      var some = shown('case');
      some.forEach(function (v) { grow(v); v.classList.add('now'); });
      now.classList.remove('now');
      window.addEventListener('afterprint', function () {
        some.forEach(function (v) { v.classList.remove('now'); });
        now.classList.add('now');
      }, { once: true });
      Promise.all(all('div').map(function (d) { return d.unpacked; })).then(function () { window.print(); });
    });
  }

  // -- keys

  doc.addEventListener('keydown', function (event) {
    var on = event.target;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(on.tagName)) {
      if (event.key === 'Escape' && on === search) { search.value = ''; narrow(); }
      return;
    }
    var scrolls = on.closest('figure, .scroll, pre');
    var to = { j: 'next', k: 'previous' }[event.key] || (!scrolls && { ArrowRight: 'next', ArrowLeft: 'previous' }[event.key]);
    if (to) {
      var link = by(to);
      if (now === overview && to === 'next' && event.key === 'j' && shown('case')[0]) location.hash = shown('case')[0].id;
      else if (now !== overview && !link.hidden) location.hash = link.getAttribute('href');
      else return;
    } else if (event.key === 'Escape' && now !== overview) location.hash = by('back').getAttribute('href');
    else if (event.key === '/' && search) { if (now !== overview) location.hash = '#overview'; search.focus(); }
    else return;
    event.preventDefault();
  });

  // -- the theme

  var theme = by('theme'), system = window.matchMedia('(prefers-color-scheme: dark)');
  function dark() { return root.dataset.theme ? root.dataset.theme === 'dark' : system.matches; }
  function named() {
    theme.textContent = dark() ? '☀ Light' : '☾ Dark';
  }
  theme.addEventListener('click', function () {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('psh-theme', root.dataset.theme); } catch (e) { /* a browser that keeps nothing for files */ }
    named();
  });
  system.addEventListener('change', named);
  named();

  window.addEventListener('hashchange', function () { route(false); });
  window.addEventListener('beforeprint', function () { grow(now); });
  route(true);
  window.addEventListener('load', function () { // the browser has scrolled to the view itself: its bar is above it
    if (location.hash === '#' + now.id) setTimeout(function () { window.scrollTo(0, 0); });
  });
})();
