"""Verdicts as text, JSON and HTML, beside the lines that flatgrad derives."""
