from pathlib import Path

import pytest

from astrollama.models.load import load_tokenizer
from astrollama.sections import Budget, TrainSection
from astrollama.tokens.mixture import Mixture, Row
from astrollama.tokens.packing import Packer
from astrollama.tokens.shards import TokenShards, pack_corpus
from astrollama.training.schedule import Position, Schedule, learning_rate

SETTINGS = TrainSection(peak_lr=1.0, warmup_fraction=0.1, min_lr_ratio=0.1)


@pytest.fixture(scope="module")
def packer(sample_corpus: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Packer:
    out = tmp_path_factory.mktemp("packed") / "tokens"
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", out)
    return Packer(TokenShards.open(out), 512, "document", seed=0)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.01), (0.05, 0.505), (0.1, 1.0), (0.55, 0.55), (1.0, 0.1)], ids=str
)
def test_the_rate_rises_linearly_and_falls_as_a_cosine(progress: float, expected: float) -> None:
    assert learning_rate(progress, SETTINGS) == pytest.approx(expected)


def test_without_warmup_the_first_step_has_the_peak() -> None:
    assert learning_rate(0.0, SETTINGS.model_copy(update={"warmup_fraction": 0.0})) == 1.0


@pytest.mark.parametrize("epochs", [1.0, 2.5, 0.3])
def test_a_budget_in_epochs_takes_each_sequence_as_often_as_it_says(packer: Packer, epochs: float) -> None:
    schedule = Schedule(Mixture(packer), Budget(epochs, "epochs"), sequences_a_step=7)
    position, taken = Position(), []
    while schedule.progress(position) < 1.0:
        taken += schedule.next_rows(position)
    sequences = [packer.sequences(epoch) for epoch in range(3)]
    whole = int(epochs)
    expected = [row for epoch in range(whole) for row in sequences[epoch]]
    expected += sequences[whole][: round((epochs - whole) * len(sequences[whole]))]
    assert taken == [Row(False, row) for row in expected]


def test_a_saved_position_goes_on_with_the_very_next_sequence(packer: Packer) -> None:
    straight = Schedule(Mixture(packer), Budget(1e9, "tokens"), sequences_a_step=5)
    position = Position()
    steps = [straight.next_rows(position) for _ in range(40)]
    assert position.epoch >= 1, "the steps must reach the second epoch"

    position = Position()
    resumed = Schedule(Mixture(packer), Budget(1e9, "tokens"), sequences_a_step=5)
    first = [resumed.next_rows(position) for _ in range(23)]
    fresh = Schedule(Mixture(packer), Budget(1e9, "tokens"), sequences_a_step=5)
    assert first + [fresh.next_rows(position) for _ in range(17)] == steps


def test_progress_counts_what_the_budget_counts(packer: Packer) -> None:
    position = Position(num_tokens=500, num_sequences=3, seconds=30.0)
    assert Schedule(Mixture(packer), Budget(1000, "tokens"), 1).progress(position) == 0.5
    assert Schedule(Mixture(packer), Budget(1, "minutes"), 1).progress(position) == 0.5


def test_a_line_falls_from_the_warm_up_to_the_floor() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "linear"})
    assert [learning_rate(share, settings) for share in (0.1, 0.55, 1.0)] == pytest.approx([1.0, 0.55, 0.1])


def test_warm_up_stable_decay_keeps_the_peak_until_the_decay() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "wsd", "decay_fraction": 0.2})
    assert [learning_rate(share, settings) for share in (0.1, 0.5, 0.8)] == pytest.approx([1.0, 1.0, 1.0])
    assert [learning_rate(share, settings) for share in (0.9, 1.0)] == pytest.approx([0.55, 0.1])


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_general_text_has_its_share_of_the_tokens_at_any_time(packer: Packer, share: float) -> None:
    mixture = Mixture(packer, Packer(packer.shards, 512, "document", seed=7), share)
    schedule = Schedule(mixture, Budget(60_000, "tokens"), sequences_a_step=1)
    position = Position()
    replayed = []
    while schedule.progress(position) < 1.0:
        replayed += [row.pieces for row in schedule.next_rows(position) if row.is_replay]
        assert abs(position.num_replay_tokens - share * position.num_tokens) <= 512
    # its sequences come in their own order, each once an epoch
    assert mixture.replay is not None
    sequences = [row for epoch in range(position.replay_epoch + 1) for row in mixture.replay.sequences(epoch)]
    assert replayed == sequences[: len(replayed)]


def test_an_epoch_counts_the_corpus_alone(packer: Packer) -> None:
    mixture = Mixture(packer, packer, 0.5)
    schedule = Schedule(mixture, Budget(1, "epochs"), sequences_a_step=4)
    position, taken = Position(), []
    while schedule.progress(position) < 1.0:
        taken += [row.pieces for row in schedule.next_rows(position) if not row.is_replay]
    assert taken == packer.sequences(0)
    assert position.num_replay_tokens > 0.4 * position.num_tokens


def test_a_mixture_goes_on_where_it_was(packer: Packer) -> None:
    from dataclasses import asdict

    def schedule() -> Schedule:
        return Schedule(Mixture(packer, packer, 0.4), Budget(1e9, "tokens"), sequences_a_step=3)

    straight, position = schedule(), Position()
    steps = [straight.next_rows(position) for _ in range(30)]
    first, position = schedule(), Position()
    before = [first.next_rows(position) for _ in range(11)]
    again = Position(**asdict(position))
    assert before + [schedule().next_rows(again) for _ in range(1)] == steps[:12]
