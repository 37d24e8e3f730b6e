"""`flatgrad check`: gradients compared with numbers, at arguments that are given, or drawn to fit the function."""
