"""`flatgrad diff`: handwritten backward code, judged line by line against what its forward pass demands."""
