from pathlib import Path

import numpy as np
import torch

from astrollama.models.forward import hidden_states
from astrollama.models.load import load_model
from astrollama.tokens.packing import Packer
from astrollama.tokens.shards import TokenShards, pack_corpus


def test_a_document_among_others_has_the_hidden_states_that_it_has_alone(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = load_model(str(tiny_model))
    pack_corpus(sample_corpus, loaded.tokenizer, "tiny", tmp_path / "tokens")
    packer = Packer(TokenShards.open(tmp_path / "tokens"), 1024, "document", seed=0)
    batch = packer.batch(packer.sequences(0)[:2])
    assert batch.segments_BT is not None
    with torch.no_grad():
        together = hidden_states(
            loaded.model,
            torch.from_numpy(batch.tokens_BT),
            torch.from_numpy(batch.positions_BT),
            torch.from_numpy(batch.segments_BT),
        )
        assert batch.segments_BT.max() > 0, "the batch must hold several documents"
        for row in range(2):
            for segment in range(batch.segments_BT[row].max() + 1):
                (inside,) = np.nonzero(batch.segments_BT[row] == segment)
                alone = loaded.model.model(torch.from_numpy(batch.tokens_BT[row, inside])[None]).last_hidden_state[0]
                torch.testing.assert_close(together[row, inside], alone, rtol=1e-4, atol=1e-5)
