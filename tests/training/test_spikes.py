"""Spikes of the loss: reported when they are there, quiet on noise, the same after a resumption."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from astrollama.training.spikes import MIN_HISTORY, THRESHOLD, WINDOW, SpikeWatch


def falling(steps: int, seed: int, noise: float = 0.05) -> list[float]:
    """Losses from 5.5 to 2.5 nats a token with Gaussian noise."""
    generator = random.Random(seed)
    return [2.5 + 3 * math.exp(-step / 80) + generator.gauss(0, noise) for step in range(steps)]


def reports(losses: list[float], watch: SpikeWatch | None = None) -> list[tuple[int, float]]:
    watch = watch or SpikeWatch()
    seen = [(step, watch.seen(loss)) for step, loss in enumerate(losses)]
    return [(step, excess) for step, excess in seen if excess is not None]


def test_noise_on_a_falling_loss_gives_fewer_false_alarms_than_one_in_2_000_steps() -> None:
    runs = [falling(500, seed) for seed in range(40)]
    assert sum(len(reports(losses)) for losses in runs) < sum(map(len, runs)) / 2_000


def test_noise_on_a_level_loss_gives_fewer_false_alarms_than_one_in_2_000_steps() -> None:
    runs = [[loss - 3 * math.exp(-step / 80) for step, loss in enumerate(falling(500, seed))] for seed in range(40)]
    assert sum(len(reports(losses)) for losses in runs) < sum(map(len, runs)) / 2_000


@pytest.mark.parametrize("step", [MIN_HISTORY, 40, 300])
def test_a_spike_is_reported_at_its_first_step_with_its_height(step: int) -> None:
    losses = falling(400, seed=1)
    losses[step : step + 3] = [loss + 4.0 for loss in losses[step : step + 3]]
    [(where, excess)] = reports(losses)
    assert where == step
    assert excess > THRESHOLD
    if step == 300:  # on the level part the scale is that of the noise
        assert excess == pytest.approx(4.0 / 0.05, rel=0.35)


def test_a_second_spike_is_reported_although_the_first_is_in_the_window() -> None:
    losses = falling(400, seed=2)
    for step in (300, 310, 320):
        losses[step] += 1.0
    assert [step for step, _ in reports(losses)] == [300, 310, 320]


def test_a_new_level_is_reported_once() -> None:
    losses = falling(300, seed=3) + [loss + 1.0 for loss in falling(300, seed=4)]
    assert [step for step, _ in reports(losses)] == [300]


def test_nothing_is_reported_without_enough_history_or_for_a_fall() -> None:
    assert reports([2.5] * (MIN_HISTORY - 1) + [9.0]) == []
    assert reports([*falling(100, seed=5), 0.1]) == []


def test_a_loss_that_does_not_move_makes_no_spike_of_rounding() -> None:
    assert reports([2.0] * 50 + [2.000001]) == []
    assert [step for step, _ in reports([2.0] * 50 + [2.1])] == [50]


@pytest.mark.parametrize("stopped", [5, 20, 66, 300, 301, 302, 330])
def test_a_resumed_run_reports_what_an_uninterrupted_one_does(stopped: int) -> None:
    losses = falling(400, seed=6)
    losses[300:302] = [losses[300] + 2, losses[301] + 2]
    losses[335] += 2
    straight = [report for report in reports(losses) if report[0] >= stopped]
    watch = SpikeWatch(losses[:stopped][-(WINDOW + 1) :])
    resumed = [(stopped + step, excess) for step, excess in reports(losses[stopped:], watch)]
    assert resumed == straight


def test_real_training_is_quiet_until_a_batch_is_spoilt(tiny_model: Path, sample_texts: list[str]) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = LlamaForCausalLM.from_pretrained(tiny_model)
    tokens = torch.tensor(tokenizer(" ".join(sample_texts[:120]))["input_ids"])
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = SpikeWatch()
    spikes = []
    for step in range(120):
        starts = torch.randint(len(tokens) - 64, (8,), generator=generator).tolist()
        batch_BT = torch.stack([tokens[start : start + 64] for start in starts])
        if step == 110:  # text that is none
            batch_BT = torch.randint(tokenizer.vocab_size, batch_BT.shape, generator=generator)
        loss = model(input_ids=batch_BT, labels=batch_BT).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if watch.seen(loss.item()) is not None:
            spikes.append(step)
    assert spikes == [110]
