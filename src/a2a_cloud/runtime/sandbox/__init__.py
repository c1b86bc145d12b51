"""Cages for agent code: the port, the jail, the bare process, and the choice between them."""
