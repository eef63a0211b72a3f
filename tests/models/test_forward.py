from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from astrollama.models.attention import Documents, attend_within_documents, attending_within_documents
from astrollama.models.forward import hidden_states
from astrollama.models.load import load_model
from astrollama.tokens.packing import Batch, Packer
from astrollama.tokens.shards import TokenShards, pack_corpus


def test_a_document_among_others_has_the_hidden_states_that_it_has_alone(
    sample_corpus: Path, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = load_model(str(tiny_model))
    pack_corpus(sample_corpus, loaded.tokenizer, "tiny", tmp_path / "tokens")
    packer = Packer(TokenShards.open(tmp_path / "tokens"), 1024, "document", seed=0)
    batch = Batch.join([packer.batch(row) for row in packer.sequences(0)[:2]])
    assert len(batch.lengths) > 2, "the batch must hold several documents"
    ends = np.cumsum([0, *batch.lengths]).tolist()
    tokens_N = torch.from_numpy(batch.tokens_N)
    with torch.no_grad():
        plain = [loaded.model.model(tokens_N[None, start:stop]).last_hidden_state[0] for start, stop in pairwise(ends)]
        documents = Documents(batch.lengths, torch.tensor(ends, dtype=torch.int32), 1024)
        with attending_within_documents(loaded.model):
            together = hidden_states(loaded.model, tokens_N, torch.from_numpy(batch.positions_N), documents)
        torch.testing.assert_close(together, torch.cat(plain), rtol=1e-4, atol=1e-5)
        again = loaded.model.model(tokens_N[None, : ends[1]]).last_hidden_state[0]
        torch.testing.assert_close(again, plain[0])


def test_gradients_stay_within_documents(tiny_model: Path) -> None:
    loaded = load_model(str(tiny_model))
    attend_within_documents(loaded.model)
    embedded = []
    loaded.model.model.embed_tokens.register_forward_hook(
        lambda *hook: embedded.append(hook[2]) or hook[2].retain_grad()
    )
    tokens_N, positions_N = torch.arange(5, 25), torch.cat([torch.arange(12), torch.arange(8)])
    documents = Documents((12, 8), torch.tensor([0, 12, 20], dtype=torch.int32), 64)
    hidden_states(loaded.model, tokens_N, positions_N, documents)[12:].square().sum().backward()
    (embeddings_1ND,) = embedded
    assert embeddings_1ND.grad is not None
    assert (embeddings_1ND.grad[0, :12] == 0).all()
    assert (embeddings_1ND.grad[0, 12:] != 0).all()
