"""Shows that an entry of the gate table is right: by symbols where it has a proof, by numbers always. The tests of the
built-in table and `flatgrad gates --test` are made of the same checks. Nothing here is needed to compile."""
