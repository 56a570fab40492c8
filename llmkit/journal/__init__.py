"""What is done, kept in a file so that it can be gone on with: for batches, embeddings and retrieval. ``journal`` joins log and lock."""
