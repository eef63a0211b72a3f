"""The built-in sample: 240 short abstracts written for this project (CC0), for a first run and for the tests.

They describe invented studies and are not papers; their identifiers are `sample:0001` to `sample:0240`.
"""

from pathlib import Path

SAMPLE = Path(__file__).parent / "data" / "sample.jsonl"
