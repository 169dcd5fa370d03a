"""Translation: pairs of sentences, an encoder and a decoder, a search."""
