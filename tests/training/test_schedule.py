from pathlib import Path

import pytest

from astrollama.models.load import load_tokenizer
from astrollama.sections import Budget, TrainSection
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
    ("progress", "expected"), [(0.0, 0.01), (0.05, 0.5), (0.1, 1.0), (0.55, 0.55), (1.0, 0.1)], ids=str
)
def test_the_rate_rises_linearly_and_falls_as_a_cosine(progress: float, expected: float) -> None:
    assert learning_rate(progress, SETTINGS) == pytest.approx(expected)


def test_without_warmup_the_first_step_has_the_peak() -> None:
    assert learning_rate(0.0, SETTINGS.model_copy(update={"warmup_fraction": 0.0})) == 1.0


@pytest.mark.parametrize("epochs", [1.0, 2.5, 0.3])
def test_a_budget_in_epochs_takes_each_sequence_as_often_as_it_says(packer: Packer, epochs: float) -> None:
    schedule = Schedule(packer, Budget(epochs, "epochs"), sequences_a_step=7)
    position, taken = Position(), []
    while schedule.progress(position) < 1.0:
        taken += schedule.next_rows(position)
    sequences = [packer.sequences(epoch) for epoch in range(3)]
    whole = int(epochs)
    expected = [row for epoch in range(whole) for row in sequences[epoch]]
    expected += sequences[whole][: round((epochs - whole) * len(sequences[whole]))]
    assert taken == expected


def test_a_saved_position_goes_on_with_the_very_next_sequence(packer: Packer) -> None:
    straight = Schedule(packer, Budget(1e9, "tokens"), sequences_a_step=5)
    position = Position()
    steps = [straight.next_rows(position) for _ in range(40)]
    assert position.epoch >= 1, "the steps must reach the second epoch"

    position = Position()
    resumed = Schedule(packer, Budget(1e9, "tokens"), sequences_a_step=5)
    first = [resumed.next_rows(position) for _ in range(23)]
    fresh = Schedule(packer, Budget(1e9, "tokens"), sequences_a_step=5)
    assert first + [fresh.next_rows(position) for _ in range(17)] == steps


def test_progress_counts_what_the_budget_counts(packer: Packer) -> None:
    position = Position(num_tokens=500, num_sequences=3, seconds=30.0)
    assert Schedule(packer, Budget(1000, "tokens"), 1).progress(position) == 0.5
    assert Schedule(packer, Budget(1, "minutes"), 1).progress(position) == 0.5
