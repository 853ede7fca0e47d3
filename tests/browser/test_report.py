"""The report as a person has it: in a browser, from disk, by keyboard, on a phone, on paper, without its script."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.test_specifications import kept, permutation

from harness.evidence.store import read_run
from harness.report.page import report_html

VIEWS = ["overview", "case-1", "plan-1", "load-1", "monitor", "changes"]

Open = Callable[..., Any]


def test_all_views_open_without_an_error_and_without_the_network(opened: Open, report: Path) -> None:
    seen = opened(report)
    assert len(seen.views) > 20
    for view in seen.views:
        element = seen.show(view)
        assert element.is_visible()
        assert seen.page.locator("[data-view]:visible").count() == 1
        assert element.locator("noscript").count() == 0
    assert seen.troubles == []
    assert seen.requests == [seen.url]


def test_an_address_opens_its_view(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.page.goto(f"{seen.url}#case-3")
    assert seen.page.locator("[data-view]:visible").get_attribute("id") == "case-3"
    seen.page.goto(f"{seen.url}#nothing-of-the-kind")
    assert seen.page.locator("[data-view]:visible").get_attribute("id") == "overview"


@pytest.mark.parametrize("view", VIEWS)
def test_everything_that_can_be_used_is_reached_by_tab(opened: Open, report: Path, view: str) -> None:
    seen = opened(report)
    seen.show(view)
    page = seen.page
    count = page.evaluate(
        """() => {
          document.activeElement.blur();
          const all = [...document.querySelectorAll(
            'a[href],button,summary,input,select,figure[tabindex],[role=slider],.scroll,pre.raw')];
          const shown = all.filter(e => e.checkVisibility({visibilityProperty: true}) && !e.disabled);
          shown.forEach((e, i) => { e.dataset.tab = i; });
          return shown.length;
        }"""
    )
    assert count > 5
    reached = set()
    page.evaluate("window.scrollTo(0, 0); document.querySelector('.skip').focus()")
    for _ in range(count + 5):
        reached.add(page.evaluate("document.activeElement.dataset.tab"))
        visible = page.evaluate(
            "(e => e === document.body || getComputedStyle(e).outlineStyle !== 'none')(document.activeElement)"
        )
        assert visible, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        page.keyboard.press("Tab")
    missed = [
        page.locator(f'[data-tab="{i}"]').evaluate("e => e.outerHTML.slice(0, 120)")
        for i in range(count)
        if str(i) not in reached
    ]
    assert missed == []


def test_keys_lead_from_case_to_case_and_back(opened: Open, report: Path) -> None:
    seen = opened(report)
    page = seen.page
    where = "location.hash"
    page.keyboard.press("j")
    assert page.evaluate(where) == "#case-1"
    page.wait_for_selector("#case-1.now")
    page.keyboard.press("j")
    page.wait_for_selector("#case-2.now")
    assert "case 2 of 14" in page.inner_text("#casebar")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#case-1.now")
    page.keyboard.press("Escape")
    page.wait_for_selector("#overview.now")
    # Whoever comes back stands where they left.
    assert page.evaluate("document.activeElement.dataset.c") == "1"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jk")
    assert page.evaluate(where) == "#cases"


def test_what_is_not_as_expected_is_told_first(opened: Open, report: Path) -> None:
    seen = opened(report)
    table = seen.page.locator("[aria-label='Not as expected']")
    assert table.locator("tr").count() == 6  # three cases that failed, two not judged, a pair of plans
    table.locator("a", has_text="sales_of_clients_near").click()
    seen.page.wait_for_selector("#plan-1.now")
    seen.page.keyboard.press("Escape")
    seen.page.wait_for_selector("#overview.now")


def test_who_comes_back_sees_what_they_left(opened: Open, large: Path) -> None:
    page = opened(large).page
    link = page.locator(".matrix a[data-c~='900']").first
    link.scroll_into_view_if_needed()
    link.click()
    page.wait_for_selector("article.now")
    page.keyboard.press("Escape")
    page.wait_for_selector("#overview.now")
    top = link.evaluate("a => a.getBoundingClientRect().top")
    assert 0 < top < 900
    assert link.evaluate("a => a === document.activeElement")


def test_charts_of_a_server_are_jumped_to(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("monitor")
    seen.page.locator("#monitor .jump a").last.click()
    head = seen.page.locator("#monitor .charts h4").last
    seen.page.wait_for_function("document.activeElement.tagName === 'H4'")
    assert head.inner_text() == "this machine"
    assert seen.page.locator("[data-view]:visible").get_attribute("id") == "monitor"
    assert 0 <= head.evaluate("h => h.getBoundingClientRect().top") < 900


def test_the_filter_narrows_matrix_list_and_the_way_through(opened: Open, report: Path) -> None:
    seen = opened(report)
    page = seen.page
    page.fill("#search", "lost UPDATE")
    assert page.inner_text("#found") == "1 of 14 cases"
    assert page.locator(".matrix a[data-c]:visible").count() == 1
    page.fill("#search", "")
    page.select_option("select[data-key=s]", "error")
    assert page.inner_text("#found") == "2 of 14 cases"
    page.select_option("select[data-key=e]", "mongodb-standin")
    assert page.inner_text("#found") == "0 of 14 cases"
    page.select_option("select[data-key=e]", "")
    page.keyboard.press("Escape")
    first = page.locator(".matrix a[data-c]:visible").first
    first.click()
    page.wait_for_selector("article.error.now")
    assert "case 1 of 2" in page.inner_text("#casebar")
    page.go_back()
    page.click("#clear")
    assert page.locator(".matrix a[data-c]:visible").count() == 14


def test_the_families_of_many_cases_can_be_chosen(opened: Open, large: Path) -> None:
    page = opened(large).page
    page.select_option("select[data-key=f]", "deadlock")
    page.select_option("select[data-key=s]", "failed")
    found = page.inner_text("#found")
    count = int(found.split()[0])
    assert 0 < count < 40
    assert page.locator("#list tr[data-f=deadlock][data-s=failed]").count() == count


# -- charts


def test_a_chart_is_read_by_arrow_keys(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("load-1")
    page = seen.page
    plot = page.locator("#load-1 [role=slider]").first
    plot.focus()
    first = plot.get_attribute("aria-valuetext")
    assert first is not None
    assert first.startswith("0.0 s: read campaign ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuenow") == "2"
    assert (plot.get_attribute("aria-valuetext") or "").startswith("2.0 s: ")
    # The cursor is everyone's: charts of the server show the same moment.
    assert page.locator("#load-1 .cursor").count() == page.locator("#load-1 figure.chart").count()
    page.keyboard.press("End")
    assert (plot.get_attribute("aria-valuetext") or "").startswith("1:59: ")
    assert page.evaluate("location.hash") == "#load-1"  # the arrows were the chart's


def test_a_chart_is_zoomed_by_keys_buttons_and_drag(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("load-1")
    page = seen.page
    plot = page.locator("#load-1 [role=slider]").first

    def times(where: Any) -> list[str]:
        texts = where.evaluate("e => [...e.querySelectorAll('svg > text')].map(t => t.textContent)")
        return [text for text in texts if " s" in text or ":" in text]

    whole = times(plot)
    assert whole[-1] == "2:00"
    plot.focus()
    page.keyboard.press("+")
    assert times(plot) != whole
    others = page.locator("#load-1 [role=slider]").nth(3)
    assert times(others) == times(plot)
    page.keyboard.press("0")
    assert times(plot) == whole
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=4)
    assert page.locator("#load-1 .pick").count() == 1
    page.mouse.up()
    assert times(plot) != whole
    page.click("#load-1 .tools button:has-text('Whole')")
    assert times(plot) == whole
    assert seen.troubles == []


def test_what_holds_until_the_next_is_read_so(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("load-1")
    plot = seen.page.locator("#load-1 [role=slider]").first
    plot.focus()
    for _ in range(9):
        seen.page.keyboard.press("ArrowRight")
    users = seen.page.locator("#load-1 figure.chart", has=seen.page.locator("figcaption:has-text('Users')"))
    assert users.locator(".legend b").inner_text() == "4"  # until 10 s, when there are 20
    seen.page.keyboard.press("ArrowRight")
    assert users.locator(".legend b").inner_text() == "20"


def test_lines_are_put_away_and_other_percentiles_chosen(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("load-1")
    page = seen.page
    chart = page.locator("#load-1 figure.chart").nth(1)
    assert chart.locator("figcaption").inner_text().startswith("Response time")
    before = chart.locator("path.ln.c0").last.get_attribute("d")
    assert chart.locator(".plotbox path.ln").count() == 5
    chart.locator(".legend button").first.click()
    assert chart.locator(".plotbox path.ln").count() == 4
    chart.locator(".legend button").first.click()
    chart.locator(".variants button:has-text('p99')").click()
    assert chart.locator(".plotbox path.ln.c0").get_attribute("d") != before


def test_a_chart_has_its_data_as_a_table(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("monitor")
    chart = seen.page.locator("#monitor figure.chart").first
    chart.locator("summary").click()
    seen.page.wait_for_function("document.querySelectorAll('#monitor figure.chart tbody tr').length >= 120")
    assert chart.locator("thead th").all_inner_texts() == ["time (UTC)", "active", "waiting"]
    assert chart.locator("tbody tr").nth(40).inner_text().split("\t")[1:] == ["–", "–"]  # a sample that failed


def test_the_monitor_says_which_case_ran(opened: Open, report: Path) -> None:
    seen = opened(report)
    seen.show("monitor")
    plot = seen.page.locator("#monitor [role=slider]").first
    plot.focus()
    seen.page.keyboard.press("ArrowRight")
    link = seen.page.locator("#monitor .tools output a").first
    assert (link.get_attribute("href") or "").startswith("#case-")


# -- how it looks

CONTRAST = """() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
  const bad = []; let seen = 0;
  for (const e of document.querySelectorAll('main *, nav *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const chart = e.closest('.plotbox'), drawn = e.closest('svg') && !chart;
    if (!own || drawn || !e.checkVisibility() || e.disabled || e.closest('[aria-pressed=false]')) continue;
    const style = getComputedStyle(e), ink = parse(chart ? style.fill : style.color), back = ground(e);
    const a = light(ink), b = light(back), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen++;
    if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`);
  }
  return [seen, bad];
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_stand_out_from_their_ground(opened: Open, report: Path, dark: bool) -> None:
    seen = opened(report, dark=dark)
    for view in [*VIEWS, "case-8"]:
        element = seen.show(view)
        element.evaluate("v => v.querySelectorAll('details').forEach(d => { d.open = true; })")
        count, bad = seen.page.evaluate(CONTRAST)
        assert count > 20
        assert [one for one in bad if "none" not in one] == [], (
            view
        )  # a dot for "not run" says nothing that is not said


def test_the_theme_is_the_systems_until_somebody_chooses(opened: Open, report: Path) -> None:
    seen = opened(report, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    picture = "getComputedStyle(document.querySelector('#case-1 .psh .f-paper')).fill"
    seen.show("case-1")
    dark = seen.page.evaluate(ground), seen.page.evaluate(picture)
    seen.page.click("#theme")
    light = seen.page.evaluate(ground), seen.page.evaluate(picture)
    assert light == ("rgb(245, 246, 249)", "rgb(255, 255, 255)")
    assert all(one != other for one, other in zip(dark, light, strict=True))
    seen.page.reload()
    assert seen.page.evaluate(ground) == light[0]  # it is remembered
    seen.page.click("#theme")
    assert seen.page.evaluate(ground) == dark[0]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_phone_scrolls_downwards_only(opened: Open, report: Path, script: bool) -> None:
    seen = opened(report, width=375, script=script)
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    for view in seen.views if script else [""]:
        if script:
            seen.show(view)
            seen.page.evaluate("document.querySelectorAll('.now details').forEach(d => { d.open = true; })")
            width, room = seen.page.evaluate(wide)
        else:
            box = seen.page.locator("main").bounding_box()
            width, room = box["x"] + box["width"], 375
        assert width <= room == 375, view


# -- without its script


def test_all_of_it_is_there_without_script(opened: Open, report: Path) -> None:
    seen = opened(report, script=False)
    page = seen.page
    articles = page.locator("article")
    assert articles.count() > 18
    text = page.text_content("main")
    for said in (
        "A cascade deadlock across three transactions",
        "So T1's update is lost. ∎",
        "The server saw the ring T1 → T2 → T3 → T1 and ended T3 (40P01)",
        "scan → seek",
        "The December peak",
        "one took 2.31 ms",
        "Since the run before",
    ):
        assert said in text, said
    assert page.locator("#case-1 figure svg").count() == 2
    assert page.locator("#load-1 .plotbox svg path.ln").count() > 10
    assert not page.locator("#filter").is_visible()
    assert not page.locator("#theme").is_visible()
    page.locator("#load-1 figure.chart details summary").first.click()
    assert page.locator("#load-1 figure.chart").first.locator("tbody tr").count() == 40
    assert seen.requests == [seen.url]


# -- on paper


def test_what_is_open_is_what_is_printed(opened: Open, report: Path) -> None:
    seen = opened(report, dark=True)
    page = seen.page
    assert page.pdf()[:5] == b"%PDF-"
    seen.show("case-1")
    assert len(page.pdf()) > 20_000
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".bar").is_visible()
    assert not page.locator("#casebar").is_visible()
    assert page.locator("[data-view]:visible").count() == 1
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#case-1 .psh .f-paper')).fill") == "rgb(255, 255, 255)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300


def test_the_cases_that_are_left_can_be_printed_together(opened: Open, report: Path) -> None:
    page = opened(report).page
    page.select_option("select[data-key=s]", "failed")
    page.evaluate(
        "window.print = () => { window.printed = document.querySelectorAll('article.now.failed figure svg').length; }"
    )
    page.click("#print")
    page.wait_for_function("window.printed")
    assert page.evaluate("window.printed") == 2 * 3
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("[data-view]:visible").get_attribute("id") == "overview"


# -- what came from outside


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_hostile_texts_stay_texts(opened: Open, hostile: Path, script: bool) -> None:
    seen = opened(hostile, script=script)
    page = seen.page
    if script:
        for view in seen.views:
            seen.show(view)
            page.evaluate("document.querySelectorAll('.now details').forEach(d => { d.open = true; })")
        seen.show("load-1")
        page.locator("#load-1 [role=slider]").first.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("[...document.scripts].filter(s => s.type !== 'application/json').length") == 2
        assert "<img src=x" in (page.locator("#load-1 [role=slider]").first.get_attribute("aria-valuetext") or "")
        assert "<img src=x" in page.inner_text("#load-1")
        assert page.locator("main img, main iframe, main script:not([type]) ~ img").count() == 0
    else:
        assert "</script><script>alert(1)</script>" in page.text_content("main")
        assert page.locator("img").count() == 0
    assert seen.troubles == []
    assert seen.requests == [seen.url]


# -- many cases


def test_a_thousand_cases_are_light_enough(opened: Open, large: Path, record_property: Callable[..., None]) -> None:
    """Under 20 MB; under 2 s to the first view here, which is told, not asserted: the machine may be busy."""
    size = large.stat().st_size
    assert size < 20_000_000
    began = time.perf_counter()
    seen = opened(large)
    loaded = time.perf_counter() - began
    page = seen.page
    assert page.locator("article").count() == 1000
    assert page.locator("article:visible").count() == 0
    assert page.locator("article figure").count() == 0  # made when they are opened
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1")
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    for name, value in (("bytes", size), ("painted ms", painted), ("ready ms", ready), ("loaded s", round(loaded, 2))):
        record_property(name, value)
    print(f"{size:,} bytes; painted after {painted:.0f} ms, ready after {ready:.0f} ms, loaded after {loaded:.2f} s")
    seen.show("case-1000")
    assert seen.troubles == []


def test_pictures_of_many_cases_are_unpacked_when_they_are_opened(opened: Open, large: Path) -> None:
    seen = opened(large)
    page = seen.page
    packed = page.evaluate(
        """[...document.querySelectorAll('article')].filter(
            a => a.querySelector('noscript').textContent.includes('data-pack')).map(a => a.id)"""
    )
    assert len(packed) > 100
    seen.show(packed[-1])
    page.wait_for_selector(f"#{packed[-1]} figure svg")
    assert page.locator(f"#{packed[-1]} figure svg").count() == 2
    assert page.locator(f"#{packed[-1]} figure a").count() == 0
    assert seen.troubles == []


def test_without_script_those_pictures_are_linked(opened: Open, large: Path) -> None:
    page = opened(large, script=False).page
    links = page.locator("figure.packed a")
    assert links.count() > 200
    target = links.last.get_attribute("href")
    assert (large.parent / target).is_file()


def test_specifications_are_filtered_where_there_are_no_cases(opened: Open, tmp_path: Path) -> None:
    made = [permutation(f"spec-{n % 3}", n, failing=n == 4) for n in range(9)]
    folder = kept(tmp_path, made)
    (folder / "report.html").write_text(report_html(*read_run(folder, permutations=False)), "utf-8")
    seen = opened(folder / "report.html")
    page = seen.page
    page.select_option("select[data-key=s]", "failed")
    assert page.inner_text("#found") == "1 of 3 specifications"
    assert page.locator(".specs > details:visible .name").all_inner_texts() == ["spec-1"]
    page.locator(".specs > details:visible summary").click()
    page.locator(".specs > details:visible a[href='#case-1']").click()
    page.wait_for_selector("#case-1.now figure svg")
    page.keyboard.press("Escape")
    page.wait_for_selector("#overview.now")
    page.keyboard.press("/")
    page.keyboard.type("spec-2")
    assert page.inner_text("#found") == "0 of 3 specifications"
    assert seen.troubles == []
