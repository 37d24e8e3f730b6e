"""A homework run and probed: the verdict on each of its gradients."""
