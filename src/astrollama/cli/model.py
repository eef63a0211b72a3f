"""`astrollama model`: base models, and trained ones merged with their base."""

from __future__ import annotations

from typing import Annotated

import typer

from astrollama.cli.options import JsonOption, OutOption, print_json

app = typer.Typer(
    no_args_is_help=True, help="Models: list, fetch and describe them, merge a trained one with its base."
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A packaged name (smollm2-135m), a Hugging Face id (org/name, org/name@revision), a folder or a GGUF file.",
    ),
]


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the packaged base models and those in the cache.

    Example: astrollama model list
    """
    from astrollama.models.registry import list_models

    models = list(list_models())
    if json:
        print_json(models)
        return
    for model in models:
        state = "pulled" if model["pulled"] else "not pulled yet"
        typer.echo(f"{model['name']:<24} {state:<15} {model['source']:<24} {model['description']}".rstrip())
    typer.echo("Hugging Face ids, model folders and GGUF files are taken too.")


@app.command()
def pull(model: ModelArgument = "smollm2-135m", json: JsonOption = False) -> None:
    """Fetch a model into the cache, once, and check it; of an adapter its base.

    Example: astrollama model pull smollm2-135m
    """
    from astrollama.models.registry import pull_model

    found = pull_model(model)
    if json:
        print_json({"name": found.name, "path": str(found.path)})
    else:
        typer.echo(f"{found.name}: {found.path}")


@app.command()
def show(model: ModelArgument = "smollm2-135m", json: JsonOption = False) -> None:
    """Describe a model: sizes, boundary tokens, where it lies, and the digest of its weights.

    Example: astrollama model show smollm2-135m
    """
    from astrollama.models.registry import show_model

    shown = show_model(model)
    if json:
        print_json(shown)
        return
    base = shown.pop("base", {})  # of an adapter
    shown |= {"base" if key == "name" else f"base_{key}": value for key, value in base.items()}
    for key, value in shown.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        typer.echo(f"{key.replace('_', ' '):<24} {text}")


@app.command()
def merge(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run directory, an adapter or a model folder.")],
    out: OutOption,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", help="Where the base is now, if it has moved; a model folder that is no run always needs it."
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", help="How far to go from the base, 0, to the trained model, 1.")
    ] = 1.0,
    json: JsonOption = False,
) -> None:
    """Merge an adapter into its base, or draw a trained model back towards its base: base + alpha x (trained - base).

    Any other base than the one of the training is refused. OUT can stand wherever a model is named.

    Example: astrollama model merge run --out merged --alpha 0.7
    """
    from astrollama.models.merge import merge as merge_models

    manifest = merge_models(model, out, base, alpha)
    if json:
        print_json({key: manifest[key] for key in ("model", "base", "alpha", "digest", "counts")} | {"out": str(out)})
    else:
        typer.echo(
            f"{manifest['counts']['parameters']:,} parameters with alpha = {alpha:g}; the model is in {out / 'model'}"
        )
