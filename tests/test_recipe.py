from __future__ import annotations

import re
from pathlib import Path

import pytest

from astrollama.errors import RecipeError
from astrollama.recipe import Recipe, all_keys, builtin_recipes, load_recipe
from astrollama.sections import Budget, budget_in_words


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def load(tmp_path: Path, text: str, *settings: str) -> Recipe:
    return load_recipe(write(tmp_path / "mine.toml", text), settings)


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_every_builtin_recipe_loads_and_bears_its_name(name: str) -> None:
    assert load_recipe(name).name == name.rpartition("/")[2]


def test_the_builtin_recipes_are_there() -> None:
    assert {"demo", "smollm2-135m-cpu", "smollm2-135m-lora"} <= set(builtin_recipes())


def test_every_key_tells_what_it_is_for() -> None:
    schema = Recipe.model_json_schema()
    sections = {"recipe": schema, **schema["$defs"]}
    keys = [(title, key, value) for title, section in sections.items() for key, value in section["properties"].items()]
    assert len(keys) == len(all_keys())
    assert [
        f"{title}: {key}" for title, key, value in keys if "$ref" not in value and not value.get("description")
    ] == []


def test_an_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Recipe()


def test_a_recipe_extends_a_file_beside_it_which_extends_a_builtin_one(tmp_path: Path) -> None:
    write(
        tmp_path / "below.toml",
        'extends = "smollm2-135m-lora"\n[train]\nseed = 5\nbeta1 = 0.8\n[pack]\nsequence_length = 256',
    )
    recipe = load(tmp_path, 'extends = "below.toml"\nname = "mine"\n[train]\nseed = 6')
    assert (recipe.name, recipe.train.seed, recipe.train.beta1, recipe.pack.sequence_length) == ("mine", 6, 0.8, 256)
    assert (recipe.train.method, recipe.train.peak_lr) == ("lora", 1e-3)  # the builtin one's


@pytest.mark.parametrize("others", [["mine"], ["a", "mine"], ["a", "b", "a"]])
def test_recipes_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path, others: list[str]) -> None:
    names = ["mine", *others]
    for name, parent in zip(names, others, strict=False):
        write(tmp_path / f"{name}.toml", f'extends = "{parent}.toml"')
    with pytest.raises(RecipeError, match=rf"{others[-1]}\.toml extends itself: break the circle"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_settings_win_over_the_file_and_the_last_one_over_those_before(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        "[train]\nseed = 1",
        "train.seed=2",
        "train.seed = 3",
        "train.peak_lr=1",
        "train.budget=3 epochs",
        'model.base="a/b"',
        "name=night run",
        'lora.targets=["q_proj"]',
    )
    assert (recipe.train.seed, recipe.train.peak_lr, recipe.train.budget) == (3, 1.0, "3 epochs")
    assert (recipe.model.base, recipe.name, recipe.lora.targets) == ("a/b", "night run", ("q_proj",))


@pytest.mark.parametrize("setting", ["train.seed", "=1", ".seed=1", "train.=1", ""])
def test_a_setting_that_is_none_is_refused_with_an_example(tmp_path: Path, setting: str) -> None:
    with pytest.raises(RecipeError, match=r"is no setting: write --set section\.key=value, for example --set train\."):
        load(tmp_path, "", setting)


def test_a_setting_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="base is a value, not a section"):
        load(tmp_path, '[model]\nbase = "x"', "model.base.x=1")


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("[trian]\nseed = 1", "trian", "train"),
        ("nam = 'x'", "nam", "name"),
        ("[train]\npeak_ir = 1e-4", "train.peak_ir", "train.peak_lr"),
        ("[corpus]\nmin_word = 3", "corpus.min_word", "corpus.min_words"),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(
    tmp_path: Path, text: str, key: str, suggestion: str
) -> None:
    with pytest.raises(RecipeError, match=rf"mine\.toml: unknown key {key}: did you mean {suggestion}\?"):
        load(tmp_path, text)


def test_an_unknown_key_like_no_other_gets_no_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown key xyzzy: see docs/reference/recipe\.md"):
        load(tmp_path, "xyzzy = 1")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("corpus.min_words='30'", "corpus.min_words = '30'"),  # a text for a number
        ("corpus.min_words=30.5", "corpus.min_words = 30.5"),
        ("corpus.min_words=true", "corpus.min_words = True"),
        ("corpus.min_words=0", "corpus.min_words = 0"),
        ("corpus.test_fraction=0", "corpus.test_fraction = 0"),
        ("corpus.test_fraction=1", "corpus.test_fraction = 1"),
        ("corpus.test_fraction=nan", "corpus.test_fraction = nan"),
        ("corpus.split=by_date", "corpus.split = 'by_date'"),
        ("corpus.near_duplicate_threshold=1.1", "corpus.near_duplicate_threshold = 1.1"),
        ("train.peak_lr=inf", "train.peak_lr = inf"),
        ("train.peak_lr=-1e-4", "train.peak_lr = -0.0001"),
        ("train.warmup_fraction=1.0", "train.warmup_fraction = 1.0"),
        ("train.beta2=1.0", "train.beta2 = 1.0"),
        ("train.method=dora", "train.method = 'dora'"),
        ("train.seed=-1", "train.seed = -1"),
        ("train.budget=soon", "train.budget = 'soon'"),
        ("pack.sequence_length=8", "pack.sequence_length = 8"),
        ("lora.targets=[]", "lora.targets = "),
        ("lora.targets=q_proj", "lora.targets = 'q_proj'"),
        ("lora.rank=0", "lora.rank = 0"),
        ("name=2024", "name = 2024"),
        ("name=''", "name = ''"),
        ("model=smollm2-135m", "model = 'smollm2-135m'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_key_itself_and_what_could_be(
    tmp_path: Path, setting: str, told: str
) -> None:
    with pytest.raises(
        RecipeError,
        match=rf"mine\.toml: {re.escape(told)}.* cannot be used: (input|string|tuple|'q_proj' is one text|'soon')",
    ):
        load(tmp_path, "", setting)


def test_a_refused_value_comes_with_its_bounds_and_the_default(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="greater than or equal to 1; the default is 20"):
        load(tmp_path, "[corpus]\nmin_words = 0")


@pytest.mark.parametrize(
    ("total", "nearest"), [(1000, 1024), (100, 512), (512 * 7 + 1, 512 * 7), (512 * 7 - 1, 512 * 7)]
)
def test_a_batch_that_is_no_multiple_of_the_sequences_names_the_nearest_that_is(
    tmp_path: Path, total: int, nearest: int
) -> None:
    with pytest.raises(
        RecipeError, match=rf"global_batch_tokens = {total} is no multiple of .* = 512: set .* = {nearest}$"
    ):
        load(tmp_path, "", f"train.global_batch_tokens={total}")
    assert load(tmp_path, "", f"train.global_batch_tokens={nearest}").train.global_batch_tokens == nearest


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("100_000 tokens", 100_000, "tokens"),
        ("100,000 tokens", 100_000, "tokens"),
        ("1 epoch", 1, "epochs"),
        ("1.5 epochs", 1.5, "epochs"),
        (" 5minutes ", 5, "minutes"),
        ("0.5 minute", 0.5, "minutes"),
        ("30 seconds", 0.5, "minutes"),
        ("1 second", 1 / 60, "minutes"),
        ("1.5 hours", 90, "minutes"),
    ],
)
def test_a_budget_is_read(text: str, amount: float, unit: str) -> None:
    budget = Budget.parse(text)
    assert (budget.amount, budget.unit) == (amount, unit)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 epochs", "1 epoch"),
        ("1.0 minutes", "1 minute"),
        ("1.5 epoch", "1.5 epochs"),
        ("30 seconds", "30 seconds"),
        ("1_000_000tokens", "1,000,000 tokens"),
    ],
)
def test_a_budget_is_told_as_it_was_written(text: str, told: str) -> None:
    assert budget_in_words(text) == told


def test_embeddings_are_updated_in_an_encoder_alone() -> None:
    settings = ['lora.targets=["q_proj", "embed_tokens"]', 'train.method="lora"']
    with pytest.raises(RecipeError, match=r"lora\.targets has 'embed_tokens', .*: leave it out, or train an encoder"):
        load_recipe("demo", settings)
    encoder = load_recipe("demo", [*settings, 'train.objective="contrastive"'])
    assert encoder.lora.targets == ("q_proj", "embed_tokens")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no budget: write for example '100_000 tokens', '3 epochs', '5 minutes' or '30 seconds'"),
        ("5", "is no budget"),
        ("5 days", "is no budget"),
        ("minutes", "is no budget"),
        ("-5 minutes", "is no budget"),
        ("1.2.3 epochs", "is no budget"),
        ("inf minutes", "is no budget"),
        ("0 tokens", "leaves nothing to do: give a positive amount"),
        ("0.0 epochs", "leaves nothing to do"),
        ("0.1 tokens", "leaves nothing to do"),
        ("1" + "0" * 400 + " minutes", "leaves nothing to do"),
    ],
)
def test_what_is_no_budget_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{text!r} {message}"):
        Budget.parse(text)


@pytest.mark.parametrize("name", list(builtin_recipes()))
def test_a_recipe_written_out_is_the_same_recipe(tmp_path: Path, name: str) -> None:
    odd = ['name="a \\"name\\"\\n= [é]"', 'lora.targets=["q_proj", "v_proj"]', "train.epsilon=1e-12"]
    recipe = load_recipe(name, odd)
    assert load(tmp_path, recipe.to_toml()) == recipe


def test_a_recipe_that_is_nowhere_is_refused_with_the_known_names(tmp_path: Path) -> None:
    for source in ("dmeo", str(tmp_path / "none.toml")):
        with pytest.raises(RecipeError, match=r"there is no recipe .*(dmeo|none).*: give a TOML file or one of .*demo"):
            load_recipe(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[train\nseed = 1", r"mine\.toml is not valid TOML \(.*line 1.*\): mend that line"),
        (b"seed = 1\nseed = 2", r"mine\.toml is not valid TOML"),
        (b"name = 'caf\xe9'", r"mine\.toml cannot be read .*: give a TOML file in UTF-8"),
        (b"extends = ['a', 'b']", r"mine\.toml: extends = \['a', 'b'\] is not a text: name one recipe"),
        (b"extends = 'nothing.toml'", r"there is no recipe nothing\.toml"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(RecipeError, match=r"mine\.toml cannot be read"):
        load_recipe(str(tmp_path / "mine.toml"))
