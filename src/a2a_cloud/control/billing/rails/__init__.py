"""Ways that money comes and goes: a driver each, behind one port."""
