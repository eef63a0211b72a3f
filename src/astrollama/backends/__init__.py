"""Language models behind one contract, whatever runs them."""
