"""Why a line is wrong: the search for what would make it right."""
