"""Documents to tokens: the tokenizer with its document boundaries, shards on disk, and the sequences made of them."""
