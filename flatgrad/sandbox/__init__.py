"""Homework runs here: in a process of its own that is limited, shut off, and asked over pipes."""
