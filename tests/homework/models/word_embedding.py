def word_embedding_forward(x: "N T", W: "V D"):
    """x: integers in the range 0 <= idx < V."""
    out = W[x]
    return out
