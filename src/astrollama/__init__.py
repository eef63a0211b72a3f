"""AstroLLaMA: turn a general LLaMA model into an astronomy language model, and prove what changed."""

__version__ = "0.1.0"
