"""The card of a corpus: `README.md` in the form of a Hugging Face dataset card, and its pictures.

Every figure in it is computed from the files beside it. The text has no time stamp, so that the same corpus gives the
same card.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.corpus.measures import Measures, TokenCounter, measure
from astrollama.corpus.plots import draw_plots
from astrollama.corpus.skews import PATTERNS, find_skews
from astrollama.files import write_text
from astrollama.records import UNKNOWN
from astrollama.sections import CardSection

if TYPE_CHECKING:
    from jinja2 import Environment

CARD = "README.md"
MAX_LISTED = 20  # input files and licences

_REASONS = {
    "no_abstract": "no text",
    "withdrawn": "the text says that the paper was withdrawn or retracted",
    "too_short": "fewer words than `min_words`",
    "not_prose": "a smaller share of letters than `min_prose_ratio`",
    "no_date": "nothing tells the month, which a split by date needs",
    "outside_months": "submitted before `from_month` or after `until_month`",
    "duplicate_id": "another version of a paper that is there",
    "exact_duplicate": "the words of another text",
    "near_duplicate": "similar to another text, by `near_duplicate_threshold` at least",
    "broken_json": "a line that is no JSON",
    "not_utf8": "bytes that are no UTF-8",
    "not_text": "bytes that are no text",
    "malformed_record": "a field of the wrong type",
    "not_a_record": "something else than a record",
    "contaminated": "text in common with a benchmark, or with a held-out paper by `held_out_overlap` at least",
    "too_long": "a line too long to be a record",
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_SPECIAL = re.compile(r"([\\`*\[\]|#~$]|(?<![^\W_])_|_(?![^\W_]))")
_NO_CODE = re.compile(r"[`|]")


def write_card(
    folder: Path, facts: Mapping[str, Any], card: CardSection, count_tokens: TokenCounter | None
) -> list[str]:
    """Write the card of the corpus in `folder`, whose Parquet files are there already, and its pictures.

    Args:
        facts: of the coming manifest: `counts`, `split`, `identity`, `decontamination`, `files`, `command`, `versions`.
        card: what the data do not say.
        count_tokens: None leaves lengths in tokens out.

    Returns:
        The names of the files, relative to `folder`.

    Raises:
        RunError: a Parquet file is missing or damaged.
    """
    measures = measure(folder, PATTERNS, count_tokens)
    pictures = draw_plots(measures, folder)
    write_text(folder / CARD, render_card(measures, facts, card, pictures, count_tokens.name if count_tokens else ""))
    return [CARD, *pictures]


def render_card(
    measures: Measures, facts: Mapping[str, Any], card: CardSection, pictures: list[str], tokenizer: str
) -> str:
    """The card's text; `tokenizer` names the model whose tokens `measures` counts, "" where it counts none."""
    body = (
        _environment()
        .get_template("card.md.j2")
        .render(
            card=card,
            facts=facts,
            measures=measures,
            splits=[_summary(measures, split) for split in measures.splits],
            total=_summary(measures, None),
            skews=find_skews(measures),
            licences=sorted(measures.licences.items(), key=lambda pair: (-pair[1], pair[0])),
            pictures=pictures,
            tokenizer=tokenizer,
            reasons=_REASONS,
            max_listed=MAX_LISTED,
            settings=_flat(facts["identity"]["settings"]),
            source=_flat(facts["identity"].get("source", {})),
            command=shlex.join(facts["command"]),
        )
    )
    return f"---\n{_front_matter(measures, card)}\n---\n\n{body}"


def _front_matter(measures: Measures, card: CardSection) -> str:
    """The YAML that the hub and `datasets.load_dataset` read; `rejected.parquet` is no split."""
    from huggingface_hub import DatasetCardData

    known = [name for name in measures.primaries if name != UNKNOWN]
    tasks = {
        "text-generation": True,
        "text-retrieval": measures.num_untitled < len(measures),  # a title asks for its text
        "text-classification": len(known) > 1,
    }
    files = [{"split": split, "path": f"{split}.parquet"} for split in measures.filled_splits()]
    data = DatasetCardData(
        language=[card.language],
        license=card.licence,
        pretty_name=" ".join(card.title.split()),
        size_categories=[_size_category(len(measures))],
        task_categories=[task for task, makes_sense in tasks.items() if makes_sense],
        task_ids=["language-modeling"],
        annotations_creators=["found" if known else "no-annotation"],
        language_creators=["found"],
        source_datasets=["original"],
        tags=list(card.tags) or None,
        configs=[{"config_name": "default", "data_files": files}],
    )
    return data.to_yaml(line_break="\n").strip()


def _size_category(count: int) -> str:
    return next((name for limit, name in _SIZES if count < limit), "10M<n<100M")


def _summary(measures: Measures, split: str | None) -> dict[str, Any]:
    """Papers, words, tokens, medians and dates of a split, or of the whole corpus where `split` is None."""
    import numpy as np

    members_N = np.ones(len(measures), bool) if split is None else measures.in_split(split)
    spans = [span for name, span in measures.dates.items() if split in (None, name)]
    summary: dict[str, Any] = {
        "name": split or "all",
        "papers": int(members_N.sum()),
        "first": min((first for first, _ in spans), default=""),
        "last": max((last for _, last in spans), default=""),
    }
    for name, lengths_N in (("words", measures.words_N), ("tokens", measures.tokens_N)):
        if lengths_N is not None:
            own = lengths_N[members_N]
            summary[name] = int(own.sum(dtype=np.int64))
            summary[f"median_{name}"] = float(np.median(own)) if len(own) else None
    return summary


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings by dotted name, as JSON; those that are None were not given."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return flat


def markdown_environment(package: str) -> Environment:
    """The Markdown templates of a package: every value is escaped, except what a filter has made."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(package),
        finalize=lambda value: value if isinstance(value, Markup) else escape(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = lambda value: f"{value:,.0f}"
    return environment


def _environment() -> Environment:
    from markupsafe import Markup

    environment = markdown_environment("astrollama.corpus")
    environment.filters |= {
        "code": lambda value: Markup(_code(str(value))),
        "fenced": lambda value: Markup(fenced(str(value))),
        "paragraphs": lambda value: Markup("\n\n".join(map(escape, re.split(r"\n\s*\n", str(value).strip())))),
        "explained": lambda value: Markup(value),
    }
    return environment


def escape(text: str) -> str:
    """Text as Markdown must get it to show it as it is, on one line: no markup, table cell, mathematics or HTML in it."""
    marked = _SPECIAL.sub(r"\\\1", _one_line(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    """A code span; text that would end it, or its table cell, is escaped instead."""
    line = _one_line(text)
    return f"`{line}`" if line and not _NO_CODE.search(line) else escape(line)


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"
