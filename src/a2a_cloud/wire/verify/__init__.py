"""The steps of checking a receipt, each a module of its own; `wire.proof` puts them in order."""
