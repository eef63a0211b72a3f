from astrollama.evaluation.resamples import fewer_resamples
from astrollama.sections import EvaluateSection


def test_they_are_a_tenth_and_never_fewer_than_a_hundred() -> None:
    assert fewer_resamples(EvaluateSection(num_resamples=10_000)) == 1000
    assert fewer_resamples(EvaluateSection(num_resamples=500)) == 100
