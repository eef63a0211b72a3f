"""The page stands alone, shows every number of the JSON, and turns no text into markup."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from astrollama.evaluation.report import REPORT_HTML, REPORT_JSON, render_html, write_report
from astrollama.evaluation.report.schema import Report
from astrollama.evaluation.report.words import difference_text, interval_text, value_text
from tests.evaluation.report.fakes import HOSTILE, METRICS, PAPER, fake_report

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Text, elements and their attributes; elements that are not closed in order are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report(quick={"note": "intervals are twice as wide"}, kind="reproduce", paper=PAPER)


@pytest.fixture(scope="module")
def folder(report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    names = write_report(report, METRICS, folder)
    assert sorted(names) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / REPORT_HTML).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_json_is_the_report(report: dict[str, Any], folder: Path) -> None:
    text = (folder / REPORT_JSON).read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(report))
    Report.model_validate_json(text)


def test_every_figure_is_a_file_twice_and_in_the_page(report: dict[str, Any], folder: Path, html: str) -> None:
    figures = [f"{name}-{own['name']}" for name, task in report["tasks"].items() for own in task["figures"]]
    figures.append("training-loss")
    assert html.count("<svg") == len(figures)
    assert sorted(path.name for path in (folder / "plots").iterdir()) == sorted(
        f"{name}.{suffix}" for name in figures for suffix in ("svg", "png")
    )
    assert (folder / "plots" / "perplexity-perplexity.png").read_bytes().startswith(b"\x89PNG")


def test_every_number_is_shown(report: dict[str, Any], page: Page) -> None:
    shown = 0
    for task in report["tasks"].values():
        for system in task["systems"].values():
            for name, own in system["metrics"].items():
                style = task["infos"][name]["style"]
                assert value_text(own["value"], style) in page.text
                assert interval_text(own["ci95"], style) in page.text
                shown += 1
        for own in task["comparisons"]:
            assert difference_text(own, task["infos"][own["metric"]]) in page.text
        for info in task["infos"].values():
            assert info["label"] in page.text
            assert info["about"] in page.text
        for note in task["notes"]:
            assert note in page.text
        for table in task["tables"]:
            assert table["title"] in page.text
            assert all(isinstance(cell, str) is False or cell in page.text for row in table["rows"] for cell in row)
    assert shown > 20
    for system in report["systems"]:
        assert system["label"] in page.text
        assert (system["digest"] or system["identity"]) in page.text
    for expected in ("21.87", "31.12", "200 documents", "45 min 2 s", "2 min 11 s", 'budget = "45 minutes"', "e" * 64):
        assert expected in page.text, expected


def test_a_category_is_not_broken_at_its_hyphen(report: dict[str, Any]) -> None:
    rows = [["astro-ph.CO", 0.5], ["a name of several words", 0.25]]
    table = {"name": "t", "title": "T", "columns": ["category", "F1"], "rows": rows, "note": "95 % intervals"}
    own = report["tasks"]["categorisation"] | {"tables": [table]}
    page = render_html(report | {"tasks": report["tasks"] | {"categorisation": own}}, [])
    assert '<th scope="row" class="whole">astro-ph.CO</th>' in page
    assert '<th scope="row">a name of several words</th>' in page
    assert "95\u00a0% intervals" in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_what_is_wide_scrolls_within_a_narrow_page(html: str, tmp_path: Path) -> None:
    script = "document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`"
    (tmp_path / "page.html").write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=420,900", f"file://{tmp_path / 'page.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (title,) = re.findall("<title>(.*?)</title>", done.stdout)
    needed, there = map(int, title.split(" of "))
    assert needed <= there


def test_a_copy_elsewhere_names_no_path(html: str) -> None:
    assert "plots/" not in html
    assert "perplexity-perplexity.svg, .png" in html
    assert "the evaluation's folder <code>plots</code>" in html


def test_a_name_stands_for_a_role_of_the_same_name(page: Page) -> None:
    assert "adapted, adapted" not in page.text
    assert "base, base" not in page.text
    assert "bm25, baseline" in page.text


def test_what_is_seen_and_recalled_is_explained(page: Page) -> None:
    assert "“recalled” is believed and was not read again" in page.text


def test_nothing_comes_from_elsewhere(html: str, page: Page) -> None:
    assert not page.all("script", "link", "iframe", "img", "object", "embed", "image")
    for _, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action"):
                assert (value or "").startswith("#"), value
            elif not name.startswith("xmlns"):
                assert "://" not in (value or ""), (name, value)
    assert not re.search(r"url\((?!#)|@import", html)


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(html: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in page.all("a")]
    assert len(links) > 8
    assert {str(link)[1:] for link in links} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_text_of_papers_models_and_files_cannot_become_markup(html: str, page: Page) -> None:
    assert "<script" not in html
    assert page.text.count(HOSTILE) >= 4
    assert "what the authors wrote" in page.text
    assert "(nothing)" in page.text


def test_a_text_that_is_also_a_system_s_key_stays_as_it_is(report: dict[str, Any]) -> None:
    """A paper in the category `base` is not from the base."""
    label = next(system["label"] for system in report["systems"] if system["key"] == "base")

    def cells_of(columns: list[str], rows: list[list[str]]) -> list[str]:
        table = {"name": "t", "title": "The table", "columns": columns, "rows": rows, "note": ""}
        task = report["tasks"]["calibration"] | {"tables": [table]}
        html = render_html(fake_report(tasks={"calibration": task}, paper=None), [])
        return re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", html.split("<b>The table</b>")[1].split("</table>")[0])

    assert cells_of(["system", "against", "base"], [["base", "base", "base"]]) == [
        *("system", "against", "base"),
        *(label, label, "base"),
    ]
    assert cells_of(["category", "base"], [["base", "base"]]) == ["category", label, "base", "base"]


def test_verdicts_are_told_in_words_and_by_a_class(html: str, page: Page) -> None:
    def cell_of(task: str) -> str:
        body = html.split(f'<a href="#{task}">')[1]
        return body.split("<td", 2)[1]

    assert 'class="better"' in cell_of("perplexity")
    assert "▲ better" in cell_of("perplexity")
    assert 'class="worse"' in cell_of("retrieval")
    assert "▼ worse" in cell_of("retrieval")
    assert 'class="undecided"' in cell_of("completion")
    assert "no difference shown" in cell_of("completion")
    assert 'class="neutral"' in cell_of("embeddings")
    assert "higher, neither good nor bad" in cell_of("embeddings")
    assert "too few samples to compare" in cell_of("calibration")
    assert "about 0.3 would show a difference by chance alone" in page.text
    assert "better in 1 task, worse in 2 tasks" in page.text


def test_what_is_missing_says_why(html: str, page: Page) -> None:
    assert page.text.count("not there: the environment has no OPENAI_API_KEY") == 1
    assert html.count('<td class="absent">') == len(
        re.findall(r'<tr(?: class="more")?><th scope="row"><(?:a|span)', html)
    )
    assert "MiniLM cannot tell how likely a text is" in page.text
    assert "left out: no file of general text was given with --general" in page.text
    assert "no finite number" in page.text


def test_the_page_can_be_read_without_eyes(page: Page) -> None:
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption")) + sum("aria-label" in own for own in page.all("table"))
    assert all(attributes.get("aria-label") and attributes.get("role") == "img" for attributes in page.all("svg"))
    assert page.all("html") == [{"lang": "en"}]


def test_the_papers_figures_are_marked(page: Page) -> None:
    assert "The paper's figures beside ours" in page.text
    assert "about 9.7 (recalled)" in page.text
    assert "it was not measured here" in page.text
    assert "Quick: intervals are twice as wide" in page.text


def test_a_leak_stands_above_everything(report: dict[str, Any], html: str) -> None:
    assert 'class="leak"' not in html
    leak = {"num_documents": 3, "text": "3 documents were trained on <b>"}
    leaking = render_html(report | {"leak": leak, "tasks": {}}, [])
    body = leaking[leaking.index("<body>") :]
    assert body.index("3 documents were trained on &lt;b&gt;") < body.index("<h1>")


def test_the_least_there_can_be() -> None:
    """A model that is no run, against nothing, in no task."""
    report = fake_report(
        tasks={},
        tasks_left_out={"perplexity": "no documents"},
        systems=fake_report()["systems"][:1],
        perplexity=None,
        completions=[],
        train=None,
        recipe=None,
        num_tokens=None,
    )
    Report.model_validate(report)
    page = Page(render_html(report, []))
    assert "compared with nothing" in page.text
    assert "left out: no documents" in page.text
    assert "Training" not in page.text
    assert "Recipe" not in page.text
    assert not page.all("svg")


def test_perplexities_over_different_tokens_are_not_compared() -> None:
    report = fake_report(tasks={})
    report["perplexity"] |= {"relative_reduction": None, "relative_reduction_ci95": None, "base": None}
    Report.model_validate(report)
    page = Page(render_html(report, []))
    assert "perplexities over different tokens, which cannot be compared" in page.text
    assert "— → 21.87" in page.text


def test_a_later_report_leaves_no_older_picture(report: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "older.svg").write_text("<svg/>")
    names = write_report(report | {"tasks": {}}, [], tmp_path)
    assert names == [REPORT_JSON, REPORT_HTML]
    assert list((tmp_path / "plots").iterdir()) == []


def test_a_report_that_cannot_be_drawn_leaves_nothing_half_done(report: dict[str, Any], tmp_path: Path) -> None:
    figure = report["tasks"]["calibration"]["figures"][0] | {"kind": "unheard of"}
    broken = report | {"tasks": {"calibration": report["tasks"]["calibration"] | {"figures": [figure]}}}
    with pytest.raises(KeyError):
        write_report(broken, [], tmp_path)
    assert not (tmp_path / REPORT_HTML).exists()
    assert not list(tmp_path.glob(".partial*"))
