"""A run from recipe to model: its directory, its ranks, what is trained, and what is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from astrollama.console import say, warn
from astrollama.errors import AstroLlamaError, InterruptedRunError, RunError, TrainingError
from astrollama.files import write_text
from astrollama.models.adapters import make_trainable
from astrollama.models.architectures import count_parameters
from astrollama.models.folder import EncoderRecord
from astrollama.models.load import resolve_device
from astrollama.models.parallel import Parallel, parallel
from astrollama.models.registry import TRAIN_STAGE
from astrollama.models.registry import WEIGHTS as MODEL
from astrollama.recipe import Recipe
from astrollama.runs import StageDirectory, read_manifest, refuse_inside, stage_directory
from astrollama.tokens.shards import INDEX
from astrollama.training import checkpoint
from astrollama.training.documents import list_documents, list_pairs
from astrollama.training.extend import extend_budget
from astrollama.training.loop import fit
from astrollama.training.metrics import METRICS
from astrollama.training.prepare import Prepared, prepare, require_space
from astrollama.training.prepare_encoder import prepare_encoder
from astrollama.training.state import State
from astrollama.training.trackers import TENSORBOARD
from astrollama.training.whiten import whitens, write_whitening

RECIPE = "recipe.toml"


def train(
    recipe: Recipe,
    tokens: Path,
    out: Path,
    *,
    resume: bool,
    replay: Path | None = None,
    citations: Path | None = None,
    how_to_resume: str = "give the same command with --resume to go on",
) -> dict[str, Any]:
    """Train `recipe.model.base` on packed documents, or on pairs of texts, and write the run directory `out`.

    Under torchrun each rank calls this, and rank 0 alone writes and speaks.

    Args:
        tokens: the pack directory; for an encoder the corpus.
        resume: go on from the last checkpoint where `out` holds an unfinished run, or a complete one with a shorter
            budget that kept its checkpoint; without it such runs are refused.
        replay: the pack directory of the general text, where `replay.share` is not 0.
        citations: who cites whom, where `encoder.pairs` has citations.
        how_to_resume: what an interrupted user is told to do.

    Returns:
        The run's manifest. Where `out` holds this very run already, nothing is done.

    Raises:
        AstroLlamaError: as `prepare` or `prepare_encoder`; or the disk has too little room.
        RunError: `out` holds something else.
        TrainingError: the loss is not finite.
        InterruptedRunError: the user stopped the run, which has a checkpoint.
    """
    with parallel(resolve_device(recipe.train.device)) as ranks:
        # sharding brings one layer after the other to its device, and what is quantised is so before it goes there
        place = ranks.device if ranks.size == 1 and recipe.train.method != "qlora" else "cpu"
        refuse_inside(out, [tokens, *([] if replay is None else [replay])])
        if recipe.micro_batches_a_step % ranks.size:
            warn(
                f"{recipe.micro_batches_a_step} micro-batch(es) a step on {ranks.size} processes: some have nothing to do "
                "in the last round; change train.micro_batch_size or train.global_batch_tokens"
            )
        if recipe.train.objective == "contrastive":
            ranks.require_one("an encoder is trained")
            prepared = prepare_encoder(recipe, tokens, citations, place)
        else:
            prepared = ranks.in_turn(lambda: prepare(recipe, tokens, replay, place))
        try:
            with _directory(prepared, out, ranks, resume=resume) as directory:
                if directory.state == "complete":
                    say(f"{out}: the run is already complete")
                else:
                    _train(prepared, tokens, replay, directory, ranks)
                if ranks.is_main and not _keeps_checkpoint(out):
                    shutil.rmtree(out / checkpoint.FOLDER, ignore_errors=True)
        except (KeyboardInterrupt, TrainingError) as error:
            told: BaseException = error
            if isinstance(error, KeyboardInterrupt) and checkpoint.checkpoints(out):
                told = InterruptedRunError(f"stopped; {out} has a checkpoint", how_to_resume)
            if not ranks.is_main and isinstance(told, AstroLlamaError):
                raise SystemExit(told.exit_code) from None  # it befell all ranks, and the first tells it
            raise told from None
        ranks.barrier()
    return read_manifest(out, TRAIN_STAGE)


@contextmanager
def _directory(prepared: Prepared, out: Path, ranks: Parallel, *, resume: bool) -> Iterator[StageDirectory]:
    """The run directory; rank 0 opens it for all."""
    identity = prepared.identity()
    written = [METRICS, RECIPE, INDEX, MODEL, TENSORBOARD]
    with ExitStack() as stack:

        def opened() -> StageDirectory:
            if resume:
                extend_budget(out, identity)
            stage = stage_directory(out, TRAIN_STAGE, identity, disposable=written, keeps=checkpoint.FOLDER)
            directory = stack.enter_context(stage)
            if directory.state == "unfinished" and not resume:
                raise RunError(
                    f"{out} holds an unfinished run", "add --resume to go on with it, or choose another --out"
                )
            if directory.state == "new":
                require_space(out, prepared.recipe, prepared.base.model)
            return directory

        own = ranks.first(opened)
        state = ranks.share(None if own is None else own.state)
        assert state is not None
        yield own or StageDirectory(out, TRAIN_STAGE, identity, state)


def _keeps_checkpoint(out: Path) -> bool:
    """Whether the run that is complete here was to keep its last checkpoint; what this command says changes no such run."""
    recipe = read_manifest(out, TRAIN_STAGE)["recipe"]
    return bool(recipe["train"]["keep_checkpoint"])


def _train(prepared: Prepared, tokens: Path, replay: Path | None, stage: StageDirectory, ranks: Parallel) -> None:
    """Train, save the model, and complete the directory."""
    recipe, base, out = prepared.recipe, prepared.base, stage.path
    if ranks.is_main:
        write_text(out / RECIPE, recipe.to_toml())
    torch.manual_seed(recipe.train.seed)
    encoder = None
    if prepared.pairs is not None:
        settings, config = recipe.encoder, base.model.config
        whitened = whitens(recipe, prepared.pairs, config.hidden_size)
        encoder = EncoderRecord(
            settings.pooling, settings.attention, config.num_hidden_layers, settings.final_norm, whitened
        )
    trainable = make_trainable(base, recipe.train.method, recipe.lora, encoder)
    if ranks.size == 1:
        trainable.model.to(ranks.device)
    state = fit(prepared, trainable, out, ranks, resume=stage.state == "unfinished")
    weights = ranks.whole(state.result())
    if not ranks.is_main:
        return
    trainable.save(out / MODEL, weights)
    if prepared.pairs is not None:
        if encoder is not None and encoder.whitened:
            write_whitening(out / MODEL, trainable, weights, prepared.pairs, recipe)
        list_pairs(prepared.pairs, base.name, out / INDEX)
    else:
        packed = [tokens, *([] if prepared.replay is None or replay is None else [replay])]
        list_documents([path / INDEX for path in packed], base.name, out / INDEX)
    position = state.position
    stage.finish(
        [RECIPE, METRICS, INDEX, *(str(p.relative_to(out)) for p in sorted((out / MODEL).iterdir()))],
        _counts(prepared, state),
        recipe=recipe.model_dump(mode="json"),
        base={"name": base.name, "digest": base.digest},
        tokenizer_digest=base.tokenizer.digest,
        ranks=ranks.size,
        train_seconds=round(position.seconds, 1),
        tokens_per_second=round(position.num_tokens / position.seconds, 1),
    )


def _counts(prepared: Prepared, state: State) -> dict[str, Any]:
    position = state.position
    trained = sum(p.numel() for p in state.parameters.values())
    base = count_parameters(prepared.base.model.config)
    return {
        "steps": position.step,
        "tokens": position.num_tokens,
        "replay_tokens": position.num_replay_tokens,
        "sequences": position.num_sequences,
        "epochs_begun": position.epoch + (position.next_sequence > 0),
        "best_step": position.best_step,
        "parameters_trained": trained,
        "parameters": base if prepared.recipe.train.method == "full" else base + trained,
    }
