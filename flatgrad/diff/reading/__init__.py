"""From the text of a homework to what is known of it before it is run."""
