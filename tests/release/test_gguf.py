import json
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from astrollama.backends.hf import HFLanguageModel
from astrollama.errors import AstroLlamaError, ModelError, UserInputError
from astrollama.models.load import load_model
from astrollama.release import export as exporting
from astrollama.release import gguf_file, parity_probe
from astrollama.release.export import ExportSettings, export
from astrollama.release.gguf_file import write_gguf
from astrollama.release.gguf_quantisation import QUANTISATIONS, parse_quantisations, storage_type
from astrollama.release.gguf_settings import Origin
from astrollama.release.gguf_tokenizer import Vocabulary, vocabulary
from astrollama.release.parity_llama_cpp import missing, open_llama_cpp
from astrollama.tokens.tokenizer import DocumentTokenizer
from tests.release.small_models import ROPES, make_model, make_tokenizer

SHARED = Path(__file__).parents[3] / "shared"
F16 = ExportSettings("gguf", quantisations=("f16",))
HARD_TEXTS = [
    " begins and ends with a space ",
    "two  spaces,\n\na new\tparagraph and 1234567 digits, 3.14 and H0 = 67.4",
    "Ångström, naïve café, 星系 and 🔭: $M_\\odot$ at z~0.5; it's O'Connell's, we'LL see",
    "<s> </s> <unk> <|endoftext|> are spelt out here",
    "",
]
needs_llama_cpp = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(autouse=True)
def _few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity_probe, "PERPLEXITY_TOKENS", 1500)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {kind: make_tokenizer(kind) for kind in ("gpt-2", "smollm", "llama-bpe", "sentencepiece", "whitespace")}


@pytest.fixture(scope="module")
def model(tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model", tokenizers["smollm"])


def perplexity(model: Path, texts: list[str]) -> float:
    scored = HFLanguageModel(load_model(str(model))).loglikelihood_rolling(texts)
    return float(torch.tensor(sum(text.nll for text in scored) / sum(text.num_tokens for text in scored)).exp())


@pytest.mark.parametrize(
    ("kind", "rope", "tied"),
    [
        ("gpt-2", "linear", True),
        ("smollm", "default", True),
        ("llama-bpe", "llama3", False),
        ("sentencepiece", "default", False),
    ],
)
def test_every_kind_of_tokenizer_and_rotary_embeddings_agrees_and_is_read_back(
    tokenizers: dict[str, PreTrainedTokenizerFast],
    sample_texts: list[str],
    tmp_path: Path,
    kind: str,
    rope: str,
    tied: bool,
) -> None:
    source = make_model(tmp_path / "source", tokenizers[kind], rope, tie_word_embeddings=tied)
    checks = export(str(source), tmp_path / "out", F16)["parity"]["checks"]["out-f16.gguf"]
    assert checks["transformers"]["tokens"] == {"texts": 240, "equal": 240}
    assert checks["transformers"]["greedy"]["prompts"] == 20
    # an untied head is one tensor more than 2 blocks of 9, embeddings and last norm
    assert checks["tensors"]["tensors"] == (20 if tied else 21)
    read_back = load_model(str(tmp_path / "out" / "out-f16.gguf"))
    config = read_back.model.config
    assert {key: config.rope_parameters[key] for key in ROPES[rope]} == pytest.approx(ROPES[rope])
    assert config.tie_word_embeddings == tied
    original = load_model(str(source)).tokenizer
    assert read_back.tokenizer.encode(HARD_TEXTS) == original.encode(HARD_TEXTS)
    assert perplexity(tmp_path / "out" / "out-f16.gguf", sample_texts[:20]) == pytest.approx(
        perplexity(source, sample_texts[:20]), rel=1e-3
    )
    if missing() is None:
        assert checks["llama.cpp"]["tokens"]["equal"] == 240
        assert abs(checks["llama.cpp"]["perplexity"]["ratio"] - 1) < 1e-3
        with open_llama_cpp(tmp_path / "out" / "out-f16.gguf", 64) as engine:
            expected = [[original.bos_id, *tokens] for tokens in original.encode(HARD_TEXTS)]
            assert engine.encode(HARD_TEXTS) == expected


@needs_llama_cpp
def test_llama_cpp_itself_gives_the_same_model(model: Path, tmp_path: Path) -> None:
    checks = export(str(model), tmp_path / "out", F16)["parity"]["checks"]["out-f16.gguf"]["llama.cpp"]
    assert checks["engine"].startswith("llama.cpp")
    assert checks["tokens"] == {"texts": 240, "equal": 240}
    assert 0 < checks["logits"]["rms_share_of_spread"] < checks["logits"]["tolerance"]
    assert checks["against_transformers"]["logits"]["rms_share_of_spread"] < checks["logits"]["tolerance"]
    greedy = checks["greedy"]
    assert greedy["equal"] + len(greedy["differences"]) == greedy["prompts"] == 20
    assert all(part["margin"] <= greedy["greatest_margin_of_a_tie"] for part in greedy["differences"])


def test_quantised_files_are_smaller_and_tell_their_cost(model: Path, tmp_path: Path) -> None:
    manifest = export(str(model), tmp_path / "out", ExportSettings("gguf", quantisations=tuple(QUANTISATIONS)))
    sizes = [manifest["files"][f"out-{name}.gguf"]["bytes"] for name in ("f16", "q8_0", "q4_1", "q4_0")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    checks = manifest["parity"]["checks"]
    errors = [checks[f"out-{name}.gguf"]["tensors"]["greatest_difference"] for name in ("f16", "q8_0", "q4_1")]
    assert 0 < errors[0] < errors[1] < errors[2]
    for name in ("q8_0", "q4_0", "q4_1"):
        ratio = checks[f"out-{name}.gguf"]["transformers"]["perplexity"]
        assert ratio["tolerance"] is None
        assert ratio["ratio_ci95"][0] < ratio["ratio"] < ratio["ratio_ci95"][1]
        if missing() is None:  # which rounds activations, too, but has the same weights as transformers
            figures = checks[f"out-{name}.gguf"]["llama.cpp"]
            same = figures["against_transformers"]["logits"]
            assert same["rms_share_of_spread"] < min(figures["logits"]["rms_share_of_spread"], same["tolerance"])


def test_where_llama_cpp_is_not_installed_the_manifest_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "missing", lambda: "llama-cpp-python cannot be imported (No module)")
    checks = export(str(model), tmp_path / "out", F16)["parity"]["checks"]["out-f16.gguf"]
    assert checks["llama.cpp"]["not_asked"] == "llama-cpp-python cannot be imported (No module)"
    assert "pip install" in checks["llama.cpp"]["fix"]
    assert checks["transformers"]["tokens"]["equal"] == 240
    assert "llama.cpp is not asked" in capsys.readouterr().err


def not_interleaved(name: str, weights: object, config: object) -> object:
    return weights


def as_if_all_heads_were_queries(name: str, weights: object, config: object) -> object:
    from astrollama.release.gguf_tensors import _interleaved

    return _interleaved(weights, 4) if "q_proj" in name or "k_proj" in name else weights  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [not_interleaved, as_if_all_heads_were_queries])
@pytest.mark.parametrize("quantisation", ["f16", "q4_1"])
def test_rows_in_a_wrong_order_are_found_and_nothing_is_left(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: object, quantisation: str
) -> None:
    monkeypatch.setattr(gguf_file, "gguf_rows", rows)
    with pytest.raises(AstroLlamaError, match=r"out-\w+\.gguf .*k_proj.* more than rounding explains") as error:
        export(str(model), tmp_path / "out", ExportSettings("gguf", quantisations=(quantisation,)))
    assert error.value.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_a_changed_token_is_found_and_nothing_is_left(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(tokenizer: DocumentTokenizer, size: int) -> Vocabulary:
        made = vocabulary(tokenizer, size)
        made.tokens[300], made.tokens[301] = made.tokens[301], made.tokens[300]
        return made

    monkeypatch.setattr(gguf_file, "vocabulary", swapped)
    with pytest.raises(AstroLlamaError, match=r"the tokens of \d+ of 240 texts differ"):
        export(str(model), tmp_path / "out", F16)
    assert not (tmp_path / "out").exists()


def test_a_damaged_tensor_is_found_and_nothing_is_left(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = exporting.write_gguf

    def damaged(source: Path, file: Path, *rest: object) -> None:
        written(source, file, *rest)  # type: ignore[arg-type]
        content = bytearray(file.read_bytes())
        content[-1000] ^= 0b01000000  # the last tensor; the highest bit of an exponent, or a norm's
        file.write_bytes(content)

    monkeypatch.setattr(exporting, "write_gguf", damaged)
    with pytest.raises(AstroLlamaError, match="the tensor model"):
        export(str(model), tmp_path / "out", F16)
    assert not (tmp_path / "out").exists()


@needs_llama_cpp
@pytest.mark.parametrize("quantisation", ["f16", "q4_0"])
def test_rotary_scaling_that_is_left_out_is_found_by_llama_cpp(
    tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantisation: str
) -> None:
    source = make_model(tmp_path / "source", tokenizers["gpt-2"], "llama3")
    monkeypatch.setattr(gguf_file, "rope_factors", lambda config: None)
    with pytest.raises(AstroLlamaError, match=r"in llama\.cpp .*its logits are off"):
        export(str(source), tmp_path / "out", ExportSettings("gguf", quantisations=(quantisation,)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("whitespace", {}, r"the tokenizer is none that GGUF files are written with here: BPE \+ Whitespace"),
        ("gpt-2", {"attention_bias": True}, "has biases"),
        ("gpt-2", {"hidden_act": "gelu"}, "activation is gelu"),
    ],
)
def test_what_llama_cpp_has_no_place_for_is_refused(
    tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path, kind: str, settings: dict[str, object], message: str
) -> None:
    source = make_model(tmp_path / "source", tokenizers[kind], **settings)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message):
        export(str(source), tmp_path / "out", F16)
    assert not (tmp_path / "out").exists()


def test_other_rotary_scaling_is_refused(tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path) -> None:
    source = make_model(tmp_path / "source", tokenizers["gpt-2"])
    config = json.loads((source / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"'dynamic' are not handled"):
        export(str(source), tmp_path / "out", F16)


def test_a_file_that_cuts_text_in_an_unknown_way_is_not_read(
    tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    source = make_model(tmp_path / "source", tokenizers["gpt-2"])
    export(str(source), tmp_path / "out", F16)
    (file,) = (tmp_path / "out").glob("*.gguf")
    file.write_bytes(file.read_bytes().replace(b"gpt-2", b"gpt-x", 1))
    with pytest.raises(ModelError, match="cuts text in the way 'gpt-x'"):
        load_model(str(file))


def test_a_larger_vocabulary_than_the_tokenizers_is_filled_up(
    tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    source = make_model(tmp_path / "source", tokenizers["gpt-2"], vocab_size=640)
    checks = export(str(source), tmp_path / "out", F16)["parity"]["checks"]["out-f16.gguf"]
    assert checks["transformers"]["tokens"]["equal"] == 240


def test_rows_that_no_block_fits_are_kept_in_half_precision(
    tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    source = make_model(tmp_path / "source", tokenizers["gpt-2"], intermediate_size=80)
    checks = export(str(source), tmp_path / "out", ExportSettings("gguf", quantisations=("q8_0",)))["parity"]["checks"]
    assert checks["out-q8_0.gguf"]["transformers"]["perplexity"]["ratio"] == pytest.approx(1, abs=0.01)
    chosen = QUANTISATIONS["q4_0"]
    assert storage_type(chosen, "blk.0.ffn_down.weight", (64, 80)) == "F16"
    assert storage_type(chosen, "blk.0.ffn_up.weight", (80, 64)) == "Q4_0"
    assert storage_type(chosen, "token_embd.weight", (600, 64)) == "Q8_0"
    assert storage_type(chosen, "output_norm.weight", (64,)) == "F32"


def test_quantisations_are_named_in_a_list() -> None:
    assert parse_quantisations("F16, q8_0,f16") == ("f16", "q8_0")
    for text, message in (("f16,q5_k", "'q5_k'"), (",", "names nothing")):
        with pytest.raises(UserInputError, match=message):
            parse_quantisations(text)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with the LLaMA-2 tokenizer beside the checkout")
def test_the_genuine_llama_2_tokenizer_has_the_scores_order_of_its_sentencepiece_model(tmp_path: Path) -> None:
    folder = SHARED / "tokenizer" / "llama2"
    made = vocabulary(DocumentTokenizer.of(llama_2_tokenizer(), "llama2"), 32_000)
    pieces = sentencepiece_pieces((folder / "tokenizer.model").read_bytes())
    assert (made.model, made.space_prefix) == ("llama", True)
    assert made.tokens == [piece for piece, _, _ in pieces]
    assert made.types == [kind for _, _, kind in pieces]
    # the scores' order decides which merge comes first; what no merge makes has no place in it
    merged = {merge[0] + merge[1] for merge in json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]}
    ours = {piece: score for piece, score in zip(made.tokens, made.scores, strict=True) if piece in merged}
    theirs = {piece: score for piece, score, _ in pieces if piece in merged}
    assert len(ours) > 29_000
    assert sorted(ours, key=lambda piece: -ours[piece]) == sorted(theirs, key=lambda piece: -theirs[piece])


@needs_llama_cpp
@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder 'shared' with the LLaMA-2 tokenizer beside the checkout")
def test_the_genuine_llama_2_tokenizer_agrees_in_llama_cpp(tmp_path: Path, sample_texts: list[str]) -> None:
    source = make_model(tmp_path / "source", llama_2_tokenizer(), tie_word_embeddings=True)
    loaded = load_model(str(source))
    origin = Origin("llama-2", loaded.digest, "", "")
    config, tokenizer = loaded.model.config, loaded.tokenizer
    write_gguf(source, tmp_path / "out.gguf", QUANTISATIONS["f16"], config, tokenizer, origin)
    texts = [*sample_texts, *HARD_TEXTS]
    with open_llama_cpp(tmp_path / "out.gguf", 64) as engine:
        assert engine.encode(texts) == [[1, *tokens] for tokens in tokenizer.encode(texts)]


def llama_2_tokenizer() -> PreTrainedTokenizerFast:
    file = SHARED / "tokenizer" / "llama2" / "tokenizer.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(file), bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def sentencepiece_pieces(model: bytes) -> list[tuple[str, float, int]]:
    """The text, score and type of each piece of a SentencePiece model, which is a protocol buffer."""
    import struct

    def number(data: bytes, at: int) -> tuple[int, int]:
        value, shift = 0, 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                return value, at

    def fields(data: bytes) -> list[tuple[int, bytes]]:
        found, at = [], 0
        while at < len(data):
            key, at = number(data, at)
            if key & 7 == 0:
                value, at = number(data, at)
                found.append((key >> 3, value.to_bytes(8, "little")))
                continue
            length, at = number(data, at) if key & 7 == 2 else (4, at)
            found.append((key >> 3, data[at : at + length]))
            at += length
        return found

    pieces = []
    for _, piece in (field for field in fields(model) if field[0] == 1):
        values = dict(fields(piece))
        kind = int.from_bytes(values.get(3, b"\x01"), "little")
        pieces.append((values[1].decode(), struct.unpack("<f", values[2])[0], kind))
    return pieces
