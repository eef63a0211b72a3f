"""Named hardware and this machine's own figures."""

from __future__ import annotations

import time

import pytest

from astrollama.errors import UserInputError
from astrollama.training import hardware
from astrollama.training.hardware import find_hardware, hardware_names, matrix_product_rate


def test_this_machine_is_measured() -> None:
    found = find_hardware("this-machine", "cpu", "float32")
    figures = [found.memory, found.rates["float32"], found.bandwidth]
    assert [figure.source for figure in figures] == ["measured"] * 3
    assert found.kind == "cpu"
    assert found.memory.value > 2**30
    assert 1e9 < found.rates["float32"].value < 1e14
    assert 1e8 < found.bandwidth.value < 1e13


def test_the_rate_is_operations_over_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that takes a tenth of a second for each product."""
    clock = iter(range(100))
    monkeypatch.setattr(hardware, "_SIDES", {("cpu", "bfloat16"): 8})
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 10)
    assert matrix_product_rate("cpu", "bfloat16") == pytest.approx(2 * 8**3 / 0.1)


def test_a_container_may_have_less_than_the_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_SIDES", {("cpu", "float32"): 8})
    monkeypatch.setattr(hardware, "_COPY_BYTES", 8)
    limit = tmp_path_factory.mktemp("cgroup") / "memory.max"
    monkeypatch.setattr(hardware, "_CGROUP_LIMIT", limit)
    machine = find_hardware("this-machine", "cpu", "float32").memory.value
    limit.write_text("max\n")
    assert find_hardware("this-machine", "cpu", "float32").memory.value == machine
    limit.write_text("1073741824\n")
    assert find_hardware("this-machine", "cpu", "float32").memory.value == 2**30


@pytest.mark.parametrize("name", hardware_names()[1:])
def test_named_hardware_tells_where_its_figures_are_from(name: str) -> None:
    found = find_hardware(name, "cuda", "bfloat16")
    assert found.name == name
    assert set(found.rates) == {"bfloat16", "float32"}
    assert found.rates["bfloat16"].value > found.rates["float32"].value
    sources = {figure.source for figure in (found.memory, found.rates["bfloat16"], found.bandwidth)}
    assert sources == ({"measured"} if name == "h200" else {"datasheet"})


def test_unknown_hardware_is_told() -> None:
    with pytest.raises(UserInputError, match=r"there is no hardware 'a100-80g': did you mean a100-80gb\?"):
        find_hardware("a100-80g", "cuda", "bfloat16")
    with pytest.raises(UserInputError, match="choose from this-machine, h200"):
        find_hardware("abacus", "cuda", "bfloat16")
