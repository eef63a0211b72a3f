"""One training system in a process of its own: `python benchmarks/_peers.py SYSTEM FOLDER RESULT`, for train_peers.py.

FOLDER holds settings.json, blocks.npy and documents.json. RESULT gets a JSON object: per step the tokens predicted, the
seconds since the start and the mean loss; and the peak memory of the process. litgpt runs in an environment that need
not have ours, so nothing of ours is imported but where our own loop runs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

Step = dict[str, float]


def main() -> None:
    system, folder, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    settings = json.loads((folder / "settings.json").read_text())
    steps = SYSTEMS[system](folder, settings, result)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    result.write_text(json.dumps({"steps": steps, "peak_memory_gib": peak / 2**20}))


def ours(_folder: Path, settings: dict[str, Any], result: Path, attention: str = "document") -> list[Step]:
    from astrollama.cli.main import run

    out = result.with_suffix("")
    given = {
        "pack.sequence_length": settings["sequence_length"],
        "pack.attention": attention,
        "train.global_batch_tokens": settings["tokens_a_step"],
        "train.micro_batch_size": settings["micro_batch_size"],
        "train.budget": f'"{(settings["steps"] - 1) * settings["tokens_a_step"] + 1} tokens"',
    }
    options = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    status = run(["train", settings["recipe"], "--tokens", settings["tokens"], "--out", str(out), *options])
    if status:
        sys.exit(status)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    ends = [0, *(line["num_tokens"] for line in lines)]
    return [
        {"tokens": line["num_tokens"] - before, "seconds": line["seconds"], "loss": line["loss"]}
        for line, before in zip(lines, ends, strict=False)
    ]


def ours_packed(folder: Path, settings: dict[str, Any], result: Path) -> list[Step]:
    return ours(folder, settings, result, "packed")


def hf_blocks(folder: Path, settings: dict[str, Any], result: Path) -> list[Step]:
    """Trainer on blocks of one length, as run_clm.py makes them."""
    import numpy as np

    blocks_NT = np.load(folder / "blocks.npy")[:, : settings["sequence_length"]]
    rows = [{"input_ids": block.tolist(), "labels": block.tolist()} for block in blocks_NT]
    accumulation = settings["tokens_a_step"] // (settings["sequence_length"] * settings["micro_batch_size"])
    return _hf_trainer(rows, settings["micro_batch_size"], accumulation, settings, result, None)


def hf_padded(folder: Path, settings: dict[str, Any], result: Path, *, to_the_full: bool = False) -> list[Step]:
    """Trainer on one abstract a row, padded to the longest of its batch, or to the full sequence length."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    documents = json.loads((folder / "documents.json").read_text())
    rows = [{"input_ids": tokens, "attention_mask": [1] * len(tokens)} for tokens in documents]
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if to_the_full:
        sizes = {"padding": "max_length", "max_length": settings["sequence_length"]}
        rows = [dict(tokenizer.pad(row, **sizes)) for row in rows]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    useful_tokens = sum(map(len, documents)) / len(documents) * settings["rows_padded"]
    accumulation = max(1, round(settings["tokens_a_step"] / useful_tokens))
    return _hf_trainer(rows, settings["rows_padded"], accumulation, settings, result, collator)


def hf_max_length(folder: Path, settings: dict[str, Any], result: Path) -> list[Step]:
    return hf_padded(folder, settings, result, to_the_full=True)


def _hf_trainer(
    rows: list[dict[str, Any]],
    batch_size: int,
    accumulation: int,
    settings: dict[str, Any],
    result: Path,
    collator: Any,
) -> list[Step]:
    import torch
    from transformers import LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

    steps: list[Step] = []
    step = {"tokens": 0.0, "loss": 0.0}

    class Counting(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *arguments: Any, **more: Any) -> Any:
            seen = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
            step["tokens"] += int(seen.sum()) - len(seen)  # the first of a row is not predicted
            loss = super().training_step(model, inputs, *arguments, **more)
            step["loss"] += float(loss)
            return loss

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.append({**step, "seconds": time.monotonic() - started})
            step.update(tokens=0.0, loss=0.0)

    arguments = TrainingArguments(
        output_dir=str(result.with_suffix("")),
        max_steps=settings["steps"],
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        optim="adamw_torch_fused",
        learning_rate=settings["peak_lr"],
        lr_scheduler_type="cosine",
        warmup_steps=settings["warmup_steps"],
        adam_beta1=settings["beta1"],
        adam_beta2=settings["beta2"],
        adam_epsilon=settings["epsilon"],
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        train_sampling_strategy="sequential",
        use_cpu=True,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    model = LlamaForCausalLM.from_pretrained(settings["model"], dtype=torch.float32, attn_implementation="sdpa")
    trainer = Counting(model, arguments, data_collator=collator, train_dataset=rows, callbacks=[Clock()])
    started = time.monotonic()
    trainer.train()
    trainer.save_model()
    return steps


def litgpt(folder: Path, settings: dict[str, Any], result: Path) -> list[Step]:
    """`litgpt pretrain` from the same weights, on the same blocks."""
    import numpy as np
    import torch
    from lightning import Fabric
    from litgpt import pretrain
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.data import DataModule
    from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint
    from torch.utils.data import DataLoader

    length, micro = settings["sequence_length"], settings["micro_batch_size"]
    accumulation = settings["tokens_a_step"] // (length * micro)
    blocks_NT = torch.from_numpy(np.load(folder / "blocks.npy"))
    steps: list[Step] = []

    class Blocks(DataModule):  # type: ignore[misc]
        def connect(self, *_: Any, **__: Any) -> None:
            """Nothing to take over: the blocks are made."""

        def train_dataloader(self) -> Any:
            return DataLoader(blocks_NT, batch_size=micro)

        val_dataloader = train_dataloader

    class Clock(Fabric):  # type: ignore[misc]
        def log_dict(self, metrics: Any, **_: Any) -> None:
            if "iter_time" in metrics:
                now = time.monotonic() - started
                steps.append({"tokens": accumulation * micro * length, "seconds": now, "loss": metrics["loss"]})

    base = folder / "litgpt"
    if not (base / "lit_model.pth").exists():
        base.mkdir()
        (base / "model.safetensors").symlink_to(Path(settings["model"]) / "model.safetensors")
        convert_hf_checkpoint(base, model_name=settings["litgpt_name"])
    pretrain.L.Fabric = Clock
    sys.argv = ["litgpt", settings["litgpt_name"]]  # from which it reads what to save
    started = time.monotonic()
    pretrain.setup(
        settings["litgpt_name"],
        out_dir=result.with_suffix(""),
        precision="32-true",
        initial_checkpoint_dir=base,
        data=Blocks(),
        train=TrainArgs(
            save_interval=None,
            global_batch_size=micro * accumulation,
            micro_batch_size=micro,
            max_tokens=settings["steps"] * settings["tokens_a_step"],
            max_seq_length=length,
            max_norm=settings["max_grad_norm"],
            min_lr=settings["min_lr"],
            lr_warmup_steps=settings["warmup_steps"] * accumulation,
            tie_embeddings=True,
        ),
        eval=EvalArgs(interval=settings["steps"] + 1, max_iters=1, final_validation=False),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {
                "lr": settings["peak_lr"],
                "betas": [settings["beta1"], settings["beta2"]],
                "eps": settings["epsilon"],
                "weight_decay": settings["weight_decay"],
            },
        },
        devices=1,
        logger_name="csv",
    )
    return steps


SYSTEMS = {
    "ours": ours,
    "ours-packed": ours_packed,
    "hf-blocks": hf_blocks,
    "hf-padded": hf_padded,
    "hf-max-length": hf_max_length,
    "litgpt": litgpt,
}

if __name__ == "__main__":
    main()
