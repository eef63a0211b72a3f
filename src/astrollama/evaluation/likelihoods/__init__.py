"""Log-likelihoods of texts, by document, group and confidence."""
